"""Guards: what they let through is small, what they hold can be released, and nothing loosens them by itself."""

from __future__ import annotations

from collections import defaultdict
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.plan.guards import Approvals, exceeds, hold, stricter, with_digests
from reconciler.plan.model import CauseKind, Change, plan_digest
from reconciler.policy.model import Guards, Limit
from reconciler.targets import Op
from tests.plan.values import NOBODY, POLICY, change, guards, many_changes, ref_of, standing

DEFAULTS = Guards()


def held_by(changes: list[Change]) -> set[str | None]:
    return {each.held.guard if each.held else None for each in changes}


def limit_of(one: Change, numbers: Guards) -> Limit:
    people = one.cause.kind in (CauseKind.PERSON, CauseKind.EVIDENCE, CauseKind.TIME)
    if one.op in (Op.GRANT, Op.CREATE_ACCOUNT, Op.ENABLE_ACCOUNT):
        return numbers.people_grant if people else numbers.rules_grant
    return numbers.people_revoke if people else numbers.rules_revoke


@given(many_changes, guards, st.integers(0, 40), st.sets(st.integers(1, 30)))
def test_what_a_slice_lets_go_never_exceeds_its_limit(
    changes: list[Change], numbers: Guards, covered: int, yesterday: set[int]
) -> None:
    before = frozenset(f"E{n}" for n in yesterday)
    world = standing(changes, covered=covered, recent={each.slice: before for each in changes})
    free: dict[str, list[Change]] = defaultdict(list)
    for each in hold(changes, numbers, world, NOBODY, POLICY):
        if each.held is None and not each.leaver:
            free[each.slice].append(each)
    for own in free.values():
        people = {each.subject for each in own} | before
        assert not exceeds(limit_of(own[0], numbers), len(people), covered)


@given(many_changes, guards)
def test_approving_every_held_change_frees_all(changes: list[Change], numbers: Guards) -> None:
    world = standing(changes, covered=10, settled=False, unproven={ref_of(each): "cut off" for each in changes})
    first = hold(changes, numbers, world, NOBODY, POLICY)
    actors = {each.id: frozenset({"boss", "deputy", "third"}) for each in first if each.held}

    second = hold(changes, numbers, world, Approvals(actors, actors), POLICY)

    assert [each for each in second if each.held] == []
    assert {each.id for each in second if each.approved} == actors.keys()


@given(many_changes, guards)
def test_a_held_digest_names_exactly_its_changes(changes: list[Change], numbers: Guards) -> None:
    together: dict[str, list[str]] = defaultdict(list)
    for each in hold(changes, numbers, standing(changes, covered=10), NOBODY, POLICY):
        if each.held:
            together[each.held.digest].append(each.id)
    assert all(plan_digest(POLICY, ids) == digest for digest, ids in together.items())


@given(many_changes, guards, st.data())
def test_a_part_of_a_plan_has_digests_of_its_own(changes: list[Change], numbers: Guards, data: st.DataObject) -> None:
    whole = hold(changes, numbers, standing(changes, covered=10), NOBODY, POLICY)
    kept = data.draw(st.sets(st.sampled_from([each.id for each in whole]))) if whole else set()
    part = with_digests([each for each in whole if each.id in kept], POLICY)
    assert [each.id for each in part] == [each.id for each in whole if each.id in kept]
    for each in part:
        if each.held:
            ids = [other.id for other in part if other.held and other.held.digest == each.held.digest]
            assert plan_digest(POLICY, ids) == each.held.digest


@given(many_changes, guards, st.randoms(use_true_random=False))
def test_the_order_of_changes_decides_nothing(changes: list[Change], numbers: Guards, chance: Random) -> None:
    shuffled = list(changes)
    chance.shuffle(shuffled)
    world = standing(changes, covered=20)
    one = {each.id: each for each in hold(changes, numbers, world, NOBODY, POLICY)}
    assert one == {each.id: each for each in hold(shuffled, numbers, world, NOBODY, POLICY)}


@given(many_changes, guards)
def test_guards_neither_add_nor_lose_changes(changes: list[Change], numbers: Guards) -> None:
    assert [each.id for each in hold(changes, numbers, standing(changes), NOBODY, POLICY)] == [c.id for c in changes]


@given(many_changes, guards)
def test_a_leaver_is_held_by_protection_alone(changes: list[Change], numbers: Guards) -> None:
    world = standing(changes, covered=1, settled=False, unproven={ref_of(each): "cut off" for each in changes})
    for each in hold(changes, numbers, world, NOBODY, POLICY):
        if each.leaver and each.held and each.op is Op.REVOKE and each.cause.kind is not CauseKind.POLICY:
            assert each.held.guard == "protected"
            assert each.subject in numbers.protected


@given(guards, guards)
def test_stricter_is_commutative_and_idempotent(left: Guards, right: Guards) -> None:
    assert stricter(left, right) == stricter(right, left)
    assert stricter(stricter(left, right), right) == stricter(left, right)


@given(guards)
def test_stricter_of_equals_is_the_same(numbers: Guards) -> None:
    assert stricter(numbers, numbers) == numbers


@given(guards, guards, guards)
def test_stricter_is_associative(one: Guards, two: Guards, three: Guards) -> None:
    assert stricter(stricter(one, two), three) == stricter(one, stricter(two, three))


