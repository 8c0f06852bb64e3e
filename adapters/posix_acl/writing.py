"""Carrying steps out: one walk through a folder for all steps on it.

What is taken goes from the folder itself first, so that nobody enters any more while the walk is under way. What is
given comes to the folder itself last, so that a walk that dies leaves nobody a member of what they have in part, and
the next plan grants it again. What cannot be changed is told, and the rest is done all the same.
"""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters.posix_acl.accounts import Accounts, Directory
from adapters.posix_acl.acl import ACCESS, DEFAULT, Acl, MalformedAcl, Principal
from adapters.posix_acl.places import Bound, locator_error
from adapters.posix_acl.reading import access_of, members_of, scope_of, spelled, words
from adapters.posix_acl.rights import MODES, Demand, Goal, Others, Reached
from adapters.posix_acl.tree import Item, Trouble, below, list_at, opened, pinned, shown, store_at
from adapters.posix_acl.turns import PATIENCE, Turns
from reconciler.targets import Locator, Op, Outcome, OutcomeKind, Step, TargetError, TargetWriter

__all__ = ["AclWriter"]

_APPLIED, _ALREADY = Outcome(OutcomeKind.APPLIED), Outcome(OutcomeKind.ALREADY)
_FINAL = frozenset(
    {errno.EPERM, errno.EACCES, errno.EROFS, errno.EOPNOTSUPP, errno.ENOSPC, errno.E2BIG, errno.EINVAL, errno.ELOOP}
)
_FULL = frozenset({errno.ENOSPC, errno.E2BIG})
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE})
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class AclWriter(TargetWriter):
    """Writes the lists of folders under a root. `bound` is all that is managed there, and `cut` the folders that
    nothing comes into from around.
    """

    root: Path
    directory: Directory
    cross_mounts: bool
    bound: Sequence[Locator] = ()
    cut: frozenset[str] = frozenset()
    patience: float = PATIENCE

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        try:
            accounts = self.directory.read()
        except TargetError as error:
            return [Outcome(OutcomeKind.UNAVAILABLE, error.message)] * len(steps)
        outcomes: dict[int, Outcome] = {}
        folders: dict[str, list[int]] = defaultdict(list)
        for number, step in enumerate(steps):
            if obstacle := _obstacle(step, accounts):
                outcomes[number] = obstacle
            else:
                folders[step.locator["path"]].append(number)
        known = [steps[number].locator for numbers in folders.values() for number in numbers]
        bound = Bound.of([*self.bound, *known], self.cut)
        for path, numbers in folders.items():
            found = self._folder(path, [steps[number] for number in numbers], accounts, bound)
            outcomes.update(zip(numbers, found, strict=True))
        return [outcomes[number] for number in range(len(steps))]

    def _folder(self, path: str, steps: Sequence[Step], accounts: Accounts, bound: Bound) -> Sequence[Outcome]:
        try:
            with opened(self.root) as root, opened(self.root, path) as folder:
                acl = access_of(folder)
                batch = _Batch(path, steps, [self._who(step, acl) for step in steps], acl, bound.spare(path))
                goal = batch.goal()
                top = _Top(folder, goal.scope, accounts.by_number)
                modes = goal.scope | batch.spare
                items = below(folder, cross_mounts=self.cross_mounts, inside=bound.inside(path), modes=modes)
                _carried_out(goal, batch, Turns(root, self.patience), top, items)
                return batch.outcomes()
        except (OSError, MalformedAcl) as error:
            if isinstance(error, OSError) and error.errno in _GONE:
                said = f"there is no folder {shown(path)} (any more), or a link leads to it"
                return [Outcome(OutcomeKind.STALE, said)] * len(steps)
            return [_failure(error, path)] * len(steps)

    def _who(self, step: Step, acl: Acl) -> Principal | None:
        """Whose entry it is; None where a foreign principal has none any more."""
        if step.account:
            return Principal("user", int(step.account))
        return next((who for who in acl.named if spelled(who, self.directory) == step.account_name), None)


