"""What inbound SCIM said last of each person: the projection that the next request is compared with.

A kind of ledger entry of its own, `scim-told`: the resource as its client reads it back, what of it counts as facts
(`cells`), and whether it is there (`state`). The facts themselves are events like any other, recorded beside it in the
same transaction. Like an HR feed, SCIM is compared with what *it* said last, so that a client that repeats itself
undoes nothing that another channel has told since. The person is the entry's subject, so that erasing them covers it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Select,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
)

from reconciler.facts.days import instant_text, parse_instant
from reconciler.facts.ledger import ERASED, Entry, Json, NewEntry, Sequence64
from reconciler.facts.store import metadata
from reconciler.facts.stored import people_table

__all__ = [
    "SCIM_TOLD",
    "ScimProjection",
    "ScimState",
    "ScimUser",
    "count_users",
    "find_users",
    "read_user",
    "told_entry",
    "users",
]

SCIM_TOLD = "scim-told"


class ScimState(StrEnum):
    """How a resource stands: what its client said last, and what that was taken for."""

    ACTIVE = "active"
    EXIT = "exit"
    """Not active, which was taken for an exit."""
    LEAVE = "leave"
    """Not active, which was taken for leave."""
    GONE = "gone"
    """Deleted: no resource any more, and one may be made again."""


scim_users = Table(
    "scim_users",
    metadata,
    Column("person", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("user_name", Text, nullable=False, index=True),
    Column("external_id", Text, nullable=False, index=True),
    Column("first", Sequence64, nullable=False, index=True),
    Column("newest", Sequence64, nullable=False),
    Column("created", String(27), nullable=False),
    Column("modified", String(27), nullable=False),
    Column("resource", Text, nullable=False),
    Column("cells", Text, nullable=False),
)
"""`user_name` is blank where the resource is gone; otherwise no two are the same. `first` and `created` are of the
entry by which the resource was made.
"""


@dataclass(frozen=True, slots=True)
class ScimUser:
    """A resource as its client said it last. `version`: the newest ledger entry about the person, whoever told it."""

    person: str
    state: ScimState
    created: datetime
    modified: datetime
    resource: Mapping[str, Json]
    cells: Mapping[str, str]
    version: int


class ScimProjection:
    """Keeps `scim_users`."""

    name = "scim"
    kinds = frozenset({SCIM_TOLD, ERASED})

    def apply(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Take over what the entries say."""
        for entry in entries:
            if entry.kind == ERASED:
                _forget(connection, str(entry.payload["person"]))
            elif not entry.erased:
                _tell(connection, entry)

    def clear(self, connection: Connection) -> None:
        """Remove all rows."""
        connection.execute(delete(scim_users))


def told_entry(
    person: str,
    state: ScimState,
    actor: str,
    *,
    user_name: str = "",
    external_id: str = "",
    resource: Mapping[str, Json] | None = None,
    cells: Mapping[str, str] | None = None,
) -> NewEntry:
    """The entry by which a resource becomes so. `user_name` is in the form in which two of them are compared."""
    payload: dict[str, Json] = {
        "state": state.value,
        "user_name": user_name,
        "external_id": external_id,
        "resource": dict(resource or {}),
        "cells": dict(cells or {}),
    }
    return NewEntry(SCIM_TOLD, person, actor, payload)


def read_user(connection: Connection, person: str) -> ScimUser | None:
    """What was said of this person, also where the resource is gone."""
    return next(_read(connection, _USERS.where(scim_users.c.person == person)), None)


def find_users(connection: Connection, column: str, value: str) -> list[ScimUser]:
    """The resources that are there and have this value, of `person`, `user_name` or `external_id`."""
    return list(_read(connection, _THERE.where(scim_users.c[column] == value)))


def count_users(connection: Connection) -> int:
    """How many resources are there."""
    return int(connection.execute(_COUNT).scalar_one())


def users(connection: Connection, skip: int = 0, most: int | None = None) -> Iterator[ScimUser]:
    """The resources that are there, in the order in which they were made."""
    query = _THERE.order_by(scim_users.c.first).offset(skip)
    return _read(connection, query if most is None else query.limit(most))


_USERS = select(scim_users, people_table.c.last_entry).outerjoin(people_table, people_table.c.id == scim_users.c.person)
_THERE = _USERS.where(scim_users.c.state != ScimState.GONE.value)
_COUNT = select(func.count()).select_from(scim_users).where(scim_users.c.state != ScimState.GONE.value)
_FORGET = delete(scim_users).where(scim_users.c.person == bindparam("whom"))
_BEFORE = select(scim_users.c.first, scim_users.c.created).where(
    scim_users.c.person == bindparam("whom"), scim_users.c.state != ScimState.GONE.value
)


def _read(connection: Connection, query: Select[Any]) -> Iterator[ScimUser]:
    for row in connection.execute(query):
        yield ScimUser(
            person=row.person,
            state=ScimState(row.state),
            created=parse_instant(row.created),
            modified=parse_instant(row.modified),
            resource=json.loads(row.resource),
            cells=json.loads(row.cells),
            version=max(row.newest, row.last_entry or 0),
        )


def _forget(connection: Connection, person: str) -> None:
    connection.execute(_FORGET, {"whom": person})


def _tell(connection: Connection, entry: Entry) -> None:
    before = connection.execute(_BEFORE, {"whom": entry.subject}).first()
    _forget(connection, entry.subject)
    at = instant_text(entry.recorded_at)
    row = {
        "person": entry.subject,
        "state": entry.payload["state"],
        "user_name": entry.payload["user_name"],
        "external_id": entry.payload["external_id"],
        "first": before.first if before else entry.seq,
        "newest": entry.seq,
        "created": before.created if before else at,
        "modified": at,
        "resource": _dump(entry.payload["resource"]),
        "cells": _dump(entry.payload["cells"]),
    }
    connection.execute(insert(scim_users).values(row))


_dump = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
