"""What would give a permission that nothing gives: which roles, and what is lacking for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from hypothesis import HealthCheck, Phase, given, settings

from reconciler.access import Explainer, explain
from reconciler.access.dossier import Book, Dossier
from reconciler.access.model import Explanation, FactKind, LifecycleState
from reconciler.access.subject import moment_of
from reconciler.access.ways import MOST_SHOWN, routes_to
from reconciler.facts.model import Person
from reconciler.policy.model import AllOf, AnyOf, Contains, Equals, Match, NoneOf, Permission, Policy, Under, Within
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    days,
    for_each,
    grant,
    level,
    local,
    member,
    people,
    permission,
    post,
    role,
)
from tests.access.worlds import World, worlds

# --- whatever the policy --------------------------------------------------------------------------------------------

random_worlds = settings(
    max_examples=50,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _not_given(world: World) -> list[Explanation]:
    explainer = Explainer(world.policy, world.population, world.at)
    answers = (explainer.explain(who.id, what) for who in world.population for what in world.policy.permissions())
    return [answer for answer in answers if not answer.reasons]


def _takes_policy(answer: Explanation) -> list[bool]:
    return [any(fact.kind is FactKind.POLICY for fact in way.lacking) for way in answer.ways]


@random_worlds
@given(worlds())
def test_the_nearest_ways_are_shown_and_all_are_counted(world: World) -> None:
    for answer in _not_given(world):
        steps = [
            (by_policy, len(way.lacking)) for by_policy, way in zip(_takes_policy(answer), answer.ways, strict=True)
        ]
        assert steps == sorted(steps)
        assert len(answer.ways) == min(answer.ways_found, MOST_SHOWN)
        assert all(way.lacking for way in answer.ways)
        if answer.ways and not answer.ways[0].roles:
            assert answer.ways_found == 1, "a resource past its end"
        else:
            who = world.population.by_id[answer.subject]
            assert answer.ways_found <= len(_could_give(world, who, answer.permission))


def _could_give(world: World, person: Person, what: Permission) -> set[str]:
    """The roles that give it to some people, told from the policy alone."""
    placed = moment_of(world.policy, world.population, world.at).standing(person).assignments
    return {
        role.name
        for role in world.policy.roles.values()
        for grant, _ in role.all_grants
        if grant.permission == what
        and (
            role.match is not None
            or role.for_each
            or (role.everyone and not placed)
            or (role.members and grant.when is None)
        )
    }


@random_worlds
@given(worlds())
def test_whoever_gets_what_a_way_lacks_is_given_the_permission(world: World) -> None:
    moment = moment_of(world.policy, world.population, world.at)
    book = Book(moment)
    for answer in _not_given(world):
        asked, who = book.asked(answer.permission), moment.person(answer.subject)
        if asked.has_ended(world.at):
            continue
        for route in routes_to(asked.clauses, moment, who):
            if route.supposed is not None:
                then = moment.standing(replace(who.person, assignments=route.supposed))
                opened = LifecycleState.PREBOARDING in then.states and len(then.assignments) < len(route.supposed)
                assert opened or Dossier(book, moment, then).is_given(answer.permission), route


# --- in words -------------------------------------------------------------------------------------------------------

AT = local(2026, 11, 4, 9)
RD = compare("department", Under(frozenset({"rd"})))
ENGINEER = compare("post", Equals(frozenset({"engineer"})))
P6 = compare("grade", Within(3, None))
DOCS = permission("docs:read")


def one_role(match: Match) -> Policy:
    return a_policy(
        levels=[level("public", 0)],
        resources={"docs": (0, {"read": ["g"]})},
        roles=[role("reader", "docs:read", match=match)],
    )


def lacking(match: Match, **attributes: str) -> list[str]:
    answer = explain(one_role(match), people(a_person("E1", post(**attributes))), "E1", DOCS, AT)
    (way,) = answer.ways
    return [fact.text for fact in way.lacking]


def test_each_comparison_is_told_with_what_there_is() -> None:
    both = AllOf((RD, ENGINEER, P6))

    assert lacking(both, department="rd/ai", post="engineer", grade="P5") == ["grade: P6/M1 or above, has P5"]
    assert lacking(both, department="hr") == [
        "department: rd or below, has hr",
        "post: engineer, has none",
        "grade: P6/M1 or above, has none",
    ]
    assert lacking(P6, grade="P99") == ["grade: P6/M1 or above, has 'P99', which the policy does not declare"]


def test_of_alternatives_the_nearer_is_told() -> None:
    either = AnyOf((AllOf((RD, ENGINEER)), P6))

    assert lacking(either, department="rd", post="hr", grade="P3") == ["post: engineer, has hr"]
    assert lacking(either, grade="P3") == ["grade: P6/M1 or above, has P3"]


def test_what_must_not_be_is_told_too() -> None:
    assert lacking(NoneOf((ENGINEER,)), post="engineer") == ["post: not engineer, has engineer"]
    assert lacking(compare("projects", Contains(frozenset({"a", "b"}), every=True)), projects="a") == [
        "projects: a and b, has a"
    ]


def test_somebody_with_several_assignments_is_told_about_the_nearest() -> None:
    far, near = post("far", department="hr"), post("near", department="rd", post="engineer", grade="P5")

    answer = explain(one_role(AllOf((RD, ENGINEER, P6))), people(a_person("E1", far, near)), "E1", DOCS, AT)

    assert [fact.text for fact in answer.ways[0].lacking] == ["grade: P6/M1 or above, has P5 (assignment near)"]


def test_an_assignment_to_come_is_named() -> None:
    joins = a_person("E1", post("main", days(date(2026, 12, 1), None), department="rd"))

    (way,) = explain(one_role(RD), people(joins), "E1", DOCS, AT).ways

    assert [fact.text for fact in way.lacking] == ["assignment main begins on 2026-12-01"]


def test_a_value_of_a_family_is_what_is_lacking() -> None:
    falcon = compare("projects", Contains(frozenset({"falcon"})))
    policy = a_policy(
        levels=[level("public", 0)],
        resources={"docs": (0, {"read": ["g"]})},
        roles=[role("pilot", grant("docs:read", falcon), each=[for_each("project", "projects")])],
    )

    answer = explain(policy, people(a_person("E1", post(projects="phoenix"))), "E1", DOCS, AT)

    assert [fact.text for fact in answer.ways[0].lacking] == ["projects: falcon, has phoenix"]
    assert (answer.needed[0].attribute, answer.needed[0].wanted) == ("projects", "falcon")


def test_membership_takes_the_policy_and_says_when_it_was_or_will_be() -> None:
    def membership(since: date | None, until: date) -> str:
        owner = role("owner", "docs:read", members=[member("E1", until, since)])
        policy = a_policy(levels=[level("public", 0)], resources={"docs": (0, {"read": ["g"]})}, roles=[owner])
        (way,) = explain(policy, people(a_person("E1", post())), "E1", DOCS, AT).ways
        (fact,) = way.lacking
        assert fact.kind is FactKind.POLICY
        return fact.text

    assert membership(date(2026, 12, 1), date(2026, 12, 31)) == "membership of role owner begins on 2026-12-01"
    assert membership(None, date(2026, 10, 31)) == (
        "membership of role owner ended on 2026-10-31: it would have to go on"
    )


def test_five_of_many_are_shown() -> None:
    policy = a_policy(
        levels=[level("public", 0)],
        resources={"docs": (0, {"read": ["g"]})},
        roles=[role(f"r{n}", "docs:read", match=AllOf((P6,) * 1 if n == 6 else (P6, RD))) for n in range(7)],
    )

    answer = explain(policy, people(a_person("E1", post())), "E1", DOCS, AT)

    assert (len(answer.ways), answer.ways_found) == (5, 7)
    assert answer.ways[0].roles == ("r6",)


def test_what_nothing_gives_takes_the_policy_and_so_does_what_has_ended() -> None:
    policy = a_policy(
        levels=[level("public", 0)],
        resources={"docs": (0, {"read": ["g"]}), "old": (0, {"read": ["o"]})},
        roles=[role("staff", "old:read", everyone=True)],
        ends={"old": date(2026, 10, 31)},
    )
    population = people(a_person("E1", post()))

    nothing = explain(policy, population, "E1", DOCS, AT)
    ended = explain(policy, population, "E1", permission("old:read"), AT)

    assert (nothing.ways, nothing.ways_found) == ((), 0)
    assert [fact.text for fact in nothing.needed] == [
        "no fact gives docs:read: only a change of the policy, or an exception, would"
    ]
    assert [fact.text for fact in ended.needed] == [
        "old ended on 2026-10-31: only a change of the policy would open it again"
    ]
    assert {fact.kind for fact in (*nothing.needed, *ended.needed)} == {FactKind.POLICY}


def test_values_are_found_that_go_together_and_a_role_that_nobody_can_match_is_no_way() -> None:
    either = compare("post", Equals(frozenset({"engineer", "hr"})))
    engineer = people(a_person("E1", post(post="engineer")))

    possible = explain(one_role(AllOf((either, NoneOf((ENGINEER,))))), engineer, "E1", DOCS, AT)
    impossible = explain(one_role(AllOf((ENGINEER, NoneOf((ENGINEER,))))), engineer, "E1", DOCS, AT)

    assert [fact.text for fact in possible.needed] == ["post: not engineer, has engineer"]
    assert (impossible.ways, impossible.ways_found) == ((), 0)
    assert [fact.kind for fact in impossible.needed] == [FactKind.POLICY]
