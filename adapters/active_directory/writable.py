"""A domain that can be written, except for what is never touched from here.

Every change passes here last, so what is refused is refused whatever asked for it: a group of the system's own, an
account that is protected as administrative, a membership that is none of `member`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.active_directory.domain import Domain
from adapters.active_directory.standing import ACCOUNT_ATTRIBUTES, AccountStanding, account_of
from adapters.directory.entries import Answer, Edit, Modification, Verdict
from adapters.directory.settings import Layout
from adapters.ldap.wire import Wire
from reconciler.targets import TargetError, TargetUnavailable

__all__ = ["WritableDomain"]

_MEMBER = "member"
_UNWILLING = "unwillingToPerform"


class WritableDomain(Domain):
    """A `DirectoryWriter` over a connection that can write."""

    def __init__(self, wire: Wire, layout: Layout, people_filter: str | None, system_groups: frozenset[str]) -> None:
        super().__init__(wire, layout, people_filter, system_groups)
        self._writes = wire

    def modify(self, dn: str, modifications: Sequence[Modification]) -> Answer:
        try:
            objection = next(self._objections(dn, modifications), "")
        except TargetUnavailable as error:
            return Answer(Verdict.UNAVAILABLE, str(error))
        except TargetError as error:
            return Answer(Verdict.REFUSED, str(error))
        if objection:
            return Answer(Verdict.REFUSED, objection)
        answer = self._writes.modify(dn, modifications)
        if answer.verdict is Verdict.REFUSED and answer.words.startswith(_UNWILLING):
            return self._meant(answer, dn, modifications)
        return answer

    def delete(self, dn: str) -> Answer:
        objection = self._protection(dn, self.account_standings.get(dn))
        return Answer(Verdict.REFUSED, objection) if objection else self._writes.delete(dn)

    def _meant(self, answer: Answer, dn: str, modifications: Sequence[Modification]) -> Answer:
        """What a controller means by not being willing: often only that a member to delete is none (in Windows error
        00000561, in Samba several sentences). The group is asked, since words change; all else is a refusal.
        """
        leaving = [value for part in modifications if part.edit is Edit.DELETE for value in part.values]
        try:
            absent = self.lacks(dn, leaving) if dn in self.group_standings else False
        except TargetError as error:
            return Answer(Verdict.UNAVAILABLE, str(error))
        return Answer(Verdict.CONFLICT, answer.words) if absent else answer

    def _objections(self, dn: str, modifications: Sequence[Modification]) -> Iterator[str]:
        """Why this must not be written. Raises `TargetError` where that cannot be told."""
        group = self.group_standings.get(dn)
        if group is None:
            objection = self._protection(dn, self.account_standings.get(dn))
            if objection:
                yield objection
            return
        if group.refusal:
            yield group.refusal
        for part in modifications:
            for value in part.values if part.attribute == _MEMBER else ():
                yield from self._member_objections(dn, group.sid, part.edit, value)

    def _member_objections(self, group: str, sid: bytes, edit: Edit, value: bytes) -> Iterator[str]:
        name = value.decode("utf-8", "surrogateescape")
        standing = self._standing(name)
        if standing is None:
            return
        if objection := self._protection(name, standing):
            yield objection
        if edit is Edit.DELETE and standing.primary_group and standing.primary_group == sid:
            yield (
                f"{group} is the primary group of {name}, which no removal from its members ends; give the account "
                "another primary group first (primaryGroupID), after which it is an ordinary member and can be removed"
            )

    def _standing(self, name: str) -> AccountStanding | None:
        """What was noted of an account, or is read now of another principal; None where there is none. Raises
        `TargetError`.
        """
        known = self.account_standings.get(name)
        if known is not None:
            return known
        entry = self._read(name, ACCOUNT_ATTRIBUTES)
        return None if entry is None else account_of(entry)

    def _protection(self, name: str, standing: AccountStanding | None) -> str:
        if standing is None or not standing.protection:
            return ""
        return f"{name} {standing.protection} and is never changed from here"
