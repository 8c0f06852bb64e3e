"""The two files: facts and rules, written for a casbin enforcer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import ClassVar

from reconciler.access.casbin import clauses
from reconciler.access.casbin.clauses import Clauses, Rule
from reconciler.access.casbin.formula import Literal
from reconciler.access.casbin.names import NOTHING, casbin_name, made_up
from reconciler.access.casbin.records import Records, Standing
from reconciler.access.casbin.vocabulary import Vocabulary
from reconciler.errors import ReconcilerError
from reconciler.facts.model import Assignment, Population
from reconciler.policy.model import Permission, Policy, Requirement


class AmbiguousSubject(ReconcilerError):
    """A service account is called what a person's id is: a request could mean either."""

    code: ClassVar[str] = "ambiguous-subject"


@dataclass(frozen=True, slots=True)
class CasbinFiles:
    """A casbin model (``model.conf``) and a policy (``policy.csv``), as texts that end with a line end."""

    model: str
    policy: str


def casbin_export(policy: Policy, population: Population, at: datetime) -> CasbinFiles:
    """The decisions of the moment, for a request of person id (or service account), resource and action.

    Raises `AmbiguousSubject`.
    """
    _check_subjects(policy, population)
    records = Records(policy, population, at)
    people = [records.standing(person) for person in population]
    words = Vocabulary(policy.attributes)
    rules, bundles = _rules(policy, records, people, words)
    yes = max((sum(each.holds for each in rule.term) for rule in rules), default=0)
    no = max((sum(not each.holds for each in rule.term) for rule in rules), default=0)
    head = _head(policy, population, at)
    lines = chain(
        _rule_lines(rules, bundles, yes, no),
        _bundle_lines(bundles),
        _links(words, people),
        *(_facts_of(records, standing, words) for standing in people),
        _facts_of_accounts(records),
    )
    return CasbinFiles(
        model=head + _model(yes, no), policy=head + "".join(f"{line}\n" for line in dict.fromkeys(lines))
    )


def _check_subjects(policy: Policy, population: Population) -> None:
    for name, account in policy.service_accounts.items():
        if name in population.by_id:
            message = f"service account `{name}`: a person has this id, so that a casbin request could mean either"
            raise AmbiguousSubject(message, place=account.place, remedy="rename the service account")


def _rules(
    policy: Policy, records: Records, people: list[Standing], words: Vocabulary
) -> tuple[list[Rule], dict[str, frozenset[Permission]]]:
    slots = max((len(each.counting) for each in people), default=0)
    former = max((len(each.former) for each in people), default=0)
    written = Clauses(
        policy,
        words,
        _slots("", slots),
        _slots("former ", former),
        frozenset(permission for permission in policy.permissions() if not records.is_over(permission)),
    )
    rules = list(dict.fromkeys(written.rules()))
    used = {name for rule in rules for name in (rule.bundle, rule.beyond)}
    return rules, {name: permissions for name, permissions in written.bundles.items() if name in used}


def _slots(word: str, count: int) -> tuple[str, ...]:
    return tuple(f"{word}post {number}" for number in range(1, count + 1))


# --- texts ----------------------------------------------------------------------------------------------------------


def _head(policy: Policy, population: Population, at: datetime) -> str:
    lines = (
        f"who may do what on {at.astimezone(UTC).isoformat(timespec='microseconds')}, and at no other moment",
        f"policy {casbin_name(policy.digest)}; facts up to ledger entry {population.ledger_seq}",
        f"{len(population.people)} people; days are those of {casbin_name(population.timezone)}",
    )
    return "".join(f"# {line}\n" for line in lines)


def _model(yes: int, no: int) -> str:
    wanted = [f"yes{number}" for number in range(1, yes + 1)]
    barred = [f"no{number}" for number in range(1, no + 1)]
    parts = [
        "r.act == p.act && g2(r.obj, p.obj)",
        f'(p.beyond == "{NOTHING}" || !g2(r.obj, p.beyond))',
        *(f'(p.{name} == "{NOTHING}" || g(r.sub, p.{name}))' for name in wanted),
        *(f'(p.{name} == "{NOTHING}" || !g(r.sub, p.{name}))' for name in barred),
    ]
    return f"""
[request_definition]
r = sub, obj, act

[policy_definition]
p = {", ".join(["obj", "act", "beyond", *wanted, *barred, "eft"])}

[role_definition]
g = _, _
g2 = _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = {" && ".join(parts)}
"""


