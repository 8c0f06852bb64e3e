"""Access control lists as values: the kernel's format, and that nobody's rights change but those of whom we name."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.posix_acl.acl import ACCESS, Acl, MalformedAcl, Principal
from adapters.posix_acl.rights import Demand, Goal, Others
from tests.adapters.file_server import FileServer, required

permissions = st.integers(0, 7)
principals = st.builds(Principal, st.sampled_from(["user", "group"]), st.integers(0, 5))
named = st.dictionaries(principals, permissions, max_size=6)


@st.composite
def acls(draw: st.DrawFn) -> Acl:
    entries = draw(named)
    mask = draw(permissions if entries else st.one_of(st.none(), permissions))
    return Acl(draw(permissions), draw(permissions), draw(permissions), entries, mask)


@given(acls())
def test_a_list_is_read_as_it_was_written(acl: Acl) -> None:
    assert Acl.decoded(acl.encoded()) == acl


@given(st.binary(max_size=60))
def test_other_octets_are_refused_or_are_a_list(octets: bytes) -> None:
    try:
        acl = Acl.decoded(octets)
    except MalformedAcl:
        return
    assert Acl.decoded(acl.encoded()) == acl


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        struct.pack("<I", 2),
        struct.pack("<I", 1) + Acl(7, 5, 0).encoded()[4:],
        Acl(7, 5, 0).encoded()[:-8],
        Acl(7, 5, 0).encoded() + struct.pack("<HHI", 0x02, 4, 9),  # a named entry and no mask
        Acl(7, 5, 0).encoded() + struct.pack("<HHI", 0x40, 4, 9),
        Acl(7, 5, 0).encoded() + struct.pack("<HHI", 0x20, 4, 9),
    ],
)
def test_what_is_cut_or_is_of_another_version_is_no_list(octets: bytes) -> None:
    with pytest.raises(MalformedAcl):
        Acl.decoded(octets)


def test_the_kernel_and_getfacl_read_a_list_as_we_do(tmp_path: Path) -> None:
    required()
    server = FileServer(tmp_path)
    made = server.make("paper.txt")
    acl = Acl(6, 4, 0, {Principal("group", 7): 5, Principal("user", 9): 6, Principal("user", 8): 4}, 5)

    os.setxattr(made, ACCESS, acl.encoded())

    assert Acl.decoded(os.getxattr(made, ACCESS)) == acl
    lines = ["user::rw-", "user:8:r--", "user:9:rw-", "group::r--", "group:7:r-x", "mask::r-x", "other::---"]
    assert server.lines("paper.txt") == lines
    assert stat.S_IMODE(made.stat().st_mode) == 0o650


@given(acls(), named)
def test_rights_become_what_is_wanted_and_nobody_elses_change(acl: Acl, wanted: dict[Principal, int]) -> None:
    after = acl.with_rights(wanted)

    for who, rights in wanted.items():
        assert after.effective(who) == rights
        assert (who in after.named) is bool(rights)
    for who in acl.named.keys() - wanted.keys():
        assert who in after.named
        assert after.effective(who) == acl.effective(who)
    assert after.group & after.ceiling == acl.group & acl.ceiling
    assert (after.owner, after.other) == (acl.owner, acl.other)
    assert after.named.keys() <= acl.named.keys() | wanted.keys()
    assert Acl.decoded(after.encoded()) == after


def test_whoever_a_mask_limits_is_cut_to_what_they_had_before_it_is_widened() -> None:
    limited, new = Principal("user", 1), Principal("user", 2)
    acl = Acl(7, 7, 0, {limited: 7}, mask=5)

    after = acl.with_rights({new: 7})

    assert after == Acl(7, 5, 0, {limited: 5, new: 7}, mask=7)


@given(acls(), principals, st.sampled_from([2, 4, 6]), st.booleans(), st.booleans())
def test_a_step_is_done_once(acl: Acl, who: Principal, mode: int, grant: bool, folder: bool) -> None:
    goal = Goal({who: Demand().then(mode, grant=grant)}, mode)
    reached = goal.reached(acl, Others(), folder=folder)
    after = reached[0] if reached else acl

    assert goal.reached(after, Others(), folder=folder) is None
    other = (2 | 4) & ~mode
    before = acl.effective(who) if not folder or acl.effective(who) & 1 else 0
    if grant:
        assert after.effective(who) & mode == mode
        assert after.effective(who) & other == before & other
        assert not folder or after.effective(who) & 1
    else:
        assert after.named.get(who, 0) & mode == 0
        assert reached is None or after.effective(who) & other == before & other


def test_granting_to_write_does_not_open_to_read_what_could_not_be_entered() -> None:
    who = Principal("user", 1)

    reached = Goal({who: Demand().then(2, grant=True)}, 2).reached(
        Acl(7, 0, 0, {who: 4}, mask=7), Others(), folder=True
    )

    assert reached is not None
    assert reached[0].effective(who) == 2 | 1


def test_an_entry_that_keeps_somebody_out_is_not_removed_by_a_revocation() -> None:
    # Without it they would have what everybody else has.
    who = Principal("user", 1)
    acl = Acl(7, 5, 5, {who: 0}, mask=5)

    assert Goal({who: Demand().then(4, grant=False)}, 4).reached(acl, Others(), folder=True) is None


def test_what_a_mask_hides_of_an_entry_is_revoked_too() -> None:
    who = Principal("user", 1)

    reached = Goal({who: Demand().then(4, grant=False)}, 4).reached(
        Acl(7, 5, 0, {who: 7}, mask=0), Others(), folder=True
    )

    assert reached is not None
    assert reached[0] == Acl(7, 0, 0)
