"""Ledger entries → rows of the journal's tables. `flush` is the only place that writes them.

INVARIANT: the same entries make the same rows, in whatever batches they come.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pyroaring import BitMap
from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    Connection,
    RowMapping,
    Text,
    and_,
    bindparam,
    delete,
    insert,
    select,
    tuple_,
    update,
)

from reconciler.apply.intents import spelled_out
from reconciler.apply.tables import (
    Kind,
    account_links,
    approvals,
    baselines,
    effects,
    intents,
    policies,
    runs,
)
from reconciler.facts.adding import add_rows
from reconciler.facts.days import instant_text
from reconciler.facts.ledger import CHUNK, Entry, Sequence64, chunks
from reconciler.facts.people import people
from reconciler.plan.causes import Baseline
from reconciler.policy.model import EntitlementRef


def flush(connection: Connection, by_kind: dict[Kind, list[Entry]]) -> None:
    """Write the rows of these entries, and forget them."""
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
    rows = {
        (_said(e)["target"], _said(e)["account_key"]): {
            "target": _said(e)["target"],
            "account_key": _said(e)["account_key"],
            "person": e.subject,
            "entry": e.seq,
        }
        for e in entries
    }
    connection.execute(_FORGET_LINK, [_named(row, "target", "account_key") for row in rows.values()])
    add_rows(connection, account_links, list(rows.values()))


_FORGET_LINK = delete(account_links).where(
    account_links.c.target == bindparam("of_target"), account_links.c.account_key == bindparam("of_account_key")
)


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
    add_rows(connection, approvals, rows)


def _run_started(connection: Connection, entries: Sequence[Entry]) -> None:
    rows = [
        {
            "run": _said(entry)["run"],
            "entry": entry.seq,
            "plan_digest": _said(entry)["plan"],
            "plan_made_at": _said(entry)["plan_made_at"],
            "policy_digest": _said(entry)["policy"],
            "lease": _said(entry).get("lease", ""),
            "finished_entry": None,
            "seen": _said(entry).get("seen"),
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
            **{name: change[name] for name in _ASKED_FOR},
            "counts": not change["approved"] and not change["leaver"],
            "outcome_entry": None,
        }
        for entry in entries
        for change in spelled_out(entry.payload)
    ]
    add_rows(connection, intents, rows)


_ASKED_FOR = ("op", "subject", "holder", "account_key", "entitlement_key", "slice")


def _effect(connection: Connection, entries: Sequence[Entry]) -> None:
    rows = [_effect_row(entry) for entry in entries]
    add_rows(connection, effects, rows)
    done = [row for row in rows if row["outcome"] in _DONE]
    # What nobody answered to may have happened: it stays open until somebody has read what became of it.
    if known := [row for row in rows if row["outcome"] != _SILENT]:
        connection.execute(_CLOSE_INTENT, [_named(row, "run", "change_id", "entry") for row in known])
    _close_others(connection, {row["change_id"]: row["entry"] for row in rows if row["outcome"] == _APPLIED})
    if done:
        connection.execute(_USE_APPROVAL, [_named(row, "change_id", "entry") for row in done])
    _move_members(connection, [_Move.told(entry) for entry in entries if _said(entry)["outcome"] in _DONE])


def _effects(connection: Connection, entries: Sequence[Entry]) -> None:
    """As `_effect`, of many at once: who and what they are stands with what was intended."""
    for entry in entries:
        said = _said(entry)
        listed = "changes" in said
        all_of = _LISTED if listed else _ALL_BUT
        these = {"intended": said["intended"], "listed": said["changes"] if listed else said["but"]}
        told = {"in_entry": entry.seq, "so": said["outcome"], "at": instant_text(entry.recorded_at)}
        connection.execute(all_of.copied, {**these, **told, "moves": said["outcome"] in _MOVING})
        if said["outcome"] != _SILENT:
            connection.execute(all_of.closed, {**these, "in_entry": entry.seq})
        if said["outcome"] in _DONE:
            connection.execute(all_of.used, {**these, "in_entry": entry.seq})
            _move_members(connection, [_Move(*row) for row in connection.execute(all_of.moves, these)])
        if said["outcome"] == _APPLIED:
            connection.execute(all_of.closed_elsewhere, {**these, "in_entry": entry.seq})


_APPLIED, _SILENT = "applied", "unavailable"
_DONE = (_APPLIED, "already")
_MOVING = (_APPLIED, "ordered")
"""What the guards count: what a person was asked to do is on its way from then on."""


class _Intended:
    """The statements about what one entry intended: of the changes that are listed, or of all but those."""

    def __init__(self, *, listed: bool) -> None:
        c = intents.c
        ids: BindParameter[str] = bindparam("listed", expanding=True)
        these = c.entry == bindparam("intended"), c.change_id.in_(ids) if listed else c.change_id.not_in(ids)
        changes = select(c.change_id).where(*these)
        self.moves = select(c.op, c.target, c.entitlement_key, c.subject, c.holder).where(*these).order_by(c.change_id)
        self.closed = update(intents).where(*these).values(outcome_entry=bindparam("in_entry"))
        # As `_close_others`; their own are closed by then.
        self.closed_elsewhere = (
            update(intents)
            .where(c.outcome_entry.is_(None), c.change_id.in_(changes))
            .values(outcome_entry=bindparam("in_entry"))
        )
        self.used = (
            update(approvals)
            .where(approvals.c.change_id.in_(changes), _UNUSED)
            .values(used_entry=bindparam("in_entry"))
        )
        said = ("change_id", "run", "op", "target", "entitlement_key", "subject", "slice")
        entry, outcome = bindparam("in_entry", type_=Sequence64), bindparam("so", type_=Text)
        at, moves = bindparam("at", type_=Text), bindparam("moves", type_=Boolean)
        row = select(*(c[name] for name in said), entry, outcome, at, and_(c.counts, moves)).where(*these)
        self.copied = insert(effects).from_select([*said, "entry", "outcome", "recorded_at", "counts"], row)


_CLOSE_INTENT = (
    update(intents)
    .where(intents.c.run == bindparam("of_run"), intents.c.change_id == bindparam("of_change_id"))
    .values(outcome_entry=bindparam("of_entry"))
)


def _close_others(connection: Connection, applied: Mapping[str, int]) -> None:
    """What one run did, no run that died over the same change before it had done. `applied`: change → entry.

    INVARIANT: those that did it have closed their own by now.
    """
    others = select(intents.c.run, intents.c.change_id).where(intents.c.outcome_entry.is_(None))
    closed = [
        {"of_run": run, "of_change_id": change, "of_entry": applied[change]}
        for run, change in (connection.execute(others) if applied else ())
        if change in applied
    ]
    if closed:
        connection.execute(_CLOSE_INTENT, closed)


# An approval is good for doing it once.
_UNUSED = approvals.c.used_entry.is_(None)
_USE_APPROVAL = (
    update(approvals)
    .where(approvals.c.change_id == bindparam("of_change_id"), _UNUSED)
    .values(used_entry=bindparam("of_entry"))
)
_LISTED, _ALL_BUT = _Intended(listed=True), _Intended(listed=False)


def _named(row: Mapping[str, Any], *columns: str) -> dict[str, Any]:
    """These columns of a row, under names that no column of the updated table has."""
    return {f"of_{column}": row[column] for column in columns}


def _effect_row(entry: Entry) -> dict[str, Any]:
    payload = _said(entry)
    moves = payload["outcome"] in _MOVING
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
        "counts": moves and not payload["approved"] and not payload["leaver"],
    }


class _Move(NamedTuple):
    """What was done to a membership, if it was one."""

    op: str
    target: str
    entitlement_key: str
    subject: str
    holder: str

    @classmethod
    def told(cls, entry: Entry) -> _Move:
        """As an effect tells it."""
        said = _said(entry)
        return cls(said["op"], said["target"], said["entitlement_key"], entry.subject, said["holder"])


def _move_members(connection: Connection, done: Sequence[_Move]) -> None:
    moves: dict[EntitlementRef, list[tuple[str, bool, bool]]] = defaultdict(list)
    for each in done:
        if each.op in ("grant", "revoke") and each.holder != "nobody":
            ref = EntitlementRef(each.target, each.entitlement_key)
            moves[ref].append((each.subject, each.op == "grant", each.holder == "person"))
    if not moves:
        return
    numbers = _numbers(connection, {subject for own in moves.values() for subject, _, is_person in own if is_person})
    known = _baselines(connection, moves)
    for ref, own in moves.items():
        baseline = known[ref]
        members, services = BitMap(baseline.members), set(baseline.services)
        for subject, granted, is_person in own:
            if is_person and subject in numbers:
                (members.add if granted else members.discard)(numbers[subject])
            elif not is_person:
                (services.add if granted else services.discard)(subject)
        known[ref] = replace(baseline, members=members, services=frozenset(services))
    _save(connection, known)


def _contradicted(connection: Connection, entries: Sequence[Entry]) -> None:
    """Reading back said otherwise: the effect is not there, whatever the target answered."""
    for entry in entries:
        connection.execute(
            update(effects)
            .where(*_contradicted_by(entry, effects.c.entry, effects.c.change_id))
            .values(outcome="contradicted", counts=False)
        )
        of_it = _contradicted_by(entry, approvals.c.used_entry, approvals.c.change_id)
        connection.execute(update(approvals).where(*of_it).values(used_entry=None))
        if _said(entry)["op"] not in ("grant", "revoke"):
            continue
        ref = EntitlementRef(_said(entry)["target"], _said(entry)["entitlement_key"])
        baseline = _baselines(connection, [ref])[ref]
        members = BitMap(baseline.members)
        number = _numbers(connection, {entry.subject}).get(entry.subject)
        if number is not None:
            (members.discard if _said(entry)["op"] == "grant" else members.add)(number)
        _save(connection, {ref: replace(baseline, members=members)})


def _contradicted_by(
    entry: Entry, number: ColumnElement[int], change: ColumnElement[str]
) -> Sequence[ColumnElement[bool]]:
    """Which row it is: earlier versions had one effect in an entry, and named the entry alone."""
    own = number == _said(entry)["effect"]
    return (own, change == _said(entry)["change"]) if "change" in _said(entry) else (own,)


def _converged(connection: Connection, entries: Sequence[Entry]) -> None:
    for entry in entries:
        payload = _said(entry)
        adopted, dropped, services = payload["adopted"], payload["dropped"], payload["services"]
        ids = {person for own in [*adopted.values(), *dropped.values()] for person in own}
        numbers = _numbers(connection, ids)
        settled = set(payload["settled"])
        keys = sorted({*adopted, *dropped, *services, *settled})
        known = _baselines(connection, [EntitlementRef(payload["target"], key) for key in keys])
        rows = []
        for ref, baseline in known.items():
            key, now = ref.key, ref.key in settled
            members = baseline.members | BitMap(numbers[p] for p in adopted.get(key, ()))
            members -= BitMap(numbers[p] for p in dropped.get(key, ()))
            rows.append(
                Baseline(
                    members,
                    frozenset(services.get(key, baseline.services)),
                    payload["policy"] if now else baseline.policy_digest,
                    payload["facts"] if now else baseline.ledger_seq,
                    settled=now or baseline.settled,
                )
            )
        _save(connection, dict(zip(known, rows, strict=True)))


def _erased(connection: Connection, entries: Sequence[Entry]) -> None:
    """Nothing of what was done to the person is left, nor of what only their effects had led to.

    INVARIANT: made again without those effects, the rows are the same as these.
    """
    for entry in entries:
        person = _said(entry)["person"]
        own = select(effects.c.entry, effects.c.change_id).where(effects.c.subject == person)
        used = tuple_(approvals.c.used_entry, approvals.c.change_id).in_(own)
        connection.execute(update(approvals).where(used).values(used_entry=None))
        connection.execute(delete(effects).where(effects.c.subject == person))
        connection.execute(delete(account_links).where(account_links.c.person == person))
        connection.execute(delete(intents).where(intents.c.subject == person))
        _forget_member(connection, person)


def _forget_member(connection: Connection, person: str) -> None:
    number = _numbers(connection, [person]).get(person)
    left: dict[EntitlementRef, Baseline] = {}
    for row in connection.execute(select(baselines)).mappings().all():
        own, ref = as_baseline(row), EntitlementRef(row["target"], row["entitlement_key"])
        members = own.members - BitMap([] if number is None else [number])
        if not (members or own.services or own.policy_digest or own.settled):
            connection.execute(_FORGET, {"of_target": ref.target, "of_entitlement_key": ref.key})
        elif members != own.members:
            left[ref] = Baseline(members, own.services, own.policy_digest, own.ledger_seq, settled=own.settled)
    _save(connection, left)


_PROJECT: Mapping[Kind, Callable[[Connection, Sequence[Entry]], None]] = {
    Kind.POLICY_RECORDED: _policy_recorded,
    Kind.ACCOUNT_LINKED: _account_linked,
    Kind.APPROVED: _approved,
    Kind.RUN_STARTED: _run_started,
    Kind.INTENDED: _intended,
    Kind.EFFECT: _effect,
    Kind.EFFECTS: _effects,
    Kind.CONTRADICTED: _contradicted,
    Kind.CONVERGED: _converged,
    Kind.RUN_FINISHED: _run_finished,
    Kind.ERASED: _erased,
}


def _baselines(connection: Connection, refs: Collection[EntitlementRef]) -> dict[EntitlementRef, Baseline]:
    """What these entitlements were when they last agreed; those that never did, too."""
    by_target: dict[str, list[str]] = defaultdict(list)
    for ref in refs:
        by_target[ref.target].append(ref.key)
    found = {ref: Baseline(BitMap(), frozenset(), "", 0, settled=False) for ref in refs}
    for target, keys in by_target.items():
        for some in chunks(keys, CHUNK):
            c = baselines.c
            asked = select(baselines).where(c.target == target, c.entitlement_key.in_(some))
            for row in connection.execute(asked).mappings():
                found[EntitlementRef(target, row["entitlement_key"])] = as_baseline(row)
    return found


def as_baseline(row: RowMapping) -> Baseline:
    """What the row says."""
    return Baseline(
        members=BitMap.deserialize(row["members"]),
        services=frozenset(json.loads(row["services"])),
        policy_digest=row["policy_digest"],
        ledger_seq=row["ledger_seq"],
        settled=row["settled"],
    )


def _save(connection: Connection, known: Mapping[EntitlementRef, Baseline]) -> None:
    """Write them in place of what stands there. Many at once: others wait for their turn meanwhile."""
    rows = [
        {
            "target": ref.target,
            "entitlement_key": ref.key,
            "members": _canonical(baseline.members),
            "services": json.dumps(sorted(baseline.services)),
            "policy_digest": baseline.policy_digest,
            "ledger_seq": baseline.ledger_seq,
            "settled": baseline.settled,
        }
        for ref, baseline in known.items()
    ]
    if rows:
        connection.execute(_FORGET, [_named(row, "target", "entitlement_key") for row in rows])
        connection.execute(insert(baselines), rows)


_FORGET = delete(baselines).where(
    baselines.c.target == bindparam("of_target"), baselines.c.entitlement_key == bindparam("of_entitlement_key")
)


def _canonical(members: BitMap) -> bytes:
    """The same bytes for the same members, however they came together."""
    afresh = BitMap(members.to_array())
    afresh.run_optimize()
    return afresh.serialize()


def _numbers(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    listed = sorted(ids)
    for start in range(0, len(listed), 500):
        chunk = listed[start : start + 500]
        rows = connection.execute(select(people.c.id, people.c.number).where(people.c.id.in_(chunk)))
        found |= {row.id: row.number for row in rows}
    return found
