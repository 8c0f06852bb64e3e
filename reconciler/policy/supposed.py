"""What a policy test supposes and expects: values only. `reconciler.access.trial` runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from reconciler.errors import Place
from reconciler.policy.permissions import Permission


@dataclass(frozen=True, slots=True)
class SupposedEvidence:
    """A proof that a policy test supposes. Days are whole; without `valid_from` it is signed on the test's day."""

    kind: str
    scope: str
    version: int
    valid_from: date | None
    valid_until: date | None
    failed: bool


@dataclass(frozen=True, slots=True)
class SupposedAssignment:
    """An assignment that a policy test supposes. Days are whole and included; None is open."""

    attributes: Mapping[str, str]
    since: date | None
    until: date | None
    transferred: bool = False


@dataclass(frozen=True, slots=True)
class SupposedPerson:
    """Somebody whom a policy test supposes. `notice`, `leave`, `exited` are the days on which those began."""

    id: str
    assignments: tuple[SupposedAssignment, ...]
    evidence: tuple[SupposedEvidence, ...]
    notice: date | None = None
    leave: date | None = None
    exited: date | None = None
    locked_out: bool = False


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a test expects of one permission: that they can, that they cannot, or that it is withheld for just these
    reasons (the words of a denial: an evidence kind, a lifecycle state, a lockout's reference, a separation's name).
    """

    permission: Permission
    can: bool
    withheld: tuple[str, ...] | None
    place: Place


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """Given a person and a day, what has to come out. The moment is noon of the day; `others` are further people."""

    name: str
    on: date
    person: SupposedPerson
    others: tuple[SupposedPerson, ...]
    expects: tuple[Expectation, ...]
    place: Place
