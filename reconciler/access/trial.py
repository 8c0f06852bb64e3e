"""Runs the tests that stand beside a policy, and says what they leave untried.

Every expectation is answered twice, by `evaluate` and by `explain`, and fails where those two differ, whatever was
expected. `coverage` says what counts as tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from reconciler.access.coverage import Coverage, Tried, coverage_of
from reconciler.access.evaluate import evaluate
from reconciler.access.explain import Explainer
from reconciler.access.model import Desired, Explanation
from reconciler.access.supposing import moment_of_test, population_of
from reconciler.policy.model import Policy, PolicyTest
from reconciler.policy.supposed import Expectation


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of one expectation. `text` says what came out instead, and why; "" where it passed."""

    test: PolicyTest
    expectation: Expectation
    passed: bool
    text: str
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class TrialRun:
    """All tests of a policy, run: an answer for each expectation, in the order of the policy."""

    results: tuple[TrialResult, ...]
    coverage: Coverage

    @property
    def failed(self) -> tuple[TrialResult, ...]:
        """The expectations that were not met."""
        return tuple(result for result in self.results if not result.passed)


def run_trials(policy: Policy, timezone: str) -> TrialRun:
    """Runs the policy's tests; `timezone` (IANA name) says what a day means."""
    results: list[TrialResult] = []
    tried: list[Tried] = []
    for test in policy.tests:
        population, moment = population_of(test, timezone), moment_of_test(test, ZoneInfo(timezone))
        desired = evaluate(policy, population, moment)
        explainer = Explainer(policy, population, moment)
        found = [_result(test, each, explainer, desired) for each in test.expects]
        results += found
        tried.append(
            Tried(
                person=test.person.id,
                held=explainer.dossier(test.person.id).roles_held(),
                conflicts=frozenset(each.separation.name for each in desired.conflicts if 0 in each.people),
                passed=tuple(each.explanation for each in found if each.passed),
                day=test.on,
            )
        )
    return TrialRun(tuple(results), coverage_of(policy, tried))


def _result(test: PolicyTest, expectation: Expectation, explainer: Explainer, desired: Desired) -> TrialResult:
    explanation = explainer.explain(test.person.id, expectation.permission)
    text = _disagreement(explanation, desired) or _complaint(expectation, explanation)
    return TrialResult(test, expectation, not text, text, explanation)


def _disagreement(explanation: Explanation, desired: Desired) -> str:
    evaluated = 0 in desired.given[explanation.permission], 0 in desired.allowed[explanation.permission]
    explained = bool(explanation.reasons), explanation.allowed
    if evaluated == explained:
        return ""
    return (
        f"evaluation says {_outcome(*evaluated)}, explanation says {_outcome(*explained)}: "
        "this is a defect of the reconciler, please report it"
    )


def _outcome(given: bool, allowed: bool) -> str:
    return "allowed" if allowed else "withheld" if given else "not given"


def _complaint(expectation: Expectation, found: Explanation) -> str:
    """What came out instead of what was expected, "" where it is that."""
    if expectation.withheld is not None:
        return _not_withheld(expectation.withheld, found)
    if expectation.can == found.allowed:
        return ""
    return f"cannot: {told(found)}" if expectation.can else f"can: {told(found)}"


def _not_withheld(expected: tuple[str, ...], found: Explanation) -> str:
    if found.allowed:
        return f"can, and is not withheld: {told(found)}"
    if not found.reasons:
        return f"is not withheld, since nothing gives it: {told(found)}"
    words = list(dict.fromkeys(denial.what for denial in found.denials))
    if set(words) == set(expected):
        return ""
    more = [word for word in words if word not in expected]
    less = [word for word in expected if word not in words]
    parts = [f"also for {', '.join(more)}"] if more else []
    parts += [f"not for {', '.join(less)}"] if less else []
    return f"is withheld {' and '.join(parts)}: {told(found)}"


def told(found: Explanation) -> str:
    """Why an answer is what it is, in a line: the strongest reason, all denials, or the nearest way."""
    if found.allowed:
        return found.reasons[0].text
    if found.reasons:
        return "; ".join(denial.text for denial in found.denials)
    return "; ".join(_nearest(found)) or "no role and no exception gives it"


def _nearest(found: Explanation) -> Iterator[str]:
    for way in found.ways[:1]:
        lacking = ", ".join(fact.text for fact in way.lacking)
        yield f"role {way.roles[0]} would give it, which lacks {lacking}" if way.roles else lacking
