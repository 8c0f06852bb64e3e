"""Which clause is responsible for what somebody gains or loses between two policies.

Told from the side that gives it (a gain: the new policy, a loss: the old one), and by what is *different* there: the
condition of a match that changed rather than the role that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.access.model import Denial, DenialKind, GivenBy
from reconciler.audit.meaning import same
from reconciler.errors import Place
from reconciler.policy.model import Compare, Match, Permission, Policy, Role


@dataclass(frozen=True, slots=True)
class Clause:
    """What is responsible, in words, and where it stands: in the new revision or, with `gone`, only in the old one."""

    text: str
    place: Place | None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Sides:
    """A comparison from one side: `here` is the policy that gives something, `there` the one that does not.

    For a gain, `here` is the new one; for a loss, the old one.
    """

    here: Policy
    there: Policy
    gains: bool
    _counting: dict[str, bool] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Kind of evidence → whether it counts alike on both sides: asked for every person, compared once."""

    @property
    def new(self) -> Policy:
        """The policy of the new revision."""
        return self.here if self.gains else self.there

    def giving(self, permission: Permission, by: GivenBy, person: str) -> Clause | None:
        """The clause behind a grant that one side makes and the other does not; None where this one is the same in
        both.
        """
        if by.exception is not None:
            return self._exception(by, person)
        return self._role(permission, self.here.roles[by.roles[0]], by, person)

    def letting_through(self, permission: Permission, denial: Denial) -> Clause:
        """The clause behind a denial that only `there` makes."""
        here, there = self.here, self.there
        by_class = denial.kind in (DenialKind.EVIDENCE, DenialKind.LIFECYCLE)
        if by_class and _has(here, permission) and _has(there, permission):
            if here.effective_class(permission) != there.effective_class(permission):
                return self._reclassified(permission)
            if here.effective_compartments(permission) != there.effective_compartments(permission):
                return self._recompartmented(permission)
        match denial.kind:
            case DenialKind.EVIDENCE:
                return self._proof(denial)
            case DenialKind.LOCKOUT:
                known = any(one.ref == denial.what for one in here.lockouts)
                return self._come_or_gone(f"lockout `{denial.what}`", denial, known=known)
            case DenialKind.SEPARATION:
                known = any(one.name == denial.what for one in here.separations)
                return self._come_or_gone(f"separation `{denial.what}`", denial, known=known)
            case DenialKind.LIFECYCLE if denial.what in ("sponsor", "end-date"):
                return self._come_or_gone("the sponsor rule", denial, known=bool(here.sponsors))
            case DenialKind.LIFECYCLE:
                return Clause(f"what `{denial.what}` admits has changed", denial.place, gone=self.gains)

    # --- what gives -------------------------------------------------------------------------------------------------

    def _exception(self, by: GivenBy, person: str) -> Clause | None:
        assert by.exception is not None  # noqa: S101  (the caller asked)
        mine = [by.exception.since, by.exception.until]
        for other in self.there.exceptions:
            granted = {grant.permission for grant in other.grants}
            if other.person == person and by.grant.permission in granted and [other.since, other.until] == mine:
                return None
        return Clause(f"the exception for {person}{self._verdict}", by.grant.place, gone=not self.gains)

    @property
    def _verdict(self) -> str:
        return " is new" if self.gains else " is gone"

    def _role(self, permission: Permission, role: Role, by: GivenBy, person: str) -> Clause | None:
        other = self.there.roles.get(role.name)
        if other is None:
            return Clause(f"role `{role.name}`{self._verdict}", role.place, gone=not self.gains)
        granted = [grant for grant, _ in other.all_grants if grant.permission == permission]
        if not granted:
            via = f" (through `{by.roles[-1]}`)" if len(by.roles) > 1 else ""
            verb = "now grants" if self.gains else "no longer grants"
            place = by.grant.place if self.gains else other.place
            return Clause(f"role `{role.name}` {verb} `{permission}`{via}", place)
        if not same(role.match, other.match) or role.everyone != other.everyone:
            return self._audience(role, other)
        if not any(same(by.grant.when, grant.when) for grant in granted):
            return Clause(f"role `{role.name}` runs over other values", (role if self.gains else other).place)
        named = {(one.person, one.since, one.until) for one in other.members}
        for member in role.members:
            if member.person == person and (member.person, member.since, member.until) not in named:
                text = f"role `{role.name}`: member {person}{self._verdict}"
                return Clause(text, member.place, gone=not self.gains)
        return None

    def _audience(self, role: Role, other: Role) -> Clause:
        new, old = (role, other) if self.gains else (other, role)
        if new.match is None or old.match is None or new.everyone != old.everyone:
            return Clause(f"who holds role `{role.name}` has changed", new.place)
        added = list(_unlike(new.match, old.match))
        dropped = list(_unlike(old.match, new.match))
        changed = added or dropped
        asked = ", ".join(dict.fromkeys(f"`{one.attribute}`" for one in changed)) or "its conditions"
        place = added[0].place if added else new.place
        return Clause(f"the match of role `{role.name}` has changed: {asked}", place)

    # --- what lets through --------------------------------------------------------------------------------------------

    def _reclassified(self, permission: Permission) -> Clause:
        old, new = (self.there, self.here) if self.gains else (self.here, self.there)
        before = old.levels[old.effective_class(permission)].name
        after = new.levels[new.effective_class(permission)].name
        place = new.resources[permission.resource].place
        return Clause(f"`{permission}` is now `{after}`, and was `{before}`", place)

    def _recompartmented(self, permission: Permission) -> Clause:
        old, new = (self.there, self.here) if self.gains else (self.here, self.there)
        before, after = old.effective_compartments(permission), new.effective_compartments(permission)
        said = [f"no longer in `{name}`" for name in sorted(before - after)]
        said += [f"now in `{name}`" for name in sorted(after - before)]
        return Clause(f"`{permission}` is {', '.join(said)}", new.resources[permission.resource].place)

    def _proof(self, denial: Denial) -> Clause:
        asked = denial.compartment or denial.level
        for kind in dict.fromkeys(proof.kind for proof in denial.proofs):
            new = self.new.evidence.get(kind)
            if new is not None and not self._counts_alike(kind):
                return Clause(f"evidence `{kind}` counts otherwise now (`{asked}` requires it)", new.place)
        if denial.what == "only":
            return self._come_or_gone(f"whom `{asked}` is reserved for", denial, known=True)
        if self.gains:
            return Clause(f"`{asked}` no longer requires {denial.what} as it did", self._asking(denial), gone=False)
        return Clause(f"`{asked}` now requires {denial.what}", denial.place)

    def _counts_alike(self, kind: str) -> bool:
        if kind not in self._counting:
            self._counting[kind] = same(self.there.evidence.get(kind), self.here.evidence.get(kind))
        return self._counting[kind]

    def _come_or_gone(self, what: str, denial: Denial, *, known: bool) -> Clause:
        """`known`: whether the side that does not deny has such a clause as well."""
        if known:
            return Clause(f"{what} has changed", denial.place, gone=self.gains)
        return Clause(f"{what} {'is gone' if self.gains else 'is new'}", denial.place, gone=self.gains)

    def _asking(self, denial: Denial) -> Place | None:
        """Where the level or compartment that used to deny stands in the new policy, if it is still there."""
        if denial.compartment:
            found = self.new.compartments.get(denial.compartment)
            return found.place if found else None
        level = self.new.level(denial.level)
        return level.place if level else None


def _has(policy: Policy, permission: Permission) -> bool:
    resource = policy.resources.get(permission.resource)
    return resource is not None and permission.action in resource.actions


def _comparisons(match: Match) -> Iterator[Compare]:
    if isinstance(match, Compare):
        yield match
        return
    for part in match.parts:
        yield from _comparisons(part)


def _unlike(match: Match, other: Match) -> Iterator[Compare]:
    """The comparisons of a match that the other one does not make."""
    theirs = list(_comparisons(other))
    yield from (one for one in _comparisons(match) if not any(same(one, each) for each in theirs))
