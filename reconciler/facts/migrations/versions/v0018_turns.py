"""Which turns of a schedule somebody has taken, where several services share a store."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "turns",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("at", sa.String(27), nullable=False),
    )
