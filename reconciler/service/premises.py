"""What every part of the service works with: one workspace, one open store, the policy that counts now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock

from reconciler.errors import Place, Problem, ProblemsFound, ReconcilerError
from reconciler.facts.at_hand import AtHand
from reconciler.facts.people import Facts
from reconciler.logs import log
from reconciler.notifications import Notifier
from reconciler.passes.operators import Actor, Operators
from reconciler.passes.wiring import Wiring
from reconciler.service.measures import Measures
from reconciler.workspace import StandingPolicy, TreeMark, Workspace, WorkspaceError, now

__all__ = ["Premises"]


@dataclass(slots=True)
class Premises:
    """One for a service. `clock` is the only one there is; `actor` is whoever the passes act for, `notifier` is told
    what they came to. `given`: the policy that counts, whatever stands in the tree by now. Raises `WorkspaceError`
    where people are to be told by a channel that cannot be used.
    """

    workspace: Workspace
    facts: Facts
    actor: Actor
    clock: Callable[[], datetime] = now
    given: StandingPolicy | None = None
    at_hand: AtHand = field(init=False)
    measures: Measures = field(default_factory=Measures)
    notifier: Notifier = field(init=False)
    _turn: Lock = field(default_factory=Lock)
    _standing: StandingPolicy | None = None
    _mark: TreeMark | None = None
    _operators: Operators | None = None

    def __post_init__(self) -> None:
        self.at_hand = AtHand(self.facts.store)
        self.notifier = Notifier(self.workspace, self.facts, self.clock, patient=True)

    def operators(self) -> Operators:
        """Who may do what, as the workspace's access policy says now. Raises `WorkspaceError` where it cannot be used:
        why is for those who run the service, and so for its log alone.
        """
        try:
            found = self._operators = self.workspace.operators(self._operators)
        except ReconcilerError as error:
            flaws = [str(each) for each in error.problems] if isinstance(error, ProblemsFound) else []
            log.warning("access-policy-unusable", why=error.message, problems=flaws)
            text = "the access policy of this service cannot be used, and so nobody may do anything"
            raise WorkspaceError(text, remedy="ask again once whoever runs the service has corrected it") from None
        return found

    def standing(self) -> StandingPolicy:
        """The policy that counts now; compiled only where the files are others than before. Where the tree does not
        pass, or cannot be read at this moment, the last one that did, beside what is wrong. Raises `ReconcilerError`
        where there never was one.
        """
        if self.given is not None:
            return self.given
        with self._turn:
            before = self._standing
            try:
                mark = self.workspace.policies_mark()
                if before is not None and mark == self._mark and mark.settled:
                    return before
                self._standing = self.workspace.standing_policy(before)
                self._mark = mark
            except (ReconcilerError, OSError) as error:
                if before is None:
                    raise
                self._standing, self._mark = replace(before, problems=_problems(error), tree={}), None
            if self._standing is not before:
                self.notifier.policies_read(self._standing.problems)
                if self._standing.problems is not None:
                    log.warning("policies-do-not-pass", problems=len(self._standing.problems.problems))
            return self._standing

    @contextmanager
    def policies_at_rest(self) -> Iterator[None]:
        """Nobody here reads the tree meanwhile, so that it can be changed."""
        with self._turn:
            yield

    def wired(
        self, standing: StandingPolicy, actor: Actor | None = None, targets: Sequence[str] | None = None
    ) -> Wiring:
        """Everything for one pass over all targets, or these, by the service itself or by whoever calls. Its targets
        are its own: what one has learned about a server does not outlive it.
        """
        made = self.workspace.wire(targets=targets, standing=standing, actor=actor or self.actor, facts=self.facts)
        return replace(made, clock=self.clock)


def _problems(error: ReconcilerError | OSError) -> ProblemsFound:
    if isinstance(error, ProblemsFound):
        return error
    place = (error.place if isinstance(error, ReconcilerError) else None) or Place("policies")
    return ProblemsFound("the policies cannot be read", [Problem("policies", str(error), place)])
