"""What the ledger knows of plans and runs: links, approvals, intents, effects, baselines, policies on record.

The rows stand in `tables`, and `projecting` makes them from ledger entries; here are the questions about them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, column, delete, distinct, func, insert, select

from reconciler.apply.agreed import as_baseline, read_baselines
from reconciler.apply.intents import spelled_out
from reconciler.apply.outcomes import SOME, done, outcomes
from reconciler.apply.projecting import flush
from reconciler.apply.tables import (
    OPEN,
    PROJECTED,
    SETTLED_BY,
    Kind,
    account_links,
    approvals,
    baselines,
    batches,
    effects,
    intents,
    policies,
    proposals,
    runs,
)
from reconciler.facts.days import instant_text
from reconciler.facts.ledger import CHUNK, Entry, chunks, read_numbered
from reconciler.plan.causes import Baseline
from reconciler.plan.guards import Approvals
from reconciler.policy.model import EntitlementRef, Policy
from reconciler.targets import GIVING


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

    @property
    def classification(self) -> str:
        """The class of the slice that was held, or a blank where it is a whole plan."""
        parts = self.title.split(" (")[0].rsplit("/", 3)
        return parts[2] if len(parts) == 4 else ""


@dataclass(frozen=True, slots=True)
class OpenIntent:
    """A change that a run meant to carry out, and of which nobody knows what became: the run died in between, or it
    got no answer and could not read back.
    """

    run: str
    change_id: str
    target: str
    change: Mapping[str, Any]
    lease: str = ""
    """The lease that the run acted under, where it was one on a person."""
    done_since: bool = False
    """Whether another run has done the same thing since this one began."""


@dataclass(frozen=True, slots=True)
class DisabledHere:
    """The keys of the accounts that runs disabled and none has enabled since, with the moment when they did, and of
    those among them whose sessions none has ended since.
    """

    accounts: Mapping[str, datetime] = field(default_factory=dict)
    sessions_left: frozenset[str] = frozenset()


class Journal:
    """The projection behind all of this. Reading goes through its methods, writing through the ledger alone."""

    name = "journal"
    kinds = frozenset(kind.value for kind in Kind)

    def apply(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Turn new ledger entries into rows; called by the ledger, in its transaction."""
        by_kind: dict[Kind, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.erased:
                continue
            kind = Kind(entry.kind)
            if by_kind and kind not in by_kind:
                flush(connection, by_kind)
            by_kind[kind].append(entry)
        flush(connection, by_kind)

    def clear(self, connection: Connection) -> None:
        """Forget all rows that come from the ledger, before they are made again."""
        for table in PROJECTED:
            connection.execute(delete(table))

    # --- questions --------------------------------------------------------------------------------------------------

    def links(self, connection: Connection, target: str) -> dict[str, str]:
        """Account key → person id, as remembered for this target. What was deleted is nobody's any more: a target whose
        accounts have no other key than their names may give it to somebody else.
        """
        return self._living(connection, target, ())

    def approvals(self, connection: Connection, now: datetime) -> Approvals:
        """The approvals that are neither used nor expired. There may be a million, of one person: read one by one, and
        sharing the answer.
        """
        c = approvals.c
        asked = select(c.change_id, c.actor, c.author).where(c.used_entry.is_(None), c.expires_at > instant_text(now))
        alone: dict[str, frozenset[str]] = {}
        actors: dict[str, frozenset[str]] = {}
        independent: dict[str, frozenset[str]] = {}
        for change, actor, author in connection.execute(asked):
            if actor not in alone:
                alone[actor] = frozenset({actor})
            for found in (actors,) if actor == author else (actors, independent):
                known = found.get(change)
                found[change] = alone[actor] if known is None else known | alone[actor]
        return Approvals(actors, independent)

    def recent(self, connection: Connection, since: datetime) -> dict[str, frozenset[str]]:
        """Slice → subjects that were changed since then without anybody's approval, leavers left out; those of whom
        nobody knows yet whether they were, too.
        """
        counted = outcomes(["slice", "subject"], lambda c: (c.counts, c.recorded_at > instant_text(since)))
        c = intents.c
        doubtful = select(c.slice, c.subject).where(c.counts, OPEN)
        return _grouped([*_pairs(connection.execute(counted)), *_pairs(connection.execute(doubtful))])

    def baselines(
        self, connection: Connection, refs: Collection[EntitlementRef] | None = None
    ) -> dict[EntitlementRef, Baseline]:
        """What every managed entitlement, or each of these, was when it last agreed."""
        if refs is not None:
            return read_baselines(connection, refs)
        return {
            EntitlementRef(row["target"], row["entitlement_key"]): as_baseline(row)
            for row in connection.execute(select(baselines)).mappings()
        }

    def managed_beyond(self, connection: Connection, policy: Policy) -> list[EntitlementRef]:
        """Every entitlement that was ever managed here and is not forgotten, and that the policy does not list."""
        rows = connection.execute(select(baselines.c.target, baselines.c.entitlement_key))
        listed = policy.once(_listed)
        return [EntitlementRef(*row) for row in map(tuple, rows) if row not in listed]

    def held_by(self, connection: Connection, number: int) -> list[EntitlementRef]:
        """The entitlements in which the person of this number was when they were last seen."""
        return sorted(ref for ref, own in self.baselines(connection).items() if number in own.members)

    def granted_here(
        self, connection: Connection, refs: Collection[EntitlementRef]
    ) -> dict[EntitlementRef, frozenset[str]]:
        """Entitlement → subjects to whom a run granted it and from whom none has taken it since. What was there before
        a grant came (`already`) was not granted from here.
        """
        found: dict[EntitlementRef, set[str]] = {ref: set() for ref in refs}
        asked = outcomes(
            ["target", "entitlement_key", "subject", "op", "outcome", "entry"],
            lambda c: (c.entitlement_key.in_(SOME), c.op.in_(_MEMBERSHIP), done(c)),
        ).order_by(column("entry"))
        for some in chunks(sorted({ref.key for ref in refs}), CHUNK):
            for row in connection.execute(asked, {"some": some}):
                own = found.get(EntitlementRef(row.target, row.entitlement_key))
                if own is not None and row.op == "revoke":
                    own.discard(row.subject)
                elif own is not None and row.outcome == "applied":
                    own.add(row.subject)
        return {ref: frozenset(subjects) for ref, subjects in found.items()}

    def disabled_here(self, connection: Connection, target: str) -> DisabledHere:
        """The accounts that a run disabled, and that none has enabled since. What was disabled before we came
        (`already`) was not disabled from here.
        """
        found: dict[str, datetime] = {}
        left: set[str] = set()
        ops = ("disable-account", "enable-account", "end-sessions", "delete-account")
        for row in _of_accounts(connection, target, ops):
            key = row.account_key
            if row.op == "end-sessions":
                left.discard(key)
            elif row.op in ("enable-account", "delete-account"):
                found.pop(key, None)
                left.discard(key)
            elif row.outcome == "applied":
                found[key] = datetime.fromisoformat(row.recorded_at)
                left.add(key)
        return DisabledHere(found, frozenset(left))

    def had(self, connection: Connection, target: str, subjects: Collection[str]) -> dict[str, frozenset[str]]:
        """Person → the keys of the entitlements that runs granted to them, or took from them, on the target."""
        found: list[tuple[str, str]] = []
        asked = outcomes(
            ["subject", "entitlement_key"],
            lambda c: (c.subject.in_(SOME), c.target == target, c.op.in_(_MEMBERSHIP), done(c)),
        )
        for some in chunks(sorted(subjects), CHUNK):
            found += _pairs(connection.execute(asked, {"some": some}))
        return _grouped(found)

    def open_intents(self, connection: Connection, lease: str | None = None) -> list[OpenIntent]:
        """What has no outcome yet: of runs that died, and of those that are at it right now; with `lease`, of runs
        under that one.
        """
        # Since its run read the target: what another one did after that, it found done when it came to it.
        since = func.coalesce(runs.c.seen, runs.c.entry, intents.c.entry).label("since")
        asked = (
            select(intents.c.entry, intents.c.change_id, batches.c.run, batches.c.target, runs.c.lease, since)
            .join(batches, batches.c.entry == intents.c.entry)
            .outerjoin(runs, runs.c.run == batches.c.run)
            .where(OPEN, *([] if lease is None else [runs.c.lease == lease]))
        )
        # Put in order here: asked to do so, SQLite would rather walk through all intents there ever were.
        rows = sorted(connection.execute(asked), key=lambda row: row.entry)
        if not rows:
            return []
        said = _intended(connection, {row.entry for row in rows})
        applied = _last_applied(connection, min(row.since for row in rows))
        return [
            OpenIntent(
                row.run,
                row.change_id,
                row.target,
                said[row.entry, row.change_id],
                row.lease or "",
                applied.get(row.change_id, 0) > row.since,
            )
            for row in rows
        ]

    def open_orders(self, connection: Connection, refs: Collection[EntitlementRef]) -> list[OpenIntent]:
        """The changes to these entitlements of which the last word is that a person was asked to carry them out."""
        last: dict[str, tuple[str, str]] = {}
        asked = outcomes(
            ["target", "entitlement_key", "change_id", "run", "outcome", "entry"],
            lambda c: (c.entitlement_key.in_(SOME), c.op.in_(_MEMBERSHIP)),
        ).order_by(column("entry"))
        for some in chunks(sorted({ref.key for ref in refs}), CHUNK):
            for row in connection.execute(asked, {"some": some}):
                if EntitlementRef(row.target, row.entitlement_key) in refs:
                    last[row.change_id] = row.run, row.outcome
        runs_of = {change: run for change, (run, outcome) in last.items() if outcome == "ordered"}
        found = []
        for some in chunks(sorted(runs_of), CHUNK):
            of_runs = (
                select(batches.c.run, intents.c.change_id, batches.c.target, intents.c.entry)
                .join(batches, batches.c.entry == intents.c.entry)
                .where(batches.c.run.in_(sorted({runs_of[change] for change in some})), intents.c.change_id.in_(some))
            )
            found += [row for row in connection.execute(of_runs) if runs_of[row.change_id] == row.run]
        said = _intended(connection, {row.entry for row in found})
        return [OpenIntent(row.run, row.change_id, row.target, said[row.entry, row.change_id]) for row in found]

    def about_to_give(self, connection: Connection, person: str) -> frozenset[str]:
        """The ids of the changes by which some run is about to give the person something."""
        asked = (
            select(intents.c.change_id)
            .join(batches, batches.c.entry == intents.c.entry)
            .where(intents.c.subject == person, OPEN, batches.c.op.in_([op.value for op in GIVING]))
        )
        return frozenset(connection.execute(asked).scalars())

    def done_by_others(self, connection: Connection, run: str, changes: Collection[str]) -> frozenset[str]:
        """Of these changes, which the run intends and has said nothing of yet, those another run has done since it
        read the target.
        """
        found: set[str] = set()
        since = select(func.coalesce(runs.c.seen, runs.c.entry)).where(runs.c.run == run).scalar_subquery()
        closed = (
            select(intents.c.change_id)
            .join(batches, batches.c.entry == intents.c.entry)
            .where(batches.c.run == run, intents.c.change_id.in_(SOME), SETTLED_BY.is_not(None))
        )
        applied = outcomes(
            ["change_id"],
            lambda c: (c.change_id.in_(SOME), c.run != run, c.outcome == "applied", c.entry > since),
        )
        for some in chunks(changes, CHUNK):
            for asked in (closed, applied):
                found.update(connection.execute(asked, {"some": some}).scalars())
        return frozenset(found)

    def links_of(self, connection: Connection, target: str, person: str, keys: Collection[str]) -> dict[str, str]:
        """As `links`: the accounts of this person, and whose these other ones are."""
        c = account_links.c
        # By one index each: asked for either, SQLite would rather walk through all links of the target.
        return self._living(connection, target, (c.person == person,), (c.account_key.in_(keys),))

    def _living(self, connection: Connection, target: str, *ways: Sequence[ColumnElement[bool]]) -> dict[str, str]:
        """The links that are found in any of these ways, of accounts that were not deleted since."""
        on_target = select(account_links).where(account_links.c.target == target)
        rows = [row for way in ways for row in connection.execute(on_target.where(*way))]
        if not rows:
            return {}
        deleted = {row.account_key: row.entry for row in _of_accounts(connection, target, ("delete-account",))}
        return {row.account_key: row.person for row in rows if row.entry > deleted.get(row.account_key, -1)}

    def contradicted_runs(self, connection: Connection, since: datetime) -> dict[str, int]:
        """Target → in how many runs since then reading back did not show what it had confirmed."""
        c = effects.c
        asked = (
            select(c.target, func.count(distinct(c.run)).label("runs"))
            .where(c.outcome == "contradicted", c.recorded_at > instant_text(since))
            .group_by(c.target)
        )
        return {row.target: row.runs for row in connection.execute(asked)}

    def repeated(self, connection: Connection, since: datetime, runs: int) -> dict[str, int]:
        """Change id → in how many runs since then it was carried out, where that is at least `runs`."""
        applied = outcomes(
            ["change_id", "run"], lambda c: (c.outcome == "applied", c.recorded_at > instant_text(since))
        ).subquery()
        count = func.count(distinct(applied.c.run))
        asked = select(applied.c.change_id, count.label("runs")).group_by(applied.c.change_id)
        rows = connection.execute(asked.having(count >= runs))
        return {row.change_id: row.runs for row in rows}

    def policy_since(self, connection: Connection, digest: str, entry: int) -> str | None:
        """The digest of the newest policy, other than this one, that a run was made under after that entry."""
        asked = select(runs.c.policy_digest).where(runs.c.entry > entry, runs.c.policy_digest != digest)
        return connection.execute(asked.order_by(runs.c.entry.desc()).limit(1)).scalar()

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
                # Spelled out: `asdict` copies every id, and there may be a million.
                row = {field.name: getattr(each, field.name) for field in fields(each)}
                row["change_ids"] = json.dumps(each.change_ids)
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


def _last_applied(connection: Connection, since: int) -> dict[str, int]:
    """Change id → the last entry after that one by which it was done, of the changes that are open. One look at what
    was done since, and not one for each of them: there may be a million of those, and leavers wait for it.
    """
    still_open = select(intents.c.change_id).where(OPEN)
    applied = outcomes(
        ["change_id", "entry"], lambda c: (c.entry > since, c.outcome == "applied", c.change_id.in_(still_open))
    ).subquery()
    asked = select(applied.c.change_id, func.max(applied.c.entry).label("entry")).group_by(applied.c.change_id)
    return {row.change_id: row.entry for row in connection.execute(asked)}


def _intended(connection: Connection, entries: Collection[int]) -> dict[tuple[int, str], Mapping[str, Any]]:
    """Ledger entry and change id → the change, as these entries say that it was intended."""
    return {
        (entry.seq, change["id"]): change
        for some in chunks(sorted(entries), CHUNK)
        for entry in read_numbered(connection, some)
        for change in spelled_out(entry.payload)
    }


def _of_accounts(connection: Connection, target: str, ops: Sequence[str]) -> Iterator[Any]:
    """What runs did to accounts of a target, in order, each with the account's key."""
    asked = outcomes(
        ["entry", "op", "outcome", "recorded_at", "account_key"],
        lambda c: (c.target == target, c.op.in_(ops), done(c)),
    )
    yield from connection.execute(asked.order_by(column("entry")))


_MEMBERSHIP = ("grant", "revoke")


def _listed(policy: Policy) -> frozenset[tuple[str, str]]:
    return frozenset((ref.target, ref.key) for ref in policy.entitlements)


def _pairs(rows: Iterable[Any]) -> list[tuple[str, str]]:
    return [(one, other) for one, other in rows]


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for key, value in pairs:
        found[key].add(value)
    return {key: frozenset(values) for key, values in found.items()}
