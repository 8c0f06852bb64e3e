"""Decisions for whoever guards documents, at the moment of access: what `can` says, and nothing else.

Promises: a yes is the policy's own, by the record as it was when the question came; whatever cannot be told (a type, a
person, a permission that is not known) is a no; whatever goes wrong is an error, never a yes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from fastapi.security import HTTPAuthorizationCredentials

from reconciler.access import UnknownPermission, UnknownPerson
from reconciler.access.model import Explanation
from reconciler.audit.moments import QuestionRefused
from reconciler.audit.questions import When
from reconciler.errors import ReconcilerError
from reconciler.facts.at_hand import Glance
from reconciler.passes.tokens import Act
from reconciler.plan.artefact import instant
from reconciler.plan.model import content_digest
from reconciler.policy.model import Permission
from reconciler.service.answers import BodyRefused
from reconciler.service.asking import Asked, Asking, Listed, token_for
from reconciler.service.authzen_shapes import (
    ActionSearch,
    Decision,
    DecisionContext,
    Decisions,
    Evaluation,
    Evaluations,
    PageGiven,
    PageTold,
    PartOfEvaluation,
    Reason,
    ResourceSearch,
    Semantic,
    Subject,
    SubjectSearch,
)
from reconciler.service.callers import Callers
from reconciler.service.paging import LONGEST, read_token, token_of
from reconciler.service.premises import Premises

__all__ = ["AtTheDoor"]

PEOPLE, SERVICES = frozenset({"person", "user"}), frozenset({"service_account"})
RESOURCES = frozenset({"resource", "document"})

Given = HTTPAuthorizationCredentials | None
Data = dict[str, object]


class AtTheDoor:
    """Decides. One for a service; called from several threads."""

    def __init__(self, premises: Premises, callers: Callers, asking: Asking) -> None:
        self._premises = premises
        self._callers = callers
        self._asking = asking

    # --- evaluations --------------------------------------------------------------------------------------------------

    def one(self, given: Given, read: Callable[[], Evaluation]) -> Decision:
        """Raises `TokenRefused`, `NotAllowed`, what `read` raises, which is called for whoever has a token, and where
        the record or the policies are out of reach.
        """
        with self._premises.at_hand.glance() as seen:
            actor = self._callers.behind(given, seen)
            asked = read()
            self._callers.check(actor, Act.READ, asked.subject.id)
            return self._decided(asked, seen, self._premises.clock())

    def several(self, given: Given, read: Callable[[], Evaluations]) -> Decision | Decisions:
        """All of them by one look at the record and at one moment. Raises as `one`, and `BodyRefused` where one of them
        leaves out what is not said for all.
        """
        with self._premises.at_hand.glance() as seen:
            actor = self._callers.behind(given, seen)
            asked = read()
            questions = [_whole(each, asked, place) for place, each in enumerate(asked.evaluations)]
            alone = [] if questions else [_whole(asked, asked, None)]
            self._callers.check(actor, Act.READ, *dict.fromkeys(each.subject.id for each in [*questions, *alone]))
            at = self._premises.clock()
            if alone:
                return self._decided(alone[0], seen, at)
            decided = (self._decided(each, seen, at) for each in questions)
            return Decisions(evaluations=list(_until_settled(decided, asked.options.evaluations_semantic)))

    def _decided(self, asked: Evaluation, seen: Glance, at: datetime) -> Decision:
        permission = Permission(asked.resource.id, asked.action.name)
        try:
            if asked.resource.type not in RESOURCES:
                text = f"there is no resource of type {asked.resource.type!r} here"
                raise UnknownPermission(text, remedy=f"it is one of: {', '.join(sorted(RESOURCES))}")
            found = self._subject(asked.subject.type, asked.subject.id, seen, at)
            return _decision(found.about(permission), found)
        except (UnknownPerson, UnknownPermission) as error:
            return self._no(seen, at, error)

    def _subject(self, kind: str, name: str, seen: Glance, at: datetime) -> Asked:
        """Raises `UnknownPerson` where there is none of this name that is of this type."""
        remedy = f"a subject's type is one of: {', '.join(sorted(PEOPLE | SERVICES))}"
        if kind not in PEOPLE | SERVICES:
            raise UnknownPerson(f"there is no subject of type {kind!r} here", remedy=remedy)
        found = self._asking.asked_now(name, seen, at)
        if (name in found.known.population.by_id) is not (kind in PEOPLE):
            raise UnknownPerson(f"{name!r} is no {kind}", remedy=remedy)
        return found

    def _no(self, seen: Glance, at: datetime, error: ReconcilerError) -> Decision:
        reason = Reason(kind=error.code, what="", text=error.message, remedy=error.remedy)
        digest = self._premises.standing().policy.digest
        context = DecisionContext(at=_told(at), policy=digest, ledger_seq=seen.seq, reasons=[reason])
        return Decision(decision=False, context=context)

    # --- searches -----------------------------------------------------------------------------------------------------

    def subjects(self, given: Given, read: Callable[[], SubjectSearch]) -> Data:
        """Reads everybody, and computes for long in a large company. Raises as `one`, and `QuestionRefused`."""
        with self._premises.at_hand.glance() as seen:
            actor = self._callers.behind(given, seen)
        asked = read()
        self._callers.check(actor, Act.READ)
        entities = ["subject", asked.subject.type, asked.action.name, asked.resource.type, asked.resource.id]
        token, limit = _page_of(asked.page, entities)
        permission = Permission(asked.resource.id, asked.action.name)
        if asked.resource.type not in RESOURCES or asked.subject.type not in PEOPLE | SERVICES:
            return _found([], 0, 0, "")
        try:
            listed, begin = self._asking.listed(permission, When(), token)
        except UnknownPermission:
            return _found([], 0, 0, "")
        ids = [name for name in listed.allowed if (name in listed.people) is (asked.subject.type in PEOPLE)]
        return self._part(ids, asked.subject.type, listed, begin, limit, entities)

    def _part(self, ids: Sequence[str], kind: str, listed: Listed, begin: int, limit: int, entities: list[str]) -> Data:
        some = ids[begin : begin + limit]
        more = begin + limit < len(ids)
        token = token_of(token_for(listed, begin + limit), content_digest(entities), limit) if more else ""
        return _found([{"type": kind, "id": name} for name in some], len(some), len(ids), token)

    def resources(self, given: Given, read: Callable[[], ResourceSearch]) -> Data:
        """Raises as `subjects`."""
        with self._premises.at_hand.glance() as seen:
            actor = self._callers.behind(given, seen)
            asked = read()
            self._callers.check(actor, Act.READ, asked.subject.id)
            permissions = self._permissions(asked.subject, asked.resource.type, seen)
        names = sorted({each.resource for each in permissions if each.action == asked.action.name})
        entities = ["resource", asked.subject.type, asked.subject.id, asked.action.name, asked.resource.type]
        return _page(asked.page, entities, [{"type": asked.resource.type, "id": name} for name in names])

    def actions(self, given: Given, read: Callable[[], ActionSearch]) -> Data:
        """Raises as `subjects`."""
        with self._premises.at_hand.glance() as seen:
            actor = self._callers.behind(given, seen)
            asked = read()
            self._callers.check(actor, Act.READ, asked.subject.id)
            permissions = self._permissions(asked.subject, asked.resource.type, seen)
        names = sorted(each.action for each in permissions if each.resource == asked.resource.id)
        entities = ["action", asked.subject.type, asked.subject.id, asked.resource.type, asked.resource.id]
        return _page(asked.page, entities, [{"name": name} for name in names])

    def _permissions(self, subject: Subject, kind: str, seen: Glance) -> list[Permission]:
        """All that the subject may do with resources of this type."""
        if kind not in RESOURCES:
            return []
        try:
            found = self._subject(subject.type, subject.id, seen, self._premises.clock())
        except UnknownPerson:
            return []
        return [each.permission for each in found.everything().allowed]


def _decision(explanation: Explanation, found: Asked) -> Decision:
    reasons = None
    if not explanation.allowed:
        reasons = [Reason(kind=each.kind.value, what=each.what, text=each.text, remedy=each.remedy)
                   for each in explanation.denials]  # fmt: skip
    if not explanation.reasons:
        text = "no role and no exception gives it"
        reasons = [Reason(kind="not-given", what=str(explanation.permission), text=text), *(reasons or ())]
    known = found.known
    context = DecisionContext(
        at=_told(known.at),
        policy=known.policy.digest,
        ledger_seq=known.known.entry,
        until=instant(explanation.until),
        reasons=reasons,
    )
    return Decision(decision=explanation.allowed, context=context)


def _whole(part: PartOfEvaluation, defaults: PartOfEvaluation, place: int | None) -> Evaluation:
    where = "" if place is None else f"evaluations.{place}: "
    subject, action, resource = (
        part.subject or defaults.subject,
        part.action or defaults.action,
        part.resource or defaults.resource,
    )
    if subject is None or action is None or resource is None:
        raise BodyRefused(f"{where}subject, action or resource is missing", remedy="say it there, or for all of them")
    return Evaluation(subject=subject, action=action, resource=resource)


def _until_settled(decisions: Iterable[Decision], semantic: Semantic) -> Iterator[Decision]:
    for each in decisions:
        yield each
        if semantic != "execute_all" and each.decision is (semantic == "permit_on_first_permit"):
            return


def _page_of(page: PageGiven, entities: Sequence[str]) -> tuple[str, int]:
    """Which page, and how many are on it. Raises `QuestionRefused` where the token is that of another search."""
    if not page.token:
        return "", LONGEST if page.limit is None else min(page.limit, LONGEST)
    token, digest, limit = read_token(page.token, str, str, int)
    if digest != content_digest(list(entities)) or (page.limit is not None and min(page.limit, LONGEST) != limit):
        text = "this page is one of another search"
        raise QuestionRefused(text, remedy="repeat the search as it was, and change the page's token alone")
    return str(token), int(limit)


def _page(page: PageGiven, entities: Sequence[str], results: list[Data]) -> Data:
    """The page of these that was asked for. Raises `QuestionRefused`."""
    token, limit = _page_of(page, entities)
    (begin,) = read_token(token, int) if token else (0,)
    some, end = results[int(begin) : int(begin) + limit], int(begin) + limit
    more = token_of(token_of(end), content_digest(list(entities)), limit) if end < len(results) else ""
    return _found(some, len(some), len(results), more)


def _found(results: list[Data], count: int, total: int, token: str) -> Data:
    page = PageTold(next_token=token, count=count, total=total)
    return {"page": page.model_dump(), "results": results}


def _told(at: datetime) -> str:
    return instant(at) or ""
