"""The projections of plans and runs: links, approvals, intents, effects, baselines, policies, and what was shown."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    _create_decisions()
    _create_runs()
    _create_agreement()


def _create_decisions() -> None:
    op.create_table(
        "policies",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("entry", SEQ, nullable=False),
    )
    op.create_table(
        "approvals",
        sa.Column("entry", SEQ, primary_key=True, autoincrement=False),
        sa.Column("change_id", sa.Text, primary_key=True, index=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("expires_at", sa.String(27), nullable=False),
        sa.Column("policy_digest", sa.Text, nullable=False),
        sa.Column("used_entry", SEQ),
    )
    op.create_table(
        "proposals",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("plan_digest", sa.Text, nullable=False),
        sa.Column("policy_digest", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("change_ids", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("entry", SEQ, nullable=False),
        sa.Column("plan_digest", sa.Text, nullable=False),
        sa.Column("plan_made_at", sa.Text, nullable=False),
        sa.Column("policy_digest", sa.Text, nullable=False),
        sa.Column("finished_entry", SEQ),
    )
    op.create_table(
        "intents",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("change_id", sa.Text, primary_key=True),
        sa.Column("entry", SEQ, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("outcome_entry", SEQ, index=True),
    )
    op.create_table(
        "effects",
        sa.Column("entry", SEQ, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("change_id", sa.Text, nullable=False),
        sa.Column("op", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("entitlement_key", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False, index=True),
        sa.Column("slice", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.String(27), nullable=False, index=True),
        sa.Column("counts", sa.Boolean, nullable=False),
    )


def _create_agreement() -> None:
    op.create_table(
        "account_links",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("account_key", sa.Text, primary_key=True),
        sa.Column("person", sa.Text, nullable=False, index=True),
        sa.Column("entry", SEQ, nullable=False),
    )
    op.create_table(
        "baselines",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("entitlement_key", sa.Text, primary_key=True),
        sa.Column("members", sa.LargeBinary, nullable=False),
        sa.Column("services", sa.Text, nullable=False),
        sa.Column("policy_digest", sa.Text, nullable=False),
        sa.Column("ledger_seq", SEQ, nullable=False),
        sa.Column("settled", sa.Boolean, nullable=False),
    )
