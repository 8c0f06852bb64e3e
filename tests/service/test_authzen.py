"""The Authorization API: a document system's question at the moment of access has the answer of `can`, or none."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from fastapi.security import HTTPAuthorizationCredentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.access import explain
from reconciler.facts.erasure import ErasureRefused, erase
from reconciler.facts.events import parse_event
from reconciler.facts.people import Facts
from reconciler.facts.recording import record_events
from reconciler.passes.tokens import Act, TokenRefused, create_token, revoke_token
from reconciler.policy.model import Permission
from reconciler.service.asking import Asking
from reconciler.service.at_the_door import AtTheDoor
from reconciler.service.authzen_shapes import Decision, Evaluation, Evaluations
from reconciler.service.callers import Callers
from reconciler.service.premises import Premises
from reconciler.workspace import Workspace
from tests.service.conftest import ODD
from tests.service.office import PATIENCE, Office, Service


def question(person: str, resource: str, action: str = "read", **types: str) -> dict[str, Any]:
    return {
        "subject": {"type": types.get("who", "person"), "id": person},
        "action": {"name": action},
        "resource": {"type": types.get("what", "document"), "id": resource},
    }


@pytest.fixture(scope="module")
def reader(asked: tuple[Office, Service]) -> str:
    return asked[0].token("文档系统", Act.READ)


@pytest.mark.parametrize(
    ("person", "resource", "action"),
    [
        ("E1", "docs", "read"),
        ("E1", "algorithms", "read"),
        ("E1", "项目/猎鹰", "write"),
        ("E2", "项目/猎鹰", "write"),
        ("E4", "docs", "read"),
        (ODD, "项目/猎鹰", "read"),
        ("svc-index", "docs", "read"),
        ("svc-index", "algorithms", "read"),
    ],
)
def test_a_decision_is_what_can_says_with_the_reasons_of_why(
    asked: tuple[Office, Service], reader: str, person: str, resource: str, action: str
) -> None:
    office, service = asked
    kind = "service_account" if person.startswith("svc") else "person"

    answer = service.ask("/access/v1/evaluation", reader, question(person, resource, action, who=kind))

    assert answer.status_code == 200, answer.text
    decided = Decision.model_validate(answer.json())
    why = json.loads(office.command("why", person, f"{resource}:{action}", "--output", "json").stdout)
    assert decided.decision is why["allowed"]
    assert decided.context.until == why["until"]
    assert decided.context.policy == why["policy"]["digest"]
    if not decided.decision:
        told = [each.text for each in decided.context.reasons or ()]
        assert told[-len(why["denials"]) :] == [each["text"] for each in why["denials"]] or not why["denials"]
        assert why["reasons"] or told[0] == "no role and no exception gives it"


@pytest.mark.parametrize(
    "asked_for",
    [
        question("E99", "docs"),
        question("e1", "docs"),
        question("", "docs"),
        question("E1", "dogs"),
        question("E1", "docs", "fly"),
        question("E1", ""),
        question("E1", "docs:read", ""),
        question("E1", "docs", who="service_account"),
        question("svc-index", "docs", who="person"),
        question("E1", "docs", who="group"),
        question("E1", "docs", what="folder"),
        question("E1\x00", "docs"),
    ],
)
def test_what_is_not_known_is_a_no(asked: tuple[Office, Service], reader: str, asked_for: dict[str, Any]) -> None:
    _, service = asked

    answer = service.ask("/access/v1/evaluation", reader, asked_for)

    assert (answer.status_code, answer.json()["decision"]) == (200, False)
    (reason,) = answer.json()["context"]["reasons"]
    assert reason["kind"] in ("unknown-person", "unknown-permission")


def test_what_the_api_does_not_name_is_ignored(asked: tuple[Office, Service], reader: str) -> None:
    _, service = asked
    plain = question("E4", "docs")
    more = {**plain, "context": {"time": "1985-10-26T01:22-07:00", "deep": {"er": [1]}}, "override": True}
    more["subject"] = {**plain["subject"], "properties": {"clearance": "core"}, "admin": True}

    assert service.ask("/access/v1/evaluation", reader, more).json()["decision"] is False
    user = question("E1", "docs", who="user", what="resource")
    assert service.ask("/access/v1/evaluation", reader, user).json()["decision"] is True


@pytest.mark.parametrize("part", ["subject", "action", "resource"])
def test_what_is_left_out_is_a_bad_request(asked: tuple[Office, Service], reader: str, part: str) -> None:
    _, service = asked
    lacking = {name: value for name, value in question("E1", "docs").items() if name != part}

    assert service.ask("/access/v1/evaluation", reader, lacking).status_code == 400
    assert service.ask("/access/v1/evaluations", reader, lacking).status_code == 400
    several = {**lacking, "evaluations": [question("E1", "docs"), {}]}
    answer = service.ask("/access/v1/evaluations", reader, several)
    assert (answer.status_code, "evaluations.1" in answer.text) == (400, True)


def decisions(service: Service, token: str, said: dict[str, Any]) -> list[bool]:
    answer = service.ask("/access/v1/evaluations", token, said)
    assert answer.status_code == 200, answer.text
    return [each["decision"] for each in answer.json()["evaluations"]]


def test_several_at_once_take_what_they_leave_out_from_what_is_said_for_all(
    asked: tuple[Office, Service], reader: str
) -> None:
    _, service = asked
    parts = [
        {},
        {"resource": {"type": "document", "id": "algorithms"}},
        {"subject": {"type": "person", "id": "E4"}},
        {"action": {"name": "write"}},
        question("E2", "algorithms"),
        {"resource": {"type": "document", "id": "项目/猎鹰"}, "action": {"name": "write"}},
    ]
    said = {**question("E1", "docs"), "evaluations": parts}

    assert decisions(service, reader, said) == [True, True, False, False, True, True]
    semantic = {"options": {"evaluations_semantic": "execute_all", "more": 1}}
    assert decisions(service, reader, {**said, **semantic}) == [True, True, False, False, True, True]
    semantic = {"options": {"evaluations_semantic": "deny_on_first_deny"}}
    assert decisions(service, reader, {**said, **semantic}) == [True, True, False]
    semantic = {"options": {"evaluations_semantic": "permit_on_first_permit"}}
    assert decisions(service, reader, {**said, "evaluations": parts[2:], **semantic}) == [False, False, True]
    one = service.ask("/access/v1/evaluations", reader, {**question("E1", "docs"), "evaluations": []})
    assert (one.json()["decision"], "evaluations" in one.json()) == (True, False)
    other = {"options": {"evaluations_semantic": "permit_all"}}
    assert service.ask("/access/v1/evaluations", reader, {**said, **other}).status_code == 400
    many = {**question("E1", "docs"), "evaluations": [{}] * 1001}
    assert service.ask("/access/v1/evaluations", reader, many).status_code == 400


def test_searches_name_those_for_whom_the_decision_would_be_yes(asked: tuple[Office, Service], reader: str) -> None:
    _, service = asked
    people = ["E1", "E2", "E3", "E4", ODD]

    def found(path: str, said: dict[str, Any]) -> list[dict[str, str]]:
        """All pages, two at a time; the pages after the first as the specification's own example asks for them."""
        results, page = [], {"limit": 2}
        while True:
            answer = service.ask(f"/access/v1/search/{path}", reader, {**said, "page": page})
            assert answer.status_code == 200, answer.text
            told = answer.json()
            assert told["page"]["count"] == len(told["results"]) <= 2
            results += told["results"]
            if not told["page"]["next_token"]:
                assert told["page"]["total"] == len(results)
                return results
            page = {"token": told["page"]["next_token"]}

    def may(person: str, resource: str, action: str, kind: str = "person") -> bool:
        said = question(person, resource, action, who=kind)
        return bool(service.ask("/access/v1/evaluation", reader, said).json()["decision"])

    for resource, action in (("docs", "read"), ("项目/猎鹰", "write"), ("algorithms", "read"), ("dogs", "read")):
        told = found("subject", question("", resource, action))
        assert told == [{"type": "person", "id": each} for each in people if may(each, resource, action)]
    services = found("subject", question("", "docs", who="service_account"))
    assert services == [{"type": "service_account", "id": "svc-index"}]
    for person in people:
        told = found("resource", question(person, "", "read"))
        assert [each["id"] for each in told] == sorted(
            each for each in ("docs", "algorithms", "项目/猎鹰") if may(person, each, "read")
        )
        named = found("action", question(person, "项目/猎鹰"))
        assert [each["name"] for each in named] == [
            each for each in ("read", "write") if may(person, "项目/猎鹰", each)
        ]
    assert found("resource", question("E99", "", "read")) == []
    assert found("subject", question("", "docs", what="folder")) == []


