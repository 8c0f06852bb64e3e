"""Many rows into one table, at the pace of the database.

What the library does for every row and value (looking up, converting) takes longer than writing them. None of it is
needed where a row holds texts, numbers, bytes and truth values, in every column the same kind: every driver takes
those as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Table, insert

__all__ = ["add_rows"]


def add_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert them all; each names the same columns."""
    if not rows:
        return
    statement, order = _statement(connection.dialect, table, tuple(rows[0]))
    if order is None:
        connection.exec_driver_sql(statement, [dict(row) for row in rows])
    elif len(order) == 1:
        connection.exec_driver_sql(statement, [(row[order[0]],) for row in rows])
    else:
        connection.exec_driver_sql(statement, list(map(itemgetter(*order), rows)))


@cache
def _statement(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> tuple[str, tuple[str, ...] | None]:
    """The statement as this driver wants it, and the order of its values; None: it knows them by name."""
    made = insert(table).compile(dialect=dialect, column_keys=list(columns))
    return str(made), tuple(made.positiontup) if made.positional and made.positiontup else None
