"""An observation, asked whether changes show in it: for reading back, and for what a dead run left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.plan.linking import folded
from reconciler.targets import EntitlementRead, Observation, Op, Reading


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
            grants = change["op"] == Op.GRANT.value
            if change["account_key"]:
                [so] = self.shows_memberships(change["entitlement_key"], [change["account_key"]], grants=grants)
                return so
            member = self._is_foreign_member(self._observation, change)
            return None if member is None else member is grants
        if change["op"] == Op.CREATE_ACCOUNT.value:
            return self._is_there(self._observation, change.get("match") or {})
        return self._account_is_so(self._observation, change)

    def shows_memberships(self, entitlement: str, accounts: Sequence[str], *, grants: bool) -> list[bool | None]:
        """Of each of these accounts, by its key: whether it is in the entitlement as it should be after a grant, or
        after a revocation; None where nobody can tell.
        """
        read = self._observation.entitlements.get(entitlement) if self._observation else None
        if self._observation is None or read is None or read.reading is Reading.FAILED:
            return [None] * len(accounts)
        # Of whom something is left it was not taken, and to whom a part was given it was not given.
        holding, unsettled = read.members if grants else read.members | read.partial, read.unsettled
        absent = (not grants) if read.reading.whole else None
        unknown = absent if self._observation.accounts.reading.whole else None
        position_of, shown = self._positions.get, []
        for account in accounts:
            position = position_of(account)
            so = unknown if position is None else grants if position in holding else absent
            shown.append(None if so and position is not None and position in unsettled else so)
        return shown

    def is_unsettled(self, change: Mapping[str, Any]) -> bool:
        """Whether somebody was asked to change this membership and has not said that it is done."""
        read, position = self._place_of(change)
        return read is not None and position is not None and position in read.unsettled

    def confirmation(self, change: Mapping[str, Any]) -> str:
        """The words by which somebody confirms that the change was carried out by hand, or a blank."""
        read, position = self._place_of(change)
        if read is None or position is None or (position in read.members) != (change["op"] == Op.GRANT.value):
            return ""
        return read.confirmed.get(position, "")

    def _place_of(self, change: Mapping[str, Any]) -> tuple[EntitlementRead | None, int | None]:
        if self._observation is None or change["op"] not in (Op.GRANT.value, Op.REVOKE.value):
            return None, None
        position = self._positions.get(change["account_key"])
        return self._observation.entitlements.get(change["entitlement_key"]), position

    def _is_foreign_member(self, observation: Observation, change: Mapping[str, Any]) -> bool | None:
        read = observation.entitlements.get(change["entitlement_key"])
        if read is None or read.reading is Reading.FAILED:
            return None
        member = change["account"] in read.foreign
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
