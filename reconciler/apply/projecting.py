"""Ledger entries → rows of the journal's tables. `flush` is the only place that writes them.

INVARIANT: the same entries make the same rows, in whatever batches they come.
"""

from __future__ import annotations

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
    Text,
    and_,
    bindparam,
    cast,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from reconciler.apply.agreed import as_baseline, baselines_of, forget_baselines, save_baselines
from reconciler.apply.intents import spelled_out
from reconciler.apply.outcomes import OF_BATCHES, SOME, of_batches, outcomes
from reconciler.apply.tables import (
    OPEN,
    Kind,
    account_links,
    approvals,
    baselines,
    batch_outcomes,
    batches,
    effects,
    intents,
    open_batches,
    policies,
    runs,
)
from reconciler.facts.adding import add_rows, add_values
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
    _link(connection, [(_said(e)["target"], _said(e)["account_key"], e.subject, e.seq) for e in entries])


def _accounts_linked(connection: Connection, entries: Sequence[Entry]) -> None:
    _link(connection, [(_said(e)["target"], key, person, e.seq) for e in entries for key, person in _said(e)["links"]])


def _link(connection: Connection, rows: Sequence[tuple[str, str, str, int]]) -> None:
    """The last word on an account counts."""
    last = {row[:2]: row for row in rows}
    columns = ("target", "account_key", "person", "entry")
    add_values(connection, account_links, columns, list(last.values()), replacing=columns[:2])


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
    rows = [(entry.seq, _said(entry)["run"], _said(entry)["target"], _op(_said(entry))) for entry in entries]
    add_values(connection, batches, ("entry", "run", "target", "op"), rows)
    add_values(connection, open_batches, ("entry",), [row[:1] for row in rows])
    own = [row for entry in entries for row in _intents_of(entry)]
    add_values(connection, intents, ("entry", "number", "change_id", "subject", "account_key", *_SHARED), own)


def _op(said: Mapping[str, Any]) -> str:
    """All changes of an entry have the same; earlier versions said it with each."""
    op: str = said["op"] if "op" in said else said["changes"][0]["op"]
    return op


_SHARED = ("holder", "entitlement_key", "slice", "counts")
"""What of an intent is said once for many of them."""


def _intents_of(entry: Entry) -> list[tuple[Any, ...]]:
    said = _said(entry)
    if "shared" not in said:  # as earlier versions wrote
        own = list(spelled_out(said))
        alike = [_said_once(each) for each in own]
        own = [{**each, "as": number} for number, each in enumerate(own)]
    else:
        own, alike = said["changes"], [_said_once(each) for each in said["shared"]]
    return [
        (entry.seq, number, each["id"], each["subject"], each["account_key"], *alike[each["as"]])
        for number, each in enumerate(own)
    ]


def _said_once(said: Mapping[str, Any]) -> tuple[Any, ...]:
    return said["holder"], said["entitlement_key"], said["slice"], not said["approved"] and not said["leaver"]