@given(many_changes, guards, guards)
def test_stricter_is_never_looser(changes: list[Change], left: Guards, right: Guards) -> None:
    """Whatever either holds, both together hold."""
    world = standing(changes, covered=20)
    both = {each.id for each in hold(changes, stricter(left, right), world, NOBODY, POLICY) if each.held}
    for alone in (left, right):
        lane = {each.id for each in changes if each.leaver and each.cause.kind is CauseKind.POLICY}
        held = {each.id for each in hold(changes, alone, world, NOBODY, POLICY) if each.held}
        assert held - lane <= both


# --- the numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "covered", "trips"),
    [(0, 0, False), (1, 0, False), (2, 2, False), (3, 3, True), (3, 30, False), (4, 30, True), (26, 30_000, True)],
)
def test_a5_a_set_of_three_is_as_safe_as_one_of_thirty_thousand(people: int, covered: int, trips: bool) -> None:
    assert exceeds(DEFAULTS.rules_revoke, people, covered) is trips


@pytest.mark.parametrize(
    ("op", "cause", "most"),
    [
        (Op.REVOKE, CauseKind.POLICY, 25),
        (Op.REVOKE, CauseKind.DRIFT, 25),
        (Op.REVOKE, CauseKind.EXCEPTION, 25),
        (Op.REVOKE, CauseKind.PERSON, 200),
        (Op.REVOKE, CauseKind.EVIDENCE, 200),
        (Op.REVOKE, CauseKind.TIME, 200),
        (Op.GRANT, CauseKind.POLICY, 100),
        (Op.GRANT, CauseKind.PERSON, 500),
    ],
)
def test_the_defaults_by_direction_and_origin(op: Op, cause: CauseKind, most: int) -> None:
    for count, expected in ((most, None), (most + 1, "too-many")):
        changes = [change(f"E{n}", op, cause=cause) for n in range(count)]
        world = standing(changes, covered=1_000_000, actual=1_000_000)
        assert held_by(hold(changes, DEFAULTS, world, NOBODY, POLICY)) == {expected}


def test_one_slice_is_held_and_the_rest_goes_on() -> None:
    wiped = [change(f"E{n}", rank=1, group="docs") for n in range(100)]
    others = [
        change("E500", rank=2, group="code"),
        change("E501", Op.GRANT),
        change("E502", cause=CauseKind.PERSON),
        change("E503", target="vault"),
        change("E504", leaver=True, cause=CauseKind.PERSON),
    ]
    found = hold([*wiped, *others], DEFAULTS, standing([*wiped, *others]), NOBODY, POLICY)
    assert held_by(found[:100]) == {"too-many"}
    assert held_by(found[100:]) == {None}


def test_many_changes_of_one_person_are_one_person() -> None:
    changes = [change("E1", group=f"g{n}") for n in range(300)]
    assert held_by(hold(changes, DEFAULTS, standing(changes), NOBODY, POLICY)) == {None}


@pytest.mark.parametrize(
    ("members", "lost", "guard"), [(3, 3, "empties"), (2, 2, None), (5, 4, None), (9, 9, "empties")]
)
def test_an_entitlement_of_three_or_more_is_not_emptied(members: int, lost: int, guard: str | None) -> None:
    changes = [change(f"E{n}", cause=CauseKind.PERSON) for n in range(lost)]
    world = standing(changes, actual=members)
    assert held_by(hold(changes, DEFAULTS, world, NOBODY, POLICY)) == {guard}


def test_who_leaves_counts_for_emptying_and_goes() -> None:
    changes = [change(f"E{n}", cause=CauseKind.PERSON, leaver=n < 2) for n in range(4)]
    found = hold(changes, DEFAULTS, standing(changes, actual=4), NOBODY, POLICY)
    assert [each.held.guard if each.held else None for each in found] == [None, None, "empties", "empties"]


def test_a_deletion_waits_even_for_a_leaver() -> None:
    found = hold(
        [change(op=Op.DELETE_ACCOUNT, leaver=True, cause=CauseKind.PERSON)], DEFAULTS, standing(), NOBODY, POLICY
    )
    assert held_by(found) == {"deletions"}


def test_a_protected_service_account_is_held() -> None:
    numbers = Guards(protected=frozenset({"svc-backup"}))
    changes = [change(None, Op.GRANT, service="svc-backup")]
    assert held_by(hold(changes, numbers, standing(changes), NOBODY, POLICY)) == {"protected"}


def test_approvals_of_a_class_count_whoever_is_not_the_author() -> None:
    numbers = Guards(approvals={2: 2})
    one = change(op=Op.GRANT, rank=2)
    world = standing([one])

    def guard(actors: set[str], independent: set[str]) -> set[str | None]:
        given_ = Approvals({one.id: frozenset(actors)}, {one.id: frozenset(independent)})
        return held_by(hold([one], numbers, world, given_, POLICY))

    assert guard({"author", "boss"}, {"boss"}) == {"approvals"}
    assert guard({"boss", "deputy"}, {"boss", "deputy"}) == {None}
    assert held_by(hold([change(rank=2)], numbers, standing([change(rank=2)]), NOBODY, POLICY)) == {None}


@pytest.mark.parametrize(("count", "guard"), [(50, None), (51, "too-many")])
def test_lockouts_of_a_policy_are_leavers_up_to_the_guard_on_exits(count: int, guard: str | None) -> None:
    changes = [change(f"E{n}", leaver=True) for n in range(count)]
    world = standing(changes, everybody=100_000)
    assert held_by(hold(changes, DEFAULTS, world, NOBODY, POLICY)) == {guard}
