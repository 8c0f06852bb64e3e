"""What holds of a declared system whatever is done in whichever order, and whatever becomes of its answers."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from reconciler.targets import Op, Outcome, OutcomeKind, Step, TargetError
from reconciler.testing.targets import PEOPLE, grant, observe, revoke
from tests.adapters.http.lab import ScimLab, target
from tests.adapters.http.test_faults import two_to_a_page
from tests.servers.hr_api import Reply
from tests.servers.scim_proxy import Asked, ScimProxy

LOGINS = [person.login for person in PEOPLE]
STEPS = st.lists(
    st.tuples(st.sampled_from([grant, revoke]), st.sampled_from(["docs-readers", "核心算法"]), st.sampled_from(LOGINS)),
    max_size=12,
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(drawn=STEPS, many=st.sampled_from([1, 2, 500]))
def test_any_steps_have_the_effect_that_they_have_one_after_another(lab: ScimLab, drawn: list, many: int) -> None:  # type: ignore[type-arg]
    settings = json.loads(json.dumps(lab.settings))
    settings["add"]["many"] = settings["remove"]["many"] = many
    lab.target = target(settings)
    there = {group: lab.members(group) for group in ("docs-readers", "核心算法")}
    steps: list[Step] = [make(lab, group, login) for make, group, login in drawn]
    expected = []
    for step, (_, group, login) in zip(steps, drawn, strict=True):
        changes = (login in there[group]) is not (step.op is Op.GRANT)
        expected.append(OutcomeKind.APPLIED if changes else OutcomeKind.ALREADY)
        there[group] = there[group] | {login} if step.op is Op.GRANT else there[group] - {login}

    with lab.target.writer() as writer:
        outcomes: list[Outcome] = list(writer.apply(steps))

    assert [outcome.kind for outcome in outcomes] == expected
    assert {group: lab.members(group) for group in there} == there


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(data=st.data())
def test_a_list_that_is_damaged_anywhere_is_never_a_part_told_as_the_whole(
    lab: ScimLab, proxy: ScimProxy, data: st.DataObject
) -> None:
    """Whichever page of whichever list is cut, shortened or repeated: all of it, or not whole."""
    two_to_a_page(lab)
    path = data.draw(st.sampled_from(["/Users", "/Groups"]), label="path")
    page = data.draw(st.sampled_from(["1", "3"]), label="page")
    damage = data.draw(st.sampled_from(["cut", "announced cut", "drop", "double", "empty"]), label="damage")
    place = data.draw(st.floats(0, 1, exclude_max=True), label="place")

    def answered(asked: Asked, reply: Reply) -> Reply:
        if asked.path != path or asked.query.get("startIndex") != page:
            return reply
        if "cut" in damage:
            end = int(len(reply.body) * place)
            return Reply(body=reply.body, cut=end) if damage == "announced cut" else Reply(body=reply.body[:end])
        answer = json.loads(reply.body)
        items = answer["Resources"]
        index = int(len(items) * place)
        if damage == "drop":
            del items[index]
        elif damage == "double":
            items.append(items[index])
        else:
            items.clear()
        return Reply(body=json.dumps(answer).encode())

    proxy.answered = answered
    try:
        observation = observe(lab, *lab.groups)
    except TargetError:
        return
    finally:
        proxy.answered = lambda asked, reply: reply

    if observation.accounts.reading.whole:
        assert {account.login for account in observation.accounts.accounts} == set(LOGINS)
    for name, read in zip(lab.groups, observation.entitlements.values(), strict=True):
        if read.reading.whole:
            known = {lab.key(login) for login in lab.members(name)}
            shown = {observation.accounts.accounts[position].key for position in read.members}
            assert shown | set(read.foreign) == known
