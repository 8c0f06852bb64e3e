"""Erasing what the record says of a person, when the law asks for it or their retention is over.

Promises: the chain still verifies; what is left is the id (a pseudonym), the number, that they are out, and that, when
and by whom it was erased. Nobody is erased who works here or will, so that erasing opens and closes nothing: whatever
account still bears the id stays a leaver's. An erased id is never used again.

Sources: Regulation (EU) 2016/679, article 17; Personal Information Protection Law of the People's Republic of China,
article 47.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from reconciler.errors import ReconcilerError
from reconciler.facts.feed_state import imports_naming
from reconciler.facts.ledger import ERASED, Json, NewEntry, ledger_entries, ledger_payloads
from reconciler.facts.model import Person
from reconciler.facts.people import Facts, erasure_subject

__all__ = ["Erasure", "ErasureRefused", "erase", "left_at", "long_gone"]


class ErasureRefused(ReconcilerError):
    """This person cannot be erased, or not yet."""

    code = "erasure"


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased: of whom, how many payloads, by which ledger entry."""

    person: str
    payloads: int
    entry: int


def left_at(person: Person, at: datetime) -> datetime | None:
    """Since when the person is out for good at the moment; None where they are not."""
    if any(post.span.end is None or post.span.end > at for post in person.assignments) and not _said_out(person, at):
        return None
    said = [span.start for span in person.exited if span.covers(at) and span.end is None and span.start is not None]
    ended = [post.span.end for post in person.assignments if post.span.end is not None and post.span.end <= at]
    known = said or ended
    return max(known) if known else None


def long_gone(people: Sequence[Person], before: datetime, at: datetime) -> list[Person]:
    """Those who were out before the one moment and are still out at the other."""
    found = ((person, left_at(person, at)) for person in people)
    return [person for person, since in found if since is not None and since <= before]


def erase(facts: Facts, person: str, reason: str, *, now: datetime, actor: str) -> Erasure:
    """Destroy the payloads of everything recorded about the person, and their key. Raises `PersonUnknown`, and
    `ErasureRefused` for somebody who is not out for good or was erased already, and without a reason.
    """
    if not reason.strip():
        raise ErasureRefused("erasing needs a reason that somebody can read later", remedy="--reason 'why'")
    facts.find_person(person)
    with facts.store.writing() as connection:
        known = facts.population_in(connection, [person], evidence=False).by_id[person]  # as nobody else can change it
        if before := facts.erased(connection, [person]):
            raise ErasureRefused(f"`{person}` was erased already (ledger entry {before[person]})")
        if left_at(known, now) is None:
            raise ErasureRefused(
                f"`{person}` works here, or will: what access follows from cannot be erased",
                remedy="record the exit first, let it take effect, and run `reconciler apply`",
            )
        numbers = sorted({*_payloads_about(connection, person), *imports_naming(connection, person)})
        payload: Mapping[str, Json] = {"person": person, "entries": numbers, "reason": reason.strip()}
        news = NewEntry(ERASED, erasure_subject(person), actor, payload)
        entry = facts.ledger.erase(connection, person, news, now.astimezone(UTC))
    return Erasure(person, len(numbers), entry.seq)


def _said_out(person: Person, at: datetime) -> bool:
    return any(span.covers(at) and span.end is None for span in person.exited)


def _payloads_about(connection: Connection, person: str) -> Sequence[int]:
    joined = ledger_entries.join(ledger_payloads, ledger_payloads.c.seq == ledger_entries.c.seq)
    asked = select(ledger_entries.c.seq).select_from(joined).where(ledger_entries.c.subject == person)
    return connection.execute(asked).scalars().all()
