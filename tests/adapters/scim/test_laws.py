"""What holds whatever happens: of a list that changes while it is read, and of any steps in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.scim.paging import read_list
from reconciler.targets import Op, OutcomeKind
from reconciler.testing.targets import PEOPLE
from tests.adapters.scim.lab import ScimLab, outcomes
from tests.servers.scim import ScimServer


@dataclass
class Moving:
    """A list that changes before each page: `events` are (position, whether something comes there)."""

    ids: list[str]
    events: list[list[tuple[int, bool]]]
    largest: int
    gone: set[str] = field(default_factory=set)
    asked: int = 0
    made: int = 0

    def page(self, asked: Mapping[str, str]) -> object:
        """What is there by now, from a position on."""
        self.asked += 1
        for position, comes in self.events.pop(0) if self.events else ():
            if comes:
                self.made += 1
                self.ids.insert(position % (len(self.ids) + 1), f"new {self.made}")
            elif self.ids:
                self.gone.add(self.ids.pop(position % len(self.ids)))
        start, count = int(asked["startIndex"]) - 1, min(int(asked["count"]), self.largest)
        page = [{"id": each} for each in self.ids[start : start + count]]
        return {"totalResults": len(self.ids), "Resources": page}


@given(
    st.integers(0, 40),
    st.lists(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=4), max_size=12),
    st.integers(2, 12),
    st.integers(2, 12),
)
def test_what_is_said_to_be_all_has_everything_that_was_there_all_the_time(
    count: int, events: list[list[tuple[int, bool]]], size: int, largest: int
) -> None:
    first = [f"id {number}" for number in range(count)]
    moving = Moving(list(first), events, largest)

    listing = read_list(moving.page, size)

    if not listing.shortfall:
        assert set(first) - moving.gone <= set(listing.resources)
    assert moving.asked <= 4 * 3 * (count + 60)


@given(st.integers(0, 40), st.integers(2, 12), st.integers(2, 12))
def test_a_list_that_keeps_still_is_read_whole(count: int, size: int, largest: int) -> None:
    moving = Moving([f"id {number}" for number in range(count)], [], largest)

    listing = read_list(moving.page, size)

    assert (list(listing.resources), listing.shortfall) == (moving.ids, "")
    assert moving.asked <= 1 + count // (min(size, largest) - 1)


LOGINS = [person.login for person in PEOPLE]
STEPS = st.lists(
    st.tuples(st.sampled_from([Op.GRANT, Op.REVOKE]), st.sampled_from(LOGINS), st.sampled_from(["a", "b"])), max_size=9
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from([{}, {"without": ["bulk"], "members_per_request": 1}, {"without": ["patch"]}]))
def test_any_steps_lead_where_they_would_one_by_one(
    scim: ScimServer, steps: list[tuple[Op, str, str]], more: Mapping[str, object]
) -> None:
    lab = ScimLab(scim.tenant(), PEOPLE, {"a": ["zhang"], "b": []}, **more)
    model = {"a": {"zhang"}, "b": set[str]()}
    expected = []
    for op, login, group in steps:
        there = login in model[group]
        expected.append(OutcomeKind.ALREADY if there is (op is Op.GRANT) else OutcomeKind.APPLIED)
        (model[group].add if op is Op.GRANT else model[group].discard)(login)

    told = outcomes(lab.target, *(lab.step(op, login, group=group) for op, login, group in steps))

    assert [outcome.kind for outcome in told] == expected
    assert {group: lab.members(group) for group in model} == model
