"""Disabled accounts stand in a unit of their own and come home again: on OpenLDAP servers that bring groups up to date
by themselves and on those that do not, and in an LDIF file.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from adapters.directory import names
from adapters.directory.entries import Answer, Request, Verdict
from adapters.ldap import LdapTarget
from adapters.ldap.wire import Wire
from adapters.ldif import LdifTarget
from reconciler.targets import Op, Outcome, ProblemsFound, Step, Target
from reconciler.testing.targets import ALREADY, APPLIED, PEOPLE, grant, revoke, seen
from tests.adapters.directory_lab import branch_entries, branch_settings, context, person_dn
from tests.adapters.test_ldap_contract import LdapLab, server_settings
from tests.servers.fixtures import slapd  # noqa: F401
from tests.servers.slapd import Slapd, required, started

GROUPS = {
    "docs-readers": ["zhang", "smith"],
    "alone": ["smith"],
    "核心算法": ["muller"],
    "unmanaged": ["smith", "plain"],
}
OVERLAYS = [(), ("refint",), ("memberof",), ("memberof", "refint")]
SUFFIX = "dc=example,dc=com"


@pytest.fixture(scope="module", params=OVERLAYS, ids=lambda names: "+".join(names) or "none")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    required()
    with started(tmp_path_factory.mktemp("slapd"), overlays=["ppolicy", *request.param]) as running:
        yield running


@pytest.fixture
def lab(server: Slapd) -> LdapLab:
    return made(server)


@pytest.fixture
def plain(slapd: Slapd) -> LdapLab:  # noqa: F811
    """On a server that leaves groups alone."""
    return made(slapd)


def made(server: Slapd) -> LdapLab:
    lab = LdapLab(server, PEOPLE, GROUPS)
    server.add(unit(left(lab.branch)))
    return lab


def left(branch: str) -> str:
    return f"ou=left,ou=people,{branch}"


def unit(dn: str) -> str:
    return f"dn: {dn}\nobjectClass: organizationalUnit\nou: left\n"


def moving(lab: LdapLab, **more: object) -> LdapTarget:
    places = {"leavers": left(lab.branch), "home": f"ou=people,{lab.branch}"}
    accounts = {"disable": "ppolicy", **places, **more}
    return LdapTarget(context(Path()), server_settings(lab.server, lab.branch, who="admin", accounts=accounts))


def both(lab: LdapLab, login: str = "smith") -> tuple[Step, Step]:
    disable, enable = (
        Step(op, lab.key(login), lab.account_name(login)) for op in (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT)
    )
    return disable, enable


def outcomes(of: Target, *steps: Step) -> Sequence[Outcome]:
    with of.writer() as writer:
        return writer.apply(steps)


def test_a_disabled_account_is_moved_keeps_its_groups_and_comes_home(lab: LdapLab) -> None:
    target, (disable, enable), before = moving(lab), both(lab), lab.account_name("smith")
    away = f"{names.own_part(before)},{left(lab.branch)}"
    lab.put("核心算法", "smith")  # in another spelling
    readers = [lab.locator(group) for group in GROUPS]

    [result] = outcomes(target, disable)

    assert (result.kind, result.detail) == (APPLIED, f"moved to {left(lab.branch)}")
    assert lab.account_name("smith") == away
    assert lab.key("smith") == disable.account
    assert {group: lab.members(group) for group in GROUPS} == {
        group: {*members, *(["smith"] if group == "核心算法" else [])} for group, members in GROUPS.items()
    }
    observation = target.observe(readers)
    [account] = [each for each in observation.accounts.accounts if each.key == disable.account]
    assert (account.name, account.login, account.enabled, account.match) == (away, "smith", False, {"id": "E1002"})
    assert all("smith" in seen(observation, each) for each in observation.entitlements.values())
    assert not any(each.foreign for each in observation.entitlements.values())
    assert [each.kind for each in outcomes(target, disable)] == [ALREADY]
    assert lab.account_name("smith") == away
    assert [each.kind for each in outcomes(target, enable)] == [APPLIED]
    assert lab.account_name("smith") == before
    assert all("smith" in lab.members(group) for group in GROUPS)


def test_what_a_batch_takes_and_gives_is_taken_and_given_under_whatever_name(lab: LdapLab) -> None:
    target, (disable, _) = moving(lab), both(lab)
    out = [revoke(lab, group, "smith") for group in ("docs-readers", "alone")]

    assert [each.kind for each in outcomes(target, disable, out[0])] == [APPLIED, APPLIED]
    assert [each.kind for each in outcomes(target, out[1], grant(lab, "核心算法", "smith"))] == [APPLIED, APPLIED]

    assert lab.members("docs-readers") == {"zhang"}
    assert lab.members("alone") == set()
    assert lab.members("核心算法") == {"muller", "smith"}


def test_c3_whoever_gets_the_free_name_is_in_none_of_the_groups(lab: LdapLab) -> None:
    outcomes(moving(lab), both(lab)[0])
    former = person_dn(lab.accounts["smith"], lab.branch)

    lab.server.add(f"dn: {former}\nobjectClass: inetOrgPerson\nuid: other\nsn: x\nemployeeNumber: E1099\n")

    assert not any("other" in lab.members(group) for group in GROUPS)


def test_many_move_at_once(lab: LdapLab) -> None:
    everybody = [both(lab, each.login)[0] for each in PEOPLE]

    results = outcomes(moving(lab), *everybody)

    assert {(each.kind, each.detail) for each in results} == {(APPLIED, f"moved to {left(lab.branch)}")}
    assert all(lab.account_name(each.login).endswith(left(lab.branch)) for each in PEOPLE)
    assert {group: lab.members(group) for group in GROUPS} == {group: set(own) for group, own in GROUPS.items()}


def test_an_account_that_cannot_be_moved_is_disabled_all_the_same(plain: LdapLab) -> None:
    before = plain.account_name("smith")
    plain.server.add(
        f"dn: {names.own_part(before)},{left(plain.branch)}\nobjectClass: inetOrgPerson\nuid: former\nsn: x\n"
    )

    [result] = outcomes(moving(plain), both(plain)[0])

    assert result.kind is APPLIED
    assert result.detail.startswith("not moved: entryAlreadyExists")
    assert plain.account_name("smith") == before
    [account] = [each for each in moving(plain).observe([]).accounts.accounts if each.login == "smith"]
    assert not account.enabled


def test_a_unit_that_is_not_there_is_told(plain: LdapLab) -> None:
    [result] = outcomes(moving(plain, leavers=f"ou=gone,ou=people,{plain.branch}"), both(plain)[0])

    assert (result.kind, "noSuchObject" in result.detail) == (APPLIED, True)


def test_c3_a_name_that_is_taken_over_at_the_last_moment_is_not_moved(
    plain: LdapLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, before, (disable, _) = Wire.move, plain.account_name("smith"), both(plain)
    rdn = "\nchangetype: modrdn\nnewrdn: {}\ndeleteoldrdn: 0\n"

    def overtaken(self: Wire, wanted: Sequence[tuple[Request, str, str]]) -> Sequence[Answer]:
        plain.server.modify(f"dn: {before}{rdn.format('cn=Smith-Doe')}")
        other = plain.account_name("plain")
        plain.server.modify(f"dn: {other}{rdn.format(names.own_part(before))}")
        return original(self, wanted)

    monkeypatch.setattr(Wire, "move", overtaken)

    [result] = outcomes(moving(plain), disable)

    assert (result.kind, "not moved" in result.detail) == (APPLIED, True)
    assert plain.account_name("plain") == before


def test_a_group_that_cannot_follow_is_named(plain: LdapLab, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Wire.modify

    def forbidding(self: Wire, wanted: Sequence[Request]) -> Sequence[Answer]:
        if any(each.dn == plain.group_dn("unmanaged") for each in wanted):
            return [Answer(Verdict.FORBIDDEN, "insufficientAccessRights") for _ in wanted]
        return original(self, wanted)

    monkeypatch.setattr(Wire, "modify", forbidding)

    [result] = outcomes(moving(plain), both(plain)[0])

    assert result.kind is APPLIED
    assert f"{plain.group_dn('unmanaged')} holds the former name still: insufficientAccessRights" in result.detail


def test_a_group_that_changes_while_it_follows_is_read_again(plain: LdapLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the server brings it up to date at the same moment."""
    original, former = Wire.modify, plain.account_name("smith")
    now, once = f"{names.own_part(former)},{left(plain.branch)}", iter([True])

    def overtaken(self: Wire, wanted: Sequence[Request]) -> Sequence[Answer]:
        group = plain.group_dn("docs-readers")
        if any(each.dn == group for each in wanted) and next(once, False):
            change = f"delete: member\nmember: {former}\n-\nadd: member\nmember: {now}\n"
            plain.server.modify(f"dn: {group}\nchangetype: modify\n{change}")
        return original(self, wanted)

    monkeypatch.setattr(Wire, "modify", overtaken)

    [result] = outcomes(moving(plain), both(plain)[0])

    assert (result.kind, result.detail) == (APPLIED, f"moved to {left(plain.branch)}")
    assert {group: plain.members(group) for group in GROUPS} == {group: set(own) for group, own in GROUPS.items()}


