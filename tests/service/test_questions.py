"""The questions over HTTP: the answers of the command line, of whatever day, for whoever may ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from reconciler.passes.tokens import Act
from tests.service.conftest import ODD
from tests.service.office import PATIENCE, Office, Service, exited, until

FALCON = "项目/猎鹰:write"


@pytest.fixture(scope="module")
def reader(asked: tuple[Office, Service]) -> str:
    return asked[0].token("审计", Act.READ)


def told(office: Office, *arguments: str) -> Any:
    done = office.command(*arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def path(*parts: str, **query: str) -> str:
    plain = "/v1/" + "/".join(quote(part, safe="") for part in parts)
    return plain + ("?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items()) if query else "")


@pytest.mark.parametrize(("at", "known"), [("2030-01-01", ""), ("2026-03-01T09:30+08:00", "entry:7")])
@pytest.mark.parametrize(
    "question",
    [
        ("access", "E1"),
        ("access", ODD),
        ("access", "svc-index"),
        ("why", "E1", "algorithms:read"),
        ("why", "E4", "algorithms:read"),
        ("why", "svc-index", "docs:read"),
        ("can", "E1", FALCON),
        ("can", ODD, "项目/猎鹰:read"),
    ],
)
def test_the_answer_is_that_of_the_command_line(
    asked: tuple[Office, Service], reader: str, question: tuple[str, ...], known: str, at: str
) -> None:
    office, service = asked
    when = {"at": at, **({"as_known_at": known} if known else {})}
    options = ["--at", at, *(["--as-known-at", known] if known else [])]

    answer = service.ask(path(*question, **when), reader)

    done = office.command(*question, *options, "--output", "json")
    if done.returncode:
        assert answer.status_code == 404
        assert json.loads(done.stderr)["error"]["code"] == answer.json()["error"]["code"] == "unknown-person"
        assert "they are known since" in answer.json()["error"]["remedy"]
        return
    assert answer.status_code == 200, answer.text
    expected, found = json.loads(done.stdout), answer.json()
    if not known:  # the service makes passes, and each of them is on record
        expected.pop("as_known_at")
        found.pop("as_known_at")
    assert found == expected


@pytest.mark.parametrize("permission", ["docs:read", "algorithms:read", "项目/猎鹰:read", FALCON])
def test_all_pages_together_are_what_the_command_line_tells(
    asked: tuple[Office, Service], reader: str, permission: str
) -> None:
    office, service = asked
    expected = told(office, "who", permission, "--at", "2027-01-01", "--as-known-at", "entry:12")
    when = {"at": "2027-01-01", "as_known_at": "entry:12", "limit": "2"}

    found = service.ask(path("who", permission, **when), reader).json()
    whole = found
    while found["page"]["next"]:
        assert len(found["allowed"]) + len(found["withheld"]) == 2
        found = service.ask(path("who", permission, page=found["page"]["next"], limit="2"), reader).json()
        whole["allowed"] += found["allowed"]
        whole["withheld"] += found["withheld"]

    assert whole.pop("page")["allowed"] == len(whole["allowed"])
    assert whole == expected
    assert whole["allowed"] or permission == "algorithms:read"


def test_a_further_page_is_of_the_moment_of_the_first(office: Office) -> None:
    with office.serving() as service:
        service.until_ready()
        token = office.token("审计", Act.READ)
        first = service.ask(path("who", "docs:read", limit="3"), token).json()
        office.tell({"id": "x", "type": "exited", "person": "E5", "effective_at": "2026-01-01", "confirmed": True})
        page = first["page"]["next"]

        second = service.ask(path("who", "docs:read", page=page), token).json()

        assert [each["subject"] for each in second["allowed"]] == ["E4", "E5", "E6"]
        assert second["at"] == first["at"]
        assert second["as_known_at"]["ledger_seq"] == first["as_known_at"]["ledger_seq"]
        now = service.ask(path("who", "docs:read"), token).json()
        assert [each["subject"] for each in now["allowed"]] == ["E1", "E2", "E3", "E4", "E6"]
        refused = service.ask(path("who", "docs:read", page=page, at="2026-01-01"), token)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "question")
        policy = office.folder / "policies" / "policy.yaml"
        policy.write_text(policy.read_text("utf-8").replace("valid_for: 1y", "valid_for: 2y"), "utf-8")
        assert service.ask(path("who", "docs:read", page=page), token).status_code == 400


def test_a_slash_may_stand_as_it_is_or_encoded(asked: tuple[Office, Service], reader: str) -> None:
    _, service = asked
    for spelled in ("项目/猎鹰:write", "项目%2F猎鹰%3Awrite", quote(FALCON), quote(FALCON, safe="")):
        answer = service.ask(f"/v1/can/E1/{spelled}?at=2027-01-01", reader)
        assert answer.json()["allowed"] is True, spelled
        assert service.ask(f"/v1/who/{spelled}", reader).json()["allowed"][0]["subject"] == "E1", spelled


@pytest.mark.parametrize("path_", ["/healthz", "/readyz"])
def test_who_only_looks_at_the_status_may_ask_for_the_head_alone(asked: tuple[Office, Service], path_: str) -> None:
    _, service = asked
    whole = requests.get(service.url + path_, timeout=PATIENCE)

    head = requests.head(service.url + path_, timeout=PATIENCE)

    assert (head.status_code, head.content) == (whole.status_code, b"")


@pytest.mark.parametrize(
    ("asked_for", "status", "code"),
    [
        ("/v1/access/E99", 404, "unknown-person"),
        ("/v1/access/e1", 404, "unknown-person"),
        ("/v1/access/E1%00", 404, "unknown-person"),
        ("/v1/access/%ff", 404, "unknown-person"),
        ("/v1/can/E1/docs:fly", 404, "unknown-permission"),
        ("/v1/why/E1/dogs:read", 404, "unknown-permission"),
        ("/v1/who/dogs:read", 404, "unknown-permission"),
        ("/v1/who/docs", 400, "question"),
        ("/v1/can/E1/docs", 400, "question"),
        ("/v1/access/E1?at=tomorrow", 400, "question"),
        ("/v1/access/E1?at=0001-01-01T00:00%2B14:00", 400, "question"),
        ("/v1/access/E1?at=99999-01-01", 400, "question"),
        ("/v1/access/E1?as_known_at=2099-01-01", 400, "question"),
        ("/v1/access/E1?as_known_at=entry:999999", 400, "unknown-entry"),
        ("/v1/access/E1?as_known_at=entry:9223372036854775808", 400, "unknown-entry"),
        (f"/v1/who/docs:read?as_known_at=ledger:{'9' * 90}", 400, "unknown-entry"),
        ("/v1/access/" + "z" * 501, 404, "unknown-person"),
        ("/v1/who/docs:read?page=nonsense", 400, "question"),
        ("/v1/who/docs:read?page=WyIyMDI3IiwgLTEsIDEsICJ4Il0", 400, "question"),
        ("/v1/who/docs:read?limit=0", 422, "parameter"),
        ("/v1/who/docs:read?limit=1001", 422, "parameter"),
        ("/v1/who/docs:read?limit=many", 422, "parameter"),
        ("/v1/runs/nothing", 404, "run-unknown"),
        ("/v1/runs/%00", 404, "run-unknown"),
        ("/v1/plan?target=nowhere", 400, "unknown-target"),
        ("/v1/plan?person=E99", 404, "unknown-person"),
        ("/v1/access/E1?At=2026-01-01", 400, "question"),
        ("/v1/who/docs:read?as_know_at=entry:7", 400, "question"),
        ("/v1/can/E1/docs:read?at=2026-01-01&at=2027-01-01", 400, "question"),
        ("/v1/plan?targets=dir", 400, "question"),
        ("/v1/runs?before=7", 400, "question"),
        ("/v1/nothing", 404, "route"),
        ("/v1/runs/", 404, "route"),
    ],
)
def test_what_cannot_be_answered_is_said_in_the_one_form(
    asked: tuple[Office, Service], asked_for: str, status: int, code: str
) -> None:
    office, service = asked

    answer = service.ask(asked_for, office.token("审计"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]


# --- tokens -----------------------------------------------------------------------------------------------------------

HOSTILE = [
    "",
    "Bearer",
    "Bearer ",
    "Basic cm9vdDpyb290",
    "Bearer rec_0123456789_" + "A" * 43,
    "Bearer rec_0123456789_" + "A" * 60_000,
    "Bearer " + "rec_" * 10_000,
    "Bearer ' OR 1=1 --",
    "Bearer %00",
    "Bearer \x80\xff",
    "Bearer rec_{id}_" + "A" * 43,
    "Token {token}",
    "Bearer {token} {token}",
    "Bearer {token}A",
    "Bearer {upper}",
]


@pytest.mark.parametrize("header", HOSTILE)
def test_without_a_token_of_ours_nobody_is_told_anything(asked: tuple[Office, Service], header: str) -> None:
    office, service = asked
    token = office.token("审计", Act.READ)
    given = header.format(token=token, upper=token.upper(), id=token.split("_")[1])

    answer = service.ask("/v1/access/E1", authorization=given.encode("latin-1"))  # type: ignore[arg-type]

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "token"
    assert token.split("_", 2)[2] not in answer.text


def test_a_token_ends_at_its_end_and_when_another_process_takes_it_back(asked: tuple[Office, Service]) -> None:
    office, service = asked
    good, ended = (
        office.token("审计", Act.READ),
        office.token("审计", Act.READ, until=datetime.now(UTC) + timedelta(0, 2)),
    )
    for token in (good, good):
        assert service.ask("/v1/access/E1", token).status_code == 200

    done = office.command("token", "revoke", good.split("_")[1], "--reason", "lost")

    assert done.returncode == 0, done.stderr
    answer = service.ask("/v1/access/E1", good)
    assert (answer.status_code, "was taken back" in answer.text) == (401, True)
    until(lambda: service.ask("/v1/access/E1", ended).status_code != 200, "the token's end")
    late = service.ask("/v1/access/E1", ended)
    assert (late.status_code, "has ended" in late.text) == (401, True)


@pytest.mark.parametrize(
    ("act", "asked_for"),
    [
        (Act.PLAN, "/v1/access/E1"),
        (Act.PLAN, "/v1/who/docs:read"),
        (Act.RECORD, "/v1/why/E1/docs:read"),
        (Act.READ, "/v1/plan"),
        (Act.READ, "/v1/held"),
        (Act.PLAN, "/v1/runs"),
    ],
)
def test_a_token_is_good_for_its_acts_alone(asked: tuple[Office, Service], act: Act, asked_for: str) -> None:
    office, service = asked

    answer = service.ask(asked_for, office.token("it", act))

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not-allowed")


@pytest.fixture
def governed(office: Office) -> Iterator[tuple[Office, Service]]:
    """An office whose access policy lets the manager of E1 read about E1, and the auditors about everybody."""
    workspace = office.folder / "reconciler.yaml"
    named = "policies: policies\noperators: operators.csv\n"
    workspace.write_text(workspace.read_text("utf-8").replace("policies: policies\n", named), "utf-8")
    me = office.workspace().actor().name
    lines = [f"p, {me}, *, *", "p, 主管, read, E1", "p, audit, read, *", "p, planner, plan, dir", "g, 王芳, audit"]
    (office.folder / "operators.csv").write_text("\n".join(lines) + "\n", "utf-8")
    with office.serving() as service:
        service.until_ready()
        yield office, service


def test_the_access_policy_says_who_may_ask_about_whom(governed: tuple[Office, Service]) -> None:
    office, service = governed
    manager, auditor, planner = (office.token(owner) for owner in ("主管", "王芳", "planner"))

    def status(asked_for: str, token: str) -> int:
        return service.ask(asked_for, token).status_code

    assert status("/v1/access/E1", manager) == 200
    assert status("/v1/access/E2", manager) == 403
    assert status("/v1/access/E99", manager) == 403, "not even whether there is such a person"
    assert status("/v1/can/E2/docs:read", manager) == 403
    assert status("/v1/who/docs:read", manager) == 403
    assert status("/v1/runs", manager) == 403
    assert status("/v1/who/docs:read", auditor) == 200
    assert status("/v1/access/E99", auditor) == 404
    assert status("/v1/plan", auditor) == 403
    assert status("/v1/plan", planner) == 200
    with (office.folder / "operators.csv").open("a", encoding="utf-8") as stream:
        stream.write("p, 主管, read, E2\n")
    assert status("/v1/access/E2", manager) == 200, "the access policy counts as it stands now"


@pytest.mark.parametrize("what", ["nonsense", "gone", "no text"])
def test_under_an_access_policy_that_cannot_be_used_nobody_may_anything_and_nothing_is_lost(
    governed: tuple[Office, Service], what: str
) -> None:
    office, service = governed
    file, token = office.folder / "operators.csv", office.token("王芳")
    before = file.read_bytes()
    said = {"subject": {"type": "person", "id": "E1"}, "action": {"name": "read"}}
    question = {**said, "resource": {"type": "document", "id": "docs"}}
    file.unlink() if what == "gone" else file.write_bytes(b"nonsense\n" if what == "nonsense" else b"\xff")

    answers = [
        service.ask("/v1/access/E1", token),
        service.ask("/v1/runs", token),
        service.ask("/access/v1/evaluation", token, question),
        service.ask("/v1/revocations", token, {"person": "E1", "reason": "a"}),
        service.post(exited("E2")),
    ]

    for answer in answers:
        assert answer.status_code == 503, "not the sender's mistake: it is to send it again"
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["error"]["code"] == "workspace"
        assert "operators.csv" not in answer.text
    assert "access-policy-unusable" in service.errors.read_text("utf-8")
    file.write_bytes(before)
    assert service.ask("/access/v1/evaluation", token, question).json()["decision"] is True


def test_an_id_of_a_megabyte_is_nobody_and_not_kept(governed: tuple[Office, Service]) -> None:
    office, service = governed
    token, status = office.token("王芳"), Path(f"/proc/{service.process.pid}/status")
    resource, action = {"type": "document", "id": "docs"}, {"name": "read"}

    def ask(number: int) -> int:
        subject = {"type": "person", "id": f"{number}" + "z" * 1_000_000}
        said = {"subject": subject, "action": action, "resource": resource}
        assert service.ask("/access/v1/evaluation", token, said).json()["decision"] is False
        return int(status.read_text("utf-8").partition("VmRSS:")[2].split()[0])

    begun = ask(0)
    assert max(map(ask, range(1, 80))) - begun < 60_000, "KiB"


def test_the_policies_count_as_they_stand_and_the_last_that_passed_where_they_do_not(office: Office) -> None:
    policy = office.folder / "policies" / "policy.yaml"
    text = policy.read_text("utf-8")
    with office.serving() as service:
        service.until_ready()
        token = office.token("审计")

        def allowed() -> bool:
            return bool(service.ask("/v1/can/E1/docs:read", token).json()["allowed"])

        assert allowed()
        for _ in range(3):  # as fast as a disk's clock ticks, and with as many bytes
            policy.write_text(text.replace("{department: rd}", "{department: hr}"), "utf-8")
            assert not allowed()
            policy.write_text(text, "utf-8")
            assert allowed()
        policy.write_text(text + "nonsense: 1\n", "utf-8")
        assert allowed()
        refused = service.ask("/v1/plan", token)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "problems")


def test_a_record_out_of_reach_is_no_answer(office: Office) -> None:
    store = office.folder / "state" / "reconciler.db"
    token = office.token("审计")
    with office.serving() as service:
        service.until_ready()
        assert service.ask("/v1/can/E1/docs:read", token).status_code == 200
        aside = store.rename(store.with_name("aside"))
        answer = service.ask("/v1/can/E1/docs:read", token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store")
        assert answer.headers["retry-after"] == "5"
        assert str(store) not in answer.text
        aside.rename(store)
        assert service.ask("/v1/can/E1/docs:read", token).status_code == 200


def test_one_connection_is_used_again_and_again(asked: tuple[Office, Service], reader: str) -> None:
    _, service = asked
    with requests.Session() as session:
        answers = [
            session.get(
                f"{service.url}/v1/can/E{n % 3 + 1}/docs:read",
                headers={"authorization": f"Bearer {reader}"},
                timeout=PATIENCE,
            )
            for n in range(50)
        ]
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["subject"] for answer in answers[:3]] == ["E1", "E2", "E3"]
