"""The agenda: whose moment comes next, by what is known best."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.passes.agenda import Agenda

T = datetime(2026, 11, 23, 2, tzinfo=UTC)
MOMENTS = st.integers(-5, 20).map(lambda minutes: T + timedelta(minutes=minutes))
SAID = st.tuples(st.sampled_from("abc"), st.frozensets(MOMENTS, max_size=4), st.integers(1, 5))


@given(said=st.lists(SAID, max_size=12), until=MOMENTS)
def test_it_names_exactly_those_whose_next_moment_has_come(
    said: list[tuple[str, frozenset[datetime], int]], until: datetime
) -> None:
    agenda = Agenda()
    best: dict[str, tuple[frozenset[datetime], int]] = {}
    for person, turns, known in said:
        agenda.put(person, turns, after=T, known=known)
        if person not in best or best[person][1] <= known:
            best[person] = turns, known
    coming = {p: min((t for t in turns if t > T), default=None) for p, (turns, _) in best.items()}

    assert agenda.next == min((moment for moment in coming.values() if moment is not None), default=None)
    assert agenda.take(until) == {p for p, moment in coming.items() if moment is not None and moment <= until}
    assert not agenda.take(until), "a moment comes once"


def test_whose_moment_was_taken_has_another_when_it_is_put_again() -> None:
    agenda = Agenda()
    agenda.put("a", [T + timedelta(1), T + timedelta(2)], after=T, known=1)
    assert agenda.take(T + timedelta(1)) == {"a"}
    assert agenda.next is None

    agenda.put("a", [T + timedelta(1), T + timedelta(2)], after=T + timedelta(1), known=1)

    assert agenda.next == T + timedelta(2)
