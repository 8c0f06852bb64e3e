"""Checkpoints of the record: those in the policy repository, and a new one of the record as it is now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.facts.checkpoints import Checkpoint, CheckpointRefused, check_all, key_at, made, parsed
from reconciler.facts.people import Facts
from reconciler.workspace.workspace import Workspace, now

__all__ = ["Attested", "attest", "attest_in_git", "checkpoints_in_git"]


@dataclass(frozen=True, slots=True)
class Attested:
    """What attests the record's newest entry, and where that is kept; `already`: since an earlier time."""

    checkpoint: Checkpoint
    where: str
    already: bool


def checkpoints_in_git(workspace: Workspace) -> Iterator[Checkpoint]:
    """The workspace's own; others may keep theirs in the same repository. Raises `CheckpointRefused`."""
    for name, text in workspace.repository().anchored():
        found = parsed(text, f"the tag {name}")
        if found.organization == workspace.spec.organization:
            yield found


def attest(
    workspace: Workspace, facts: Facts, before: Sequence[Checkpoint], keep: Callable[[Checkpoint], str]
) -> Attested:
    """Verify the record, hold these checkpoints against it, and keep one of what it is now, unless its newest entry has
    one. Raises `LedgerBroken`, `CheckpointRefused` and what `keep` raises, which says where it has put it.
    """
    verified, _ = check_all(facts.ledger, before, workspace.spec.organization, ())
    known = next((each for each in before if each.seq == verified.entries), None)
    if known is not None:
        return Attested(known, known.where, already=True)
    key = key_at(workspace.signing_key(), make=True)
    if key is None:
        raise CheckpointRefused("there is no key to sign with", remedy="let `signing_key` name a file")
    checkpoint = made(workspace.spec.organization, verified, now(), key)
    return Attested(checkpoint, keep(checkpoint), already=False)


def attest_in_git(workspace: Workspace, facts: Facts) -> Attested:
    """The same, kept as a tag of the policy repository. Raises `AnchorRefused`, too."""
    repository = workspace.repository()
    before = list(checkpoints_in_git(workspace))
    return attest(workspace, facts, before, lambda known: repository.anchor(f"{known.seq:09}", known.text()))