def _effect(connection: Connection, entries: Sequence[Entry]) -> None:
    rows = [_effect_row(entry) for entry in entries]
    add_rows(connection, effects, rows)
    done = [row for row in rows if row["outcome"] in _DONE]
    # What nobody answered to may have happened: it stays open until somebody has read what became of it.
    _close(connection, [row for row in rows if row["outcome"] != _SILENT])
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
        moves = said["outcome"] in _MOVING
        if said["outcome"] == _SILENT:
            connection.execute(all_of.copied, {**these, **told, "moves": moves})
            continue
        if connection.execute(_TOLD_BEFORE, {"intended": said["intended"]}).first():
            connection.execute(all_of.told_before, these)
        own = {"entry": entry.seq, "intended": said["intended"], "outcome": said["outcome"]}
        in_entry = {**these, "in_entry": entry.seq}
        if these["listed"] or listed:
            connection.execute(all_of.closed, in_entry)
        else:
            _close_whole(connection, in_entry)
        connection.execute(insert(batch_outcomes).values(**own, recorded_at=told["at"], moves=moves))
        if said["outcome"] in _DONE:
            connection.execute(all_of.used, in_entry)
            _move_batch(connection, all_of, these)
        if said["outcome"] == _APPLIED and connection.execute(_OPEN_ELSEWHERE, {"of_run": said["run"]}).first():
            connection.execute(all_of.closed_elsewhere, in_entry)
        connection.execute(_SHUT)


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
        members = func.aggregate_strings(cast(people.c.number, Text), ",")
        alike = batches.c.op, batches.c.target, c.entitlement_key, c.holder
        # Put together there: a row for each of a million members is dear, and a row for each group is not.
        self.moves = (
            select(*alike, members.label("members"))
            .select_from(intents.join(batches, batches.c.entry == c.entry).outerjoin(people, people.c.id == c.subject))
            .where(*these, c.holder == "person", batches.c.op.in_(["grant", "revoke"]))
            .group_by(*alike)
        )
        self.service_moves = (
            select(batches.c.op, batches.c.target, c.entitlement_key, c.subject)
            .join(batches, batches.c.entry == c.entry)
            .where(*these, c.holder == "service-account")
        )
        self.closed = update(intents).where(*these).values(outcome_entry=bindparam("in_entry"))
        # As `_close`; their own are closed by then.
        self.closed_elsewhere = (
            update(intents).where(OPEN, c.change_id.in_(changes)).values(outcome_entry=bindparam("in_entry"))
        )
        self.used = (
            update(approvals)
            .where(approvals.c.change_id.in_(changes), _UNUSED)
            .values(used_entry=bindparam("in_entry"))
        )
        names = tuple(effects.c.keys())
        now: Mapping[str, ColumnElement[Any]] = {
            **OF_BATCHES,
            "entry": bindparam("in_entry", type_=Sequence64),
            "outcome": bindparam("so", type_=Text),
            "recorded_at": bindparam("at", type_=Text),
            "counts": and_(c.counts, bindparam("moves", type_=Boolean)),
        }
        row = select(*(now[name] for name in names)).where(*these, batches.c.entry == c.entry)
        self.copied = insert(effects).from_select(names, row)
        # What was told of a batch before, and is told again by another one, stays on the record by itself.
        before = of_batches(names, lambda _: these)
        self.told_before = insert(effects).from_select(names, before)


_TOLD_BEFORE = select(batch_outcomes.c.entry).where(batch_outcomes.c.intended == bindparam("intended")).limit(1)


def _close_whole(connection: Connection, in_entry: Mapping[str, Any]) -> None:
    """All of a batch is settled by one entry: that is said once, and of none apart."""
    for statement in (_TOGETHER, _SAID_APART):
        connection.execute(statement, in_entry)


_TOGETHER = update(batches).where(batches.c.entry == bindparam("intended")).values(outcome_entry=bindparam("in_entry"))
_SAID_APART = (
    update(intents)
    .where(intents.c.entry == bindparam("intended"), intents.c.outcome_entry.is_not(None))
    .values(outcome_entry=None)
)
_OPEN_ELSEWHERE = (
    select(open_batches.c.entry)
    .join(batches, batches.c.entry == open_batches.c.entry)
    .where(batches.c.run != bindparam("of_run"))
    .limit(1)
)
"""What one run intends, it intends once: only what others left can be the same."""
_SHUT = delete(open_batches).where(
    ~exists().where(
        batches.c.entry == open_batches.c.entry,
        batches.c.outcome_entry.is_(None),
        intents.c.entry == open_batches.c.entry,
        intents.c.outcome_entry.is_(None),
    )
)
"""Forget of those batches that are held to be open the ones of which nothing is."""


