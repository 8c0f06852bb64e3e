"""How far the record went when a run's targets were read; not known of runs before this."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("runs", sa.Column("seen", sa.BigInteger().with_variant(sa.Integer, "sqlite")))
