"""What only orders, inventories and the people who fill in forms can do to an adapter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.work_order import WorkOrderTarget
from adapters.work_order.form import one_line
from adapters.work_order.order import Order
from reconciler.errors import ReconcilerError
from reconciler.targets import (
    EntitlementRead,
    Op,
    Outcome,
    OutcomeKind,
    Place,
    ProblemsFound,
    Reading,
    Step,
    TargetContext,
    TargetError,
    TargetFinding,
)
from reconciler.testing.targets import PEOPLE, LabAccount, entitlement, grant, observe, revoke, seen
from tests.adapters.paper_lab import PaperLab, line_of

GROUPS = {"docs-readers": ["zhang", "smith"], "核心算法": []}


@pytest.fixture
def lab(tmp_path: Path) -> PaperLab:
    return PaperLab(tmp_path, PEOPLE, GROUPS, timezone="Asia/Shanghai")


def outcomes(lab: PaperLab, *steps: Step) -> list[Outcome]:
    with lab.target.writer() as writer:
        return list(writer.apply(steps))


def ordered(lab: PaperLab, step: Step | None = None) -> Path:
    """The form of one new order."""
    before = set(lab.forms())
    [outcome] = outcomes(lab, step or grant(lab, "docs-readers", "plain"))
    assert outcome.kind is OutcomeKind.ORDERED
    [form] = set(lab.forms()) - before
    return form


def findings(lab: PaperLab) -> dict[str, TargetFinding]:
    return {finding.kind: finding for finding in observe(lab, "docs-readers").findings}


def readers(lab: PaperLab) -> EntitlementRead:
    return entitlement(observe(lab, "docs-readers"))


def changed(lab: PaperLab, form: Path, **fields: object) -> None:
    """The order was another one from the beginning."""
    path = lab.folder / "orders" / "records" / f"{form.stem}.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **fields}), encoding="utf-8")


# --- an order and its acknowledgement ---------------------------------------------------------------------------------


def test_an_open_order_is_neither_done_nor_undone(lab: PaperLab) -> None:
    ordered(lab)

    observation = observe(lab, "docs-readers")
    assert seen(observation) == {"zhang", "smith"}
    accounts = [account.login for account in observation.accounts.accounts]
    assert [accounts[position] for position in entitlement(observation).unsettled] == ["plain"]
    assert entitlement(observation).confirmed == {}


def test_a_form_tells_everything_in_two_languages(lab: PaperLab) -> None:
    text = ordered(lab, grant(lab, "核心算法", "plain")).read_text("utf-8")

    assert (line_of(text, "account"), line_of(text, "entitlement")) == ("plain", "核心算法")
    assert line_of(text, "what") == "请开通 / please give"
    assert line_of(text, "due").endswith(" +0800")
    assert "移到 acknowledged 文件夹" in text
    assert "move this file to the folder `acknowledged`" in text


def test_a_proof_that_is_a_file_is_kept_by_its_digest(lab: PaperLab) -> None:
    form = ordered(lab)
    lab.do(form)
    photo = lab.folder / "orders" / "acknowledged" / "door.jpg"
    photo.write_bytes(b"what somebody photographed")
    lab.acknowledge(form, proof="door.jpg")

    [words] = readers(lab).confirmed.values()
    digest = hashlib.sha256(b"what somebody photographed").hexdigest()
    assert words.endswith(f", proof: door.jpg sha256:{digest}")
    assert findings(lab) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_form_may_be_filled_in_with_any_editor(lab: PaperLab, encoding: str) -> None:
    form = ordered(lab)
    text = form.read_text("utf-8")
    at = datetime.now(lab_zone := UTC).astimezone(lab_zone).isoformat()
    text = text.replace("done by: ", "done by：李娜").replace("(2026-01-31 14:30): ", f": {at}")
    text = text.replace("凭证 proof: ", "凭证：工单-7")
    form.unlink()
    path = lab.folder / "orders" / "acknowledged" / form.name
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))

    assert findings(lab) == {}
    [words] = readers(lab).confirmed.values()
    assert f"{form.stem} was carried out by 李娜 at " in words
    assert words.endswith("Z, proof: 工单-7")


def test_a_ticket_system_may_acknowledge_in_json(lab: PaperLab) -> None:
    form = ordered(lab)
    told = {"order": form.stem, "done_by": "Li Na", "done_at": datetime.now(UTC).isoformat(), "proof": "T-9"}
    path = lab.folder / "orders" / "acknowledged" / "ticket-9.json"
    path.write_text(json.dumps(told), encoding="utf-8")

    assert seen(observe(lab, "docs-readers")) == {"zhang", "smith", "plain"}
    assert outcomes(lab, grant(lab, "docs-readers", "plain"))[0].kind is OutcomeKind.ALREADY
    assert lab.forms() == []


Spoil = Callable[[PaperLab, Path], object]
WRONG: dict[str, tuple[Spoil, str]] = {
    "an unknown order": (
        lambda lab, form: lab.acknowledge(form).write_text("order: WO-000000000000\n", encoding="utf-8"),
        "there is no order WO-000000000000 here: write the number of the order that was carried out",
    ),
    "no order": (
        lambda lab, form: lab.acknowledge(form).write_text("done by: Li Na\n", encoding="utf-8"),
        "it names no order",
    ),
    "nobody": (lambda lab, form: lab.acknowledge(form, by=""), "it does not say who carried out"),
    "the person concerned": (
        lambda lab, form: lab.acknowledge(form, by="e1004"),
        "who cannot be the one to confirm it",
    ),
    "the account concerned": (lambda lab, form: lab.acknowledge(form, by="plain"), "somebody else has to"),
    "no proof": (lambda lab, form: lab.acknowledge(form, proof=""), "needs a proof: write a ticket number"),
    "some day": (lambda lab, form: lab.acknowledge(form, at="yesterday"), "write `done at` as 2026-01-31 14:30"),
    "the future": (lambda lab, form: lab.acknowledge(form, at="2999-01-01 12:00"), "in the future: correct `done at`"),
    "before the order": (lambda lab, form: lab.acknowledge(form, at="2020-01-01 12:00"), "before it was ordered"),
    "something huge": (
        lambda lab, form: lab.acknowledge(form).write_bytes(b"x" * 100_000),
        "it is no filled-in form: save it as text in UTF-8",
    ),
    "broken JSON": (
        lambda lab, form: lab.acknowledge(form).rename(form.parent.parent / "acknowledged" / "a.json"),
        "it is no JSON object with the texts order, done_by, done_at, proof",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_acknowledgement_that_is_wrong_counts_for_nothing_and_is_told(lab: PaperLab, case: str) -> None:
    form = ordered(lab)
    spoil, expected = WRONG[case]
    spoil(lab, form)

    finding = findings(lab)["bad-acknowledgement"]
    assert expected in finding.text
    assert finding.text.startswith("it does not count: ")
    assert "open-work-order" in findings(lab)
    assert seen(observe(lab, "docs-readers")) == {"zhang", "smith"}


def test_who_may_acknowledge_can_be_limited(tmp_path: Path) -> None:
    lab = PaperLab(tmp_path, PEOPLE, GROUPS, acknowledged_by=["Li Na", "Wang Fang"], proof="optional")
    form = ordered(lab)
    path = lab.folder / "orders" / "acknowledged" / "a.json"
    told = {"order": form.stem, "done_by": "Somebody", "done_at": datetime.now(UTC).isoformat()}
    path.write_text(json.dumps(told), encoding="utf-8")

    text = "Somebody may not acknowledge orders here: somebody of Li Na, Wang Fang has to"
    assert text in findings(lab)["bad-acknowledgement"].text
    path.write_text(json.dumps({**told, "done_by": "Wang Fang"}), encoding="utf-8")
    assert findings(lab) == {}


def test_two_acknowledgements_that_differ_count_neither(lab: PaperLab) -> None:
    form = ordered(lab)
    path = lab.acknowledge(form)
    other = path.with_name("WO-copy.txt")
    other.write_bytes(path.read_bytes())
    assert findings(lab) == {}

    other.write_text(path.read_text("utf-8").replace("T-1", "T-2"), encoding="utf-8")

    bad = [each for each in observe(lab, "docs-readers").findings if each.kind == "bad-acknowledgement"]
    assert {each.subject for each in bad} == {path.name, other.name}
    assert all("is acknowledged differently by " in each.text for each in bad)
    assert len(readers(lab).unsettled) == 1


def test_an_order_is_withdrawn_by_its_opposite_and_may_have_been_carried_out_all_the_same(lab: PaperLab) -> None:
    giving = ordered(lab)
    taking = ordered(lab, revoke(lab, "docs-readers", "plain"))
    assert lab.forms() == [taking]
    assert len(readers(lab).unsettled) == 1

    # Whoever had the order on their desk has done it before they heard.
    (lab.folder / "orders" / "acknowledged" / "a.json").write_text(
        json.dumps({"order": giving.stem, "done_by": "Li Na", "done_at": datetime.now(UTC).isoformat(), "proof": "T"}),
        encoding="utf-8",
    )
    assert seen(observe(lab, "docs-readers")) == {"zhang", "smith", "plain"}
    lab.do(taking)
    lab.acknowledge(taking)

    assert seen(observe(lab, "docs-readers")) == {"zhang", "smith"}
    assert readers(lab).unsettled.to_array().tolist() == []


def test_a_thing_ordered_again_is_another_order(lab: PaperLab) -> None:
    for step in (grant(lab, "docs-readers", "plain"), revoke(lab, "docs-readers", "plain")) * 2:
        ordered(lab, step)
        lab.carry_out()

    assert len(list((lab.folder / "orders" / "records").iterdir())) == 4
    assert seen(observe(lab, "docs-readers")) == {"zhang", "smith"}


# --- inventories ------------------------------------------------------------------------------------------------------


def test_a_newer_inventory_that_shows_it_done_settles_an_order(lab: PaperLab) -> None:
    form = ordered(lab)
    lab.do(form)
    lab.export()

    [words] = readers(lab).confirmed.values()
    assert words.startswith(f"{form.stem} is done: the inventory of ")
    assert findings(lab) == {}


def test_a_newer_inventory_that_contradicts_an_acknowledgement_is_believed(lab: PaperLab) -> None:
    form = ordered(lab)
    lab.acknowledge(form)
    assert seen(observe(lab, "docs-readers")) == {"zhang", "smith", "plain"}

    lab.export()

    assert seen(observe(lab, "docs-readers")) == {"zhang", "smith"}
    assert form.stem in findings(lab)["acknowledged-not-so"].subject
    assert readers(lab).confirmed == {}
    assert ordered(lab).stem != form.stem
    assert "acknowledged-not-so" not in findings(lab)


def test_an_old_inventory_is_told(tmp_path: Path) -> None:
    lab = PaperLab(tmp_path, PEOPLE, GROUPS, inventory_valid_for="12h")

    assert "export it anew" in findings(lab)["stale-inventory"].text


@pytest.mark.parametrize(
    "text", ["zhang,E1001,docs-readers", "only,two\n", '"never closed\n', "zhang,E9,docs-readers\n"]
)
def test_an_inventory_that_cannot_be_read_whole_proves_no_absence(lab: PaperLab, text: str) -> None:
    with (lab.folder / "inventory.csv").open("a", encoding="utf-8") as file:
        file.write(text)

    observation = observe(lab, "docs-readers")
    assert observation.accounts.reading is entitlement(observation).reading is Reading.PARTIAL
    assert "the inventory cannot be read whole: " in observation.accounts.detail


def test_nobody_is_out_already_by_an_inventory_that_is_cut(lab: PaperLab) -> None:
    text = (lab.folder / "inventory.csv").read_text("utf-8")
    kept = [
        line for line in text.splitlines(keepends=True) if not (line.startswith("smith,") and "docs-readers" in line)
    ]
    (lab.folder / "inventory.csv").write_text("".join(kept) + "smith", encoding="utf-8")

    outcome, _ = outcomes(lab, revoke(lab, "docs-readers", "smith"), grant(lab, "docs-readers", "zhang"))

    assert outcome.kind is not OutcomeKind.ALREADY


def test_the_orders_of_another_target_are_no_word_about_this_one(lab: PaperLab) -> None:
    ordered(lab)
    own = {"inventory": "inventory.csv", "orders": "orders", "match": {"id": "id"}}
    other = WorkOrderTarget(TargetContext("doors", lab.folder, Place("reconciler.yaml", 12, 5)), own)

    with pytest.raises(TargetError, match="holds orders of target `badges`, and belongs to `doors`") as caught:
        other.observe([])
    assert "a folder of its own" in caught.value.remedy
    with other.writer() as writer:
        [outcome] = writer.apply([grant(lab, "docs-readers", "plain")])
    assert outcome.kind is OutcomeKind.UNAVAILABLE


def test_what_the_inventory_knows_no_more_is_not_made_up_from_orders(lab: PaperLab) -> None:
    form = ordered(lab)
    del lab.system["docs-readers"]
    lab.export()
    lab.acknowledge(form)

    assert readers(lab).reading is Reading.FAILED
    assert "the inventory has no entitlement docs-readers" in readers(lab).detail


@pytest.mark.parametrize("cut", ["in the middle", "an entitlement"])
def test_an_inventory_that_is_cut_settles_no_order_by_what_it_leaves_out(lab: PaperLab, cut: str) -> None:
    form = ordered(lab, revoke(lab, "docs-readers", "smith"))
    lab.export()
    path = lab.folder / "inventory.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if "docs-readers" not in line]
    path.write_text("".join(kept) + ("zhang,E1001,docs-re" if cut == "in the middle" else ""), encoding="utf-8")

    assert findings(lab).keys() == {"open-work-order"}
    assert lab.forms() == [form]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("account,id,entitlement", "does not say when it was exported"),
        ("# exported yesterday", "let its first line say so: # exported 20"),
        ("# exported 2026-01-01T00:00:00", "does not say when it was exported"),
        ("# exported 2999-01-01T00:00:00+00:00", "was exported in the future"),
    ],
)
def test_an_inventory_says_when_it_was_exported(lab: PaperLab, first: str, expected: str) -> None:
    path = lab.folder / "inventory.csv"
    path.write_text(f"{first}\n" + path.read_text("utf-8").split("\n", 1)[1], encoding="utf-8")

    with pytest.raises(TargetError) as caught:
        observe(lab)

    assert expected in str(caught.value)
    assert "inventory.csv:1:1" in str(caught.value)


def test_an_inventory_names_its_columns(lab: PaperLab) -> None:
    path = lab.folder / "inventory.csv"
    path.write_text(path.read_text("utf-8").replace("account,id,", "user,id,", 1), encoding="utf-8")

    with pytest.raises(TargetError, match="has no column account, or has it twice; there are: user, id, entitlement"):
        observe(lab)


def test_an_inventory_that_is_not_there_is_named(lab: PaperLab) -> None:
    (lab.folder / "inventory.csv").unlink()

    with pytest.raises(TargetError, match=r"there is no inventory .*inventory\.csv"):
        observe(lab)
    assert [each.kind for each in outcomes(lab, grant(lab, "docs-readers", "plain"))] == [OutcomeKind.UNAVAILABLE]


def test_an_inventory_from_excel_in_china_is_read(lab: PaperLab) -> None:
    path = lab.folder / "inventory.csv"
    path.write_bytes(path.read_text("utf-8").encode("gb18030"))

    assert observe(lab, "核心算法").entitlements["entitlement=核心算法"].reading is Reading.CONFIRMED_EMPTY


def test_everybody_is_known_by_their_id_where_the_inventory_has_nothing_else(tmp_path: Path) -> None:
    accounts = [LabAccount("E1001", "E1001", "张伟")]
    lab = PaperLab(tmp_path, accounts, {"docs-readers": ["E1001"]}, match={"account": "id"})
    newcomer = Step(Op.GRANT, "E2000", "E2000", lab.locator("docs-readers"))

    assert lab.target.describe().implicit_accounts
    ordered(lab, newcomer)

    observation = observe(lab, "docs-readers", accounts=["E1001", "E2000"])
    assert {account.match["id"] for account in observation.accounts.accounts} == {"E1001", "E2000"}
    lab.carry_out()
    assert seen(observe(lab, "docs-readers")) == {"E1001", "E2000"}


# --- time, and what lies around ---------------------------------------------------------------------------------------


def test_an_order_is_overdue_when_its_day_has_passed_and_the_mark_says_so(lab: PaperLab) -> None:
    form = ordered(lab)
    mark = lab.target.mark()
    assert findings(lab).keys() == {"open-work-order"}

    changed(lab, form, due=(datetime.now(UTC) - timedelta(hours=1)).isoformat())

    assert findings(lab).keys() == {"overdue-work-order"}
    assert "ask whoever does it" in findings(lab)["overdue-work-order"].text
    assert lab.target.mark() != mark


def test_a_form_that_somebody_has_begun_to_fill_in_stays_as_it_is(lab: PaperLab) -> None:
    form = ordered(lab)
    form.write_text(form.read_text("utf-8").replace("done by: ", "done by: Li"), encoding="utf-8")

    outcomes(lab, grant(lab, "docs-readers", "plain"))

    assert "done by: Li" in form.read_text("utf-8")


def test_a_form_that_is_lost_is_made_again(lab: PaperLab) -> None:
    form = ordered(lab)
    text = form.read_bytes()
    form.unlink()

    outcomes(lab, grant(lab, "docs-readers", "plain"))

    assert form.read_bytes() == text


def test_no_name_forges_a_line(tmp_path: Path) -> None:
    evil = "x\ndone by: Li Na\n" + "-" * 72 + "\n工单 order: WO-1"
    lab = PaperLab(tmp_path, [LabAccount(evil, "E1", "x")], {"\u202eevil": []})

    text = ordered(lab, grant(lab, "\u202eevil", evil)).read_text("utf-8")

    assert line_of(text, "account") == one_line(evil) != evil
    assert line_of(text, "entitlement") == '"\\u202eevil"'
    assert len([line for line in text.splitlines() if "done by: Li Na" in line and "account" not in line]) == 0
    assert observe(lab, "\u202eevil").findings[0].kind == "open-work-order"


def test_a_record_that_is_spoilt_is_not_passed_over(lab: PaperLab) -> None:
    form = ordered(lab)
    path = lab.folder / "orders" / "records" / f"{form.stem}.json"
    path.write_text(path.read_text("utf-8")[:50], encoding="utf-8")

    with pytest.raises(TargetError, match="is no record of a work order"):
        observe(lab)


def test_a_folder_in_use_is_tried_again_later(lab: PaperLab) -> None:
    import fcntl
    import os

    ordered(lab)
    process = os.fork()
    if process == 0:  # a lock of the same process would not stop it
        with (lab.folder / "orders" / ".lock").open("a") as held:
            fcntl.lockf(held, fcntl.LOCK_EX)
            (lab.folder / "locked").touch()
            while (lab.folder / "locked").exists():
                os.sched_yield()
        os._exit(0)
    while not (lab.folder / "locked").exists():
        os.sched_yield()
    [outcome] = outcomes(lab, grant(lab, "docs-readers", "smith"))
    (lab.folder / "locked").unlink()
    os.waitpid(process, 0)

    assert outcome.kind is OutcomeKind.UNAVAILABLE
    assert "somebody else is writing orders" in outcome.detail


def test_an_order_is_the_same_after_it_was_written_down(lab: PaperLab) -> None:
    form = ordered(lab, Step(Op.GRANT, "plain", "plain", lab.locator("docs-readers"), urgent=True))
    text = (lab.folder / "orders" / "records" / f"{form.stem}.json").read_text("utf-8")

    assert Order.from_json(text).as_json() == text


# --- settings ---------------------------------------------------------------------------------------------------------


def test_all_mistakes_are_told_at_once_and_no_secret(tmp_path: Path) -> None:
    settings = {
        "inventory": "inventory.csv",
        "order": "orders",
        "due": "soon",
        "timezone": "Shanghai",
        "match": {},
        "mail": {
            "server": "mail.example.com",
            "tls": "none",
            "sender": "x",
            "to": [],
            "user": "u",
            "password": "s3cret",
        },
        "webhook": {"url": "http://hooks.example.com/", "secret": "whsec_c2hvcnQ="},
    }

    with pytest.raises(ProblemsFound) as caught:
        WorkOrderTarget(TargetContext("badges", tmp_path, Place("reconciler.yaml", 9, 5)), settings)

    said = str(caught.value)
    for expected in (
        "`orders` is missing",
        "`order` is not a setting [target-settings]\n  → did you mean `orders`?",
        "`due`: is no length of time: write 12h or 3d",
        "`timezone`: is no timezone: write an IANA name such as Asia/Shanghai",
        "`match`",
        "`mail.sender`: is no address of the form name@example.com",
        "`mail.to`",
        "`webhook.url`: would send orders unencrypted over the network: write https://",
        "`webhook.secret`: is no secret of Standard Webhooks",
    ):
        assert expected in said
    assert "reconciler.yaml:9:5" in said
    assert "s3cret" not in said
    assert "c2hvcnQ" not in said


def test_a_password_does_not_go_unencrypted_over_the_network(tmp_path: Path) -> None:
    mail = {"server": "mail.example.com", "tls": "none", "sender": "a@b.example", "to": ["c@d.example"]}
    settings = {"inventory": "i.csv", "orders": "o", "mail": {**mail, "user": "u", "password": "p"}}

    with pytest.raises(ReconcilerError) as caught:
        WorkOrderTarget(TargetContext("badges", tmp_path, Place("reconciler.yaml", 9, 5)), settings)

    assert "the password would go unencrypted over the network" in str(caught.value)


@pytest.mark.parametrize("locator", [{}, {"entitlement": " "}, {"group": "x"}, {"entitlement": "x", "more": "y"}])
def test_a_binding_names_an_entitlement_and_nothing_else(lab: PaperLab, locator: dict[str, str]) -> None:
    assert lab.target.check_locator(locator) == (
        "a binding has the form {entitlement: NAME}, spelled as in the inventory"
    )