@pytest.mark.parametrize(
    ("accounts", "words"),
    [
        ({"leavers": left(SUFFIX)}, "needs `disable`"),
        ({"disable": "ppolicy", "home": left(SUFFIX)}, "needs that too"),
        ({"disable": "ppolicy", "leavers": "ou=left,dc=example,dc=org"}, "lies outside `people.base`"),
        ({"disable": "ppolicy", "leavers": left(SUFFIX), "home": f"ou=in,{left(SUFFIX)}"}, "lies within"),
    ],
)
def test_units_that_cannot_work_are_refused(accounts: dict[str, object], words: str) -> None:
    with pytest.raises(ProblemsFound) as caught:
        LdifTarget(context(Path()), {"path": "x.ldif", **branch_settings(SUFFIX, accounts=accounts)})
    assert words in str(caught.value)


# -- in a file ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=OVERLAYS, ids=lambda names: "+".join(names) or "none")
def overlays(request: pytest.FixtureRequest) -> list[str]:
    required()
    return ["ppolicy", *request.param]


def in_a_file(folder: Path, entries: str) -> LdifTarget:
    (folder / "directory.ldif").write_text(entries, "utf-8")
    places = {"leavers": left(SUFFIX), "home": f"ou=people,{SUFFIX}"}
    settings = {"path": "directory.ldif", **branch_settings(SUFFIX, accounts={"disable": "ppolicy", **places})}
    return LdifTarget(context(folder), settings)


