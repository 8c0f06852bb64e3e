"""Pure: policy × population × moment → desired access, and explanations.

`evaluate` answers for everybody, in bitmaps and without reasons; `explain` answers for one subject, with all of them.
"""

from __future__ import annotations

from reconciler.access.clearance import clearance_of
from reconciler.access.days import add_period, day_end, day_start
from reconciler.access.evaluate import evaluate, withheld
from reconciler.access.explain import Explainer, explain, explain_many
from reconciler.access.model import (
    Denial,
    DenialKind,
    Desired,
    EvidenceState,
    Explanation,
    LifecycleState,
    Reason,
    ReasonKind,
    UndeclaredValue,
)
from reconciler.access.subject import UnknownPermission, UnknownPerson

__all__ = [
    "Denial",
    "DenialKind",
    "Desired",
    "EvidenceState",
    "Explainer",
    "Explanation",
    "LifecycleState",
    "Reason",
    "ReasonKind",
    "UndeclaredValue",
    "UnknownPermission",
    "UnknownPerson",
    "add_period",
    "clearance_of",
    "day_end",
    "day_start",
    "evaluate",
    "explain",
    "explain_many",
    "withheld",
]
