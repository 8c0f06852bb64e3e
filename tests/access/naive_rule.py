"""The rule once more, slowly, for one person and one permission: what the fast evaluation is measured against.

Written from the prose of the rule alone, sentence by sentence, and sharing nothing with `reconciler.access`: its own
calendar, its own three-valued logic (None is *unknown*), its own reading of every clause. Roles that name a family of
resources are read as they are written, not as the policy expands them. Clarity is all that counts here.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
    Present,
    Proof,
    Requirement,
    Role,
    Separation,
    SponsorRule,
    StateRule,
    Under,
    Within,
)

INSTANT = timedelta(microseconds=1)
NOTHING = -1


@dataclass(frozen=True)
class Written:
    """What a policy says of roles and families of resources, as it is spelled.

    `grants`: role → its own grants, such as ``project-docs/{project}:read``. `for_each`: role → variable → attribute
    and reach (own, ancestors, descendants). `families`: name of a family, with its variable → its listed values.
    """

    grants: Mapping[str, Sequence[str]]
    for_each: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)
    families: Mapping[str, Sequence[str]] = field(default_factory=dict)


def plainly(policy: Policy) -> Written:
    """Of a policy without families."""
    return Written({role.name: [str(grant.permission) for grant in role.grants] for role in policy.roles.values()})


class NaiveRule:
    """One policy, one population, one moment."""

    def __init__(self, policy: Policy, population: Population, at: datetime, written: Written | None = None) -> None:
        self.policy = policy
        self.population = population
        self.at = at
        self.written = plainly(policy) if written is None else written
        self.zone = ZoneInfo(population.timezone)

    # "A person gets a permission at time t exactly when ..."

    def may(self, person: Person, permission: Permission) -> bool:
        return self.gives(person, permission) and not self.denials(person, permission)

    def denials(self, person: Person, permission: Permission) -> set[str]:
        """What stands in the way: "and their clearance [...], and their lifecycle [...], and no lockout ..."."""
        found = set()
        rank = self.class_of(permission)
        compartments = self.compartments_of(permission)
        if self.clearance(person) < rank or not all(self.in_compartment(person, name) for name in compartments):
            found.add("evidence")
        if self.ceiling(person) < rank or self.lapsed(person):
            found.add("lifecycle")
        if self.locked_out(person, permission):
            found.add("lockout")
        if any(each.withhold and permission in self.in_conflict(person, each) for each in self.policy.separations):
            found.add("separation")
        return found

    # "... a role (through an assignment active at t, an overlap, or `members`) or a live exception grants it"

    def gives(self, person: Person, permission: Permission) -> bool:
        if self.is_over(permission):
            return False
        if any(permission == given for _, given in self.ways(person)):
            return True
        return any(
            exception.person == person.id
            and self.within_days(exception.since, exception.until)
            and any(grant.permission == permission for grant in exception.grants)
            for exception in self.policy.exceptions
        )

    def is_over(self, permission: Permission) -> bool:
        # "A resource past its `until` is not given at all"
        until = self.policy.resources[permission.resource].until
        return until is not None and not self.within_days(None, until)

    def ways(self, person: Person) -> Iterator[tuple[tuple[str, ...], Permission]]:
        """Everything that roles give, each with the chain from the role that is held to the one that says it."""
        for role in self.policy.roles.values():
            for chain, grant in self.grants_of(role):
                for permission in self.given_by(person, role, grant):
                    if not self.is_over(permission):
                        yield chain, permission

    def grants_of(self, role: Role) -> Iterator[tuple[tuple[str, ...], str]]:
        # "`inherits` brings grants, never the match."
        for grant in self.written.grants[role.name]:
            yield (role.name,), grant
        for name in role.inherits:
            for chain, grant in self.grants_of(self.policy.roles[name]):
                yield (role.name, *chain), grant

    def given_by(self, person: Person, role: Role, grant: str) -> Iterator[Permission]:
        if self.is_named(person, role):
            yield named(grant)
        for assignment in self.assignments(person):
            if self.fits(role, assignment):
                yield from self.bound(role, grant, assignment)
        # "what the ended assignment gave [...] stays, up to the overlap's `ceiling`"
        for assignment in self.overlapping(person):
            if self.fits(role, assignment):
                for permission in self.bound(role, grant, assignment):
                    if self.class_of(permission) <= self.overlap_ceiling():
                        yield permission

    def is_named(self, person: Person, role: Role) -> bool:
        """Whether they hold the role whatever their assignments are like, as long as they have one."""
        # "`members` hold their role while they have an active assignment."
        if not self.assignments(person):
            return False
        return role.everyone or any(
            member.person == person.id and self.within_days(member.since, member.until) for member in role.members
        )

    def fits(self, role: Role, assignment: Assignment) -> bool:
        # "all keys must hold for the SAME assignment"; "A grant needs *true*"
        if role.match is None:
            return bool(self.variables(role))
        return self.truth(role.match, assignment) is True

    def variables(self, role: Role) -> Mapping[str, tuple[str, str]]:
        return self.written.for_each.get(role.name, {})

    def bound(self, role: Role, grant: str, assignment: Assignment) -> Iterator[Permission]:
        """What a grant means where the assignment gives the role's variables their values."""
        # "once per value": a role with several variables holds for values of all of them, and not while one is blank;
        # "grants without a variable hold where the variables have any value"
        if not self.has_values(role, assignment):
            return
        resource = named(grant).resource
        if resource not in self.written.families:
            yield named(grant)
            return
        variable = variable_of(resource)
        attribute, reach = self.variables(role)[variable]
        for value in self.written.families[resource]:
            if self.reaches(assignment, attribute, reach, value):
                yield Permission(resource.replace("{" + variable + "}", value), named(grant).action)

    def has_values(self, role: Role, assignment: Assignment) -> bool:
        return all(self.values(assignment, attribute) for attribute, _ in self.variables(role).values())

    def reaches(self, assignment: Assignment, attribute: str, reach: str, listed: str) -> bool:
        # "once per value; of a tree: ancestors or descendants, the value included"
        for value in self.values(assignment, attribute):
            if value == listed:
                return True
            if reach == "ancestors" and lies_below(value, listed):
                return True
            if reach == "descendants" and lies_below(listed, value):
                return True
        return False

    def values(self, assignment: Assignment, name: str) -> list[str]:
        """The declared values that an assignment has of an attribute: any number of a set, at most one of others."""
        attribute = self.policy.attributes[name]
        text = assignment.attributes.get(name, "").strip()
        if attribute.kind == AttributeKind.SET:
            return [part.strip() for part in text.replace("；", ";").split(";") if part.strip() != ""]
        undeclared = attribute.kind in ("one_of", "ordered") and text not in attribute.ranks
        return [] if text == "" or undeclared else [text]

    # "their clearance at t dominates the classification and compartments of every entitlement that carries it"

    def carried_with(self, permission: Permission) -> Iterator[Permission]:
        # "Two permissions may share an entitlement: [...] clearance and ceiling are tested at its highest class with
        # all its compartments."
        for entitlement in self.policy.entitlements.values():
            if permission in entitlement.permissions:
                yield from entitlement.permissions

    def class_of(self, permission: Permission) -> int:
        return max(self.policy.resources[each.resource].classification for each in self.carried_with(permission))

    def compartments_of(self, permission: Permission) -> set[str]:
        found: set[str] = set()
        for each in self.carried_with(permission):
            found |= self.policy.resources[each.resource].compartments
        return found

    def clearance(self, person: Person) -> int:
        # "A level needs its own requirements and all of those below, `only` included"
        reached = -1
        for level in self.policy.levels:
            if not self.is_reserved_for(person, level.only) or not self.all_met(person, level.requires):
                return reached
            reached = level.rank
        return reached

    def in_compartment(self, person: Person, name: str) -> bool:
        # "a compartment needs its own, beside the level"
        compartment = self.policy.compartments[name]
        return self.is_reserved_for(person, compartment.only) and self.all_met(person, compartment.requires)

    def is_reserved_for(self, person: Person, only: Match | None) -> bool:
        # "`only` needs *true* of every active assignment"; nobody without one is meant
        if only is None:
            return True
        assignments = self.assignments(person)
        return len(assignments) > 0 and all(self.truth(only, assignment) is True for assignment in assignments)

    def all_met(self, person: Person, requirements: Iterable[Requirement]) -> bool:
        return all(self.requirement_met(person, requirement.any_of) for requirement in requirements)

    def requirement_met(self, person: Person, proofs: Sequence[Proof]) -> bool:
        if any(self.evidence_counts(person, proof) for proof in proofs):
            return True
        # "a requirement is skipped only where `applies_to` is *false* of every active assignment"
        return all(self.applies_to_nothing(person, self.policy.evidence[proof.kind]) for proof in proofs)

    def applies_to_nothing(self, person: Person, kind: EvidenceKind) -> bool:
        assignments = self.assignments(person)
        if kind.applies_to is None or not assignments:
            return False
        return all(self.truth(kind.applies_to, assignment) is False for assignment in assignments)

    def evidence_counts(self, person: Person, proof: Proof) -> bool:
        # "Any valid record of a kind is enough, except that a `failed` one cancels those of the same or an earlier
        # `valid_from`."
        kind = self.policy.evidence[proof.kind]
        records = [r for r in self.population.evidence.get(person.id, ()) if r.kind == kind.name]
        # "Where a kind is `per` an attribute, only a record with that scope counts."
        if kind.per is not None:
            records = [r for r in records if r.scope.strip() == proof.scope]
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
        if self.is_exited(person):
            return NOTHING
        ceilings = [len(self.policy.levels)]
        # "A state that `lifecycle` does not name: preboarding and exited give nothing, notice and leave are as active."
        if not self.has_active(person):
            ceilings += self.ceilings_of(person, self.policy.lifecycle.preboarding, otherwise=[NOTHING])
        if any(self.covers(span) for span in person.notice):
            ceilings += self.ceilings_of(person, self.policy.lifecycle.notice, otherwise=[])
        if any(self.covers(span) for span in person.leave):
            ceilings += self.ceilings_of(person, self.policy.lifecycle.leave, otherwise=[])
        return min(ceilings)

    def ceilings_of(self, person: Person, rules: Sequence[StateRule], otherwise: list[int]) -> list[int]:
        # "No rule fits an assignment: notice/leave: unbounded for it; preboarding: nothing."
        found = []
        for rule in self.rules_for(person, rules):
            found += otherwise if rule is None else self.ceiling_of(person, rule)
        return found

    def rules_for(self, person: Person, rules: Sequence[StateRule]) -> list[StateRule | None]:
        # "the lowest across assignments"; "Somebody without any assignment that counts: the lowest of the whole list."
        assignments = self.assignments(person)
        if not assignments:
            return list(rules) or [None]
        return [self.first_rule(rules, assignment) for assignment in assignments]

    def first_rule(self, rules: Sequence[StateRule], assignment: Assignment) -> StateRule | None:
        # "the first match per assignment [...]; unknown counts as matching"
        for rule in rules:
            if rule.match is None or self.truth(rule.match, assignment) is not False:
                return rule
        return None

    def ceiling_of(self, person: Person, rule: StateRule) -> list[int]:
        # "a rule not begun yet does not apply"
        if not self.has_begun(person, rule):
            return []
        if rule.suspend:
            return [NOTHING]
        return [] if rule.ceiling is None else [rule.ceiling]

    def has_begun(self, person: Person, rule: StateRule) -> bool:
        # "`leave.after`: the rule begins that long after the leave's start"
        if rule not in self.policy.lifecycle.leave:
            return True
        starts = [span.start for span in person.leave if self.covers(span)]
        return any(start is None or self.later(start, rule.after) <= self.at for start in starts)

    def is_suspended(self, person: Person) -> bool:
        # "`suspend: true` gives NOTHING and the person is in `Desired.suspended`"; who has left is gone, not suspended
        if self.is_exited(person) or not any(self.covers(span) for span in person.leave):
            return False
        rules = self.rules_for(person, self.policy.lifecycle.leave)
        return any(rule is not None and rule.suspend and self.has_begun(person, rule) for rule in rules)

    def is_exited(self, person: Person) -> bool:
        # "said so, or the last assignment has ended and none is to come"
        if any(self.covers(span) for span in person.exited):
            return True
        ended = [a for a in person.assignments if a.span.end is not None and a.span.end <= self.at]
        return len(person.assignments) > 0 and len(ended) == len(person.assignments)

    def has_active(self, person: Person) -> bool:
        return any(self.covers(each.span) for each in person.assignments)

    def assignments(self, person: Person) -> list[Assignment]:
        """Those that count: the active ones or, of somebody hired and not started, those that begin soon."""
        active = [each for each in person.assignments if self.covers(each.span)]
        if active or self.is_exited(person):
            return active
        return [each for each in person.assignments if self.opens(each)]

    def opens(self, assignment: Assignment) -> bool:
        # "hired, not started: assignments that begin within `opens` count"; "that of the first rule that fits it"
        start, end = assignment.span.start, assignment.span.end
        if start is None or start <= self.at or (end is not None and end <= start):
            return False
        rule = self.first_rule(self.policy.lifecycle.preboarding, assignment)
        return rule is not None and start <= self.later(self.at, rule.opens)

    def overlapping(self, person: Person) -> list[Assignment]:
        # "assignments with `transferred` and `span.end <= at < span.end + overlap`"
        overlap = self.policy.lifecycle.transfer
        # "Overlap gives nothing to somebody who has no active assignment."
        if overlap is None or not self.has_active(person):
            return []
        return [
            each
            for each in person.assignments
            if each.transferred
            and each.span.end is not None
            and each.span.end <= self.at < self.later(each.span.end, overlap.lasts)
        ]

    def overlap_ceiling(self) -> int:
        overlap = self.policy.lifecycle.transfer
        return NOTHING if overlap is None else overlap.ceiling

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

    # "no ... lapsed sponsor ... withholds it"

    def lapsed(self, person: Person) -> bool:
        # "whoever has an assignment of which `of` is not false"
        return any(
            not self.is_answered_for(person, assignment, rule) or (rule.ends and self.goes_on(person, assignment, rule))
            for rule in self.policy.sponsors
            for assignment in self.assignments(person)
            if self.truth(rule.of, assignment) is not False
        )

    def goes_on(self, person: Person, assignment: Assignment, rule: SponsorRule) -> bool:
        # "an assignment without an end gives nothing"; a change of attributes does not end an assignment, but for one
        # that makes `of` false of it
        waiting = [assignment]
        while waiting:
            stretch = waiting.pop()
            if stretch.span.end is None:
                return True
            waiting += [
                each
                for each in person.assignments
                if (each.name, each.span.start) == (stretch.name, stretch.span.end)
                and each.span.end != each.span.start
                and self.truth(rule.of, each) is not False
            ]
        return False

    def is_answered_for(self, person: Person, assignment: Assignment, rule: SponsorRule) -> bool:
        # "`by` of that assignment names the sponsor"; "without a sponsor at once"; "*somebody else* has to answer"
        name = assignment.attributes.get(rule.by, "").strip()
        sponsor = self.population.by_id.get(name)
        if sponsor is None or sponsor.id == person.id:
            return False
        if self.stood_in(sponsor, rule, self.at):
            return True
        # "Once that ceases, the access lapses after `lapse`"
        return any(
            end <= self.at < self.later(end, rule.lapse) and self.stood_in(sponsor, rule, end - INSTANT)
            for end in self.ends(sponsor)
        )

    def stood_in(self, sponsor: Person, rule: SponsorRule, moment: datetime) -> bool:
        # "who has to be there with an active assignment of which `must` is true"
        then = NaiveRule(self.policy, self.population, moment, self.written)
        return not then.is_exited(sponsor) and any(
            then.covers(each.span) and (rule.must is None or self.truth(rule.must, each) is True)
            for each in sponsor.assignments
        )

    def ends(self, person: Person) -> list[datetime]:
        """Whenever somebody may have ceased to be there."""
        ended = [each.span.end for each in person.assignments if each.span.end is not None]
        return ended + [span.start for span in person.exited if span.start is not None]

    # "no ... separation rule withholds it"

    def in_conflict(self, person: Person, separation: Separation) -> set[Permission]:
        """What a separation is about, of somebody whom it catches; nothing of anybody else."""
        if separation.roles:
            held = {name for name in separation.roles if self.holds(person, name)}
            # "every permission that any of those conflicting (held) roles gives this person, by whatever route the
            # person has it"
            return {given for chain, given in self.ways(person) if held & set(chain)} if len(held) >= 2 else set()
        # "given at least one permission of at least two lists: everything of these lists is withheld"
        touched = [each for each in separation.between if any(self.gives(person, permission) for permission in each)]
        return set().union(*touched) if len(touched) >= 2 else set()

    def is_caught(self, person: Person, separation: Separation) -> bool:
        if separation.roles:
            return sum(self.holds(person, name) for name in separation.roles) >= 2
        return bool(self.in_conflict(person, separation))

    def holds(self, person: Person, name: str) -> bool:
        # "directly or through a role that inherits them, by match, for_each value, members, everyone or overlap"
        return any(
            name in self.lineage(role) and self.holds_itself(person, role) for role in self.policy.roles.values()
        )

    def lineage(self, role: Role) -> set[str]:
        return {role.name}.union(*(self.lineage(self.policy.roles[name]) for name in role.inherits))

    def holds_itself(self, person: Person, role: Role) -> bool:
        if self.is_named(person, role):
            return True
        return any(
            self.fits(role, assignment) and self.has_values(role, assignment)
            for assignment in [*self.assignments(person), *self.overlapping(person)]
        )

    # service accounts: "only the ceiling and `until`"

    def service_may(self, name: str, permission: Permission) -> bool:
        account = self.policy.service_accounts[name]
        return self.service_gives(name, permission) and self.class_of(permission) <= account.ceiling

    def service_gives(self, name: str, permission: Permission) -> bool:
        account = self.policy.service_accounts[name]
        given: Sequence[Grant] = account.grants if self.within_days(None, account.until) else ()
        return not self.is_over(permission) and any(grant.permission == permission for grant in given)

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
        values = self.values(assignment, compare.attribute)
        test, turned = compare.test, False
        if isinstance(test, Negated):
            test, turned = test.test, True
        # "A blank `set` is the empty set."; otherwise "a comparison with a blank or undeclared value is *unknown*";
        # `absent` says "what a blank means"
        if not values and attribute.kind != AttributeKind.SET:
            return compare.absent
        if isinstance(test, Present):
            return bool(values) != turned
        if isinstance(test, Contains):
            found = [value in values for value in test.values]
            return (all(found) if test.every else any(found)) != turned
        if isinstance(test, Equals):
            return (values[0] in test.values) != turned
        if isinstance(test, Under):
            return any(values[0] == path or lies_below(values[0], path) for path in test.paths) != turned
        assert isinstance(test, Within)
        rank = attribute.ranks[values[0]]
        too_low = test.low is not None and rank < test.low
        too_high = test.high is not None and rank > test.high
        return (not too_low and not too_high) != turned

    # "Days are whole days in the workspace's timezone"; "calendar arithmetic"

    def covers(self, span: Span) -> bool:
        return (span.start is None or span.start <= self.at) and (span.end is None or self.at < span.end)

    def within_days(self, since: date | None, until: date) -> bool:
        today = self.at.astimezone(self.zone).date()
        return (since is None or since <= today) and today <= until

    def midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def later(self, moment: datetime, period: Period) -> datetime:
        if period == Period():
            return moment
        local = moment.astimezone(self.zone).replace(tzinfo=None)
        months = local.year * 12 + local.month - 1 + period.years * 12 + period.months
        year, month = divmod(months, 12)
        day = min(local.day, calendar.monthrange(year, month + 1)[1])
        moved = local.replace(year=year, month=month + 1, day=day) + timedelta(days=period.days)
        return moved.replace(tzinfo=self.zone).astimezone(UTC)


def named(text: str) -> Permission:
    resource, _, action = text.rpartition(":")
    return Permission(resource, action)


def variable_of(resource: str) -> str:
    return resource[resource.index("{") + 1 : resource.index("}")]


def lies_below(path: str, above: str) -> bool:
    """Whether a path of a tree lies under another one, by whole segments."""
    segments, shorter = path.split("/"), above.split("/")
    return len(segments) > len(shorter) and segments[: len(shorter)] == shorter
