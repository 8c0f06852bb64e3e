"""What the ledger knows of plans and runs: links, approvals, intents, effects, baselines, policies on record.

Every table here is a projection of ledger entries, but `proposals`: the digests of plans that were shown, so that
`approve` can say what a digest stands for. Losing it costs making the plan again.

The kinds of ledger entries that this room writes stand in `Kind`; `apply_entries` is the only place that turns them
into rows.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pyroaring import BitMap
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    LargeBinary,
    RowMapping,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from reconciler.facts.days import instant_text
from reconciler.facts.ledger import Entry, Sequence64
from reconciler.facts.people import people
from reconciler.facts.store import metadata
from reconciler.plan.causes import Baseline
from reconciler.plan.guards import Approvals
from reconciler.policy.model import EntitlementRef


class Kind(StrEnum):
    """The kinds of ledger entries that speak of policies, plans and runs."""

    POLICY_RECORDED = "policy-recorded"
    ACCOUNT_LINKED = "account-linked"
    APPROVED = "approved"
    RUN_STARTED = "run-started"
    INTENDED = "intended"
    EFFECT = "effect"
    CONTRADICTED = "contradicted"
    CONVERGED = "converged"
    RUN_FINISHED = "run-finished"


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
    Column("finished_entry", Sequence64),
)
intents = Table(
    "intents",
    metadata,
    Column("run", Text, primary_key=True),
    Column("change_id", Text, primary_key=True),
    Column("entry", Sequence64, nullable=False),
    Column("target", Text, nullable=False),
    Column("change", Text, nullable=False),
    Column("outcome_entry", Sequence64, index=True),
)
effects = Table(
    "effects",
    metadata,
    Column("entry", Sequence64, primary_key=True, autoincrement=False),
    Column("run", Text, nullable=False),
    Column("change_id", Text, nullable=False),
    Column("op", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("entitlement_key", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("slice", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("recorded_at", String(27), nullable=False, index=True),
    Column("counts", Boolean, nullable=False),
)
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

_TABLES = (account_links, approvals, runs, intents, effects, baselines, policies)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan, or a held slice of one, that was shown: what a digest given to `approve` stands for."""

    digest: str
    plan_digest: str
    policy_digest: str
    author: str
    made_at: str
    change_ids: tuple[str, ...]
    title: str


@dataclass(frozen=True, slots=True)
class OpenIntent:
    """A change that a run meant to carry out and never said what became of it: the run died in between."""

    run: str
    change_id: str
    target: str
    change: Mapping[str, Any]


