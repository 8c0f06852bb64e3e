"""What is particular to Active Directory: controllers, ranges, primary groups, protected accounts, identity."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.active_directory import ActiveDirectoryTarget, ranges
from adapters.active_directory.domain import Domain
from adapters.directory.entries import Answer, Edit, Entry, GroupName, Listing, Modification, Request, Verdict
from adapters.directory.writing import DirectoryStepWriter
from adapters.ldap.wire import Question, ReadOnlyWire, Wire
from reconciler.targets import Op, Outcome, OutcomeKind, ProblemsFound, Reading, Step, Target, TargetError
from tests.adapters.directory_lab import context
from tests.adapters.domain_lab import (
    ACCOUNT,
    DISABLED,
    DomainLab,
    group_entry,
    modification,
    person_entry,
    settings_of,
)
from tests.contract.suite import (
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
from tests.servers.fixtures import samba, samba_seed, slapd  # noqa: F401
from tests.servers.samba import DOMAIN, Samba
from tests.servers.slapd import PASSWORD as SLAPD_PASSWORD
from tests.servers.slapd import Slapd

REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE
DOCS = {"group": "docs-readers"}
PRIMARY_GROUP_ID = "bf967a00-0de6-11d0-a285-00aa003049e2"
MEMBER = "bf9679c0-0de6-11d0-a285-00aa003049e2"
"""The attributes, as access rights name them."""
LOCKING = {"disable": "user-account-control"}
LEFT = "OU=left,OU=people,DC=example,DC=com"
SETTINGS: dict[str, object] = {
    "url": "ldaps://dc1.example.com",
    "bind": {"dn": "CN=reconciler,CN=Users,DC=example,DC=com", "password": "hunter2"},
    "people": {"base": "OU=people,DC=example,DC=com", "match": {"employeeNumber": "id"}},
    "groups": {"base": "OU=groups,DC=example,DC=com"},
}


@pytest.fixture
def lab(samba: Samba) -> DomainLab:  # noqa: F811
    return DomainLab(samba, PEOPLE, GROUPS)


def target(settings: dict[str, object]) -> ActiveDirectoryTarget:
    return ActiveDirectoryTarget(context(Path()), settings)


def outcomes(of: Target, *steps: Step) -> Sequence[Outcome]:
    with of.writer() as writer:
        return writer.apply(steps)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"tls": "none"}, "takes no password over an unencrypted connection"),
        ({"url": "ldap://dc1.example.com"}, "need `tls: starttls`"),
        ({"tls": "starttls"}, "encrypted from the first octet on"),
        ({"url": ["ldaps://dc1.example.com", "ldap://dc2.example.com"]}, "in the same way"),
        ({"url": []}, "at least 1"),
        ({"url": ["ldaps://dc1.example.com", "dc2.example.com"]}, "not of the form"),
        ({"url": "ldaps://dc1.example.com:3269"}, "global catalog"),
        ({"accounts": {"disable": "ppolicy"}}, "user-account-control"),
        ({"accounts": {"leavers": "OU=left,OU=people,DC=example,DC=com"}}, "needs `disable`"),
        ({"accounts": {**LOCKING, "home": "OU=people,DC=example,DC=com"}}, "needs that too"),
        ({"accounts": {**LOCKING, "leavers": "OU=left,DC=example,DC=com"}}, "lies outside `people.base`"),
        ({"accounts": {**LOCKING, "leavers": LEFT, "home": f"OU=in,{LEFT}"}}, "lies within `leavers`"),
        ({"groups": {"base": "OU=groups,DC=example,DC=com", "kind": "groupOfNames"}}, "is not a setting"),
    ],
)
def test_settings_that_cannot_be_safe_are_refused_in_words(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ProblemsFound) as caught:
        target({**SETTINGS, **changed})
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_nothing_is_done_with_accounts_unless_configured() -> None:
    assert target(SETTINGS).describe().ops == {Op.GRANT, Op.REVOKE}
    assert target({**SETTINGS, "tls": "ldaps", "accounts": {"disable": "user-account-control"}}).describe().ops == {
        Op.GRANT,
        Op.REVOKE,
        Op.DISABLE_ACCOUNT,
        Op.ENABLE_ACCOUNT,
    }


# -- reading -----------------------------------------------------------------------------------------------------------


def test_a_base_at_the_root_of_the_domain_is_read_whole(lab: DomainLab) -> None:
    """Every search from there refers to parts that hold no account, as if they were missing."""
    people = {"base": DOMAIN, "match": {"employeeNumber": "id"}}
    settings = settings_of(lab.server, lab.unit, people=people, groups={"base": DOMAIN})

    observation = target(settings).observe([{"group": lab.group_dn("docs-readers")}])

    assert (observation.accounts.reading, observation.accounts.detail) == (Reading.COMPLETE, "")
    assert entitlement(observation).reading is Reading.COMPLETE
    logins = {account.login for account in observation.accounts.accounts}
    assert {"Administrator", "reconciler", "zhang"} <= logins
    assert "DC$" not in logins


def test_a3_nobody_to_be_seen_is_never_taken_for_nobody_there(samba: Samba) -> None:  # noqa: F811
    lab = DomainLab(samba, [], {"docs-readers": []})

    accounts = lab.target.observe([]).accounts

    assert (accounts.reading, len(accounts.accounts)) == (Reading.PARTIAL, 0)
    assert "no account is to be seen" in accounts.detail


def test_the_account_we_bind_with_is_known(lab: DomainLab) -> None:
    ours = lab.server.account("reconciler")
    lab.put_value("docs-readers", ours)
    (spelled,) = lab.target.observe([DOCS]).own
    assert spelled.casefold() == ours.casefold()

    people = {"base": DOMAIN, "match": {"employeeNumber": "id"}}
    observation = target(settings_of(lab.server, lab.unit, people=people)).observe([DOCS])

    [account] = [each for each in observation.accounts.accounts if each.login == "reconciler"]
    assert observation.own == {account.key}


@pytest.mark.parametrize("way", ["starttls", "ldaps"])
def test_both_ways_of_encryption_need_a_certificate_that_can_be_trusted(lab: DomainLab, way: str) -> None:
    url = lab.server.url if way == "starttls" else lab.server.tls_url
    settings = {**settings_of(lab.server, lab.unit), "url": url, "tls": way}

    assert len(target(settings).observe([DOCS]).accounts.accounts) == len(PEOPLE)
    with pytest.raises(TargetError, match="certificate is not to be trusted"):
        target({name: value for name, value in settings.items() if name != "ca"}).observe([DOCS])


def test_a_wrong_password_is_told_without_it(lab: DomainLab) -> None:
    bind = {"dn": lab.server.account("reconciler"), "password": "hunter2-wrong"}
    wrong = target(settings_of(lab.server, lab.unit, bind=bind))

    with pytest.raises(TargetError, match=r"does not let CN=reconciler.*invalidCredentials") as caught:
        wrong.observe([DOCS])
    assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(vars(wrong))


def test_a_missing_right_to_write_is_refused_in_the_servers_words(lab: DomainLab) -> None:
    reader = target(settings_of(lab.server, lab.unit, who="reader"))
    before = lab.picture()

    results = outcomes(reader, grant(lab, "docs-readers", "plain"), revoke(lab, "docs-readers", "smith"))

    assert [result.kind for result in results] == [REFUSED, REFUSED]
    assert all("insufficientAccess" in result.detail for result in results)
    assert lab.picture() == before


def test_doctor_finds_bases_that_are_not_there(lab: DomainLab) -> None:
    assert lab.target.probe() == ()
    people = {"base": f"OU=typo,{lab.unit}", "match": {"employeeNumber": "id"}}
    with pytest.raises(TargetError, match="no entry OU=typo"):
        target(settings_of(lab.server, lab.unit, people=people)).probe()
    with pytest.raises(TargetError, match="no entry OU=typo"):
        target(settings_of(lab.server, lab.unit, people=people)).observe([DOCS])


def test_another_directory_is_not_taken_for_a_domain(slapd: Slapd) -> None:  # noqa: F811
    bind = {"dn": slapd.account("reconciler"), "password": SLAPD_PASSWORD}

    with pytest.raises(TargetError, match="is no domain controller") as caught:
        target({**SETTINGS, "url": slapd.tls_url, "ca": str(slapd.ca), "bind": bind}).observe([DOCS])
    assert "type: ldap" in caught.value.remedy


# -- large groups ------------------------------------------------------------------------------------------------------


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two members to a piece, and the pieces that are asked for after the first."""
    asked: list[str] = []
    original = ReadOnlyWire.ask

    def noting(self: ReadOnlyWire, questions: Sequence[Question], attributes: Sequence[str]) -> Listing:
        asked.extend(each for each in attributes if ";range=" in each and ";range=0-" not in each)
        return original(self, questions, attributes)

    monkeypatch.setattr(ReadOnlyWire, "ask", noting)
    monkeypatch.setattr(ranges, "MOST_VALUES", 2)
    return asked


