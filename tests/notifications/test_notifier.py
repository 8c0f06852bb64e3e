"""What a company's passes come to, said: by real passes on real files, under a clock that the test moves."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.access.forecast import Foreseen
from reconciler.access.model import EndKind
from reconciler.errors import Place, Problem, ProblemsFound
from reconciler.facts.store import StoreError
from reconciler.notifications import Notifier
from reconciler.notifications import notifier as notifier_module
from reconciler.notifications.notices import (
    DAYS,
    NoticeKind,
    of_evidence,
    of_import,
    of_person,
    of_policies,
    of_whole_pass,
)
from reconciler.notifications.outbox import Outbox
from reconciler.passes.one_person import let_out
from reconciler.policy.model import Permission
from reconciler.workspace import Workspace
from tests.notifications.conftest import all_five, secret_file
from tests.passes.company import POLICY, Company, settled_company
from tests.passes.conftest import *  # noqa: F403
from tests.servers.chat import SIGNING, WEBHOOK_SECRET, ChatServer
from tests.servers.mail import MailServer
from tests.service.office import until

SHANGHAI = ZoneInfo("Asia/Shanghai")


def speaking(company: Company, chat: ChatServer, mail: MailServer, only: str = "", **more: Any) -> None:
    """The company's workspace with channels, whose receivers have its clock."""

    def clock() -> float:
        return company.now.timestamp()

    chat.clock = clock
    for name, text in (("signing", SIGNING), ("hook", WEBHOOK_SECRET)):
        secret_file(company.folder, name, text)
    channels = all_five(company.folder, chat, mail, pause_seconds=0)
    if only:
        channels = {only: {**channels[only], **more}}

    def with_channels(text: str) -> str:
        content = yaml.safe_load(text)
        content["notifications"] = {"channels": channels}
        return yaml.safe_dump(content, allow_unicode=True)

    company.workspace(with_channels)


def notifier(company: Company) -> Notifier:
    workspace = Workspace.load(company.folder / "reconciler.yaml")
    return Notifier(workspace, workspace.facts(), lambda: company.now)


def passed(company: Company, **options: Any) -> Notifier:
    """A pass, and what it came to recorded and sent."""
    own = notifier(company)
    own.whole_passed(company.apply(**options), company.wiring(targets=()).policy)
    own.record(lambda: company.wiring(targets=()).policy)
    assert own.send_waiting(30)
    return own


@pytest.fixture
def company(tmp_path: Path) -> Company:
    made, _ = settled_company(tmp_path / "company", 6, "rd/ai")
    return made


# --- what is held, and who could not be let out -----------------------------------------------------------------------


def test_what_is_held_is_told_with_its_digest_and_not_what_is_in_order(company: Company) -> None:
    wiring = company.wiring(targets=())
    assert of_whole_pass(company.apply(), wiring.policy).notices == ()
    for person in company.people[:5]:
        company.tell("transferred", person, str(company.now.date()), department="sales")

    done = company.apply()
    told = of_whole_pass(done, wiring.policy)

    assert {each.kind for each in told.notices} == {NoticeKind.HELD}
    assert {each.content["digest"] for each in told.notices} == {
        change.held.digest for change in done.plan.held if change.held
    }
    assert all(each.content["people"] == 5 for each in told.notices)


def test_what_a_class_asks_approvals_for_is_told_as_that(company: Company) -> None:
    company.add_policy("guards: {approvals: {core: 2}}\n")
    company.hire("E7", department="rd/ai")
    (company.folder / "directory.ldif").write_text(
        (company.folder / "directory.ldif").read_text("utf-8")
        + "\ndn: uid=u7,ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: u7\ncn: u7\nsn: u7\n"
        + "employeeNumber: E7\nentryUUID: 77777777-7777-4777-8777-777777777777\n",
        "utf-8",
    )

    told = of_whole_pass(company.apply(), company.wiring(targets=()).policy)

    asked = [each for each in told.notices if each.kind is NoticeKind.APPROVAL]
    assert asked
    assert {each.content["wanted"] for each in asked} == {2}
    assert {each.content["class"] for each in asked} == {"core"}


