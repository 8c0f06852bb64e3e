"""What the lines of a casbin store mean, and what a batch of steps changes in them. No I/O.

A line's meaning is what casbin's own reader makes of it. A line that it cannot read is said so and left alone; a name
that could not be written so that every casbin reads it back unchanged is refused before anything is written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from casbin.model import Model
from casbin.persist import load_policy_line

from adapters.casbin.model import VaultModel
from reconciler.targets import Locator, Op, Outcome, OutcomeKind, Step

FORBIDDEN = frozenset(',"()[]')
"""Characters that some casbin reader takes for syntax: pycasbin nests brackets, others read CSV quotes."""

DONE = Outcome(OutcomeKind.APPLIED)
ALREADY = Outcome(OutcomeKind.ALREADY)


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """A line that counts: ``g`` with subject and role, or ``p`` with subject, object and action."""

    kind: str
    subject: str
    gives: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields as they are written: ptype, v0, v1, …"""
        return (self.kind, self.subject, *self.gives)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that casbin cannot read (`harmful`: it then reads nothing at all, or fails to decide) or passes over."""

    harmful: bool
    reason: str


Meaning = Rule | Unreadable | None


def meaning_of(text: str, probe: Model) -> Meaning:
    """What casbin reads in a line: a rule, nothing (blank, comment), or what is wrong.

    `probe` is a casbin model without lines, and has none afterwards.
    """
    text = text.strip()
    if not text or text.startswith("#"):
        return None
    try:
        load_policy_line(text, probe)
    except Exception:  # casbin raises whatever its parser stumbles over
        return Unreadable(True, "casbin cannot read it (an empty first field, or brackets that do not match)")
    for kind in ("p", "g"):
        lines = probe[kind][kind].policy if kind in probe.model else []
        if lines:
            return _rule(kind, lines.pop())
    return Unreadable(False, f"casbin passes over it: the model has no lines that begin with {text.split(',')[0]!r}")


def _rule(kind: str, fields: Sequence[str]) -> Rule | Unreadable:
    if kind == "p":
        if len(fields) != 3:
            return Unreadable(
                True, f"a p line has a subject, an object and an action; this one has {len(fields)} fields"
            )
        return Rule("p", fields[0], (fields[1], fields[2]))
    if len(fields) < 2:
        return Unreadable(True, "a g line has a subject and a role")
    return Rule("g", fields[0], (fields[1],))  # casbin ignores what follows


def obstacle(name: str) -> str:
    """Why a name cannot be written into a store; empty where it can."""
    if not name or name != name.strip():
        return "it is empty, or begins or ends with space"
    found = sorted(
        {letter for letter in name if letter in FORBIDDEN or unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"}}
    )
    return f"it contains {', '.join(map(repr, found))}, which casbin reads as syntax" if found else ""


def locator_error(locator: Locator) -> str | None:
    """What is wrong with a locator, in words, or None."""
    if set(locator) not in ({"role"}, {"object", "action"}):
        given = ", ".join(sorted(locator)) or "nothing"
        return f"a casbin entitlement is named by `role`, or by `object` and `action`; given: {given}"
    wrong = ((name, problem) for name, value in sorted(locator.items()) if (problem := obstacle(value)))
    return next((f"`{name}` cannot stand in a casbin policy: {problem}" for name, problem in wrong), None)


def given_by(locator: Locator) -> tuple[str, tuple[str, ...]]:
    """The kind of line that gives an entitlement, and what stands in it after the subject."""
    if "role" in locator:
        return "g", (locator["role"],)
    return "p", (locator["object"], locator["action"])


@dataclass(frozen=True, slots=True)
class Edits:
    """What a batch makes of a store: rules whose lines go, rules that get a line, and one outcome per step."""

    removed: frozenset[Rule]
    added: tuple[Rule, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def empty(self) -> bool:
        """Whether the store stays as it is."""
        return not self.removed and not self.added


def edits_for(present: Iterable[Rule], steps: Sequence[Step], model: VaultModel) -> Edits:
    """Carry out the steps on the rules, one after another; what is so already changes nothing."""
    before = frozenset(present)
    held = frozenset(rule.gives[0] for rule in before if rule.kind == "g")
    now = dict.fromkeys(before)
    outcomes = tuple(_refusal(step, held, model) or _carry_out(step, now) for step in steps)
    return Edits(before - now.keys(), tuple(rule for rule in now if rule not in before), outcomes)


def _carry_out(step: Step, now: dict[Rule, None]) -> Outcome:
    kind, gives = given_by(step.locator)
    rule = Rule(kind, step.account or step.account_name, gives)
    if (rule in now) == (step.op is Op.GRANT):
        return ALREADY
    if step.op is Op.GRANT:
        now[rule] = None
    else:
        del now[rule]
    return DONE


def _refusal(step: Step, held: frozenset[str], model: VaultModel) -> Outcome | None:
    """Why this step is not for a casbin store, or None. Taking away is never refused for the looks of a name."""
    if step.op not in (Op.GRANT, Op.REVOKE):
        return _refused(f"a casbin store has no accounts, so {step.op} means nothing here")
    if problem := locator_error(step.locator):
        return _refused(problem)
    return None if step.op is Op.REVOKE else _refusal_to_give(step, held, model)


def _refusal_to_give(step: Step, held: frozenset[str], model: VaultModel) -> Outcome | None:
    if problem := model.obstacle_to(step.locator):
        return _refused(problem)
    if problem := obstacle(step.account):
        return _refused(f"{step.account!r} cannot be written into the store: {problem}")
    if step.account in held or step.account == step.locator.get("role"):
        return _refused(f"{step.account!r} is a role that others hold: they would all be given what is meant for one")
    return None


def _refused(detail: str) -> Outcome:
    return Outcome(OutcomeKind.REFUSED, detail)
