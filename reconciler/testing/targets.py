"""What every target promises, as tests that each target's own test module inherits.

A module that tests a target subclasses `TargetContract` (as `TestSomething`, so that pytest finds it) and supplies the
fixture `make_lab`: given accounts and groups, it sets up a fresh system that holds exactly those and returns a `Lab`,
by which the tests look at the system, and tamper with it, by other means than the target that is tested. Where a
promise reads differently on one kind of target, its class says the test of that name anew, and why.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.targets import EntitlementRead, Locator, Observation, Op, OutcomeKind, Reading, Step, Target

APPLIED, ALREADY, STALE = OutcomeKind.APPLIED, OutcomeKind.ALREADY, OutcomeKind.STALE


@dataclass(frozen=True, slots=True)
class LabAccount:
    """An account as a test wants it: a short name, the person's id, and a name to be shown, which may be hostile."""

    login: str
    id: str
    name: str


class Lab(ABC):
    """A system that is tested, seen from behind."""

    target: Target

    @abstractmethod
    def locator(self, group: str) -> Locator:
        """How a policy names this group."""

    @abstractmethod
    def key(self, login: str) -> str:
        """The account's key."""

    @abstractmethod
    def account_name(self, login: str) -> str:
        """The account's name, as an observation shows it."""

    @abstractmethod
    def members(self, group: str) -> set[str]:
        """The logins of the accounts that are members, and the spelling of whatever else is; never a placeholder."""

    @abstractmethod
    def put(self, group: str, login: str) -> None:
        """Make an account a member by hand, in the most unusual spelling that the system takes for the same."""

    @abstractmethod
    def put_foreign(self, group: str) -> str:
        """Make something a member by hand that is no account of the target; its spelling."""

    @abstractmethod
    def remove_account(self, login: str) -> None:
        """Delete an account by hand, leaving its memberships."""

    @abstractmethod
    def picture(self) -> object:
        """Everything there is, for comparison."""

    def carry_out(self) -> None:
        """Do what the target has ordered from people (`OutcomeKind.ORDERED`), as they would, and confirm it."""
        raise AssertionError("the target orders its changes from people: the lab has to say how they carry them out")

    def with_accounts(self) -> Target:
        """The target, set up for all that can be done with accounts themselves; as it is, where that is nothing."""
        return self.target


MakeLab: TypeAlias = Callable[[Sequence[LabAccount], Mapping[str, Sequence[str]]], Lab]

PEOPLE = (
    LabAccount("zhang", "E1001", "张伟"),
    LabAccount("smith", "E1002", 'Smith, John "JS" #1; <a=b>'),
    LabAccount("muller", "E1003", "Müller + Söhne \\ Co"),
    LabAccount("plain", "E1004", "Plain Name"),
)
GROUPS = {"docs-readers": ["zhang", "smith"], "核心算法": ["muller"], "unmanaged": ["zhang", "plain"]}


def grant(lab: Lab, group: str, login: str) -> Step:
    return Step(Op.GRANT, lab.key(login), lab.account_name(login), lab.locator(group))


def revoke(lab: Lab, group: str, login: str) -> Step:
    return Step(Op.REVOKE, lab.key(login), lab.account_name(login), lab.locator(group))


def operation(lab: Lab, op: Op, login: str) -> Step:
    """A step of any kind: on `docs-readers`, on the account, or for a newcomer."""
    locator = lab.locator("docs-readers") if op in (Op.GRANT, Op.REVOKE) else {}
    if op is Op.CREATE_ACCOUNT:
        return Step(op, "", "", person=dict.fromkeys(lab.target.match_attributes(), "E4711"))
    return Step(op, lab.key(login), lab.account_name(login), locator)


def apply(lab: Lab, *steps: Step) -> list[OutcomeKind]:
    """What became of the steps; what was ordered from people is carried out by them first."""
    with lab.target.writer() as writer:
        kinds = [outcome.kind for outcome in writer.apply(steps)]
    if OutcomeKind.ORDERED in kinds:
        lab.carry_out()
    return [APPLIED if kind is OutcomeKind.ORDERED else kind for kind in kinds]


