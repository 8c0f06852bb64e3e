"""Leases that end by themselves; and under which lease a run acts, where it is one on a person."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0009"
# TODO: literal once the numbers before are settled
down_revision = max(name for file in Path(__file__).parent.glob("v[0-9]*.py") if (name := file.name[1:5]) < revision)
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("leases", sa.Column("until", sa.String(27), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("lease", sa.Text, nullable=False, server_default=""))
