"""What nobody may have together."""

from __future__ import annotations

from datetime import date

from reconciler.access import evaluate
from reconciler.access.model import Desired
from reconciler.facts.model import Person
from reconciler.policy.model import (
    Contains,
    Equals,
    Lifecycle,
    Overlap,
    Period,
    Policy,
    Separation,
)
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    days,
    exception,
    for_each,
    grant,
    kind,
    level,
    local,
    member,
    people,
    permission,
    place,
    post,
    role,
    transferred,
)

AT = local(2026, 5, 4, 9)
DESIGNER = compare("post", Equals(frozenset({"engineer"})))
SIGNER = compare("grade", Equals(frozenset({"P7"})))


def roles_apart(*names: str, withhold: bool = True) -> Separation:
    return Separation("design-vs-release", names, (), withhold, place())


def lists_apart(*lists: tuple[str, ...], withhold: bool = True) -> Separation:
    return Separation("wall", (), tuple(frozenset(map(permission, each)) for each in lists), withhold, place())


def policy(*separations: Separation, class_of_designs: int = 0) -> Policy:
    tools = role("tools", "tools:read")
    return a_policy(
        levels=[level("public", 0), level("core", 1, "nda")],
        evidence=[kind("nda")],
        resources={
            "designs": (class_of_designs, {"read": ["designs"]}),
            "releases": (0, {"sign": ["releases"]}),
            "tools": (0, {"read": ["tools"]}),
            "wiki": (0, {"read": ["wiki"]}),
        },
        roles=[
            tools,
            role("designer", "designs:read", match=DESIGNER, inherits=[tools]),
            role("signer", "releases:sign", match=SIGNER),
            role("staff", "wiki:read", "tools:read", everyone=True),
        ],
        lifecycle=Lifecycle(transfer=Overlap(Period(days=7), 0, place())),
        separations=separations,
    )


BOTH = a_person("E1", post(post="engineer"), post("second", grade="P7"))
ONE = a_person("E2", post(post="engineer"), number=2)


def may(desired: Desired, person: Person) -> set[str]:
    return {str(what) for what, who in desired.allowed.items() if person.number in who}


def test_who_holds_both_gets_nothing_of_either_by_whatever_route() -> None:
    """The tools go too: the designer role inherits them, though everybody would have them."""
    desired = evaluate(policy(roles_apart("designer", "signer")), people(BOTH, ONE), AT)

    assert may(desired, BOTH) == {"wiki:read"}
    assert may(desired, ONE) == {"designs:read", "tools:read", "wiki:read"}
    assert list(desired.given[permission("designs:read")]) == [1, 2]
    assert [(each.separation.name, list(each.people)) for each in desired.conflicts] == [("design-vs-release", [1])]


def test_report_takes_nothing_and_tells() -> None:
    desired = evaluate(policy(roles_apart("designer", "signer", withhold=False)), people(BOTH), AT)

    assert may(desired, BOTH) == {"designs:read", "tools:read", "releases:sign", "wiki:read"}
    assert [list(each.people) for each in desired.conflicts] == [[1]]


def test_who_holds_a_role_that_inherits_another_holds_both() -> None:
    """Only what comes by the role named is withheld, not what else the heir gives."""
    designer = role("designer", "designs:read")
    chief = role("chief", "wiki:read", match=DESIGNER, inherits=[designer])
    base = policy(roles_apart("designer", "signer"))
    inheriting = a_policy(
        levels=base.levels,
        evidence=list(base.evidence.values()),
        resources={"designs": (0, {"read": ["d"]}), "releases": (0, {"sign": ["r"]}), "wiki": (0, {"read": ["w"]})},
        roles=[designer, chief, base.roles["signer"]],
        separations=base.separations,
    )

    assert may(evaluate(inheriting, people(BOTH), AT), BOTH) == {"wiki:read"}


def test_names_and_values_hold_a_role_too() -> None:
    by_value = role(
        "by-value", grant("designs:read", compare("projects", Contains(frozenset({"falcon"})))),
        each=[for_each("project", "projects")],
    )  # fmt: skip
    named = role("named", "releases:sign", members=[member("E1", date(2026, 12, 31))])
    apart = a_policy(
        levels=[level("public", 0)],
        resources={"designs": (0, {"read": ["d"]}), "releases": (0, {"sign": ["r"]})},
        roles=[by_value, named],
        separations=(roles_apart("by-value", "named"),),
    )

    def allowed(projects: str) -> set[str]:
        person = a_person("E1", post(projects=projects))
        return may(evaluate(apart, people(person), AT), person)

    assert allowed("falcon") == set()
    assert allowed("lost") == set()
    assert allowed("") == {"releases:sign"}


def test_what_a_transfer_leaves_behind_is_compared_too() -> None:
    moved = a_person("E1", transferred("main", days(None, date(2026, 5, 1)), post="engineer"), post(grade="P7"))
    apart = policy(roles_apart("designer", "signer"))

    assert may(evaluate(apart, people(moved), AT), moved) == {"wiki:read"}
    assert may(evaluate(apart, people(moved), local(2026, 5, 9)), moved) == {
        "wiki:read",
        "tools:read",
        "releases:sign",
    }


def test_what_is_given_is_compared_before_any_denial() -> None:
    """The designs are withheld for want of an nda, and the conflict is there all the same."""
    desired = evaluate(policy(roles_apart("designer", "signer"), class_of_designs=1), people(BOTH), AT)

    assert may(desired, BOTH) == {"wiki:read"}


def test_between_lists_everything_of_them_is_withheld() -> None:
    wall = lists_apart(("designs:read", "tools:read"), ("releases:sign",))
    base = policy(wall)
    by_exception = a_policy(
        levels=base.levels,
        evidence=list(base.evidence.values()),
        resources={
            "designs": (0, {"read": ["d"]}),
            "releases": (0, {"sign": ["r"]}),
            "tools": (0, {"read": ["t"]}),
            "wiki": (0, {"read": ["w"]}),
        },
        roles=list(base.roles.values()),
        exceptions=[exception("E3", "releases:sign", until=date(2026, 12, 31))],
        separations=(wall,),
    )
    third = a_person("E3", post(), number=3)
    desired = evaluate(by_exception, people(ONE, third), AT)

    assert may(desired, ONE) == {"designs:read", "tools:read", "wiki:read"}
    assert may(desired, third) == {"wiki:read"}


def test_of_three_any_two_conflict() -> None:
    lists = lists_apart(("designs:read",), ("releases:sign",), ("wiki:read",))
    desired = evaluate(policy(lists), people(ONE, a_person("E3", post(), number=3)), AT)

    assert may(desired, ONE) == {"tools:read"}
    assert [list(each.people) for each in desired.conflicts] == [[2]]
