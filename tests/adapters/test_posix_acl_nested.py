"""Bound folders inside each other: whose word counts where, and what `inherit: false` keeps out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.targets import Locator, Op, OutcomeKind, Reading, Step, entitlement_key
from tests.adapters.file_server import FIRST, FileServer, required

STRANGER = 31_234


@pytest.fixture
def server(tmp_path: Path) -> FileServer:
    required()
    made = FileServer(tmp_path)
    for path in ("docs/plan.txt", "docs/core/gear.txt", "docs/core/deep/er.txt", "docs/core/own/note.txt"):
        made.make(path)
    for each in [made.root, *made.root.rglob("*")]:
        each.chmod(0o711 if each.is_dir() else 0o600)  # one may pass through, as to an inner folder
    return made


def at(path: str, mode: str = "read") -> Locator:
    return {"path": path, "permission": mode}


def opens(server: FileServer, path: str, login: str, *, to_write: bool = False) -> bool:
    """Whether this user can really open the file."""
    child = os.fork()
    if not child:
        status = 2
        try:
            root = os.open(server.root, os.O_PATH)
            os.setgroups([])
            os.setgid(server.numbers[login])
            os.setuid(server.numbers[login])
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND if to_write else os.O_RDONLY, dir_fd=root))
            status = 0
        except PermissionError:
            status = 1
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 1)
    return status == 0


def test_what_the_inner_folder_does_not_bind_comes_in_from_around(server: FileServer) -> None:
    server.knowing(at("docs"), at("docs", "write"), at("docs/core"))

    server.grant("zhang", "docs")
    server.grant("smith", "docs", "write")
    server.grant("muller", "docs/core")

    assert server.members("docs") == {"zhang"}
    assert server.members("docs/core") == {"muller"}  # who reads in there is what the inner folder says
    assert server.rights("docs/core/gear.txt", "zhang") is None
    assert server.rights("docs/core/deep", "smith") == "-wx"
    assert server.rights("docs/core/deep", "smith", default=True) == "-wx"
    assert server.findings("docs", "read", "write").keys() == {"writes-unseen"}
    assert server.findings("docs/core") == {}
    assert server.partial("docs") == server.partial("docs/core") == set()


def test_a_revocation_around_leaves_the_inner_folder_what_it_says_itself(server: FileServer) -> None:
    server.knowing(at("docs"), at("docs", "write"), at("docs/core"))
    server.apply(*(server.step(Op.GRANT, "zhang", *where) for where in (("docs",), ("docs", "write"), ("docs/core",))))

    for mode in ("read", "write"):
        assert server.revoke("zhang", "docs", mode).kind is OutcomeKind.APPLIED

    assert server.rights("docs/plan.txt", "zhang") is None
    assert server.rights("docs/core/gear.txt", "zhang") == "r--"
    assert (server.members("docs/core"), server.partial("docs")) == ({"zhang"}, set())


def test_nothing_comes_into_a_folder_that_is_cut_off(server: FileServer) -> None:
    server.knowing(at("docs"), at("docs", "write"), at("docs/core"), cut_off=[at("docs/core")])

    for mode in ("read", "write"):
        server.grant("zhang", "docs", mode)
    server.grant("muller", "docs/core")
    server.make("docs/core/deep/new.txt")
    server.make("docs/core/new/paper.txt")

    inner = [(path, lines) for path, lines in server.picture() if "/core" in path]
    assert len(inner) == 9
    assert not any(f"user:{FIRST}:" in line for _, lines in inner for line in lines)
    assert server.rights("docs/core/new/paper.txt", "muller") == "r--"
    assert server.findings("docs", "read", "write") == server.findings("docs/core") == {}


def test_whoever_was_in_there_before_it_was_cut_off_has_a_part_that_a_revocation_takes(server: FileServer) -> None:
    server.knowing(at("docs", "write"))
    for login in ("zhang", "smith"):
        server.grant(login, "docs", "write")
    server.knowing(at("docs", "write"), at("docs/core"), cut_off=[at("docs/core")])
    server.grant("muller", "docs/core")

    assert (server.members("docs/core"), server.partial("docs/core")) == ({"muller"}, {"zhang", "smith"})
    assert server.revoke("zhang", "docs/core").kind is OutcomeKind.APPLIED
    assert server.grant("smith", "docs/core").kind is OutcomeKind.APPLIED  # to read, and no longer to write

    assert (server.members("docs/core"), server.partial("docs/core")) == ({"muller", "smith"}, set())
    assert server.rights("docs/core/deep/er.txt", "zhang") is None
    assert server.rights("docs/core/deep/er.txt", "smith") == "r--"
    assert server.rights("docs/core", "smith", default=True) == "r-x"
    assert server.rights("docs/plan.txt", "zhang") == server.rights("docs/plan.txt", "smith") == "-w-"


def test_a_group_that_got_in_there_is_foreign_whatever_it_may_do(server: FileServer) -> None:
    server.setfacl("docs/core", "-R", "-m", f"group:{STRANGER}:-wx")
    server.knowing(at("docs"), at("docs/core"), cut_off=[at("docs/core")])

    [read] = server.observe("docs/core").entitlements.values()

    assert list(read.foreign) == [f"group:{STRANGER}"]
    assert server.apply(Step(Op.REVOKE, "", read.foreign[0], at("docs/core")))[0].kind is OutcomeKind.APPLIED
    assert f"group:{STRANGER}:-wx" not in server.lines("docs/core/deep/er.txt")
    [read] = server.observe("docs/core").entitlements.values()
    assert (read.foreign, read.reading) == ((), Reading.CONFIRMED_EMPTY)


def test_a_folder_in_a_folder_that_is_cut_off_gets_only_what_that_one_has(server: FileServer) -> None:
    bound = [at("docs"), at("docs/core"), at("docs/core/own", "write")]
    server.knowing(*bound, cut_off=[at("docs/core")])

    server.grant("zhang", "docs")
    server.grant("smith", "docs/core")
    server.grant("muller", "docs/core/own", "write")

    assert server.rights("docs/core/own/note.txt", "zhang") is None
    assert server.rights("docs/core/own/note.txt", "smith") == "r--"
    assert server.rights("docs/core/own/note.txt", "muller") == "-w-"
    assert server.members("docs/core") == {"smith"}
    assert server.findings("docs") == server.findings("docs/core") == {}


def test_the_users_themselves_can_open_what_they_were_given_and_nothing_else(server: FileServer) -> None:
    bound = [at("docs"), at("docs", "write"), at("docs/core")]
    server.knowing(*bound, cut_off=[at("docs/core")])
    server.apply(*(server.step(Op.GRANT, "zhang", "docs", mode) for mode in ("read", "write")))
    server.grant("muller", "docs/core")

    assert opens(server, "docs/plan.txt", "zhang")
    assert opens(server, "docs/plan.txt", "zhang", to_write=True)
    assert not opens(server, "docs/core/deep/er.txt", "zhang")
    assert not opens(server, "docs/core/deep/er.txt", "zhang", to_write=True)
    assert opens(server, "docs/core/deep/er.txt", "muller")
    assert not opens(server, "docs/core/deep/er.txt", "muller", to_write=True)
    assert not opens(server, "docs/plan.txt", "muller")


def test_the_target_says_which_folders_lie_in_which(server: FileServer) -> None:
    locators = [
        *(at(".", mode) for mode in ("read", "write")),
        *(at(path) for path in ("docs", "docs-old", "docs/a/b/c", "docs/a/b/c/d", "文档/核心")),
        {"path": "docs/../x", "permission": "read"},
    ]

    found = server.target.containers(locators)

    root = [entitlement_key(at(".", "read")), entitlement_key(at(".", "write"))]
    assert found == {
        entitlement_key(at("docs")): root,
        entitlement_key(at("docs-old")): root,
        entitlement_key(at("文档/核心")): root,
        entitlement_key(at("docs/a/b/c")): [entitlement_key(at("docs"))],
        entitlement_key(at("docs/a/b/c/d")): [entitlement_key(at("docs/a/b/c"))],
    }


def test_what_is_bound_elsewhere_is_known_to_a_target_of_its_own(server: FileServer) -> None:
    before = server.target
    server.knowing(at("docs"), at("docs/core"), cut_off=[at("docs/core")])

    assert before is not server.target
    with before.writer() as writer:
        writer.apply([server.step(Op.GRANT, "zhang", "docs")])
    assert server.rights("docs/core/gear.txt", "zhang") == "r--"  # whom nobody told of it goes through everything