def test_whom_a_target_keeps_in_is_told_once_and_no_longer_when_they_are_out(company: Company) -> None:
    path = company.folder / "directory.ldif"
    aside = path.with_suffix(".aside")
    company.tell("exited", "E1", str(company.now.date() - timedelta(1)))
    path.rename(aside)
    keys = set()
    for _ in range(2):
        done = let_out(company.wiring(), "E1")
        assert done is not None
        (notice,) = of_person(done, "E1").notices
        keys.add(notice.key)
    assert keys == {"leaver:E1:dir"}
    aside.rename(path)

    done = let_out(company.wiring(), "E1")

    assert done is not None
    told = of_person(done, "E1")
    assert told.notices == ()
    assert told.ends("leaver", "leaver:E1:dir", "dir", "E1")
    assert not told.ends("leaver", "leaver:E2:dir", "dir", "E2"), "nothing was seen of anybody else"
    assert not told.ends("held", "held:x", "dir", "")


def test_a_leaver_who_is_protected_is_told_by_their_own_pass_and_not_again_by_the_whole_one(
    company: Company, chat: ChatServer, mail: MailServer
) -> None:
    speaking(company, chat, mail, "webhook")
    company.add_policy("guards: {protected: [E1]}\n")
    company.tell("exited", "E1", str(company.now.date() - timedelta(1)))
    policy = company.wiring(targets=()).policy
    own = notifier(company)
    for _ in range(2):
        done = let_out(company.wiring(), "E1")
        assert done is not None
        own.person_passed(done, "E1")
        own.record()
    assert own.send_waiting(30)
    (message,) = chat.taken
    told = message.body["data"]["notices"]
    assert {(each["kind"], each["guard"]) for each in told} == {("held", "protected")}

    own.whole_passed(company.apply(), policy)
    own.record()
    assert own.send_waiting(30)
    digests = {str(each["digest"]) for each in told}
    again = [each for more in chat.taken[1:] for each in more.body["data"]["notices"]]
    assert not digests & {str(each["digest"]) for each in again}
    for digest in digests:
        company.approve(digest)
    assert let_out(company.wiring(), "E1")
    assert "u1" not in company.members("docs")


def test_a_newcomer_on_a_dead_target_is_no_leaver(company: Company) -> None:
    company.hire("E7")
    (company.folder / "directory.ldif").unlink()

    done = let_out(company.wiring(), "E7")

    assert done is not None
    assert of_person(done, "E7").notices == ()


def test_what_was_held_where_nothing_could_be_read_goes_on_standing(company: Company) -> None:
    (company.folder / "directory.ldif").unlink()

    told = of_whole_pass(company.apply(), company.wiring(targets=()).policy)

    assert [each.kind for each in told.notices] == [NoticeKind.PASS]
    assert told.notices[0].content["unread"] == ["dir"]
    assert not told.ends("held", "held:x", "dir", "")
    assert told.ends("held", "held:x", "vault", "")


def test_an_import_that_was_refused_stands_until_one_of_that_source_succeeds() -> None:
    refused, taken = of_import("hr", refused="feed-held"), of_import("hr", waiting=3, import_id="i1")

    assert refused.notices[0].content["code"] == "feed-held"
    assert taken.notices[0].content == {"source": "hr", "waiting": 3, "import": "i1"}
    assert taken.ends("import", refused.notices[0].key, "hr", "")
    assert not of_import("other").ends("import", refused.notices[0].key, "hr", "")


def test_policies_are_told_by_their_places_and_not_by_their_texts() -> None:
    problems = [Problem("x", "王芳 is named here", Place("policies/a.yaml", n, 1)) for n in range(1, 9)]
    (notice,) = of_policies(ProblemsFound("no", problems)).notices

    assert notice.content["errors"] == 8
    assert notice.content["places"] == [f"policies/a.yaml:{n}:1" for n in range(1, 6)]


def test_a_pass_of_which_nothing_is_to_be_said_leaves_no_row(
    company: Company, chat: ChatServer, mail: MailServer
) -> None:
    speaking(company, chat, mail)

    passed(company)

    assert chat.asked == 0
    assert mail.messages == []


