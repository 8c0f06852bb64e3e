"""What became of a batch, told in a few entries, comes to the same rows as told change by change."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.apply import telling
from reconciler.apply.intents import described, spelled_out
from reconciler.apply.journal import Journal
from reconciler.apply.outcomes import outcomes as all_outcomes
from reconciler.apply.tables import Kind
from reconciler.apply.telling import Done, Intended, Told, effect, effects_of, intended
from reconciler.facts.ledger import NewEntry
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.plan.model import Cause, CauseKind, Change
from reconciler.targets import Op, Outcome, OutcomeKind
from tests.apply.shelves import NOW
from tests.servers.fixtures import new_store, postgresql

__all__ = ["new_store", "postgresql"]

TOLD = Told("r1", "sha256:plan", "2026-11-24", "sha256:policy", "ops")
TOLD_OF = (
    *("change_id", "run", "op", "target", "account_key", "entitlement_key", "subject", "slice", "outcome"),
    *("recorded_at", "counts"),
)
CAUSES = [Cause(CauseKind.POLICY, "roles.yaml:3", "role engineer"), Cause(CauseKind.PERSON, "ledger:7", "hired 入职")]


def change(number: int, group: str, cause: Cause, *, leaver: bool, service: bool, approved: bool) -> Change:
    own = f"svc-{number}" if service else None
    return Change(
        Op.GRANT,
        "dir",
        f"uid=u{number}",
        f"k{number}",
        None if service else f"E{number}",
        own,
        f"cn={group}",
        {"group": group},
        (f"{group}:read",),
        "core",
        2,
        cause,
        "absent",
        leaver,
        approved,
    )


outcomes = st.builds(Outcome, st.sampled_from(OutcomeKind), st.sampled_from(["", "", "", "the server's words"]))
changes = st.builds(
    change,
    st.integers(1, 40),
    st.sampled_from(["docs", "code"]),
    st.sampled_from(CAUSES),
    leaver=st.booleans(),
    service=st.booleans(),
    approved=st.booleans(),
)
batches = st.lists(st.tuples(changes, outcomes), min_size=1, max_size=20, unique_by=lambda each: each[0].id)


def record(facts: Facts, entries: Sequence[NewEntry]) -> int:
    with facts.store.writing() as connection:
        return facts.ledger.append(connection, entries, NOW)[-1].seq


def rows(facts: Facts, batch: Sequence[Done]) -> dict[str, Any]:
    """What is to be known of them, without the numbers of the entries that say so."""
    journal = Journal()
    with facts.store.reading() as connection:
        told = connection.execute(all_outcomes(TOLD_OF, lambda _: ()))
        return {
            "effects": sorted(tuple(row) for row in told),
            "open": sorted(
                (i.run, i.change_id, str(sorted(i.change.items()))) for i in journal.open_intents(connection)
            ),
            "approvals": journal.approvals(connection, NOW),
            "recent": journal.recent(connection, NOW - timedelta(days=1)),
            "baselines": {ref: (own.members, own.services) for ref, own in journal.baselines(connection).items()},
            "done by others": journal.done_by_others(connection, "r1", [each.change.id for each in batch]),
        }


def told_both_ways(folder: Path, urls: Sequence[str], batch: Sequence[Done]) -> list[Facts]:
    """The same batch on two records: as runs tell it, and change by change."""
    approvals = {"author": "ops", "expires_at": "2027", "policy_digest": "x", "change_ids": [batch[0].change.id]}
    facts = [Facts(Store.open(url, folder=folder / str(number)), "UTC", [Journal()]) for number, url in enumerate(urls)]
    for number, each in enumerate(facts):
        record(each, [NewEntry(Kind.APPROVED, "plan:p", "boss", approvals)])
        # Somebody died over the same.
        own = [done.change for done in batch]
        record(each, [intended(Op.GRANT, "dir", own, Told("dead", "", "", "", "ops"))])
        entry = record(each, [intended(Op.GRANT, "dir", own, TOLD)])
        if number:
            record(each, [effect(done, TOLD) for done in batch])
        else:
            told = effects_of(batch, Intended(entry, frozenset(each.id for each in own)), TOLD)
            assert sorted(d.change.id for _, some in told for d in some) == sorted(change.id for change in own)
            record(each, [said for said, _ in told])
    return facts


@settings(max_examples=60, deadline=None)
@given(batches, st.integers(1, 5))
def test_the_rows_are_the_same(drawn: list[tuple[Change, Outcome]], most_listed: int) -> None:
    batch = [Done(change, outcome) for change, outcome in drawn]
    with tempfile.TemporaryDirectory() as name, patch.object(telling, "MOST_LISTED", most_listed):
        short, long = told_both_ways(Path(name), ["sqlite:///r.db"] * 2, batch)
        assert rows(short, batch) == rows(long, batch)
        with short.store.writing() as connection:
            short.ledger.rebuild(connection)
        assert rows(short, batch) == rows(long, batch)
        assert short.ledger.verify().entries <= long.ledger.verify().entries


@pytest.mark.parametrize("most_listed", [1, 500])
def test_on_every_store(
    tmp_path: Path, new_store: Callable[[], str], monkeypatch: pytest.MonkeyPatch, most_listed: int
) -> None:
    monkeypatch.setattr(telling, "MOST_LISTED", most_listed)
    kinds = [OutcomeKind.APPLIED] * 5 + [OutcomeKind.ALREADY] * 2 + [OutcomeKind.UNAVAILABLE] * 2
    batch = [
        Done(change(n, "docs", CAUSES[0], leaver=n == 3, service=n == 4, approved=False), Outcome(kind))
        for n, kind in enumerate(kinds)
    ]
    short, long = told_both_ways(tmp_path, [new_store(), new_store()], batch)

    assert rows(short, batch) == rows(long, batch)


@given(st.lists(changes, min_size=1, max_size=20, unique_by=lambda each: each.id))
def test_what_is_said_in_short_is_read_whole(several: list[Change]) -> None:
    said = list(spelled_out(intended(Op.GRANT, "dir", several, TOLD).payload))

    assert said == [{**described(each), "id": each.id, **({"account": ""} if each.person else {})} for each in several]
