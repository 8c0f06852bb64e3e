"""What is particular to an LDAP server: limits, rights, encryption, lost connections, renames, other kinds of group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.directory.entries import Answer, Modification, Request
from adapters.ldap import LdapTarget
from adapters.ldap.wire import ReadOnlyWire, Wire
from reconciler.targets import (
    Locator,
    Op,
    Outcome,
    OutcomeKind,
    ProblemsFound,
    Reading,
    Step,
    Target,
    TargetError,
    TargetUnavailable,
    entitlement_key,
)
from reconciler.testing.targets import (
    ALREADY,
    APPLIED,
    GROUPS,
    PEOPLE,
    STALE,
    LabAccount,
    apply,
    entitlement,
    grant,
    observe,
    revoke,
    seen,
)
from tests.adapters.directory_lab import GONE, context, person_dn, person_entry
from tests.adapters.test_ldap_contract import LdapLab, server_settings
from tests.servers.fixtures import slapd  # noqa: F401
from tests.servers.slapd import PASSWORD, Slapd, required, started

REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE
DOCS: Locator = {"group": "docs-readers"}


@pytest.fixture
def lab(slapd: Slapd) -> LdapLab:  # noqa: F811
    return LdapLab(slapd, PEOPLE, GROUPS)


@pytest.fixture
def modifications(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Modification]]:
    """Every modify request that is sent."""
    sent: list[Sequence[Modification]] = []
    original = Wire.modify

    def noting(self: Wire, wanted: Sequence[Request]) -> Sequence[Answer]:
        sent.extend(each.parts for each in wanted)
        return original(self, wanted)

    monkeypatch.setattr(Wire, "modify", noting)
    return sent


def target(settings: Mapping[str, object], folder: Path = Path()) -> LdapTarget:
    return LdapTarget(context(folder), settings)


def outcomes(of: Target, *steps: Step) -> Sequence[Outcome]:
    with of.writer() as writer:
        return writer.apply(steps)


# -- limits, rights, wrong settings -----------------------------------------------------------------------------------


def test_b2_b3_a_size_limit_makes_a_partial_reading_and_says_so(slapd: Slapd) -> None:  # noqa: F811
    people = [LabAccount(f"u{number}", f"E{number}", f"User {number}") for number in range(700)]
    lab = LdapLab(slapd, people, {"docs-readers": [person.login for person in people]})

    observation = target(server_settings(slapd, lab.branch, who="limited")).observe([DOCS])

    assert observation.accounts.reading is Reading.PARTIAL
    assert "sizeLimitExceeded" in observation.accounts.detail
    assert len(observation.accounts.accounts) == 500
    read = entitlement(observation)
    assert (read.reading, read.foreign, len(read.members)) == (Reading.PARTIAL, (), 500)


def test_a_missing_right_to_write_is_refused_in_the_servers_words(lab: LdapLab) -> None:
    limited = target(server_settings(lab.server, lab.branch, who="limited"))
    before = lab.picture()

    results = outcomes(limited, grant(lab, "docs-readers", "plain"), revoke(lab, "docs-readers", "smith"))

    assert [result.kind for result in results] == [REFUSED, REFUSED]
    assert all("insufficientAccess" in result.detail for result in results)
    assert lab.picture() == before


def test_one_value_that_the_server_refuses_does_not_keep_the_others_out(lab: LdapLab) -> None:
    bad = Step(Op.REVOKE, "", "no name at all", DOCS)

    results = outcomes(lab.target, revoke(lab, "docs-readers", "smith"), bad, grant(lab, "docs-readers", "plain"))

    assert [result.kind for result in results] == [APPLIED, REFUSED, APPLIED]
    assert lab.members("docs-readers") == {"zhang", "plain"}


def test_a_wrong_password_is_told_without_it(lab: LdapLab) -> None:
    bind = {"dn": lab.server.account("reconciler"), "password": "hunter2-wrong"}
    wrong = target({**lab.settings, "bind": bind})

    with pytest.raises(TargetError, match=r"does not let cn=reconciler.*invalidCredentials") as caught:
        wrong.observe([DOCS])
    assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(vars(wrong))
    with pytest.raises(TargetError), wrong.writer():
        pass


def test_a1_a_server_that_is_not_there_is_unavailable_and_nothing_is_read(lab: LdapLab) -> None:
    absent = target({**lab.settings, "url": "ldap://127.0.0.1:1"})

    with pytest.raises(TargetUnavailable, match=r"ldap://127\.0\.0\.1:1 .*does not answer") as caught:
        absent.observe([DOCS])
    assert "firewall" in caught.value.remedy
    with pytest.raises(TargetUnavailable), absent.writer():
        pass


@pytest.mark.parametrize("branch", ["people", "groups"])
def test_a_base_that_is_not_there_is_an_error_that_names_it(lab: LdapLab, branch: str) -> None:
    part: Any = lab.settings[branch]
    settings = {**lab.settings, branch: {**part, "base": f"ou=typo,{lab.branch}"}}

    with pytest.raises(
        TargetError, match=r"no entry ou=typo,.* can see; the nearest entry above it is ou=lab"
    ) as caught:
        target(settings).observe([DOCS])
    assert "correct the base" in caught.value.remedy
    with pytest.raises(TargetError, match="no entry ou=typo"):
        target(settings).probe()


def test_a3_no_accounts_at_all_is_confirmed_only_where_the_server_says_so(slapd: Slapd) -> None:  # noqa: F811
    lab = LdapLab(slapd, [], {"docs-readers": []})
    assert lab.target.observe([]).accounts.reading is Reading.CONFIRMED_EMPTY

    slapd.add(f"dn: ou=sub,ou=people,{lab.branch}\nobjectClass: organizationalUnit\nou: sub\n")

    accounts = lab.target.observe([]).accounts
    assert (accounts.reading, len(accounts.accounts)) == (Reading.PARTIAL, 0)
    assert "no account is to be seen" in accounts.detail


def test_a_filter_that_is_none_is_an_error_that_shows_it(lab: LdapLab) -> None:
    people: Any = lab.settings["people"]

    with pytest.raises(TargetError, match="is no search filter"):
        target({**lab.settings, "people": {**people, "filter": "(&(broken"}}).observe([])


def test_a_filter_limits_what_counts_as_an_account(lab: LdapLab) -> None:
    people: Any = lab.settings["people"]
    settings = {**lab.settings, "people": {**people, "filter": "(employeeNumber=E1001)"}}

    observation = target(settings).observe([DOCS])

    assert [account.login for account in observation.accounts.accounts] == ["zhang"]
    assert list(entitlement(observation).foreign) == [lab.account_name("smith")]


# -- encryption -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["starttls", "ldaps"])
def test_an_encrypted_connection_needs_a_certificate_that_can_be_trusted(
    lab: LdapLab, way: str, tmp_path: Path
) -> None:
    server = lab.server
    settings = {**lab.settings, "tls": way, "url": server.url if way == "starttls" else server.tls_url}
    (tmp_path / "ca.pem").write_bytes(server.ca.read_bytes())

    assert len(target({**settings, "ca": "ca.pem"}, tmp_path).observe([DOCS]).accounts.accounts) == len(PEOPLE)
    with pytest.raises(TargetError, match="certificate is not to be trusted") as caught:
        target(settings).observe([DOCS])
    assert not isinstance(caught.value, TargetUnavailable)
    assert "`ca`" in caught.value.remedy
    with pytest.raises(TargetError, match=r"CA file .*absent\.pem cannot be read"):
        target({**settings, "ca": "absent.pem"}, tmp_path).observe([DOCS])


@pytest.mark.parametrize("way", ["starttls", "ldaps"])
def test_a_certificate_for_another_host_is_refused(lab: LdapLab, way: str) -> None:
    url = (lab.server.url if way == "starttls" else lab.server.tls_url).replace("127.0.0.1", "localhost")

    with pytest.raises(TargetError, match=r"not to be trusted: .*localhost") as caught:
        target({**lab.settings, "tls": way, "url": url, "ca": str(lab.server.ca)}).observe([DOCS])
    assert "use the host name" in caught.value.remedy
    assert "`ca`" not in caught.value.remedy, "another CA would not help"


# -- identity ---------------------------------------------------------------------------------------------------------


def rename(lab: LdapLab, login: str, new: str) -> None:
    dn = lab.account_name(login)
    lab.server.modify(f"dn: {dn}\nchangetype: modrdn\nnewrdn: cn={new}\ndeleteoldrdn: 1\n")


def test_c3_a_renamed_account_is_the_same_account(lab: LdapLab) -> None:
    granting, revoking = grant(lab, "核心算法", "smith"), revoke(lab, "docs-readers", "smith")
    rename(lab, "smith", "Smith-Doe")

    assert [result.kind for result in outcomes(lab.target, granting, revoking)] == [APPLIED, APPLIED]
    assert lab.members("核心算法") == {"muller", "smith"}
    assert lab.members("docs-readers") == {"zhang"}


def test_c3_a_name_that_is_used_again_is_another_account(lab: LdapLab) -> None:
    steps = [grant(lab, "核心算法", "smith"), revoke(lab, "docs-readers", "smith")]
    lab.remove_account("smith")
    lab.server.add(person_entry(lab.accounts["smith"], lab.branch))

    results = outcomes(lab.target, *steps)

    assert [result.kind for result in results] == [STALE, STALE]
    assert "another account" in results[0].detail
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_c3_the_former_name_of_a_renamed_account_is_left_to_its_new_owner(lab: LdapLab) -> None:
    step = revoke(lab, "docs-readers", "smith")
    former = lab.account_name("smith")
    rename(lab, "smith", "Smith-Doe")
    lab.server.add(person_entry(replace(lab.accounts["smith"], login="newcomer", id="E9"), lab.branch))

    assert apply(lab, step) == [ALREADY]
    assert former in lab.values("docs-readers")


def test_two_groups_of_one_name_fail_and_name_both(lab: LdapLab) -> None:
    other = f"cn=docs-readers,ou=sub,ou=groups,{lab.branch}"
    lab.server.add(
        f"dn: ou=sub,ou=groups,{lab.branch}\nobjectClass: organizationalUnit\nou: sub\n\n"
        f"dn: {other}\nobjectClass: groupOfNames\ncn: docs-readers\nmember: {lab.account_name('plain')}\n"
    )

    read = entitlement(observe(lab, "docs-readers"))

    assert read.reading is Reading.FAILED
    assert other in read.detail
    assert lab.group_dn("docs-readers") in read.detail
    assert apply(lab, grant(lab, "docs-readers", "muller")) == [REFUSED]
    by_dn: Locator = {"group": other.replace("cn=", "CN = ")}
    observation = lab.target.observe([by_dn])
    assert seen(observation, observation.entitlements[entitlement_key(by_dn)]) == {"plain"}
    step = replace(grant(lab, "docs-readers", "muller"), locator=by_dn)
    assert [result.kind for result in outcomes(lab.target, step)] == [APPLIED]


def test_an_account_with_two_ids_matches_nobody_and_is_reported(lab: LdapLab) -> None:
    settings = {**lab.settings, "people": {"base": f"ou=people,{lab.branch}", "match": {"description": "id"}}}
    dn = lab.account_name("plain")
    lab.server.modify(f"dn: {dn}\nchangetype: modify\nadd: description\ndescription: E1\ndescription: E2\n")

    observation = target(settings).observe([])

    assert [(finding.kind, finding.subject) for finding in observation.findings] == [("ambiguous-account", dn)]
    assert all(not account.match for account in observation.accounts.accounts)


def test_a_placeholder_that_is_somebodys_account_stops_everything(lab: LdapLab) -> None:
    dn = lab.account_name("plain")
    groups: Any = lab.settings["groups"]

    with pytest.raises(TargetError, match="is somebody's account"):
        target({**lab.settings, "groups": {**groups, "placeholder": dn}}).observe([])


def test_a_managed_group_in_another_lies_around_it_however_it_is_spelled(lab: LdapLab) -> None:
    lab.put_value("docs-readers", lab.group_dn("核心算法").replace("cn=", "CN = ").replace(",ou", " , OU"))

    docs, core = observe(lab, "docs-readers", "核心算法").entitlements.values()

    assert (docs.within, core.within) == ([core.key], ())
    assert len(docs.foreign) == 1
    assert observe(lab, "docs-readers", "核心算法", accounts=["smith"]).entitlements[docs.key].within == ()


def test_f9_the_placeholder_cannot_be_revoked_as_foreign(lab: LdapLab) -> None:
    assert apply(lab, Step(Op.REVOKE, "", f"CN=Placeholder,ou=groups,{lab.branch}", DOCS)) == [REFUSED]


def test_f9_the_placeholder_stands_alone_and_leaves_with_the_next_member(lab: LdapLab) -> None:
    apply(lab, revoke(lab, "核心算法", "muller"))
    assert lab.values("核心算法") == [f"cn=placeholder,ou=groups,{lab.branch}"]

    apply(lab, grant(lab, "核心算法", "smith"))
    assert lab.values("核心算法") == [lab.account_name("smith")]


# -- requests ---------------------------------------------------------------------------------------------------------


def test_a_batch_on_one_group_is_one_request(lab: LdapLab, modifications: list[Sequence[Modification]]) -> None:
    steps = [
        revoke(lab, "docs-readers", "zhang"),
        revoke(lab, "docs-readers", "smith"),
        grant(lab, "docs-readers", "plain"),
        grant(lab, "docs-readers", "muller"),
    ]

    assert apply(lab, *steps) == [APPLIED] * 4
    assert [[len(part.values) for part in request] for request in modifications] == [[2, 2]]


def test_a_large_batch_is_split_and_removes_first(slapd: Slapd, modifications: list[Sequence[Modification]]) -> None:  # noqa: F811
    people = [LabAccount(f"u{number}", f"E{number}", f"User {number}") for number in range(1100)]
    lab = LdapLab(slapd, people, {"docs-readers": [person.login for person in people[:600]]})
    accounts = {account.login: account for account in lab.target.observe([]).accounts.accounts}
    steps = [
        Step(Op.GRANT if number >= 600 else Op.REVOKE, accounts[person.login].key, accounts[person.login].name, DOCS)
        for number, person in enumerate(people)
    ]

    assert set(apply(lab, *reversed(steps))) == {APPLIED}

    sizes = [[(part.edit.value, len(part.values)) for part in request] for request in modifications]
    assert sizes == [[("delete", 500)], [("delete", 100), ("add", 400)], [("add", 100)]]
    assert lab.members("docs-readers") == {person.login for person in people[600:]}


def test_f8_a_member_added_meanwhile_by_somebody_else_stays(lab: LdapLab) -> None:
    step = revoke(lab, "docs-readers", "smith")
    lab.put("docs-readers", "plain")

    assert apply(lab, step) == [APPLIED]
    assert lab.members("docs-readers") == {"zhang", "plain"}


def test_f1_a_connection_for_reading_has_no_way_to_write() -> None:
    assert not any(hasattr(ReadOnlyWire, name) for name in ("modify", "delete", "add", "rename"))


def test_filters_and_names_are_escaped(lab: LdapLab) -> None:
    for name in ("*", "docs*", ")(cn=*", "a\\", "cn=docs-readers)(member=*"):
        read = entitlement(lab.target.observe([{"group": name}]))
        assert read.reading is Reading.FAILED, name


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[tuple[Slapd, Path]]:
    required()
    with started(tmp_path / "slapd") as server:
        yield server, tmp_path / "slapd"


def test_a1_a_server_that_ends_leaves_outcomes_open_and_is_found_again(own_server: tuple[Slapd, Path]) -> None:
    server, folder = own_server
    lab = LdapLab(server, PEOPLE, GROUPS)
    steps = [revoke(lab, "docs-readers", "smith"), revoke(lab, "核心算法", "muller")]

    with lab.target.writer() as writer:
        server.process.terminate()
        server.process.wait()
        results = writer.apply(steps)
        assert [result.kind for result in results] == [UNAVAILABLE, UNAVAILABLE]
        assert PASSWORD not in str(results)
        with started(folder, port=server.port):
            assert [result.kind for result in writer.apply(steps)] == [APPLIED, APPLIED]
            assert lab.members("docs-readers") == {"zhang"}


# -- other kinds of group ---------------------------------------------------------------------------------------------


def with_kind(lab: LdapLab, kind: str) -> LdapTarget:
    return target({**lab.settings, "groups": {"base": f"ou=groups,{lab.branch}", "kind": kind}})


def test_c2_a_posix_group_goes_by_user_name_whatever_its_case(lab: LdapLab) -> None:
    lab.server.add(
        f"dn: cn=unix,ou=groups,{lab.branch}\nobjectClass: posixGroup\ncn: unix\ngidNumber: 1\n"
        "memberUid: Smith\nmemberUid: nobody-we-know\n"
    )
    posix, unix = with_kind(lab, "posixGroup"), {"group": "unix"}

    observation = posix.observe([unix, DOCS])
    group, names = observation.entitlements.values()
    assert names.reading is Reading.FAILED
    assert seen(observation, group) == {"smith"}
    assert list(group.foreign) == ["nobody-we-know"]

    steps = [
        replace(revoke(lab, "docs-readers", "smith"), locator=unix),
        replace(grant(lab, "docs-readers", "plain"), locator=unix),
        Step(Op.REVOKE, "", "nobody-we-know", unix),
    ]
    assert [result.kind for result in outcomes(posix, *steps)] == [APPLIED] * 3
    assert lab.values("unix", "memberUid") == ["plain"]
    assert [result.kind for result in outcomes(posix, *steps)] == [ALREADY] * 3
    outcomes(posix, replace(steps[0], account=lab.key("plain")))
    read = entitlement(posix.observe([unix]))
    assert (read.reading, len(read.members)) == (Reading.CONFIRMED_EMPTY, 0)


def test_whoever_is_in_a_posix_group_by_their_own_entry_is_told(lab: LdapLab) -> None:
    """Their `gidNumber` is the group's: systems take them for members, and no removal from the group ends that."""
    group, unix = f"cn=unix,ou=groups,{lab.branch}", {"group": "unix"}
    lab.server.add(f"dn: {group}\nobjectClass: posixGroup\ncn: unix\ngidNumber: 77\nmemberUid: smith\n")
    for number, login in enumerate(("smith", "plain", "zhang")):
        account = f"gidNumber: {77 if login != 'zhang' else 78}\nuidNumber: {number}\nhomeDirectory: /home"
        classes = "changetype: modify\nadd: objectClass\nobjectClass: posixAccount\n-\nadd: "
        changes = "\n-\nadd: ".join(f"{line.split(':')[0]}\n{line}" for line in account.splitlines())
        lab.server.modify(f"dn: {lab.account_name(login)}\n{classes}{changes}\n")

    observation = with_kind(lab, "posixGroup").observe([unix])

    assert seen(observation) == {"smith"}
    [found] = [each for each in observation.findings if each.kind == "primary-group"]
    assert found.subject == lab.account_name("plain"), "smith is a member too, and zhang's number is another"
    assert group in found.text


