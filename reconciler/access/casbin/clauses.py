"""The policy's clauses as rules over facts: what gives (``allow``), and what stands in the way (``deny``).

Permissions are spoken of in bundles ("what role engineer gives", "what is confidential or higher"), so that a rule
stands once for all of them. Assignments are spoken of by slot: a rule that concerns one assignment stands once for each
slot, and all of its conditions are about the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from reconciler.access.casbin.formula import ALWAYS, Condition, Either, Literal, Term, both, either, negated, terms
from reconciler.access.casbin.names import part
from reconciler.access.casbin.vocabulary import POST, Vocabulary
from reconciler.policy.model import (
    NOTHING,
    ClearanceLevel,
    Compare,
    Compartment,
    Grant,
    Match,
    Permission,
    Policy,
    Proof,
    Requirement,
    Role,
    Separation,
    StateRule,
)

PERSON, ACCOUNT = "person", "account"
IN_POST = "in post"
ACTIVE = "active"
LOCKED_OUT = "locked out"
PREBOARDING, NOTICE, LEAVE, EXITED = "state preboarding", "state notice", "state leave", "state exited"


@dataclass(frozen=True, slots=True)
class Rule:
    """Whoever fulfils the term may, or may not, do what is in the bundle and not in the bundle `beyond`."""

    bundle: str
    term: Term
    allows: bool
    beyond: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to come by something: a condition, the slot that it speaks of and, for what an overlap gives, the bundle
    that it does not reach.
    """

    condition: Condition
    slot: str = ""
    beyond: str = ""