def observe(lab: Lab, *groups: str, accounts: Sequence[str] | None = None) -> Observation:
    keys = None if accounts is None else [lab.key(login) for login in accounts]
    return lab.target.observe([lab.locator(group) for group in groups], keys)


def entitlement(observation: Observation) -> EntitlementRead:
    """The one entitlement that was asked for."""
    [read] = observation.entitlements.values()
    return read


def seen(observation: Observation, read: EntitlementRead | None = None) -> set[str]:
    """The logins of an entitlement's members, as observed."""
    read = read or entitlement(observation)
    return {observation.accounts.accounts[position].login for position in read.members}


class TargetContract:
    """The promises. Every method gets a fresh system."""

    def test_an_observation_shows_all_accounts_and_members(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)

        observation = observe(lab, "docs-readers", "核心算法")

        accounts = observation.accounts
        assert accounts.reading is Reading.COMPLETE
        ids = {(account.login, account.match["id"]) for account in accounts.accounts}
        assert ids == {(person.login, person.id) for person in PEOPLE}
        assert {account.key for account in accounts.accounts} == {lab.key(person.login) for person in PEOPLE}
        assert all(account.name == lab.account_name(account.login) for account in accounts.accounts)
        assert all(account.enabled for account in accounts.accounts)
        assert len(observation.entitlements) == 2
        for group, read in zip(("docs-readers", "核心算法"), observation.entitlements.values(), strict=True):
            assert read.reading is Reading.COMPLETE
            assert seen(observation, read) == set(GROUPS[group]) == lab.members(group)
            assert read.foreign == ()

    def test_observing_changes_nothing(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        before = lab.picture()

        observe(lab, *GROUPS)

        assert lab.picture() == before

    def test_granting_and_revoking_take_effect_once_and_are_already_so_the_second_time(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        steps = [
            revoke(lab, "docs-readers", "smith"),
            grant(lab, "docs-readers", "plain"),
            grant(lab, "核心算法", "smith"),
        ]

        assert apply(lab, *steps) == [APPLIED, APPLIED, APPLIED]
        assert lab.members("docs-readers") == {"zhang", "plain"}
        assert lab.members("核心算法") == {"muller", "smith"}
        after = lab.picture()
        assert apply(lab, *steps) == [ALREADY, ALREADY, ALREADY]
        assert lab.picture() == after

    def test_what_is_so_already_does_not_keep_the_rest_of_a_batch_from_happening(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)

        outcomes = apply(
            lab,
            grant(lab, "docs-readers", "zhang"),
            grant(lab, "docs-readers", "plain"),
            revoke(lab, "docs-readers", "muller"),
            revoke(lab, "docs-readers", "smith"),
        )

        assert outcomes == [ALREADY, APPLIED, ALREADY, APPLIED]
        assert lab.members("docs-readers") == {"zhang", "plain"}

    def test_f9_a_group_survives_its_last_member_and_takes_the_next(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)

        assert apply(lab, revoke(lab, "docs-readers", "zhang"), revoke(lab, "docs-readers", "smith")) == [APPLIED] * 2

        assert lab.members("docs-readers") == set()
        read = entitlement(observe(lab, "docs-readers"))
        assert (read.reading, len(read.members), read.foreign) == (Reading.CONFIRMED_EMPTY, 0, ())
        assert apply(lab, grant(lab, "docs-readers", "plain")) == [APPLIED]
        assert lab.members("docs-readers") == {"plain"}
        read = entitlement(observe(lab, "docs-readers"))
        assert (read.reading, len(read.members), read.foreign) == (Reading.COMPLETE, 1, ())

    def test_c1_a_member_in_another_spelling_is_the_same_member_and_can_be_removed(self, make_lab: MakeLab) -> None:
        for login in ("plain", "smith", "muller", "zhang"):
            lab = make_lab(PEOPLE, {"docs-readers": [next(p.login for p in PEOPLE if p.login != login)]})
            lab.put("docs-readers", login)

            observation = observe(lab, "docs-readers")
            assert login in seen(observation)
            assert entitlement(observation).foreign == ()
            assert apply(lab, grant(lab, "docs-readers", login)) == [ALREADY]
            assert apply(lab, revoke(lab, "docs-readers", login)) == [APPLIED]
            assert login not in seen(observe(lab, "docs-readers"))
            assert login not in lab.members("docs-readers")

    def test_a_group_that_does_not_exist_excludes_only_itself(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)

        missing, there = observe(lab, "nowhere", "docs-readers").entitlements.values()

        assert missing.reading is Reading.FAILED
        assert "nowhere" in missing.detail.lower()
        assert there.reading is Reading.COMPLETE
        outcomes = apply(lab, grant(lab, "nowhere", "plain"), grant(lab, "docs-readers", "plain"))
        assert outcomes == [STALE, APPLIED]

    def test_a_member_added_by_hand_is_seen(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        observe(lab, "docs-readers")

        lab.put("docs-readers", "muller")

        assert seen(observe(lab, "docs-readers")) == {"zhang", "smith", "muller"}

    def test_a_member_that_is_no_account_is_foreign_and_goes_only_when_told(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        principal = lab.put_foreign("docs-readers")

        read = entitlement(observe(lab, "docs-readers"))
        assert list(read.foreign) == [principal]
        assert seen(observe(lab, "docs-readers")) == {"zhang", "smith"}
        assert apply(lab, grant(lab, "docs-readers", "plain")) == [APPLIED]
        assert principal in lab.members("docs-readers")

        outcomes = apply(lab, Step(Op.REVOKE, "", principal, lab.locator("docs-readers")))
        assert outcomes == [APPLIED]
        assert lab.members("docs-readers") == {"zhang", "smith", "plain"}

    def test_a_narrow_read_shows_these_accounts_and_their_memberships_only(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        lab.put_foreign("docs-readers")

        for logins in (["smith"], ["smith", "muller"], []):
            observation = observe(lab, "docs-readers", "核心算法", accounts=logins)
            readers, core = observation.entitlements.values()
            assert {account.login for account in observation.accounts.accounts} == set(logins)
            assert seen(observation, readers) == {"smith"} & set(logins)
            assert seen(observation, core) == {"muller"} & set(logins)
            assert readers.foreign == core.foreign == ()
            assert readers.reading.whole

    def test_whose_account_it_is_can_be_asked_narrowly_or_not_at_all(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        accounts = observe(lab, "docs-readers").accounts.accounts
        smith = next(account for account in accounts if account.login == "smith")

        found = lab.target.keys_matching(smith.match)

        assert found is None or set(found) == {smith.key}
        assert not lab.target.keys_matching(dict.fromkeys(smith.match, "nobody (*)"))

    def test_a_narrow_read_of_an_account_that_is_gone_shows_none(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        key = lab.key("smith")
        lab.remove_account("smith")

        observation = lab.target.observe([lab.locator("docs-readers")], [key, "no such key"])

        assert observation.accounts.accounts == ()
        assert not entitlement(observation).members

    def test_an_account_that_is_gone_makes_its_steps_stale_and_no_others(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        steps = [grant(lab, "核心算法", "smith"), grant(lab, "核心算法", "plain")]
        lab.remove_account("smith")

        assert apply(lab, *steps) == [STALE, APPLIED]
        assert lab.members("核心算法") == {"muller", "plain"}

    def test_a_group_that_no_step_names_is_left_alone(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)

        apply(lab, *(revoke(lab, "docs-readers", login) for login in GROUPS["docs-readers"]))

        assert lab.members("unmanaged") == {"zhang", "plain"}

    def test_contradicting_steps_are_carried_out_in_their_order(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)

        outcomes = apply(lab, grant(lab, "docs-readers", "plain"), revoke(lab, "docs-readers", "plain"))

        assert outcomes == [APPLIED, APPLIED]
        assert lab.members("docs-readers") == {"zhang", "smith"}

    def test_without_steps_nothing_is_done(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        groups = {group: lab.members(group) for group in GROUPS}

        assert apply(lab) == []
        assert {group: lab.members(group) for group in GROUPS} == groups

    def test_what_the_target_has_not_declared_is_refused_in_words_and_the_rest_is_done(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        declared = lab.target.describe().ops
        others = [operation(lab, op, "smith") for op in Op if op not in declared]

        assert apply(lab, grant(lab, "docs-readers", "zhang")) == [
            ALREADY
        ]  # what locks leave behind is there from now on
        before = lab.picture()
        with lab.target.writer() as writer:
            refused = writer.apply(others)
        assert lab.picture() == before
        assert [outcome.kind for outcome in refused] == [OutcomeKind.REFUSED] * len(others)
        assert all(outcome.detail for outcome in refused)
        outcomes = apply(lab, *others, revoke(lab, "docs-readers", "smith"))
        assert outcomes == [OutcomeKind.REFUSED] * len(others) + [APPLIED]

    def test_what_the_target_has_declared_is_done(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        target = lab.with_accounts()
        declared = target.describe().ops
        turn = [Op.GRANT, Op.REVOKE, Op.DISABLE_ACCOUNT, Op.END_SESSIONS, Op.ENABLE_ACCOUNT, Op.DELETE_ACCOUNT]

        assert {Op.GRANT, Op.REVOKE} <= declared
        for op in (op for op in turn if op in declared):
            step = operation(lab, op, "muller")
            with target.writer() as writer:
                [outcome] = writer.apply([step])
            assert outcome.kind.done or outcome.kind is OutcomeKind.ORDERED, (op, outcome)

    def test_a_binding_that_can_mean_nothing_here_is_told_in_words(self, make_lab: MakeLab) -> None:
        target = make_lab(PEOPLE, GROUPS).target

        assert target.check_locator({})
        assert target.check_locator({"no-such-part": "docs-readers"})

    def test_a_binding_that_is_read_here_is_taken(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)

        assert [lab.target.check_locator(lab.locator(group)) for group in GROUPS] == [None] * len(GROUPS)

    def test_accounts_are_matched_by_the_attributes_that_the_target_names(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        named = set(lab.target.match_attributes())

        assert named
        assert all(set(account.match) <= named for account in observe(lab).accounts.accounts)

    def test_a_mark_stays_as_long_as_nothing_changes_and_no_longer(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        mark = lab.target.mark()
        again = lab.target.mark(mark)
        observe(lab, *GROUPS)

        assert lab.target.mark(mark) == again == mark
        lab.put("docs-readers", "plain")
        assert not mark or lab.target.mark(mark) != mark

    def test_looking_whether_all_is_well_changes_nothing(self, make_lab: MakeLab) -> None:
        lab = make_lab(PEOPLE, GROUPS)
        before = lab.picture()

        lab.target.probe()

        assert lab.picture() == before

    def test_many_accounts_are_all_seen_and_changed(self, make_lab: MakeLab) -> None:
        people = [LabAccount(f"u{number:04}", f"E{number:04}", f"员工 {number:04}") for number in range(1203)]
        lab = make_lab(people, {"all": [person.login for person in people[:1100]]})

        observation = observe(lab, "all")
        assert len(observation.accounts.accounts) == 1203
        assert len(entitlement(observation).members) == 1100
        keys = {account.login: account for account in observation.accounts.accounts}
        steps = [
            Step(Op.GRANT if number >= 1100 else Op.REVOKE, keys[p.login].key, keys[p.login].name, lab.locator("all"))
            for number, p in enumerate(people)
            if number < 700 or number >= 1100
        ]
        assert set(apply(lab, *steps)) == {APPLIED}
        assert lab.members("all") == {person.login for person in people[700:]}
