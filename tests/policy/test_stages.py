"""What the lifecycle section becomes: rules in their order, periods, ceilings."""

from __future__ import annotations

import pytest

from reconciler.policy import load_policy
from reconciler.policy.model import NOTHING, Compare, Lifecycle, Overlap, Period
from tests.policy.company import RESOURCES, WORDS, errors, problems


def lifecycle(text: str) -> Lifecycle:
    files = {"words": WORDS, "resources": RESOURCES, "a": text}
    return load_policy({f"{name}.yaml": content.encode() for name, content in files.items()}, revision="").lifecycle


def test_a_state_is_one_rule_or_a_list_of_them() -> None:
    one = lifecycle("lifecycle: {notice: {ceiling: internal}}").notice
    many = lifecycle(
        "lifecycle:\n  notice:\n    - {match: {location: de}, ceiling: confidential}\n    - {ceiling: internal}"
    )

    assert [(rule.match, rule.ceiling, str(rule.place)) for rule in one] == [(None, 1, "a.yaml:1:13")]
    first, last = many.notice
    assert isinstance(first.match, Compare)
    assert (first.ceiling, str(first.place)) == (2, "a.yaml:3:7")
    assert (last.match, last.ceiling, str(last.place)) == (None, 1, "a.yaml:4:7")


def test_each_rule_of_preboarding_opens_by_itself() -> None:
    text = "lifecycle: {preboarding: [{match: {location: cn}, ceiling: internal, opens: 14d}, {ceiling: public}]}"

    assert [(rule.ceiling, rule.opens) for rule in lifecycle(text).preboarding] == [
        (1, Period(days=14)),
        (0, Period()),
    ]


def test_a_leave_suspends_or_has_a_ceiling() -> None:
    text = "lifecycle: {leave: [{match: {location: cn}, after: 30d, suspend: true}, {ceiling: public, after: 1mo}]}"

    suspends, bounds = lifecycle(text).leave

    assert (suspends.suspend, suspends.ceiling, suspends.after) == (True, NOTHING, Period(days=30))
    assert (bounds.suspend, bounds.ceiling, bounds.after) == (False, 0, Period(months=1))


def test_a_transfer_overlaps() -> None:
    states = lifecycle("lifecycle: {transfer: {overlap: 7d, ceiling: internal}}")

    assert isinstance(states.transfer, Overlap)
    assert (states.transfer.lasts, states.transfer.ceiling) == (Period(days=7), 1)


def test_a_state_without_a_word_is_an_empty_list() -> None:
    assert lifecycle("lifecycle: {exited: {disable: immediately}}") == Lifecycle(
        disable_exited=True, exited_place=lifecycle("lifecycle: {exited: {}}").exited_place
    )


def test_states_may_stand_in_several_files() -> None:
    files = {
        "w.yaml": WORDS,
        "a.yaml": "lifecycle: {exited: {delete_after: 90d}, leave: {suspend: true}}",
        "b.yaml": "lifecycle: {notice: {ceiling: public}}",
    }

    states = load_policy({name: text.encode() for name, text in files.items()}, revision="").lifecycle

    assert (len(states.leave), len(states.notice), states.delete_after) == (1, 1, Period(days=90))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{notice: {}}", "1:13 missing"),
        ("{notice: []}", "1:21 empty"),
        ("{notice: [{match: {location: de}}]}", "1:22 missing"),
        ("{notice: [{ceiling: internal, opens: 7d}]}", "1:42 unknown-key"),
        ("{notice: [{ceiling: internal}, {ceiling: intern}]}", "1:53 unknown-clearance"),
        ("{notice: {match: {lokation: de}, ceiling: internal}}", "1:30 unknown-attribute"),
        ("{notice: {match: {}, ceiling: internal}}", "1:29 empty-match"),
        ("{notice: internal}", "1:21 type"),
        ("{leave: {after: 30d}}", "1:20 missing"),
        ("{leave: {suspend: false}}", "1:20 missing"),
        ("{leave: {suspend: true, ceiling: public}}", "1:20 contradiction"),
        ("{leave: [{suspend: true}, {after: 30}]}", "1:46 period"),
        ("{preboarding: {opens: 7d}}", "1:13 missing"),
        ("{transfer: {overlap: 7d}}", "1:13 missing"),
        ("{transfer: {overlap: 0d, ceiling: internal}}", "1:33 period"),
        ("{transfer: [{overlap: 7d, ceiling: internal}]}", "1:23 type"),
        ("{suspend: true}", "1:13 unknown-key"),
    ],
)
def test_mistakes_in_the_lifecycle(text: str, where: str) -> None:
    found = errors(f"lifecycle: {text}")

    assert [f"{one.place.line}:{one.place.column} {one.code}" for one in found] == [where], found


def test_a_rule_behind_one_that_fits_everything_is_reported() -> None:
    text = (
        "lifecycle:\n"
        "  notice: [{ceiling: internal}, {match: {location: de}, ceiling: confidential}]\n"
        "  leave: [{match: {location: de}, suspend: true}, {match: {post: it}, ceiling: public}, {ceiling: public}]\n"
        "  preboarding: [{match: {location: de}, ceiling: public}, {match: {location: cn}, ceiling: public}]\n"
    )

    found = [one for one in problems(text) if one.code == "unreachable-rule"]

    assert [f"{one.place.line}:{one.place.column}" for one in found] == ["2:33"]
    assert "a.yaml:2:12" in found[0].message
