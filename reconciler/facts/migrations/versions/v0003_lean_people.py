"""What many people share stands apart from what one has alone: attributes of people, references of proofs.

The rows are converted, not made again from the ledger: that takes a fraction of the time.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT_ONCE = 5000
SPANS = ("notice", "leave", "exited", "lockouts")

PEOPLE = sa.table("people", sa.column("number"), sa.column("record"), sa.column("attributes"))
EVIDENCE = sa.table("evidence", sa.column("entry"), sa.column("record"), sa.column("reference"))


def upgrade() -> None:
    """Add the columns and move what belongs there."""
    for table, column in (("people", "attributes"), ("evidence", "reference")):
        op.add_column(table, sa.Column(column, sa.Text, nullable=False, server_default=""))
    _convert(PEOPLE, PEOPLE.c.number, PEOPLE.c.attributes, _person)
    _convert(EVIDENCE, EVIDENCE.c.entry, EVIDENCE.c.reference, _proof)


def _convert(
    table: sa.TableClause,
    key: sa.ColumnElement[Any],
    added: sa.ColumnElement[Any],
    split: Callable[[Any], tuple[str, Any]],
) -> None:
    change = (
        sa.update(table)
        .where(key == sa.bindparam("of"))
        .values({added: sa.bindparam("apart"), table.c.record: sa.bindparam("rest")})
    )
    for rows in _parts(table, key):
        values = [(of, *split(json.loads(record))) for of, record in rows]
        op.get_bind().execute(change, [{"of": of, "apart": apart, "rest": _dump(rest)} for of, apart, rest in values])


def _parts(table: sa.TableClause, key: sa.ColumnElement[Any]) -> Iterator[list[tuple[int, str]]]:
    after = -1
    while True:
        query = sa.select(key, table.c.record).where(key > after).order_by(key).limit(AT_ONCE)
        rows = [(int(row[0]), str(row[1])) for row in op.get_bind().execute(query)]
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def _person(record: dict[str, Any]) -> tuple[str, list[Any]]:
    posts = record.get("assignments", [])
    rare = {name: record[name] for name in SPANS if record.get(name)} | ({"rehired": []} if "rehired" in record else {})
    rest = [
        [[name, *others[:4], 0] for name, _, *others in posts],
        record.get("employed_since"),
        *([rare] if rare else []),
    ]
    return _dump([attributes for _, attributes, *_ in posts]), rest


def _proof(record: list[Any]) -> tuple[str, list[Any]]:
    _, *before, reference, source, recorded_at, revoked = record
    return reference, [*before, source, recorded_at, revoked]


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
