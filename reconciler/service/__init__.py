"""The service: is told by HR's systems, acts at once, acts again when time alone changes an answer. Thin over the same
rooms as the commands.
"""

from reconciler.service.serving import ServiceRefused, serve, work

__all__ = ["ServiceRefused", "serve", "work"]
