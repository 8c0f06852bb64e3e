"""An observation, asked whether changes show in it: for reading back, and for what a dead run left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.plan.linking import folded
from reconciler.targets import Observation, Op, Reading


class Sight:
    """What one target showed (None: nothing)."""

    def __init__(self, observation: Observation | None) -> None:
        self._observation = observation
        accounts = observation.accounts.accounts if observation else ()
        self._positions = {account.key: position for position, account in enumerate(accounts)}

    def shows(self, change: Mapping[str, Any]) -> bool | None:
        """Whether the target is as the change, described as in the ledger, wanted it; None where nobody can tell."""
        if self._observation is None or change["op"] == Op.END_SESSIONS.value:
            return None
        if change["op"] in (Op.GRANT.value, Op.REVOKE.value):
            member = self._is_member(self._observation, change)
            return None if member is None else member == (change["op"] == Op.GRANT.value)
        if change["op"] == Op.CREATE_ACCOUNT.value:
            return self._is_there(self._observation, change.get("match") or {})
        return self._account_is_so(self._observation, change)

    def _is_member(self, observation: Observation, change: Mapping[str, Any]) -> bool | None:
        read = observation.entitlements.get(change["entitlement_key"])
        if read is None or read.reading is Reading.FAILED:
            return None
        if not change["account_key"]:
            member = change["account"] in read.foreign
        else:
            position = self._positions.get(change["account_key"])
            if position is None and not observation.accounts.reading.whole:
                return None
            # Of whom something is left it was not taken, and to whom a part was given it was not given.
            holding = read.members | read.partial if change["op"] == Op.REVOKE.value else read.members
            member = position is not None and position in holding
        return member if member or read.reading.whole else None

    def _is_there(self, observation: Observation, match: Mapping[str, str]) -> bool | None:
        """Whether there is an account that matches; None where nothing says what it would be matched by."""
        if not match:
            return None
        wanted = {name: folded(value) for name, value in match.items()}
        there = any(
            all(folded(account.match.get(name, "")) == value for name, value in wanted.items())
            for account in observation.accounts.accounts
        )
        return there if there or observation.accounts.reading.whole else None

    def _account_is_so(self, observation: Observation, change: Mapping[str, Any]) -> bool | None:
        position = self._positions.get(change["account_key"])
        deleted = change["op"] == Op.DELETE_ACCOUNT.value
        if position is None:
            # Who is not there any more cannot get in either: a run that disables an account may delete it, too.
            wanted_out = deleted or change["op"] == Op.DISABLE_ACCOUNT.value
            return wanted_out if observation.accounts.reading.whole else None
        enabled = observation.accounts.accounts[position].enabled
        return not deleted and enabled == (change["op"] != Op.DISABLE_ACCOUNT.value)
