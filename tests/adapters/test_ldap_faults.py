"""Every message between us and a real OpenLDAP server is disturbed once, in every way: what is read is right or said to
be less, what is reported done is done, and the same steps again come to the same end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.ldap import LdapTarget
from reconciler.targets import Observation, Op, OutcomeKind, Reading, Step, TargetUnavailable
from reconciler.testing.targets import GROUPS, PEOPLE, LabAccount, grant, revoke, seen
from tests.adapters.directory_lab import context
from tests.adapters.test_ldap_contract import LdapLab
from tests.servers.fault_proxy import Disturbance, Fault, FaultProxy, Way, between
from tests.servers.fixtures import slapd  # noqa: F401
from tests.servers.slapd import Slapd

BREAKING = [fault for fault in Fault if fault.breaks and fault is not Fault.SILENCE]
HARMLESS = [fault for fault in Fault if not fault.breaks]
ASKED = ("docs-readers", "核心算法")


@pytest.fixture
def lab(slapd: Slapd) -> LdapLab:  # noqa: F811
    return LdapLab(slapd, PEOPLE, GROUPS)


@pytest.fixture
def proxy(slapd: Slapd) -> Iterator[FaultProxy]:  # noqa: F811
    with between(slapd.port) as proxy:
        yield proxy


def through(proxy: FaultProxy, lab: LdapLab, timeout: int = 10) -> LdapTarget:
    """The lab's target, reached through the proxy."""
    return LdapTarget(context(Path()), {**lab.settings, "url": proxy.url, "timeout": timeout})


def shown(lab: LdapLab, observation: Observation) -> dict[str, set[str]]:
    return {read.name: seen(observation, read) for read in observation.entitlements.values()}


def read(lab: LdapLab, target: LdapTarget) -> Observation:
    return target.observe([lab.locator(group) for group in ASKED])


def counted(proxy: FaultProxy, way: Way) -> range:
    return range(proxy.passed(way))


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("fault", BREAKING)
def test_a_reading_that_is_cut_is_no_reading_or_is_said_to_be_less(
    lab: LdapLab, proxy: FaultProxy, way: Way, fault: Fault
) -> None:
    target = through(proxy, lab)
    truth = shown(lab, read(lab, target))
    for number in counted(proxy, way):
        proxy.disturb(Disturbance(way, number, fault))
        try:
            observation = read(lab, target)
        except TargetUnavailable:
            continue
        whole = observation.accounts.reading.whole
        assert whole or observation.accounts.reading is Reading.PARTIAL
        for each in observation.entitlements.values():
            members = seen(observation, each)
            assert members == truth[each.name] if each.reading.whole else members <= truth.get(each.name, set())


@pytest.mark.parametrize("fault", HARMLESS)
def test_how_messages_are_parcelled_does_not_matter(lab: LdapLab, proxy: FaultProxy, fault: Fault) -> None:
    target = through(proxy, lab)
    truth = shown(lab, read(lab, target))
    for way in Way:
        proxy.disturb(None)
        read(lab, target)
        for number in counted(proxy, way):
            proxy.disturb(Disturbance(way, number, fault))
            observation = read(lab, target)
            assert proxy.struck
            assert shown(lab, observation) == truth
            assert all(each.reading.whole for each in observation.entitlements.values())


def test_a_server_that_falls_silent_is_unavailable(lab: LdapLab, proxy: FaultProxy) -> None:
    target = through(proxy, lab, timeout=1)
    proxy.disturb(Disturbance(Way.ANSWER, 3, Fault.SILENCE))

    with pytest.raises(TargetUnavailable, match="no answer within 1 s"):
        read(lab, target)


@pytest.mark.parametrize("number", [1, 600, 1001, 1002, 1003, 1100])
def test_a_server_that_drops_within_a_page_or_between_two_gives_no_reading(
    slapd: Slapd,  # noqa: F811
    proxy: FaultProxy,
    number: int,
) -> None:
    many = [LabAccount(f"u{n}", f"E{n:05}", f"Person {n}") for n in range(1100)]
    lab = LdapLab(slapd, many, {"all": ["u0"]})
    target = through(proxy, lab)
    proxy.disturb(Disturbance(Way.ANSWER, number, Fault.CUT))

    with pytest.raises(TargetUnavailable):
        target.observe([lab.locator("all")])


# --- writing ----------------------------------------------------------------------------------------------------------


def steps(lab: LdapLab) -> list[Step]:
    return [
        grant(lab, "docs-readers", "muller"),
        grant(lab, "docs-readers", "plain"),
        revoke(lab, "docs-readers", "smith"),
        revoke(lab, "核心算法", "muller"),
        grant(lab, "核心算法", "zhang"),
    ]


WANTED = {"docs-readers": {"zhang", "muller", "plain"}, "核心算法": {"zhang"}, "unmanaged": {"zhang", "plain"}}


def is_so(lab: LdapLab, step: Step) -> bool:
    [group] = [group for group in GROUPS if lab.locator(group) == step.locator]
    [login] = [login for login in lab.accounts if lab.key(login) == step.account]
    return (login in lab.members(group)) is (step.op is Op.GRANT)


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("fault", BREAKING)
def test_what_is_reported_done_is_done_and_the_rest_can_be_sent_again(
    slapd: Slapd,  # noqa: F811
    proxy: FaultProxy,
    way: Way,
    fault: Fault,
) -> None:
    number, struck = 0, True
    while struck:
        lab = LdapLab(slapd, PEOPLE, GROUPS)
        target, wanted = through(proxy, lab), steps(lab)
        proxy.disturb(Disturbance(way, number, fault))
        try:
            with target.writer() as writer:
                outcomes = writer.apply(wanted)
                struck = proxy.struck
        except TargetUnavailable:
            outcomes, struck = [], True
        for step, outcome in zip(wanted, outcomes, strict=False):
            assert outcome.kind in (OutcomeKind.APPLIED, OutcomeKind.ALREADY, OutcomeKind.UNAVAILABLE), outcome
            assert is_so(lab, step) or not outcome.kind.done

        proxy.disturb(None)
        with target.writer() as writer:
            again = writer.apply(wanted)
        assert all(outcome.kind.done for outcome in again)
        assert {group: lab.members(group) for group in WANTED} == WANTED
        number += 1
    assert number > 3