@dataclass(slots=True)
class Clauses:
    """Rules and bundles of a policy, for so many slots. `given` are the permissions that clauses give at the moment:
    all of the policy's but those of resources past their last day.
    """

    policy: Policy
    words: Vocabulary
    slots: tuple[str, ...]
    former: tuple[str, ...]
    given: frozenset[Permission]
    bundles: dict[str, frozenset[Permission]] = field(default_factory=dict)

    def rules(self) -> Iterator[Rule]:
        """All of them: what gives first."""
        yield from self._roles()
        yield from self._exceptions()
        yield from self._service_accounts()
        yield from self._clearances()
        yield from self._compartments()
        yield from self._states()
        yield from self._lockouts()
        yield from self._sponsors()
        for separation in self.policy.separations:
            if separation.withhold:
                yield from self._by_roles(separation) if separation.roles else self._between(separation)

    # --- what gives -------------------------------------------------------------------------------------------------

    def _roles(self) -> Iterator[Rule]:
        for role in self.policy.roles.values():
            for index, (when, permissions) in enumerate(_by_when(role, role.all_grants)):
                bundle = self._bundle(f"by role {part(role.name)} {index + 1}", permissions)
                for way in self._ways(role, when):
                    yield from self._allowing(bundle, way)

    def _exceptions(self) -> Iterator[Rule]:
        for index, exception in enumerate(self.policy.exceptions):
            fact = exception_fact(index)
            bundle = self._bundle(f"by {fact}", (grant.permission for grant in exception.grants))
            yield from self._allowing(bundle, Way(Literal(fact)))

    def _service_accounts(self) -> Iterator[Rule]:
        for account in self.policy.service_accounts.values():
            fact = Literal(service_fact(account.name))
            bundle = self._bundle(f"by {service_fact(account.name)}", (grant.permission for grant in account.grants))
            yield from self._allowing(bundle, Way(fact), sort=ACCOUNT)
            yield from self._denying(self._above(account.ceiling), fact)

    def _ways(self, role: Role, when: Match | None) -> Iterator[Way]:
        """How a person comes to be given the role's grants that stand under `when`."""
        if role.matches_people:
            for slot in self.slots:
                yield Way(self._fits(role, when, slot), slot)
            for slot in self.former:
                yield Way(both(Literal(ACTIVE), self._fits(role, when, slot)), slot, self._beyond_overlap())
        if role.everyone:
            yield Way(Literal(IN_POST))
        if role.members:
            yield Way(both(Literal(member_fact(role.name)), Literal(IN_POST)))

    def _fits(self, role: Role, when: Match | None, slot: str) -> Condition:
        return both(Literal(POST, slot), self.words.true(role.match, slot), self.words.true(when, slot))

    def _beyond_overlap(self) -> str:
        overlap = self.policy.lifecycle.transfer
        return self._above(NOTHING if overlap is None else overlap.ceiling)

    # --- clearance --------------------------------------------------------------------------------------------------

    def _clearances(self) -> Iterator[Rule]:
        for level in self.policy.levels:
            yield from self._clearance(self._above(level.rank - 1), level)

    def _compartments(self) -> Iterator[Rule]:
        for compartment in self.policy.compartments.values():
            inside = (p for p in self.given if compartment.name in self.policy.effective_compartments(p))
            yield from self._clearance(self._bundle(f"in {part(compartment.name)}", inside), compartment)

    def _clearance(self, bundle: str, clause: ClearanceLevel | Compartment) -> Iterator[Rule]:
        for requirement in clause.requires:
            yield from self._denying(bundle, Literal(PERSON), self._unmet(requirement))
        if clause.only is not None:
            outside = (self._in_slot(slot, negated(self.words.true(clause.only, slot))) for slot in self.slots)
            yield from self._denying(bundle, Literal(PERSON), either(_out_of_post(), *outside))

    def _unmet(self, requirement: Requirement) -> Condition:
        lacking = (negated(Literal(proof_fact(proof))) for proof in requirement.any_of)
        concerned = (self._concerned(proof) for proof in requirement.any_of)
        return both(*lacking, either(*concerned))

    def _concerned(self, proof: Proof) -> Condition:
        """When a proof is asked for: unless `applies_to` is false of every assignment."""
        applies_to = self.policy.evidence[proof.kind].applies_to
        if applies_to is None:
            return ALWAYS
        return either(_out_of_post(), *(self._not_false(applies_to, slot) for slot in self.slots))

    # --- lifecycle, lockouts, sponsors --------------------------------------------------------------------------------

    def _states(self) -> Iterator[Rule]:
        lifecycle = self.policy.lifecycle
        yield from self._denying(self._above(NOTHING), Literal(EXITED))
        yield from self._state(PREBOARDING, lifecycle.preboarding)
        yield from self._state(NOTICE, lifecycle.notice)
        yield from self._state(LEAVE, lifecycle.leave)
        # Preboarding gives nothing where no rule fits an assignment, and where there is no rule.
        unfit = (self._in_slot(slot, *self._falsities(lifecycle.preboarding, slot)) for slot in self.slots)
        nobodys = () if lifecycle.preboarding else (_out_of_post(),)
        yield from self._denying(self._above(NOTHING), Literal(PREBOARDING), either(*unfit, *nobodys))

    def _state(self, state: str, rules: tuple[StateRule, ...]) -> Iterator[Rule]:
        for index, rule in enumerate(rules):
            ceiling = NOTHING if rule.suspend else rule.ceiling
            if ceiling is None:
                continue
            first = (
                self._in_slot(slot, *self._falsities(rules[:index], slot), self._not_false(rule.match, slot))
                for slot in self.slots
            )
            begun = Literal(leave_fact(index)) if state == LEAVE else Literal(state)
            yield from self._denying(self._above(ceiling), begun, either(_out_of_post(), *first))

    def _falsities(self, rules: Iterable[StateRule], slot: str) -> Iterator[Condition]:
        return (self.words.false(rule.match, slot) for rule in rules)

    def _lockouts(self) -> Iterator[Rule]:
        yield from self._denying(self._above(NOTHING), Literal(LOCKED_OUT))
        for index, lockout in enumerate(self.policy.lockouts):
            names = lockout.resources
            inside = (p for p in self.given if names is None or p.resource in names)
            yield from self._denying(self._bundle(lockout_fact(index), inside), Literal(lockout_fact(index)))

    def _sponsors(self) -> Iterator[Rule]:
        for index, rule in enumerate(self.policy.sponsors):
            for slot in self.slots:
                unanswered = Literal(sponsor_fact(index), slot, holds=False)
                yield from self._denying(self._above(NOTHING), self._not_false(rule.of, slot), unanswered)
                if rule.ends:
                    endless = Literal(end_fact(index), slot, holds=False)
                    yield from self._denying(self._above(NOTHING), self._not_false(rule.of, slot), endless)

    # --- separation -------------------------------------------------------------------------------------------------

    def _by_roles(self, separation: Separation) -> Iterator[Rule]:
        """What one of two conflicting roles gives is denied to whoever holds the other one too."""
        for name in separation.roles:
            others = [each for each in separation.roles if each != name]
            held = either(*(condition for other in others for condition in self._held(other)))
            for bundle, way in self._given_by(name, separation):
                yield from self._denying(bundle, way.condition, held, beyond=way.beyond)

    def _held(self, name: str) -> Iterator[Condition]:
        for role in self.policy.roles.values():
            if name in self._lineage(role):
                yield from (self._holding(role, way) for way in self._ways(role, None))

    def _holding(self, role: Role, way: Way) -> Condition:
        bound = (self.words.present(each.attribute, way.slot) for each in role.for_each if way.slot)
        return both(way.condition, *bound)

    def _given_by(self, name: str, separation: Separation) -> Iterator[tuple[str, Way]]:
        """What a role gives, through whatever role is held."""
        ancestry = self._lineage(self.policy.roles[name])
        for role in self.policy.roles.values():
            if name not in self._lineage(role):
                continue
            grants = ((grant, chain) for grant, chain in role.all_grants if chain[-1] in ancestry)
            for index, (when, permissions) in enumerate(_by_when(role, grants)):
                title = f"of {part(name)} by {part(role.name)} {index + 1} apart by {part(separation.name)}"
                bundle = self._bundle(title, permissions)
                yield from ((bundle, self._while_held(name, role, way)) for way in self._ways(role, when))

    def _while_held(self, name: str, role: Role, way: Way) -> Way:
        """Of several variables one alone may give something, where the role is not yet held."""
        if len(role.for_each) < 2:
            return way
        return replace(way, condition=both(way.condition, either(*self._held(name))))

    def _lineage(self, role: Role) -> frozenset[str]:
        """The role and all that it inherits."""
        return frozenset({role.name}).union(*(self._lineage(self.policy.roles[name]) for name in role.inherits))

    def _between(self, separation: Separation) -> Iterator[Rule]:
        """What stands on one list is denied to whoever is given something of another one."""
        for index, here in enumerate(separation.between):
            elsewhere = [each for other, each in enumerate(separation.between) if other != index]
            bundle = self._bundle(f"on list {index + 1} of {part(separation.name)}", here)
            yield from self._denying(bundle, either(*(self._given_any(each) for each in elsewhere)))

    def _given_any(self, permissions: frozenset[Permission]) -> Condition:
        return Either(tuple(self._givings(permissions & self.given)))

    def _givings(self, permissions: frozenset[Permission]) -> Iterator[Condition]:
        for role in self.policy.roles.values():
            for when, given in _by_when(role, role.all_grants):
                for way in self._ways(role, when):
                    if permissions.intersection(given) - self.bundles.get(way.beyond, frozenset()):
                        yield way.condition
        for index, exception in enumerate(self.policy.exceptions):
            if any(grant.permission in permissions for grant in exception.grants):
                yield Literal(exception_fact(index))

    # --- the pieces -------------------------------------------------------------------------------------------------

    def _in_slot(self, slot: str, *conditions: Condition) -> Condition:
        return both(Literal(POST, slot), *conditions)

    def _not_false(self, match: Match | None, slot: str) -> Condition:
        return self._in_slot(slot, negated(self.words.false(match, slot)))

    def _bundle(self, name: str, permissions: Iterable[Permission]) -> str:
        self.bundles[name] = frozenset(permissions) & self.given
        return name

    def _above(self, ceiling: int) -> str:
        """The bundle of all that a ceiling does not admit."""
        lowest = ceiling + 1
        title = (
            f"from {part(self.policy.levels[lowest].name)} upwards" if lowest < len(self.policy.levels) else "beyond"
        )
        if title in self.bundles:
            return title
        return self._bundle(title, (p for p in self.given if self.policy.effective_class(p) > ceiling))

    def _allowing(self, bundle: str, way: Way, *, sort: str = PERSON) -> Iterator[Rule]:
        """Only persons and accounts bear their `sort`: so a request that names a fact as its subject gets nothing."""
        if self.bundles[bundle]:
            condition = both(Literal(sort), way.condition)
            yield from (Rule(bundle, term, True, way.beyond) for term in _tidy(terms(condition)))

    def _denying(self, bundle: str, *conditions: Condition, beyond: str = "") -> Iterator[Rule]:
        if self.bundles[bundle]:
            yield from (Rule(bundle, term, False, beyond) for term in _tidy(terms(both(*conditions))))


