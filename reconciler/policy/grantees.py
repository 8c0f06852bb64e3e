"""Who gets what: roles, exceptions, lockouts and service accounts.

A grant names a permission that exists, or it is an error. Inheritance is followed here once and for all, so that nobody
who evaluates a policy has to walk it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from reconciler.errors import Place
from reconciler.policy.document.grantees import ExceptionClause, LockoutClause, RoleClause, ServiceAccountClause
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import (
    AccessException,
    Grant,
    Lockout,
    Member,
    Permission,
    Resource,
    Role,
    ServiceAccount,
)
from reconciler.policy.reading import Declared, Section
from reconciler.policy.report import Names, Report, listed
from reconciler.policy.resources import read_owner
from reconciler.policy.values import not_supported, tell

MAX_INHERITANCE = 32
"""How many roles deep grants may come; nobody can review more."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What can be granted: the resources that are whole, and the names of all."""

    resources: Mapping[str, Resource]
    names: Names

    def known(self, name: str, user: str, place: Place, report: Report) -> bool:
        """Whether the resource is declared; reports where not."""
        if "{" in name and name not in self.names.places:
            tell(not_supported(f"`{{…}}` in `{name}`"), place, report, user)
            return False
        return self.names.check(name, f"{user} names the", place, report)

    def grants(
        self,
        declared: Declared[RoleClause] | Declared[ExceptionClause] | Declared[ServiceAccountClause],
        user: str,
        report: Report,
    ) -> tuple[Grant, ...]:
        """The grants of a clause, in its order; those that name no permission are reported and left out."""
        found: dict[Permission, Grant] = {}
        for action, names in (declared.clause.grants or {}).items():
            for index, name in enumerate(names):
                place = declared.at("grants", action, index)
                if self.known(name, user, place, report) and self._has(name, action, user, declared, report):
                    permission = Permission(name, action)
                    found.setdefault(permission, Grant(permission, place))
        return tuple(found.values())

    def _has(
        self,
        name: str,
        action: str,
        user: str,
        declared: Declared[RoleClause] | Declared[ExceptionClause] | Declared[ServiceAccountClause],
        report: Report,
    ) -> bool:
        resource = self.resources.get(name)
        if resource is None or action in resource.actions:
            return resource is not None
        remedy = report.suggestion(action, resource.actions, f"its actions: {listed(resource.actions)}")
        message = f"{user} grants `{name}:{action}`, and the resource has no action `{action}`"
        report.error("unknown-action", message, declared.key("grants", action), remedy)
        return False


def compile_roles(
    section: Section[RoleClause], permissions: Permissions, matches: MatchReader, report: Report
) -> dict[str, Role]:
    """The roles that are whole, by name, each with what it inherits."""
    names = section.names()
    own: dict[str, Role] = {}
    for declared in section.whole:
        clause, user = declared.clause, f"role `{declared.name}`"
        inherits = clause.inherits or []
        for index, parent in enumerate(inherits):
            names.check(parent, f"{user} inherits the", declared.at("inherits", index), report)
        own[declared.name] = Role(
            declared.name,
            matches.match(declared.node_at("match"), user) if clause.match is not None else None,
            clause.everyone,
            tuple(_members(declared, report)),
            tuple(dict.fromkeys(inherits)),
            permissions.grants(declared, user, report),
            (),
            declared.place,
        )
    _refuse_cycles(own, {declared.name: declared for declared in section.whole}, report)
    return _with_inherited(own, report)


def _members(declared: Declared[RoleClause], report: Report) -> Iterator[Member]:
    for index, member in enumerate(declared.clause.members or ()):
        place = declared.at("members", index)
        user = f"role `{declared.name}`, member {member.person}"
        _check_days(user, member.since, member.until, declared.at("members", index, "until"), report)
        yield Member(member.person, member.since, member.until, member.reason, place)


def _check_days(user: str, since: date | None, until: date, place: Place, report: Report) -> None:
    if since is not None and since > until:
        report.error("order", f"{user}: ends on {until}, before it begins on {since}", place, "swap or mend the days")


def _refuse_cycles(roles: Mapping[str, Role], declared: Mapping[str, Declared[RoleClause]], report: Report) -> None:
    """Report each way by which a role comes to inherit itself. Walks without recursion: chains may be long."""
    done: set[str] = set()
    for start in roles:
        path: dict[str, None] = {}
        ways: list[Iterator[str]] = [iter([start])]
        while ways:
            name = next(ways[-1], None)
            if name is None:
                ways.pop()
                done.update([path.popitem()[0]] if path else [])
            elif name in path:
                way = list(path)
                _report_cycle([*way[way.index(name) :], name], declared, report)
            elif name in roles and name not in done:
                path[name] = None
                ways.append(iter(roles[name].inherits))


