"""That all of a batch is settled is said once, with the batch; which batches are open stands by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table; what is settled so far stays settled change by change."""
    op.add_column("batches", sa.Column("outcome_entry", SEQ))
    op.create_table("open_batches", sa.Column("entry", SEQ, primary_key=True, autoincrement=False))
    op.execute("INSERT INTO open_batches SELECT DISTINCT entry FROM intents WHERE outcome_entry IS NULL")
    op.drop_index("ix_intents_open", table_name="intents")
