"""What SCIM said last, kept in either kind of store."""

from __future__ import annotations

from datetime import timedelta

from reconciler.facts.scim_state import ScimState, ScimUser, count_users, find_users, read_user, told_entry, users
from tests.facts.conftest import NOON, World


def tell(world: World, person: str, state: ScimState = ScimState.ACTIVE, minutes: int = 0, **said: str) -> None:
    with world.facts.store.writing() as connection:
        name = said.get("user_name", f"{person.lower()}@example.com" if state is not ScimState.GONE else "")
        entry = told_entry(
            person,
            state,
            "entra",
            user_name=name,
            external_id="x",
            resource={"userName": name, "显示": "王"},
            cells=said,
        )
        world.facts.ledger.append(connection, [entry], NOON + timedelta(minutes=minutes))


def everybody(world: World) -> list[ScimUser]:
    with world.facts.store.reading() as connection:
        return list(users(connection))


def test_the_newest_word_counts_and_whoever_is_gone_is_kept_apart(world: World) -> None:
    for person in ("E1", "E2", "E3"):
        tell(world, person)
    tell(world, "E1", minutes=1, department="rd")
    tell(world, "E2", ScimState.GONE, minutes=2)

    first, third = everybody(world)

    assert [first.person, third.person] == ["E1", "E3"], "in the order in which they were made"
    assert (first.created, first.modified, first.version) == (NOON, NOON + timedelta(minutes=1), 4)
    assert (first.cells, first.resource["显示"]) == ({"department": "rd"}, "王")
    with world.facts.store.reading() as connection:
        assert count_users(connection) == 2
        assert [each.person for each in users(connection, skip=1, most=1)] == ["E3"]
        assert [each.person for each in find_users(connection, "user_name", "e1@example.com")] == ["E1"]
        assert find_users(connection, "person", "E2") == []
        gone = read_user(connection, "E2")
        assert gone is not None
        assert gone.state is ScimState.GONE


def test_made_again_somebody_is_new_and_the_record_makes_all_of_it_again(world: World) -> None:
    tell(world, "E1")
    tell(world, "E1", ScimState.GONE, minutes=1)
    tell(world, "E1", minutes=2)
    tell(world, "E2", ScimState.EXIT, minutes=3)
    before = everybody(world)
    assert before[0].created == NOON + timedelta(minutes=2)

    with world.facts.store.writing() as connection:
        world.facts.ledger.rebuild(connection)

    assert everybody(world) == before
    world.facts.ledger.verify()
