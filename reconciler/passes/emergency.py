"""The emergency path: one person out of everything, now.

The lockout is on record before anything else happens, so that whatever fails afterwards, no later pass gives anything
back; then every target is told, leavers' way: no guard but `protected` stands in between, nor a full pass that is under
way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.errors import ReconcilerError
from reconciler.facts.events import EventType, parse_event
from reconciler.facts.recording import record_events
from reconciler.passes.applied import applied_json
from reconciler.passes.execute import Applied
from reconciler.passes.one_person import let_out
from reconciler.passes.wiring import Wiring

REVOKE_REF = "revoke-"
"""How the reference of a lockout begins that came this way; who ends it has to be allowed to approve."""


class RevokeRefused(ReconcilerError):
    """The reason is missing."""

    code = "revoke"


@dataclass(frozen=True, slots=True)
class ShutOut:
    """The lockout's ledger entry and reference, and what the pass did."""

    person: str
    entry: int
    ref: str
    applied: Applied | None

    @property
    def everywhere(self) -> bool:
        """Whether the person is out of everything: every target could be told, and nothing holds anything back."""
        done = self.applied
        if done is None or done.failed or done.waiting:
            return False
        return done.before is None or not done.before.failed


def _lock_out(wiring: Wiring, person: str, reason: str) -> tuple[int, str]:
    """Put the lockout on record: its ledger entry and its reference."""
    now = wiring.clock()
    ref = f"{REVOKE_REF}{now:%Y%m%dT%H%M%S%fZ}"
    event = parse_event(
        {
            "id": f"{ref}:{person}",
            "type": EventType.LOCKED_OUT.value,
            "person": person,
            "effective_at": now.isoformat(),
            "data": {"ref": ref, "reason": reason.strip()},
            "confirmed": True,
        }
    )
    (result,) = record_events(wiring.facts, [event], source="revoke", now=now, actor=wiring.actor)
    if result.error is not None:
        raise result.error
    return result.entry, ref


def shut_out(
    wiring: Wiring,
    person: str,
    reason: str,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
    broken: Callable[[Exception], None] | None = None,
) -> ShutOut:
    """Lock the person out on record, and take from them what they have on every target.

    `broken`, where somebody else goes on with it, is told what kept the pass from its end once the lockout is on
    record. Raises that otherwise; and `PersonUnknown` and `RevokeRefused`, with nothing on record.
    """
    if not reason.strip():
        raise RevokeRefused("a revocation needs a reason that somebody can read later", remedy="--reason 'why'")
    on_record: list[tuple[int, str]] = []
    applied = None
    try:
        # Under the person's lease, so that a service which acts upon the lockout at once sees whose business it is.
        applied = let_out(
            wiring, person, first=lambda: on_record.append(_lock_out(wiring, person, reason)), progress=progress
        )
    except Exception as error:
        if broken is None or not on_record:
            raise
        broken(error)
    [(entry, ref)] = on_record
    return ShutOut(person, entry, ref, applied)


def shut_out_json(done: ShutOut) -> dict[str, object]:
    """The lockout and what the pass did, as data."""
    told = {"person": done.person, "ledger_seq": done.entry, "ref": done.ref}
    return {**told, "run": applied_json(done.applied) if done.applied else None}
