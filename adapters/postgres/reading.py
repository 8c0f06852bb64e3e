"""From the catalogue to an observation.

An account is a login role; where the settings can tell, a role without LOGIN too, which is then a disabled account. Its
key is the role's oid, which survives a rename. A direct holder that is an account is a member, any other role is
foreign. What opens the same door another way (a role in a role, PUBLIC, an owner, single columns) is a finding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from adapters.postgres import catalog
from adapters.postgres.catalog import PUBLIC, Holding, Role
from adapters.postgres.entitlements import Kind, Managed, is_reserved, managed
from adapters.postgres.session import Connection
from adapters.postgres.settings import Layout
from reconciler.targets import (
    AccountsRead,
    BitMap,
    EntitlementRead,
    Locator,
    Observation,
    ObservedAccount,
    Reading,
    TargetFinding,
    entitlement_key,
)

__all__ = ["as_oids", "is_account", "observation", "obstacle_to_group", "passes_on"]

SHOWN = 5
"""How many names a finding lists before it only counts."""
_LARGEST_OID = 2**32 - 1


def observation(
    connection: Connection, layout: Layout, locators: Sequence[Locator], keys: Collection[str] | None, at: datetime
) -> Observation:
    """What the server says about its accounts and these entitlements; `keys` limits the accounts (a narrow read)."""
    wanted = {entitlement_key(locator): managed(locator) for locator in locators}
    own = catalog.own_role(connection)
    oids = None if keys is None else as_oids(keys)
    known = catalog.roles(connection, oids)
    held = catalog.holdings(connection, set(wanted.values()), oids)
    accounts = [role for role in known.values() if is_account(role, layout) and not _is_merely_us(role, own, layout)]
    scene = _Scene(known, {role.oid: place for place, role in enumerate(accounts)}, own, narrow=keys is not None)
    read = {key: _entitlement(key, each, held.get(each), scene) for key, each in wanted.items()}
    findings: list[TargetFinding] = []
    observed = tuple(_account(role, layout, findings) for role in accounts)
    if keys is None:
        findings += _mighty_accounts(accounts)
        starts = {oid for holding in held.values() for oid in (*holding.holders, holding.owner)}
        managed_roles = {held[one].oid: key for key, one in wanted.items() if one.kind is Kind.ROLE and one in held}
        ways = _Ways(catalog.nested(connection, starts), managed_roles)
        read = {key: _with_roles_within(each, held.get(wanted[key]), scene, ways) for key, each in read.items()}
        findings += (each for one in wanted.values() if one in held for each in _told(one, held[one], scene, ways))
        able, modern = catalog.acting_as(connection), catalog.has_grantors(connection)
        for one in wanted.values():
            if one in held and (modern or one.kind is not Kind.ROLE):
                findings += _out_of_reach(one, held[one], scene, able)
    reading = Reading.COMPLETE if observed or keys is not None else Reading.CONFIRMED_EMPTY
    return Observation(at, AccountsRead(reading, observed), read, findings, frozenset({str(own.oid), own.name}))


@dataclass(frozen=True, slots=True)
class _Scene:
    """The roles that are known, where the accounts among them stand, and whom we are."""

    roles: Mapping[int, Role]
    positions: Mapping[int, int]
    own: Role
    narrow: bool

    def names(self, oids: Iterable[int]) -> str:
        """A few of the names, and how many more there are."""
        names = sorted(self.roles[oid].name if oid in self.roles else f"role {oid}" for oid in oids)
        more = len(names) - SHOWN
        return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class _Ways:
    """Role → its members, and the roles that are entitlements themselves: oid → key."""

    members: Mapping[int, Sequence[int]]
    managed: Mapping[int, str]

    def beyond(self, start: int) -> set[int]:
        """Everybody who is a member of the role, however many roles lie in between; not through one that is managed:
        who is in that is told by itself.
        """
        reached: set[int] = set()
        waiting = deque([start] if start not in self.managed else [])
        while waiting:
            new = set(self.members.get(waiting.popleft(), ())) - reached
            reached |= new
            waiting.extend(new - self.managed.keys())
        return reached


def _with_roles_within(read: EntitlementRead, holding: Holding | None, scene: _Scene, ways: _Ways) -> EntitlementRead:
    """With the managed roles that hold it."""
    holders = holding.holders - {PUBLIC, scene.own.oid} if holding and not holding.mighty else set()
    reached = holders.union(*(ways.beyond(oid) for oid in holders))
    return replace(read, within=sorted(ways.managed[oid] for oid in reached & ways.managed.keys()))


def as_oids(keys: Collection[str]) -> Sequence[int]:
    """The oids among these keys."""
    return [int(key) for key in keys if key.isascii() and key.isdigit() and int(key) <= _LARGEST_OID]


def is_account(role: Role, layout: Layout) -> bool:
    """Whether somebody could sign in as this role, or could before it was disabled."""
    if role.name in layout.protected or is_reserved(role.name):
        return False
    return role.login or (layout.tells_disabled and bool(layout.values(role.name, role.comment)))


def _is_merely_us(role: Role, own: Role, layout: Layout) -> bool:
    """Whether it is the role that we act as, and nobody's account besides."""
    return role.oid == own.oid and not layout.values(role.name, role.comment)


def obstacle_to_group(name: str) -> str:
    """Why membership in this role is nothing that can be managed."""
    return f"{name} is a superuser or replicates: its members may do anything; make another group role, and name that"


