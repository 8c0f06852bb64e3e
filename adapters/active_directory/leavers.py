"""Accounts that are disabled stand in a unit of their own, and go home when they are enabled again.

A move changes an account's name and nothing else: it keeps its objectGUID, and the domain keeps its memberships. It
comes after everything else that a batch does, so that nothing in the batch knows the account by its former name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from adapters.active_directory.settings import Leavers
from adapters.active_directory.writable import WritableDomain
from adapters.directory import names
from adapters.directory.entries import Verdict
from reconciler.targets import Op, Outcome, Step, TargetError, TargetWriter

__all__ = ["LeaversWriter"]


class LeaversWriter(TargetWriter):
    """Carries steps out by another writer and then moves the accounts that were disabled or enabled.

    An account that cannot be moved is disabled all the same: that is what counts, and the outcome says the rest.
    """

    def __init__(self, steps: TargetWriter, domain: WritableDomain, leavers: Leavers) -> None:
        self._steps = steps
        self._domain = domain
        self._leavers = leavers

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """See `TargetWriter.apply`."""
        outcomes = list(self._steps.apply(steps))
        for number, told in self._moves(steps, outcomes):
            outcomes[number] = replace(outcomes[number], detail=told)
        return outcomes

    def _moves(self, steps: Sequence[Step], outcomes: Sequence[Outcome]) -> Iterator[tuple[int, str]]:
        ops = (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT)
        done = [at for at, step in enumerate(steps) if step.op in ops and outcomes[at].kind.done]
        if not done:
            return
        try:
            listing = self._domain.accounts((), {steps[at].account for at in done})
            entries = {self._domain.key(entry): entry for entry in listing}
        except TargetError as error:
            yield from ((at, f"not moved: {error.message}") for at in done)
            return
        for at in done:
            entry = entries.get(steps[at].account)
            place = _place(self._leavers, steps[at].op, entry.dn) if entry else ""
            if entry and place:
                answer = self._domain.move(entry, place)
                yield at, f"moved to {place}" if answer.verdict is Verdict.DONE else f"not moved: {answer.words}"


def _place(leavers: Leavers, op: Op, dn: str) -> str:
    """Where an account of this name belongs after an operation; blank where it may stay."""
    away = names.lies_under(dn, leavers.unit)
    if op is Op.DISABLE_ACCOUNT:
        return "" if away else leavers.unit
    return leavers.home if away else ""
