"""Many rows into one table, at the pace of the database.

What the library does for every row and value (looking up, converting) takes longer than writing them. None of it is
needed where a row holds texts, numbers, bytes and truth values, in every column the same kind: every driver takes
those as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Table, insert

__all__ = ["add_rows", "add_values"]


def add_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert them all; each names the same columns."""
    if not rows:
        return
    columns = tuple(rows[0])
    values = itemgetter(*columns)
    add_values(connection, table, columns, [values(row) for row in rows] if len(columns) > 1 else _alone(rows, values))


def _alone(rows: Sequence[Mapping[str, Any]], value: Callable[[Mapping[str, Any]], Any]) -> list[tuple[Any, ...]]:
    return [(value(row),) for row in rows]


def add_values(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    *,
    replacing: tuple[str, ...] = (),
) -> None:
    """Insert them all; each has these columns. With `replacing`, the table's key, what has the same key is replaced."""
    if not rows:
        return
    statement, order = _statement(connection.dialect, table, columns, replacing)
    if order is None:
        connection.exec_driver_sql(statement, [dict(zip(columns, row, strict=True)) for row in rows])
    elif order == columns:
        connection.exec_driver_sql(statement, list(rows))
    else:
        places = [columns.index(name) for name in order]
        connection.exec_driver_sql(statement, [tuple(row[place] for place in places) for row in rows])


@cache
def _statement(
    dialect: Dialect, table: Table, columns: tuple[str, ...], replacing: tuple[str, ...]
) -> tuple[str, tuple[str, ...] | None]:
    """The statement as this driver wants it, and the order of its values; None: it knows them by name."""
    made = insert(table).compile(dialect=dialect, column_keys=list(columns))
    statement = str(made)
    if replacing:  # both databases spell it so
        others = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in replacing)
        statement += f" ON CONFLICT ({', '.join(replacing)}) DO UPDATE SET {others}"
    return statement, tuple(made.positiontup) if made.positional and made.positiontup else None