def test_a_page_belongs_to_its_own_search(asked: tuple[Office, Service], reader: str) -> None:
    _, service = asked
    said = question("", "docs")
    first = service.ask("/access/v1/search/subject", reader, {**said, "page": {"limit": 1}}).json()["page"]
    assert (first["count"], first["total"]) == (1, 3)
    token = first["next_token"]
    for other in (
        {**question("", "algorithms"), "page": {"token": token}},
        {**question("", "docs", who="user"), "page": {"token": token}},
        {**said, "page": {"token": token, "limit": 2}},
        {**said, "page": {"token": token + "A"}},
        {**said, "page": {"token": "AAAA"}},
    ):
        answer = service.ask("/access/v1/search/subject", reader, other)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "question"), other
    own = {**question("E1", "", "read"), "page": {"token": token}}
    assert service.ask("/access/v1/search/resource", reader, own).status_code == 400
    none = service.ask("/access/v1/search/subject", reader, {**said, "page": {"limit": 0}}).json()
    assert (none["results"], none["page"]["total"]) == ([], 3)


def test_a_request_has_its_name_back_whatever_the_answer_is(asked: tuple[Office, Service], reader: str) -> None:
    _, service = asked
    name = {"X-Request-ID": "bfe9eb29-ab87-4ca3"}
    for answer in (
        service.ask("/access/v1/evaluation", reader, question("E1", "docs"), **name),
        service.ask("/access/v1/evaluation", "", question("E1", "docs"), **name),
        service.ask("/access/v1/evaluation", reader, {}, **name),
        service.ask("/access/v1/nothing", reader, **name),
        service.ask("/healthz", **name),
    ):
        assert answer.headers["x-request-id"] == name["X-Request-ID"], answer.status_code
    names = {service.ask("/access/v1/evaluation", reader, question("E1", "docs")).headers["x-request-id"] for _ in "ab"}
    assert len(names) == 2, "whoever gives none has one of its own"


