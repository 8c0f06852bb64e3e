"""A domain that can be written, except for what is never touched from here.

Every change passes here last, so what is refused is refused whatever asked for it: a group of the system's own, an
account that is protected as administrative, a membership that is none of `member`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from adapters.active_directory.creating import password
from adapters.active_directory.domain import Domain
from adapters.active_directory.settings import KEY
from adapters.active_directory.standing import ACCOUNT_ATTRIBUTES, AccountStanding, account_of
from adapters.directory.entries import Answer, Edit, Move, NewEntry, Request, Verdict
from adapters.directory.names import fold, own_part
from adapters.directory.settings import Layout
from adapters.ldap.requests import all_of, any_of, equal
from adapters.ldap.wire import Wire
from reconciler.targets import TargetError, TargetUnavailable

__all__ = ["WritableDomain"]

_MEMBER = "member"
_UNWILLING = "unwillingToPerform"
_NO_ATTRIBUTE = "noSuchAttribute"
_RESTRICTION = "0000052D"
"""ERROR_PASSWORD_RESTRICTION (MS-ERREF): too short, too plain, or used before."""
_UNIQUE = frozenset({"samaccountname", "userprincipalname"})
"""What no two principals of a domain share (MS-ADTS 3.1.1.5.2.2)."""


class WritableDomain(Domain):
    """A `DirectoryWriter` over a connection that can write."""

    def __init__(self, wire: Wire, layout: Layout, people_filter: str | None, system_groups: frozenset[str]) -> None:
        super().__init__(wire, layout, people_filter, system_groups)
        self._writes = wire

    def modify(self, wanted: Sequence[Request]) -> Sequence[Answer]:
        answers: dict[int, Answer] = {}
        for number, request in enumerate(wanted):
            if objection := self._objection(request):
                answers[number] = objection
        sent = [number for number in range(len(wanted)) if number not in answers]
        heard = self._writes.modify([_addressed(wanted[number]) for number in sent]) if sent else ()
        for number, answer in zip(sent, heard, strict=True):
            unwilling = answer.verdict is Verdict.REFUSED and answer.words.startswith(_UNWILLING)
            answers[number] = self._meant(answer, wanted[number]) if unwilling else answer
        return [answers[number] for number in range(len(wanted))]

    def delete(self, wanted: Request) -> Answer:
        return self._objection(wanted) or self._writes.delete(_addressed(wanted))

    def move(self, wanted: Sequence[Move]) -> Sequence[Answer]:
        """The domain keeps memberships by itself."""
        requests = [Request(each.entry.dn, provided=self.same(each.entry)) for each in wanted]
        answers = {at: no for at, request in enumerate(requests) if (no := self._objection(request))}
        sent = [at for at in range(len(wanted)) if at not in answers]
        moves = [(_addressed(requests[at]), own_part(wanted[at].entry.dn), wanted[at].unit) for at in sent]
        answers |= dict(zip(sent, self._writes.move(moves) if moves else (), strict=True))
        return [answers[at] for at in range(len(wanted))]

    def add(self, wanted: NewEntry) -> Answer:
        """Add an account, unless somebody in the domain has what is to be its alone."""
        try:
            taken = next(self._taken(wanted), "")
        except TargetUnavailable as error:
            return Answer(Verdict.UNAVAILABLE, str(error))
        except TargetError as error:
            return Answer(Verdict.REFUSED, str(error))
        if taken:
            return Answer(Verdict.REFUSED, taken)
        answer = self._writes.add(wanted)
        if answer.verdict is Verdict.REFUSED and _RESTRICTION in answer.words:
            words = "the domain's password policy does not take the initial secret, and nothing was created"
            return Answer(Verdict.REFUSED, f"{words}: {answer.words}")
        unknown = answer.verdict is Verdict.CONFLICT and answer.words.startswith(_NO_ATTRIBUTE)
        return Answer(Verdict.REFUSED, answer.words) if unknown else answer

    def _taken(self, wanted: NewEntry) -> Iterator[str]:
        """Who has it: the domain has many units in which accounts may stand, beside those that are looked at from here.
        Raises `TargetError`.
        """
        own = {name: value[0].decode() for name, value in wanted.attributes.items() if name.lower() in _UNIQUE}
        matched = {name: wanted.attributes[name][0] for name in wanted.attributes if name.lower() in self._layout.match}
        theirs = all_of(equal("objectClass", "user"), *(equal(*each) for each in matched.items()))
        condition = any_of([theirs, *(equal(*each) for each in own.items())])
        listing = self._search(self.root(), condition, ("objectClass", *own))
        for entry in listing:
            has = [f"{name} {value}" for name, value in own.items() if fold(entry.text(name)) == fold(value)]
            what = (
                f"has the {' and the '.join(has)}"
                if has
                else "is this person's, and none of the accounts that are looked at here"
            )
            yield f"{entry.dn} {what}: no second account is made"
        if listing.shortfalls:
            raise TargetUnavailable(f"the domain could not be looked through: {'; '.join(listing.shortfalls)}")

    def with_secret(self, wanted: NewEntry, secret: str) -> NewEntry | None:
        return NewEntry(wanted.dn, {**wanted.attributes, "unicodePwd": (password(secret),)})

    def give_secret(self, dn: str, secret: str) -> Answer:
        return Answer(Verdict.REFUSED, f"{dn}: no password of an account that is there already is set from here")

    def _meant(self, answer: Answer, wanted: Request) -> Answer:
        """What a controller means by not being willing: often only that a member to delete is none (in Windows error
        00000561, in Samba several sentences). The group is asked, since words change; all else is a refusal.
        """
        leaving = [value for part in wanted.parts if part.edit is Edit.DELETE for value in part.values]
        try:
            absent = bool(leaving) and wanted.dn in self.group_standings and self.lacks(wanted.dn, leaving)
        except TargetError as error:
            return Answer(Verdict.UNAVAILABLE, str(error))
        return Answer(Verdict.CONFLICT, answer.words) if absent else answer

    def _objection(self, wanted: Request) -> Answer | None:
        """Why this must not be written; or that nobody can tell, since there is no answer."""
        try:
            words = next(self._objections(wanted), "")
        except TargetUnavailable as error:
            return Answer(Verdict.UNAVAILABLE, str(error))
        except TargetError as error:
            return Answer(Verdict.REFUSED, str(error))
        return Answer(Verdict.REFUSED, words) if words else None

    def _objections(self, wanted: Request) -> Iterator[str]:
        """Raises `TargetError` where there may be one and nobody can tell."""
        group = self.group_standings.get(wanted.dn)
        if group is None:
            if objection := self._protection(wanted.dn, self._standing(wanted.dn)):
                yield objection
            return
        if group.refusal:
            yield group.refusal
        for part in wanted.parts:
            for value in part.values if part.attribute == _MEMBER else ():
                yield from self._member_objections(wanted.dn, group.sid, part.edit, value)

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


def _addressed(wanted: Request) -> Request:
    """The request, of the very entry that was looked up: by its objectGUID, which a domain takes for a name (MS-ADTS
    section 3.1.1.3.1.2.4), so that whoever has its name by now is not meant.
    """
    octets = wanted.provided.get(KEY)
    return Request(f"<GUID={uuid.UUID(bytes_le=octets)}>", wanted.parts) if octets else wanted
