"""What became of a change, from what the answer said and from what is there now. Pure."""

from __future__ import annotations

from adapters.http.accounts import AccountsFound
from adapters.http.entitlements import Found
from adapters.http.queries import text_of
from adapters.http.reading import Principals
from adapters.http.requests import Answer
from reconciler.targets import Op, Outcome, OutcomeKind, Step

__all__ = ["ENABLED", "account_judged", "is_in", "judged"]

ENABLED = {Op.DISABLE_ACCOUNT: False, Op.ENABLE_ACCOUNT: True}
"""What an account is after it."""
_ACCEPTED = 202
"""The status of what is to be done later (RFC 9110, 15.3.3)."""


def is_in(spelling: str, found: Found, principals: Principals) -> bool:
    """Whether somebody who is spelled so is in an entitlement."""
    return any(principals.folded(text_of(each)) == spelling for each in found.principals)


def judged(op: Op, spelling: str, answer: Answer, now: Found, principals: Principals) -> Outcome:
    """The outcome of a grant or revocation."""
    there = is_in(spelling, now, principals)
    if there is (op is Op.GRANT) and (there or now.reading.whole):
        return _so(answer)
    if now.missing:
        return Outcome(OutcomeKind.STALE, now.detail)
    return _not_so(answer, now.detail, known=there or now.reading.whole)


def account_judged(step: Step, answer: Answer, now: AccountsFound) -> Outcome:
    """The outcome of a change of an account itself."""
    account = now.by_key.get(step.account)
    if step.op is Op.END_SESSIONS:
        return answer.outcome
    if account is None:
        gone = now.reading.whole
        if step.op is Op.DELETE_ACCOUNT and gone:
            return _so(answer)
        return Outcome(OutcomeKind.STALE, f"{step.account_name} is gone") if gone else _not_so(answer, now.detail)
    if step.op in ENABLED and account.observed.enabled is ENABLED[step.op]:
        return _so(answer)
    return _not_so(answer, now.detail, known=True)


def _so(answer: Answer) -> Outcome:
    """It is as it should be: by our doing, unless the answer says that it was so before."""
    ours = answer.outcome.kind in (OutcomeKind.APPLIED, OutcomeKind.UNAVAILABLE)
    return Outcome(OutcomeKind.APPLIED if ours else OutcomeKind.ALREADY)


def _not_so(answer: Answer, detail: str, *, known: bool = False) -> Outcome:
    """It is not as it should be, or (not `known`) cannot be seen."""
    outcome = answer.outcome
    if not outcome.kind.done:
        return outcome
    if not known:
        words = f"{outcome.detail}, and what became of it cannot be read: {detail}"
        return Outcome(OutcomeKind.UNAVAILABLE, words)
    if answer.status == _ACCEPTED:
        return Outcome(OutcomeKind.UNAVAILABLE, f"{outcome.detail} (accepted), and it is not so yet")
    return Outcome(OutcomeKind.REFUSED, f"{outcome.detail}, and nothing changed: read back, it is as it was before")