def test_the_metadata_say_where_what_is_under_the_name_that_was_asked(asked: tuple[Office, Service]) -> None:
    _, service = asked
    path = "/.well-known/authzen-configuration"

    told = service.ask(path).json()
    other = requests.get(service.url + path, headers={"host": "pdp.example.com"}, timeout=PATIENCE).json()
    hostile = requests.get(service.url + path, headers={"host": 'a"/><script>'}, timeout=PATIENCE).json()

    assert told["policy_decision_point"] == service.url
    assert told["access_evaluation_endpoint"] == f"{service.url}/access/v1/evaluation"
    assert other["search_subject_endpoint"] == "http://pdp.example.com/access/v1/search/subject"
    assert hostile == told
    for name, url in told.items():
        if name != "policy_decision_point":
            assert service.ask(url.removeprefix(service.url), said={}).status_code == 401, "there is something"


def test_whoever_may_not_read_about_somebody_is_told_nothing(asked: tuple[Office, Service]) -> None:
    office, service = asked
    token = office.token("it", Act.PLAN)

    for path in ("evaluation", "evaluations", "search/subject", "search/resource", "search/action"):
        said = question("E1", "docs")
        assert service.ask(f"/access/v1/{path}", token, said).status_code == 403, path
        assert service.ask(f"/access/v1/{path}", "", said).status_code == 401, path


