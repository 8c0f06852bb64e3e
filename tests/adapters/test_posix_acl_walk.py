"""Going through folders: no link is followed, no mount entered, and nothing stops for one file that resists."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.posix_acl import tree
from adapters.posix_acl.acl import ACCESS, Acl, Principal
from adapters.posix_acl.tree import Item, below, opened, pinned
from adapters.posix_acl.writing import AclWriter
from reconciler.targets import Op, OutcomeKind, Reading, Step
from tests.adapters.file_server import FIRST, FileServer, in_memory, required


@pytest.fixture
def server(tmp_path: Path) -> FileServer:
    required()
    return FileServer(tmp_path)


def outside(server: FileServer) -> Path:
    """A folder beside the root, with something in it that must never be touched."""
    made = server.folder / "outside"
    (made / "sub").mkdir(parents=True)
    (made / "secret.txt").write_text("secret", encoding="utf-8")
    return made


def untouched(folder: Path) -> bool:
    return not any(os.listxattr(path) for path in [folder, *folder.rglob("*")])


def test_a_link_below_leads_nowhere(server: FileServer) -> None:
    beyond = outside(server)
    server.make("falcon/plan.txt")
    (server.root / "falcon/folder").symlink_to(beyond)
    (server.root / "falcon/file").symlink_to(beyond / "secret.txt")
    (server.root / "falcon/dangling").symlink_to("nowhere")
    os.mkfifo(server.root / "falcon/pipe")

    assert server.grant("zhang", "falcon").kind is OutcomeKind.APPLIED
    assert server.findings("falcon") == {}
    assert server.grant("zhang", "falcon").kind is OutcomeKind.ALREADY

    assert untouched(beyond)
    assert os.listxattr(server.root / "falcon/pipe") == []


def test_a_bound_folder_that_is_reached_by_a_link_is_none(server: FileServer) -> None:
    beyond = outside(server)
    (server.root / "falcon").symlink_to(beyond)

    for path in ("falcon", "falcon/sub"):
        [read] = server.observe(path).entitlements.values()
        assert read.reading is Reading.FAILED
        assert server.grant("zhang", path).kind is OutcomeKind.STALE
    assert untouched(beyond)


def test_a_file_that_becomes_a_link_after_it_was_seen_is_left_alone(server: FileServer) -> None:
    beyond = outside(server)
    made = server.make("falcon/plan.txt")
    with opened(server.root, "falcon") as folder:
        item = Item(("plan.txt",), folder, folder=False)
        made.unlink()
        with pinned(item) as gone:
            assert gone is None
        made.symlink_to(beyond / "secret.txt")
        with pinned(item) as link:
            assert link is None


def test_a_folder_that_becomes_a_link_after_it_was_seen_is_not_entered(server: FileServer) -> None:
    beyond = outside(server)
    (beyond / "sub/file").touch()
    for name in ("a", "b", "c"):
        server.make(f"falcon/{name}/paper.txt")
    seen = []
    with opened(server.root, "falcon") as folder:
        for each in below(folder, cross_mounts=False):
            seen.append(each.path)
            if len(seen) == 1:  # as soon as we are in one of them, the others are swapped
                for path in (server.root / "falcon").iterdir():
                    if path.name != each.path[0]:
                        path.rename(server.folder / path.name)
                        path.symlink_to(beyond)
            assert isinstance(each, Item)
    assert len(seen) == 2  # the one folder and what is in it


def test_what_vanishes_meanwhile_is_no_error(server: FileServer) -> None:
    for number in range(20):
        server.make(f"falcon/{number}/paper.txt")
    with opened(server.root, "falcon") as folder:
        for number, each in enumerate(below(folder, cross_mounts=False)):
            assert isinstance(each, Item)
            if number == 0:
                subprocess.run(["rm", "-r", *(str(path) for path in (server.root / "falcon").iterdir())], check=True)


def test_a_deep_tree_takes_few_descriptors_and_ends_somewhere(server: FileServer) -> None:
    path = server.root / "falcon"
    path.mkdir(mode=0o750)
    inner = os.open(path, os.O_RDONLY)
    for _ in range(tree.MAX_DEPTH + 50):
        os.mkdir("d", dir_fd=inner)
        deeper = os.open("d", os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = deeper
    os.close(inner)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, before[0]), before[1]))
    try:
        outcome = server.grant("zhang", "falcon")
        findings = server.findings("falcon")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert outcome.kind is OutcomeKind.REFUSED
    assert f"more than {tree.MAX_DEPTH} folders deep" in outcome.detail
    assert server.members("falcon") == {"zhang"}
    assert findings.keys() == {"unread-below"}


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_walk_that_is_given_up_closes_what_it_has_opened(server: FileServer) -> None:
    server.make("falcon/a/b/c/paper.txt")
    with opened(server.root, "falcon") as folder:
        before = descriptors()
        for stop in range(5):
            walk = below(folder, cross_mounts=False)
            for _ in range(stop):
                next(walk)
            assert isinstance(walk, Generator)
            walk.close()
        assert descriptors() == before


# --- two at a time ----------------------------------------------------------------------------------------------------


def to_and_fro(server: FileServer, login: str) -> int:
    """Grant and revoke many times; how many of these found the other state than the one before had left."""
    lost = 0
    for _ in range(200):
        lost += server.grant(login, "falcon").kind is not OutcomeKind.APPLIED
        lost += server.revoke(login, "falcon").kind is not OutcomeKind.APPLIED
    lost += server.grant(login, "falcon").kind is not OutcomeKind.APPLIED
    return lost


def test_f8_two_processes_on_one_folder_lose_nothing_of_each_other() -> None:
    required()
    with in_memory() as folder:
        server = FileServer(folder, ["zhang", "smith"])
        server.make("falcon/plan.txt")
        children = []
        for login in server.numbers:
            if not (child := os.fork()):
                os._exit(min(to_and_fro(server, login), 255))
            children.append(child)

        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
        assert server.members("falcon") == {"zhang", "smith"}
        assert server.findings("falcon") == {}


def test_whoever_keeps_the_lock_keeps_nobody_in(server: FileServer) -> None:
    server.make("falcon/plan.txt")
    server.grant("zhang", "falcon")
    keeper = os.open(server.root, os.O_RDONLY)
    try:
        fcntl.flock(keeper, fcntl.LOCK_EX)
        with server.target.writer() as writer:
            assert isinstance(writer, AclWriter)
            impatient = replace(writer, patience=0.0)
            [outcome] = impatient.apply([server.step(Op.REVOKE, "zhang", "falcon")])
    finally:
        os.close(keeper)

    assert outcome.kind is OutcomeKind.APPLIED
    assert server.rights("falcon/plan.txt", "zhang") is None


# --- a run that dies half-way -----------------------------------------------------------------------------------------


def killed(server: FileServer, step: Step, begun: Callable[[], bool]) -> None:
    """Carry a step out in a process of its own, and kill that as soon as it has begun."""
    if not (child := os.fork()):
        server.apply(step)
        os._exit(0)
    while not begun():
        assert os.waitpid(child, os.WNOHANG)[0] == 0, "it was over before it was killed"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def has_entry(path: Path, number: int) -> bool:
    octets = tree.list_at(str(path), ACCESS)
    return octets is not None and Principal("user", number) in Acl.decoded(octets).named


def test_whoever_was_granted_something_in_part_is_no_member_and_is_granted_it_again() -> None:
    required()
    with in_memory() as folder:
        server = FileServer(folder)
        files = [server.make(f"falcon/{number}.txt") for number in range(5000)]

        killed(server, server.step(Op.GRANT, "zhang", "falcon"), lambda: any(has_entry(f, FIRST) for f in files[::50]))

        assert server.members("falcon") == set()
        assert server.partial("falcon") == {"zhang"}
        assert server.grant("zhang", "falcon").kind is OutcomeKind.APPLIED
        assert (server.members("falcon"), server.partial("falcon")) == ({"zhang"}, set())
        assert server.findings("falcon") == {}


def test_whoever_is_revoked_is_shut_out_before_anything_else_is_done() -> None:
    required()
    with in_memory() as folder:
        server = FileServer(folder)
        files = [server.make(f"falcon/{number}.txt") for number in range(5000)]
        server.grant("zhang", "falcon")
        top = server.root / "falcon"

        killed(server, server.step(Op.REVOKE, "zhang", "falcon"), lambda: not has_entry(top, FIRST))

        assert any(has_entry(file, FIRST) for file in files)
        assert server.members("falcon") == set()
        assert server.partial("falcon") == {"zhang"}
        assert "access-below" in server.findings("falcon")
        assert server.revoke("zhang", "falcon").kind is OutcomeKind.APPLIED
        assert not any(has_entry(file, FIRST) for file in files)
        assert server.partial("falcon") == set()


# --- what cannot be changed -------------------------------------------------------------------------------------------


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    done = subprocess.run(["chattr", "+i", path], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("no file can be made immutable here (chattr +i)")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def test_one_file_that_cannot_be_changed_is_named_and_the_rest_is_done(server: FileServer) -> None:
    for name in ("a", "frozen", "z"):
        server.make(f"falcon/sub/{name}.txt")
    with immutable(server.root / "falcon/sub/frozen.txt"):
        outcome = server.grant("zhang", "falcon")

        assert outcome.kind is OutcomeKind.REFUSED
        assert "falcon/sub/frozen.txt" in outcome.detail
        for path in ("falcon", "falcon/sub", "falcon/sub/a.txt", "falcon/sub/z.txt"):
            assert server.rights(path, "zhang")
        assert "zhang: sub/frozen.txt" in server.findings("falcon")["lacking-below"]
        [revoked, other] = server.apply(
            server.step(Op.REVOKE, "zhang", "falcon"), server.step(Op.REVOKE, "smith", "falcon")
        )
    assert revoked.kind is OutcomeKind.APPLIED
    assert other.kind is OutcomeKind.ALREADY


def test_a_revocation_that_one_file_resists_shuts_the_folder_all_the_same(server: FileServer) -> None:
    server.make("falcon/frozen.txt")
    server.grant("zhang", "falcon")
    with immutable(server.root / "falcon/frozen.txt"):
        outcome = server.revoke("zhang", "falcon")
    assert outcome.kind is OutcomeKind.REFUSED
    assert server.rights("falcon", "zhang") is None
    assert "zhang: frozen.txt" in server.findings("falcon")["access-below"]
    assert server.partial("falcon") == {"zhang"}
    assert server.revoke("zhang", "falcon").kind is OutcomeKind.APPLIED
    assert server.partial("falcon") == set()
    assert server.rights("falcon/frozen.txt", "zhang") is None


def test_a_list_that_is_full_is_refused_with_what_to_do(tmp_path: Path) -> None:
    required()
    logins = [f"u{number}" for number in range(150)]
    server = FileServer(tmp_path, logins)
    made = server.make("falcon/")
    for number in range(100, 8000, 100):
        acl = Acl(7, 5, 0, {Principal("user", 40_000 + each): 5 for each in range(number)}, 5)
        try:
            os.setxattr(made, ACCESS, acl.encoded())
        except OSError:
            break
    else:
        pytest.skip("the lists of this file system have no end")

    outcomes = [server.grant(login, "falcon") for login in logins]

    refused = [outcome for outcome in outcomes if outcome.kind is not OutcomeKind.APPLIED]
    assert {outcome.kind for outcome in refused} == {OutcomeKind.REFUSED}
    assert all("manage the group" in outcome.detail for outcome in refused)


@contextmanager
def acting_as(number: int) -> Iterator[None]:
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


def test_the_owner_may_change_a_folder_and_somebody_else_is_refused() -> None:
    required()
    with in_memory() as folder:
        folder.chmod(0o755)
        server = FileServer(folder)
        server.make("falcon/plan.txt")
        for path in (server.root, server.root / "falcon", server.root / "falcon/plan.txt"):
            os.chown(path, FIRST, FIRST)
            path.chmod(0o755)
        with acting_as(FIRST + 1):
            outcome = server.grant("muller", "falcon")
            told = [finding.kind for finding in server.target.probe()]
        with acting_as(FIRST):
            by_owner = server.grant("muller", "falcon")
            told_owner = [finding.kind for finding in server.target.probe()]

    assert outcome.kind is OutcomeKind.REFUSED
    assert "falcon" in outcome.detail
    assert "(and 2 more)" in outcome.detail
    assert "no-right-to-change" in told
    assert by_owner.kind is OutcomeKind.APPLIED
    assert "no-right-to-change" not in told_owner


def test_a_folder_below_that_cannot_be_listed_is_told() -> None:
    required()
    with in_memory() as folder:
        folder.chmod(0o755)
        server = FileServer(folder)
        server.make("falcon/shut/plan.txt")
        (server.root / "falcon").chmod(0o755)
        (server.root / "falcon/shut").chmod(0o700)
        with acting_as(FIRST):
            told = server.findings("falcon")["unread-below"]

    assert "1 (shut)" in told


# --- mounts -----------------------------------------------------------------------------------------------------------


@contextmanager
def mounted(kind: str, source: Path, at: Path) -> Iterator[None]:
    how = ["--bind", str(source)] if kind == "bind" else ["-t", "tmpfs", "tmpfs"]
    if subprocess.run(["mount", *how, str(at)], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
@pytest.mark.parametrize("cross", [False, True])
def test_what_is_mounted_below_is_entered_only_where_the_settings_say_so(
    tmp_path: Path, kind: str, cross: bool
) -> None:
    required()
    server = FileServer(tmp_path, cross_mounts=cross)
    source = outside(server)
    at = server.make("falcon/mounted/")
    with mounted(kind, source, at):
        (at / "inside.txt").touch()

        assert server.grant("zhang", "falcon").kind is OutcomeKind.APPLIED

        assert (server.rights("falcon/mounted/inside.txt", "zhang") is not None) is cross
        assert ("mount-below" in server.findings("falcon")) is not cross
        assert server.grant("zhang", "falcon").kind is OutcomeKind.ALREADY


def test_a_file_system_without_lists_is_told_with_what_to_do() -> None:
    required()
    with in_memory() as folder:
        server = FileServer(folder)
        at = server.make("proc/")
        with mounted("bind", Path("/proc/sys"), at):
            [read] = server.observe("proc").entitlements.values()
    assert read.reading is Reading.FAILED
    assert "no access control lists" in read.detail
