"""The service: is told by HR's systems, acts at once, acts again when time alone changes an answer. Thin over the same
rooms as the commands. `reconciler.service.serving` is where it begins; the processes that do its jobs need less.
"""
