"""What the service and the processes that do its jobs say to each other: plain values, over a pair of sockets that
nobody else has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.passes.operators import Actor
from reconciler.workspace import StandingPolicy, Workspace

__all__ = ["Begin", "Do", "Done", "Failed", "Job", "Logged", "Stop"]

Job = Callable[..., Any]
"""A function of a module: takes `Premises`, an `Event` that is set when it is to stop, and values that can be sent."""


@dataclass(frozen=True, slots=True)
class Begin:
    """To the child, once: the workspace as its parent read it, who acts, and from which level on its log is wanted."""

    workspace: Workspace
    actor: Actor
    level: int


@dataclass(frozen=True, slots=True)
class Do:
    """To the child: do this under these policies; None: those of the job before, since it takes long to send them.
    `passes`: they are the tree's own, and not the last that did pass.
    """

    work: Job
    arguments: tuple[Any, ...]
    standing: StandingPolicy | None
    passes: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """To the child: begin no further batch."""


@dataclass(frozen=True, slots=True)
class Logged:
    """To the parent: an event for the log."""

    level: int
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """To the parent: the job's answer."""

    answer: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """To the parent: the job raised this."""

    code: str
    message: str
    remedy: str = ""
