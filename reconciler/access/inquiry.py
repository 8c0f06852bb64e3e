"""All that one subject has, and all who have one permission: explanations, allowed apart from withheld.

What a person has is found from the roles that they hold, so that it costs nothing to be one of many. Who has a
permission is told by an evaluation that is already there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from reconciler.access.explain import Explainer
from reconciler.access.model import Desired, Explanation, LifecycleState
from reconciler.access.subject import check_permission
from reconciler.facts.model import Population
from reconciler.policy.model import Permission, Policy


@dataclass(frozen=True, slots=True)
class SubjectAccess:
    """Everything that is given to one person or service account, in the order of the policy.

    Each explanation's first reason is the strongest; `until` says how long an allowed one lasts. `clearance` is the
    highest level reached, of a service account its ceiling.
    """

    subject: str
    at: datetime
    states: tuple[LifecycleState, ...]
    clearance: str
    allowed: tuple[Explanation, ...]
    withheld: tuple[Explanation, ...]


@dataclass(frozen=True, slots=True)
class Holders:
    """Everybody whom one permission is given to: people in the order of their numbers, then service accounts."""

    permission: Permission
    at: datetime
    allowed: tuple[Explanation, ...]
    withheld: tuple[Explanation, ...]


def access_of(
    policy: Policy, population: Population, subject: str, at: datetime, explainer: Explainer | None = None
) -> SubjectAccess:
    """What the subject (a person's id or a service account's name) has at the moment; told by the `explainer` of these,
    where there is one. Raises `UnknownPerson`.
    """
    explainer = explainer or Explainer(policy, population, at)
    account = policy.service_accounts.get(subject)
    if account is not None and subject not in population.by_id:
        asked = dict.fromkeys(grant.permission for grant in account.grants)
        states: tuple[LifecycleState, ...] = ()
        clearance = policy.levels[account.ceiling].name
    else:
        dossier = explainer.dossier(subject)
        asked = dict.fromkeys(dossier.all_given())
        states, clearance = dossier.who.states, dossier.clearance
    answers = [explainer.explain(subject, permission) for permission in _in_order(policy, asked)]
    return SubjectAccess(
        subject=subject,
        at=at,
        states=states,
        clearance=clearance,
        allowed=tuple(answer for answer in answers if answer.allowed),
        withheld=tuple(answer for answer in answers if answer.reasons and not answer.allowed),
    )


def holders_of(policy: Policy, population: Population, desired: Desired, permission: Permission) -> Holders:
    """Who has the permission at the moment of `desired`, which is the evaluation of the same policy and population.

    Raises `UnknownPermission`.
    """
    check_permission(policy, permission)
    explainer = Explainer(policy, population, desired.at)
    given = desired.given[permission]
    people = sorted((person for person in population if person.number in given), key=lambda person: person.number)
    subjects = [*(person.id for person in people), *sorted(desired.service_given[permission])]
    answers = [explainer.explain(subject, permission) for subject in subjects]
    return Holders(
        permission=permission,
        at=desired.at,
        allowed=tuple(answer for answer in answers if answer.allowed),
        withheld=tuple(answer for answer in answers if not answer.allowed),
    )


def holder_ids(
    policy: Policy, population: Population, desired: Desired, permission: Permission
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Whom `holders_of` names, by their ids alone: those who have the permission, and those from whom it is withheld.
    Raises `UnknownPermission`.
    """
    check_permission(policy, permission)
    given, allowed = desired.given[permission], desired.allowed[permission]
    people = sorted((person for person in population if person.number in given), key=lambda person: person.number)
    services, open_to = desired.service_given[permission], desired.service_allowed[permission]
    return (
        (*(person.id for person in people if person.number in allowed), *sorted(open_to)),
        (*(person.id for person in people if person.number not in allowed), *sorted(services - open_to)),
    )


def _in_order(policy: Policy, asked: dict[Permission, None]) -> Iterator[Permission]:
    return (permission for permission in policy.permissions() if permission in asked)
