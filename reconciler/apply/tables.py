"""The rows behind the journal: tables for links, approvals, runs, intents, outcomes, baselines and policies.

Every table here is a projection of ledger entries, but seven. `proposals`: the digests of plans that were shown, so
that `approve` can say what a digest stands for; losing it costs making the plan again. `standing`: what the last pass
left that found everything in order; `reconciled`: how far the service has come. Losing one of these costs a full pass.
`watched`: what monitoring has counted, and what the last whole pass left; losing it costs counting again, and a pass.
`notices`, `deliveries`, `channels`: what people are told (`reconciler.notifications`). Losing these, they are told once
more.

The kinds of ledger entries that this room writes stand in `Kind`.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, and_, func, select

from reconciler.facts.ledger import Sequence64
from reconciler.facts.store import metadata


class Kind(StrEnum):
    """The kinds of ledger entries that speak of policies, plans and runs, and the one that erases what they say of
    somebody.
    """

    POLICY_RECORDED = "policy-recorded"
    ACCOUNT_LINKED = "account-linked"
    ACCOUNTS_LINKED = "accounts-linked"
    APPROVED = "approved"
    RUN_STARTED = "run-started"
    INTENDED = "intended"
    EFFECT = "effect"
    EFFECTS = "effects"
    CONTRADICTED = "contradicted"
    CONVERGED = "converged"
    RUN_FINISHED = "run-finished"
    ERASED = "erased"


account_links = Table(
    "account_links",
    metadata,
    Column("target", Text, primary_key=True),
    Column("account_key", Text, primary_key=True),
    Column("person", Text, nullable=False, index=True),
    Column("entry", Sequence64, nullable=False),
)
approvals = Table(
    "approvals",
    metadata,
    Column("entry", Sequence64, primary_key=True, autoincrement=False),
    Column("change_id", Text, primary_key=True, index=True),
    Column("actor", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("expires_at", String(27), nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("used_entry", Sequence64),
)
runs = Table(
    "runs",
    metadata,
    Column("run", Text, primary_key=True),
    Column("entry", Sequence64, nullable=False),
    Column("plan_digest", Text, nullable=False),
    Column("plan_made_at", Text, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("lease", Text, nullable=False, server_default=""),
    Column("finished_entry", Sequence64),
    Column("seen", Sequence64),
)
batches = Table(
    "batches",
    metadata,
    Column("entry", Sequence64, primary_key=True, autoincrement=False),
    Column("run", Text, nullable=False, index=True),
    Column("target", Text, nullable=False),
    Column("op", Text, nullable=False, index=True),
    Column("outcome_entry", Sequence64),
)
"""What was put on record as about to be sent, by the entry that says so; its changes are `intents`. `outcome_entry`: by
which entry all those of them are settled of which nothing else is said.
"""
open_batches = Table("open_batches", metadata, Column("entry", Sequence64, primary_key=True, autoincrement=False))
"""The batches of which something may have no outcome yet: few, and asked for often."""
intents = Table(
    "intents",
    metadata,
    Column("entry", Sequence64, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("change_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("account_key", Text, nullable=False),
    Column("entitlement_key", Text, nullable=False, index=True),
    Column("slice", Text, nullable=False),
    Column("counts", Boolean, nullable=False),
    Column("outcome_entry", Sequence64),
    sqlite_with_rowid=False,
)
"""What a run is about to do, as far as it is asked for; all of it stands in the ledger entry. `number` counts the
changes of an entry from 0. `counts`: for the guards, once it is done. `outcome_entry`: by which entry it is settled,
where that is said of it apart from the others of its batch. Where it is settled by one of `batch_outcomes`, what became
of it stands there, and nowhere else.
"""
OPEN = and_(intents.c.outcome_entry.is_(None), intents.c.entry.in_(select(open_batches.c.entry)))
"""What has no outcome yet. Nothing is written with each change once it has one, and a long run is mostly changes."""
SETTLED_BY = func.coalesce(intents.c.outcome_entry, batches.c.outcome_entry)
"""The entry by which an intent of a batch is settled; null where it is open."""
batch_outcomes = Table(
    "batch_outcomes",
    metadata,
    Column("entry", Sequence64, primary_key=True, autoincrement=False),
    Column("intended", Sequence64, nullable=False, index=True),
    Column("outcome", Text, nullable=False),
    Column("recorded_at", String(27), nullable=False, index=True),
    Column("moves", Boolean, nullable=False),
)
"""What became of many changes of a batch at once: of all that `intended` says and that are settled by this entry.
`moves`: those that count for the guards count, as it was done.
"""
effects = Table(
    "effects",
    metadata,
    Column("entry", Sequence64, primary_key=True, autoincrement=False),
    Column("change_id", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("op", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("account_key", Text, nullable=False),
    Column("entitlement_key", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("slice", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("recorded_at", String(27), nullable=False, index=True),
    Column("counts", Boolean, nullable=False),
    Index("ix_effects_entitlement_key_op", "entitlement_key", "op"),
)
"""What became of changes one by one. `reconciler.apply.outcomes` asks these and those of batches together."""
baselines = Table(
    "baselines",
    metadata,
    Column("target", Text, primary_key=True),
    Column("entitlement_key", Text, primary_key=True),
    Column("members", LargeBinary, nullable=False),
    Column("services", Text, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("ledger_seq", Sequence64, nullable=False),
    Column("settled", Boolean, nullable=False),
)
policies = Table(
    "policies",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("entry", Sequence64, nullable=False),
)
proposals = Table(
    "proposals",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("plan_digest", Text, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("made_at", String(27), nullable=False),
    Column("change_ids", Text, nullable=False),
    Column("title", Text, nullable=False),
)
standing = Table(
    "standing",
    metadata,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
)
reconciled = Table(
    "reconciled",
    metadata,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("entry", Sequence64, nullable=False),
    Column("at", String(27), nullable=False),
)
watched = Table(
    "watched",
    metadata,
    Column("name", Text, primary_key=True),
    Column("entry", Sequence64, nullable=False),
    Column("content", Text, nullable=False),
)
notices = Table(
    "notices",
    metadata,
    Column("notice", Sequence64, primary_key=True, autoincrement=False),
    Column("key", Text, unique=True),
    Column("kind", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("raised_at", String(27), nullable=False),
    Column("over_at", String(27)),
)
"""What is to be said, once. `key`: null once it is over, so that it can be said anew."""
deliveries = Table(
    "deliveries",
    metadata,
    Column("notice", Sequence64, ForeignKey(notices.c.notice), primary_key=True, autoincrement=False),
    Column("channel", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("not_before", String(27), nullable=False),
    Column("message", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("changed_at", String(27), nullable=False),
    Index("ix_deliveries_channel_state", "channel", "state"),
)
"""To whom each is said, by which channel, and what became of it. `message`: those with the same go as one message."""
channels = Table(
    "channels",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("not_before", String(27), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("trouble", Text, nullable=False),
)
"""When each channel may be used again, and how often in a row it has failed."""

PROJECTED = (
    account_links,
    approvals,
    runs,
    batches,
    open_batches,
    intents,
    batch_outcomes,
    effects,
    baselines,
    policies,
)
