"""Entitlements that are values of attributes, groups that are none of ours, changes bound to the account that was
looked up, and several requests under way on a connection that breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.directory.entries import Answer, Request
from adapters.ldap import LdapTarget
from adapters.ldap.wire import Wire
from adapters.ldif import LdifTarget
from reconciler.targets import (
    Locator,
    Op,
    Outcome,
    OutcomeKind,
    ProblemsFound,
    Reading,
    Step,
    Target,
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
    entitlement,
    grant,
    revoke,
    seen,
)
from tests.adapters.directory_lab import branch_entries, branch_settings, context, fresh_branch, person_entry
from tests.adapters.test_ldap_contract import LdapLab, server_settings
from tests.servers.fault_proxy import Disturbance, Fault, Way, between
from tests.servers.fixtures import slapd  # noqa: F401
from tests.servers.slapd import Slapd

REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE
CONTRACTOR: Locator = {"attribute": "employeeType", "value": "contractor"}


@pytest.fixture
def lab(slapd: Slapd) -> LdapLab:  # noqa: F811
    return LdapLab(slapd, PEOPLE, GROUPS)


def as_admin(lab: LdapLab, **accounts: object) -> LdapTarget:
    return LdapTarget(context(Path()), server_settings(lab.server, lab.branch, who="admin", accounts=accounts))


def managing(lab: LdapLab, *attributes: str) -> LdapTarget:
    return as_admin(lab, attributes=list(attributes or ("employeeType", "title")))


def outcomes(of: Target, *steps: Step) -> Sequence[Outcome]:
    with of.writer() as writer:
        return writer.apply(steps)


def kinds(of: Target, *steps: Step) -> list[OutcomeKind]:
    return [outcome.kind for outcome in outcomes(of, *steps)]


def values(lab: LdapLab, login: str, attribute: str = "employeeType") -> list[str]:
    [attributes] = lab.server.search(lab.account_name(login), "(objectClass=*)", attribute).values()
    return attributes.get(attribute, [])


def put(lab: LdapLab, login: str, *lines: str) -> None:
    entry = "".join(f"{line}\n" for line in lines)
    lab.server.modify(f"dn: {lab.account_name(login)}\nchangetype: modify\nadd: {lines[0].split(':')[0]}\n{entry}")


def having(lab: LdapLab, op: Op, login: str, locator: Locator = CONTRACTOR) -> Step:
    return Step(op, lab.key(login), lab.account_name(login), locator)


# -- values of attributes ---------------------------------------------------------------------------------------------


def test_who_has_a_value_is_observed_beside_the_groups(lab: LdapLab) -> None:
    put(lab, "smith", "employeeType: employee", "employeeType: CONTRACTOR")
    put(lab, "zhang", "employeeType: contractors")
    docs: Locator = {"group": "docs-readers"}

    observation = managing(lab).observe([CONTRACTOR, docs, {"attribute": "title", "value": "Architect"}])

    holders, readers, architects = observation.entitlements.values()
    assert seen(observation, holders) == {"smith"}
    assert (holders.reading, holders.name, holders.foreign) == (Reading.COMPLETE, "employeetype=contractor", ())
    assert seen(observation, readers) == {"zhang", "smith"}
    assert (architects.reading, len(architects.members)) == (Reading.COMPLETE, 0)


def test_a_value_is_given_and_taken_and_others_stay(lab: LdapLab) -> None:
    put(lab, "smith", "employeeType: employee")
    target, steps = managing(lab), [having(lab, Op.GRANT, "smith"), having(lab, Op.GRANT, "plain")]

    assert kinds(target, *steps) == [APPLIED, APPLIED]
    assert kinds(target, *steps) == [ALREADY, ALREADY]
    assert sorted(values(lab, "smith")) == ["contractor", "employee"]
    assert kinds(target, *(replace(step, op=Op.REVOKE) for step in steps)) == [APPLIED, APPLIED]
    assert kinds(target, *(replace(step, op=Op.REVOKE) for step in steps)) == [ALREADY, ALREADY]
    assert (values(lab, "smith"), values(lab, "plain")) == (["employee"], [])


def test_c1_a_value_in_another_spelling_is_the_same_value(lab: LdapLab) -> None:
    put(lab, "smith", "employeeType: Long  TERM Contractor")
    locator = {"attribute": "EMPLOYEETYPE", "value": "long term contractor"}

    assert seen(managing(lab).observe([locator])) == {"smith"}
    assert kinds(managing(lab), having(lab, Op.GRANT, "smith", locator)) == [ALREADY]
    assert kinds(managing(lab), having(lab, Op.REVOKE, "smith", locator)) == [APPLIED]
    assert values(lab, "smith") == []


@pytest.mark.parametrize("value", ["*", "a)(uid=*", "\\2a", "张伟, 组长", ' "x" #<;=>+', "a\\", "MÜLLER"])
def test_a_hostile_value_is_that_value(lab: LdapLab, value: str) -> None:
    locator = {"attribute": "title", "value": value}

    assert kinds(managing(lab), having(lab, Op.GRANT, "smith", locator)) == [APPLIED]
    assert seen(managing(lab).observe([locator])) == {"smith"}
    assert kinds(managing(lab), having(lab, Op.REVOKE, "smith", locator)) == [APPLIED]
    assert values(lab, "smith", "title") == []


def test_a_narrow_read_shows_whether_these_accounts_have_the_value(lab: LdapLab) -> None:
    put(lab, "smith", "employeeType: contractor")
    put(lab, "plain", "employeeType: contractor")

    observation = managing(lab).observe([CONTRACTOR], [lab.key("smith"), lab.key("zhang")])

    assert seen(observation) == {"smith"}
    assert entitlement(observation).reading is Reading.COMPLETE


def test_b2_where_accounts_are_missing_who_has_a_value_is_read_in_part(slapd: Slapd) -> None:  # noqa: F811
    people = [LabAccount(f"u{number}", f"E{number}", f"User {number}") for number in range(510)]
    lab = LdapLab(slapd, people, {})
    settings = server_settings(slapd, lab.branch, who="limited", accounts={"attributes": ["employeeType"]})

    read = entitlement(LdapTarget(context(Path()), settings).observe([CONTRACTOR]))

    assert read.reading is Reading.PARTIAL
    assert "sizeLimitExceeded" in read.detail


def test_a_value_that_the_server_does_not_take_refuses_only_itself(lab: LdapLab) -> None:
    put(lab, "smith", "preferredLanguage: de")  # of which there may be one only
    other = {"attribute": "preferredLanguage", "value": "en"}
    target = managing(lab, "employeeType", "preferredLanguage")

    results = outcomes(target, having(lab, Op.GRANT, "smith", other), having(lab, Op.GRANT, "smith"))

    assert [result.kind for result in results] == [REFUSED, APPLIED]
    assert values(lab, "smith", "preferredLanguage") == ["de"]
    assert kinds(target, having(lab, Op.GRANT, "plain", other)) == [APPLIED]


def test_what_contradicts_itself_happens_in_order(lab: LdapLab) -> None:
    steps = [having(lab, Op.GRANT, "smith"), having(lab, Op.REVOKE, "smith"), having(lab, Op.GRANT, "smith")]

    assert kinds(managing(lab), *steps) == [APPLIED, APPLIED, APPLIED]
    assert values(lab, "smith") == ["contractor"]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (["employeeNumber"], "by which accounts are matched"),
        (["shadowExpire"], "matched or locked"),
        (["userPassword"], "is no entitlement"),
        (["objectClass"], "is no entitlement"),
        (["a b"], "no attribute's name"),
    ],
)
def test_attributes_that_make_the_account_are_refused(lab: LdapLab, attributes: list[str], message: str) -> None:
    with pytest.raises(ProblemsFound, match=message):
        managing(lab, *attributes)


@pytest.mark.parametrize(
    ("locator", "message"),
    [
        ({"attribute": "title", "value": "Architect"}, None),
        ({"attribute": "Title", "value": "Architect"}, None),
        ({"attribute": "mail", "value": "x"}, "not among `accounts.attributes` of this target (employeetype, title)"),
        ({"attribute": "title", "value": " "}, "`value` is empty"),
        ({"attribute": "title"}, "or by `attribute` and `value`; given: attribute"),
        ({"attribute": "title", "value": "x", "group": "y"}, "given: attribute, group, value"),
    ],
)
def test_a_locator_names_a_value_of_an_attribute_that_is_managed(
    lab: LdapLab, locator: Mapping[str, str], message: str | None
) -> None:
    said = managing(lab).check_locator(locator)

    assert said is None if message is None else message in (said or "")
    if message is not None:
        assert kinds(managing(lab), having(lab, Op.GRANT, "smith", locator)) == [REFUSED]


def test_values_work_on_a_file_as_on_a_server(tmp_path: Path) -> None:
    branch = fresh_branch()
    path = tmp_path / "directory.ldif"
    path.write_text(branch_entries(branch, PEOPLE, GROUPS), "utf-8")
    settings = {"path": path.name, **branch_settings(branch), "accounts": {"attributes": ["employeeType"]}}
    target = LdifTarget(context(tmp_path), settings)
    smith = next(each for each in target.observe([]).accounts.accounts if each.login == "smith")
    step = Step(Op.GRANT, smith.key, smith.name, CONTRACTOR)

    assert kinds(target, step) == [APPLIED]
    assert kinds(target, step) == [ALREADY]
    assert seen(target.observe([{**CONTRACTOR, "value": "Contractor"}])) == {"smith"}
    assert kinds(target, replace(step, op=Op.REVOKE)) == [APPLIED]
    assert "employeetype" not in path.read_text("utf-8").lower()


# -- groups that are none of ours -------------------------------------------------------------------------------------


def dynamic_group(lab: LdapLab) -> str:
    dn = f"cn=all-staff,ou=groups,{lab.branch}"
    url = f"ldap:///ou=people,{lab.branch}??one?(employeeType=employee)"
    lab.server.add(f"dn: {dn}\nobjectClass: groupOfURLs\ncn: all-staff\nmemberURL: {url}\n")
    return dn


@pytest.mark.parametrize("by_dn", [False, True])
def test_a_dynamic_group_is_recognised_and_refused(lab: LdapLab, by_dn: bool) -> None:
    dn = dynamic_group(lab)
    locator: Locator = {"group": dn if by_dn else "all-staff"}

    read = lab.target.observe([locator, {"group": "docs-readers"}]).entitlements[entitlement_key(locator)]
    results = outcomes(
        lab.target,
        replace(grant(lab, "docs-readers", "plain"), locator=locator),
        replace(revoke(lab, "docs-readers", "smith"), locator=locator),
        grant(lab, "docs-readers", "plain"),
    )

    assert (read.reading, len(read.members)) == (Reading.FAILED, 0)
    assert f"{dn} is a dynamic group" in read.detail
    assert [result.kind for result in results] == [REFUSED, REFUSED, APPLIED]
    assert "is a dynamic group" in results[0].detail


def test_a_group_of_another_class_is_named_with_it(lab: LdapLab) -> None:
    lab.server.add(f"dn: cn=unix,ou=groups,{lab.branch}\nobjectClass: posixGroup\ncn: unix\ngidNumber: 1\n")

    read = entitlement(lab.target.observe([{"group": "unix"}]))
    [result] = outcomes(lab.target, replace(grant(lab, "docs-readers", "plain"), locator={"group": "unix"}))

    assert read.reading is Reading.FAILED
    assert "is a posixGroup, and this target's groups are of class groupOfNames" in read.detail
    assert (result.kind, "is a posixGroup" in result.detail) == (REFUSED, True)


def test_a_dynamic_group_in_a_file_is_refused_too(tmp_path: Path) -> None:
    branch = fresh_branch()
    path = tmp_path / "directory.ldif"
    group = f"dn: cn=all,ou=groups,{branch}\nobjectClass: groupOfURLs\ncn: all\nmemberURL: ldap:///??sub\n"
    path.write_text(f"{branch_entries(branch, PEOPLE, GROUPS)}\n{group}", "utf-8")
    target = LdifTarget(context(tmp_path), {"path": path.name, **branch_settings(branch)})

    read = entitlement(target.observe([{"group": "all"}]))

    assert read.reading is Reading.FAILED
    assert "is a dynamic group" in read.detail


# -- bound to the account that was looked up --------------------------------------------------------------------------


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something happen after everything was looked up and before the first change is sent."""

    def arrange(happens: Callable[[], object]) -> None:
        waiting = [happens]
        for name in ("modify", "delete"):
            original: Any = getattr(Wire, name)

            def late(self: Wire, wanted: Any, original: Any = original) -> Any:
                while waiting:
                    waiting.pop()()
                return original(self, wanted)

            monkeypatch.setattr(Wire, name, late)

    return arrange


