"""The rule once more, slowly, for one person and one permission: what the fast evaluation is measured against.

Written from the prose of the rule alone, sentence by sentence, and sharing nothing with `reconciler.access`: its own
calendar, its own three-valued logic (None is *unknown*), its own reading of every clause. Clarity is all that counts
here.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.policy.model import (
    AllOf,
    AnyOf,
    AttributeKind,
    Compare,
    Contains,
    Equals,
    EvidenceKind,
    Grant,
    Match,
    Negated,
    NoneOf,
    Period,
    Permission,
    Policy,
    Role,
    Under,
    Within,
)


class NaiveRule:
    """One policy, one population, one moment."""

    def __init__(self, policy: Policy, population: Population, at: datetime) -> None:
        self.policy = policy
        self.population = population
        self.at = at
        self.zone = ZoneInfo(population.timezone)

    # "A person gets a permission at time t exactly when ..."

    def may(self, person: Person, permission: Permission) -> bool:
        if not self.gives(person, permission):
            return False
        rank = self.class_of(permission)
        if self.clearance(person) < rank:
            return False
        if self.ceiling(person) < rank:
            return False
        return not self.locked_out(person, permission)

    def gives(self, person: Person, permission: Permission) -> bool:
        for role in self.policy.roles.values():
            if self.holds(person, role) and permission in self.permissions_of(role):
                return True
        return any(
            exception.person == person.id
            and self.within_days(exception.since, exception.until)
            and any(grant.permission == permission for grant in exception.grants)
            for exception in self.policy.exceptions
        )

    def permissions_of(self, role: Role) -> set[Permission]:
        # "`inherits` brings grants, never the match."
        found = {grant.permission for grant in role.grants}
        for name in role.inherits:
            found |= self.permissions_of(self.policy.roles[name])
        return found

    def holds(self, person: Person, role: Role) -> bool:
        assignments = self.assignments(person)
        for assignment in assignments:
            # "all keys must hold for the SAME assignment"; "A grant needs *true*"
            if role.match is not None and self.truth(role.match, assignment) is True:
                return True
        if role.everyone and assignments:
            return True
        for member in role.members:
            # "`members` hold their role while they have an active assignment."
            if member.person == person.id and self.within_days(member.since, member.until) and assignments:
                return True
        return False

    # "their clearance at t dominates the classification of every entitlement that carries it"

    def class_of(self, permission: Permission) -> int:
        # "clearance and ceiling are tested at its highest class" of an entitlement that two permissions share
        ranks = []
        for entitlement in self.policy.entitlements.values():
            if permission in entitlement.permissions:
                ranks += [self.policy.resources[each.resource].classification for each in entitlement.permissions]
        return max(ranks)

    def clearance(self, person: Person) -> int:
        # "A level needs its own requirements and all of those below, `only` included"
        reached = -1
        for level in self.policy.levels:
            assignments = self.assignments(person)
            # "`only` needs *true* of every active assignment"; nobody without one is meant
            if level.only is not None:
                if not assignments:
                    return reached
                for assignment in assignments:
                    if self.truth(level.only, assignment) is not True:
                        return reached
            for requirement in level.requires:
                if not self.requirement_met(person, [proof.kind for proof in requirement.any_of]):
                    return reached
            reached = level.rank
        return reached

    def requirement_met(self, person: Person, kinds: Sequence[str]) -> bool:
        if any(self.evidence_counts(person, self.policy.evidence[name]) for name in kinds):
            return True
        # "a requirement is skipped only where `applies_to` is *false* of every active assignment"
        return all(self.applies_to_nothing(person, self.policy.evidence[name]) for name in kinds)

    def applies_to_nothing(self, person: Person, kind: EvidenceKind) -> bool:
        assignments = self.assignments(person)
        if kind.applies_to is None or not assignments:
            return False
        return all(self.truth(kind.applies_to, assignment) is False for assignment in assignments)

    def evidence_counts(self, person: Person, kind: EvidenceKind) -> bool:
        # "Any valid record of a kind is enough, except that a `failed` one cancels those of the same or an earlier
        # `valid_from`."
        records = [r for r in self.population.evidence.get(person.id, ()) if r.kind == kind.name]
        records = [r for r in records if r.valid_from <= self.at]
        records = [r for r in records if r.revoked is None or not self.covers(r.revoked)]
        for candidate in records:
            if candidate.failed or not self.is_valid(candidate, kind, person):
                continue
            if not any(r.failed and candidate.valid_from <= r.valid_from for r in records):
                return True
        return False

    def is_valid(self, record: EvidenceRecord, kind: EvidenceKind, person: Person) -> bool:
        # "A signature of an older `version` counts until `superseded_on`, and without that date not at all"
        old = record.version < kind.version
        if old and (kind.superseded_on is None or self.at >= self.midnight(kind.superseded_on)):
            return False
        # "`valid_until`, where given, beats `valid_for`; `grace` extends either."
        end = record.valid_until
        if end is None and kind.valid_for is not None:
            end = self.later(record.valid_from, kind.valid_for)
        if end is not None and kind.grace is not None:
            end = self.later(end, kind.grace)
        if end is not None and self.at >= end:
            return False
        # "Evidence from before a rehire does not count, unless its kind says `survives_rehire: true`."
        for rehire in self.rehires(person):
            if record.valid_from < rehire <= self.at and not kind.survives_rehire:
                return False
        return True

    def rehires(self, person: Person) -> list[datetime]:
        back = [span.end for span in person.exited if span.end is not None]
        if person.rehired and person.employed_since is not None:
            back.append(person.employed_since)
        return back

    # "their lifecycle state's ceiling admits that": "Where several hold, the lowest ceiling."

    def ceiling(self, person: Person) -> int:
        lifecycle = self.policy.lifecycle
        highest = len(self.policy.levels)
        ceilings = [highest]
        if self.is_exited(person):
            ceilings.append(-1)
        elif not any(self.covers(assignment.span) for assignment in person.assignments):
            ceilings.append(
                min((rule.ceiling for rule in lifecycle.preboarding if rule.ceiling is not None), default=-1)
            )
        if any(self.covers(span) for span in person.notice) and lifecycle.notice:
            ceilings += [rule.ceiling for rule in lifecycle.notice if rule.ceiling is not None]
        return min(ceilings)

    def is_exited(self, person: Person) -> bool:
        # "said so, or the last assignment has ended and none is to come"
        if any(self.covers(span) for span in person.exited):
            return True
        ended = [a for a in person.assignments if a.span.end is not None and a.span.end <= self.at]
        return len(person.assignments) > 0 and len(ended) == len(person.assignments)

    def assignments(self, person: Person) -> list[Assignment]:
        active = [each for each in person.assignments if self.covers(each.span)]
        if active:
            return active
        # "hired, not started: assignments that begin within `opens` count"
        if self.is_exited(person):
            return []
        latest = max((self.later(self.at, rule.opens) for rule in self.policy.lifecycle.preboarding), default=self.at)
        return [
            each
            for each in person.assignments
            if each.span.start is not None
            and self.at < each.span.start <= latest
            and (each.span.end is None or each.span.start < each.span.end)
        ]

    # "no lockout ... withholds it"

    def locked_out(self, person: Person, permission: Permission) -> bool:
        if any(self.covers(span) for span in person.lockouts):
            return True
        return any(
            lock.person == person.id
            and (lock.since is None or self.midnight(lock.since) <= self.at)
            and (lock.resources is None or permission.resource in lock.resources)
            for lock in self.policy.lockouts
        )

    # service accounts

    def service_may(self, name: str, permission: Permission) -> bool:
        account = self.policy.service_accounts[name]
        return self.service_gives(name, permission) and self.class_of(permission) <= account.ceiling

    def service_gives(self, name: str, permission: Permission) -> bool:
        account = self.policy.service_accounts[name]
        given: Sequence[Grant] = account.grants if self.within_days(None, account.until) else ()
        return any(grant.permission == permission for grant in given)

    # "Three values."

    def truth(self, match: Match, assignment: Assignment) -> bool | None:
        if isinstance(match, Compare):
            return self.comparison(match, assignment)
        values = [self.truth(part, assignment) for part in match.parts]
        if isinstance(match, AllOf):
            return False if False in values else None if None in values else True
        any_of: bool | None = True if True in values else None if None in values else False
        if isinstance(match, AnyOf):
            return any_of
        assert isinstance(match, NoneOf)
        return None if any_of is None else not any_of

    def comparison(self, compare: Compare, assignment: Assignment) -> bool | None:
        attribute = self.policy.attributes[compare.attribute]
        text = assignment.attributes.get(compare.attribute, "").strip()
        test, turned = compare.test, False
        if isinstance(test, Negated):
            test, turned = test.test, True
        if attribute.kind == AttributeKind.SET:
            # "A blank `set` is the empty set."
            assert isinstance(test, Contains)
            members = [part.strip() for part in text.replace("；", ";").split(";") if part.strip() != ""]
            found = [value in members for value in test.values]
            return (all(found) if test.every else any(found)) != turned
        # "A comparison with a blank or undeclared value is *unknown*"; `absent` says "what a blank means"
        if text == "" or (attribute.kind in ("one_of", "ordered") and text not in attribute.ranks):
            return compare.absent
        if isinstance(test, Equals):
            result = text in test.values
        elif isinstance(test, Under):
            result = any(text.split("/")[: len(path.split("/"))] == path.split("/") for path in test.paths)
        else:
            assert isinstance(test, Within)
            rank = attribute.ranks[text]
            result = not (test.low is not None and rank < test.low) and not (test.high is not None and rank > test.high)
        return result != turned

    # "Days are whole days in the workspace's timezone"; "calendar arithmetic"

    def covers(self, span: Span) -> bool:
        return (span.start is None or span.start <= self.at) and (span.end is None or self.at < span.end)

    def within_days(self, since: date | None, until: date) -> bool:
        today = self.at.astimezone(self.zone).date()
        return (since is None or since <= today) and today <= until

    def midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def later(self, moment: datetime, period: Period) -> datetime:
        local = moment.astimezone(self.zone).replace(tzinfo=None)
        months = local.year * 12 + local.month - 1 + period.years * 12 + period.months
        year, month = divmod(months, 12)
        day = min(local.day, calendar.monthrange(year, month + 1)[1])
        moved = local.replace(year=year, month=month + 1, day=day) + timedelta(days=period.days)
        return moved.replace(tzinfo=self.zone).astimezone(UTC)