def exception_fact(index: int) -> str:
    """That an exception of this person's is live."""
    return f"exception {index + 1}"


def service_fact(name: str) -> str:
    """That this is that service account, before its end."""
    return f"service account {part(name)}"


def member_fact(role: str) -> str:
    """That the role names the person, at the moment."""
    return f"member of {part(role)}"


def proof_fact(proof: Proof) -> str:
    """That the person has a valid proof."""
    return f"proof {part(proof.kind)}" + (f" of {part(proof.scope)}" if proof.scope else "")


def lockout_fact(index: int) -> str:
    """That a lockout of the policy has begun for this person."""
    return f"lockout {index + 1}"


def leave_fact(index: int) -> str:
    """That the person is on leave, and so long that the rule has begun."""
    return f"leave rule {index + 1} begun"


def sponsor_fact(index: int) -> str:
    """That somebody answers for the assignment, as the sponsor rule asks."""
    return f"answered for by sponsor rule {index + 1}"


def end_fact(index: int) -> str:
    """That the assignment ends some day, as the sponsor rule asks."""
    return f"ends as sponsor rule {index + 1} asks"


def _out_of_post() -> Condition:
    return Literal(IN_POST, holds=False)


def _by_when(
    role: Role, grants: Iterable[tuple[Grant, tuple[str, ...]]]
) -> list[tuple[Match | None, frozenset[Permission]]]:
    """The grants by what has to hold of the assignment, in the order of the policy."""
    found: dict[object, tuple[Match | None, set[Permission]]] = {}
    for grant, _ in grants:
        found.setdefault(_shape(grant.when), (grant.when, set()))[1].add(grant.permission)
    return [(when, frozenset(permissions)) for when, permissions in found.values()]


def _shape(match: Match | None) -> object:
    """The match without the places where it stands, to tell equal ones."""
    if match is None:
        return None
    if isinstance(match, Compare):
        return match.attribute, match.test, match.absent
    return type(match), tuple(_shape(each) for each in match.parts)


def _tidy(found: Iterable[Term]) -> Iterator[Term]:
    """Without saying that there is an assignment where another fact of it says so."""
    for term in found:
        said = {literal.slot for literal in term if literal.holds and literal.fact != POST}
        yield frozenset(literal for literal in term if literal.fact != POST or literal.slot not in said)