def _close(connection: Connection, told: Sequence[Mapping[str, Any]]) -> None:
    """What a run says of a change closes its own intent; and what one run did, no run that died over the same change
    before it had done. One after the other, in order: which entry closes an intent depends on no batch.
    """
    left: dict[str, list[Any]] = defaultdict(list)
    for some in chunks(sorted({row["change_id"] for row in told}), CHUNK):
        for each in connection.execute(_OPEN_OF, {"some": some}):
            left[each.change_id].append(each)
    closed = []
    for row in told if left else ():
        mine, whose = left[row["change_id"]], None if row["outcome"] == _APPLIED else row["run"]
        gone = [each for each in mine if whose in (None, each.run)]
        left[row["change_id"]] = [each for each in mine if whose not in (None, each.run)]
        closed += [{"of_entry": each.entry, "of_number": each.number, "by": row["entry"]} for each in gone]
    if closed:
        connection.execute(_CLOSE, closed)
        connection.execute(_SHUT)


_OPEN_OF = (
    select(intents.c.entry, intents.c.number, intents.c.change_id, batches.c.run)
    .join(batches, batches.c.entry == intents.c.entry)
    .where(OPEN, intents.c.change_id.in_(SOME))
)
_CLOSE = (
    update(intents)
    .where(intents.c.entry == bindparam("of_entry"), intents.c.number == bindparam("of_number"))
    .values(outcome_entry=bindparam("by"))
)
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
        "account_key": payload.get("account_key", ""),
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
    people_in = {each.subject for each in done if each.holder == "person"}
    numbers = _numbers(connection, people_in)
    moves: dict[EntitlementRef, list[_Moved]] = defaultdict(list)
    for each in done:
        if each.op in ("grant", "revoke") and each.holder != "nobody":
            person = each.holder == "person"
            known = [numbers[each.subject]] if person and each.subject in numbers else []
            services = () if person else (each.subject,)
            moves[EntitlementRef(each.target, each.entitlement_key)].append(
                _Moved(each.op == "grant", BitMap(known), services)
            )
    _save_moved(connection, moves)


class _Moved(NamedTuple):
    """Who was put into an entitlement, or taken out of it."""

    granted: bool
    members: BitMap
    services: Collection[str] = ()


def _move_batch(connection: Connection, all_of: _Intended, these: Mapping[str, Any]) -> None:
    """As `_move_members`, of what one entry intended."""
    moves: dict[EntitlementRef, list[_Moved]] = defaultdict(list)
    for row in connection.execute(all_of.moves, these):
        members = BitMap(map(int, row.members.split(","))) if row.members else BitMap()
        moves[EntitlementRef(row.target, row.entitlement_key)].append(_Moved(row.op == "grant", members))
    for row in connection.execute(all_of.service_moves, these):
        if row.op in ("grant", "revoke"):
            moved = _Moved(row.op == "grant", BitMap(), (row.subject,))
            moves[EntitlementRef(row.target, row.entitlement_key)].append(moved)
    _save_moved(connection, moves)


def _save_moved(connection: Connection, moves: Mapping[EntitlementRef, Sequence[_Moved]]) -> None:
    known = baselines_of(connection, moves) if moves else {}
    for ref, own in moves.items():
        baseline = known[ref]
        members, services = BitMap(baseline.members), set(baseline.services)
        for each in own:
            (members.update if each.granted else members.difference_update)(each.members)
            (services.update if each.granted else services.difference_update)(each.services)
        known[ref] = replace(baseline, members=members, services=frozenset(services))
    save_baselines(connection, known)


def _contradicted(connection: Connection, entries: Sequence[Entry]) -> None:
    """Reading back said otherwise: the effect is not there, whatever the target answered."""
    for entry in entries:
        connection.execute(
            update(effects)
            .where(*_contradicted_by(entry, effects.c.entry, effects.c.change_id))
            .values(outcome="contradicted", counts=False)
        )
        if "change" in _said(entry):
            of_it = {"effect": _said(entry)["effect"], "change": _said(entry)["change"]}
            connection.execute(_CONTRADICT, of_it)
            connection.execute(_TOLD_APART, {**of_it, "in_entry": entry.seq})
        used = _contradicted_by(entry, approvals.c.used_entry, approvals.c.change_id)
        connection.execute(update(approvals).where(*used).values(used_entry=None))
        if _said(entry)["op"] not in ("grant", "revoke"):
            continue
        ref = EntitlementRef(_said(entry)["target"], _said(entry)["entitlement_key"])
        baseline = baselines_of(connection, [ref])[ref]
        members = BitMap(baseline.members)
        number = _numbers(connection, {entry.subject}).get(entry.subject)
        if number is not None:
            (members.discard if _said(entry)["op"] == "grant" else members.add)(number)
        save_baselines(connection, {ref: replace(baseline, members=members)})


