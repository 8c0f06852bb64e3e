"""Promise 1 on a file server: in a tree of bound folders that passes `check` nobody can open what is above them.

The rule is read anew here: a file takes what the nearest bound folder around it takes; for reading and for writing what
is bound for that, and where nothing is, all that is bound there. Who can open what, the kernel says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.policy import load_policy
from reconciler.policy.containment import containment_problems
from reconciler.targets import Locator, Op, Step, Target, entitlement_key
from tests.adapters.file_server import FIRST, FileServer, in_memory, required

PATHS = ("a", "a/b", "a/b/c", "a/b/c/d", "a/e", "f")
SHAPES = ((), ("read",), ("write",), ("read", "write"), ("read-write",))
LETTERS = {"read": "r", "write": "w", "read-write": "rw"}
LEVELS = ("public", "internal", "core")
PEOPLE = (FIRST, FIRST + 1, FIRST + 2)


@dataclass(frozen=True)
class Needs:
    """A class and compartments: what a resource takes, or what somebody has."""

    rank: int
    compartments: frozenset[str]

    def reach(self, other: Needs) -> bool:
        return self.rank >= other.rank and self.compartments >= other.compartments


@dataclass(frozen=True)
class Folder:
    """How one folder is bound: permission → what it takes."""

    bound: Mapping[str, Needs]
    cut: bool

    def taking(self, letter: str) -> Sequence[Needs]:
        return [needs for permission, needs in self.bound.items() if letter in LETTERS[permission]]


needs = st.builds(Needs, st.integers(0, 2), st.frozensets(st.sampled_from(["chips", "merger"])))


@st.composite
def folders(draw: st.DrawFn) -> Folder:
    shape = draw(st.sampled_from(SHAPES))
    one = draw(needs)
    return Folder({permission: draw(st.one_of(st.just(one), needs)) for permission in shape}, draw(st.booleans()))


trees = st.fixed_dictionaries({path: folders() for path in PATHS})
people = st.fixed_dictionaries(dict.fromkeys(PEOPLE, needs))
by_hand = st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(PEOPLE), st.sampled_from("rw")), max_size=3)


def located(tree: Mapping[str, Folder]) -> dict[tuple[str, str], Locator]:
    return {
        (path, permission): {"path": path, "permission": permission}
        for path, folder in tree.items()
        for permission in folder.bound
    }


def wrong_paths(tree: Mapping[str, Folder], target: Target) -> set[str]:
    """The folders that `check` finds fault with."""
    lines = []
    for (path, permission), locator in located(tree).items():
        takes = tree[path].bound[permission]
        binding = {**locator, **({"inherit": "false"} if tree[path].cut else {})}
        access = ", ".join(f"{name}: {value}" for name, value in binding.items())
        more = f", compartments: [{', '.join(sorted(takes.compartments))}]" if takes.compartments else ""
        head = f'  "{path}:{permission}": {{classification: {LEVELS[takes.rank]}{more}'.replace(":", "-", 1)
        lines.append(f"{head}, access: {{open: {{files: {{{access}}}}}}}}}\n")
    if not lines:
        return set()
    words = "attributes: {department: {kind: tree}}\nevidence: {nda: {kind: agreement}}\n"
    words += "clearances: [{public: {}}, {internal: {requires: [nda]}}, {core: {}}]\n"
    words += "compartments: {chips: {requires: [nda]}, merger: {requires: [nda]}}\nresources:\n"
    policy = load_policy({"p.yaml": (words + "".join(lines)).encode()}, revision="")
    bound = {ref.key: each for ref, each in policy.entitlements.items()}
    around = target.containers([each.locator for each in bound.values()])
    first = words.count("\n") + 1
    found = containment_problems("files", bound, around, policy, cuts_off=True)
    return {list(located(tree))[problem.place.line - first][0] for problem in found}


def nearest(tree: Mapping[str, Folder], path: str) -> tuple[str, Folder] | None:
    """The nearest bound folder at this path or above."""
    parts = path.split("/")
    above = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next(((each, tree[each]) for each in above if tree[each].bound), None)


def may_open(tree: Mapping[str, Folder], path: str, letter: str, has: Needs) -> bool:
    """Whether somebody of this clearance may open a file of this folder for reading or writing at all."""
    found = nearest(tree, path)
    if found is None:
        return False
    folder = found[1]
    if own := folder.taking(letter):
        return any(has.reach(each) for each in own)
    return not folder.cut and all(has.reach(each) for each in folder.bound.values())


def is_managed(tree: Mapping[str, Folder], path: str, letter: str) -> bool:
    """Whether anything that is bound says who may do this with what is in the folder."""
    found = nearest(tree, path)
    if found is None:
        return False
    where, folder = found
    around = where.rpartition("/")[0]
    return folder.cut or bool(folder.taking(letter)) or (bool(around) and is_managed(tree, around, letter))


@contextmanager
def being(number: int) -> Iterator[None]:
    os.setegid(number)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def opens(file: Path, letter: str) -> bool:
    try:
        os.close(os.open(file, os.O_RDONLY if letter == "r" else os.O_WRONLY))
    except PermissionError:
        return False
    return True


def steps(server: FileServer, wanted: Mapping[tuple[str, str], set[int]], tree: Mapping[str, Folder]) -> list[Step]:
    """What is left to do, as a plan has it."""
    locators = located(tree)
    seen = server.target.observe(list(locators.values()))
    number_at = [int(account.key) for account in seen.accounts.accounts]
    found = []
    for where, locator in locators.items():
        read = seen.entitlements[entitlement_key(locator)]
        assert read.reading.whole, read.detail
        actual, partial = ({number_at[position] for position in part} for part in (read.members, read.partial))
        for op, numbers in ((Op.REVOKE, (actual | partial) - wanted[where]), (Op.GRANT, wanted[where] - actual)):
            found += [Step(op, str(number), server.logins[number], locator) for number in sorted(numbers)]
    return sorted(found, key=lambda step: step.op is Op.GRANT)


def brought_about(server: FileServer, wanted: Mapping[tuple[str, str], set[int]], tree: Mapping[str, Folder]) -> None:
    """Told what is bound, the target is brought to where nothing is left to do, in one pass."""
    locators = located(tree)
    cut = [locator for (path, _), locator in locators.items() if tree[path].cut]
    server.knowing(*locators.values(), cut_off=cut)
    for op in (Op.REVOKE, Op.GRANT):  # as a run does
        due = [step for step in steps(server, wanted, tree) if step.op is op]
        assert all(outcome.kind.done for outcome in server.apply(*due))
    assert steps(server, wanted, tree) == []


@given(trees, people, by_hand, st.data())
@settings(deadline=None, max_examples=200)
def test_promise_1_nobody_can_open_what_they_are_not_cleared_for_in_a_tree_that_passes(
    tree: dict[str, Folder], cleared: dict[int, Needs], hands: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    required()
    with in_memory() as folder:
        folder.chmod(0o755)
        server = FileServer(folder)
        while wrong := wrong_paths(tree, server.target):  # done as its remedy says, it passes
            tree = {path: replace(each, cut=each.cut or path in wrong) for path, each in tree.items()}
        for path in PATHS:
            (server.root / path).mkdir(mode=0o711)
            (server.root / path / "old.txt").touch(mode=0o600)

        # Before, only some of it was bound, nothing was cut off, and who was cleared for what is long forgotten.
        earlier = {path: replace(each, cut=False) for path, each in tree.items()}
        for path in data.draw(st.sets(st.sampled_from(PATHS)), "bound later"):
            earlier[path] = Folder({}, cut=False)
        anybody = st.sets(st.sampled_from(PEOPLE))
        brought_about(server, {where: data.draw(anybody) for where in located(earlier)}, earlier)
        for path, number, letter in hands:
            if is_managed(tree, path, letter):
                file, login = f"{path}/old.txt", server.logins[number]
                more = {letter, *(server.rights(file, login) or "")} - {"-"}  # never less: that is not planned
                server.setfacl(file, "-m", f"user:{number}:{''.join(sorted(more))}")

        wanted = {}
        for path, permission in located(tree):
            takes = tree[path].bound[permission]
            wanted[path, permission] = {each for each in data.draw(anybody) if cleared[each].reach(takes)}
        brought_about(server, wanted, tree)

        for path in PATHS:
            (server.root / path / "new.txt").touch(mode=0o660)
        for path, number, letter in product(PATHS, PEOPLE, "rw"):
            found = nearest(tree, path)
            own = found and [one for one in found[1].bound if letter in LETTERS[one]]
            with being(number):
                can = {opens(server.root / path / name, letter) for name in ("old.txt", "new.txt")}
            assert len(can) == 1, (path, number, letter)
            if can == {True}:
                assert may_open(tree, path, letter, cleared[number]), (path, number, letter)
            if own and found:
                assert can == {any(number in wanted[found[0], one] for one in own)}, (path, number, letter)
