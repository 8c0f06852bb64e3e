"""What every part of the service works with: one workspace, one open store, the policy that counts now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock

from reconciler.errors import Place, Problem, ProblemsFound, ReconcilerError
from reconciler.facts.people import Facts
from reconciler.logs import log
from reconciler.notifications import Notifier
from reconciler.passes.operators import Actor
from reconciler.passes.wiring import Wiring
from reconciler.workspace import StandingPolicy, Workspace, now

__all__ = ["Premises"]


@dataclass(slots=True)
class Premises:
    """One for a service. `clock` is the only one there is; `actor` is whoever the passes act for, `notifier` is told
    what they came to. Raises `WorkspaceError` where people are to be told by a channel that cannot be used.
    """

    workspace: Workspace
    facts: Facts
    actor: Actor
    clock: Callable[[], datetime] = now
    notifier: Notifier = field(init=False)
    _turn: Lock = field(default_factory=Lock)
    _standing: StandingPolicy | None = None

    def __post_init__(self) -> None:
        self.notifier = Notifier(self.workspace, self.facts, self.clock, patient=True)

    def standing(self) -> StandingPolicy:
        """The policy that counts now; compiled only where the files are others than before. Where the tree does not
        pass, or cannot be read at this moment, the last one that did, beside what is wrong. Raises `ReconcilerError`
        where there never was one.
        """
        with self._turn:
            before = self._standing
            try:
                self._standing = self.workspace.standing_policy(before)
            except (ReconcilerError, OSError) as error:
                if before is None:
                    raise
                self._standing = replace(before, problems=_problems(error), tree={})
            if self._standing is not before:
                self.notifier.policies_read(self._standing.problems)
                if self._standing.problems is not None:
                    log.warning("policies-do-not-pass", problems=len(self._standing.problems.problems))
            return self._standing

    def wired(self, standing: StandingPolicy) -> Wiring:
        """Everything for one pass. Its targets are its own: what one has learned about a server does not outlive it."""
        made = self.workspace.wire(standing=standing, actor=self.actor, facts=self.facts)
        return replace(made, clock=self.clock)


def _problems(error: ReconcilerError | OSError) -> ProblemsFound:
    if isinstance(error, ProblemsFound):
        return error
    place = (error.place if isinstance(error, ReconcilerError) else None) or Place("policies")
    return ProblemsFound("the policies cannot be read", [Problem("policies", str(error), place)])
