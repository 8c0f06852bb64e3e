"""What became of changes, whether that is told one by one or of a whole batch: one question for both.

A change that shares its batch's outcome has no row that says so: the batch has one, and where all of it came to the
same, the batch alone says which entry settled it. A long run writes half as much for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, CompoundSelect, Select, and_, bindparam, select, union_all

from reconciler.apply.tables import SETTLED_BY, batch_outcomes, batches, effects, intents

__all__ = ["OF_BATCHES", "SOME", "Columns", "done", "of_batches", "outcomes"]

Columns = Any
"""The columns of an outcome, as attributes: `entry, change_id, run, op, target, account_key, entitlement_key, subject,
slice, outcome, recorded_at, counts`.
"""
Conditions = Callable[[Columns], Sequence[ColumnElement[bool]]]

_NAMES = tuple(effects.c.keys())
OF_BATCHES: Mapping[str, ColumnElement[Any]] = {
    **{name: intents.c[name] for name in ("change_id", "account_key", "entitlement_key", "subject", "slice")},
    **{name: batches.c[name] for name in ("run", "op", "target")},
    **{name: batch_outcomes.c[name] for name in ("entry", "outcome", "recorded_at")},
    "counts": and_(intents.c.counts, batch_outcomes.c.moves),
}
_SETTLED = (
    batches.c.entry == batch_outcomes.c.intended,
    intents.c.entry == batch_outcomes.c.intended,
    batch_outcomes.c.entry == SETTLED_BY,
)


def outcomes(names: Sequence[str], conditions: Conditions) -> CompoundSelect[Any]:
    """These columns of all outcomes that meet the conditions."""
    alone = select(*(effects.c[name] for name in names)).where(*conditions(effects.c))
    return union_all(alone, of_batches(names, conditions))


def of_batches(
    names: Sequence[str], conditions: Conditions, values: Mapping[str, ColumnElement[Any]] = OF_BATCHES
) -> Select[Any]:
    """As `outcomes`, of those alone that are told of a batch; with these values as columns."""
    chosen = (values[name].label(name) for name in names)
    return select(*chosen).where(*_SETTLED, *conditions(SimpleNamespace(**OF_BATCHES)))


SOME: BindParameter[Any] = bindparam("some", expanding=True)
"""Values that a condition names and that come with the execution, portion by portion."""


def done(c: Columns) -> ColumnElement[bool]:
    """Whether the target was then as the change wanted it."""
    condition: ColumnElement[bool] = c.outcome.in_(["applied", "already"])
    return condition