def _report_cycle(cycle: Sequence[str], declared: Mapping[str, Declared[RoleClause]], report: Report) -> None:
    last, first = cycle[-2:]
    place = declared[last].at("inherits", (declared[last].clause.inherits or []).index(first))
    way = " → ".join(cycle if len(cycle) <= 12 else [*cycle[:6], "…", *cycle[-5:]])
    message = f"roles inherit each other in a circle: {way}"
    report.error("inheritance-cycle", message, place, "take one of these out of `inherits`")


def _chains(name: str, roles: Mapping[str, Role]) -> dict[str, tuple[str, ...]]:
    """Role → the shortest chain of names to it, for this role and all that it inherits, nearest first."""
    chains: dict[str, tuple[str, ...]] = {name: (name,)}
    queue = deque([name])
    while queue:
        chain = chains[queue.popleft()]
        for parent in roles[chain[-1]].inherits if len(chain) <= MAX_INHERITANCE else ():
            if parent in roles and parent not in chains:
                chains[parent] = (*chain, parent)
                queue.append(parent)
    return chains


def _with_inherited(own: Mapping[str, Role], report: Report) -> dict[str, Role]:
    """The roles with all that they grant."""
    deep: list[Role] = []
    roles: dict[str, Role] = {}
    for name, role in own.items():
        chains = _chains(name, own)
        deep += [role] if len(next(reversed(chains.values()))) > MAX_INHERITANCE else []
        everything = tuple((grant, chain) for parent, chain in chains.items() for grant in own[parent].grants)
        roles[name] = replace(role, all_grants=everything)
    if deep:
        message = f"role `{deep[0].name}` inherits over more than {MAX_INHERITANCE} roles"
        report.error("inheritance-depth", message, deep[0].place, "grant directly what comes from so far away")
    return roles


def compile_exceptions(
    section: Section[ExceptionClause], permissions: Permissions, report: Report
) -> tuple[AccessException, ...]:
    """The exceptions that are whole, in the order of the files."""
    return tuple(_exception(index, declared, permissions, report) for index, declared in enumerate(section.whole))


def _exception(
    index: int, declared: Declared[ExceptionClause], permissions: Permissions, report: Report
) -> AccessException:
    clause, user = declared.clause, f"exception for {declared.clause.person}"
    _check_days(user, clause.since, clause.until, declared.at("until"), report)
    approvers = clause.approved_by or []
    if clause.person in approvers:
        place = declared.at("approved_by", approvers.index(clause.person))
        report.error("self-approval", f"{user}: they cannot approve it themselves", place, "name somebody else")
    return AccessException(
        index,
        clause.person,
        permissions.grants(declared, user, report),
        clause.since,
        clause.until,
        clause.reason,
        clause.ticket,
        tuple(approvers),
        declared.place,
    )


def compile_lockouts(section: Section[LockoutClause], permissions: Permissions, report: Report) -> tuple[Lockout, ...]:
    """The lockouts that are whole, in the order of the files."""
    lockouts = []
    for declared in section.whole:
        clause = declared.clause
        for index, name in enumerate(clause.from_ or ()):
            permissions.known(name, f"lockout for {clause.person}", declared.at("from", index), report)
        resources = frozenset(clause.from_) if clause.from_ is not None else None
        lockouts.append(Lockout(clause.person, clause.ref, clause.since, resources, declared.place))
    return tuple(lockouts)


def compile_service_accounts(
    section: Section[ServiceAccountClause],
    permissions: Permissions,
    ranks: Mapping[str, int],
    levels: Names,
    attributes: Names,
    matches: MatchReader,
    report: Report,
) -> dict[str, ServiceAccount]:
    """The service accounts that are whole, by name."""
    accounts: dict[str, ServiceAccount] = {}
    for declared in section.whole:
        clause, user = declared.clause, f"service account `{declared.name}`"
        owner = read_owner(declared, user, attributes, matches, report)
        grants = permissions.grants(declared, user, report)
        known = levels.check(clause.ceiling, f"{user} may open up to the", declared.at("ceiling"), report)
        if known and owner and clause.ceiling in ranks:
            rank = ranks[clause.ceiling]
            accounts[declared.name] = ServiceAccount(declared.name, owner, rank, clause.until, grants, declared.place)
    return accounts
