"""Values that people's assignments bind to a variable and that a family of resources does not list."""

from __future__ import annotations

from collections.abc import Iterator

from pyroaring import BitMap

from reconciler.access.columns import Columns
from reconciler.access.matching import paths_above
from reconciler.access.model import UnlistedValue
from reconciler.facts.model import Population
from reconciler.policy.model import ForEach, Policy, Reach, ResourceFamily, Role


def unlisted_at(policy: Policy, population: Population, columns: Columns) -> tuple[UnlistedValue, ...]:
    """Whoever holds a role with a value that gives nothing there; in the order of people's numbers."""
    found: dict[tuple[str, str, str], BitMap] = {}
    for role in policy.roles.values():
        for name, for_each in role.families:
            for value, people in _unlisted(role, policy.families[name], for_each, columns):
                key = (for_each.attribute, value, name)
                found[key] = found[key] | people if key in found else people
    if not found:
        return ()
    ids = {person.number: person.id for person in population.people}
    each = sorted((number, *key) for key, people in found.items() for number in people)
    return tuple(UnlistedValue(ids[number], *key) for number, *key in each)


def _unlisted(role: Role, family: ResourceFamily, for_each: ForEach, columns: Columns) -> Iterator[tuple[str, BitMap]]:
    if not role.matches_people:
        return
    holding = columns.counting if role.match is None else columns.counting & columns.truth(role.match).true
    reaching = for_each.reach is Reach.DESCENDANTS
    below = frozenset(path for listed in family.values for path in paths_above(listed)) if reaching else frozenset()
    for value, assignments in columns.attributes[for_each.attribute].assignments.items():
        if not _is_listed(value, family, for_each.reach, below):
            people = columns.people_of(assignments & holding)
            if people:
                yield value, people


def _is_listed(value: str, family: ResourceFamily, reach: Reach, below: frozenset[str]) -> bool:
    """Whether some listed value applies; in a tree also one above or below (`below` are all paths above a listed
    value), as the role reaches.
    """
    match reach:
        case Reach.OWN:
            return value in family.values
        case Reach.ANCESTORS:
            return any(path in family.values for path in paths_above(value))
        case Reach.DESCENDANTS:
            return value in below