def test_with_the_record_out_of_reach_there_is_no_yes(office: Office) -> None:
    store = office.folder / "state" / "reconciler.db"
    token = office.token("文档系统")
    said = question("E1", "docs")
    with office.serving() as service:
        service.until_ready()
        assert service.ask("/access/v1/evaluation", token, said).json()["decision"] is True
        aside = store.rename(store.with_name("aside"))
        for path in ("evaluation", "evaluations", "search/subject"):
            assert service.ask(f"/access/v1/{path}", token, said).status_code == 503
        aside.rename(store)
        office.tell({"id": "x", "type": "exited", "person": "E1", "effective_at": "2026-01-01", "confirmed": True})
        assert service.ask("/access/v1/evaluation", token, said).json()["decision"] is False


# --- after every recorded event ---------------------------------------------------------------------------------------

WORKSPACE = """\
format: reconciler.workspace/1
organization: law
timezone: Asia/Shanghai
policies: policies
targets:
  dir:
    type: ldif
    path: none.ldif
    people: {base: "dc=x", match: {uid: id}}
    groups: {base: "dc=x", kind: groupOfNames}
"""
POLICY = """
attributes:
  department: {kind: tree}
  employment: {kind: one_of, values: [employee, contractor]}
  sponsor:    {kind: person}
evidence:
  nda:      {kind: agreement, version: 1}
  training: {kind: training, valid_for: 2mo}
clearances:
  - public: {}
  - internal: {requires: [nda]}
  - core: {requires: [training]}
resources:
  handbook:   {classification: public, access: {read: {dir: {group: handbook}}}}
  docs:       {classification: internal, access: {read: {dir: {group: docs}}}}
  algorithms: {classification: core, access: {read: {dir: {group: algorithms}}}}
roles:
  staff:    {everyone: true, grants: {read: [handbook]}}
  engineer: {match: {department: rd}, grants: {read: [docs, algorithms]}}
exceptions: [{person: A, grants: {read: [algorithms]}, since: 2026-02-01, until: 2026-03-01, reason: "help"}]
sponsors:   [{of: {employment: contractor}, by: sponsor, must: {employment: employee}, lapse: 5d}]
lifecycle:  {notice: {ceiling: public}, leave: {after: 10d, suspend: true}}
guards: {exits: {percent: 100, people: 1000}}
"""
PEOPLE, RESOURCES = ("A", "B", "C"), ("handbook", "docs", "algorithms")
PROOFS = ("nda", "training")
KINDS = (
    "exited", "exited", "erased", "rehired", "transferred", "evidence-recorded",
    "resignation-submitted", "leave-started", "leave-ended", "locked-out", "unlocked",
)  # fmt: skip
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
LAW = 25


def told(what: str, person: str, day: int, /, **data: str) -> dict[str, object]:
    when = (BEGINNING + timedelta(days=day)).date().isoformat()
    return {"type": what, "person": person, "effective_at": when, "data": data, "confirmed": True}


POST = {"department": "rd", "employment": "employee"}
STAFF = [
    told("hired", "A", 0, **POST),
    told("hired", "B", 0, **{**POST, "employment": "contractor", "sponsor": "A"}),
    told("hired", "C", 0, **{**POST, "department": "hr", "employment": "contractor", "sponsor": "B"}),
    *(told("evidence-recorded", each, 0, kind=kind, valid_from="2026-01-01") for each in PEOPLE for kind in PROOFS),
]
"""Two who may open everything, one of them for as long as the other one answers for them."""


@st.composite
def events(draw: st.DrawFn) -> dict[str, object]:
    person, day = draw(st.sampled_from(PEOPLE)), draw(st.integers(0, 40))
    kind = draw(st.sampled_from(KINDS))
    if kind == "transferred":
        posts = {
            "department": draw(st.sampled_from(["rd/ai", "hr"])),
            "employment": draw(st.sampled_from(["employee", "contractor"])),
            "sponsor": draw(st.sampled_from(PEOPLE)),
        }
        return told(kind, person, day, **posts)
    if kind == "evidence-recorded":
        return told(kind, person, day, kind=draw(st.sampled_from(PROOFS)), valid_from="2026-02-01")
    return told(kind, person, day, **({"ref": "S-1"} if "lock" in kind else {}))


