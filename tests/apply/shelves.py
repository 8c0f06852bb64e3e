"""Targets in memory that do what a script says, a recorder that keeps what it is told, and runs over them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reconciler.apply.context import RunContext, SideBySide, one_after_the_other
from reconciler.apply.patience import Patience
from reconciler.apply.run import RunReport, carry_out
from reconciler.apply.tables import Kind
from reconciler.apply.telling import Told
from reconciler.facts.ledger import Entry, NewEntry
from reconciler.plan.model import Cause, CauseKind, Change, in_order
from reconciler.targets import (
    AccountsRead,
    BitMap,
    Capabilities,
    EntitlementRead,
    Locator,
    Observation,
    ObservedAccount,
    Op,
    Outcome,
    OutcomeKind,
    Reading,
    Step,
    Target,
    TargetWriter,
    entitlement_key,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
BRIEF = Patience(attempts=2, wait=lambda _: None)
Answer = Outcome | Exception
Script = Mapping[str, Answer | Sequence[Answer | None]]
"""Account → what is answered to it: always, or one after the other (None, and after the last: the truth)."""


class Shelf(Target):
    """A target in memory, which does what its `script` says about an account and the right thing otherwise.

    `opening` are the errors of its first connections. `before` is called before anything is done.
    """

    def __init__(
        self,
        script: Script | None = None,
        size: int = 2,
        log: list[str] | None = None,
        opening: Sequence[Exception] = (),
        before: Callable[[Sequence[Step]], None] = lambda _: None,
    ) -> None:
        self.script = script or {}
        self.size = size
        self.members: set[str] = set()
        self.log: list[str] = log if log is not None else []
        self.opening = list(opening)
        self.before = before
        self.opened = 0
        self.asked: dict[str, int] = {}

    def describe(self) -> Capabilities:
        return Capabilities(batch_size=self.size)

    def check_locator(self, locator: Locator) -> str | None:
        return None

    def match_attributes(self) -> Sequence[str]:
        return ("id",)

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        people = [ObservedAccount(key, key, key) for key in sorted(self.members)]
        reads = {
            key: EntitlementRead(key, key, Reading.COMPLETE, BitMap(range(len(people))))
            for key in map(entitlement_key, locators)
        }
        return Observation(NOW, AccountsRead(Reading.COMPLETE, people), reads)

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        self.opened += 1
        if self.opening:
            raise self.opening.pop(0)
        yield ShelfWriter(self)

    def answer(self, account: str) -> Answer | None:
        """What the script says to this account, this time."""
        scripted = self.script.get(account)
        number = self.asked[account] = self.asked.get(account, -1) + 1
        if isinstance(scripted, Sequence):
            return scripted[number] if number < len(scripted) else None
        return scripted


class ShelfWriter(TargetWriter):
    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        self.shelf.log.append(f"send {','.join(step.account for step in steps)}")
        self.shelf.before(steps)
        return [self._one(step) for step in steps]

    def _one(self, step: Step) -> Outcome:
        scripted = self.shelf.answer(step.account)
        if isinstance(scripted, Exception):
            raise scripted
        if scripted is not None:
            return scripted
        grants = step.op is Op.GRANT
        if (step.account in self.shelf.members) is grants:
            return Outcome(OutcomeKind.ALREADY)
        (self.shelf.members.add if grants else self.shelf.members.discard)(step.account)
        return Outcome(OutcomeKind.APPLIED)


class Notebook:
    """A recorder that keeps what it is told."""

    def __init__(self, log: list[str]) -> None:
        self.entries: list[NewEntry] = []
        self.log = log

    def record(self, entries: Sequence[NewEntry]) -> Sequence[Entry]:
        start = len(self.entries)
        self.entries += entries
        self.log += [entry.kind for entry in entries]
        return [
            Entry(start + n, NOW, e.kind, e.subject, e.actor, None, e.payload, "", "", "")
            for n, e in enumerate(entries, start=1)
        ]

    def of(self, kind: Kind) -> list[Mapping[str, Any]]:
        return [entry.payload for entry in self.entries if entry.kind == kind.value]


def change(account: str, op: Op = Op.GRANT, target: str = "a", *, leaver: bool = False) -> Change:
    locator = {"group": "docs"} if op in (Op.GRANT, Op.REVOKE) else {}
    cause = Cause(CauseKind.POLICY, "", "because")
    return Change(
        op, target, account, account, account, None, "docs", locator, ("docs:read",), "core", 2, cause, "x", leaver
    )


@dataclass
class Waits:
    """Waits for nothing and keeps for how long it should have; `then` happens meanwhile."""

    seconds: list[float] = field(default_factory=list)
    then: Callable[[], None] = lambda: None

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.then()


def run(
    targets: Mapping[str, Target],
    changes: Sequence[Change],
    unwanted: Collection[str] = (),
    patience: Patience = BRIEF,
    side_by_side: SideBySide = one_after_the_other,
    still_ours: Callable[[], None] = lambda: None,
    theirs: Collection[str] = (),
) -> tuple[RunReport, Notebook, list[str]]:
    """Carry the changes out; the report, what was recorded, and what happened in which order."""
    log: list[str] = next((t.log for t in targets.values() if isinstance(t, Shelf)), [])
    notebook = Notebook(log)
    context = RunContext(
        Told("r1", "sha256:p", "now", "sha256:x", "ops"),
        targets,
        notebook,
        lambda batch: frozenset(each.id for each in batch if each.account in unwanted),
        still_ours=still_ours,
        done_by_others=lambda changes: frozenset(each.id for each in changes if each.account in theirs),
        patience=patience,
        side_by_side=side_by_side,
    )
    return carry_out(in_order(changes), context), notebook, log


def kinds(report: RunReport) -> dict[str, str]:
    """Account → what became of it."""
    return {each.change.account: each.outcome.kind.value for each in report.done}
