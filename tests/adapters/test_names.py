"""Distinguished names: spellings of one name are equal, different names are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from adapters.directory import names
from adapters.directory.entries import Edit, Modification, Request, Verdict
from adapters.directory.names import InvalidName, canonical, fold, lies_under, parse, rdn_value, render
from adapters.ldap.settings import Connection, endpoint_of
from adapters.ldap.wire import Wire, opened
from tests.adapters.directory_lab import fresh_branch
from tests.servers.fixtures import slapd  # noqa: F401
from tests.servers.slapd import PASSWORD, Slapd

HOSTILE = st.text(
    st.one_of(
        st.sampled_from(list(' ,+"\\<>;=#aA1-张é\x01')),
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
    ),
    min_size=1,
    max_size=8,
)
PAIR = st.tuples(st.sampled_from(["cn", "ou", "uid", "x-own"]), HOSTILE)
NAME = st.lists(st.lists(PAIR, min_size=1, max_size=2, unique_by=lambda pair: pair[0]), min_size=1, max_size=4)


def spelled(draw: st.DrawFn, pairs: list[list[tuple[str, str]]]) -> str:
    """One of the many spellings of a name."""
    rdns = []
    for rdn in pairs:
        parts = [f"{_type(draw, kind)}{_pad(draw)}={_pad(draw)}{_value(draw, value)}" for kind, value in rdn]
        rdns.append(f"{_pad(draw)}+{_pad(draw)}".join(draw(st.permutations(parts))))
    return f"{_pad(draw)},{_pad(draw)}".join(rdns)


def _pad(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(["", "", " ", "  "]))


def _type(draw: st.DrawFn, kind: str) -> str:
    others = {"cn": ["commonName", "2.5.4.3", "OID.2.5.4.3"], "uid": ["userid"]}.get(kind, [])
    return draw(st.sampled_from([kind, kind.upper(), *others]))


def _value(draw: st.DrawFn, value: str) -> str:
    return "".join(_character(draw, character) for character in value)


def _character(draw: st.DrawFn, character: str) -> str:
    hexadecimal = "".join(f"\\{octet:02x}" for octet in character.encode())
    choices = [hexadecimal, hexadecimal.upper()]
    if character in ' "#+,;<=>\\':
        choices.append("\\" + character)
    else:
        choices.append(character)
    return draw(st.sampled_from(choices))


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str]:
    pairs = draw(NAME)
    return spelled(draw, pairs), spelled(draw, pairs)


@st.composite
def one_spelling(draw: st.DrawFn) -> tuple[list[list[tuple[str, str]]], str]:
    pairs = draw(NAME)
    return pairs, spelled(draw, pairs)


@given(spellings())
def test_c1_two_spellings_of_one_name_are_equal(both: tuple[str, str]) -> None:
    assert canonical(both[0]) == canonical(both[1])


@given(one_spelling(), one_spelling())
def test_c1_different_names_never_are(
    one: tuple[list[list[tuple[str, str]]], str], other: tuple[list[list[tuple[str, str]]], str]
) -> None:
    def meaning(pairs: list[list[tuple[str, str]]]) -> list[list[tuple[str, str]]]:
        return [sorted((kind, fold(value)) for kind, value in rdn) for rdn in pairs]

    assert (canonical(one[1]) == canonical(other[1])) == (meaning(one[0]) == meaning(other[0]))


@given(one_spelling())
def test_a_canonical_name_is_a_spelling_of_itself(one: tuple[list[list[tuple[str, str]]], str]) -> None:
    name = parse(one[1])

    assert parse(render(name)) == name
    assert canonical(canonical(one[1])) == canonical(one[1]) == render(name)


@given(st.text(st.sampled_from("abAB12 .-_,=cnou"), max_size=40))
def test_the_short_cut_for_plain_names_gives_what_the_long_way_gives(text: str) -> None:
    try:
        expected = render(parse(text))
    except InvalidName:
        with pytest.raises(InvalidName):
            canonical(text)
    else:
        assert canonical(text) == expected


@given(HOSTILE)
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(one_spelling())
def test_a_name_lies_under_every_name_above_it_and_not_under_itself(
    one: tuple[list[list[tuple[str, str]]], str],
) -> None:
    above = "dc=example,dc=com"

    assert lies_under(f"{one[1]},{above}", above)
    assert not lies_under(above, above)
    assert not lies_under(above, f"{one[1]},{above}")


def test_a_value_that_only_looks_like_a_branch_is_not_one() -> None:
    assert not lies_under("cn=a\\,ou=people\\,dc=x", "ou=people,dc=x")


@pytest.mark.parametrize(
    "text",
    ["no name", "=x", "cn", "cn=a,", "cn=a\\", "cn=a\\zb", 'cn="open', "cn=#xyz", 'cn="a" b', "cn=a,,ou=b", "cn=<a>"],
)
def test_what_is_no_name_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidName, match=r"."):
        parse(text)


def test_what_people_call_an_entry_is_its_first_value() -> None:
    assert rdn_value("cn=Smith\\2C John,ou=people") == "Smith, John"
    assert rdn_value("uid=张伟,ou=people") == "张伟"
    assert rdn_value("") == ""


PAIRS = [
    ("cn=Smith\\, John,{0}", "CN=smith\\2c john,{0}", True),
    ("cn=张伟,{0}", "cn=\\E5\\BC\\A0\\e4\\bc\\9f,{0}", True),
    ("cn=Müller,{0}", "cn=MÜLLER,{0}", True),
    ("cn=Mu\\CC\\88ller,{0}", "cn=Müller,{0}", True),
    ("cn=ＦＵＬＬ,{0}", "cn=full,{0}", True),
    ("cn=straße,{0}", "cn=strasse,{0}", False),
    ("cn=a  b,{0}", "cn=a b,{0}", True),
    ("cn=\\ a\\ ,{0}", "cn=a,{0}", True),
    ("cn=a+uid=b,{0}", "uid=B+cn=A,{0}", True),
    ("commonName=a,{0}", "2.5.4.3=A,{0}", True),
    ("cn=a,{0}", "sn=a,{0}", False),
    ("cn=a\\,b,{0}", "cn=a,ou=b,{0}", False),
    ("cn=zero\u200bwidth,{0}", "cn=zerowidth,{0}", False),
    ("cn=soft\u00adhyphen,{0}", "cn=softhyphen,{0}", False),
    ("cn=ΑΣ,{0}", "cn=ας,{0}", False),
    ("cn=ΑΣ,{0}", "cn=ασ,{0}", True),
    ("cn=a\\#b,{0}", "cn=a#b,{0}", True),
    ("cn=a\\=b,{0}", "cn=a=b,{0}", True),
]


@pytest.mark.parametrize(("one", "other", "same"), PAIRS)
def test_c1_names_are_equal_exactly_where_openldap_says_so(
    slapd: Slapd,  # noqa: F811
    one: str,
    other: str,
    same: bool,
) -> None:
    branch = fresh_branch()
    one, other = one.format(branch), other.format(branch)
    group = f"cn=pair,{branch}"
    slapd.add(
        f"dn: {branch}\nobjectClass: organizationalUnit\nou: {branch[3:].split(',')[0]}\n\n"
        f"dn: {group}\nobjectClass: groupOfNames\ncn: pair\nmember: {one}\n"
    )

    slapd.run("ldapmodify", entries=f"dn: {group}\nchangetype: modify\nadd: member\nmember: {other}\n", check=False)

    [attributes] = slapd.search(group, "(objectClass=*)", "member").values()
    assert len(attributes["member"]) == (1 if same else 2)
    assert (names.canonical(one) == names.canonical(other)) is same


LETTERS = st.text(st.sampled_from(list(' ,+"\\<>;=#aA1-张éÉＡ\u0301')), min_size=1, max_size=5)
COMPONENTS = st.lists(st.tuples(st.sampled_from(["cn", "ou", "uid"]), LETTERS), min_size=1, max_size=2)
HOSTILE_NAME = st.lists(
    COMPONENTS.filter(lambda rdn: len({kind for kind, _ in rdn}) == len(rdn)), min_size=1, max_size=2
)


@st.composite
def two_names(draw: st.DrawFn) -> tuple[str, str]:
    """Two spellings, now and then of one name; blank values, which a server does not take, are left out."""
    one, other = draw(HOSTILE_NAME), draw(HOSTILE_NAME)
    assume(all(value.strip() for name in (one, other) for rdn in name for _, value in rdn))
    return spelled(draw, one), spelled(draw, one if draw(st.booleans()) else other)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(two_names())
def test_c1_hostile_names_are_equal_exactly_where_openldap_says_so(slapd: Slapd, both: tuple[str, str]) -> None:  # noqa: F811
    branch = fresh_branch()
    group, kept = f"cn=pair,{branch}", b"cn=kept"
    slapd.add(
        f"dn: {branch}\nobjectClass: organizationalUnit\nou: {branch[3:].split(',')[0]}\n\n"
        f"dn: {group}\nobjectClass: groupOfNames\ncn: pair\nmember: {kept.decode()}\n"
    )
    bind = {"dn": slapd.account("reconciler"), "password": PASSWORD}
    connection = Connection.model_validate({"url": slapd.url, "tls": "none", "bind": bind})
    with opened(Wire, endpoint_of(connection, Path())) as wire:
        answers = [
            wire.modify([Request(group, [Modification("member", Edit.ADD, [name.encode()])])])[0].verdict
            for name in both
        ]

    assume(Verdict.REFUSED not in answers)  # of some spellings that we take, a server does not
    assert answers[0] is Verdict.DONE
    assert (answers[1] is Verdict.CONFLICT) is (canonical(both[0]) == canonical(both[1]))