@pytest.fixture
def original(tmp_path: Path, overlays: list[str]) -> Iterator[Slapd]:
    """The server that the file is an export of."""
    with started(tmp_path / "original", overlays=overlays) as running:
        entries = branch_entries(SUFFIX, PEOPLE, GROUPS).split("\n\n", 1)[1]
        running.add(f"{entries}\n{unit(left(SUFFIX))}")
        yield running


def exported(server: Slapd) -> str:
    options = ["-LLL", "-o", "ldif-wrap=no", "-b", SUFFIX, "(objectClass=*)"]
    return server.run("ldapsearch", *options, "*", "entryUUID", "pwdAccountLockedTime")


def entries_of(server: Slapd) -> object:
    found = server.search(SUFFIX, "(objectClass=*)", "*", "entryUUID", "pwdAccountLockedTime")
    return {dn: {name: sorted(values) for name, values in own.items()} for dn, own in found.items()}


def test_in_a_file_it_comes_to_the_same_on_every_server(tmp_path: Path, original: Slapd, overlays: list[str]) -> None:
    target = in_a_file(tmp_path, exported(original))
    [smith] = [each for each in target.observe([]).accounts.accounts if each.login == "smith"]
    disable, enable = (Step(op, smith.key, smith.name) for op in (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT))
    away = f"{names.own_part(smith.name)},{left(SUFFIX)}"
    locators = [{"group": group} for group in GROUPS]

    [result] = outcomes(target, disable)

    assert (result.kind, result.detail) == (APPLIED, f"moved to {left(SUFFIX)}")
    observation = target.observe(locators)
    [account] = [each for each in observation.accounts.accounts if each.key == smith.key]
    assert (account.name, account.enabled) == (away, False)
    assert {read.name: seen(observation, read) for read in observation.entitlements.values()} == {
        f"cn={group},ou=groups,{SUFFIX}": set(members) for group, members in GROUPS.items()
    }
    brought_back(tmp_path, original, overlays)
    if "memberof" in overlays:
        [attributes] = original.search(SUFFIX, "(uid=smith)", "memberOf").values()
        assert set(attributes["memberOf"]) == {f"cn={g},ou=groups,{SUFFIX}" for g in GROUPS if "smith" in GROUPS[g]}

    [back] = outcomes(target, enable)

    assert back.kind is APPLIED
    [account] = [each for each in target.observe([]).accounts.accounts if each.key == smith.key]
    assert (account.name, account.enabled) == (smith.name, True)
    brought_back(tmp_path, original, overlays)


def brought_back(folder: Path, original: Slapd, overlays: list[str]) -> None:
    """Bring the changes to the server, which then has what the file has."""
    changes = folder / "directory.changes.ldif"
    original.run("ldapmodify", "-f", str(changes))
    changes.unlink()
    with started(folder / uuid.uuid4().hex, overlays=overlays, ldif=folder / "directory.ldif") as other:
        assert entries_of(other) == entries_of(original)


def test_in_a_file_without_entry_uuids_nobody_is_moved(tmp_path: Path) -> None:
    target = in_a_file(tmp_path, f"{branch_entries(SUFFIX, PEOPLE, GROUPS)}\n{unit(left(SUFFIX))}")
    [smith] = [each for each in target.observe([]).accounts.accounts if each.login == "smith"]

    [result] = outcomes(target, Step(Op.DISABLE_ACCOUNT, smith.key, smith.name))

    assert result.kind is APPLIED
    assert "not moved: the export has no entryUUID" in result.detail
    [account] = [each for each in target.observe([]).accounts.accounts if each.login == "smith"]
    assert (account.name, account.enabled) == (smith.name, False)
