"""What a batch came to is said once for all of its changes; intents are kept by the entry that says them."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of intents anew, with the rows that there are; what became of those stays told one by one."""
    _batches()
    old = _set_aside_intents()
    _intents(old)
    _outcomes()
    _accounts_of_effects(old)
    op.drop_table(old.name)


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("entry", SEQ, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Text, nullable=False, index=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("op", sa.Text, nullable=False, index=True),
    )
    op.execute("INSERT INTO batches SELECT entry, min(run), min(target), min(op) FROM intents GROUP BY entry")


def _set_aside_intents() -> sa.Table:
    for index in ("ix_intents_entry", "ix_intents_outcome_entry"):
        op.drop_index(index, table_name="intents")
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":  # where the key's index keeps its name otherwise
        op.execute(sa.text("ALTER INDEX pk_intents RENAME TO pk_intents_before"))
    op.rename_table("intents", "intents_before")
    return sa.Table("intents_before", sa.MetaData(), autoload_with=bind)


def _intents(old: sa.Table) -> None:
    new = op.create_table(
        "intents",
        sa.Column("entry", SEQ, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("change_id", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("account_key", sa.Text, nullable=False),
        sa.Column("entitlement_key", sa.Text, nullable=False, index=True),
        sa.Column("slice", sa.Text, nullable=False),
        sa.Column("counts", sa.Boolean, nullable=False),
        sa.Column("outcome_entry", SEQ),
        sqlite_with_rowid=False,
    )
    number = sa.func.row_number().over(partition_by=old.c.entry, order_by=old.c.change_id) - 1
    kept = [column.name for column in new.columns if column.name not in ("entry", "number")]
    rows = sa.select(old.c.entry, number, *(old.c[name] for name in kept))
    op.execute(new.insert().from_select(["entry", "number", *kept], rows))
    is_open = new.c.outcome_entry.is_(None)
    op.create_index("ix_intents_open", "intents", ["change_id"], sqlite_where=is_open, postgresql_where=is_open)


def _outcomes() -> None:
    op.create_table(
        "batch_outcomes",
        sa.Column("entry", SEQ, primary_key=True, autoincrement=False),
        sa.Column("intended", SEQ, nullable=False, index=True),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.String(27), nullable=False, index=True),
        sa.Column("moves", sa.Boolean, nullable=False),
    )


def _accounts_of_effects(old: sa.Table) -> None:
    op.add_column("effects", sa.Column("account_key", sa.Text, nullable=False, server_default=""))
    effects = sa.table("effects", sa.column("run"), sa.column("change_id"), sa.column("account_key"))
    own = sa.select(old.c.account_key).where(old.c.run == effects.c.run, old.c.change_id == effects.c.change_id)
    op.execute(effects.update().values(account_key=sa.func.coalesce(own.scalar_subquery(), "")))
