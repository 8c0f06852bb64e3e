"""People as SCIM's resources: read from what SCIM said last, written as events beside what it says now.

One for a request, and one transaction. The protocol around it (conditions, paths, projections, pages) is
`scim2_server`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from scim2_models import (
    InvalidValueException,
    Meta,
    MutabilityException,
    NotFoundException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    SCIMException,
    ScimFilter,
    SearchRequest,
    TooManyException,
    UniquenessException,
    default_comparison_key,
)
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator
from scim2_server.storage import ScimStorage, SearchPage
from sqlalchemy import Connection

from reconciler.facts.events import Event, EventError, EventType, parse_event
from reconciler.facts.ledger import Json, NewEntry, read_entries
from reconciler.facts.model import Person
from reconciler.facts.people import Facts
from reconciler.facts.recording import ExitsBeyondGuard, record_events_in
from reconciler.facts.rows import PERSON_COLUMNS
from reconciler.facts.scim_state import (
    ScimState,
    ScimUser,
    count_users,
    find_users,
    read_user,
    told_entry,
    users,
)
from reconciler.passes.operators import Actor
from reconciler.passes.tokens import Act
from reconciler.policy.model import Policy
from reconciler.service.callers import Callers
from reconciler.service.scim.meaning import Moment, Outcome, cells_of, changed, created, deleted, identity_of
from reconciler.service.scim.schemas import CORE, OWN, PAGE, Language
from reconciler.service.scim.tolerance import is_text

__all__ = ["SOURCE", "Directory", "TooManyLeave"]

SOURCE = "scim"
"""What the record calls the source of all that comes by SCIM."""

LOOKED_THROUGH = 10_000
"""So many people are looked through where neither an id nor a name is asked for, or they are to be sorted."""

FURTHEST = 1 << 31
"""No page begins after that."""

_INSTANT = timedelta(microseconds=1)
_COLUMNS = {
    f"{CORE}:id": "person",
    f"{CORE}:userName": "user_name",
    f"{CORE}:externalId": "external_id",
}


class TooManyLeave(SCIMException):
    """More exits within 24 hours than the policy's `guards.exits` lets through: nothing of this one was recorded."""

    status = 429