@dataclass
class Clock:
    now: datetime = BEGINNING

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def law(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY, "utf-8")
    (tmp_path / "reconciler.yaml").write_text(WORKSPACE, "utf-8")
    return tmp_path


@settings(
    max_examples=LAW, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(events(), st.integers(-2, 9)), min_size=3, max_size=10))
def test_after_every_event_the_answer_is_that_of_a_fresh_reading(
    law: Path, history: list[tuple[dict[str, object], int]]
) -> None:
    """Recorded by another process's connections; time goes on in between, and now and then back."""
    (law / "state" / "reconciler.db").unlink(missing_ok=True)
    for left in (law / "state").glob("*"):
        left.unlink()
    workspace, clock = Workspace.load(law / "reconciler.yaml"), Clock()
    elsewhere = workspace.facts()
    premises = Premises(workspace, workspace.facts(), workspace.actor(), clock)
    callers = Callers(premises)
    door = AtTheDoor(premises, callers, Asking(premises))
    text, _ = create_token(elsewhere, "dms", [Act.READ], BEGINNING + timedelta(9999), now=BEGINNING, actor="it")
    bearer = HTTPAuthorizationCredentials(scheme="Bearer", credentials=text)
    attributes, policy = premises.standing().policy.attributes, premises.standing().policy

    for number, (event, days) in enumerate([*((event, 0) for event in STAFF), *history]):
        clock.now += timedelta(days=days, hours=7)
        if event["type"] == "erased":
            erase_if_gone(elsewhere, str(event["person"]), clock.now)
        else:
            parsed = parse_event({"id": f"e{number}", **event})
            record_events(elsewhere, [parsed], source="hr", now=clock.now, actor="hr", attributes=attributes)
        everybody = elsewhere.population()
        for person in PEOPLE:
            for resource in RESOURCES:
                asked = Evaluation.model_validate(question(person, resource))
                found = door.one(bearer, partial(_same, asked))
                known = person in everybody.by_id
                permission = Permission(resource, "read")
                wanted = known and explain(policy, everybody, person, permission, clock.now).allowed
                assert found.decision is wanted, (person, resource, clock.now, event)
                assert found.context.ledger_seq == elsewhere.ledger.head()


def _same(asked: Evaluation) -> Evaluation:
    return asked


def erase_if_gone(facts: Facts, person: str, now: datetime) -> None:
    with suppress(ErasureRefused):
        erase(facts, person, "request", now=now, actor="it")


def test_a_token_that_is_taken_back_elsewhere_opens_nothing_from_then_on(law: Path) -> None:
    workspace, clock = Workspace.load(law / "reconciler.yaml"), Clock()
    elsewhere = workspace.facts()
    premises = Premises(workspace, workspace.facts(), workspace.actor(), clock)
    door = AtTheDoor(premises, Callers(premises), Asking(premises))
    text, made = create_token(elsewhere, "dms", [Act.READ], BEGINNING + timedelta(1), now=BEGINNING, actor="it")
    bearer = HTTPAuthorizationCredentials(scheme="Bearer", credentials=text)
    asked = Evaluation.model_validate(question("A", "docs"))

    assert not door.one(bearer, lambda: asked).decision
    clock.now += timedelta(1)
    with pytest.raises(TokenRefused, match="has ended"):
        door.one(bearer, lambda: asked)
    clock.now -= timedelta(1)
    assert not door.one(bearer, lambda: asked).decision
    revoke_token(elsewhere, made.id, "lost", now=clock.now, actor="it")
    with pytest.raises(TokenRefused, match="taken back"):
        door.one(bearer, lambda: asked)
    with pytest.raises(TokenRefused, match="taken back"):
        door.several(bearer, lambda: Evaluations(**asked.model_dump()))