def reused(lab: LdapLab, login: str) -> Callable[[], None]:
    """The account goes, and somebody else gets its name."""

    def happens() -> None:
        lab.remove_account(login)
        lab.server.add(person_entry(replace(lab.accounts[login], id="E9"), lab.branch, "employeeType: contractor\n"))

    return happens


@pytest.mark.parametrize(
    ("accounts", "step"),
    [
        ({"attributes": ["employeeType"]}, (Op.REVOKE, CONTRACTOR)),
        ({"delete": True}, (Op.DELETE_ACCOUNT, {})),
        ({"attributes": ["employeeType"]}, (Op.GRANT, {**CONTRACTOR, "value": "core"})),
    ],
)
def test_c3_a_name_that_gets_another_owner_in_the_last_moment_is_left_alone(
    lab: LdapLab,
    meanwhile: Callable[[Callable[[], object]], None],
    accounts: Mapping[str, object],
    step: tuple[Op, Locator],
) -> None:
    put(lab, "smith", "employeeType: contractor")
    wanted = having(lab, step[0], "smith", step[1])
    meanwhile(reused(lab, "smith"))

    [result] = outcomes(as_admin(lab, **accounts), wanted)

    assert (result.kind, "assertionFailed" in result.detail) == (STALE, True)
    assert values(lab, "smith") == ["contractor"]