class Journal:
    """The projection behind all of this. Reading goes through its methods, writing through the ledger alone."""

    name = "journal"
    kinds = frozenset(kind.value for kind in Kind)

    def apply(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Turn new ledger entries into rows; called by the ledger, in its transaction."""
        by_kind: dict[Kind, list[Entry]] = defaultdict(list)
        for entry in entries:
            kind = Kind(entry.kind)
            if by_kind and kind not in by_kind:
                _flush(connection, by_kind)
            by_kind[kind].append(entry)
        _flush(connection, by_kind)

    def clear(self, connection: Connection) -> None:
        """Forget all rows that come from the ledger, before they are made again."""
        for table in _TABLES:
            connection.execute(delete(table))

    # --- questions --------------------------------------------------------------------------------------------------

    def links(self, connection: Connection, target: str) -> dict[str, str]:
        """Account key → person id, as remembered for this target."""
        rows = connection.execute(
            select(account_links.c.account_key, account_links.c.person).where(account_links.c.target == target)
        )
        return {row.account_key: row.person for row in rows}

    def approvals(self, connection: Connection, now: datetime) -> Approvals:
        """The approvals that are neither used nor expired."""
        rows = connection.execute(
            select(approvals.c.change_id, approvals.c.actor, approvals.c.author).where(
                approvals.c.used_entry.is_(None), approvals.c.expires_at > instant_text(now)
            )
        ).all()
        return Approvals(
            actors=_grouped((row.change_id, row.actor) for row in rows),
            independent=_grouped((row.change_id, row.actor) for row in rows if row.actor != row.author),
        )

    def recent(self, connection: Connection, since: datetime) -> dict[str, frozenset[str]]:
        """Slice → subjects that were changed since then without anybody's approval, leavers left out."""
        rows = connection.execute(
            select(effects.c.slice, effects.c.subject).where(
                effects.c.counts, effects.c.recorded_at > instant_text(since)
            )
        )
        return _grouped((row.slice, row.subject) for row in rows)

    def baselines(self, connection: Connection) -> dict[EntitlementRef, Baseline]:
        """What every managed entitlement was when it last agreed."""
        return {
            EntitlementRef(row["target"], row["entitlement_key"]): _as_baseline(row)
            for row in connection.execute(select(baselines)).mappings()
        }

    def open_intents(self, connection: Connection) -> list[OpenIntent]:
        """What dead runs left without an outcome."""
        rows = connection.execute(select(intents).where(intents.c.outcome_entry.is_(None)).order_by(intents.c.entry))
        return [OpenIntent(row.run, row.change_id, row.target, json.loads(row.change)) for row in rows]

    def policy_entry(self, connection: Connection, digest: str) -> int | None:
        """The ledger entry that records this policy's files, or None."""
        return connection.execute(select(policies.c.entry).where(policies.c.digest == digest)).scalar()

    def guards_policy(self, connection: Connection) -> str | None:
        """The digest of the policy whose guards are in force: that of the newest approval, or else of the first run."""
        approved = select(approvals.c.policy_digest).order_by(approvals.c.entry.desc()).limit(1)
        first = select(runs.c.policy_digest).order_by(runs.c.entry).limit(1)
        return connection.execute(approved).scalar() or connection.execute(first).scalar()

    def newest_policy(self, connection: Connection) -> str | None:
        """The digest of the policy under which the newest run was made: the last one that is known to have passed."""
        return connection.execute(select(runs.c.policy_digest).order_by(runs.c.entry.desc()).limit(1)).scalar()

    def was_carried_out(self, connection: Connection, plan_digest: str, made_at: str) -> str | None:
        """The run that carried out this very plan before, or None."""
        asked = select(runs.c.run).where(runs.c.plan_digest == plan_digest, runs.c.plan_made_at == made_at)
        return connection.execute(asked).scalar()

    # --- proposals --------------------------------------------------------------------------------------------------

    def propose(self, connection: Connection, shown: Iterable[Proposal]) -> None:
        """Remember what was shown under which digest. Its author stays whoever was shown it first: somebody who looks
        again later does not become the author, nor the author somebody else.
        """
        for each in shown:
            if connection.execute(select(proposals.c.digest).where(proposals.c.digest == each.digest)).first() is None:
                row = {**asdict(each), "change_ids": json.dumps(each.change_ids)}
                connection.execute(insert(proposals).values(row))

    def proposals(self, connection: Connection, prefix: str) -> list[Proposal]:
        """What was shown under a digest that begins so (with or without ``sha256:``)."""
        start = prefix if prefix.startswith("sha256:") else f"sha256:{prefix}"
        rows = connection.execute(select(proposals).where(proposals.c.digest.startswith(start, autoescape=True)))
        return [
            Proposal(
                row["digest"],
                row["plan_digest"],
                row["policy_digest"],
                row["author"],
                row["made_at"],
                tuple(json.loads(row["change_ids"])),
                row["title"],
            )
            for row in rows.mappings()
        ]


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for key, value in pairs:
        found[key].add(value)
    return {key: frozenset(values) for key, values in found.items()}


# --- entries → rows -----------------------------------------------------------------------------------------------


def _flush(connection: Connection, by_kind: dict[Kind, list[Entry]]) -> None:
    for kind, entries in by_kind.items():
        _PROJECT[kind](connection, entries)
    by_kind.clear()


def _said(entry: Entry) -> Mapping[str, Any]:
    """The payload; its shape is what `run`, and the passes, wrote under this kind."""
    return entry.payload


def _policy_recorded(connection: Connection, entries: Sequence[Entry]) -> None:
    known = set(connection.execute(select(policies.c.digest)).scalars())
    first = {_said(entry)["digest"]: entry.seq for entry in reversed(entries)}  # recorded twice is recorded once
    rows = [{"digest": digest, "entry": seq} for digest, seq in first.items() if digest not in known]
    if rows:
        connection.execute(insert(policies), rows)


def _account_linked(connection: Connection, entries: Sequence[Entry]) -> None:
    for entry in entries:
        known = (
            account_links.c.target == _said(entry)["target"],
            account_links.c.account_key == _said(entry)["account_key"],
        )
        connection.execute(delete(account_links).where(*known))
    rows = {
        (_said(e)["target"], _said(e)["account_key"]): {
            "target": _said(e)["target"],
            "account_key": _said(e)["account_key"],
            "person": e.subject,
            "entry": e.seq,
        }
        for e in entries
    }
    connection.execute(insert(account_links), list(rows.values()))


def _approved(connection: Connection, entries: Sequence[Entry]) -> None:
    rows = [
        {
            "entry": entry.seq,
            "change_id": change_id,
            "actor": entry.actor,
            "author": _said(entry)["author"],
            "expires_at": _said(entry)["expires_at"],
            "policy_digest": _said(entry)["policy_digest"],
            "used_entry": None,
        }
        for entry in entries
        for change_id in _said(entry)["change_ids"]
    ]
    connection.execute(insert(approvals), rows)


def _run_started(connection: Connection, entries: Sequence[Entry]) -> None:
    rows = [
        {
            "run": _said(entry)["run"],
            "entry": entry.seq,
            "plan_digest": _said(entry)["plan"],
            "plan_made_at": _said(entry)["plan_made_at"],
            "policy_digest": _said(entry)["policy"],
            "finished_entry": None,
        }
        for entry in entries
    ]
    connection.execute(insert(runs), rows)


def _run_finished(connection: Connection, entries: Sequence[Entry]) -> None:
    for entry in entries:
        finished = update(runs).where(runs.c.run == _said(entry)["run"]).values(finished_entry=entry.seq)
        connection.execute(finished)


def _intended(connection: Connection, entries: Sequence[Entry]) -> None:
    rows = [
        {
            "run": _said(entry)["run"],
            "change_id": change["id"],
            "entry": entry.seq,
            "target": _said(entry)["target"],
            "change": json.dumps(change, ensure_ascii=False, sort_keys=True),
            "outcome_entry": None,
        }
        for entry in entries
        for change in _said(entry)["changes"]
    ]
    connection.execute(insert(intents), rows)


def _effect(connection: Connection, entries: Sequence[Entry]) -> None:
    rows = [_effect_row(entry) for entry in entries]
    connection.execute(insert(effects), rows)
    done = [row for row in rows if row["outcome"] in ("applied", "already")]
    for row in rows:
        own = (intents.c.run == row["run"], intents.c.change_id == row["change_id"])
        connection.execute(update(intents).where(*own).values(outcome_entry=row["entry"]))
    for row in done:
        mine = (approvals.c.change_id == row["change_id"], approvals.c.used_entry.is_(None))
        connection.execute(update(approvals).where(*mine).values(used_entry=row["entry"]))
    _move_members(connection, entries, {row["entry"] for row in done})


def _effect_row(entry: Entry) -> dict[str, Any]:
    payload = _said(entry)
    applied = payload["outcome"] == "applied"
    return {
        "entry": entry.seq,
        "run": payload["run"],
        "change_id": payload["change"],
        "op": payload["op"],
        "target": payload["target"],
        "entitlement_key": payload["entitlement_key"],
        "subject": entry.subject,
        "slice": payload["slice"],
        "outcome": payload["outcome"],
        "recorded_at": instant_text(entry.recorded_at),
        "counts": applied and not payload["approved"] and not payload["leaver"],
    }


def _move_members(connection: Connection, entries: Sequence[Entry], done: Collection[int]) -> None:
    moves: dict[EntitlementRef, list[tuple[str, bool, bool]]] = defaultdict(list)
    for entry in entries:
        payload = _said(entry)
        if entry.seq in done and payload["op"] in ("grant", "revoke") and payload["holder"] != "nobody":
            ref = EntitlementRef(payload["target"], payload["entitlement_key"])
            moves[ref].append((entry.subject, payload["op"] == "grant", payload["holder"] == "person"))
    if not moves:
        return
    numbers = _numbers(connection, {subject for own in moves.values() for subject, _, is_person in own if is_person})
    for ref, own in moves.items():
        baseline = _baseline(connection, ref)
        members, services = BitMap(baseline.members), set(baseline.services)
        for subject, granted, is_person in own:
            if is_person and subject in numbers:
                (members.add if granted else members.discard)(numbers[subject])
            elif not is_person:
                (services.add if granted else services.discard)(subject)
        _save(connection, ref, members, services, baseline.policy_digest, baseline.ledger_seq, settled=baseline.settled)


def _contradicted(connection: Connection, entries: Sequence[Entry]) -> None:
    """Reading back said otherwise: the effect is not there, whatever the target answered."""
    for entry in entries:
        connection.execute(
            update(effects)
            .where(effects.c.entry == _said(entry)["effect"])
            .values(outcome="contradicted", counts=False)
        )
        unspent = update(approvals).where(approvals.c.used_entry == _said(entry)["effect"]).values(used_entry=None)
        connection.execute(unspent)
        if _said(entry)["op"] not in ("grant", "revoke"):
            continue
        ref = EntitlementRef(_said(entry)["target"], _said(entry)["entitlement_key"])
        baseline = _baseline(connection, ref)
        members = BitMap(baseline.members)
        number = _numbers(connection, {entry.subject}).get(entry.subject)
        if number is not None:
            (members.discard if _said(entry)["op"] == "grant" else members.add)(number)
        _save(
            connection,
            ref,
            members,
            baseline.services,
            baseline.policy_digest,
            baseline.ledger_seq,
            settled=baseline.settled,
        )


def _converged(connection: Connection, entries: Sequence[Entry]) -> None:
    for entry in entries:
        payload = _said(entry)
        adopted, dropped, services = payload["adopted"], payload["dropped"], payload["services"]
        ids = {person for own in [*adopted.values(), *dropped.values()] for person in own}
        numbers = _numbers(connection, ids)
        settled = set(payload["settled"])
        for key in sorted({*adopted, *dropped, *services, *settled}):
            ref = EntitlementRef(payload["target"], key)
            baseline = _baseline(connection, ref)
            members = baseline.members | BitMap(numbers[p] for p in adopted.get(key, ()))
            members -= BitMap(numbers[p] for p in dropped.get(key, ()))
            now = key in settled
            _save(
                connection,
                ref,
                members,
                services.get(key, baseline.services),
                payload["policy"] if now else baseline.policy_digest,
                payload["facts"] if now else baseline.ledger_seq,
                settled=now or baseline.settled,
            )


_PROJECT: Mapping[Kind, Callable[[Connection, Sequence[Entry]], None]] = {
    Kind.POLICY_RECORDED: _policy_recorded,
    Kind.ACCOUNT_LINKED: _account_linked,
    Kind.APPROVED: _approved,
    Kind.RUN_STARTED: _run_started,
    Kind.INTENDED: _intended,
    Kind.EFFECT: _effect,
    Kind.CONTRADICTED: _contradicted,
    Kind.CONVERGED: _converged,
    Kind.RUN_FINISHED: _run_finished,
}


def _baseline(connection: Connection, ref: EntitlementRef) -> Baseline:
    row = connection.execute(select(baselines).where(*_is(ref))).mappings().first()
    return _as_baseline(row) if row else Baseline(BitMap(), frozenset(), "", 0, settled=False)


def _as_baseline(row: RowMapping) -> Baseline:
    return Baseline(
        members=BitMap.deserialize(row["members"]),
        services=frozenset(json.loads(row["services"])),
        policy_digest=row["policy_digest"],
        ledger_seq=row["ledger_seq"],
        settled=row["settled"],
    )


def _save(
    connection: Connection,
    ref: EntitlementRef,
    members: BitMap,
    services: Iterable[str],
    policy_digest: str,
    ledger_seq: int,
    *,
    settled: bool,
) -> None:
    connection.execute(delete(baselines).where(*_is(ref)))
    row = {
        "target": ref.target,
        "entitlement_key": ref.key,
        "members": members.serialize(),
        "services": json.dumps(sorted(services)),
        "policy_digest": policy_digest,
        "ledger_seq": ledger_seq,
        "settled": settled,
    }
    connection.execute(insert(baselines).values(row))


def _is(ref: EntitlementRef) -> tuple[Any, Any]:
    return baselines.c.target == ref.target, baselines.c.entitlement_key == ref.key


def _numbers(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    listed = sorted(ids)
    for start in range(0, len(listed), 500):
        chunk = listed[start : start + 500]
        rows = connection.execute(select(people.c.id, people.c.number).where(people.c.id.in_(chunk)))
        found |= {row.id: row.number for row in rows}
    return found