@pytest.mark.parametrize("count", range(6))
def test_b1_a_group_is_read_in_as_many_pieces_as_it_takes(samba: Samba, pieces: list[str], count: int) -> None:  # noqa: F811
    people = [LabAccount(f"u{number}", f"E{number}", f"User {number}") for number in range(5)]
    lab = DomainLab(samba, people, {"docs-readers": [person.login for person in people[:count]]})

    read = entitlement(lab.target.observe([DOCS]))

    assert (len(read.members), read.foreign) == (count, ())
    assert read.reading is (Reading.COMPLETE if count else Reading.CONFIRMED_EMPTY)
    assert len(pieces) == max(0, (count - 1) // 2)


def changing(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Somebody makes a change whenever a piece after the first is about to be read."""
    original = Domain._read

    def meddled(self: Domain, dn: str, attributes: Sequence[str]) -> Entry | None:
        if any(";range=2-" in each for each in attributes):
            change()
        return original(self, dn, attributes)

    monkeypatch.setattr(Domain, "_read", meddled)


def test_b1_a_group_that_changes_between_two_pieces_is_read_again(
    samba: Samba,  # noqa: F811
    pieces: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people = [LabAccount(f"u{number}", f"E{number}", f"User {number}") for number in range(6)]
    lab = DomainLab(samba, people, {"docs-readers": [person.login for person in people[:4]]})
    turns = iter(["add", "delete"])

    def once() -> None:
        if turn := next(turns, ""):
            dn = lab.account_name("u5")
            lab.server.modify(modification(lab.group_dn("docs-readers"), turn, "member", dn))

    changing(monkeypatch, once)

    observation = lab.target.observe([DOCS])

    assert seen(observation) == {"u0", "u1", "u2", "u3"}
    assert entitlement(observation).reading is Reading.COMPLETE
    assert pieces.count("member;range=2-3") == 3


def test_b1_a_group_that_never_rests_is_read_in_part(
    samba: Samba,  # noqa: F811
    pieces: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people = [LabAccount(f"u{number}", f"E{number}", f"User {number}") for number in range(6)]
    lab = DomainLab(samba, people, {"docs-readers": [person.login for person in people[:4]]})
    texts = itertools.count()

    def again() -> None:
        lab.server.modify(modification(lab.group_dn("docs-readers"), "replace", "description", f"No. {next(texts)}"))

    changing(monkeypatch, again)

    read = entitlement(lab.target.observe([DOCS]))

    assert read.reading is Reading.PARTIAL
    assert "only a part of member" in read.detail
    assert len(read.members) == 2
    assert pieces.count("member;range=2-3") == 4


# -- identity ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rdn", "unit"),
    [("CN=Smith-Doe\\, Jo", "people"), ("CN=\\#1 史密斯 \\\\\\+", "people"), ("CN=Smith", "sub,OU=people")],
)
def test_c3_an_account_that_is_renamed_or_moved_is_the_same_account(lab: DomainLab, rdn: str, unit: str) -> None:
    lab.server.add(f"dn: OU=sub,OU=people,{lab.unit}\nobjectClass: organizationalUnit\n")
    granting, revoking = grant(lab, "核心算法", "smith"), revoke(lab, "docs-readers", "smith")
    before = {each.login: each for each in lab.target.observe([DOCS]).accounts.accounts}["smith"]

    name = lab.move("smith", rdn, unit)

    observation = lab.target.observe([DOCS])
    after = {each.login: each for each in observation.accounts.accounts}["smith"]
    assert (after.key, after.name) == (before.key, name)
    assert name != before.name
    assert seen(observation) == {"zhang", "smith"}
    narrow = lab.target.observe([DOCS], [before.key])
    assert [each.name for each in narrow.accounts.accounts] == [name]
    assert [result.kind for result in outcomes(lab.target, granting, revoking)] == [APPLIED, APPLIED]
    assert lab.members("核心算法") == {"muller", "smith"}
    assert lab.members("docs-readers") == {"zhang"}


def test_c3_an_account_with_another_login_is_the_same_account(lab: DomainLab) -> None:
    key = lab.key("smith")
    lab.server.modify(modification(lab.account_name("smith"), "replace", "sAMAccountName", "smith-doe"))

    observation = lab.target.observe([DOCS])

    [account] = [each for each in observation.accounts.accounts if each.key == key]
    assert (account.login, account.match) == ("smith-doe", {"id": "E1002"})
    assert seen(observation) == {"zhang", "smith-doe"}


def test_c3_a_name_that_is_used_again_is_another_account(lab: DomainLab) -> None:
    steps = [grant(lab, "核心算法", "smith"), revoke(lab, "docs-readers", "smith")]
    lab.remove_account("smith")
    lab.server.add(person_entry(lab.accounts["smith"], lab.unit))
    lab.put_value("docs-readers", lab.account_name("smith"))

    results = outcomes(lab.target, *steps)

    assert [result.kind for result in results] == [STALE, STALE]
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_two_groups_of_one_name_fail_and_name_both(lab: DomainLab) -> None:
    other = f"CN=docs-readers,OU=elsewhere,{lab.unit}"
    lab.server.add(group_entry(other, [lab.account_name("plain")]))
    settings = settings_of(lab.server, lab.unit, groups={"base": lab.unit})

    read = entitlement(target(settings).observe([DOCS]))

    assert read.reading is Reading.FAILED
    assert other in read.detail
    assert lab.group_dn("docs-readers") in read.detail
    observation = target(settings).observe([{"group": other.replace("CN=", "cn = ")}])
    assert seen(observation) == {"plain"}


def test_filters_and_names_are_escaped(lab: DomainLab) -> None:
    for name in ("*", "docs*", ")(cn=*", "a\\", "cn=docs-readers)(member=*"):
        assert entitlement(lab.target.observe([{"group": name}])).reading is Reading.FAILED, name


# -- accounts ----------------------------------------------------------------------------------------------------------


def account_step(lab: DomainLab, op: Op, login: str) -> Step:
    return Step(op, lab.key(login), lab.account_name(login))


def control(lab: DomainLab, login: str) -> int:
    return int(lab.attributes(login, "userAccountControl")[1]["userAccountControl"][0])


@pytest.fixture
def locking(lab: DomainLab) -> ActiveDirectoryTarget:
    return target(settings_of(lab.server, lab.unit, accounts={"disable": "user-account-control"}))


def test_an_account_is_disabled_and_enabled_and_its_other_bits_stay(
    lab: DomainLab, locking: ActiveDirectoryTarget
) -> None:
    never_expires = 0x10000
    lab.server.modify(
        modification(lab.account_name("smith"), "replace", "userAccountControl", str(ACCOUNT | never_expires))
    )
    disable, enable = (account_step(lab, op, "smith") for op in (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT))

    assert [result.kind for result in outcomes(locking, disable)] == [APPLIED]
    assert control(lab, "smith") == ACCOUNT | never_expires | DISABLED
    assert [result.kind for result in outcomes(locking, disable)] == [ALREADY]
    assert [result.kind for result in outcomes(locking, enable)] == [APPLIED]
    assert control(lab, "smith") == ACCOUNT | never_expires
    assert [result.kind for result in outcomes(locking, enable)] == [ALREADY]


def test_what_was_disabled_or_enabled_by_hand_is_seen_and_is_the_same_account(
    lab: DomainLab, locking: ActiveDirectoryTarget
) -> None:
    key = lab.key("smith")
    states = []
    for verb in ("disable", "enable"):
        lab.server.tool("user", verb, "smith")
        [account] = locking.observe([], [key]).accounts.accounts
        states.append((account.key, account.enabled))

    assert states == [(key, False), (key, True)]


@pytest.mark.parametrize(("times", "expected"), [(1, APPLIED), (2, APPLIED), (3, UNAVAILABLE)])
def test_f8_an_account_that_changes_at_the_same_time_is_not_overwritten(
    lab: DomainLab, locking: ActiveDirectoryTarget, monkeypatch: pytest.MonkeyPatch, times: int, expected: OutcomeKind
) -> None:
    dn, original = lab.account_name("smith"), Wire.modify
    bits = itertools.islice((0x10000, 0x40000, 0x100000), times)

    def overtaken(self: Wire, wanted: Sequence[Request]) -> Sequence[Answer]:
        if bit := next(bits, 0):
            changed = str(control(lab, "smith") ^ bit)
            lab.server.modify(modification(dn, "replace", "userAccountControl", changed))
        return original(self, wanted)

    monkeypatch.setattr(Wire, "modify", overtaken)

    [result] = outcomes(locking, account_step(lab, Op.DISABLE_ACCOUNT, "smith"))

    assert result.kind is expected
    others = {1: 0x10000, 2: 0x50000, 3: 0x150000}[times]
    assert control(lab, "smith") == ACCOUNT | others | (DISABLED if expected is APPLIED else 0)


def leaving(lab: DomainLab, who: str = "Administrator", **more: object) -> ActiveDirectoryTarget:
    lab.server.add(f"dn: OU=left,OU=people,{lab.unit}\nobjectClass: organizationalUnit\n")
    accounts = {**LOCKING, "leavers": f"OU=left,OU=people,{lab.unit}", **more}
    return target(settings_of(lab.server, lab.unit, who=who, accounts=accounts))


def test_a_disabled_account_is_moved_and_comes_home_and_stays_the_same(lab: DomainLab) -> None:
    moving = leaving(lab, home=f"OU=people,{lab.unit}")
    before = lab.account_name("smith")
    rdn = before.removesuffix(f",OU=people,{lab.unit}")
    disable, enable = (account_step(lab, op, "smith") for op in (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT))

    results = outcomes(moving, disable, revoke(lab, "docs-readers", "smith"), grant(lab, "核心算法", "smith"))

    assert [result.kind for result in results] == [APPLIED] * 3
    assert lab.account_name("smith") == f"{rdn},OU=left,OU=people,{lab.unit}"
    assert lab.members("docs-readers") == {"zhang"}
    assert lab.members("核心算法") == {"muller", "smith"}
    [account] = moving.observe([], [disable.account]).accounts.accounts
    assert (account.login, account.enabled, account.match) == ("smith", False, {"id": "E1002"})
    after = lab.picture()
    assert [result.kind for result in outcomes(moving, disable)] == [ALREADY]
    assert lab.picture() == after
    assert [result.kind for result in outcomes(moving, enable)] == [APPLIED]
    assert lab.account_name("smith") == before
    assert lab.members("核心算法") == {"muller", "smith"}


def test_an_account_stays_among_the_leavers_where_no_home_is_told(lab: DomainLab) -> None:
    moving = leaving(lab)
    disable, enable = (account_step(lab, op, "smith") for op in (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT))

    assert [result.kind for result in outcomes(moving, disable)] == [APPLIED]
    assert [result.kind for result in outcomes(moving, enable)] == [APPLIED]
    assert lab.account_name("smith").endswith(f"OU=left,OU=people,{lab.unit}")


def test_an_account_that_cannot_be_moved_is_disabled_all_the_same(lab: DomainLab) -> None:
    moving, before = leaving(lab, who="reconciler"), lab.account_name("smith")

    [result] = outcomes(moving, account_step(lab, Op.DISABLE_ACCOUNT, "smith"))

    assert result.kind is APPLIED
    assert result.detail.startswith("not moved: insufficientAccess")
    assert control(lab, "smith") & DISABLED
    assert lab.account_name("smith") == before


def test_an_administrative_account_is_not_moved_either(lab: DomainLab) -> None:
    moving, before = leaving(lab), lab.account_name("smith")
    lab.server.modify(modification(before, "add", "adminCount", "1"))
    lab.server.modify(modification(before, "replace", "userAccountControl", str(ACCOUNT | DISABLED)))

    outcomes(moving, account_step(lab, Op.DISABLE_ACCOUNT, "smith"))

    assert lab.account_name("smith") == before


def test_an_account_is_deleted_where_that_is_configured_and_allowed(lab: DomainLab) -> None:
    step = account_step(lab, Op.DELETE_ACCOUNT, "smith")
    admin = target(settings_of(lab.server, lab.unit, who="Administrator", accounts={"delete": True}))

    assert [result.kind for result in outcomes(lab.target, step)] == [REFUSED]
    assert [result.kind for result in outcomes(admin, step)] == [APPLIED]
    assert [result.kind for result in outcomes(admin, step)] == [ALREADY]
    assert lab.members("docs-readers") == {"zhang"}


def test_an_administrative_account_is_shown_and_never_touched(lab: DomainLab) -> None:
    lab.server.modify(modification(lab.account_name("smith"), "add", "adminCount", "1"))
    accounts = {"disable": "user-account-control", "delete": True}
    admin = target(settings_of(lab.server, lab.unit, who="Administrator", accounts=accounts))
    before = lab.picture()

    results = outcomes(
        admin,
        account_step(lab, Op.DISABLE_ACCOUNT, "smith"),
        account_step(lab, Op.DELETE_ACCOUNT, "smith"),
        revoke(lab, "docs-readers", "smith"),
        grant(lab, "核心算法", "smith"),
    )

    assert [result.kind for result in results] == [REFUSED] * 4
    assert all("adminCount=1" in result.detail for result in results)
    assert lab.picture() == before
    [finding] = admin.observe([DOCS]).findings
    assert (finding.kind, finding.subject) == ("protected-account", lab.account_name("smith"))
    mixed = outcomes(admin, revoke(lab, "docs-readers", "smith"), revoke(lab, "docs-readers", "zhang"))
    assert [result.kind for result in mixed] == [REFUSED, APPLIED]


def test_an_administrative_account_that_is_foreign_is_not_touched_either(lab: DomainLab) -> None:
    foreign = lab.put_foreign("docs-readers")
    lab.server.modify(modification(foreign, "add", "adminCount", "1"))

    [result] = outcomes(lab.target, Step(Op.REVOKE, "", foreign, DOCS))

    assert result.kind is REFUSED
    assert foreign in lab.values("docs-readers")


def test_whose_primary_group_cannot_be_read_may_be_in_any_group(
    lab: DomainLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    sids = f"(OD;;RP;{PRIMARY_GROUP_ID};;{{sid}})"
    lab.server.tool("dsacl", "set", "--objectdn", lab.account_name("smith"), f"--sddl={sids.format(sid='AU')}")

    accounts = lab.target.observe([DOCS]).accounts

    assert accounts.reading is Reading.PARTIAL
    assert "primaryGroupID or objectSid of 1 accounts cannot be read" in accounts.detail


# -- groups ------------------------------------------------------------------------------------------------------------


def test_who_has_a_group_as_the_primary_one_is_in_it_and_cannot_be_removed(lab: DomainLab) -> None:
    lab.make_primary("docs-readers", "smith")
    assert "smith" not in lab.members("docs-readers")

    for accounts in (None, ["smith"], ["smith", "zhang"]):
        observation = observe(lab, "docs-readers", accounts=accounts)
        assert "smith" in seen(observation), accounts
        [finding] = observation.findings
        assert (finding.kind, finding.subject) == ("primary-group", lab.account_name("smith"))

    steps = [revoke(lab, "docs-readers", "smith"), grant(lab, "docs-readers", "smith")]
    results = outcomes(lab.target, *steps, revoke(lab, "docs-readers", "zhang"))
    assert [result.kind for result in results] == [REFUSED, ALREADY, APPLIED]
    assert "give the account another primary group first" in results[0].detail

    lab.server.modify(modification(lab.account_name("smith"), "replace", "primaryGroupID", "513"))
    assert apply(lab, steps[0]) == [APPLIED]
    assert lab.members("docs-readers") == set()


def test_many_with_one_primary_group_are_one_finding(samba: Samba) -> None:  # noqa: F811
    people = [LabAccount(f"u{number}", f"E{number}", f"User {number}") for number in range(6)]
    lab = DomainLab(samba, people, {"docs-readers": [person.login for person in people]})
    for person in people:
        lab.make_primary("docs-readers", person.login)

    observation = lab.target.observe([DOCS])

    assert len(seen(observation)) == 6
    [finding] = observation.findings
    assert (finding.kind, finding.subject) == ("primary-group", lab.group_dn("docs-readers"))
    assert finding.text.startswith("6 accounts are in ")


def test_a_primary_group_that_changes_during_a_run_is_noticed(lab: DomainLab) -> None:
    lab.make_primary("docs-readers", "smith")
    step = revoke(lab, "docs-readers", "smith")

    with lab.target.writer() as writer:
        assert [result.kind for result in writer.apply([step])] == [REFUSED]
        lab.server.modify(modification(lab.account_name("smith"), "replace", "primaryGroupID", "513"))
        assert [result.kind for result in writer.apply([step])] == [APPLIED]
        assert [result.kind for result in writer.apply([step])] == [ALREADY]


def test_b_a_group_whose_members_cannot_be_read_is_not_taken_for_empty(lab: DomainLab) -> None:
    right = f"--sddl=(OD;;RP;{MEMBER};;AU)"
    lab.server.tool("dsacl", "set", "--objectdn", lab.group_dn("docs-readers"), right)

    readers, core = observe(lab, "docs-readers", "核心算法").entitlements.values()

    assert (readers.reading, core.reading) == (Reading.PARTIAL, Reading.COMPLETE)


def test_a_stranger_whose_primary_group_it_is_is_foreign(lab: DomainLab) -> None:
    foreign = lab.put_foreign("docs-readers")
    login = lab.server.search(foreign, "(objectClass=*)", "sAMAccountName")[foreign]["sAMAccountName"][0]
    lab.make_primary("docs-readers", login)
    assert foreign not in lab.values("docs-readers")

    observation = lab.target.observe([DOCS])

    assert list(entitlement(observation).foreign) == [foreign]
    [result] = outcomes(lab.target, Step(Op.REVOKE, "", foreign, DOCS))
    assert result.kind is REFUSED


def test_a_nested_group_is_shown_and_only_direct_members_are_managed(lab: DomainLab) -> None:
    inner = f"CN=inner\\, 内部,OU=elsewhere,{lab.unit}"
    lab.server.add(group_entry(inner, [lab.account_name("plain")]))
    lab.put_value("docs-readers", inner)

    observation = lab.target.observe([DOCS])

    assert seen(observation) == {"zhang", "smith"}
    assert list(entitlement(observation).foreign) == [inner]
    assert [(each.kind, each.subject) for each in observation.findings] == [("nested-group", inner)]
    assert apply(lab, revoke(lab, "docs-readers", "zhang")) == [APPLIED]
    assert inner in lab.values("docs-readers")


def test_a_distribution_group_is_an_entitlement_with_a_finding(lab: DomainLab) -> None:
    dn = lab.group_dn("announcements")
    lab.server.add(group_entry(dn, [lab.account_name("zhang")], "groupType: 2\n"))

    observation = lab.target.observe([{"group": "announcements"}])

    assert seen(observation) == {"zhang"}
    assert [(each.kind, each.subject) for each in observation.findings] == [("distribution-group", dn)]
    assert apply(lab, grant(lab, "announcements", "plain")) == [APPLIED]


@pytest.mark.parametrize("group", ["Administrators", "Domain Users", "Users", "Domain Admins"])
def test_a_group_of_the_systems_own_is_no_entitlement(lab: DomainLab, group: str) -> None:
    locator = {"group": group}
    settings = settings_of(lab.server, lab.unit, who="Administrator", groups={"base": DOMAIN})
    step = Step(Op.GRANT, lab.key("zhang"), lab.account_name("zhang"), locator)

    read = entitlement(target(settings).observe([locator]))
    [result] = outcomes(target(settings), step)

    assert (read.reading, len(read.members), result.kind) == (Reading.FAILED, 0, REFUSED)
    assert "groups.system" in read.detail
    assert result.detail == read.detail


def test_a_group_of_the_systems_own_that_the_settings_name_is_one(lab: DomainLab) -> None:
    locator = {"group": "Remote Desktop Users"}
    groups = {"base": DOMAIN, "system": ["remote desktop  users"]}
    settings = settings_of(lab.server, lab.unit, who="Administrator", groups=groups)
    step = Step(Op.GRANT, lab.key("zhang"), lab.account_name("zhang"), locator)

    assert [result.kind for result in outcomes(target(settings), step)] == [APPLIED]
    assert seen(target(settings).observe([locator])) == {"zhang"}
    assert [result.kind for result in outcomes(target(settings), replace(step, op=Op.REVOKE))] == [APPLIED]


def test_what_a_controller_will_not_do_is_refused_in_its_words(lab: DomainLab) -> None:
    """A group cannot change its scope at once, and in that request nobody leaves it either."""
    admin = target(settings_of(lab.server, lab.unit, who="Administrator"))
    leaving = Modification("member", Edit.DELETE, [lab.account_name("zhang").encode()])
    local = Modification("grouptype", Edit.REPLACE, [b"-2147483644"])

    with admin.writer() as writer:
        assert isinstance(writer, DirectoryStepWriter)
        assert len(list(writer._directory.groups([GroupName(cn="docs-readers")], ("cn",)))) == 1
        [answer] = writer._directory.modify([Request(lab.group_dn("docs-readers"), [leaving, local])])

    assert answer.verdict is Verdict.REFUSED
    assert answer.words.startswith("unwillingToPerform: ")
    assert lab.members("docs-readers") == {"zhang", "smith"}
