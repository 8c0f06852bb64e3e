"""Whose account is whose: certain, doubtful or nobody's, and never two at once."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from reconciler.facts.model import Person, Population
from reconciler.plan.linking import NOBODY, Links, link_accounts
from reconciler.targets import ObservedAccount


def people(*ids: str) -> Population:
    return Population([Person(n, who, f"name of {who}", f"{who}@example.com", ()) for n, who in enumerate(ids)], {}, 1)


def account(key: str, number: str = "", login: str = "") -> ObservedAccount:
    return ObservedAccount(key, f"uid={key}", login or key, {"id": number} if number else {})


def link(
    accounts: list[ObservedAccount],
    population: Population,
    remembered: Mapping[str, str] | None = None,
    services: tuple[str, ...] = (),
) -> Links:
    return link_accounts("dir", accounts, population, ("id",), remembered or {}, services)


ids = st.sampled_from(["", "E1", "E2", "E3", "e1", "Ｅ2", "E9", "svc"])
observed = st.lists(
    st.builds(account, st.integers(0, 9).map(str), ids, ids), max_size=8, unique_by=lambda each: each.key
)
memories = st.dictionaries(st.integers(0, 9).map(str), st.sampled_from(["E1", "E2", "E3", "E8"]))


@given(observed, memories)
def test_every_account_is_somebodys_a_services_doubtful_or_an_orphan(
    accounts: list[ObservedAccount], remembered: dict[str, str]
) -> None:
    population = people("E1", "E2", "E3")
    links = link(accounts, population, remembered, ("svc",))
    for position, each in enumerate(accounts):
        owned = links.person_at[position] != NOBODY
        service, orphan = position in links.service_at, position in links.orphans
        assert [owned, service, orphan].count(True) == 1 or (position in links.doubtful and not orphan)
        if remembered.get(each.key) in population.by_id:
            assert links.person_at[position] == population.by_id[remembered[each.key]].number
    for person in population:
        single = links.account_for(person.number)
        if single is not None:
            assert list(links.positions_of(person.number)) == [single]
            assert single not in links.doubtful
    assert not links.learned.keys() & {key for key, who in remembered.items() if who in population.by_id}


@given(observed)
def test_what_was_learned_is_what_is_found_again(accounts: list[ObservedAccount]) -> None:
    population = people("E1", "E2", "E3")
    first = link(accounts, population)
    second = link(accounts, population, first.learned)
    assert second.person_at == first.person_at
    assert second.learned == {}


def test_c1_two_blanks_are_not_two_equal_names() -> None:
    links = link([account("a", ""), account("b", " ")], people("E1"))
    assert list(links.person_at) == [NOBODY, NOBODY]


def test_c3_a_rename_keeps_the_link_and_a_reused_name_does_not() -> None:
    population = people("E1")
    renamed = ObservedAccount("key-1", "uid=new", "new", {})
    taken = ObservedAccount("key-2", "uid=old", "old", {})
    links = link([renamed, taken], population, {"key-1": "E1"})
    assert list(links.person_at) == [0, NOBODY]
    assert list(links.orphans) == [1]


def test_an_account_that_matches_two_people_is_left_alone() -> None:
    population = Population([Person(0, "E1", "王芳", "", ()), Person(1, "E2", "王芳", "", ())], {}, 1)
    one = ObservedAccount("a", "uid=wang", "wang", {"name": "王芳"})
    links = link_accounts("dir", [one], population, ("name",), {}, ())
    assert list(links.person_at) == [NOBODY]
    assert list(links.orphans) == []
    assert "E1, E2" in links.findings[0].text


def test_two_accounts_of_one_person_get_no_grants_and_lose_both() -> None:
    links = link([account("a", "E1"), account("b", "E1")], people("E1"))
    assert links.account_for(0) is None
    assert list(links.positions_of(0)) == [0, 1]


def test_a_person_comes_before_a_service_account_of_the_same_name() -> None:
    links = link([account("a", "E1", "svc")], people("E1"), services=("svc",))
    assert links.service_at == {}
    assert links.account_for(0) == 0


def test_a_service_accounts_name_used_twice_is_doubtful() -> None:
    links = link([account("a", login="svc"), account("b", login="SVC")], people("E1"), services=("svc",))
    assert set(links.doubtful) == {0, 1}
    assert list(links.orphans) == []
    assert [finding.subject for finding in links.findings] == ["svc"]


def test_all_attributes_of_the_match_must_agree() -> None:
    population = people("E1")
    right = ObservedAccount("a", "a", "a", {"id": "E1", "email": "E1@EXAMPLE.com"})
    wrong = ObservedAccount("b", "b", "b", {"id": "E1", "email": "x@example.com"})
    links = link_accounts("dir", [right, wrong], population, ("id", "email"), {}, ())
    assert list(links.person_at) == [0, NOBODY]