def test_a_group_of_unique_names_works_as_one_of_names(lab: LdapLab) -> None:
    dn = lab.account_name("smith")
    lab.server.add(
        f"dn: cn=unique,ou=groups,{lab.branch}\nobjectClass: groupOfUniqueNames\ncn: unique\nuniqueMember: {dn}\n"
    )
    unique, group = with_kind(lab, "groupOfUniqueNames"), {"group": "unique"}

    assert seen(unique.observe([group])) == {"smith"}
    step = replace(revoke(lab, "docs-readers", "smith"), locator=group)
    assert [result.kind for result in outcomes(unique, step)] == [APPLIED]
    assert entitlement(unique.observe([group])).reading is Reading.CONFIRMED_EMPTY


def test_the_empty_name_is_nobody(lab: LdapLab) -> None:
    lab.server.modify(f"dn: {lab.group_dn('docs-readers')}\nchangetype: modify\nadd: member\nmember:\n")

    assert entitlement(observe(lab, "docs-readers")).foreign == ()
    assert apply(lab, *(revoke(lab, "docs-readers", login) for login in ("zhang", "smith"))) == [APPLIED, APPLIED]
    assert lab.values("docs-readers") == [""]


# -- settings ---------------------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "url": "ldap://directory.example.com",
    "tls": "starttls",
    "bind": {"dn": "cn=reconciler,dc=example,dc=com", "password": "s3cret-word"},
    "people": {"base": "ou=people,dc=example,dc=com", "match": {"employeeNumber": "id", "mail": "email"}},
    "groups": {"base": "ou=groups,dc=example,dc=com", "kind": "groupOfNames"},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tls": None}, "`tls` is missing"),
        ({"tls": "ldaps"}, "needs an ldaps:// url"),
        ({"url": "ldaps://directory.example.com"}, "`tls: starttls` contradicts it"),
        ({"tls": "none", "ca": "ca.pem"}, "`ca` has no effect"),
        ({"tls": "maybe"}, "`tls`"),
        ({"url": "https://directory.example.com"}, "ldap://HOST"),
        ({"url": "ldap://directory.example.com:port"}, "ldap://HOST"),
        ({"url": "ldap://user:pw@directory.example.com"}, "more than a host and a port"),
        ({"url": "ldap://directory.example.com/dc=example"}, "more than a host and a port"),
        ({"timeout": 0}, "`timeout`"),
        ({"bind": {"dn": "cn=x", "password": ""}}, "`bind.password`"),
        ({"bind": {"dn": "x", "password": "s3cret-word"}}, "`bind.dn`: is no distinguished name"),
        ({"bind": {"dn": "cn=x"}}, "`bind.password` is missing"),
        ({"peolpe": {}}, "did you mean `people`?"),
        ({"groups": {**GOOD["groups"], "plaecholder": "cn=x"}}, "did you mean `placeholder`?"),
        ({"groups": {**GOOD["groups"], "kind": "posixgroup"}}, "`groups.kind`"),
        ({"people": {**GOOD["people"], "match": {}}}, "`people.match`"),
        ({"people": {**GOOD["people"], "match": {"employeeNumber": "idd"}}}, "`people.match.employeeNumber`: Input"),
        ({"accounts": {"disable": "nsAccountLock"}}, "`accounts.disable`"),
        ({"accounts": {"remove": True}}, "possible here: leavers, home, disable"),
    ],
)
def test_settings_that_cannot_work_are_refused_and_secrets_not_shown(change: dict[str, object], message: str) -> None:
    with pytest.raises(ProblemsFound) as caught:
        target({**GOOD, **change})

    assert message in str(caught.value)
    assert "reconciler.yaml:7: error: target corp" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ProblemsFound, match="target corp: 3 errors"):
        target({"url": "x", "people": GOOD["people"], "bind": GOOD["bind"]} | {"groups": {}, "tls": "none"})


