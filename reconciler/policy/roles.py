"""Roles: who holds them, and what they give with all that they inherit.

Inheritance is followed here once and for all, so that nobody who evaluates a policy has to walk it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.policy.binding import Binder, RoleWords, read_for_each
from reconciler.policy.document.grantees import RoleClause
from reconciler.policy.grants import FamilyGrant, check_days
from reconciler.policy.model import Grant, Member, Role
from reconciler.policy.reading import Declared, Section
from reconciler.policy.report import Report
from reconciler.policy.spelling import Template

MAX_INHERITANCE = 32
"""How many roles deep grants may come; nobody can review more."""


@dataclass(frozen=True, slots=True)
class _Own:
    """What a role says by itself. `whole` is False where it may have meant to say more."""

    role: Role
    declared: Declared[RoleClause]
    given: tuple[Grant | FamilyGrant, ...]
    whole: bool

    def knows_parents(self, own: Mapping[str, _Own]) -> bool:
        """Whether all that it inherits can be told."""
        return all(parent in own for parent in self.role.inherits)

    def spelled(self) -> Iterator[Template]:
        """The names with a variable that it grants, whether or not there is such a family."""
        for names in (self.declared.clause.grants or {}).values():
            yield from (Template.of(name) for name in names if "{" in name)


def compile_roles(section: Section[RoleClause], words: RoleWords) -> dict[str, Role]:
    """The roles that are whole, by name, each with what it inherits."""
    own = {declared.name: _own(declared, section, words) for declared in section.whole}
    roles = {name: one.role for name, one in own.items()}
    _refuse_cycles(roles, {name: one.declared for name, one in own.items()}, words.report)
    return _with_inherited(own, roles, words)


def _own(declared: Declared[RoleClause], section: Section[RoleClause], words: RoleWords) -> _Own:
    clause, user, names = declared.clause, f"role `{declared.name}`", section.names()
    inherits = clause.inherits or []
    for index, parent in enumerate(inherits):
        names.check(parent, f"{user} inherits the", declared.at("inherits", index), words.report)
    for_each = tuple(read_for_each(declared, user, words))
    role = Role(
        declared.name,
        words.matches.match(declared.node_at("match"), user) if clause.match is not None else None,
        clause.everyone,
        tuple(_members(declared, words.report)),
        tuple(dict.fromkeys(inherits)),
        (),
        (),
        declared.place,
        for_each,
    )
    whole = declared.name not in section.impaired and len(for_each) == len(clause.for_each or ())
    given = words.permissions.role_grants(declared, user, words.report)
    return _Own(role, declared, given, whole)


def _members(declared: Declared[RoleClause], report: Report) -> Iterator[Member]:
    for index, member in enumerate(declared.clause.members or ()):
        place = declared.at("members", index)
        user = f"role `{declared.name}`, member {member.person}"
        check_days(user, member.since, member.until, declared.at("members", index, "until"), report)
        yield Member(member.person, member.since, member.until, member.reason, place)


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


def _with_inherited(own: Mapping[str, _Own], roles: Mapping[str, Role], words: RoleWords) -> dict[str, Role]:
    """The roles with all that they grant."""
    deep: list[Role] = []
    finished: dict[str, Role] = {}
    for name, one in own.items():
        chains = _chains(name, roles)
        deep += [one.role] if len(next(reversed(chains.values()))) > MAX_INHERITANCE else []
        finished[name] = _finished(one, chains, own, words)
    if deep:
        message = f"role `{deep[0].name}` inherits over more than {MAX_INHERITANCE} roles"
        words.report.error("inheritance-depth", message, deep[0].place, "grant directly what comes from so far away")
    return finished


def _finished(one: _Own, chains: Mapping[str, tuple[str, ...]], own: Mapping[str, _Own], words: RoleWords) -> Role:
    """A role with its own grants and those that it inherits, under what its `for_each` binds."""
    binder = Binder(one.role, one.declared, words.attributes)
    everything = tuple(
        (grant, chain)
        for parent, chain in chains.items()
        for given in own[parent].given
        for grant in binder.grants(given, chain)
    )
    if one.whole:
        binder.report_unbound(words.report)
    binder.report_values(words.report)
    if one.role.for_each and all(own[parent].whole and own[parent].knows_parents(own) for parent in chains):
        spelled = [template for parent in chains for template in own[parent].spelled()]
        binder.report_unused(spelled, words.permissions.families.values(), words.report)
    return replace(
        one.role,
        grants=tuple(grant for grant, chain in everything if len(chain) == 1),
        all_grants=everything,
        families=tuple(binder.families),
    )
