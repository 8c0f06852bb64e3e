"""What monitoring shows and no process of its own remembers: the count of the record, the last whole pass."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "watched",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
    )
