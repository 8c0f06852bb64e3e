"""Answering questions about access for whoever calls: by the policy that counts and the record as it is now.

About one subject little is read, and that stays at hand (`reconciler.facts.at_hand`). Who has a permission is found
once, and the further pages of that list are told from it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from sqlalchemy import Connection

from reconciler.access import Explainer, UnknownPerson, evaluate, people_needed
from reconciler.access.dossier import Book
from reconciler.access.inquiry import Holders, SubjectAccess, access_of, holder_ids
from reconciler.access.model import Explanation
from reconciler.access.subject import Named, check_permission
from reconciler.audit.moments import KnownAt, QuestionRefused
from reconciler.audit.questions import (
    Known,
    When,
    access_json,
    can_json,
    permission_of,
    population_about,
    refuse_newcomer,
    who_json,
    why_json,
)
from reconciler.facts.at_hand import Glance
from reconciler.facts.days import instant_text
from reconciler.facts.model import Population
from reconciler.facts.people import erasure_subject
from reconciler.policy.model import Permission, Policy
from reconciler.service.paging import is_plain, read_token, token_of
from reconciler.service.premises import Premises

__all__ = ["Asked", "Asking", "Listed", "check_id", "token_for"]

LISTS = 8
"""So many lists of holders are kept for their further pages."""

LONGEST_ID = 500
"""Characters. No source takes an id as long."""

Data = dict[str, object]


@dataclass(frozen=True, slots=True)
class Asked:
    """One subject at a moment, ready to be asked about."""

    subject: str
    known: Known
    explainer: Explainer

    def about(self, permission: Permission) -> Explanation:
        """Why, or why not. Raises `UnknownPermission`."""
        return self.explainer.explain(self.subject, permission)

    def everything(self) -> SubjectAccess:
        """All that they have."""
        known = self.known
        return access_of(known.policy, known.population, self.subject, known.at, self.explainer)


@dataclass(frozen=True, slots=True)
class Listed:
    """Everybody who has a permission, then everybody from whom it is withheld: by a policy, at a moment, as the record
    stood with an entry.
    """

    permission: Permission
    policy: Policy
    at: datetime
    known: KnownAt
    allowed: tuple[str, ...]
    withheld: tuple[str, ...]
    people: frozenset[str]


class Asking:
    """Answers. One for a service; called from several threads."""

    def __init__(self, premises: Premises) -> None:
        self._premises = premises
        self._turn = Lock()
        self._book: tuple[Policy, tuple[Named, Book]] | None = None
        self._lists: OrderedDict[tuple[str, Permission, str, int], Listed] = OrderedDict()

    # --- about one subject --------------------------------------------------------------------------------------------

    def why(self, subject: str, permission: str, when: When) -> Data:
        """As the command. Raises `UnknownPerson`, `UnknownPermission`, `UnknownEntry`, `QuestionRefused`."""
        wanted, asked = permission_of(permission), self.asked(subject, when)
        return why_json(asked.about(wanted), asked.known)

    def can(self, subject: str, permission: str, when: When) -> Data:
        """As the command. Raises as `why`."""
        wanted, asked = permission_of(permission), self.asked(subject, when)
        return can_json(asked.about(wanted), asked.known)

    def access(self, subject: str, when: When) -> Data:
        """As the command. Raises as `why`."""
        asked = self.asked(subject, when)
        return access_json(asked.everything(), asked.known)

    def asked(self, subject: str, when: When) -> Asked:
        """The subject at that moment, as known then. Raises `UnknownPerson`, `UnknownEntry`, `QuestionRefused`."""
        facts, now = self._premises.facts, self._premises.clock()
        at = when.moment(facts.zone, now)
        check_id(subject)
        then = when.known_at(facts, now)
        if then is None:
            with self._premises.at_hand.glance() as seen:
                return self.asked_now(subject, seen, at)
        policy = self._premises.standing().policy
        with facts.store.reading() as connection:
            population = population_about(connection, facts, policy, subject, then.entry)
        if subject not in population.by_id and subject not in policy.service_accounts:
            refuse_newcomer(subject, facts, then)
        return self._ready(subject, Known(policy, population, at, facts, then))

    def asked_now(self, subject: str, seen: Glance, at: datetime) -> Asked:
        """The subject at that moment, as a look at the record shows them. Raises `UnknownPerson`."""
        check_id(subject)
        policy, facts = self._premises.standing().policy, self._premises.facts

        def read(connection: Connection) -> tuple[Population, Collection[str]]:
            found = population_about(connection, facts, policy, subject)
            needed = people_needed(policy, filter(None, [found.by_id.get(subject)])) | {subject}
            return found, {*needed, *map(erasure_subject, needed)}

        population = seen.get(("person", policy.digest, subject), read)
        return self._ready(subject, Known(policy, population, at, facts, KnownAt(seen.seq)))

    def _ready(self, subject: str, known: Known) -> Asked:
        policy, population = known.policy, known.population
        if subject not in population.by_id and subject not in policy.service_accounts:
            text = f"nobody is known by the id {subject!r}"
            raise UnknownPerson(text, remedy="ask by the stable id, as HR spells it")
        return Asked(subject, known, Explainer(policy, population, known.at, self._book_of(policy)))

    def _book_of(self, policy: Policy) -> tuple[Named, Book]:
        """What is worked out of the policy alone."""
        known = self._book
        if known is None or known[0] is not policy:
            nobody = Population([], {}, 0, self._premises.facts.timezone)
            known = self._book = policy, Explainer(policy, nobody, self._premises.clock()).book
        return known[1]

    # --- about everybody ----------------------------------------------------------------------------------------------

    def who(self, permission: str, when: When, page: str, count: int) -> Data:
        """As the command, page by page. Reads everybody, and computes for long in a large company. Raises
        `UnknownPermission`, `UnknownEntry`, `QuestionRefused`.
        """
        wanted = permission_of(permission)
        listed, begin = self.listed(wanted, when, page)
        return {**self._told(listed, begin, count), "page": _page(listed, begin, count)}

    def listed(self, permission: Permission, when: When, page: str = "") -> tuple[Listed, int]:
        """The list, and where on it the page begins that an answer before named. Raises as `who`."""
        if not page:
            return self._made(permission, when), 0
        if when != When():
            text = "a page belongs to the moment of the first one"
            raise QuestionRefused(text, remedy="leave `at` and `as_known_at` out beside `page`")
        at, entry, begin, digest = read_token(page, str, int, int, str)
        if self._premises.standing().policy.digest != digest:
            text = "the policies are others than they were when the first page was told"
            raise QuestionRefused(text, remedy="begin with the first page again")
        with self._turn:
            kept = self._lists.get((str(digest), permission, str(at), int(entry)))
        return kept or self._made(permission, When(str(at), f"entry:{entry}" if entry else None)), int(begin)

    def _made(self, permission: Permission, when: When) -> Listed:
        facts, now = self._premises.facts, self._premises.clock()
        at, then = when.moment(facts.zone, now), when.known_at(facts, now)
        policy = self._premises.standing().policy
        check_permission(policy, permission)  # before everybody is read
        population = facts.population(None, then.entry if then else None)
        allowed, withheld = holder_ids(policy, population, evaluate(policy, population, at), permission)
        people = frozenset(population.by_id.keys() & {*allowed, *withheld})
        made = Listed(permission, policy, at, then or KnownAt(population.ledger_seq), allowed, withheld, people)
        with self._turn:
            self._lists[policy.digest, permission, instant_text(at), made.known.entry] = made
            while len(self._lists) > LISTS:
                self._lists.popitem(last=False)
        return made

    def _told(self, listed: Listed, begin: int, count: int) -> Data:
        """The part of the list, each of whom is read and explained alone."""
        policy, facts, at = listed.policy, self._premises.facts, listed.at
        asked = [*listed.allowed, *listed.withheld][begin : begin + count]
        with facts.store.reading() as connection:
            found = facts.population_in(connection, asked, listed.known.entry)
            needed = people_needed(policy, found.people)
            population = facts.population_in(connection, needed, listed.known.entry)
        explainer = Explainer(policy, population, at, self._book_of(policy))
        answers = [explainer.explain(subject, listed.permission) for subject in asked]
        allowed = tuple(one for one in answers if one.allowed)
        withheld = tuple(one for one in answers if not one.allowed)
        known = Known(policy, population, at, facts, listed.known)
        return who_json(Holders(listed.permission, at, allowed, withheld), known)


def token_for(listed: Listed, begin: int) -> str:
    """What names the page of the list that begins there; blank where there is none."""
    if begin >= len(listed.allowed) + len(listed.withheld):
        return ""
    return token_of(instant_text(listed.at), listed.known.entry, begin, listed.policy.digest)


def _page(listed: Listed, begin: int, count: int) -> Data:
    totals = {"allowed": len(listed.allowed), "withheld": len(listed.withheld)}
    return {"next": token_for(listed, begin + count) or None, **totals}


def check_id(subject: str) -> None:
    """Raises `UnknownPerson` for what nobody's id can be; no database is asked about that, and nothing of it is kept at
    hand.
    """
    if len(subject) > LONGEST_ID or not is_plain(subject):
        raise UnknownPerson("nobody is known by this id", remedy="ask by the stable id, as HR spells it")
