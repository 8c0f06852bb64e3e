"""Pure: policy × population × moment → desired access, and explanations.

`evaluate` answers for everybody, in bitmaps and without reasons; `explain` answers for one subject, with all of them.
"""

from __future__ import annotations

from reconciler.access.clearance import clearance_of
from reconciler.access.days import add_period, day_end, day_start
from reconciler.access.evaluate import evaluate, withheld
from reconciler.access.explain import Explainer, explain, explain_many
from reconciler.access.model import (
    Breach,
    Conflict,
    Denial,
    DenialKind,
    Desired,
    EvidenceState,
    Explanation,
    GivenBy,
    LifecycleState,
    Reason,
    ReasonKind,
    UndeclaredValue,
    UnlistedValue,
)
from reconciler.access.sponsorship import people_needed, people_sponsored
from reconciler.access.subject import UnknownPermission, UnknownPerson
from reconciler.access.violations import breaches, violations

__all__ = [
    "Breach",
    "Conflict",
    "Denial",
    "DenialKind",
    "Desired",
    "EvidenceState",
    "Explainer",
    "Explanation",
    "GivenBy",
    "LifecycleState",
    "Reason",
    "ReasonKind",
    "UndeclaredValue",
    "UnknownPermission",
    "UnknownPerson",
    "UnlistedValue",
    "add_period",
    "breaches",
    "clearance_of",
    "day_end",
    "day_start",
    "evaluate",
    "explain",
    "explain_many",
    "people_needed",
    "people_sponsored",
    "violations",
    "withheld",
]
