"""The ledger with its guards, and the projections of people, evidence, events and feeds."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# The record only grows, whoever holds the file open. Erasure will come with a migration that says what it may remove.
APPEND_ONLY = ("ledger_entries", "ledger_payloads", "subject_keys")


def upgrade() -> None:
    """Create the tables and the triggers."""
    _create_ledger()
    _create_people()
    _create_feeds()
    (_guard_on_sqlite if op.get_bind().dialect.name == "sqlite" else _guard_on_postgresql)()


def _create_ledger() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("seq", SEQ, primary_key=True, autoincrement=False),
        sa.Column("recorded_at", sa.String(27), nullable=False),
        sa.Column("kind", sa.Text, nullable=False, index=True),
        sa.Column("subject", sa.Text, nullable=False, index=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("effective_at", sa.String(27)),
        sa.Column("payload_digest", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    op.create_table(
        "ledger_payloads",
        sa.Column("seq", SEQ, sa.ForeignKey("ledger_entries.seq"), primary_key=True, autoincrement=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_table(
        "subject_keys",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "projections",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", SEQ, nullable=False),
    )


def _create_people() -> None:
    op.create_table(
        "people",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("folded_id", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("last_entry", SEQ, nullable=False),
    )
    op.create_table(
        "evidence",
        sa.Column("entry", SEQ, primary_key=True, autoincrement=False),
        sa.Column("person", sa.Text, nullable=False, index=True),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "events_seen",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("seq", SEQ, nullable=False),
    )


def _create_feeds() -> None:
    op.create_table(
        "feed_rows",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("person", sa.Text, primary_key=True),
        sa.Column("assignment", sa.Text, primary_key=True),
        sa.Column("cells", sa.Text, nullable=False),
        sa.Column("missing_since", sa.Text, nullable=False),
    )
    op.create_table(
        "feed_imports",
        sa.Column("seq", SEQ, primary_key=True, autoincrement=False),
        sa.Column("source", sa.Text, nullable=False, index=True),
        sa.Column("import_id", sa.Text, nullable=False, index=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("people", sa.Integer, nullable=False),
        sa.Column("waiting", sa.Text, nullable=False),
    )


def _guard_on_sqlite() -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )
    # REPLACE would delete without asking the trigger above; and the sequence has no gaps.
    op.execute(
        "CREATE TRIGGER ledger_entries_next BEFORE INSERT ON ledger_entries "
        "WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM ledger_entries) "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only, without gaps'); END"
    )
    op.execute(
        "CREATE TRIGGER ledger_payloads_once BEFORE INSERT ON ledger_payloads "
        "WHEN EXISTS (SELECT 1 FROM ledger_payloads WHERE seq = NEW.seq) "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    )
    op.execute(
        "CREATE TRIGGER subject_keys_once BEFORE INSERT ON subject_keys "
        "WHEN EXISTS (SELECT 1 FROM subject_keys WHERE subject = NEW.subject) "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    )


def _guard_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE", "TRUNCATE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"FOR EACH {'STATEMENT' if verb == 'TRUNCATE' else 'ROW'} EXECUTE FUNCTION ledger_is_append_only()"
            )
    op.execute(
        "CREATE FUNCTION ledger_has_no_gaps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.seq IS DISTINCT FROM (SELECT coalesce(max(seq), 0) + 1 FROM ledger_entries) THEN "
        "RAISE EXCEPTION 'the ledger is append-only, without gaps' USING ERRCODE = 'integrity_constraint_violation'; "
        "END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER ledger_entries_next BEFORE INSERT ON ledger_entries "
        "FOR EACH ROW EXECUTE FUNCTION ledger_has_no_gaps()"
    )
