"""What a pass works with: the rooms of one workspace, wired together. Built by `reconciler.workspace`, and by tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from reconciler.apply.context import SideBySide, in_threads
from reconciler.apply.journal import Journal
from reconciler.apply.leases import Lease
from reconciler.apply.patience import Patience
from reconciler.facts.ledger import Entry, Ledger, NewEntry
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.policy.model import Policy
from reconciler.targets import Target


@dataclass(frozen=True, slots=True)
class ConfiguredTarget:
    """A target of the workspace, and how it treats those that belong to nobody."""

    target: Target
    revoke_foreign: bool = False
    disable_orphans: bool = False


@dataclass(frozen=True, slots=True)
class Wiring:
    """One workspace, ready to work. `clock` is the only one there is; `lease` keeps a second run out.

    `actor_names` is everybody who the actor may be, `policy_authors` answers who made the policy what it is since a
    revision: with `four_eyes`, or where a class names `approvals`, none of them approves what they made. `side_by_side`
    does what is independent at the same time, `patience` says how long a target is waited for.
    """

    organization: str
    policy: Policy
    policy_files: Mapping[str, bytes]
    facts: Facts
    journal: Journal
    targets: Mapping[str, ConfiguredTarget]
    zone: ZoneInfo
    actor: str
    clock: Callable[[], datetime]
    lease: Callable[[], AbstractContextManager[None]]
    actor_names: frozenset[str] = frozenset()
    four_eyes: bool = False
    policy_authors: Callable[[str], frozenset[str]] = lambda _: frozenset()
    side_by_side: SideBySide = in_threads
    patience: Patience = field(default_factory=Patience)
    leases: tuple[Lease, ...] = ()
    """What this wiring acts under: nothing is recorded once somebody else has taken one of these."""

    def under(self, *leases: Lease) -> Wiring:
        """The same, acting under these leases."""
        return replace(self, leases=leases)

    def still_ours(self) -> None:
        """Raises `RunSuperseded` where one of the leases that this acts under is no longer ours."""
        for lease in self.leases:
            lease.confirm(self.store, self.clock())

    @property
    def store(self) -> Store:
        """Where the record stands."""
        return self.facts.store

    @property
    def ledger(self) -> Ledger:
        """The record."""
        return self.facts.ledger

    def record(self, entries: Sequence[NewEntry]) -> Sequence[Entry]:
        """Append to the ledger in one transaction, durable when it returns. Raises `RunSuperseded` where one of the
        leases that this acts under is no longer ours.
        """
        with self.store.writing() as connection:
            now = self.clock()
            for lease in self.leases:
                lease.renew(connection, now)
            return self.ledger.append(connection, entries, now)
