"""What a run of ours did, and only that: who was granted something from here, and which accounts were disabled."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.apply.journal import DisabledHere, Journal
from reconciler.apply.tables import Kind
from reconciler.facts.ledger import NewEntry
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.policy.model import EntitlementRef

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OUTCOMES = st.sampled_from(["applied", "already", "refused", "stale", "unavailable", "not-applied"])
DOCS, CODE, ELSEWHERE = (
    EntitlementRef("dir", "group=docs"),
    EntitlementRef("dir", "group=code"),
    EntitlementRef("b", "group=docs"),
)

memberships = st.lists(
    st.tuples(
        st.sampled_from(["grant", "revoke"]), OUTCOMES, st.sampled_from([DOCS, CODE, ELSEWHERE]), st.sampled_from("AB")
    ),
    max_size=12,
)
operations = st.lists(
    st.tuples(
        st.sampled_from(["disable-account", "enable-account", "end-sessions"]), OUTCOMES, st.sampled_from(["k1", "k2"])
    ),
    max_size=12,
)


def entries(number: int, op: str, outcome: str, ref: EntitlementRef, subject: str, key: str) -> list[NewEntry]:
    change: dict[str, Any] = {
        "op": op,
        "subject": subject,
        "target": ref.target,
        "entitlement_key": ref.key,
        "account_key": key,
        "slice": "s",
        "approved": False,
        "leaver": False,
        "holder": "nobody",
    }
    run = {"run": "r", "target": ref.target}
    intended = NewEntry(Kind.INTENDED, "run:r", "ops", {**run, "changes": [{"id": f"c{number}", **change}]})
    return [
        intended,
        NewEntry(Kind.EFFECT, subject, "ops", {**run, **change, "change": f"c{number}", "outcome": outcome}),
    ]


def recorded(folder: str, told: list[NewEntry]) -> Facts:
    facts = Facts(Store.open("sqlite:///s.db", folder=Path(folder)), "UTC", [Journal()])
    if told:
        with facts.store.writing() as connection:
            facts.ledger.append(connection, told, NOW)
    return facts


@settings(max_examples=25, deadline=None)
@given(memberships)
def test_granted_here_is_the_last_word_of_our_own(drawn: list[tuple[str, str, EntitlementRef, str]]) -> None:
    expected: dict[EntitlementRef, set[str]] = {DOCS: set(), ELSEWHERE: set()}
    told = []
    for number, (op, outcome, ref, subject) in enumerate(drawn):
        told += entries(number, op, outcome, ref, subject, "k")
        if ref in expected and op == "grant" and outcome == "applied":
            expected[ref].add(subject)
        elif ref in expected and op == "revoke" and outcome in ("applied", "already"):
            expected[ref].discard(subject)
    with TemporaryDirectory() as folder:
        facts = recorded(folder, told)
        with facts.store.reading() as connection:
            assert Journal().granted_here(connection, [DOCS, ELSEWHERE]) == expected
            assert Journal().granted_here(connection, []) == {}


@settings(max_examples=25, deadline=None)
@given(operations)
def test_disabled_here_is_what_we_disabled_and_nobody_enabled(drawn: list[tuple[str, str, str]]) -> None:
    expected: set[str] = set()
    left: set[str] = set()
    told = []
    for number, (op, outcome, key) in enumerate(drawn):
        told += entries(number, op, outcome, EntitlementRef("dir", ""), "E1", key)
        if op == "disable-account" and outcome == "applied":
            expected.add(key)
            left.add(key)
        elif op == "enable-account" and outcome in ("applied", "already"):
            expected.discard(key)
            left.discard(key)
        elif op == "end-sessions" and outcome in ("applied", "already"):
            left.discard(key)
    with TemporaryDirectory() as folder:
        facts = recorded(folder, told)
        with facts.store.reading() as connection:
            assert Journal().disabled_here(connection, "dir") == DisabledHere(frozenset(expected), frozenset(left))
            assert Journal().disabled_here(connection, "elsewhere") == DisabledHere()
