"""What inbound SCIM said last of each person."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    sequence = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "scim_users",
        sa.Column("person", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("first", sequence, nullable=False),
        sa.Column("newest", sequence, nullable=False),
        sa.Column("created", sa.String(27), nullable=False),
        sa.Column("modified", sa.String(27), nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("cells", sa.Text, nullable=False),
    )
    for column in ("user_name", "external_id", "first"):
        op.create_index(f"ix_scim_users_{column}", "scim_users", [column])