class Directory(ScimStorage):
    """Who may be seen and changed by one caller, in one request."""

    def __init__(
        self,
        facts: Facts,
        policy: Policy,
        language: Language,
        callers: Callers,
        actor: Actor,
        at: Moment,
        *,
        writes: bool,
    ) -> None:
        """`writes`: the whole request is one writing transaction, so that nothing comes between looking and writing."""
        self._facts = facts
        self._policy = policy
        self._language = language
        self._callers = callers
        self._actor = actor
        self._at = at
        self._writes = writes
        self._connection: Connection | None = None
        self.told = False
        """Whether something new is on record."""

    @contextmanager
    def operation(self) -> Iterator[None]:
        """One transaction."""
        with self._facts.store.writing() if self._writes else self._facts.store.reading() as connection:
            self._connection = connection
            try:
                yield
            finally:
                self._connection = None

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """The resource. Raises `NotFoundException`, and `NotAllowed` for whom the caller may not record."""
        del response_parameters  # a resource is one row, whatever is shown of it
        return self._shown(self._there(resource_id))

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """One page. By id, name or external id few are looked at, and without a filter the page alone; anything else
        looks through everybody, and raises `TooManyException` where they are too many for that.
        """
        self._callers.check(self._actor, Act.RECORD)
        skip = min(search_request.start_index_0 or 0, FURTHEST)
        most = PAGE if search_request.count is None else search_request.count
        asked: ScimFilter[Any] | None = search_request.filter
        if asked is None and search_request.sort_by is None:
            some = users(self._open, skip, most) if most else ()
            return SearchPage(count_users(self._open), [self._shown(user) for user in some])
        found = [self._shown(user) for user in self._candidates(asked)]
        kept = search_request.sort([each for each in found if asked is None or asked.match(each)])
        return SearchPage(len(kept), kept[skip : skip + most])

    def _candidates(self, asked: ScimFilter[Any] | None) -> Sequence[ScimUser]:
        equal = self._equality(asked) if asked is not None else None
        if equal is not None:
            column, value = equal
            return find_users(self._open, column, value) if is_text(value) else ()
        if count_users(self._open) > LOOKED_THROUGH:
            detail = f"there are more than {LOOKED_THROUGH} people: ask for an id, userName or externalId with eq"
            raise TooManyException(detail=detail)
        return list(users(self._open))

    def _equality(self, asked: ScimFilter[Any]) -> tuple[str, str] | None:
        """What a filter asks for at least, where that can be looked up: a column and its value."""
        columns = {**_COLUMNS, self._language.identity: "person"}
        for node in _needed(asked.ast):
            if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
                continue
            binding = asked.resolve_comparison(node.attr_path, strict=False)
            column = columns.get(binding.urn) if binding is not None else None
            if column == "user_name":
                return column, default_comparison_key(binding, node.value)
            # An attribute whose case does not count cannot be looked up by a column whose case does.
            if column and binding is not None and binding.case_exact:
                return column, node.value
        return None

    # --- writing ------------------------------------------------------------------------------------------------------

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Make a person known, or take up one who left by SCIM's word. Raises `UniquenessException` and what
        `reconciler.service.scim.meaning` raises.
        """
        person = identity_of(resource, self._language)
        self._callers.check(self._actor, Act.RECORD, person)
        before = read_user(self._open, person)
        if before is not None and before.state is not ScimState.GONE:
            raise UniquenessException(detail=f"`{person}` is there already")
        cells, at = self._read(resource), self._moment(before)
        known = self._known(person)
        outcome = created(before, known, cells, getattr(resource, "active", None) is not False, at)
        return self._take(person, resource, cells, outcome, at)

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Record what is said otherwise than before. What does not say whether somebody is active changes nothing
        about that.
        """
        before = self._there(str(resource.id))
        _check_version(before, expected_version)
        if identity_of(resource, self._language) != before.person:
            detail = f"`{self._language.identity}` carries the person's id, which never changes"
            raise MutabilityException(detail=detail)
        cells, at = self._read(resource), self._moment(before)
        known, active = self._known(before.person), getattr(resource, "active", None)
        if known is None:  # INVARIANT: whoever has a resource was hired
            raise NotFoundException(detail=f"there is no user `{before.person}`")
        if active is None:
            active = before.state is ScimState.ACTIVE
        said = replace(before, cells=self._declared(before.cells))
        return self._take(before.person, resource, cells, changed(said, known, cells, active, at), at)

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Record that they are out. What is on record of them stays until it is erased."""
        before = self._there(resource_id)
        _check_version(before, expected_version)
        known, at = self._known(before.person), self._moment(before)
        if known is not None:
            outcome = deleted(known, at)
            self._record(before.person, outcome, at)
        self._tell(told_entry(before.person, ScimState.GONE, self._actor.name), at)

    def _take(
        self, person: str, resource: Resource[Any], cells: Mapping[str, str], outcome: Outcome, at: Moment
    ) -> Resource[Any]:
        name = default_comparison_key(
            self._language.path("userName").resolve(), str(getattr(resource, "user_name", ""))
        )
        if any(other.person != person for other in find_users(self._open, "user_name", name)):
            raise UniquenessException(detail="somebody else has this userName")
        self._record(person, outcome, at)
        entry = told_entry(
            person,
            outcome.state,
            self._actor.name,
            user_name=name,
            external_id=resource.external_id or "",
            resource=_kept(resource),
            cells=cells,
        )
        self._tell(entry, at)
        return self._shown(self._there(person))

    def _record(self, person: str, outcome: Outcome, at: Moment) -> None:
        """Record the events. Raises `TooManyLeave`, and another `SCIMException` where one of them is refused."""
        version = self._newest(person)
        events = [
            _event(
                {
                    "id": f"{version}:{number}:{said.kind.value}:{person}",
                    "type": said.kind.value,
                    "person": person,
                    "effective_at": said.when.isoformat(),
                    "data": said.data,
                }
            )
            for number, said in enumerate(outcome.events)
        ]
        results = record_events_in(
            self._open,
            self._facts,
            events,
            source=SOURCE,
            now=at.now,
            actor=self._actor.name,
            attributes=self._policy.attributes,
            exits=self._policy.guards.exits,
            known_only=True,
        )
        for result in results:
            if result.error is not None:
                raise _in_scim(result.error, result.event.person)

    def _tell(self, entry: NewEntry, at: Moment) -> None:
        self._facts.ledger.append(self._open, [entry], at.now)
        self.told = True

    # --- what is there ------------------------------------------------------------------------------------------------

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("a storage is asked within its `operation`")
        return self._connection

    def _there(self, person: str) -> ScimUser:
        if not is_text(person):
            raise NotFoundException(detail="there is no such user")
        self._callers.check(self._actor, Act.RECORD, person)
        found = read_user(self._open, person)
        if found is None or found.state is ScimState.GONE:
            raise NotFoundException(detail=f"there is no user `{person}`")
        return found

    def _known(self, person: str) -> Person | None:
        return self._facts.population_in(self._open, [person], evidence=False).by_id.get(person)

    def _newest(self, person: str) -> int:
        found = read_user(self._open, person)
        return found.version if found is not None else 0

    def _read(self, resource: Resource[Any]) -> dict[str, str]:
        return self._declared(cells_of(resource, self._language, self._at))

    def _declared(self, cells: Mapping[str, str]) -> dict[str, str]:
        """What the policy still asks about."""
        names = self._policy.attributes.keys() | set(PERSON_COLUMNS)
        return {name: text for name, text in cells.items() if name in names}

    def _moment(self, before: ScimUser | None) -> Moment:
        """Now; and after what was said before, whatever the clock does meanwhile."""
        if before is None:
            return self._at
        now, out = max(self._at.now, before.modified + _INSTANT), before.state in (ScimState.EXIT, ScimState.GONE)
        return replace(self._at, now=now, left_by_others=out and self._others_told_of_exit(before.person))

    def _others_told_of_exit(self, person: str) -> bool:
        """Since they were last rehired."""
        told: set[str] = set()
        for entry in read_entries(self._open, kinds={EventType.EXITED.value, EventType.REHIRED.value}, subject=person):
            told = told | {str(entry.payload.get("source", ""))} if entry.kind == EventType.EXITED else set()
        return bool(told - {SOURCE})

    def _shown(self, user: ScimUser) -> Resource[Any]:
        resource = self._language.model.model_validate(_readable(user.resource, self._language))
        resource.id = user.person
        resource.meta = Meta(
            resource_type="User",
            created=user.created,
            last_modified=user.modified,
            version=_version(user),
        )
        return resource


def _needed(node: FilterNode) -> Iterator[FilterNode]:
    """The parts of a filter all of which have to hold."""
    if isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_:
        yield from node.terms
    else:
        yield node


def _version(user: ScimUser) -> str:
    return f'W/"{user.version}"'


def _check_version(user: ScimUser, expected: str | None) -> None:
    if expected is not None and _version(user) != expected:
        raise PreconditionFailedException


def _kept(resource: Resource[Any]) -> Mapping[str, Json]:
    """What its client reads back; what the service itself says of it is not kept twice."""
    document: dict[str, Json] = resource.model_dump()
    return {name: value for name, value in document.items() if name not in ("id", "meta")}


def _readable(stored: Mapping[str, Json], language: Language) -> Mapping[str, Json]:
    """As the policy's attributes are now: one that has come to hold many values, or one alone, is read so."""
    own = stored.get(OWN)
    if not isinstance(own, Mapping):
        return stored
    many = {where.rpartition(":")[2] for name, where in language.reads.items() if name in language.sets}
    return {**stored, OWN: {name: _shaped(value, many=name in many) for name, value in own.items()}}


def _shaped(value: Json, *, many: bool) -> Json:
    if many:
        return value if isinstance(value, list) else [value]
    return ";".join(map(str, value)) if isinstance(value, list) else value


def _event(raw: Mapping[str, Any]) -> Event:
    try:
        return parse_event(raw)
    except EventError as error:
        raise InvalidValueException(detail=error.message) from None


def _in_scim(error: EventError, person: str) -> SCIMException:
    if isinstance(error, ExitsBeyondGuard):  # a client cannot confirm anything: SCIM has no word for it
        remedy = (
            f"try again later, or let somebody confirm it: reconciler people event exited {person} --at now --confirmed"
        )
        return TooManyLeave(detail=f"{error.message}: {remedy}")
    return UniquenessException(detail=f"{error.message}: {error.remedy}" if error.remedy else error.message)
