"""How far a reading can be trusted, and what it costs."""

from __future__ import annotations

import pytest
import requests

from adapters.mayan import MayanTarget
from adapters.mayan.reading import Eye
from reconciler.targets import Observation, Op, OutcomeKind, Step, TargetError
from reconciler.testing.targets import LabAccount
from tests.adapters.mayan.conftest import MakeMayanLab
from tests.adapters.mayan.lab import MayanLab, context, outcomes, step, told
from tests.servers.mayan import PASSWORD, TOKEN

READERS = {"group": "docs-readers"}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that are sent, as METHOD PATH."""
    asked: list[str] = []
    send = requests.Session.send

    def counted(self: requests.Session, request: requests.PreparedRequest, **more: object) -> requests.Response:
        asked.append(f"{request.method} {request.path_url}")
        return send(self, request, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.Session, "send", counted)
    return asked


def take_away(lab: MayanLab, permission: str) -> None:
    lab.server.call("POST", "roles/1/permissions/remove/", {"permission": permission})


@pytest.mark.parametrize("permission", ["user_view", "group_view"])
def test_a6_b_what_mayan_leaves_out_without_a_word_is_no_whole_reading(lab: MayanLab, permission: str) -> None:
    take_away(lab, f"user_management.{permission}")

    observation = lab.target.observe([READERS])

    readings = {observation.accounts.reading, *(each.reading for each in observation.entitlements.values())}
    assert not any(each.whole for each in readings)
    assert any(f"user_management.{permission}" in text for text in told(lab, "missing-right", READERS))


def test_a6_b_whom_mayan_hides_from_us_is_not_gone(lab: MayanLab) -> None:
    key = lab.key("zhang")
    take_away(lab, "user_management.user_view")

    observation = lab.target.observe([READERS], [key])

    readings = {observation.accounts.reading, *(each.reading for each in observation.entitlements.values())}
    assert not any(each.whole for each in readings)
    assert lab.target.keys_matching({"id": "E1001"}) is None


def test_a_role_that_may_not_change_members_is_told_before_and_after(lab: MayanLab) -> None:
    take_away(lab, "user_management.group_edit")

    [text] = told(lab, "missing-right", READERS)
    [outcome] = outcomes(lab, step(lab, Op.GRANT, "plain", READERS))

    assert [finding.kind for finding in lab.target.probe()] == ["missing-right"]
    assert "user_management.group_edit" in text
    assert outcome.kind is OutcomeKind.REFUSED
    assert "user_management.group_edit" in outcome.detail


def test_a_superuser_is_not_taken_for_the_reconciler(make: MakeMayanLab) -> None:
    lab = make(token=TOKEN)

    for use in (lambda: lab.target.observe([READERS]), lab.target.probe, lambda: outcomes(lab)):
        with pytest.raises(TargetError, match="admin is staff or a superuser") as caught:
            use()
        assert "ordinary user" in str(caught.value)


def test_a_password_does_as_well_as_a_token(lab: MayanLab) -> None:
    settings = lab.settings | {"auth": {"basic": {"user": "reconciler", "password": PASSWORD}}}
    del settings["token"]

    assert len(MayanTarget(context(), settings).observe([READERS]).accounts.accounts) == 4


def test_f7_who_comes_while_we_read_is_no_stranger(lab: MayanLab, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Eye._groups

    def while_somebody_comes(self: Eye, *wanted: object, **more: object) -> object:
        lab.add(LabAccount("newcomer", "E2001", "新人"))
        lab.put("docs-readers", "newcomer")
        return read(self, *wanted, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Eye, "_groups", while_somebody_comes)
    observation = lab.target.observe([READERS])

    assert logins(observation) == {"zhang", "smith", "newcomer"}
    assert observation.entitlements["group=docs-readers"].foreign == ()


def logins(observation: Observation) -> set[str]:
    [read] = observation.entitlements.values()
    return {observation.accounts.accounts[place].login for place in read.members}


def test_c3_who_takes_another_user_name_is_the_same_account(lab: MayanLab) -> None:
    key = lab.key("zhang")

    lab.server.call("PATCH", "users/current/", {"username": "smith2"}, token=lab.server.token(int(key)))

    observation = lab.target.observe([READERS], [key])
    assert [(each.key, each.name) for each in observation.accounts.accounts] == [(key, "smith2")]
    assert logins(observation) == {"smith2"}


def test_whose_account_it_is_is_told_by_the_user_name_or_the_address(make: MakeMayanLab) -> None:
    lab = make([LabAccount("E1001", "zhang@example.com", "张伟")], {})
    by_name = MayanTarget(context(), lab.settings | {"match": {"username": "id"}})
    by_mail = MayanTarget(context(), lab.settings | {"match": {"email": "email"}})

    assert by_name.match_attributes() == ("id",)
    assert by_name.keys_matching({"id": " e1001 "}) == by_mail.keys_matching({"email": "Zhang@Example.com"}) != set()
    assert by_name.keys_matching({"id": "E100"}) == set()


def test_a_narrow_reading_asks_for_these_people_alone(lab: MayanLab, sent: list[str]) -> None:
    lab.target.observe([READERS, {"group": "核心算法"}], [lab.key("zhang")])

    assert len([each for each in sent if "/users/" in each and "current" not in each]) == 2
    assert len(sent) == 4
    assert all(each.startswith("GET ") for each in sent)


def test_roles_that_are_not_ours_are_asked_nothing(lab: MayanLab, sent: list[str]) -> None:
    for number in range(5):
        lab.server.role(f"role {number}", lab.group("unmanaged"))

    lab.target.observe([READERS])

    assert len([each for each in sent if "/roles/" in each]) == 3


def test_many_people_are_read_and_changed_in_few_requests(make: MakeMayanLab, sent: list[str]) -> None:
    people = [LabAccount(f"u{number:03}", f"E{number:03}", f"员工 {number}") for number in range(130)]
    lab = make(people, {"all": [], "none": []})
    everybody = {"group": "all"}
    keys = {each.login: each.key for each in lab.target.observe([everybody]).accounts.accounts}
    assert len(sent) <= 12
    assert not [each for each in sent if "POST" in each]
    sent.clear()

    changed = outcomes(lab, *(Step(Op.GRANT, keys[each.login], each.login, everybody) for each in people))

    assert {each.kind for each in changed} == {OutcomeKind.APPLIED}
    assert len([each for each in sent if each.startswith("POST ")]) == 2
    assert len(sent) <= 12