_CONTRADICTED = {**OF_BATCHES, "outcome": literal("contradicted"), "counts": false()}
_CONTRADICT = insert(effects).from_select(
    tuple(effects.c.keys()),
    of_batches(
        tuple(effects.c.keys()),
        lambda c: (c.entry == bindparam("effect"), c.change_id == bindparam("change")),
        _CONTRADICTED,
    ),
)
"""One of a batch that shared its outcome so far."""
_SETTLED_BY_BATCH = func.coalesce(
    intents.c.outcome_entry,
    select(batches.c.outcome_entry).where(batches.c.entry == intents.c.entry).scalar_subquery(),
)
_TOLD_APART = (
    update(intents)
    .where(
        intents.c.entry.in_(select(batch_outcomes.c.intended).where(batch_outcomes.c.entry == bindparam("effect"))),
        intents.c.change_id == bindparam("change"),
        bindparam("effect") == _SETTLED_BY_BATCH,
    )
    .values(outcome_entry=bindparam("in_entry"))
)


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
        known = baselines_of(connection, [EntitlementRef(payload["target"], key) for key in keys])
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
        save_baselines(connection, dict(zip(known, rows, strict=True)))


def _erased(connection: Connection, entries: Sequence[Entry]) -> None:
    """Nothing of what was done to the person is left, nor of what only their effects had led to.

    INVARIANT: made again without those effects, the rows are the same as these.
    """
    for entry in entries:
        person = _said(entry)["person"]
        connection.execute(_TAKE_BACK, {"person": person})
        connection.execute(delete(effects).where(effects.c.subject == person))
        connection.execute(delete(account_links).where(account_links.c.person == person))
        connection.execute(delete(intents).where(intents.c.subject == person))
        connection.execute(_SHUT)
        _forget_member(connection, person)


_TAKE_BACK = (
    update(approvals)
    .where(
        tuple_(approvals.c.used_entry, approvals.c.change_id).in_(
            outcomes(["entry", "change_id"], lambda c: (c.subject == bindparam("person"),))
        )
    )
    .values(used_entry=None)
)


def _forget_member(connection: Connection, person: str) -> None:
    number = _numbers(connection, [person]).get(person)
    left: dict[EntitlementRef, Baseline] = {}
    for row in connection.execute(select(baselines)).mappings().all():
        own, ref = as_baseline(row), EntitlementRef(row["target"], row["entitlement_key"])
        members = own.members - BitMap([] if number is None else [number])
        if not (members or own.services or own.policy_digest or own.settled):
            forget_baselines(connection, [ref])
        elif members != own.members:
            left[ref] = Baseline(members, own.services, own.policy_digest, own.ledger_seq, settled=own.settled)
    save_baselines(connection, left)


_PROJECT: Mapping[Kind, Callable[[Connection, Sequence[Entry]], None]] = {
    Kind.POLICY_RECORDED: _policy_recorded,
    Kind.ACCOUNT_LINKED: _account_linked,
    Kind.ACCOUNTS_LINKED: _accounts_linked,
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


def _numbers(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    listed = sorted(ids)
    for start in range(0, len(listed), 500):
        chunk = listed[start : start + 500]
        rows = connection.execute(select(people.c.id, people.c.number).where(people.c.id.in_(chunk)))
        found |= {row.id: row.number for row in rows}
    return found
