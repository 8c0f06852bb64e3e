"""Pure: desired × actual → plan. Linking, the difference, causes, guards, order, the artefact and how it reads."""

from reconciler.plan.build import make_plan
from reconciler.plan.model import Cause, CauseKind, Change, Finding, Held, Plan, Withheld
from reconciler.plan.situation import Situation, TargetView

__all__ = [
    "Cause",
    "CauseKind",
    "Change",
    "Finding",
    "Held",
    "Plan",
    "Situation",
    "TargetView",
    "Withheld",
    "make_plan",
]
