"""Payloads and keys may go where an entry of the ledger says so; everything else stays append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_LISTED = "EXISTS (SELECT 1 FROM erased_payloads WHERE seq = OLD.seq)"
_NEEDED = (
    "EXISTS (SELECT 1 FROM ledger_entries JOIN ledger_payloads ON ledger_payloads.seq = ledger_entries.seq "
    "WHERE ledger_entries.subject = OLD.subject)"
)
"""A key is needed as long as any payload about its subject is there."""

_FORBIDDEN = {"ledger_payloads": f"NOT {_LISTED}", "subject_keys": _NEEDED}


def upgrade() -> None:
    """Create the table of what was erased, and let the triggers look at it."""
    op.create_table(
        "erased_payloads",
        sa.Column("seq", SEQ, sa.ForeignKey("ledger_entries.seq"), primary_key=True, autoincrement=False),
        sa.Column("entry", SEQ, nullable=False),
    )
    for table, forbidden in _FORBIDDEN.items():
        if op.get_bind().dialect.name == "sqlite":
            op.execute(f"DROP TRIGGER {table}_no_delete")
            op.execute(
                f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN {forbidden} "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )
        else:
            op.execute(f"DROP TRIGGER {table}_no_delete ON {table}")
            op.execute(
                f"CREATE FUNCTION {table}_may_go() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {forbidden} THEN "
                "RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'integrity_constraint_violation'; "
                "END IF; RETURN OLD; END $$"
            )
            op.execute(
                f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION {table}_may_go()"
            )
