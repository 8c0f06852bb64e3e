"""From any situation to a plan: what no reading, however broken, and no policy can make of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.access import evaluate
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.plan import Plan, Situation, TargetView, make_plan
from reconciler.plan.causes import Baseline, FactRef
from reconciler.plan.comparing import worth_comparing
from reconciler.plan.guards import Approvals
from reconciler.plan.reading import plan_lines
from reconciler.policy import load_policy
from reconciler.policy.model import EntitlementRef, Policy
from reconciler.targets import (
    AccountsRead,
    BitMap,
    Capabilities,
    EntitlementRead,
    Observation,
    ObservedAccount,
    Op,
    Reading,
)

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 8
POLICY = load_policy(
    {
        "p.yaml": b"""
attributes: {department: {kind: tree}}
evidence: {nda: {kind: agreement, version: 1}}
clearances: [{public: {}}, {internal: {requires: [nda]}}]
resources:
  docs: {classification: internal, access: {read: {dir: {group: docs}}}}
  code: {classification: internal, access: {read: {dir: {group: code}}}}
roles:
  engineer: {match: {department: rd}, grants: {read: [docs]}}
  everybody: {everyone: true, grants: {read: [code]}}
lifecycle: {exited: {disable: immediately}}
service_accounts:
  svc: {owner: {department: rd}, ceiling: internal, until: 2027-01-01, grants: {read: [docs]}}
