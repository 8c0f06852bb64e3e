"""The words in both languages: every kind is told, no value forges a line or becomes markup, what is cut is counted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.notifications.notices import Notice, NoticeKind
from reconciler.notifications.robots import DingTalk, Feishu, WeCom
from reconciler.notifications.texts import Style, composed, one_line, robot_text
from reconciler.plan.guards import CHECKS, INVARIANT
from reconciler.targets import Op
from reconciler.workspace.notifications import kinds

LANGUAGES = ("zh-CN", "en")
DIGEST = "sha256:" + "0123456789abcdef" * 4
HELD: dict[str, str | int | Sequence[str]] = {
    "slice": "dir/grant/core/people",
    "target": "dir",
    "op": "grant",
    "class": "core",
    "guard": "too-many",
    "digest": DIGEST,
    "changes": 500,
    "people": 480,
    "permissions": ["algorithms:read"],
}
EVERY = [
    Notice(NoticeKind.LEAVER, "l1", {"target": "dir", "permissions": ["docs:read"], "read": 1}, "dir", "E1"),
    Notice(NoticeKind.LEAVER, "l2", {"target": "dms", "permissions": [], "read": 0}, "dms", "E1"),
    Notice(NoticeKind.POLICIES, "policies", {"errors": 2, "places": ["policies/roles.yaml:14:9"]}),
    Notice(NoticeKind.PASS, "pass", {"unread": ["dms"], "failed": 3}),
    Notice(NoticeKind.PASS, "pass1", {"unread": [], "failed": 3}),
    Notice(NoticeKind.PASS, "pass2", {"code": "store-busy"}),
    Notice(NoticeKind.IMPORT, "i1", {"source": "hr", "code": "feed-held"}, "hr"),
    Notice(NoticeKind.IMPORT, "i2", {"source": "hr", "waiting": 7, "import": "0123456789ab"}, "hr"),
    Notice(NoticeKind.APPROVAL, "a", {**HELD, "guard": "approvals", "wanted": 2}, "dir"),
    Notice(NoticeKind.HELD, "h", HELD, "dir"),
    Notice(NoticeKind.HELD, "h2", {**HELD, "guard": INVARIANT, "digest": "", "permissions": []}, "dir"),
    Notice(
        NoticeKind.EVIDENCE,
        "e",
        {"what": "training", "at": "2026-12-01T00:00+08:00", "days": 7, "permissions": ["algorithms:read"], "more": 3},
        person="E1",
    ),
]


def told(notices: list[Notice], language: str, style: Style, **more: object) -> str:
    return composed(notices, language=language, organization="一家公司", style=style, **more).body  # type: ignore[arg-type]


def test_the_settings_know_the_kinds_in_the_order_of_urgency() -> None:
    assert kinds() == tuple(kind.value for kind in NoticeKind)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("style", [Style(), WeCom.style, DingTalk.style, Feishu.style])
def test_every_kind_is_told_with_what_to_do(language: str, style: Style) -> None:
    body = told(EVERY, language, style, names={"E1": "王芳"})

    assert not re.search(r"[{}]|:left|:line", body), "no template shows"
    assert f'reconciler approve {DIGEST} --reason "…"' in body
    assert "reconciler people confirm 0123456789ab" in body
    for word in ("E1 (王芳)", "docs:read", "dms", "policies/roles.yaml:14:9", "store-busy", "feed-held", "500", "480"):
        assert word in body
    assert "2026-12-01 00:00" in body


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_are_said_only_where_they_may_be(language: str) -> None:
    assert "王芳" not in told(EVERY, language, Style())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("guard", [*CHECKS, INVARIANT])
@pytest.mark.parametrize("op", [op.value for op in Op])
def test_every_guard_and_step_has_words(language: str, guard: str, op: str) -> None:
    body = told([Notice(NoticeKind.HELD, "h", {**HELD, "guard": guard, "op": op})], language, Style())

    assert not re.search(rf"[;；] ?{guard}$|guard:|op:", body, re.MULTILINE)
    assert language == "en" or op not in body


@given(st.text(), st.sampled_from(LANGUAGES), st.sampled_from([Style(), WeCom.style, DingTalk.style, Feishu.style]))
def test_no_value_forges_a_line(person: str, language: str, style: Style) -> None:
    plain = told([Notice(NoticeKind.LEAVER, "l", EVERY[0].content, "dir", "E1")], language, style)
    body = told([Notice(NoticeKind.LEAVER, "l", EVERY[0].content, "dir", person)], language, style)

    assert len(body.splitlines()) == len(plain.splitlines())
    hidden = {unicodedata.category(sign) for sign in body} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert hidden <= {"Cc"}, "the line feeds of ours"


MARKUP = st.text("\\`*[]()<>#~|!@_:/ab1\n ", max_size=60)


@given(MARKUP, st.sampled_from(LANGUAGES), st.sampled_from([WeCom.style, DingTalk.style, Feishu.style]))
def test_no_value_becomes_markup_of_a_robot(value: str, language: str, style: Style) -> None:
    content = {**HELD, "target": value, "class": value, "permissions": [value]}
    plain = told(
        [Notice(NoticeKind.HELD, "h", {**content, "target": "", "class": "", "permissions": [""]})], language, style
    )
    body = told([Notice(NoticeKind.HELD, "h", content, person=value)], language, style)

    for sign in "\\`*[]<>#~|!@":
        assert body.count(sign) == plain.count(sign)
    assert "://" not in body


@pytest.mark.parametrize(
    "value",
    [
        "[点这里](https://evil.example.com)",
        "<@all>",
        '<font color="warning">x</font>',
        "**王**",
        "# 标题",
        "> 引用",
        "`x`",
        "![](http://evil.example.com/x.png)",
        "_斜体_",
        "@13800001111",
    ],
)
def test_known_markup_loses_its_meaning(value: str) -> None:
    assert not re.search(r"[\[\]<>*`#!@\\~|]|://|(?<!\w)_|_(?!\w)", robot_text(value))


@pytest.mark.parametrize(
    "value", ["王芳", "corp_ldap", "core-algorithms:read", "E1007", "欧阳·娜娜", DIGEST, "研发/AI"]
)
def test_what_people_are_really_called_stays_as_it_is(value: str) -> None:
    assert robot_text(value) == one_line(value) == value


@given(st.integers(1, 600), st.sampled_from(LANGUAGES), st.sampled_from([WeCom.style, DingTalk.style, Feishu.style]))
def test_what_is_left_out_is_counted(count: int, language: str, style: Style) -> None:
    notices = [Notice(NoticeKind.LEAVER, str(n), EVERY[0].content, "dir", f"E{n}") for n in range(count)]
    body = told(notices, language, style)

    assert style.limit is not None
    assert len(body.encode()) <= style.limit
    shown = body.count("· E")
    more = re.search(r"… and (\d+) more|另有 (\d+) 项", body)
    left_out = int(next(filter(None, more.groups()))) if more else 0
    assert shown + left_out == count


def test_what_may_have_arrived_already_says_so() -> None:
    assert "may have arrived" in told(EVERY[:1], "en", Style(), again=True)
    assert "may have arrived" not in told(EVERY[:1], "en", Style())
