"""Groups of Active Directory: large ones, primary ones, nested ones, and those of the system's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from adapters.active_directory import ranges
from adapters.active_directory.domain import Domain
from adapters.directory.entries import Edit, Entry, GroupName, Listing, Modification, Request, Verdict
from adapters.directory.writing import DirectoryStepWriter
from adapters.ldap.wire import Question, ReadOnlyWire
from reconciler.targets import Op, OutcomeKind, Reading, Step
from tests.adapters.domain_lab import (
    DomainLab,
    group_entry,
    modification,
    outcomes,
    settings_of,
    target,
)
from tests.contract.suite import (
    ALREADY,
    APPLIED,
    GROUPS,
    PEOPLE,
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

REFUSED = OutcomeKind.REFUSED
DOCS = {"group": "docs-readers"}
MEMBER = "bf9679c0-0de6-11d0-a285-00aa003049e2"
"""The attribute, as access rights name it."""


@pytest.fixture
def lab(samba: Samba) -> DomainLab:  # noqa: F811
    return DomainLab(samba, PEOPLE, GROUPS)


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


def test_a_managed_group_in_another_lies_around_it(lab: DomainLab) -> None:
    inner = lab.group_dn("核心算法")
    lab.put_value("docs-readers", inner)

    observation = lab.target.observe([DOCS, {"group": "核心算法"}])

    docs, core = observation.entitlements.values()
    assert (docs.within, core.within) == ([core.key], ())
    assert list(docs.foreign) == [inner]
    assert observation.findings == ()


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
