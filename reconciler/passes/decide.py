"""Decisions that somebody makes and answers for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.apply.journal import Proposal
from reconciler.errors import ReconcilerError
from reconciler.facts.days import instant_text
from reconciler.facts.ledger import NewEntry
from reconciler.passes.memory import policy_entry, recorded_policy
from reconciler.passes.operators import ANYTHING
from reconciler.passes.wiring import Wiring

APPROVAL_LASTS = timedelta(days=3)
"""What was looked at so long ago has to be looked at again."""

SHORTEST_PREFIX = 12
"""Hexadecimal digits of a digest that name it well enough for a person to type."""


class ApprovalRefused(ReconcilerError):
    """The digest names nothing that was shown here, or the reason is missing."""

    code = "approval"


@dataclass(frozen=True, slots=True)
class Approval:
    """What was approved, by which ledger entry, and until when it holds."""

    proposal: Proposal
    entry: int
    expires_at: datetime
    by_author: bool


def approve(wiring: Wiring, digest: str, reason: str, allowed: Callable[[str], None] = lambda _thing: None) -> Approval:
    """Release a plan, or one held slice, by its digest. It covers the change ids it was shown with, each once.
    `allowed` is asked for the class that the slice is of, or for ``*``, and raises where it is not.

    Whoever was shown the plan first, or committed the policy change behind it, is its author: with `four_eyes` they
    are refused, and where a class names `approvals` theirs does not count.
    """
    if not reason.strip():
        raise ApprovalRefused("an approval needs a reason that somebody can read later", remedy="--reason 'why'")
    proposal = _shown(wiring, digest)
    allowed(proposal.classification or ANYTHING)
    by_author = _is_author(wiring, proposal)
    if by_author and wiring.four_eyes:
        text = "you made this plan, or the policy change behind it, and this workspace asks for four eyes"
        raise ApprovalRefused(text, remedy="somebody else has to approve it")
    expires = wiring.clock() + APPROVAL_LASTS
    payload = {
        "digest": proposal.digest,
        "plan": proposal.plan_digest,
        "policy_digest": proposal.policy_digest,
        "author": wiring.actor if by_author else proposal.author,
        "change_ids": list(proposal.change_ids),
        "title": proposal.title,
        "reason": reason.strip(),
        "expires_at": instant_text(expires),
    }
    entry = NewEntry("approved", f"plan:{proposal.plan_digest.removeprefix('sha256:')[:12]}", wiring.actor, payload)
    recorded = wiring.record([*policy_entry(wiring), entry])
    return Approval(proposal, recorded[-1].seq, expires, by_author=by_author)


def approval_json(approval: Approval) -> dict[str, object]:
    """What was approved, as data."""
    return {
        "digest": approval.proposal.digest,
        "what": approval.proposal.title,
        "changes": len(approval.proposal.change_ids),
        "ledger_seq": approval.entry,
        "expires_at": instant_text(approval.expires_at),
    }


def _is_author(wiring: Wiring, proposal: Proposal) -> bool:
    """Whether whoever approves made the plan, or the policy change that it comes of."""
    approver = {name.casefold() for name in wiring.actor_names | {wiring.actor}}
    return bool(approver & {name.casefold() for name in {proposal.author, *_policy_authors(wiring)}})


def _policy_authors(wiring: Wiring) -> frozenset[str]:
    with wiring.store.reading() as connection:
        before = wiring.journal.guards_policy(connection)
    if before is None or before == wiring.policy.digest:
        return frozenset()
    known = recorded_policy(wiring.facts, wiring.journal, before)
    return wiring.policy_authors(known.revision if known else "")


def _shown(wiring: Wiring, digest: str) -> Proposal:
    if len(digest.removeprefix("sha256:")) < SHORTEST_PREFIX:
        text = f"{digest!r} is too short to name one plan"
        raise ApprovalRefused(text, remedy=f"give at least {SHORTEST_PREFIX} digits of the digest that `plan` printed")
    with wiring.store.reading() as connection:
        found = wiring.journal.proposals(connection, digest)
    if len(found) == 1:
        return found[0]
    text = f"no plan or held slice with the digest {digest} was shown here" if not found else f"{digest} names several"
    raise ApprovalRefused(text, remedy="run `reconciler plan` and copy the digest of what is to be approved")
