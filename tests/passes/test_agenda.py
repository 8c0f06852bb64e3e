"""The agenda: whose moment comes next, by what is known best."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.passes.agenda import Agenda, Calendar, calendar_of

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


# --- everybody at once ------------------------------------------------------------------------------------------------


class EachByThemselves:
    """What an agenda says, told person by person: of everybody that of whoever knew more, or else was heard last."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[datetime | None, int]] = dict.fromkeys("abc", (None, 0))

    def put(self, person: str, coming: datetime | None, known: int) -> None:
        if known >= self.known[person][1]:
            self.known[person] = coming, known

    def take(self, now: datetime) -> set[str]:
        found = {person for person, (moment, _) in self.known.items() if moment is not None and moment <= now}
        self.known |= {person: (None, self.known[person][1]) for person in found}
        return found

    @property
    def next(self) -> datetime | None:
        return min((moment for moment, _ in self.known.values() if moment is not None), default=None)


ONE = st.tuples(st.just("one"), st.sampled_from("abc"), st.none() | MOMENTS, st.integers(0, 5))
ALL = st.tuples(
    st.just("all"), st.dictionaries(st.sampled_from("abc"), st.none() | MOMENTS), MOMENTS, st.integers(0, 5)
)
NOW = st.tuples(st.just("now"), MOMENTS)


@given(steps=st.lists(ONE | ALL | NOW, max_size=20))
def test_told_of_everybody_at_once_it_says_what_it_would_say_told_of_each(steps: list[tuple[object, ...]]) -> None:
    """Whatever is lost, comes twice or too late on the way, and whatever single passes said meanwhile."""
    agenda, each = Agenda(), EachByThemselves()
    for step in steps:
        match step:
            case "one", str(person), turn, int(known):
                coming = turn if isinstance(turn, datetime) and turn > T else None
                agenda.put(person, [coming] if coming else [], after=T, known=known)
                each.put(person, coming, known)
            case "all", dict(turns), datetime() as after, int(known):
                agenda.adopt(calendar_of(turns.items(), after=after, known=known))
                for person in "abc":
                    turn = turns.get(person)
                    each.put(person, turn if turn is not None and turn > after else None, known)
            case "now", datetime() as now:
                assert agenda.take(now) == each.take(now)
                assert not agenda.take(now), "a moment comes once"
        assert agenda.next == each.next


def test_a_calendar_is_in_order_and_names_nobody_who_has_nothing_to_come() -> None:
    first, second = T + timedelta(1), T + timedelta(2)
    turns = [("a", second), ("b", None), ("c", first), ("d", T), ("e", second), ("f", T - timedelta(1))]

    calendar = calendar_of(turns, after=T, known=7)

    assert calendar == Calendar(T, 7, ((first, ("c",)), (second, ("a", "e"))))
    assert calendar.until(first) == {"c"}
    assert calendar.until(second) == {"a", "c", "e"}