def _account(role: Role, layout: Layout, findings: list[TargetFinding]) -> ObservedAccount:
    values = layout.values(role.name, role.comment)
    if len(values) > 1:
        text = f"the comment of {role.name} says several times whose account it is, and not the same: it is nobody's"
        findings.append(TargetFinding("ambiguous-account", role.name, text))
    match = {layout.attribute: values[0]} if len(values) == 1 else {}
    return ObservedAccount(str(role.oid), role.name, role.name, match, role.login)


def _entitlement(key: str, each: Managed, holding: Holding | None, scene: _Scene) -> EntitlementRead:
    if holding is None:
        detail = f"there is no {each.kind} {each.path}; create it, or correct the binding"
        return EntitlementRead(key, each.shown, Reading.FAILED, detail=detail)
    if holding.mighty:
        return EntitlementRead(key, each.shown, Reading.FAILED, detail=obstacle_to_group(each.name))
    holders = _holders(each, holding, scene.own)
    members = BitMap([scene.positions[oid] for oid in holders if oid in scene.positions])
    foreign = () if scene.narrow else tuple(scene.roles[oid].name for oid in _foreign(holders, holding, scene))
    empty = not members and not foreign and not scene.narrow
    return EntitlementRead(key, each.shown, Reading.CONFIRMED_EMPTY if empty else Reading.COMPLETE, members, foreign)


def _foreign(holders: Collection[int], holding: Holding, scene: _Scene) -> Iterator[int]:
    """Those that are no accounts; an owner is none of them either: nobody could take it from the owner for good."""
    others = (oid for oid in sorted(holders) if oid not in scene.positions and oid != holding.owner)
    return (oid for oid in others if oid in scene.roles)


def _holders(each: Managed, holding: Holding, own: Role) -> Collection[int]:
    """The roles that hold it, without PUBLIC, and without ourselves where we hold it in order to manage it."""
    ours = {own.oid} if own.oid in passes_on(holding) else set()
    return holding.holders - {PUBLIC} - ours


def passes_on(holding: Holding) -> set[int]:
    """Who may give it to others."""
    return {grant.grantee for grant in holding.grants if grant.can_pass_on}


# --- what else opens the door -----------------------------------------------------------------------------------------


def _mighty_accounts(accounts: Sequence[Role]) -> Iterator[TargetFinding]:
    for role in accounts:
        if role.mighty:
            what = "is a superuser" if role.superuser else "may replicate the whole server"
            text = (
                f"{role.name} {what}, and so opens everything here beside any policy: it is never changed from here; "
                "if that is meant to be, name it in `protected`"
            )
            yield TargetFinding("protected-account", role.name, text)


def _told(each: Managed, holding: Holding, scene: _Scene, ways: _Ways) -> Iterator[TargetFinding]:
    name = each.shown
    if holding.mighty:
        return
    if not holding.manageable:
        text = f"{scene.own.name} may not give or take {name}: {each.right_needed(scene.own.name)}"
        yield TargetFinding("missing-right", name, text)
    if PUBLIC in holding.holders:
        text = f"everybody who can sign in has {name}, whatever the policy says: it is granted to PUBLIC"
        yield TargetFinding("public-grant", name, text)
    for role in sorted(holding.holders - {PUBLIC, holding.owner}):
        yield from _through(name, f"whoever is a member of {scene.names([role])} has {name} by that", role, scene, ways)
    yield from _of_owner(each, holding, scene, ways)
    if passing := passes_on(holding) - {scene.own.oid, holding.owner}:
        text = (
            f"{scene.names(passing)} can let others in beside any policy: they hold {name} with the right to pass it on"
        )
        yield TargetFinding("can-pass-on", name, text)
    if columns := holding.columns - holding.holders:
        who = "everybody" if PUBLIC in columns else scene.names(columns)
        yield TargetFinding("column-grant", name, f"{who}: {name}, on single columns, beside any policy")


def _out_of_reach(each: Managed, holding: Holding, scene: _Scene, able: Collection[int]) -> Iterator[TargetFinding]:
    """Members whom only somebody else can put out, since they let them in."""
    by_grantor: dict[int, set[int]] = {}
    for grant in holding.grants:
        member = grant.usable and grant.grantee in scene.positions and grant.grantee != holding.owner
        if member and grant.grantor not in able:
            by_grantor.setdefault(grant.grantor, set()).add(grant.grantee)
    for grantor, grantees in by_grantor.items() if holding.manageable else ():
        names = [scene.roles[oid].name for oid in sorted(grantees)]
        statement = each.revoking(names).as_string(None)
        text = (
            f"only {scene.names([grantor])} can take {each.shown} from {scene.names(grantees)}, having granted it. "
            f"Where that is due, as {scene.names([grantor])}: {statement}"
        )
        yield TargetFinding("missing-right", each.shown, text)


def _through(name: str, how: str, role: int, scene: _Scene, ways: _Ways) -> Iterator[TargetFinding]:
    if role not in ways.members:  # as nearly everybody
        return
    people = [oid for oid in ways.beyond(role) if oid in scene.positions and oid != scene.own.oid]
    if people:
        yield TargetFinding("indirect-access", name, f"{how}, beside any policy: {scene.names(people)}")


def _of_owner(each: Managed, holding: Holding, scene: _Scene, ways: _Ways) -> Iterator[TargetFinding]:
    owner = scene.roles.get(holding.owner)
    if each.kind is Kind.ROLE or owner is None:
        return
    if owner.oid in scene.positions and owner.oid != scene.own.oid:
        text = f"{owner.name} owns the {each.kind} and can give everything on it to anybody, whatever the policy says"
        yield TargetFinding("owner-access", each.shown, text)
    how = f"whoever is a member of its owner {owner.name} may do everything with the {each.kind}"
    yield from _through(each.shown, how, owner.oid, scene, ways)
