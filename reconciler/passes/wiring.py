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
    held_lease: Lease | None = None
    """Where this wiring acts under a lease: nothing is recorded once a newer one has been taken."""

    def under(self, lease: Lease) -> Wiring:
        """The same, acting under this lease."""
        return replace(self, held_lease=lease)

    def still_ours(self) -> None:
        """Raises `RunSuperseded` where a newer lease has been taken than the one that this acts under."""
        if self.held_lease is not None:
            self.held_lease.confirm(self.store)

    @property
    def store(self) -> Store:
        """Where the record stands."""
        return self.facts.store

    @property
    def ledger(self) -> Ledger:
        """The record."""
        return self.facts.ledger

    def record(self, entries: Sequence[NewEntry]) -> Sequence[Entry]:
        """Append to the ledger in one transaction, durable when it returns. Under a lease: raises `RunSuperseded` where
        a newer one has been taken.
        """
        with self.store.writing() as connection:
            if self.held_lease is not None:
                self.held_lease.check(connection)
            return self.ledger.append(connection, entries, self.clock())
