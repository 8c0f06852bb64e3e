"""Modes in a real directory: what is only watched stays as it is, what is additive takes back only its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.plan.reading import summary_line
from reconciler.targets import Capabilities, Op
from tests.passes.company import POLICY, Account, Company, Faulty, of, settled_company, staff


def mode(word: str) -> str:
    return POLICY.replace("docs:       {classification: internal,", f"docs: {{classification: internal, mode: {word},")


def kinds(company: Company) -> list[str]:
    return [finding.kind for finding in company.look().plan.findings]


def test_an_observed_group_is_reported_and_left_alone(company: Company) -> None:
    accounts = staff(5)
    company.policy(mode("observe"))
    company.hire("E1", "E2", "E3", "E4")
    company.hire("E5", department="sales")
    company.directory(accounts, {"docs": [accounts[4]], "algorithms": []})

    done = company.apply()

    assert done.plan.changes == ()
    assert not done.waiting
    assert not done.failed
    assert of(done.plan.observed, "grant") == {(f"E{n}", "docs:read") for n in range(1, 5)}
    assert of(done.plan.observed, "revoke") == {("E5", "docs:read")}
    assert company.members("docs") == {"u5"}
    assert "5 only observed" in summary_line(done.plan).plain


def test_observing_does_not_make_a_group_managed(company: Company) -> None:
    """Its first revocations are first contact on the day on which it is enforced."""
    accounts = staff(4)
    company.policy(mode("observe"))
    company.hire("E1", "E2", "E3")
    company.hire("E4", department="sales")
    company.directory(accounts, {"docs": accounts, "algorithms": []})
    company.apply()

    company.policy(POLICY)
    held = company.apply().plan.held

    assert [(change.subject, change.held.guard) for change in held if change.held] == [("E4", "first-contact")]


class Unable(Faulty):
    """A directory that can give and cannot take."""

    def describe(self) -> Capabilities:
        return replace(super().describe(), ops=frozenset({Op.GRANT}))


def test_what_a_target_cannot_take_does_not_make_its_group_settled(company: Company) -> None:
    """Its first revocations are first contact on the day on which it can take them."""
    accounts = staff(4)
    company.hire("E1", "E2", "E3")
    company.hire("E4", department="sales")
    company.directory(accounts, {"docs": accounts, "algorithms": []})
    done = company.apply(faults={"dir": Unable()})
    assert "cannot-revoke" in {each.kind for each in done.plan.findings}

    held = company.apply().plan.held

    assert [(change.subject, change.held.guard) for change in held if change.held] == [("E4", "first-contact")]


def test_a_leaver_stays_where_the_policy_only_watches(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4)
    company.policy(mode("observe"))
    company.tell("exited", "E1", "2026-11-20")

    done = company.apply()

    assert of(done.plan.observed) == {("E1", "docs:read")}
    assert {change.op.value for change in done.plan.changes} == {"disable-account"}
    assert "u1" in company.members("docs")


def test_a_narrow_look_shows_what_would_change_for_that_person_alone(company: Company) -> None:
    company.policy(mode("observe"))
    company.hire("E1", "E2")
    company.directory(staff(2), {"docs": [], "algorithms": []})
    assert of(company.look(person="E2").plan.observed) == {("E2", "docs:read")}


def test_additive_leaves_strangers_and_says_how_many(company: Company) -> None:
    accounts = staff(9)
    company.policy(mode("additive"))
    company.hire("E1", "E2")
    company.hire(*(f"E{n}" for n in range(3, 10)), department="sales")
    company.directory(accounts, {"docs": accounts[2:], "algorithms": []})

    done = company.apply()

    assert of(done.plan.changes) == {("E1", "docs:read"), ("E2", "docs:read")}
    finding = next(finding for finding in done.plan.findings if finding.kind == "unmanaged-members")
    assert finding.text.startswith("7 in ")
    assert "E3, E4, E5, E6, E7 and 2 more" in finding.text
    assert company.members("docs") == {f"u{n}" for n in range(1, 10)}


def test_additive_takes_back_what_it_gave_and_nothing_else(company: Company) -> None:
    accounts = staff(6)
    company.policy(mode("additive"))
    company.hire(*(f"E{n}" for n in range(1, 7)))
    company.directory(accounts, {"docs": accounts[3:], "algorithms": []})  # E4, E5 and E6 were there before
    company.settle()
    company.tell_all([("transferred", f"E{n}", "2026-11-20", {"department": "sales"}) for n in (1, 6)])

    done = company.apply()

    assert of(done.plan.changes) == {("E1", "docs:read")}
    assert company.members("docs") == {"u2", "u3", "u4", "u5", "u6"}
    assert kinds(company) == ["unmanaged-members"]


def test_what_was_taken_back_once_and_given_by_hand_is_a_strangers(company: Company) -> None:
    company.policy(mode("additive"))
    company.hire("E1", "E2", "E3")
    company.directory(staff(3), {"docs": [], "algorithms": []})
    company.apply()
    company.pass_time(days=2)
    company.tell("transferred", "E1", "2026-11-20", department="sales")
    company.apply()
    assert company.members("docs") == {"u2", "u3"}

    company.put("docs", Account("u1"))

    assert company.apply().plan.changes == ()
    assert kinds(company) == ["unmanaged-members"]


def test_a_leaver_goes_from_an_additive_group_although_nobody_here_let_them_in(company: Company) -> None:
    accounts = staff(4)
    company.policy(mode("additive"))
    company.hire("E1", "E2", "E3", "E4")
    company.directory(accounts, {"docs": accounts, "algorithms": []})
    company.apply()
    company.tell("exited", "E4", "2026-11-20")

    company.apply()

    assert company.members("docs") == {"u1", "u2", "u3"}


def test_additive_leaves_foreign_members_even_where_the_target_revokes_them(company: Company) -> None:
    company.policy(mode("additive"))
    company.configure(foreign="revoke")
    company.hire("E1")
    company.directory([*staff(1), Account("left-over")], {"docs": [Account("left-over")], "algorithms": []})

    company.apply()

    assert company.members("docs") == {"u1", "left-over"}
    assert "foreign-member" in kinds(company)
