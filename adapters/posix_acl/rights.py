"""What a permission means, and what a batch of steps on one folder makes of one access control list. No I/O.

The modes are independent: `read` is the right to read, `write` the right to write, and each can be given and taken
without the other, as no action of a policy implies another. So every combination of what is desired is one state of an
entry, and what is granted is what is seen afterwards. `read-write` is both in one, for folders that have no other mode.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from adapters.posix_acl.acl import EXECUTE, READ, WRITE, Acl, Principal

__all__ = ["MODES", "Demand", "Goal", "Others", "Reached", "has"]

MODES: Mapping[str, int] = {"read": READ, "write": WRITE, "read-write": READ | WRITE}
"""What a locator's `permission` gives on a file; a folder has to be entered as well."""


def has(rights: int, mode: int, *, folder: bool) -> bool:
    """Whether these rights are at least those of the mode."""
    needed = mode | EXECUTE if folder else mode
    return rights & needed == needed


@dataclass(frozen=True, slots=True)
class Demand:
    """What steps, one after the other, come to for somebody: `READ` and `WRITE` to be given, and to be taken."""

    give: int = 0
    take: int = 0

    def then(self, mode: int, *, grant: bool) -> Demand:
        """This, and then one more step."""
        if grant:
            return Demand(self.give | mode, self.take & ~mode)
        return Demand(self.give & ~mode, self.take | mode)

    def limited(self, modes: int) -> Demand:
        """What it comes to where only these modes are to come."""
        return self if modes == READ | WRITE else Demand(self.give & modes, self.take & modes)

    def rights(self, acl: Acl, who: Principal, *, folder: bool) -> int | None:
        """The rights somebody is to have in this list (0: no entry); None where nothing has to change.

        An entry that gives nothing of what is to be taken may be there to keep somebody out: it stays.
        """
        held, now = acl.named.get(who, 0), acl.effective(who)
        if held & self.take == 0 and (not self.give or has(now, self.give, folder=folder)):
            return None
        # What somebody may do in a folder that they cannot enter is nothing yet, and must not come along with a grant.
        before = now if not folder or now & EXECUTE else 0
        after = before & ~self.take | self.give
        if not after & (READ | WRITE):
            return 0
        return after | EXECUTE if folder else after


@dataclass(frozen=True, slots=True)
class Others:
    """Who has what of the modes in question in effect on the folder itself at this moment: where they lack it below,
    it is mended.
    """

    members: Mapping[Principal, int] = field(default_factory=dict)


class Reached(NamedTuple):
    """A list as it has to be. `whom`: those named by steps whose entries change; `others`: it depends on who is a
    member of the folder, too.
    """

    acl: Acl
    whom: frozenset[Principal]
    others: bool


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to become of every list in a folder. `demands` are the steps, `scope` the modes that they name."""

    demands: Mapping[Principal, Demand]
    scope: int

    def reached(self, acl: Acl, others: Others, *, folder: bool, modes: int = READ | WRITE) -> Reached | None:
        """The list as it has to be, as far as these modes go; None where it is so already."""
        wanted: dict[Principal, int] = {}
        for who, demand in self._all(others):
            if (rights := demand.limited(modes).rights(acl, who, folder=folder)) is not None:
                wanted[who] = rights
        if not wanted:
            return None
        whom = frozenset(wanted) & self.demands.keys()
        settled = whom - others.members.keys()
        return Reached(acl.with_rights(wanted), whom, others=len(settled) < len(wanted))

    def taking(self) -> Goal:
        """The part of it after which nobody has more."""
        return Goal({who: Demand(0, demand.take) for who, demand in self.demands.items()}, self.scope)

    def _all(self, others: Others) -> Iterator[tuple[Principal, Demand]]:
        for who, demand in self.demands.items():
            # What they have on the folder in the mode that no step of theirs names is mended like anybody's.
            yield who, Demand(demand.give | (others.members.get(who, 0) & ~demand.take), demand.take)
        for who, rights in others.members.items():
            if who not in self.demands:
                yield who, Demand(give=rights)