def test_good_settings_need_no_server() -> None:
    good = target(GOOD)

    assert good.match_attributes() == ("id", "email")
    assert good.describe().ops == {Op.GRANT, Op.REVOKE}


@pytest.mark.parametrize(
    ("locator", "message"),
    [
        ({"group": "docs-readers"}, None),
        ({"group": "cn=docs-readers,ou=groups,dc=example,dc=com"}, None),
        ({"group": "CN = docs , OU=Groups, dc=example,dc=com"}, None),
        ({"group": "a=b"}, None),
        ({"group": "cn=docs-readers,ou=elsewhere,dc=example,dc=com"}, "lies outside ou=groups"),
        ({"group": " "}, "is empty"),
        ({"role": "reader"}, "named by `group` alone"),
        ({"group": "a", "permission": "r"}, "given: group, permission"),
        ({}, "given: nothing"),
    ],
)
def test_a_locator_names_a_group_below_the_base(locator: Locator, message: str | None) -> None:
    said = target(GOOD).check_locator(locator)

    assert said is None if message is None else message in (said or "")


def test_an_unencrypted_connection_across_a_network_is_a_finding(lab: LdapLab) -> None:
    assert lab.target.probe() == ()
    findings = list(target({**GOOD, "tls": "none"})._unsafe())
    assert [finding.kind for finding in findings] == ["unencrypted"]


def test_the_lab_is_what_it_seems(lab: LdapLab) -> None:
    assert lab.account_name("smith") == person_dn(lab.accounts["smith"], lab.branch)
    assert GONE not in lab.members("docs-readers")
