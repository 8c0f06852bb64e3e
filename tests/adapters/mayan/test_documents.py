"""What it is all for: who opens a document, before and after, told by Mayan when it is asked as that user."""

from __future__ import annotations

import pytest

from reconciler.targets import Op, OutcomeKind, Reading
from reconciler.testing.targets import PEOPLE, LabAccount
from tests.adapters.mayan.conftest import MakeMayanLab
from tests.adapters.mayan.lab import VIEW, Archive, MayanLab, outcomes, read, step, told
from tests.servers.mayan import READ, Refused

APPLIED, REFUSED, STALE = OutcomeKind.APPLIED, OutcomeKind.REFUSED, OutcomeKind.STALE


def test_a_document_opens_after_a_grant_and_no_more_after_a_revocation(lab: MayanLab) -> None:
    archive = Archive(lab)
    assert (archive.opens("zhang"), archive.opens("plain")) == (True, False)

    changed = outcomes(
        lab, step(lab, Op.GRANT, "plain", archive.locator), step(lab, Op.REVOKE, "zhang", archive.locator)
    )

    assert [each.kind for each in changed] == [APPLIED, APPLIED]
    assert (archive.opens("zhang"), archive.opens("plain")) == (False, True)
    assert lab.members("docs-readers") == {"plain", "smith"}


def test_f4_f10_a_patch_that_answers_200_and_disables_nobody_is_no_capability(lab: MayanLab) -> None:
    archive, user = Archive(lab), lab.user("zhang")
    for method in ("PATCH", "PUT"):
        answer = lab.server.call(method, f"users/{user}/", {"username": "zhang", "is_active": False})
        assert answer["is_active"] is True
    assert archive.opens("zhang")

    assert Op.DISABLE_ACCOUNT not in lab.target.describe().ops
    disabled, *revoked = outcomes(
        lab,
        step(lab, Op.DISABLE_ACCOUNT, "zhang", {}),
        *(step(lab, Op.REVOKE, "zhang", {"group": group}) for group in ("docs-readers", "unmanaged")),
    )

    assert disabled.kind is REFUSED
    assert "is_active" in disabled.detail
    assert [each.kind for each in revoked] == [APPLIED, APPLIED]
    assert not archive.opens("zhang")


@pytest.mark.parametrize("op", [Op.GRANT, Op.REVOKE])
def test_f4_f10_what_mayan_says_it_did_and_did_not_do_is_no_success(lab: MayanLab, op: Op) -> None:
    login, event, path = ("plain", "INSERT", "add") if op is Op.GRANT else ("zhang", "DELETE", "remove")
    lab.server.sql(
        f"CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        f"CREATE TRIGGER swallow BEFORE {event} ON auth_user_groups FOR EACH ROW EXECUTE FUNCTION swallow()"
    )
    lab.server.call("POST", f"groups/{lab.group('docs-readers')}/users/{path}/", {"user": lab.user(login)})  # 200

    outcome, other = outcomes(
        lab, step(lab, op, login, {"group": "docs-readers"}), step(lab, op, login, {"group": "nowhere"})
    )

    assert (outcome.kind, other.kind) == (REFUSED, STALE)
    assert "200 and did nothing" in outcome.detail
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_a_user_who_was_disabled_in_mayan_is_seen_to_be(lab: MayanLab) -> None:
    lab.server.sql("UPDATE auth_user SET is_active = false WHERE username = 'zhang'")

    accounts = {each.login: each.enabled for each in lab.target.observe([]).accounts.accounts}

    assert accounts == {"zhang": False, "smith": True, "muller": True, "plain": True}
    with pytest.raises(Refused, match="inactive"):
        lab.server.call("GET", "documents/", token=lab.server.token(lab.user("zhang")))


def test_staff_and_superusers_are_neither_shown_nor_altered(lab: MayanLab) -> None:
    lab.server.sql("UPDATE auth_user SET is_staff = true WHERE username = 'smith'")
    lab.put("docs-readers", "admin")
    lab.put("核心算法", "smith")

    observation = lab.target.observe([{"group": "docs-readers"}])
    changed = outcomes(
        lab,
        step(lab, Op.REVOKE, "admin", {"group": "docs-readers"}),
        step(lab, Op.GRANT, "admin", {"group": "核心算法"}),
        step(lab, Op.REVOKE, "smith", {"group": "核心算法"}),
    )

    assert {each.login for each in observation.accounts.accounts} == {"zhang", "muller", "plain"}
    assert [each.kind for each in changed] == [STALE] * 3
    assert lab.members("docs-readers") == {"zhang", "smith", "admin"}
    assert lab.members("核心算法") == {"muller", "smith"}


def test_d5_the_user_that_we_act_as_is_no_account_and_is_left_alone(lab: MayanLab) -> None:
    own = {"group": "reconciler"}

    observation = lab.target.observe([own])
    [outcome] = outcomes(lab, step(lab, Op.REVOKE, "reconciler", own))

    assert observation.own == {lab.key("reconciler"), "reconciler"}
    assert outcome.kind is REFUSED
    assert lab.members("reconciler") == {"reconciler"}


