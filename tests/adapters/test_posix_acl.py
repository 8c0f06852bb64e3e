"""What the posix-acl target does with folders: modes, what lies below, masks, defaults, foreign principals."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.posix_acl.acl import ACCESS, DEFAULT, Acl, Principal
from reconciler.targets import Op, OutcomeKind, Reading, Step
from tests.adapters.file_server import FIRST, FileServer, in_memory, required

APPLIED, ALREADY, STALE, REFUSED = (
    OutcomeKind.APPLIED,
    OutcomeKind.ALREADY,
    OutcomeKind.STALE,
    OutcomeKind.REFUSED,
)
STRANGER = 31_234


@pytest.fixture
def server(tmp_path: Path) -> FileServer:
    required()
    return FileServer(tmp_path)


def test_a_grant_reaches_all_that_is_there_and_all_that_will_be(server: FileServer) -> None:
    for path in ("falcon/plan.txt", "falcon/a b/换行\n.txt", os.fsdecode(b"falcon/a b/\xff.bin")):
        server.make(path)

    assert server.grant("zhang", "falcon").kind is APPLIED

    assert server.rights("falcon", "zhang") == server.rights("falcon", "zhang", default=True) == "r-x"
    assert server.rights("falcon/a b", "zhang") == server.rights("falcon/a b", "zhang", default=True) == "r-x"
    for path in ("falcon/plan.txt", "falcon/a b/换行\n.txt", os.fsdecode(b"falcon/a b/\xff.bin")):
        assert server.rights(path, "zhang") == "r--"
    server.make("falcon/a b/later.txt")
    assert server.rights("falcon/a b/later.txt", "zhang") == "r--"
    server.make("falcon/new/later.txt")
    assert server.rights("falcon/new/later.txt", "zhang") == "r--"
    assert server.findings("falcon") == {}


def test_a_revocation_takes_access_and_default_everywhere(server: FileServer) -> None:
    server.make("falcon/sub/plan.txt")
    before = server.picture()
    server.grant("zhang", "falcon", "read-write")
    server.grant("smith", "falcon", "read-write")

    assert server.revoke("zhang", "falcon", "read-write").kind is APPLIED
    assert server.members("falcon", "read-write") == {"smith"}
    assert not any(f"user:{server.numbers['zhang']}:" in line for _, lines in server.picture() for line in lines)
    server.revoke("smith", "falcon", "read-write")
    assert [(path, [line for line in lines if "default:" not in line]) for path, lines in server.picture()] == before


def test_modes_are_independent_and_together_are_both(server: FileServer) -> None:
    server.make("falcon/plan.txt")

    server.grant("zhang", "falcon", "write")
    assert (server.rights("falcon", "zhang"), server.rights("falcon/plan.txt", "zhang")) == ("-wx", "-w-")
    assert server.findings("falcon", "read", "write").keys() == {"writes-unseen"}
    server.grant("zhang", "falcon", "read")
    assert (server.rights("falcon", "zhang"), server.rights("falcon/plan.txt", "zhang")) == ("rwx", "rw-")
    assert server.members("falcon", "read") == server.members("falcon", "write") == {"zhang"}
    server.revoke("zhang", "falcon", "write")
    assert (server.rights("falcon", "zhang"), server.rights("falcon/plan.txt", "zhang")) == ("r-x", "r--")
    server.revoke("zhang", "falcon", "read")
    assert server.rights("falcon", "zhang") is None


def test_steps_on_both_modes_of_a_folder_are_one_walk_with_an_outcome_each(server: FileServer) -> None:
    server.make("falcon/plan.txt")
    server.grant("smith", "falcon", "write")

    outcomes = server.apply(
        server.step(Op.REVOKE, "smith", "falcon", "write"),
        server.step(Op.GRANT, "zhang", "falcon", "read"),
        server.step(Op.GRANT, "zhang", "falcon", "write"),
        server.step(Op.REVOKE, "muller", "falcon", "read"),
    )

    assert [outcome.kind for outcome in outcomes] == [APPLIED, APPLIED, APPLIED, ALREADY]
    assert server.rights("falcon/plan.txt", "zhang") == "rw-"
    assert server.rights("falcon/plan.txt", "smith") is None


def test_a_member_has_the_rights_in_effect_not_on_paper(server: FileServer) -> None:
    server.make("falcon/")
    server.setfacl("falcon", "-m", f"user:{FIRST}:rwx,mask::r--")

    assert server.members("falcon") == set()
    assert "zhang" in server.findings("falcon")["partial-access"]
    assert server.grant("zhang", "falcon").kind is APPLIED
    assert server.members("falcon") == {"zhang"}
    assert server.rights("falcon", "zhang") == "r-x"  # what the mask withheld is not given along


def test_a_grant_gives_nothing_to_whom_the_mask_limited(server: FileServer) -> None:
    server.make("falcon/plan.txt")
    server.setfacl("falcon/plan.txt", "-m", f"user:{STRANGER}:rw-,group:{STRANGER}:rw-,group::rw-,mask::r--")

    server.grant("zhang", "falcon", "read-write")

    assert server.lines("falcon/plan.txt") == [
        "user::rw-",
        f"user:{FIRST}:rw-",
        f"user:{STRANGER}:r--",
        "group::r--",
        f"group:{STRANGER}:r--",
        "mask::rw-",
        "other::r--",
    ]


def test_groups_and_strangers_are_foreign_and_stay(server: FileServer) -> None:
    server.make("falcon/")
    server.setfacl("falcon", "-m", f"user:{STRANGER}:r-x,group:{STRANGER}:rwx")

    read, write = server.observe("falcon", "read", "write").entitlements.values()
    assert list(read.foreign) == [f"group:{STRANGER}", f"user:{STRANGER}"]
    assert list(write.foreign) == [f"group:{STRANGER}"]
    server.grant("zhang", "falcon")
    assert next(iter(server.observe("falcon").entitlements.values())).foreign == read.foreign
    gone = Step(Op.REVOKE, "", f"group:{STRANGER}", {"path": "falcon", "permission": "read"})
    assert [outcome.kind for outcome in server.apply(gone)] == [APPLIED]
    assert [outcome.kind for outcome in server.apply(gone)] == [ALREADY]
    assert f"group:{STRANGER}:-wx" in server.lines("falcon")


def test_what_lacks_a_members_access_below_is_told_and_mended_by_the_next_change(server: FileServer) -> None:
    server.grant("zhang", str(server.make("falcon/sub/").relative_to(server.root).parent))
    made = server.make("falcon/sub/private.txt")
    made.chmod(0o600)
    server.setfacl("falcon", "-d", "-x", f"user:{FIRST}")

    told = server.findings("falcon")["lacking-below"]
    assert "2 (" in told
    assert "zhang: sub/private.txt" in told
    assert server.grant("smith", "falcon").kind is APPLIED
    assert server.rights("falcon/sub/private.txt", "zhang") == "r--"
    assert server.rights("falcon", "zhang", default=True) == "r-x"
    assert server.findings("falcon") == {}


def test_a_grant_that_was_not_complete_below_is_applied_and_then_already(server: FileServer) -> None:
    server.make("falcon/plan.txt")
    server.grant("zhang", "falcon")
    server.setfacl("falcon/plan.txt", "-b")

    assert server.grant("zhang", "falcon").kind is APPLIED
    assert server.rights("falcon/plan.txt", "zhang") == "r--"
    assert server.grant("zhang", "falcon").kind is ALREADY


def test_whoever_has_something_below_has_it_in_part_and_a_revocation_takes_it(server: FileServer) -> None:
    server.make("falcon/sub/plan.txt")
    server.setfacl("falcon/sub/plan.txt", "-m", f"user:{FIRST + 1}:rw-,user:{STRANGER}:rw-")
    server.setfacl("falcon/sub", "-d", "-m", f"user:{FIRST + 1}:rwx")

    told = server.findings("falcon")["access-below"]
    assert "2 (" in told
    assert "smith: sub/plan.txt" in told
    assert (server.members("falcon"), server.partial("falcon")) == (set(), {"smith"})
    server.grant("zhang", "falcon")
    assert server.rights("falcon/sub/plan.txt", "smith") == "rw-"
    assert server.revoke("smith", "falcon").kind is APPLIED
    # Of what nobody manages there (writing), nothing is taken.
    assert server.rights("falcon/sub/plan.txt", "smith") == "-w-"
    assert f"user:{STRANGER}:rw-" in server.lines("falcon/sub/plan.txt")
    assert (server.members("falcon"), server.partial("falcon")) == ({"zhang"}, set())
    assert server.findings("falcon") == {}


def test_a_narrow_read_does_not_go_through_what_is_below(server: FileServer) -> None:
    server.make("falcon/plan.txt")
    server.grant("zhang", "falcon")
    server.setfacl("falcon/plan.txt", "-b")

    assert server.observe("falcon", accounts=[str(FIRST)]).findings == ()
    assert server.observe("falcon").findings != ()


def test_a_folder_that_everybody_can_open_is_told(server: FileServer) -> None:
    server.make("falcon/").chmod(0o755)

    assert "chmod o-rwx" in server.findings("falcon")["open-to-all"]
    (server.root / "falcon").chmod(0o750)
    assert server.findings("falcon") == {}


def test_a_mode_that_is_both_stands_alone(server: FileServer) -> None:
    server.make("falcon/")

    reads = server.observe("falcon", "read", "read-write").entitlements.values()

    assert {read.reading for read in reads} == {Reading.FAILED}


def test_a_number_that_is_somebody_elses_by_now_is_given_nothing(server: FileServer) -> None:
    server.make("falcon/")
    step = Step(Op.GRANT, str(FIRST), "previous", {"path": "falcon", "permission": "read"})

    [outcome] = server.apply(step)

    assert outcome.kind is STALE
    assert "is zhang now" in outcome.detail
    assert server.members("falcon") == set()


def test_an_account_that_is_gone_can_still_be_shut_out(server: FileServer) -> None:
    server.make("falcon/plan.txt")
    server.grant("zhang", "falcon")
    step = server.step(Op.REVOKE, "zhang", "falcon")
    (server.folder / "accounts.csv").write_text("login,uid,id\nsmith,20001,E20001\n", encoding="utf-8")

    assert [outcome.kind for outcome in server.apply(step)] == [APPLIED]
    assert server.rights("falcon/plan.txt", "zhang") is None


# --- the law ----------------------------------------------------------------------------------------------------------

PEOPLE = (FIRST, FIRST + 1, FIRST + 2)
OTHERS = (Principal("user", STRANGER), Principal("group", STRANGER))
SHAPES = (("read",), ("write",), ("read", "write"), ("read-write",))
permissions = st.integers(0, 7)
principals = st.sampled_from([*(Principal("user", number) for number in PEOPLE), *OTHERS])


@st.composite
def acls(draw: st.DrawFn) -> Acl | None:
    named = draw(st.dictionaries(principals, permissions, max_size=5))
    if not named and draw(st.booleans()):
        return None
    return Acl(7, draw(permissions), draw(permissions), named, draw(permissions))


nodes = st.tuples(acls(), acls())
trees = st.lists(nodes, min_size=5, max_size=5)
PLACES = ("top/", "top/a/", "top/a/b/", "top/one", "top/a/two")


def planted(server: FileServer, tree: list[tuple[Acl | None, Acl | None]]) -> None:
    for place, (access, default) in zip(PLACES, tree, strict=True):
        made = server.make(place)
        for attribute, acl in ((ACCESS, access), (DEFAULT, default if place.endswith("/") else None)):
            if acl is not None:
                os.setxattr(made, attribute, acl.encoded())


def foreign_effects(server: FileServer) -> Iterator[tuple[str, str, list[int]]]:
    """What everybody but the accounts has, everywhere."""
    for place in PLACES:
        for attribute in (ACCESS, DEFAULT):
            path = server.root / place
            if attribute in os.listxattr(path):
                acl = Acl.decoded(os.getxattr(path, attribute))
            elif attribute == ACCESS:
                acl = Acl.of_mode(path.stat().st_mode)
            else:
                continue
            held = [acl.owner, acl.group & acl.ceiling, acl.other, *(acl.effective(who) for who in OTHERS)]
            yield place, attribute, held


def steps_to(server: FileServer, desired: dict[str, set[int]]) -> list[Step]:
    seen = server.observe("top", *desired)
    steps = []
    for (mode, wanted), read in zip(desired.items(), seen.entitlements.values(), strict=True):
        assert read.reading.whole
        actual = {int(seen.accounts.accounts[position].key) for position in read.members}
        partial = {int(seen.accounts.accounts[position].key) for position in read.partial}
        for op, numbers in ((Op.REVOKE, (actual | partial) - wanted), (Op.GRANT, wanted - actual)):
            names = {number: login for login, number in server.numbers.items()}
            steps += [server.step(op, names[number], "top", mode) for number in sorted(numbers)]
    return sorted(steps, key=lambda step: step.op is Op.GRANT)


@given(trees, st.sampled_from(SHAPES), st.data())
@settings(deadline=None, max_examples=150)
def test_a_plan_that_was_applied_leaves_nothing_to_plan(
    tree: list[tuple[Acl | None, Acl | None]], modes: tuple[str, ...], data: st.DataObject
) -> None:
    required()
    desired = {mode: data.draw(st.sets(st.sampled_from(PEOPLE))) for mode in modes}
    with in_memory() as folder:
        server = FileServer(folder)
        planted(server, tree)
        before = {each[:2]: each[2] for each in foreign_effects(server)}

        changed: set[str] = set()
        for op in (Op.REVOKE, Op.GRANT):  # as a run does: what is taken goes first, each in a batch of its own
            steps = [step for step in steps_to(server, desired) if step.op is op]
            assert all(outcome.kind.done for outcome in server.apply(*steps))
            changed = {step.locator["permission"] for step in steps} or changed

        assert steps_to(server, desired) == []
        after = {each[:2]: each[2] for each in foreign_effects(server)}
        assert {key: after[key] for key in before} == before
        assert not changed or "lacking-below" not in server.findings("top", *changed)
        assert "access-below" not in server.findings("top", *modes)


@pytest.mark.parametrize(("now", "then"), list(itertools.product(itertools.product((False, True), repeat=2), repeat=2)))
def test_every_combination_of_modes_leads_to_every_other(
    server: FileServer, now: tuple[bool, bool], then: tuple[bool, bool]
) -> None:
    server.make("top/one")
    for state in (now, then):
        desired = {
            mode: {FIRST} if wanted else set[int]() for mode, wanted in zip(("read", "write"), state, strict=True)
        }
        server.apply(*steps_to(server, desired))
        assert steps_to(server, desired) == []
    expected = ("r" if then[0] else "-") + ("w" if then[1] else "-") + "-"
    assert (server.rights("top/one", "zhang") or "---") == expected