def _obstacle(step: Step, accounts: Accounts) -> Outcome | None:
    """Why a step is not tried."""
    if step.op not in (Op.GRANT, Op.REVOKE):
        return Outcome(OutcomeKind.REFUSED, f"{step.op} is nothing that can be done here")
    if said := locator_error(step.locator):
        return Outcome(OutcomeKind.REFUSED, said)
    if step.account and not (step.account.isascii() and step.account.isdigit()):
        return Outcome(OutcomeKind.STALE, f"{step.account} is no user number")
    if step.op is Op.REVOKE:
        return None
    account = accounts.by_number.get(int(step.account)) if step.account else None
    if account is None:
        return Outcome(OutcomeKind.STALE, f"there is no account {step.account_name} (any more)")
    if account.name != step.account_name:
        said = f"user number {step.account} was {step.account_name} and is {account.name} now"
        return Outcome(OutcomeKind.STALE, said)
    return None


@dataclass(slots=True)
class _Failures:
    """How often something could not be changed, and the first of the worst: it is tried again only where nothing says
    no for good.
    """

    count: int = 0
    first: Outcome = _APPLIED

    def add(self, outcome: Outcome) -> None:
        self.count += 1
        if self.count == 1 or (outcome.kind is OutcomeKind.REFUSED and self.first.kind is not OutcomeKind.REFUSED):
            self.first = outcome

    def outcome(self) -> Outcome:
        more = f" (and {self.count - 1:,} more)" if self.count > 1 else ""
        return Outcome(self.first.kind, f"not done everywhere: {self.first.detail}{more}")


@dataclass(slots=True)
class _Batch:
    """The steps on one folder, and what has become of them so far. `spare` are modes that nobody is to have there."""

    path: str
    steps: Sequence[Step]
    principals: Sequence[Principal | None]
    before: Acl
    spare: int
    changed: set[Principal] = field(default_factory=set)
    failures: dict[Principal | None, _Failures] = field(default_factory=lambda: defaultdict(_Failures))

    def goal(self) -> Goal:
        """What is to become of every list."""
        demands: dict[Principal, Demand] = {}
        for who, step in zip(self.principals, self.steps, strict=True):
            if who is not None:
                mode = MODES[step.locator["permission"]]
                demands[who] = demands.get(who, Demand(take=self.spare)).then(mode, grant=step.op is Op.GRANT)
        return Goal(demands, scope_of([step.locator for step in self.steps]))

    def fail(self, error: OSError | MalformedAcl, path: tuple[str, ...], whom: frozenset[Principal] | None) -> None:
        """Something could not be changed for these, or for anybody."""
        outcome = _failure(error, "/".join((self.path, *path)))
        for who in whom if whom is not None else (None,):
            self.failures[who].add(outcome)

    def outcomes(self) -> Sequence[Outcome]:
        """One for each step."""
        demands = {who: Demand(take=self.spare) for who in self.principals if who is not None}
        last = {who: number for number, who in enumerate(self.principals)}
        found: list[Outcome] = []
        for number, (who, step) in enumerate(zip(self.principals, self.steps, strict=True)):
            if who is None:
                found.append(_ALREADY)
                continue
            demand = demands[who]
            demands[who] = demand.then(MODES[step.locator["permission"]], grant=step.op is Op.GRANT)
            moved = _imagined(demands[who], self.before, who) != _imagined(demand, self.before, who)
            mended = who in self.changed and last[who] == number
            found.append(self._failed(who) or (_APPLIED if moved or mended else _ALREADY))
        return found

    def _failed(self, who: Principal) -> Outcome | None:
        key = next((key for key in (who, None) if key in self.failures), None) if self.failures else None
        return self.failures[key].outcome() if key in self.failures else None


def _imagined(demand: Demand, acl: Acl, who: Principal) -> int:
    """What somebody would have on the folder after this."""
    rights = demand.rights(acl, who, folder=True)
    return acl.effective(who) if rights is None else rights


@dataclass(slots=True)
class _Top:
    """Who is a member of the folder itself at this moment."""

    folder: int
    scope: int
    accounts: Collection[int]
    _octets: bytes | None = None
    _others: Others = field(default_factory=Others)

    def others(self) -> Others:
        """Those whom no step names."""
        octets = _list_of(self.folder, ACCESS)
        if octets != self._octets:
            self._octets, self._others = octets, Others(members_of(Acl.decoded(octets), self.scope, self.accounts))
        return self._others