def _rule_lines(rules: Iterable[Rule], bundles: dict[str, frozenset[Permission]], yes: int, no: int) -> Iterator[str]:
    for rule in rules:
        wanted = _columns((each for each in rule.term if each.holds), yes)
        barred = _columns((each for each in rule.term if not each.holds), no)
        for action in sorted({permission.action for permission in bundles[rule.bundle]}):
            beyond = _bundle_name(rule.beyond, action) if bundles.get(rule.beyond) else NOTHING
            effect = "allow" if rule.allows else "deny"
            yield _line("p", _bundle_name(rule.bundle, action), casbin_name(action), beyond, *wanted, *barred, effect)


def _columns(literals: Iterable[Literal], width: int) -> list[str]:
    facts = sorted(made_up(each.slot, each.fact) for each in literals)
    return facts + [NOTHING] * (width - len(facts))


def _bundle_lines(bundles: dict[str, frozenset[Permission]]) -> Iterator[str]:
    for name, permissions in bundles.items():
        for permission in sorted(permissions):
            yield _line("g2", casbin_name(permission.resource), _bundle_name(name, permission.action))


def _bundle_name(name: str, action: str) -> str:
    return made_up(f"{casbin_name(action)}:", name)


def _links(words: Vocabulary, people: list[Standing]) -> Iterator[str]:
    slots: dict[str, list[Assignment]] = {}
    for standing in people:
        for slot, assignment in _placed(standing):
            slots.setdefault(slot, []).append(assignment)
    for slot, assignments in sorted(slots.items()):
        for source, target in words.links(each.attributes for each in assignments):
            yield _line("g", made_up(slot, source), made_up(slot, target))


def _placed(standing: Standing) -> Iterator[tuple[str, Assignment]]:
    yield from zip(_slots("", len(standing.counting)), standing.counting, strict=True)
    yield from zip(_slots("former ", len(standing.former)), standing.former, strict=True)


def _line(*fields: str) -> str:
    return ", ".join(fields)


# --- facts ----------------------------------------------------------------------------------------------------------


def _facts_of(records: Records, standing: Standing, words: Vocabulary) -> Iterator[str]:
    subject = casbin_name(standing.person.id)
    for fact in chain(_states(records, standing), _proofs(records, standing), _clauses(records, standing)):
        yield _line("g", subject, made_up(fact))
    for slot, assignment in _placed(standing):
        for fact in chain(words.facts(assignment.attributes), _sponsored(records, standing, assignment)):
            yield _line("g", subject, made_up(slot, fact))


def _states(records: Records, standing: Standing) -> Iterator[str]:
    yield clauses.PERSON
    states = {
        clauses.IN_POST: bool(standing.counting),
        clauses.ACTIVE: standing.active,
        clauses.PREBOARDING: standing.preboarding,
        clauses.NOTICE: standing.notice,
        clauses.EXITED: standing.exited,
        clauses.LOCKED_OUT: any(span.covers(records.at) for span in standing.person.lockouts),
    }
    yield from (fact for fact, holds in states.items() if holds)
    for index, rule in enumerate(records.policy.lifecycle.leave):
        if standing.leave and records.begun(rule, standing.person):
            yield clauses.leave_fact(index)


def _proofs(records: Records, standing: Standing) -> Iterator[str]:
    asked = dict.fromkeys(proof for requirement in _requirements(records.policy) for proof in requirement.any_of)
    yield from (clauses.proof_fact(proof) for proof in records.proven(standing.person, asked))


def _requirements(policy: Policy) -> Iterator[Requirement]:
    for level in policy.levels:
        yield from level.requires
    for compartment in policy.compartments.values():
        yield from compartment.requires


def _clauses(records: Records, standing: Standing) -> Iterator[str]:
    """The clauses that name the person, and hold at the moment."""
    policy, person = records.policy, standing.person.id
    for role in policy.roles.values():
        if any(each.person == person and records.covers(each.since, each.until) for each in role.members):
            yield clauses.member_fact(role.name)
    for index, exception in enumerate(policy.exceptions):
        if exception.person == person and records.covers(exception.since, exception.until):
            yield clauses.exception_fact(index)
    for index, lockout in enumerate(policy.lockouts):
        if lockout.person == person and records.covers(lockout.since, None):
            yield clauses.lockout_fact(index)


def _sponsored(records: Records, standing: Standing, assignment: Assignment) -> Iterator[str]:
    for index, rule in enumerate(records.policy.sponsors):
        if records.is_answered_for(standing.person, assignment, rule):
            yield clauses.sponsor_fact(index)
        if rule.ends and records.has_end(standing.person, assignment, rule):
            yield clauses.end_fact(index)


def _facts_of_accounts(records: Records) -> Iterator[str]:
    for account in records.policy.service_accounts.values():
        if records.covers(None, account.until):
            for fact in (clauses.ACCOUNT, clauses.service_fact(account.name)):
                yield _line("g", casbin_name(account.name), made_up(fact))
