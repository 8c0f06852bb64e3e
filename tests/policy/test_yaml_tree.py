"""Reading YAML: values, places, bounds."""

from __future__ import annotations

import pytest
import yaml

from reconciler.errors import Place, Problem
from reconciler.policy import yaml_tree
from reconciler.policy.nodes import Fields, Node, find, key_place, plain
from reconciler.policy.report import Report
from reconciler.policy.yaml_tree import MAX_BYTES, MAX_DEPTH, MAX_NODES, read_yaml


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test holds with PyYAML's C parser and with its own."""
    if request.param == "python":
        monkeypatch.setattr(yaml_tree, "Loader", yaml.SafeLoader)
    elif not yaml.__with_libyaml__:
        pytest.skip("PyYAML without libyaml")


def read(text: str | bytes) -> tuple[Node | None, tuple[Problem, ...]]:
    report = Report()
    node = read_yaml("a.yaml", text.encode() if isinstance(text, str) else text, report)
    return node, report.problems()


def value(text: str) -> object:
    node, problems = read(text)
    assert node is not None, problems
    assert not problems
    return plain(node)


def problem(text: str | bytes) -> Problem:
    (found,) = read(text)[1]
    return found


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [
        *(
            (word, word)
            for word in ("no", "yes", "on", "off", "y", "N", "12:30", "2026-02-30", "1_000", "0b1", ".inf", ".")
        ),
        *((word, None) for word in ("", "~", "null", "Null", "NULL")),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("0042", 42),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("'1'", "1"),
        ('"true"', "true"),
        ("! 12", "12"),
        ("!!str 12", "12"),
        ("!!int 12", 12),
        ("!!null ''", None),
        ("1" * 30, float("1" * 30)),
        ("1" * 5000, float("inf")),
    ],
)
def test_a_scalar_is_what_the_core_schema_says(scalar: str, expected: object) -> None:
    assert value(f"a: {scalar}") == {"a": expected}


def test_everything_has_its_line_and_column() -> None:
    node, _ = read("角色:\n  甲: {乙: [一, 二], b: {c: d}}\n")
    assert node is not None

    assert node.place == Place("a.yaml", 1, 1)
    assert key_place(node, ("角色", "甲")) == Place("a.yaml", 2, 3)
    assert find(node, ("角色", "甲")).place == Place("a.yaml", 2, 6)
    assert find(node, ("角色", "甲", "乙", 1)).place == Place("a.yaml", 2, 14)
    assert key_place(node, ("角色", "甲", "b", "c")) == Place("a.yaml", 2, 22)
    assert find(node, ("角色", "nothing", "甲", 7, "乙")).place == Place("a.yaml", 2, 10)


def test_a_byte_order_mark_moves_no_column() -> None:
    node, problems = read(b"\xef\xbb\xbfa: [b]\n")

    assert not problems
    assert isinstance(node, Fields)
    assert node.fields["a"].key == Place("a.yaml", 1, 1)
    assert node.fields["a"].node.place == Place("a.yaml", 1, 4)


@pytest.mark.parametrize("empty", ["", "# only a comment\n", "---\n", "---\n...\n", "~"])
def test_an_empty_file_says_nothing(empty: str) -> None:
    assert value(empty) == {}


def test_windows_line_ends_are_line_ends() -> None:
    assert value("a: b\r\nc: d\r\n") == {"a": "b", "c": "d"}
    assert problem("a: b\r\nc: [\r\n").place.line >= 2


def test_an_alias_is_what_it_refers_to() -> None:
    assert value("a: &x [1, {b: c}]\nd: *x") == {"a": [1, {"b": "c"}], "d": [1, {"b": "c"}]}


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        (b"a: \xff", "encoding", 1, 0),
        ("a: 中\nb: é".encode("gb18030"), "encoding", 1, 0),
        ("a: b".encode("utf-16"), "encoding", 1, 0),
        (b"a: b\nc: x\x07y", "encoding", 2, 5),
        ("a: b\nc: \ufeffy", "encoding", 2, 4),
        ("# a comment \u2028a: b", "encoding", 1, 13),
        ("# a comment \x85a: b", "encoding", 1, 13),
        ("# a comment \ra: b", "encoding", 1, 13),
        ("a: \u202eb", "encoding", 1, 4),
        (b"a" * (MAX_BYTES + 1), "too-large", 0, 0),
        ("[" * (MAX_DEPTH + 1), "too-deep", 1, MAX_DEPTH + 1),
        ("[" * 1_000_000, "too-deep", 1, MAX_DEPTH + 1),
        ("a: *x", "aliases", 1, 4),
        ("a: &x [*x]", "aliases", 1, 8),
        ("a: !!python/object/apply:os.system [ls]", "tag", 1, 4),
        ("a: !include b.yaml", "tag", 1, 4),
        ("a: !!binary aGk=", "tag", 1, 4),
        ("a: !!int x", "tag", 1, 4),
        ("a: !!map [x]", "tag", 1, 4),
        ("a: !!timestamp 2026-01-01", "tag", 1, 4),
        ("? [a, b]\n: c", "key", 1, 3),
        ("true: c", "unquoted", 1, 1),
        ("a: 1\nb: 2\n'a': 3", "duplicate-key", 3, 1),
        ("a: {<<: {b: c}}", "merge-key", 1, 5),
        ("a: b\n---\nc: d", "documents", 2, 1),
        ("a:\n \tb: c", "tab", 2, 2),
        ("a: b: c", "yaml", 1, 5),
        ("a: @b", "yaml", 1, 4),
    ],
)
def test_what_is_refused_and_where(text: str | bytes, code: str, line: int, column: int) -> None:
    found = problem(text)

    assert (found.code, found.place) == (code, Place("a.yaml", line, column))


def test_a_quoted_merge_key_is_a_key() -> None:
    assert value("'<<': a") == {"<<": "a"}


def bomb(levels: int, width: int) -> str:
    """Levels of lists, each of which refers `width` times to the one before: width to the power of levels values."""
    lists = (f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels + 1))
    return "\n".join(["a0: &a0 lol", *lists])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (bomb(9, 9), "too-large"),
        (bomb(12, 4), "too-large"),
        (bomb(40, 1), "too-deep"),
        ("a: &a [" + "x, " * (MAX_NODES // 3) + "]\nb: [*a, *a, *a]", "too-large"),
        ("a: &a [x]\nb: [" + "*a, " * 51 + "]", "aliases"),
    ],
    ids=["laughs", "doubling", "deep", "large", "many"],
)
def test_an_alias_bomb_is_refused_before_it_grows(text: str, code: str) -> None:
    assert problem(text).code == code


def test_both_values_of_a_key_that_stands_twice_are_named() -> None:
    found = problem("a:\n  b: 1\n  c: 2\n  b: 3")

    assert str(found.place) == "a.yaml:4:3"
    assert "first at a.yaml:2:3" in found.message
