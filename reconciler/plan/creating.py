"""Accounts for people who should have something on a target and have none there.

One is created only where its absence is proven (the target's accounts were read whole), where it could be found again
(everything that accounts are matched by has a value, which nobody else has), where all that the target's template asks
for is known, and where the target has nothing against what comes of it. What it is for is granted once it is there: its
key is the target's own to give.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from reconciler.access.model import LifecycleState
from reconciler.facts.model import Person
from reconciler.plan.accounts import ACCOUNTS_CLASS, AccountNeeds, is_shut_out
from reconciler.plan.linking import attribute_of, folded
from reconciler.plan.model import Cause, CauseKind, Change, Finding
from reconciler.plan.situation import TargetView
from reconciler.targets import Op

__all__ = ["creations"]


def creations(needs: AccountNeeds, view: TargetView, *, proven: bool) -> Iterator[Change | Finding]:
    """The accounts to be created; `proven` says whether all that are there were read."""
    match, asked = view.match_attributes, view.creation_attributes
    if Op.CREATE_ACCOUNT not in needs.ops or needs.implicit or not proven:
        return
    newcomers = list(_without_account(needs))
    taken = Counter(_matched(person, match) for person in needs.people.values()) if newcomers else Counter()
    for person in newcomers:
        profile = {name: _known_of(person, name, needs.desired.at) for name in sorted({*match, *asked})}
        blank = [name for name, value in profile.items() if not value.strip()]
        if blank:
            yield _impossible(needs, person, f"nothing is known of their {' and '.join(blank)}")
        elif taken[_matched(person, match)] > 1:
            yield _impossible(needs, person, f"somebody else has the same {' and '.join(match)}")
        elif problem := view.creation_problem(profile):
            yield _impossible(needs, person, problem)
        else:
            yield _creation(needs, person, profile)


def _without_account(needs: AccountNeeds) -> Iterator[Person]:
    exited = needs.desired.states[LifecycleState.EXITED]
    for number in needs.having - exited - needs.desired.suspended:
        person = needs.people[number]
        there = needs.links.positions_of(number)
        if not there and not is_shut_out(person, needs.policy, needs.desired.at, needs.zone):
            yield person


def _known_of(person: Person, name: str, at: datetime) -> str:
    """A person's own attribute, or one of the assignment that they are in now, the first of several."""
    now = (post.attributes.get(name, "") for post in person.assignments if post.span.covers(at))
    return attribute_of(person, name) or next(now, "")


def _matched(person: Person, match: Sequence[str]) -> tuple[str, ...]:
    return tuple(folded(attribute_of(person, name)) for name in match)


def _creation(needs: AccountNeeds, person: Person, profile: Mapping[str, str]) -> Change:
    text = f"{person.id} should have access on {needs.target} and has no account there"
    return Change(
        op=Op.CREATE_ACCOUNT,
        target=needs.target,
        account="",
        account_key="",
        person=person.id,
        service_account=None,
        entitlement="",
        locator={},
        permissions=(),
        classification=ACCOUNTS_CLASS,
        class_rank=len(needs.policy.levels),
        cause=Cause(CauseKind.PERSON, f"ledger:{person.last_entry}", text),
        saw="absent",
        profile=profile,
    )


def _impossible(needs: AccountNeeds, person: Person, why: str) -> Finding:
    text = f"{person.id} should have access on {needs.target} and gets no account there: {why}"
    return Finding("cannot-create", needs.target, person.id, text)
