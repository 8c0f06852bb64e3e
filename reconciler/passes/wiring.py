"""What a pass works with: the rooms of one workspace, wired together. Built by `reconciler.workspace`, and by tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from reconciler.apply.journal import Journal
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
    revision: with `four_eyes`, or where a class names `approvals`, none of them approves what they made.
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

    @property
    def store(self) -> Store:
        """Where the record stands."""
        return self.facts.store

    @property
    def ledger(self) -> Ledger:
        """The record."""
        return self.facts.ledger

    def record(self, entries: Sequence[NewEntry]) -> Sequence[Entry]:
        """Append to the ledger in one transaction, durable when it returns."""
        with self.store.writing() as connection:
            return self.ledger.append(connection, entries, self.clock())
