"""The ledger as JSON lines, for whoever wants to check it without this program. The format is `docs/ledger-format.md`.

Promises: entries in order, as they stand in the store, streamed; nothing is left out between the first and the last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime

from sqlalchemy import Connection

from reconciler.errors import ReconcilerError
from reconciler.facts.checkpoints import Checkpoint
from reconciler.facts.days import instant_text
from reconciler.facts.ledger import GENESIS, HEADER
from reconciler.facts.verifying import read_verifiable

__all__ = ["ExportRefused", "export_lines"]

FORMAT = "reconciler.ledger/1"


class ExportRefused(ReconcilerError):
    """There is nothing to export."""

    code = "export"


def export_lines(
    connection: Connection,
    organization: str,
    checkpoints: Iterable[Checkpoint],
    *,
    made_at: datetime,
    first: int = 1,
    last: int | None = None,
    keys: bool = True,
) -> Iterator[str]:
    """The lines, without their ends. Raises `ExportRefused` where no entry lies between `first` and `last`."""
    rows = iter(read_verifiable(connection, first - 1, last))
    row = next(rows, None)
    if row is None:
        raise ExportRefused(
            "the ledger has no such entries", remedy="see `reconciler ledger verify` for how many it has"
        )
    said = {"format": FORMAT, "organization": organization, "made_at": instant_text(made_at), "keys": keys}
    yield _line({**said, "from": row.seq, "previous": row.previous if row.seq > 1 else GENESIS})
    known: set[str] = set()
    end = row.seq
    while row is not None:
        if keys and row.key is not None and row.subject not in known:
            known.add(row.subject)
            yield _line({"subject": row.subject, "key": row.key.hex()})
        header = {name: row._mapping[name] for name in HEADER}
        yield _line({"entry": header, "digest": row.digest, "payload": row.payload})
        end, row = row.seq, next(rows, None)
    for each in checkpoints:
        if first <= each.seq <= end:
            yield _line({"checkpoint": json.loads(each.text())})
    yield _line({"to": end})


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