def test_f8_a_value_that_somebody_takes_and_gives_meanwhile_is_not_overwritten(
    lab: LdapLab, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    put(lab, "smith", "employeeType: contractor")
    change = f"dn: {lab.account_name('smith')}\nchangetype: modify\nreplace: employeeType\nemployeeType: director\n"
    wanted = having(lab, Op.REVOKE, "smith")
    meanwhile(lambda: lab.server.modify(change))

    assert kinds(managing(lab), wanted) == [ALREADY]
    assert values(lab, "smith") == ["director"]


# -- several requests under way ---------------------------------------------------------------------------------------

MANY = {f"team-{number}": ["zhang"] for number in range(60)}


def through(lab: LdapLab, url: str) -> LdapTarget:
    return LdapTarget(context(Path()), {**lab.settings, "url": url})


@pytest.mark.parametrize("passing", [0, 1, 7, 40])
def test_f4_what_was_answered_before_a_connection_broke_is_known_and_the_rest_is_open(
    slapd: Slapd,  # noqa: F811
    passing: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = LdapLab(slapd, PEOPLE, MANY)
    steps = [grant(lab, group, "plain") for group in MANY]
    original = Wire.modify

    with between(slapd.port) as proxy:

        def breaking(self: Wire, wanted: Sequence[Request]) -> Sequence[Answer]:
            proxy.disturb(Disturbance(Way.ANSWER, passing, Fault.CUT))
            return original(self, wanted)

        monkeypatch.setattr(Wire, "modify", breaking)
        with through(lab, proxy.url).writer() as writer:
            first = [outcome.kind for outcome in writer.apply(steps)]
            proxy.disturb(None)
            monkeypatch.setattr(Wire, "modify", original)
            again = [outcome.kind for outcome in writer.apply(steps)]

    assert sorted(first) == sorted([APPLIED] * passing + [UNAVAILABLE] * (len(MANY) - passing))
    assert all(later is ALREADY for earlier, later in zip(first, again, strict=True) if earlier is APPLIED)
    assert set(again) <= {APPLIED, ALREADY}
    assert all(lab.members(group) == {"zhang", "plain"} for group in MANY)


@pytest.mark.parametrize("passing", [0, 3, 30])
def test_a2_b3_a_reading_that_breaks_off_is_no_reading(slapd: Slapd, passing: int) -> None:  # noqa: F811
    lab = LdapLab(slapd, PEOPLE, MANY)
    locators: list[Locator] = [{"group": group} for group in MANY]

    with between(slapd.port) as proxy:
        target = through(lab, proxy.url)
        assert len(target.observe(locators).entitlements) == len(MANY)
        proxy.disturb(Disturbance(Way.ANSWER, 1 + passing, Fault.CUT))  # the first is the answer to signing in
        with pytest.raises(TargetUnavailable, match="does not answer"):
            target.observe(locators)
        assert proxy.struck


def test_every_group_of_a_batch_has_its_own_outcome(slapd: Slapd) -> None:  # noqa: F811
    lab = LdapLab(slapd, PEOPLE, MANY)
    lab.put("team-3", "plain")
    lab.server.modify(f"dn: {lab.group_dn('team-5')}\nchangetype: delete\n")
    steps = [grant(lab, group, "plain") for group in MANY]

    found = dict(zip(MANY, kinds(lab.target, *steps), strict=True))

    assert found.pop("team-3") is ALREADY
    assert found.pop("team-5") is STALE
    assert set(found.values()) == {APPLIED}