def test_five_channels_say_it_once_over_many_passes(company: Company, chat: ChatServer, mail: MailServer) -> None:
    speaking(company, chat, mail)
    for person in company.people[:5]:
        company.tell("transferred", person, str(company.now.date()), department="sales")

    for _ in range(3):
        passed(company)
        company.pass_time(minutes=30)

    assert Counter(each.robot for each in chat.taken) == {"wecom": 1, "dingtalk": 1, "feishu": 1, "webhook": 1}
    assert len(mail.messages) == 1


def test_only_the_kinds_that_a_channel_is_for(company: Company, chat: ChatServer, mail: MailServer) -> None:
    speaking(company, chat, mail, "webhook", kinds=["leaver"])
    for person in company.people[:5]:
        company.tell("transferred", person, str(company.now.date()), department="sales")

    passed(company)

    assert chat.taken == []


def test_names_come_from_the_facts_when_it_is_sent(company: Company, chat: ChatServer, mail: MailServer) -> None:
    speaking(company, chat, mail, "webhook", names=True)
    company.tell("hired", "E9", "2026-01-01", department="rd", name="欧阳[娜](娜)")
    company.tell("exited", "E9", str(company.now.date() - timedelta(1)))
    (company.folder / "directory.ldif").unlink()
    done = let_out(company.wiring(), "E9")
    assert done is not None
    own = notifier(company)

    own.person_passed(done, "E9")
    own.record()
    assert own.send_waiting(30)

    assert "E9 (欧阳[娜](娜))" in chat.taken[0].text
    assert "欧阳" not in str(chat.taken[0].body["data"]["notices"])


def test_one_channel_that_hangs_holds_up_no_other(company: Company, chat: ChatServer, mail: MailServer) -> None:
    speaking(company, chat, mail)
    company.tell("exited", "E1", str(company.now.date() - timedelta(1)))
    (company.folder / "directory.ldif").unlink()
    chat.hold.clear()
    own = notifier(company)
    own.whole_failed("store-busy")
    own.record()

    assert not own.send_waiting(3), "four of them hang"

    assert len(mail.messages) == 1
    assert chat.taken == []


# --- evidence ---------------------------------------------------------------------------------------------------------


def with_managers(company: Company) -> None:
    """E1 and E2 report to E5, who has mail; E3 to E6, who has none; all trainings end on the same day."""
    company.policy(POLICY.replace("department: {kind: tree}", "department: {kind: tree}\n  manager: {kind: person}"))
    for person, manager in (("E1", "E5"), ("E2", "E5"), ("E3", "E6")):
        company.tell("transferred", person, "2026-02-01", department="rd/ai", manager=manager)
    company.tell("transferred", "E5", "2026-02-01", department="rd/ai", email="e5@example.com", name="赵雷")


def test_evidence_that_runs_out_is_one_mail_a_day_for_each_recipient(
    company: Company, chat: ChatServer, mail: MailServer
) -> None:
    with_managers(company)
    speaking(company, chat, mail, "mail", managers=True, kinds=["evidence"])
    policy = company.wiring(targets=()).policy
    ends = datetime(2027, 6, 1, tzinfo=SHANGHAI)  # the trainings of 2026-06-01 are good for a year
    company.now = (ends - timedelta(days=33)).replace(hour=10).astimezone(UTC)
    days = []
    while company.now < ends:
        own = notifier(company)
        for _ in range(3):  # as often as there are passes
            own.record(lambda: policy)
            own.send_waiting(30)
            own = notifier(company)
        while mail.recipients:
            days.append(((ends.date() - company.now.astimezone(SHANGHAI).date()).days, *mail.recipients.pop(0)))
        company.pass_time(days=1)

    everybody = ("ops@example.com", "hr@example.com")
    assert sorted(days, reverse=True) == sorted(
        [(left, *who) for left in DAYS for who in (everybody, ("e5@example.com",))], reverse=True
    )
    of_hr = [each.get_content() for each in mail.messages if "ops@example.com" in each["To"]]
    of_e5 = [each.get_content() for each in mail.messages if each["To"] == "e5@example.com"]
    assert all(f"E{n}: training runs out" in text for text in of_hr for n in range(1, 7))
    assert all("E1: training" in text and "E2: training" in text and "E3" not in text for text in of_e5)
    assert all("algorithms:read" in text for text in of_hr)


