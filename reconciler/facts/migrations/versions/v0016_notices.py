"""What people are to be told, to whom, by which channel, and what became of it."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "notices",
        sa.Column("notice", SEQ, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("raised_at", sa.String(27), nullable=False),
        sa.Column("over_at", sa.String(27)),
    )
    op.create_table(
        "deliveries",
        sa.Column("notice", SEQ, sa.ForeignKey("notices.notice"), primary_key=True, autoincrement=False),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("not_before", sa.String(27), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.String(27), nullable=False),
        sa.Index("ix_deliveries_channel_state", "channel", "state"),
    )
    op.create_table(
        "channels",
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("not_before", sa.String(27), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("trouble", sa.Text, nullable=False),
    )
