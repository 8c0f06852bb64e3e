"""What the monitoring has counted of the record, and up to which entry."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "tally",
        sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
    )