def test_a_group_is_found_by_what_it_may_do_and_who_else_may_is_told(lab: MayanLab) -> None:
    archive = Archive(lab)
    archive.let_in("archivists", lab.group("核心算法"))
    lab.server.role("auditors", lab.group("unmanaged"), permissions=[VIEW])

    [ambiguous] = read(lab, archive.locator)
    named = {**archive.locator, "group": "docs-readers"}
    [found] = read(lab, named)

    assert ambiguous.reading is Reading.FAILED
    assert "several groups" in ambiguous.detail
    assert "docs-readers, 核心算法" in ambiguous.detail
    assert (found.reading, len(found.members)) == (Reading.COMPLETE, 2)
    others = told(lab, "access-by-another-way", named)
    assert len(others) == 2
    assert "核心算法" in others[0]
    assert "archivists" in others[0]
    assert "unmanaged" in others[1]
    assert "held on everything" in others[1]


def test_a_group_without_the_permission_is_not_taken_for_one_that_has_it(lab: MayanLab) -> None:
    archive = Archive(lab)

    reads = read(
        lab,
        {**archive.locator, "group": "核心算法"},
        {"document_type": archive.name, "permission": "documents.document_edit"},
        {"document_type": "合同", "permission": VIEW},
        {"document_type": archive.name, "permission": "documents.document_veiw"},
    )

    words = ["does not have", "no group has", "there is no document type 合同", "no permission documents.document_veiw"]
    assert {each.reading for each in reads} == {Reading.FAILED}
    assert [word in each.detail for word, each in zip(words, reads, strict=True)] == [True] * 4


def test_a_role_that_holds_more_than_the_entitlement_is_told(lab: MayanLab) -> None:
    archive = Archive(lab)
    lab.server.call("POST", f"roles/{archive.role}/permissions/add/", {"permission": "cabinets.cabinet_delete"})

    [text] = told(lab, "role-too-wide", archive.locator)

    assert "1 permission(s) on everything" in text


def test_two_bindings_of_one_group_hold_each_other_back(lab: MayanLab) -> None:
    archive = Archive(lab)

    reads = read(lab, archive.locator, {"group": "docs-readers"}, {"group": "核心算法"})

    assert [each.reading for each in reads] == [Reading.FAILED, Reading.FAILED, Reading.COMPLETE]
    assert "the same group" in reads[0].detail


def test_a_cabinet_opens_none_of_its_documents_and_hands_down_what_its_root_has(lab: MayanLab) -> None:
    archive = Archive(lab)
    root = lab.server.cabinet("研发/中心")
    inner = lab.server.cabinet("芯片", root)
    document = lab.server.document(lab.server.document_type("other"), "in the cabinet", inner)
    lab.server.allow("cabinets/cabinet", inner, lab.server.role("shelf", lab.group("docs-readers")), *READ)
    lab.server.allow(
        "cabinets/cabinet", inner, lab.server.role("seeing", lab.group("核心算法")), "cabinets.cabinet_view"
    )
    lab.server.allow("cabinets/cabinet", root, lab.server.role("all", lab.group("unmanaged")), "cabinets.cabinet_view")
    inside = {"cabinet": "研发/中心 / 芯片", "permission": "cabinets.cabinet_view"}

    useless, seeing = read(lab, {"cabinet": "研发/中心 / 芯片", "permission": VIEW}, inside)
    others = told(lab, "access-by-another-way", inside)

    assert not lab.server.opens(lab.user("zhang"), document)
    assert archive.opens("zhang")
    assert useless.reading is Reading.FAILED
    assert "bind their document type" in useless.detail
    assert seeing.reading is Reading.COMPLETE
    assert any("unmanaged" in text and "held on the cabinet 研发/中心" in text for text in others)


HOSTILE = (
    "a/b\\c",
    "核心 算法",
    "two\nlines",
    "q\"uo't,e=s",
    "\u202ertl",
    "😀 {{ request.user }}",
    "?page=2&x#y",
    "../../admin",
    " ",
)


def test_names_are_meant_as_they_are(make: MakeMayanLab) -> None:
    people = [LabAccount(f"hostile {name}", f"E{number}", name) for number, name in enumerate(HOSTILE)]
    lab = make([*PEOPLE, *people], {name: ["zhang"] for name in HOSTILE[:-1]})
    for name in HOSTILE[:-1]:
        Archive(lab, kind=f"kind of {name}", group=name)
    locators = [{"document_type": f"kind of {name}", "permission": VIEW} for name in HOSTILE[:-1]]

    changed = outcomes(
        lab, *(step(lab, Op.GRANT, each.login, each_of) for each, each_of in zip(people, locators, strict=False))
    )

    assert [each.kind for each in changed] == [APPLIED] * len(locators)
    for name, person in zip(HOSTILE[:-1], people, strict=False):
        assert lab.members(name) == {"zhang", person.login}
    assert [len(each.members) for each in read(lab, *locators)] == [2] * len(locators)
    assert lab.target.check_locator({"group": HOSTILE[-1]}) is not None
