"""Digests mean what is done and what was seen; order is that of the run."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from reconciler.plan.artefact import plan_json, read_plan
from reconciler.plan.model import Cause, CauseKind, Change, Plan, count_by_op, in_order
from reconciler.targets import Op
from tests.plan.values import POLICY, change, many_changes

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def plan(changes: tuple[Change, ...], **fields: object) -> Plan:
    made = Plan(NOW, NOW, "w", POLICY, "r", 1, 1, {}, changes, (), ())
    return replace(made, **fields)  # type: ignore[arg-type]


@given(many_changes, st.randoms(use_true_random=False), st.timedeltas(timedelta(0), timedelta(days=999)))
def test_a_plans_digest_knows_neither_clock_nor_order(changes: list[Change], chance: Random, later: timedelta) -> None:
    shuffled = list(changes)
    chance.shuffle(shuffled)
    told = tuple(replace(each, cause=Cause(CauseKind.TIME, "x", "y"), leaver=True) for each in shuffled)
    one = plan(tuple(changes)).digest
    assert plan(told, made_at=NOW + later, at=NOW + later, ledger_seq=99, policy_revision="z").digest == one


@given(many_changes)
def test_a_plans_digest_knows_every_change_and_the_policy(changes: list[Change]) -> None:
    whole = plan(tuple(changes)).digest
    for index in range(len(changes)):
        assert plan(tuple(changes[:index] + changes[index + 1 :])).digest != whole
    assert plan(tuple(changes), policy_digest="sha256:other").digest != whole


@given(many_changes)
def test_a_plan_file_reads_back(changes: list[Change]) -> None:
    made = plan(tuple(changes))
    saved = read_plan(json.dumps(plan_json(made)).encode(), "p.json")
    assert (saved.digest, saved.change_ids) == (made.digest, frozenset(each.id for each in changes))


def test_an_id_is_what_is_done_and_what_was_seen() -> None:
    one = change()
    assert replace(one, id="", account="renamed").id == one.id, "the key counts, a name may change"
    assert replace(one, id="", entitlement="renamed").id == one.id
    for other in (
        replace(one, id="", saw="else"),
        replace(one, id="", op=Op.GRANT),
        replace(one, id="", target="vault"),
        replace(one, id="", account_key="k"),
        replace(one, id="", locator={"group": "x"}),
    ):
        assert other.id != one.id


@given(many_changes, st.randoms(use_true_random=False))
def test_the_order_of_a_run(changes: list[Change], chance: Random) -> None:
    ordered = in_order(changes)
    shuffled = list(changes)
    chance.shuffle(shuffled)
    assert [each.id for each in in_order(shuffled)] == [each.id for each in ordered]
    ops = list(Op)
    for before, after in pairwise(ordered):
        assert ops.index(before.op) <= ops.index(after.op)
        if before.op is after.op and before.leaver == after.leaver:
            if after.op is Op.GRANT:
                assert before.class_rank <= after.class_rank
            if after.op is Op.REVOKE:
                assert before.class_rank >= after.class_rank
        if before.op is after.op is Op.REVOKE:
            assert before.leaver >= after.leaver


def test_counts_leave_out_what_is_not_there() -> None:
    assert count_by_op([change(), change("E2"), change(op=Op.GRANT)]) == {"revoke": 2, "grant": 1}