"""
    },
    revision="r1",
)
DOCS, CODE = EntitlementRef("dir", "group=docs"), EntitlementRef("dir", "group=code")


class NoMemory:
    """A past of which nothing is known."""

    def policy(self, digest: str) -> Policy | None:
        return None

    def population(self, people: Collection[str], ledger_seq: int) -> Population:
        return Population([], {}, ledger_seq)

    def facts_since(self, people: Collection[str], ledger_seq: int) -> Mapping[str, Sequence[FactRef]]:
        return {}


def person(number: int, department: str, *, exited: bool) -> Person:
    post = Assignment("main", {"department": department}, Span(START, None, 1))
    out = (Span(datetime(2026, 11, 1, tzinfo=UTC), None, 2),) if exited else ()
    return Person(number, f"E{number}", f"N{number}", "", (post,), exited=out, employed_since=START)


def proof(number: int) -> EvidenceRecord:
    return EvidenceRecord(3, f"E{number}", "nda", "", 1, START, None, False, "", "hr", START)


people = st.lists(
    st.tuples(st.sampled_from(["rd", "rd/ai", "hr"]), st.booleans(), st.booleans()), min_size=1, max_size=COUNT
)
readings = st.sampled_from([Reading.COMPLETE, Reading.PARTIAL, Reading.FAILED, Reading.CONFIRMED_EMPTY])
positions = st.sets(st.integers(0, COUNT + 1))
seen_groups = st.tuples(readings, positions, st.lists(st.sampled_from(["cn=x", "cn=y"]), unique=True), positions)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    drawn = draw(people)
    population = Population(
        [person(number, department, exited=exited) for number, (department, exited, _) in enumerate(drawn)],
        {f"E{number}": [proof(number)] for number, (_, _, proven) in enumerate(drawn) if proven},
        10,
    )
    accounts = [ObservedAccount(f"k{n}", f"uid=u{n}", f"u{n}", {"id": f"E{n}"}) for n in range(COUNT)]
    accounts += [ObservedAccount("ks", "uid=svc", "svc"), ObservedAccount("ko", "uid=left-over", "left-over")]
    reads = {}
    for ref in (DOCS, CODE):
        reading, members, foreign, partial = draw(seen_groups)
        name, left = f"cn={ref.key}", BitMap(partial - members)
        reads[ref.key] = EntitlementRead(ref.key, name, reading, BitMap(members), foreign, partial=left)
    roll = AccountsRead(draw(st.sampled_from([Reading.COMPLETE, Reading.PARTIAL])), accounts)
    ops = frozenset({Op.GRANT, Op.REVOKE, *draw(st.sets(st.sampled_from(Op)))})
    view = TargetView(
        Capabilities(ops),
        ("id",),
        draw(st.one_of(st.none(), st.just(Observation(NOW, roll, reads)))),
        "no answer",
        revoke_foreign=draw(st.booleans()),
        disable_orphans=draw(st.booleans()),
    )
    baselines = {
        ref: Baseline(
            BitMap(draw(positions)), frozenset(), draw(st.sampled_from([POLICY.digest, "sha256:old"])), 5, True
        )
        for ref in draw(st.sets(st.sampled_from([DOCS, CODE])))
    }
    return Situation(
        NOW,
        "w",
        POLICY,
        population,
        evaluate(POLICY, population, NOW),
        {"dir": view},
        NoMemory(),
        baselines,
        Approvals({}, {}),
        {},
    )


def plan_of(situation: Situation) -> Plan:
    return make_plan(situation).plan


@given(situations())
def test_no_free_revocation_without_a_whole_reading_but_a_leavers(situation: Situation) -> None:
    for change in plan_of(situation).due:
        observation = situation.targets[change.target].observation
        assert observation is not None
        if change.op in (Op.REVOKE, Op.DISABLE_ACCOUNT) and not change.leaver:
            assert observation.accounts.reading.whole
            if change.op is Op.REVOKE:
                assert observation.entitlements[f"group={change.locator['group']}"].reading.whole


@given(situations())
def test_nothing_is_granted_that_is_not_desired_nor_revoked_that_is(situation: Situation) -> None:
    ids = {each.id: each.number for each in situation.population}
    for change in plan_of(situation).changes:
        if change.person and change.op in (Op.GRANT, Op.REVOKE):
            desired = situation.desired.members[EntitlementRef("dir", f"group={change.locator['group']}")]
            assert (ids[change.person] in desired) == (change.op is Op.GRANT)


@given(situations())
def test_d4_no_plan_gives_and_takes_the_same(situation: Situation) -> None:
    changes = [change for change in plan_of(situation).changes if change.op in (Op.GRANT, Op.REVOKE)]
    touched = [(change.account_key or change.account, change.locator["group"]) for change in changes]
    assert len(set(touched)) == len(touched)


@given(situations())
def test_what_nobody_has_or_should_have_need_not_be_compared(situation: Situation) -> None:
    observations = {name: view.observation for name, view in situation.targets.items()}
    compared = worth_comparing(situation.policy, situation.desired, observations)

    assert plan_of(replace(situation, compared=compared)) == plan_of(situation)


def test_what_was_not_read_whole_or_not_at_all_is_compared() -> None:
    nobody = evaluate(POLICY, Population([], {}, 1), datetime(2027, 2, 1, tzinfo=UTC))
    seen = Observation(
        NOW, AccountsRead(Reading.COMPLETE, ()), {DOCS.key: EntitlementRead(DOCS.key, "", Reading.COMPLETE)}
    )

    assert worth_comparing(POLICY, nobody, {"dir": seen}) == [CODE], "not read"
    assert worth_comparing(POLICY, nobody, {"dir": None, "other": seen}) == []
    for reading, left in {Reading.FAILED: [CODE, DOCS], Reading.CONFIRMED_EMPTY: [CODE]}.items():
        read = {DOCS.key: EntitlementRead(DOCS.key, "", reading)}
        assert worth_comparing(POLICY, nobody, {"dir": replace(seen, entitlements=read)}) == left


@given(situations())
def test_nobody_without_the_proof_is_granted_anything(situation: Situation) -> None:
    for change in plan_of(situation).changes:
        if change.op is Op.GRANT and change.person:
            assert change.person in situation.population.evidence


@given(situations())
def test_every_leavers_access_that_was_seen_goes(situation: Situation) -> None:
    plan = plan_of(situation)
    observation = situation.targets["dir"].observation
    if observation is None:
        assert plan.changes == ()
        return
    gone = {(change.person, change.locator["group"]) for change in plan.due if change.op is Op.REVOKE}
    for who in situation.population:
        for key, read in observation.entitlements.items():
            if who.exited and read.reading is not Reading.FAILED and who.number in read.members | read.partial:
                assert (who.id, key.removeprefix("group=")) in gone


@given(situations())
def test_an_entitlement_that_could_not_be_read_is_left_alone_and_said(situation: Situation) -> None:
    plan = plan_of(situation)
    observation = situation.targets["dir"].observation
    if observation is None:
        assert plan.incomplete
        return
    touched = {change.locator.get("group") for change in plan.changes}
    for key, read in observation.entitlements.items():
        if read.reading is Reading.FAILED:
            assert key.removeprefix("group=") not in touched
            assert key in {finding.subject for finding in plan.findings}
        if not read.reading.whole:
            assert plan.incomplete


@given(situations())
def test_changes_stay_within_what_the_target_can_do(situation: Situation) -> None:
    ops = situation.targets["dir"].capabilities.ops
    assert {change.op for change in plan_of(situation).changes} <= ops


@given(situations(), st.frozensets(st.sampled_from(Op)))
@settings(deadline=None)
def test_what_a_target_cannot_do_is_a_finding_instead(situation: Situation, ops: frozenset[Op]) -> None:
    view = situation.targets["dir"]
    unable = replace(situation, targets={"dir": replace(view, capabilities=Capabilities(ops))})
    wanted, plan = plan_of(situation), plan_of(unable)

    assert {change.op for change in plan.changes} <= ops
    for op, kind in ((Op.GRANT, "cannot-grant"), (Op.REVOKE, "cannot-revoke")):
        asked = [change for change in wanted.changes if change.op is op] if op not in ops else []
        told = [finding for finding in plan.findings if finding.kind == kind]
        assert bool(told) == bool(asked)
        assert all(any(change.entitlement in each.text for each in told) for change in asked)
        leavers = {change.person for change in asked if change.leaver}
        assert leavers <= {each.subject for each in told}


@given(situations())
@settings(deadline=None)
def test_whoever_has_a_part_gets_the_rest_or_loses_it(situation: Situation) -> None:
    view = situation.targets["dir"]
    able = replace(situation, targets={"dir": replace(view, capabilities=Capabilities())})
    changes = {
        (change.op, change.person, change.locator["group"])
        for change in plan_of(able).changes
        if change.op in (Op.GRANT, Op.REVOKE)
    }
    for key, read in view.observation.entitlements.items() if view.observation else ():
        wanted = situation.desired.members[EntitlementRef("dir", key)]
        for who in situation.population if read.reading is not Reading.FAILED else ():
            if who.number in read.partial:
                op = Op.GRANT if who.number in wanted else Op.REVOKE
                assert (op, who.id, key.removeprefix("group=")) in changes


@given(situations())
def test_foreign_and_orphans_are_touched_only_where_the_target_says_so(situation: Situation) -> None:
    view = situation.targets["dir"]
    for change in plan_of(situation).changes:
        if change.person is None and change.service_account is None:
            assert view.revoke_foreign if change.op is Op.REVOKE else view.disable_orphans
            assert change.op is not Op.GRANT


@given(situations(), st.randoms(use_true_random=False))
def test_the_same_situation_gives_the_same_plan(situation: Situation, chance: object) -> None:
    one, two = plan_of(situation), plan_of(situation)
    assert (one.digest, one.changes) == (two.digest, two.changes)
    assert len({change.id for change in one.changes}) == len(one.changes)
    assert chance is not None


@given(situations())
def test_every_change_has_a_cause_in_words_and_the_plan_reads(situation: Situation) -> None:
    plan = plan_of(situation)
    assert all(change.cause.text for change in plan.changes)
    text = "\n".join(line.plain for line in plan_lines(plan, {}, whole=True))
    for change in plan.held:
        assert change.held is not None
        assert change.held.digest in text
    for change in plan.changes:
        assert change.subject in text


def test_an_entitlement_that_the_target_says_nothing_about_makes_the_plan_incomplete() -> None:
    population = Population([person(0, "rd", exited=False)], {"E0": [proof(0)]}, 1)
    silent = Observation(NOW, AccountsRead(Reading.COMPLETE, [ObservedAccount("k", "uid=u", "u", {"id": "E0"})]), {})
    view = TargetView(Capabilities(), ("id",), silent)
    desired = evaluate(POLICY, population, NOW)
    plan = plan_of(
        Situation(NOW, "w", POLICY, population, desired, {"dir": view}, NoMemory(), {}, Approvals({}, {}), {})
    )
    assert plan.changes == ()
    assert plan.targets["dir"].unread == ("group=code", "group=docs")
    assert "in sync" not in "\n".join(line.plain for line in plan_lines(plan, {}))


@given(situations(), positions)
def test_what_is_ordered_and_not_confirmed_is_asked_for_whatever_was_seen(
    situation: Situation, unsettled: set[int]
) -> None:
    view = situation.targets["dir"]
    if view.observation is None:
        return
    reads = {
        key: replace(read, unsettled=BitMap(unsettled)) if read.reading is not Reading.FAILED else read
        for key, read in view.observation.entitlements.items()
    }
    asked = replace(
        situation, targets={"dir": replace(view, observation=replace(view.observation, entitlements=reads))}
    )

    changes = {
        (EntitlementRef("dir", f"group={each.locator['group']}"), each.person, each.op)
        for each in plan_of(asked).changes
        if each.locator
    }
    for each in situation.population:
        for ref in (DOCS, CODE):
            if each.number in unsettled and reads[ref.key].reading is not Reading.FAILED:
                wanted = each.number in situation.desired.members[ref]
                assert ((ref, each.id, Op.GRANT) in changes) is wanted
                assert ((ref, each.id, Op.REVOKE) in changes) is not wanted


def test_implicit_accounts_need_no_account() -> None:
    population = Population([person(0, "rd", exited=False)], {"E0": [proof(0)]}, 1)
    reads = {ref.key: EntitlementRead(ref.key, ref.key, Reading.COMPLETE) for ref in (DOCS, CODE)}
    for implicit, granted in ((True, {"E0"}), (False, set())):
        view = TargetView(
            Capabilities(implicit_accounts=implicit), ("id",), Observation(NOW, AccountsRead(Reading.COMPLETE), reads)
        )
        desired = evaluate(POLICY, population, NOW)
        plan = plan_of(
            Situation(NOW, "w", POLICY, population, desired, {"dir": view}, NoMemory(), {}, Approvals({}, {}), {})
        )
        assert {change.account_key for change in plan.changes} == granted
        assert ("no-account" in {finding.kind for finding in plan.findings}) is not implicit