@dataclass(slots=True)
class _Walk:
    """One goal, brought to everything in a folder; what is to become of a list is worked out once for all like it."""

    goal: Goal
    batch: _Batch
    turns: Turns
    top: _Top
    _others: Others = field(default_factory=Others)
    _known: dict[tuple[bytes, bool, int], tuple[bytes, Reached] | None] = field(default_factory=dict)

    def change(self, item: Item, attributes: Sequence[str]) -> None:
        """Bring these lists of one file or folder to the goal."""
        whom: frozenset[Principal] | None = None
        try:
            if not item.folder and self._is_known_to_be_so(item):
                return
            with pinned(item) as descriptor:
                if descriptor is None:
                    return
                for attribute in attributes:
                    with self.turns.turn():
                        whom = None
                        found = self._reached(_list_of(descriptor, attribute), item)
                        if found is None:
                            continue
                        octets, reached = found
                        whom = reached.whom
                        store_at(descriptor, attribute, octets)
                    self.batch.changed |= whom
        except (OSError, MalformedAcl) as error:
            if not (isinstance(error, OSError) and error.errno == errno.ENOENT):  # it vanished meanwhile
                self.batch.fail(error, item.path, whom)

    def _is_known_to_be_so(self, item: Item) -> bool:
        """Whether a file has a list that needs no change: told without opening it, or waiting for a turn."""
        octets = list_at(item.place, ACCESS)
        return octets is not None and self._worked_out(octets, item) is None

    def _reached(self, octets: bytes, item: Item) -> tuple[bytes, Reached] | None:
        """The list to be written. Somebody else's entry is mended only by what they are on the folder in this turn:
        who was revoked there by another run since, or is being granted, must not be touched by what we saw before.
        """
        found = self._worked_out(octets, item)
        if found and found[1].others and (others := self.top.others()) != self._others:
            self._take(others)
            found = self._worked_out(octets, item)
        return found

    def begin(self) -> None:
        """Learn who is a member."""
        self._take(self.top.others())

    def _take(self, others: Others) -> None:
        self._others = others
        self._known.clear()

    def _worked_out(self, octets: bytes, item: Item) -> tuple[bytes, Reached] | None:
        key = octets, item.folder, item.modes
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            reached = self.goal.reached(Acl.decoded(octets), self._others, folder=item.folder, modes=item.modes)
            self._known[key] = reached and (reached.acl.encoded(), reached)
        return self._known[key]


def _carried_out(goal: Goal, batch: _Batch, turns: Turns, top: _Top, items: Iterable[Item | Trouble]) -> None:
    here, walk = Item((), top.folder, folder=True), _Walk(goal, batch, turns, top)
    _Walk(goal.taking(), batch, turns, top).change(here, (ACCESS,))
    walk.begin()
    walk.change(here, (DEFAULT,))
    for each in items:
        if isinstance(each, Item):
            walk.change(each, (DEFAULT, ACCESS) if each.folder else (ACCESS,))
        elif each.error is not None:
            batch.fail(each.error, each.path, None)
    walk.change(here, (ACCESS,))


def _list_of(descriptor: int, attribute: str) -> bytes:
    """The list as it is, or as it has to begin: that of the mode, and for what is made in a folder, the folder's own
    classes, as setfacl does.
    """
    if (octets := list_at(descriptor, attribute)) is not None:
        return octets
    acl = access_of(descriptor)
    return Acl(acl.owner, acl.group & acl.ceiling, acl.other).encoded()


def _failure(error: OSError | MalformedAcl, path: str) -> Outcome:
    final = isinstance(error, MalformedAcl) or error.errno in _FINAL
    said = words(error)
    if isinstance(error, OSError) and error.errno in _FULL:
        said = "the file system holds no more entries in one list: give it to a group, and manage the group"
    return Outcome(OutcomeKind.REFUSED if final else OutcomeKind.UNAVAILABLE, f"{shown(path)}: {said}")
