"""What the Authorization API takes and answers.

Source: OpenID AuthZEN, Authorization API 1.0 (information model, access evaluation, access evaluations, search). What
it does not name is ignored, as it asks.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Action",
    "ActionSearch",
    "ActionsFound",
    "Decision",
    "DecisionContext",
    "Decisions",
    "Evaluation",
    "Evaluations",
    "Metadata",
    "PageGiven",
    "PageTold",
    "Reason",
    "Resource",
    "ResourceSearch",
    "ResourcesFound",
    "Semantic",
    "Subject",
    "SubjectSearch",
    "SubjectsFound",
]

MOST = 1000
"""So many evaluations in one request."""

Semantic = Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"]


class _Asked(BaseModel):
    model_config = ConfigDict(strict=True)


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid")


# --- asked ------------------------------------------------------------------------------------------------------------


class Subject(_Asked):
    """Who: `type` is `person` (or `user`), the id the stable one; or `service_account`, the id its name."""

    type: str
    id: str
    properties: dict[str, Any] = {}


class Resource(_Asked):
    """What: `type` is `resource` or `document`, the id the resource's name in the policies."""

    type: str
    id: str
    properties: dict[str, Any] = {}


class Action(_Asked):
    """What is to be done with it, as the policies name it: `read`, `write`, …"""

    name: str
    properties: dict[str, Any] = {}


class OfType(_Asked):
    """What is searched for. An id is ignored."""

    type: str


class Evaluation(_Asked):
    """One question. The context is ignored: the answer is of now."""

    subject: Subject
    action: Action
    resource: Resource
    context: dict[str, Any] = {}


class PartOfEvaluation(_Asked):
    """One of several questions. What it leaves out is said for all of them."""

    subject: Subject | None = None
    action: Action | None = None
    resource: Resource | None = None
    context: dict[str, Any] | None = None


class Options(_Asked):
    """How several are answered."""

    evaluations_semantic: Semantic = "execute_all"


class Evaluations(PartOfEvaluation):
    """Several questions at once; without `evaluations`, or with an empty list, it is one."""

    evaluations: list[PartOfEvaluation] = Field(default=[], max_length=MOST)
    options: Options = Options()


class PageGiven(_Asked):
    """Which part of a long answer."""

    token: str = Field(default="", max_length=2000)
    limit: int | None = Field(default=None, ge=0, le=1 << 53)


class SubjectSearch(_Asked):
    """Who may do that."""

    subject: OfType
    action: Action
    resource: Resource
    page: PageGiven = PageGiven()


class ResourceSearch(_Asked):
    """With what somebody may do that."""

    subject: Subject
    action: Action
    resource: OfType
    page: PageGiven = PageGiven()


class ActionSearch(_Asked):
    """What somebody may do with it."""

    subject: Subject
    resource: Resource
    page: PageGiven = PageGiven()


# --- told -------------------------------------------------------------------------------------------------------------


class Reason(_Told):
    """Why not. `kind` and `what` are stable; `text` is for people, `remedy` what would change it."""

    kind: str
    what: str
    text: str
    remedy: str = ""


class DecisionContext(_Told):
    """By which policy and which entry of the record it is, and at what moment. `until`: when a yes ends if nothing but
    time passes; left out where it does not. `reasons` are those of a no.
    """

    at: str
    policy: str
    ledger_seq: int
    until: str | None = None
    reasons: list[Reason] | None = None


class Decision(_Told):
    """Yes or no."""

    decision: bool
    context: DecisionContext


class Decisions(_Told):
    """One for each question, in their order; fewer where one of them settled it."""

    evaluations: list[Decision]


class PageTold(_Told):
    """`next_token` is blank on the last page."""

    next_token: str
    count: int
    total: int


class SubjectFound(_Told):
    """One who may."""

    type: str
    id: str


class ResourceFound(_Told):
    """One with which they may."""

    type: str
    id: str


class ActionFound(_Told):
    """One that they may."""

    name: str


class SubjectsFound(_Told):
    """Who may."""

    page: PageTold
    results: list[SubjectFound]


class ResourcesFound(_Told):
    """With what they may."""

    page: PageTold
    results: list[ResourceFound]


class ActionsFound(_Told):
    """What they may."""

    page: PageTold
    results: list[ActionFound]


class Metadata(_Told):
    """Where what is."""

    policy_decision_point: str
    access_evaluation_endpoint: str
    access_evaluations_endpoint: str
    search_subject_endpoint: str
    search_resource_endpoint: str
    search_action_endpoint: str