def test_before_the_hour_nothing_is_said_and_what_was_renewed_is_not(
    company: Company, chat: ChatServer, mail: MailServer
) -> None:
    speaking(company, chat, mail, "webhook")
    policy = company.wiring(targets=()).policy
    company.now = datetime(2027, 5, 30, 8, 59, tzinfo=SHANGHAI).astimezone(UTC)
    early = notifier(company)
    early.record(lambda: policy)
    early.send_waiting(30)
    assert chat.taken == []
    company.tell("evidence-recorded", "E1", "2027-05-29", kind="training", valid_from="2027-05-29")

    company.pass_time(minutes=1)
    early.record(lambda: policy)
    early.send_waiting(30)

    told = {each["person"] for each in chat.taken[0].body["data"]["notices"]}
    assert told == {"E2", "E3", "E4", "E5", "E6"}


@given(
    ends=st.lists(st.integers(0, 45), min_size=1, max_size=6),
    looks=st.lists(st.integers(0, 45), min_size=1, max_size=30, unique=True),
)
def test_each_limit_is_told_once_however_often_and_seldom_one_looks(ends: list[int], looks: list[int]) -> None:
    start = date(2026, 11, 1)
    at = [datetime(2026, 11, 1, 12, tzinfo=UTC) + timedelta(days=end) for end in ends]
    foreseen = [
        Foreseen(each, f"E{n}", False, (Permission("docs", "read"),), EndKind.EVIDENCE, "training", "runs out", ())
        for n, each in enumerate(at)
    ]
    said: Counter[str] = Counter()
    standing: set[str] = set()
    for day in sorted(looks):
        today = start + timedelta(days=day)
        told = of_evidence([each for each in foreseen if each.at.date() >= today], today, ZoneInfo("UTC"), {})
        keys = {each.key for each in told.notices}
        said.update(keys - standing)
        standing = {key for key in standing | keys if key in keys or not told.ends("evidence", key, "", "")}
        for notice in told.notices:
            assert int(str(notice.content["days"])) <= int(notice.key.rsplit(":", 1)[1])

    assert set(said.values()) <= {1}
    assert all(limit in map(str, DAYS) for limit in (key.rsplit(":", 1)[1] for key in said))
    for n, end in enumerate(ends):
        mine = [key for key in said if f":E{n}:" in key]
        assert len(mine) <= len(DAYS)
        seen = [day for day in looks if 0 <= end - day <= max(DAYS)]
        assert bool(mine) == bool(seen)


# --- the store is away ------------------------------------------------------------------------------------------------


def test_what_was_handed_over_while_nothing_could_be_written_is_kept(
    company: Company, chat: ChatServer, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaking(company, chat, mail, "webhook")
    own = notifier(company)
    own.whole_failed("store-busy")
    fails: Iterator[int] = itertools.count()
    settle: Callable[..., int] = Outbox.settle

    def away(self: Outbox, *args: Any, **how: Any) -> int:
        if next(fails) == 0:
            raise StoreError("away")
        return settle(self, *args, **how)

    monkeypatch.setattr(Outbox, "settle", away)
    with pytest.raises(StoreError):
        own.record()
    own.record()
    own.send_waiting(30)

    assert len(chat.taken) == 1


def test_a_stop_while_somebody_else_writes_for_long_leaves_it_to_the_one_who_waits_already(
    company: Company, chat: ChatServer, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaking(company, chat, mail, "webhook")
    own = notifier(company)
    settling: list[None] = []
    ended: list[BaseException | None] = []
    settle: Callable[..., int] = Outbox.settle

    def waited_for(self: Outbox, *args: Any, **how: Any) -> int:
        settling.append(None)
        return settle(self, *args, **how)

    def stop() -> None:
        try:
            own.stop()
        except BaseException as error:
            ended.append(error)
        else:
            ended.append(None)

    monkeypatch.setattr(Outbox, "settle", waited_for)
    monkeypatch.setattr(notifier_module, "PATIENCE", 0.1)
    stopping = Thread(target=stop)
    with Workspace.load(company.folder / "reconciler.yaml").facts().store.writing():
        own.whole_failed("store-busy")
        own.start(lambda: company.wiring(targets=()).policy)
        until(lambda: settling, "somebody waits for the store")
        stopping.start()
        until(lambda: ended or len(settling) > 1, "the end, or a second one who waits")
    stopping.join()

    assert ended == [None]
