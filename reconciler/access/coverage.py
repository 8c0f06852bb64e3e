"""What the tests beside a policy leave untried.

| thing | is tried when |
|---|---|
| role | the person of some test holds it, or one that inherits it |
| exception | it is live on the day of a test of its person, who is asked about a permission that it gives |
| clearance | of the permissions of that class, one is allowed in a test and one is withheld for its evidence |
| compartment | one of its permissions is allowed in a test, and one is withheld because of the compartment |
| separation | the person of some test comes into conflict with it |

Only expectations that passed count. A clearance that asks for nothing, or that no permission is tested at, cannot be
tried and is not counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from reconciler.access.model import Denial, Explanation, ReasonKind
from reconciler.errors import Place
from reconciler.policy.model import ClearanceLevel, Compartment, Permission, Policy


class Part(StrEnum):
    """What sort of clause a test can try."""

    ROLE = "role"
    EXCEPTION = "exception"
    CLEARANCE = "clearance"
    COMPARTMENT = "compartment"
    SEPARATION = "separation"


@dataclass(frozen=True, slots=True)
class Tried:
    """What one test tried: the roles its person holds, the rules they conflict with, the expectations that passed."""

    person: str
    held: frozenset[str]
    conflicts: frozenset[str]
    passed: Sequence[Explanation]
    day: date


@dataclass(frozen=True, slots=True)
class Untried:
    """A clause that no test tries, or tries by half; `text` says what is missing."""

    part: Part
    name: str
    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many clauses could be tried, and those that are not."""

    clauses: int
    untried: tuple[Untried, ...]


def coverage_of(policy: Policy, tests: Sequence[Tried]) -> Coverage:
    """What these tests leave untried."""
    found = [
        *_roles(policy, tests),
        *_exceptions(policy, tests),
        *_clearances(policy, tests),
        *_compartments(policy, tests),
        *_separations(policy, tests),
    ]
    return Coverage(len(found), tuple(each for each in found if each is not None))


def _roles(policy: Policy, tests: Sequence[Tried]) -> Iterator[Untried | None]:
    held = frozenset[str]().union(*(test.held for test in tests))
    for role in policy.roles.values():
        if role.name in held:
            yield None
        else:
            yield Untried(Part.ROLE, role.name, role.place, "nobody in a test holds it")


def _exceptions(policy: Policy, tests: Sequence[Tried]) -> Iterator[Untried | None]:
    live = {
        reason.holds_place
        for explanation in _passed(tests)
        for reason in explanation.reasons
        if reason.kind is ReasonKind.EXCEPTION
    }
    for exception in policy.exceptions:
        name = f"{exception.person} until {exception.until}"
        text = f"no test asks what it gives {exception.person} while it is live"
        yield None if exception.place in live else Untried(Part.EXCEPTION, name, exception.place, text)


def _clearances(policy: Policy, tests: Sequence[Tried]) -> Iterator[Untried | None]:
    for level in policy.levels:
        concerned = {each for each in policy.permissions() if policy.effective_class(each) == level.rank}
        if concerned and _asks(level):
            denied = any(denial.level == level.name for denial in _denials(tests, concerned))
            text = _missing(_is_allowed(tests, concerned), denied)
            yield Untried(Part.CLEARANCE, level.name, level.place, text) if text else None


def _compartments(policy: Policy, tests: Sequence[Tried]) -> Iterator[Untried | None]:
    for compartment in policy.compartments.values():
        name = compartment.name
        concerned = {each for each in policy.permissions() if name in policy.effective_compartments(each)}
        if concerned and _asks(compartment):
            denied = any(denial.compartment == name for denial in _denials(tests, concerned))
            text = _missing(_is_allowed(tests, concerned), denied)
            yield Untried(Part.COMPARTMENT, name, compartment.place, text) if text else None


def _asks(clause: ClearanceLevel | Compartment) -> bool:
    return bool(clause.requires) or clause.only is not None


def _is_allowed(tests: Iterable[Tried], concerned: Collection[Permission]) -> bool:
    return any(each.allowed and each.permission in concerned for each in _passed(tests))


def _denials(tests: Iterable[Tried], concerned: Collection[Permission]) -> Iterator[Denial]:
    """The denials of what is withheld, of these permissions."""
    for each in _passed(tests):
        if each.reasons and each.permission in concerned:
            yield from each.denials


def _missing(allowed: bool, denied: bool) -> str:
    match allowed, denied:
        case True, True:
            return ""
        case True, False:
            return "no test has somebody from whom it withholds"
        case False, True:
            return "no test has somebody who gets through"
        case _:
            return "no test asks for anything behind it"


def _separations(policy: Policy, tests: Sequence[Tried]) -> Iterator[Untried | None]:
    met = frozenset[str]().union(*(test.conflicts for test in tests))
    for each in policy.separations:
        text = "nobody in a test comes into conflict with it"
        yield None if each.name in met else Untried(Part.SEPARATION, each.name, each.place, text)


def _passed(tests: Iterable[Tried]) -> Iterator[Explanation]:
    return (explanation for test in tests for explanation in test.passed)
