"""How far a service has come: the entry of the record, and the moment, up to which everything was reconciled."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "reconciled",
        sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
    )
