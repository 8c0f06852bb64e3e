"""Where the next delivery of a source goes on."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was accepted before knows of none."""
    op.add_column("feed_imports", sa.Column("cursor", sa.Text, nullable=False, server_default=""))
