"""Random roles, as they are written (`Draft`) and as a policy holds them (`compiled`): what names a family of resources
is expanded here, once per listed value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from hypothesis import strategies as st

from reconciler.policy.model import (
    AllOf,
    Contains,
    Equals,
    ForEach,
    Grant,
    Match,
    Member,
    Permission,
    Present,
    Reach,
    Role,
    Test,
    Under,
)
from tests.access import company
from tests.access.drawn_matches import IDS, matches, maybe, some
from tests.access.naive_rule import Written, lies_below, named, variable_of

FAMILIES = {"prj/{project}": ("falcon", "凤凰"), "unit/{unit}": ("rd", "rd/ai")}
LISTED = tuple(family.replace(f"{{{variable_of(family)}}}", v) for family, values in FAMILIES.items() for v in values)
PERMISSIONS = ("wiki:read", "docs:read", "docs:write", "code:read", "vault:read", *(f"{name}:read" for name in LISTED))
BINDINGS = (
    {"project": ("projects", "own")},
    {"project": ("post", "own")},
    {"unit": ("department", "own")},
    {"unit": ("department", "ancestors")},
    {"unit": ("department", "descendants")},
    {"project": ("projects", "own"), "unit": ("department", "ancestors")},
)


def family_of(resource: str) -> str:
    return next(
        (family for family, values in FAMILIES.items() if resource in {expanded(family, value) for value in values}), ""
    )


def expanded(family: str, value: str) -> str:
    return family.replace("{" + variable_of(family) + "}", value)


@dataclass(frozen=True)
class Draft:
    """A role as it is written."""

    name: str
    match: Match | None = None
    everyone: bool = False
    members: tuple[Member, ...] = ()
    inherits: tuple[Draft, ...] = ()
    grants: tuple[str, ...] = ()
    for_each: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def chains(self) -> list[tuple[tuple[str, ...], str]]:
        """All grants, each with the roles from this one to the one that says it."""
        own = [((self.name,), grant) for grant in self.grants]
        return own + [((self.name, *chain), grant) for parent in self.inherits for chain, grant in parent.chains()]

    def variables(self) -> set[str]:
        return {variable_of(grant) for _, grant in self.chains() if "{" in grant}


FAMILY_GRANTS = {variable_of(family): f"{family}:read" for family in FAMILIES}


@st.composite
def drafts(draw: st.DrawFn, name: str, earlier: Sequence[Draft], days: st.SearchStrategy[date]) -> Draft:
    parents = tuple(draw(st.lists(st.sampled_from(earlier), max_size=2, unique_by=id))) if earlier else ()
    draft = Draft(name, inherits=parents, grants=draw(some(st.sampled_from(PERMISSIONS), 3)))
    sort = draw(st.sampled_from(["abstract", "match", "match", "for_each", "for_each", "everyone", "members"]))
    if sort == "abstract":
        return replace(draft, grants=(*draft.grants, *draw(some(st.sampled_from(sorted(FAMILY_GRANTS.values())), 1))))
    if sort == "for_each" or draft.variables():
        return _binding(draft, draw(st.sampled_from(BINDINGS)), draw(maybe(matches)))
    if sort == "everyone":
        return replace(draft, everyone=True)
    member = st.builds(company.member, st.sampled_from(IDS), days, since=maybe(days))
    return replace(draft, match=draw(maybe(matches)), members=draw(some(member)))


def _binding(draft: Draft, for_each: Mapping[str, tuple[str, str]], match: Match | None) -> Draft:
    needed = {"project": ("projects", "own"), "unit": ("department", "own")}
    bound = {**{name: needed[name] for name in draft.variables()}, **for_each}
    named_here = tuple(FAMILY_GRANTS[name] for name in bound if name not in draft.variables())
    return replace(draft, match=match, for_each=bound, grants=(*draft.grants, *named_here))


def compiled(draft: Draft) -> Role:
    """The role with the grants that name a family expanded, once per listed value."""
    every = tuple((grant, chain) for chain, text in draft.chains() for grant in _grants(draft, text))
    for_each = {
        variable: ForEach(variable, attribute, Reach(reach), company.place())
        for variable, (attribute, reach) in draft.for_each.items()
    }
    families = {named(text).resource for _, text in draft.chains() if "{" in text and for_each}
    return Role(
        draft.name,
        draft.match,
        draft.everyone,
        draft.members,
        tuple(parent.name for parent in draft.inherits),
        tuple(grant for grant, chain in every if len(chain) == 1),
        every,
        company.place(),
        tuple(for_each.values()),
        tuple((family, for_each[variable_of(family)]) for family in sorted(families)),
    )


def _grants(draft: Draft, text: str) -> list[Grant]:
    """What a grant means in this role: its variable has the value, and the role's other variables have any."""
    written, place = named(text), company.place()
    if "{" not in text:
        return [Grant(written, place, _all_of(_present(draft)))]
    variable = variable_of(text)
    if variable not in draft.for_each:
        return []
    attribute, reach = draft.for_each[variable]
    return [
        Grant(
            Permission(expanded(written.resource, value), written.action),
            place,
            _all_of([company.compare(attribute, _bound_test(attribute, reach, value)), *_present(draft, variable)]),
        )
        for value in FAMILIES[written.resource]
    ]


def _present(draft: Draft, besides: str = "") -> list[Match]:
    return [company.compare(a, Present()) for variable, (a, _) in draft.for_each.items() if variable != besides]


def _all_of(parts: Sequence[Match]) -> Match | None:
    return AllOf(tuple(parts)) if len(parts) > 1 else parts[0] if parts else None


def _bound_test(attribute: str, reach: str, value: str) -> Test:
    if attribute == "projects":
        return Contains(frozenset({value}))
    if reach == "ancestors":
        return Under(frozenset({value}))
    if reach == "descendants":
        return Equals(frozenset({path for path in ("rd", "rd/ai") if path == value or lies_below(value, path)}))
    return Equals(frozenset({value}))


@st.composite
def roles(draw: st.DrawFn, days: st.SearchStrategy[date]) -> list[Draft]:
    made: list[Draft] = []
    for name in ("a", "b", "c", "d")[: draw(st.integers(1, 4))]:
        made.append(draw(drafts(name, made, days)))
    return made


def as_written(made: Sequence[Draft]) -> Written:
    return Written(
        {draft.name: draft.grants for draft in made}, {draft.name: draft.for_each for draft in made}, FAMILIES
    )
