"""Accounts that are disabled stand in a unit of their own, and go home when they are enabled again.

A move changes an account's name and nothing else: it keeps its key, and groups that have it as a member have it still.
It comes after everything else that a batch does, so that nothing in the batch knows the account by its former name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from adapters.directory import names
from adapters.directory.entries import DirectoryWriter, Edit, Entry, Modification, Move, Request, Verdict
from adapters.directory.groups import GroupKind
from adapters.directory.settings import Layout, Leavers
from adapters.directory.writing import DirectoryStepWriter
from reconciler.targets import Op, Outcome, Step, TargetError, TargetWriter

__all__ = ["follow", "step_writer"]

_ATTEMPTS = 3
"""How often a group is read again because somebody else, or the server itself, changes it."""


def step_writer(directory: DirectoryWriter, layout: Layout, now: Callable[[], datetime]) -> TargetWriter:
    """Carries steps out on a directory, and moves the accounts that it disables or enables where the layout says so."""
    steps = DirectoryStepWriter(directory, layout, now)
    return LeaversWriter(steps, directory, layout.leavers) if layout.leavers else steps


class LeaversWriter(TargetWriter):
    """Carries steps out by another writer and then moves the accounts that were disabled or enabled.

    An account that cannot be moved is disabled all the same: that is what counts, and the outcome says the rest.
    """

    def __init__(self, steps: TargetWriter, directory: DirectoryWriter, leavers: Leavers) -> None:
        self._steps = steps
        self._directory = directory
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
            listing = self._directory.accounts((), {steps[at].account for at in done})
            entries = {self._directory.key(entry): entry for entry in listing}
        except TargetError as error:
            yield from ((at, f"not moved: {error.message}") for at in done)
            return
        wanted = {at: move for at in done if (move := self._move(steps[at], entries.get(steps[at].account)))}
        answers = self._directory.move(list(wanted.values())) if wanted else ()
        for (at, move), answer in zip(wanted.items(), answers, strict=True):
            moved = "; ".join(filter(None, (f"moved to {move.unit}", answer.words)))
            yield at, moved if answer.verdict is Verdict.DONE else f"not moved: {answer.words}"

    def _move(self, step: Step, entry: Entry | None) -> Move | None:
        """Where the account belongs after the operation; None where it may stay."""
        if entry is None:
            return None
        away = names.lies_under(entry.dn, self._leavers.unit)
        if step.op is Op.DISABLE_ACCOUNT:
            return None if away else Move(entry, self._leavers.unit)
        return Move(entry, self._leavers.home) if away and self._leavers.home else None


# --- groups that go by names ------------------------------------------------------------------------------------------


def follow(directory: DirectoryWriter, kind: GroupKind, renamed: Mapping[str, str]) -> str:
    """Have every group of this kind that holds a former name hold the new one; what could not be done, in words.

    A server may do so by itself (OpenLDAP's overlays `refint` and `memberof`), at once or a moment later: what it has
    done is found done. Where nobody does, the group would name somebody who is not there, and whoever gets that name
    next would be in it.
    """
    if not kind.by_dn or not renamed:
        return ""
    new = {kind.principal(former.encode("utf-8", "surrogateescape")): now for former, now in renamed.items()}
    try:
        for _ in range(_ATTEMPTS):
            formers = [former.encode("utf-8", "surrogateescape") for former in renamed]
            listing = directory.groups_of(formers, (kind.attribute,))
            requests = [Request(entry.dn, parts) for entry in listing if (parts := _following(entry, kind, new))]
            if listing.shortfalls:
                return f"groups may hold the former name still: {'; '.join(listing.shortfalls)}"
            answers = directory.modify(requests) if requests else ()
            failed = [(each.dn, a) for each, a in zip(requests, answers, strict=True) if a.verdict is not Verdict.DONE]
            if not failed:
                return ""
            if any(answer.verdict is not Verdict.CONFLICT for _, answer in failed):
                break
    except TargetError as error:
        return f"groups may hold the former name still: {error.message}"
    return "; ".join(f"{dn} holds the former name still: {answer.words}" for dn, answer in failed)


def _following(group: Entry, kind: GroupKind, new: Mapping[str, str]) -> Sequence[Modification]:
    held = {kind.principal(value): value for value in group.values(kind.attribute)}
    leaving = {principal: value for principal, value in held.items() if principal in new}
    coming = [new[principal].encode("utf-8", "surrogateescape") for principal in leaving]
    coming = [value for value in coming if kind.principal(value) not in held]
    parts = (
        Modification(kind.attribute, Edit.DELETE, list(leaving.values())),
        Modification(kind.attribute, Edit.ADD, coming),
    )
    return [part for part in parts if part.values]
