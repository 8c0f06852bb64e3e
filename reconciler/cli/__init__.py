"""The commands; thin: parse, call, render. What they do is done in the rooms below."""

from reconciler.cli.main import main

__all__ = ["main"]
