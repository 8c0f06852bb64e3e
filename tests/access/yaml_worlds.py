"""Random worlds whose policy is a YAML file: what the slow rule is told of families, variables and patterns comes from
the text, so that reading and expanding them is measured too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from hypothesis import strategies as st

from reconciler.policy import load_policy
from reconciler.policy.model import Permission, Policy
from tests.access.drawn_matches import maybe, one_in
from tests.access.drawn_roles import FAMILIES, PERMISSIONS, Draft, as_written, expanded, roles
from tests.access.naive_rule import Written, named, variable_of
from tests.access.worlds import FIRST_DAYS, LEVELS, World, days_from, instants, populations

MATCHES: tuple[dict[str, Any], ...] = (
    {"post": "engineer"},
    {"department": ["rd/ai", "研发"]},
    {"department": {"not": "rd"}},
    {"grade": {"min": "P6"}},
    {"grade": {"max": "M1", "absent": True}, "post": ["engineer", "hr"]},
    {"projects": {"all_of": ["falcon", "phoenix"]}},
    {"any": [{"post": "hr"}, {"projects": "凤凰"}]},
    {"none": [{"grade": "P3"}, {"department": "rdx"}]},
)
ATTRIBUTES = {
    "department": {"kind": "tree"},
    "post": {"kind": "one_of", "values": ["engineer", "architect", "hr"]},
    "grade": {"kind": "ordered", "values": ["P3", "P4", "P5", ["P6", "M1"], ["P7", "M2"]]},
    "projects": {"kind": "set"},
    "sponsor": {"kind": "person"},
}
EVIDENCE = {
    "nda": {"kind": "agreement", "version": 1},
    "training": {"kind": "training", "applies_to": {"grade": {"min": "P6"}}},
    "briefing": {"kind": "training", "per": "projects"},
}
CLASSES = {"wiki": "public", "docs": "internal", "code": "internal", "vault": "core"}
PATTERNS = (
    "wiki:read",
    "docs:*",
    "prj/{project}:read",
    "prj/*:*",
    "prj/falcon:*",
    "unit/{unit}:*",
    "unit/rd/ai:read",
    "unit/*:read",
)


@dataclass(frozen=True)
class YamlWorld(World):
    """`text` is the policy; `expected` is what each resource of a family is, read from the text."""

    text: str
    expected: Mapping[str, Expected]


@dataclass(frozen=True)
class Expected:
    classification: int
    compartments: frozenset[str]
    until: date | None
    group: str


matches = st.sampled_from(MATCHES)


@st.composite
def entries(draw: st.DrawFn, days: st.SearchStrategy[date]) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if draw(st.integers(0, 2)) == 0:
        entry["classification"] = draw(st.sampled_from(["internal", "core"]))
    if draw(st.integers(0, 2)) == 0:
        entry["compartments"] = ["chip"]
    if draw(st.integers(0, 2)) == 0:
        entry["until"] = draw(days)
    return entry


@st.composite
def resources(draw: st.DrawFn, days: st.SearchStrategy[date]) -> dict[str, Any]:
    made: dict[str, Any] = {
        name: {"classification": level, "access": {"read": {"ldap": {"group": f"g-{name}"}}}}
        for name, level in CLASSES.items()
    }
    made["docs"]["access"]["write"] = {"ldap": {"group": "g-docs-w"}}
    made["vault"].update(_within(draw(st.sampled_from([["chip"], ["project/falcon"], []]))))
    for family, values in FAMILIES.items():
        variable = variable_of(family)
        own = [f"project/{{{variable}}}"] if variable == "project" and draw(st.booleans()) else []
        made[family] = {
            "classification": draw(st.sampled_from(["public", "internal"])),
            **_within(own + draw(one_in(3, st.just(["chip"]), []))),
            "values": {value: draw(entries(days)) for value in values},
            "access": {"read": {"ldap": {"group": f"f-{{{variable}}}-{variable}"}}},
        }
        for entry in made[family]["values"].values():
            if LEVELS.index(entry.get("classification", "core")) < LEVELS.index(made[family]["classification"]):
                del entry["classification"]
    return made


def _within(compartments: list[str]) -> dict[str, Any]:
    return {"compartments": compartments} if compartments else {}


def read_resources(section: Mapping[str, Any]) -> dict[str, Expected]:
    """What the text says of each resource of a family."""
    return {
        expanded(family, value): Expected(
            LEVELS.index(entry.get("classification", section[family]["classification"])),
            frozenset(
                name.replace(f"{{{variable_of(family)}}}", value)
                for name in (*section[family].get("compartments", ()), *entry.get("compartments", ()))
            ),
            entry.get("until"),
            section[family]["access"]["read"]["ldap"]["group"].replace(f"{{{variable_of(family)}}}", value),
        )
        for family in FAMILIES
        for value, entry in section[family]["values"].items()
    }


# --- roles ----------------------------------------------------------------------------------------------------------


def _as_yaml(draft: Draft, match: Mapping[str, Any] | None) -> dict[str, Any]:
    clause: dict[str, Any] = {}
    if draft.match is not None and match is not None:
        clause["match"] = match
    if draft.for_each:
        clause["for_each"] = {
            variable: attribute if reach == "own" else {attribute: reach}
            for variable, (attribute, reach) in draft.for_each.items()
        }
    if draft.everyone:
        clause["everyone"] = True
    if draft.members:
        clause["members"] = [_member(each.person, each.since, each.until) for each in draft.members]
    if draft.inherits:
        clause["inherits"] = [parent.name for parent in draft.inherits]
    by_action: dict[str, list[str]] = {}
    for grant in dict.fromkeys(draft.grants):
        by_action.setdefault(named(grant).action, []).append(named(grant).resource)
    return {**clause, **({"grants": by_action} if by_action else {})}


def _member(person: str, since: date | None, until: date) -> dict[str, Any]:
    given = {"person": person, "until": until, "reason": "no rule fits"}
    return given if since is None or since > until else {**given, "since": since}


def _of_projects(drafts: Sequence[Draft]) -> list[Draft]:
    """A policy file may not bind a project to a post, which lists its values."""
    made: dict[str, Draft] = {}
    for draft in drafts:
        bound = {v: ("projects", "own") if a == "post" else (a, r) for v, (a, r) in draft.for_each.items()}
        parents = tuple(made[parent.name] for parent in draft.inherits)
        made[draft.name] = replace(draft, for_each=bound, inherits=parents)
    return list(made.values())


# --- separation -----------------------------------------------------------------------------------------------------


@st.composite
def separations(draw: st.DrawFn, drafts: Sequence[Draft]) -> list[dict[str, Any]]:
    """What a file may say: of roles that do not inherit one another, of lists that share nothing, and nothing that some
    role would always be in conflict with.
    """
    made: list[dict[str, Any]] = []
    apart = [draft.name for draft in drafts if not draft.inherits and not any(draft in d.inherits for d in drafts)]
    if len(apart) > 1:
        made.append({"name": "apart", "roles": draw(st.permutations(apart))[:3]})
    lists = _sharing_nothing(draw(st.permutations(PATTERNS)))
    between = [part for part in (lists[:1], lists[1:3], lists[3:]) if part]
    if not any(_is_caught(draft, between) for draft in drafts):
        made.append({"name": "wall", "between": between})
    for each in made:
        each.update(draw(st.sampled_from([{}, {"on_conflict": "withhold"}, {"on_conflict": "report"}])))
    return made


def _is_caught(draft: Draft, between: Sequence[Sequence[str]]) -> bool:
    plain = {named(text) for _, text in draft.chains() if "{" not in text}
    return sum(bool(plain & _union(patterns)) for patterns in between) > 1


def _sharing_nothing(patterns: Sequence[str]) -> list[str]:
    found: list[str] = []
    for pattern in patterns:
        if not read_pattern(pattern) & _union(found):
            found.append(pattern)
    return found


def read_pattern(pattern: str) -> frozenset[Permission]:
    """The permissions that a pattern names: a family or ``/*`` stands for all listed values, ``*`` for all actions."""
    resource, _, action = pattern.rpartition(":")
    return frozenset(
        permission
        for permission in map(named, PERMISSIONS)
        if action in ("*", permission.action) and _is_named(resource, permission.resource)
    )


def _is_named(pattern: str, resource: str) -> bool:
    if pattern in FAMILIES:
        return resource in {expanded(pattern, value) for value in FAMILIES[pattern]}
    return resource.startswith(pattern[:-1]) if pattern.endswith("/*") else resource == pattern


def with_written_separations(policy: Policy, section: Sequence[Mapping[str, Any]]) -> Policy:
    """The policy with what the text's patterns mean in place of what was compiled of them."""
    written = {each["name"]: tuple(map(_union, each.get("between", ()))) for each in section}
    return replace(policy, separations=tuple(replace(s, between=written[s.name]) for s in policy.separations))


def _union(patterns: Sequence[str]) -> frozenset[Permission]:
    return frozenset[Permission]().union(*map(read_pattern, patterns))


# --- the whole ------------------------------------------------------------------------------------------------------


@st.composite
def yaml_worlds(draw: st.DrawFn) -> tuple[YamlWorld, Policy]:
    """A world of the text's policy as it is compiled, and the same policy with its separations read from the text."""
    timezone = draw(st.sampled_from(sorted(FIRST_DAYS)))
    days, at = days_from(FIRST_DAYS[timezone]), draw(instants(ZoneInfo(timezone)))
    drafts = _of_projects(draw(roles(days)))
    lifecycle = {"transfer": {"overlap": "14d", "ceiling": draw(st.sampled_from(LEVELS))}}
    document: dict[str, Any] = {
        "attributes": ATTRIBUTES,
        "evidence": EVIDENCE,
        "clearances": [{"public": {}}, {"internal": {"requires": draw(one_in(2, st.just(["nda"]), []))}}, {"core": {}}],
        "compartments": {
            "chip": {"requires": [{"any_of": ["training", {"briefing": "falcon"}]}]},
            "project/{project}": {"requires": [{"any_of": ["nda", {"briefing": "{project}"}]}]},
        },
        "resources": draw(resources(days)),
        "roles": {draft.name: _as_yaml(draft, draw(matches)) for draft in drafts},
        "separation": draw(one_in(2, separations(drafts), [])),
        "sponsors": draw(one_in(3, sponsors(), [])),
        "lifecycle": {**lifecycle, **draw(one_in(2, states(), {}))},
    }
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    policy = load_policy({"policy.yaml": text.encode()}, revision="test")
    written = Written(
        {draft.name: tuple(dict.fromkeys(draft.grants)) for draft in drafts}, as_written(drafts).for_each, FAMILIES
    )
    world = YamlWorld(policy, draw(populations(timezone, at)), at, written, text, read_resources(document["resources"]))
    return world, with_written_separations(policy, document["separation"])


@st.composite
def sponsors(draw: st.DrawFn) -> list[dict[str, Any]]:
    rule: dict[str, Any] = {"of": draw(matches), "by": "sponsor"}
    if draw(st.booleans()):
        rule["must"] = draw(matches)
    if draw(st.booleans()):
        rule["lapse"] = draw(st.sampled_from(["1d", "14d", "1mo"]))
    if draw(st.booleans()):
        rule["ends"] = "required"
    return [rule]


@st.composite
def states(draw: st.DrawFn) -> dict[str, Any]:
    ceilings = st.sampled_from(LEVELS)
    match = draw(maybe(matches))
    chosen: dict[str, Any] = {} if match is None else {"match": match}
    return {
        "preboarding": {**chosen, "ceiling": draw(ceilings), "opens": "14d"},
        "notice": [{"match": draw(matches), "ceiling": draw(ceilings)}, {"ceiling": draw(ceilings)}],
        "leave": [{**chosen, "after": draw(st.sampled_from(["0d", "14d"])), "suspend": True}],
    }
