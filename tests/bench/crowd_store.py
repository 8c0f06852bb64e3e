"""A store that knows a large company, filled in seconds: people with plausible attributes, and their proofs.

The rows are those that the projections would have made, written without the events that lead to them: the ledger of
such a store is empty. It serves to measure reading; it is no record of anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations

from sqlalchemy import Connection, Table, insert

from reconciler.facts.ledger import chunks
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Span
from reconciler.facts.store import Store
from reconciler.facts.stored import evidence_row, evidence_table, people_table, person_row

FIRST_DAY = datetime(2012, 1, 1, 16, tzinfo=UTC)
RECORDED = datetime(2026, 11, 1, 1, tzinfo=UTC)
DIVISIONS = ("rd", "chip", "sales", "operations", "finance", "legal")
POSTS = {
    "rd": ("engineer", "architect", "product-manager"),
    "chip": ("chip-designer", "verifier", "engineer"),
    "sales": ("account-manager", "engineer", "assistant"),
    "operations": ("it", "operator", "engineer"),
    "finance": ("accountant", "controller", "assistant"),
    "legal": ("counsel", "hr", "assistant"),
}
LOCATIONS = ("cn/shanghai", "cn/beijing", "cn/shenzhen", "de/munich", "us/austin")
GIVEN = ("伟", "芳", "娜", "敏", "静", "强", "磊", "洋", "艳", "勇", "杰", "娟", "涛", "明", "超", "霞")
FAMILY = ("王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "马", "朱", "胡", "林")
EVIDENCE = ("nda", "ip-assignment", "secrecy-training", "background-check")
TEAMS, PROJECTS_EACH, WRITTEN_AT_ONCE = 50, 8, 10_000


def person(number: int) -> Person:
    """One of them: in one of 300 teams, with up to two of the team's projects; one in 500 has resigned, one in 400 is
    on leave, one in 100 has left.
    """
    scattered = number * 2_654_435_761 % 2**32  # spreads what depends on a number, the same on every machine
    started = FIRST_DAY + timedelta(days=scattered % 5000)
    entry = number * (1 + len(EVIDENCE)) + 1
    left = RECORDED - timedelta(days=scattered % 300) if number % 100 == 99 else None
    notice = (Span(RECORDED, None, entry),) if number % 500 == 7 else ()
    return Person(
        number,
        person_id(number),
        FAMILY[scattered // 7 % 16] + GIVEN[scattered // 11 % 16] + GIVEN[scattered // 13 % 16],
        f"e{number:07}@example.com",
        (Assignment("main", _attributes(scattered), Span(started, left, entry)),),
        notice=notice,
        leave=(Span(RECORDED, None, entry),) if number % 400 == 5 else (),
        exited=(Span(left, None, entry),) if left else (),
        employed_since=started,
        last_entry=entry + len(EVIDENCE),
    )


def person_id(number: int) -> str:
    """The id of the person of this number."""
    return f"E{number:07}"


def proofs(number: int) -> Iterator[EvidenceRecord]:
    """Their four records: two agreements and a check with a reference, a training without one."""
    scattered = number * 2_246_822_519 % 2**32
    for step, kind in enumerate(EVIDENCE):
        trained = kind == "secrecy-training"
        age = scattered // (step + 3) % (400 if trained else 2500)
        entry = number * (1 + len(EVIDENCE)) + 2 + step
        yield EvidenceRecord(
            entry,
            person_id(number),
            kind,
            "",
            3 if kind == "nda" else 1,
            datetime(2026, 10, 31, 16, tzinfo=UTC) - timedelta(days=age),
            None,
            scattered % 97 == step,
            "" if trained else f"DOC-{entry:08}",
            "training" if trained else "hr",
            RECORDED,
        )


def fill(store: Store, people: int, *, evidence: bool = True) -> None:
    """Write so many people, with four proofs each, into a store that knows nobody yet."""
    fill_with(store, map(person, range(people)), (one for n in range(people) for one in proofs(n)) if evidence else ())


def fill_with(store: Store, people: Iterable[Person], evidence: Iterable[EvidenceRecord]) -> None:
    """Write these people and records into a store that knows nobody yet."""
    with store.writing() as connection:
        _write(connection, people_table, map(person_row, people))
        _write(connection, evidence_table, map(evidence_row, evidence))


def _write(connection: Connection, table: Table, rows: Iterable[dict[str, object]]) -> None:
    statement = insert(table)
    for some in chunks(rows, WRITTEN_AT_ONCE):
        connection.execute(statement, some)


def _attributes(scattered: int) -> dict[str, str]:
    division = DIVISIONS[scattered % len(DIVISIONS)]
    team = scattered // 17 % TEAMS
    own = [f"{division}-{team}-{n}" for n in range(PROJECTS_EACH)]
    choices = [(), *combinations(own, 1), *combinations(own, 2)]
    return {
        "department": f"{division}/{team % 7}/{team}",
        "employment": ("contractor", "intern")[scattered % 2] if scattered // 19 % 12 == 0 else "employee",
        "grade": f"P{3 + scattered // 23 % 6}",
        "location": LOCATIONS[team % len(LOCATIONS)],
        "post": POSTS[division][scattered // 29 % 3],
        "projects": ";".join(choices[scattered // 31 % len(choices)]),
    }
