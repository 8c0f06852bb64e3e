"""Leases that end by themselves; and under which lease a run acts, where it is one on a person."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("leases", sa.Column("until", sa.String(27), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("lease", sa.Text, nullable=False, server_default=""))
