"""Plans, runs, approvals and revocations over HTTP: by the guards and the four eyes of the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from reconciler.passes import one_person
from reconciler.passes.decide import ApprovalRefused
from reconciler.passes.tokens import Act
from reconciler.service.callers import Callers
from reconciler.service.decisions import ApprovalRequest, Deciding, RevocationRequest
from reconciler.service.premises import Premises
from reconciler.service.shapes import PlanAnswer, RevocationAnswer, RunAnswer, RunsAnswer
from reconciler.targets import TargetError
from tests.service.conftest import PEOPLE
from tests.service.office import PATIENCE, Office, Service, days_ago, until


@pytest.fixture
def newcomers(fresh_office: Office) -> Iterator[tuple[Office, Service]]:
    """Six researchers who have nothing yet: the first roll-out is held, since it is the largest change there will ever
    be.
    """
    fresh_office.hire(PEOPLE, days_ago(30))
    with fresh_office.serving() as service:
        until(lambda: any(each["event"] == "plan-made" for each in service.log()), "the first whole pass")
        yield fresh_office, service


def test_a_plan_is_that_of_the_command_line_and_its_slices_are_what_is_held(newcomers: tuple[Office, Service]) -> None:
    office, service = newcomers
    token = office.token("it", Act.PLAN)

    plan = service.ask("/v1/plan", token)
    held = service.ask("/v1/held", token).json()

    expected = json.loads(office.command("plan", "--output", "json").stdout)
    found = PlanAnswer.model_validate(plan.json()).model_dump()
    assert found["changes"] == expected["changes"]
    assert (found["digest"], held["digest"]) == (expected["digest"], expected["digest"])
    assert {each["digest"] for each in held["slices"]} == {each["held"]["digest"] for each in expected["changes"]}
    assert sum(each["changes"] for each in held["slices"]) == len(expected["changes"]) == 12
    own = service.ask("/v1/plan?person=E3&target=dir", token).json()
    assert {each["person"] for each in own["changes"]} == {"E3"}
    assert office.members("docs") == set(), "looking changes nothing"


def test_what_is_approved_is_carried_out_at_once_and_on_record_with_its_actor(
    newcomers: tuple[Office, Service],
) -> None:
    office, service = newcomers
    token = office.token("安全部", Act.APPROVE, Act.PLAN, Act.READ)
    held = service.ask("/v1/held", token).json()
    (docs,) = [each for each in held["slices"] if "/internal/" in each["slice"]]

    answer = service.ask("/v1/approvals", token, {"digest": docs["digest"], "reason": "看过了"})

    assert answer.status_code == 201, answer.text
    assert (answer.json()["digest"], answer.json()["changes"]) == (docs["digest"], 6)
    until(lambda: office.members("docs") == set(PEOPLE), "everybody in docs")
    assert office.members("algorithms") == set(), "the other slice is held"
    (entry,) = office.wiring(targets=()).ledger.entries(kinds={"approved"})
    assert (entry.seq, entry.actor, entry.payload["reason"]) == (answer.json()["ledger_seq"], "安全部", "看过了")
    until(lambda: service.ask("/v1/runs", token).json()["runs"], "the run")
    runs = RunsAnswer.model_validate(service.ask("/v1/runs", token).json()).runs
    run = RunAnswer.model_validate(service.ask(f"/v1/runs/{runs[-1].run}?limit=4", token).json())
    assert {(each.op, each.outcome, each.target) for each in run.effects} == {("grant", "applied", "dir")}
    rest = RunAnswer.model_validate(service.ask(f"/v1/runs/{run.run}?page={run.page.next}", token).json())
    assert {each.subject for each in [*run.effects, *rest.effects]} == set(PEOPLE)
    assert (len(run.effects), len(rest.effects), rest.page.next) == (4, 2, None)


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"digest": "sha256:" + "0" * 64, "reason": "why"}, 409, "approval"),
        ({"digest": "0" * 6, "reason": "why"}, 409, "approval"),
        ({"digest": "latest", "reason": "why"}, 400, "body"),
        ({"digest": "0" * 64, "reason": ""}, 400, "body"),
        ({"digest": "0" * 64, "reason": "  "}, 409, "approval"),
        ({"digest": "0" * 64}, 400, "body"),
        ({"digest": "0" * 64, "reason": "why", "actor": "boss"}, 400, "body"),
        ([], 400, "body"),
    ],
)
def test_what_releases_nothing_is_refused(asked: tuple[Office, Service], said: object, status: int, code: str) -> None:
    office, service = asked

    answer = service.ask("/v1/approvals", office.token("boss", Act.APPROVE), said)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]


def test_approvals_go_by_class_and_by_four_eyes(fresh_office: Office) -> None:
    office = fresh_office
    office.hire(PEOPLE, days_ago(30))
    workspace = office.folder / "reconciler.yaml"
    named = "policies: policies\noperators: operators.csv\nfour_eyes: true\n"
    workspace.write_text(workspace.read_text("utf-8").replace("policies: policies\n", named), "utf-8")
    me = office.workspace().actor().name
    lines = [f"p, {me}, *, *", "p, author, plan, *", "p, author, approve, *", "p, junior, approve, internal"]
    (office.folder / "operators.csv").write_text("\n".join(lines) + "\n", "utf-8")
    author, junior = office.token("author"), office.token("junior")
    with office.serving() as service:
        until(lambda: any(each["event"] == "plan-made" for each in service.log()), "the first whole pass")
        held = service.ask("/v1/held", author).json()
        by_class = {each["slice"].split("/")[2]: each["digest"] for each in held["slices"]}

        def status(token: str, digest: str) -> tuple[int, str]:
            answer = service.ask("/v1/approvals", token, {"digest": digest, "reason": "looked at"})
            return answer.status_code, answer.json().get("error", {}).get("code", "")

        assert status(junior, by_class["core"]) == (403, "not-allowed")
        assert status(junior, held["digest"]) == (403, "not-allowed"), "a whole plan takes the right to all of it"
        assert status(junior, by_class["internal"]) == (201, "")
        until(lambda: office.members("docs") == set(PEOPLE), "what was approved")


def test_whoever_was_shown_a_plan_first_does_not_approve_it_with_four_eyes(office: Office) -> None:
    workspace = office.folder / "reconciler.yaml"
    named = "policies: policies\nfour_eyes: true\n"
    workspace.write_text(workspace.read_text("utf-8").replace("policies: policies\n", named), "utf-8")
    premises = Premises(office.workspace(), office.workspace().facts(), office.workspace().actor())
    callers = Callers(premises)
    deciding = Deciding(premises, callers, lambda: None)
    policy = office.folder / "policies" / "policy.yaml"
    policy.write_text(
        policy.read_text("utf-8").replace("grants: {read: [docs]}", "grants: {read: [algorithms]}"), "utf-8"
    )
    author, other = (premises.workspace.actor(office.token(name)) for name in ("author", "other"))
    digest = deciding.looked(author, []).plan.digest
    asked = ApprovalRequest(digest=digest, reason="looked at")

    with pytest.raises(ApprovalRefused, match="four eyes"):
        deciding.approved(author, asked)
    assert deciding.approved(other, asked)["digest"] == digest


# --- revocations ------------------------------------------------------------------------------------------------------


def test_a_person_is_out_of_everything_once_it_is_answered(office: Office) -> None:
    with office.serving() as service:
        service.until_ready()
        token = office.token("安全部", Act.REVOKE)

        answer = service.ask("/v1/revocations", token, {"person": "E3", "reason": "SEC-204: 笔记本被盗"})

        assert answer.status_code in (201, 202), answer.text
        told = RevocationAnswer.model_validate(answer.json())
        if answer.status_code == 201:
            assert not office.anywhere("E3")
        until(lambda: not office.anywhere("E3"), "E3 out")
        service.until_ready()
        assert office.members("docs") == {"E1", "E2", "E4", "E5", "E6"}
    (entry,) = office.wiring(targets=()).ledger.entries(kinds={"locked-out"})
    assert (entry.seq, entry.actor, entry.subject) == (told.ledger_seq, "安全部", "E3")
    assert entry.payload["data"] == {"ref": told.ref, "reason": "SEC-204: 笔记本被盗"}


def test_who_is_still_in_somewhere_is_not_said_to_be_out(office: Office) -> None:
    with office.serving() as service:
        service.until_ready()
        office.slapd.process.kill()
        office.slapd.process.wait()

        answer = service.ask(
            "/v1/revocations", office.token("安全部", Act.REVOKE), {"person": "E3", "reason": "SEC-204"}
        )

        assert answer.status_code == 202, answer.text
        run = RevocationAnswer.model_validate(answer.json()).run
        assert run is None or run.plan.targets["dir"].error, "it says which target could not be told"
    assert office.entries("locked-out") == 1


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"person": "E99", "reason": "why"}, 404, "unknown-person"),
        ({"person": "E\x001", "reason": "why"}, 404, "unknown-person"),
        ({"person": "E1", "reason": "   "}, 400, "revoke"),
        ({"person": "E1", "reason": "a\x00b"}, 400, "event"),
        ({"person": "E1", "reason": ""}, 400, "body"),
        ({"person": "E1"}, 400, "body"),
        ({"person": ["E1"], "reason": "why"}, 400, "body"),
        ({"person": "E1", "reason": "why", "confirmed": True}, 400, "body"),
    ],
)
def test_a_revocation_that_cannot_be_is_refused_and_nothing_is_on_record(
    asked: tuple[Office, Service], said: object, status: int, code: str
) -> None:
    office, service = asked

    answer = service.ask("/v1/revocations", office.token("安全部", Act.REVOKE), said)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert office.entries("locked-out") == 0


def test_it_takes_a_token_that_is_good_for_it(asked: tuple[Office, Service]) -> None:
    office, service = asked

    answer = service.ask("/v1/revocations", office.token("it", Act.READ, Act.APPLY), {"person": "E1", "reason": "why"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not-allowed")
    assert office.entries("locked-out") == 0


@pytest.mark.parametrize("failure", [TargetError("gone"), RuntimeError("a defect")])
def test_a_lockout_on_record_is_answered_as_such_whatever_becomes_of_the_pass(
    office: Office, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    premises = Premises(office.workspace(), office.workspace().facts(), office.workspace().actor())
    woken: list[str] = []
    deciding = Deciding(premises, Callers(premises), lambda: woken.append("told"))

    def fails(*_: object) -> None:
        raise failure

    monkeypatch.setattr(one_person, "recover", fails)
    told = deciding.revoked(premises.actor, RevocationRequest(person="E2", reason="why"))

    assert (told.person, told.applied, told.everywhere, woken) == ("E2", None, False, ["told"])
    assert office.entries("locked-out") == 1


# --- bodies -----------------------------------------------------------------------------------------------------------

TAKING_JSON = [
    "/v1/approvals",
    "/v1/revocations",
    "/access/v1/evaluation",
    "/access/v1/evaluations",
    "/access/v1/search/subject",
    "/access/v1/search/resource",
    "/access/v1/search/action",
]


@pytest.mark.parametrize("path", TAKING_JSON)
def test_a_body_that_cannot_be_read_is_refused_before_anything_else(asked: tuple[Office, Service], path: str) -> None:
    office, service = asked
    whole = b'{"person": "E1", "reason": "a", "digest": "%s"}' % (b"0" * 64)
    tries = {
        "none": b"",
        "no JSON": b"{",
        "no UTF-8": b"\xff\xfe",
        "no number": b'{"person": NaN}',
        "deep": b"[" * 50_000,
        "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        "a name twice": whole[:-1] + b', "person": "E2"}',
        "a name twice, spelled otherwise": whole[:-1] + b', "p\\u0065rson": "E2"}',
        "half a character": whole.replace(b"E1", b"\\ud800"),
        "a list": b"[]",
        "a number of many digits": b'{"person": ' + b"9" * 5_000 + b"}",
    }
    headers = {"authorization": f"Bearer {office.token('boss')}", "content-type": "application/json"}
    for what, body in tries.items():
        answer = requests.post(service.url + path, body, headers=headers, timeout=PATIENCE)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "body"), (what, answer.text)
    other = {**headers, "content-type": "text/plain"}
    assert requests.post(service.url + path, whole, headers=other, timeout=PATIENCE).status_code == 400
    large = requests.post(service.url + path, b" " * (5 << 20), headers=headers, timeout=PATIENCE)
    assert (large.status_code, large.json()["error"]["code"]) == (413, "body-too-large")
    assert office.entries("locked-out") == 0
