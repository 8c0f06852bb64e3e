"""YAML with positions → a checked policy.

`check_policy` says all that is wrong with a policy tree, `load_policy` gives the policy or raises. Both take texts with
the names to show for them, and touch nothing outside: no file, no clock. What a policy *is* stands in `model`, what it
means for people is the business of `reconciler.access`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from reconciler.errors import Problem, ProblemsFound
from reconciler.policy.compile import compile_policy, policy_digest
from reconciler.policy.lint import lint_policy
from reconciler.policy.model import Policy
from reconciler.policy.periods import BadPeriod, parse_period
from reconciler.policy.reading import read_documents
from reconciler.policy.report import Report
from reconciler.policy.schema import json_schema

__all__ = ["BadPeriod", "check_policy", "json_schema", "load_policy", "parse_period", "policy_digest"]


def check_policy(
    files: Mapping[str, bytes], *, revision: str = "", today: date | None = None
) -> tuple[Policy | None, tuple[Problem, ...]]:
    """The policy, or None where there is any error; and all problems in the order of their places.

    `files` maps each file's name, as it is to be shown, to its content. Problems are errors and, where there is no
    error, warnings; those that ask about time only where `today` is given.
    """
    report = Report()
    policy = compile_policy(read_documents(files, report), files, revision, report)
    if report.failed:
        return None, report.problems()
    for warning in lint_policy(policy, today):
        report.warn(warning.code, warning.message, warning.place, warning.remedy)
    return policy, report.problems()


def load_policy(files: Mapping[str, bytes], *, revision: str) -> Policy:
    """The policy. Raises `ProblemsFound`, with all problems, where there is any error."""
    policy, problems = check_policy(files, revision=revision)
    if policy is None:
        raise ProblemsFound("policies", problems)
    return policy
