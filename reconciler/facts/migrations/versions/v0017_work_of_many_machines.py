"""Who is due, on record; and on PostgreSQL the work queue of several machines (procrastinate's own schema)."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table, and where there can be several machines, the queue."""
    op.create_table(
        "due",
        sa.Column("person", sa.Text, primary_key=True),
        sa.Column("first", _NUMBER, nullable=False),
        sa.Column("tick", _NUMBER, nullable=False),
        sa.Column("leaving", sa.Boolean, nullable=False),
        sa.Column("lane", sa.Boolean, nullable=False),
        sa.Column("rest", sa.Boolean, nullable=False),
        sa.Column("trouble", sa.Text, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.schema.CreateSequence(sa.Sequence("due_ticks")))
        _make_queue()


def _make_queue() -> None:
    """What the installed version has; the newest of its own steps is noted, so that a later migration of ours knows
    which of them are still to come.
    """
    from pathlib import Path
    from typing import Any

    from procrastinate.schema import SchemaManager

    newest = max(path.stem for path in Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SchemaManager.get_schema())
    connection.execute(f"COMMENT ON TABLE procrastinate_jobs IS '{newest}'")
