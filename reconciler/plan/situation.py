"""What a plan is made from, as values: policy, people, what every target said, and what the record remembers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.access.model import Desired
from reconciler.facts.model import Population
from reconciler.plan.causes import Baseline, Memory
from reconciler.plan.guards import Approvals
from reconciler.plan.undoing import Pin
from reconciler.policy.model import EntitlementRef, Guards, Policy
from reconciler.targets import Capabilities, Observation


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target as this pass sees it: what it said (None: nothing, for the reason in `error`) and how to treat it."""

    capabilities: Capabilities
    match_attributes: Sequence[str]
    observation: Observation | None
    error: str = ""
    revoke_foreign: bool = False
    disable_orphans: bool = False
    creation_attributes: Sequence[str] = ()
    """What has to be known of a person to create their account."""
    creation_problem: Callable[[Mapping[str, str]], str | None] = lambda _person: None
    """Why the target would not have the account of a person of whom this is known; asks nobody."""
    remembered: Mapping[str, str] = field(default_factory=dict)
    """Account key → person id, as linked before."""
    disabled_here: Mapping[str, datetime] = field(default_factory=dict)
    """Keys of the accounts that a run of ours disabled, and that none has enabled since; and when it did."""
    sessions_left: frozenset[str] = frozenset()
    """Keys of those among them whose sessions no run of ours has ended since."""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a plan is made from."""

    made_at: datetime
    workspace: str
    policy: Policy
    population: Population
    desired: Desired
    targets: Mapping[str, TargetView]
    memory: Memory
    baselines: Mapping[EntitlementRef, Baseline]
    approvals: Approvals
    recent: Mapping[str, frozenset[str]]
    guards_in_force: Guards | None = None
    """The guards under which the last approved (or the first) run was made: a loosening since then does not count
    yet.
    """
    policy_in_force: Policy | None = None
    """The policy of that run, where another one has taken its place since: its invariants still hold."""
    granted_here: Mapping[EntitlementRef, frozenset[str]] = field(default_factory=dict)
    """Of additive entitlements: the people and service accounts to whom a run of ours granted it and from whom none has
    taken it since.
    """
    former: frozenset[EntitlementRef] = frozenset()
    """Entitlements that were managed once and that the policy lists no more: their last members are removed, and there
    is nothing wrong with their being gone.
    """
    pins: Sequence[Pin] = ()
    """What runs did that were undone, and that no approval has done again since."""
    compared: Collection[EntitlementRef] | None = None
    """The entitlements that are compared, where nobody is or should be in any other (`comparing.worth_comparing`);
    None: all.
    """
