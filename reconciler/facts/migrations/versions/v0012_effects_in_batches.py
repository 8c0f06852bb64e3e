"""One ledger entry may tell of many effects; of what was intended, the columns that are asked for, and not its text."""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
AT_ONCE = 1000


def upgrade() -> None:
    """Make both tables anew, with the rows that there are."""
    _effects()
    _intents()


def _effects() -> None:
    old = _set_aside("effects", ["ix_effects_subject", "ix_effects_recorded_at", "ix_effects_entitlement_key_op"])
    new = op.create_table(
        "effects",
        sa.Column("entry", SEQ, primary_key=True, autoincrement=False),
        sa.Column("change_id", sa.Text, primary_key=True),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("op", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("entitlement_key", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False, index=True),
        sa.Column("slice", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.String(27), nullable=False, index=True),
        sa.Column("counts", sa.Boolean, nullable=False),
        sa.Index("ix_effects_entitlement_key_op", "entitlement_key", "op"),
    )
    names = [column.name for column in new.columns]
    op.execute(new.insert().from_select(names, sa.select(*(old.c[name] for name in names))))
    op.drop_table(old.name)


def _intents() -> None:
    old = _set_aside("intents", ["ix_intents_outcome_entry"])
    new = op.create_table(
        "intents",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("change_id", sa.Text, primary_key=True),
        sa.Column("entry", SEQ, nullable=False, index=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("op", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("account_key", sa.Text, nullable=False),
        sa.Column("entitlement_key", sa.Text, nullable=False),
        sa.Column("slice", sa.Text, nullable=False),
        sa.Column("counts", sa.Boolean, nullable=False),
        sa.Column("outcome_entry", SEQ, index=True),
    )
    rows = op.get_bind().execute(sa.select(old)).mappings()
    while some := rows.fetchmany(AT_ONCE):
        op.bulk_insert(new, _spelled(some))
    op.drop_table(old.name)


def _spelled(rows: Sequence[Any]) -> list[dict[str, Any]]:
    kept = ("run", "change_id", "entry", "target", "outcome_entry")
    said = ("op", "subject", "holder", "account_key", "entitlement_key", "slice")
    return [
        {
            **{name: row[name] for name in kept},
            **{name: change[name] for name in said},
            "counts": not change["approved"] and not change["leaver"],
        }
        for row in rows
        for change in [json.loads(row["change"])]
    ]


def _set_aside(name: str, indexes: Sequence[str]) -> sa.Table:
    """The table under another name, and without its indexes, whose names are to be given again."""
    for index in indexes:
        op.drop_index(index, table_name=name)
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":  # where the key's index keeps its name otherwise
        op.execute(sa.text(f"ALTER INDEX pk_{name} RENAME TO pk_{name}_before"))
    op.rename_table(name, f"{name}_before")
    return sa.Table(f"{name}_before", sa.MetaData(), autoload_with=bind)
