"""Questions about access: of what they are asked, and their answers as data, on the command line and over HTTP.

A question about one subject reads that subject alone, and whoever answers for them: that takes no time in any crowd.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from reconciler.access import UnknownPerson, people_needed
from reconciler.access.inquiry import Holders, SubjectAccess
from reconciler.access.model import Explanation
from reconciler.audit.explained import cited, explanation_json, recorded_json
from reconciler.audit.moments import KnownAt, QuestionRefused, known_at, moment
from reconciler.facts.model import Population, Recorded
from reconciler.facts.people import Facts
from reconciler.plan.artefact import instant
from reconciler.policy.model import Permission, Policy

__all__ = [
    "Known",
    "When",
    "access_json",
    "by_class",
    "can_json",
    "known_of",
    "permission_of",
    "population_about",
    "refuse_newcomer",
    "who_json",
    "why_json",
]

Data = dict[str, object]


@dataclass(frozen=True, slots=True)
class When:
    """Of when a question is asked, and as known when, as somebody wrote it; None: now."""

    at: str | None = None
    known: str | None = None

    def moment(self, zone: ZoneInfo, now: datetime) -> datetime:
        """The moment asked about. Raises `QuestionRefused`."""
        return moment(self.at, zone) if self.at else now

    def known_at(self, facts: Facts, now: datetime) -> KnownAt | None:
        """As known when; None: now. Raises `UnknownEntry` and `QuestionRefused`."""
        return known_at(self.known, facts, now) if self.known else None


@dataclass(frozen=True, slots=True)
class Known:
    """What a question is asked of: the policy, everybody (or whoever it takes), and the moment."""

    policy: Policy
    population: Population
    at: datetime
    facts: Facts
    known: KnownAt

    def sources(self, answers: Iterable[Explanation]) -> list[Recorded]:
        """Who said what the answers rest on, in the order of the ledger."""
        found = self.facts.recorded({entry for one in answers for entry in cited(one)})
        return [found[entry] for entry in sorted(found)]


def permission_of(text: str) -> Permission:
    """The permission that somebody wrote. Raises `QuestionRefused`."""
    resource, colon, action = text.rpartition(":")
    if not colon:
        raise QuestionRefused(f"{text!r} is no permission", remedy="write RESOURCE:ACTION, such as handbook:read")
    return Permission(resource, action)


def known_of(policy: Policy, facts: Facts, when: When, now: datetime, subject: str | None = None) -> Known:
    """What is known of everybody, or of one subject and those who answer for them; of everybody too where the subject
    is unknown, so that whom it might have meant can be said.

    Raises `QuestionRefused`, `UnknownEntry`, and `UnknownPerson` for somebody who became known only later.
    """
    then = when.known_at(facts, now)
    entry = then.entry if then else None
    population = facts.population(None, entry) if subject is None else _about(subject, policy, facts, then)
    return Known(policy, population, when.moment(facts.zone, now), facts, then or KnownAt(population.ledger_seq))


def population_about(
    connection: Connection, facts: Facts, policy: Policy, subject: str, known_at: int | None = None
) -> Population:
    """The subject, and those who answer for them; nobody where the subject is no person that is known."""
    alone = facts.population_in(connection, [subject], known_at)
    needed = people_needed(policy, alone.people)
    return alone if needed <= alone.by_id.keys() else facts.population_in(connection, needed, known_at)


def _about(subject: str, policy: Policy, facts: Facts, then: KnownAt | None) -> Population:
    with facts.store.reading() as connection:
        found = population_about(connection, facts, policy, subject, then.entry if then else None)
    if found.people or subject in policy.service_accounts:
        return found
    if then is not None:
        refuse_newcomer(subject, facts, then)
    return facts.population()


def refuse_newcomer(person: str, facts: Facts, then: KnownAt) -> None:
    """Raises `UnknownPerson` for somebody who became known only later."""
    first = facts.first_known(person)
    if first is not None:
        message = f"nobody was known by the id {person!r} at {then.text}"
        recorded = f"{first.recorded_at.astimezone(facts.zone):%Y-%m-%d %H:%M}"
        since = f"ledger entry {first.entry}, recorded {recorded} by {first.actor}"
        raise UnknownPerson(message, remedy=f"they are known since {since}")


# --- answers as data --------------------------------------------------------------------------------------------------


def why_json(explanation: Explanation, known: Known) -> Data:
    """Why somebody may, or may not; with who put on record what that rests on."""
    told = {"as_known_at": known.known.as_json(), "entries": _entries(known, [explanation])}
    return {**explanation_json(explanation), **told, "policy": _policy_json(known.policy)}


def can_json(explanation: Explanation, known: Known) -> Data:
    """Whether somebody may, and until when as far as time alone goes."""
    told = {"subject": explanation.subject, "permission": str(explanation.permission), **_times_json(known)}
    return {**told, "allowed": explanation.allowed, "until": instant(explanation.until)}


def access_json(found: SubjectAccess, known: Known) -> Data:
    """Everything that somebody may do, highest class first, and what is withheld from them."""
    allowed, withheld = by_class(found.allowed, known.policy), by_class(found.withheld, known.policy)
    return {
        "subject": found.subject,
        **_times_json(known),
        "policy": _policy_json(known.policy),
        "states": [state.value for state in found.states],
        "clearance": found.clearance,
        "allowed": [explanation_json(one) for one in allowed],
        "withheld": [explanation_json(one) for one in withheld],
        "entries": _entries(known, [*allowed, *withheld]),
    }


def who_json(found: Holders, known: Known) -> Data:
    """Who may, and from whom it is withheld."""
    return {
        "permission": str(found.permission),
        **_times_json(known),
        "policy": _policy_json(known.policy),
        "allowed": [_holder_json(one, known) for one in found.allowed],
        "withheld": [_holder_json(one, known) for one in found.withheld],
    }


def by_class(answers: Sequence[Explanation], policy: Policy) -> list[Explanation]:
    """Highest class first."""
    ranks = {level.name: level.rank for level in policy.levels}
    return sorted(answers, key=lambda one: (-ranks[one.classification], one.permission))


def _holder_json(explanation: Explanation, known: Known) -> Data:
    person = known.population.by_id.get(explanation.subject)
    return {
        "subject": explanation.subject,
        "name": person.name if person else None,
        "is_person": person is not None,
        "reasons": [
            {"roles": list(one.roles), "kind": one.kind.value, "text": one.text} for one in explanation.reasons
        ],
        "denials": [{"kind": one.kind.value, "what": one.what, "text": one.text} for one in explanation.denials],
        "until": instant(explanation.until),
    }


def _entries(known: Known, answers: Iterable[Explanation]) -> list[Data]:
    return [recorded_json(one) for one in known.sources(answers)]


def _times_json(known: Known) -> Data:
    return {"at": instant(known.at), "as_known_at": known.known.as_json()}


def _policy_json(policy: Policy) -> dict[str, str]:
    return {"revision": policy.revision, "digest": policy.digest}
