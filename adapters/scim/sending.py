"""Changes on their way to a provider: as PATCH, as PUT where it knows no PATCH, many at once where it takes them so.

A change is sent once. Whether it took effect is told by nobody but the provider, when it is asked again: a reply is
what it said meanwhile. Sources: RFC 7644, sections 3.5 (PUT, PATCH), 3.6 (DELETE), 3.7 (bulk), 3.14 (versions).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.api.trouble import Trouble
from adapters.scim.asking import Features
from adapters.scim.attributes import one_text, part
from adapters.scim.dialects import Operation
from adapters.scim.replies import Kind, Reply, reply_of, unanswered
from adapters.scim.session import Session
from adapters.scim.settings import Layout

__all__ = ["Change", "Sender"]

_MESSAGES = "urn:ietf:params:scim:api:messages:2.0"
_NO_BULK = frozenset({400, 403, 404, 405, 413, 501})
_DIVISIBLE = frozenset({400, 404, 409, 413})
"""Refusals that may be about one member among many."""
_HOPELESS = 3
_SPARE = 512
"""Octets of a bulk request beside its operations."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of one resource: values of an attribute that come and go, or whether it is active, or its end.
    Of a group the attribute is `members`. `version`: only if it is still this one.
    """

    path: str
    version: str
    attribute: str = "members"
    remove: Sequence[str] = ()
    add: Sequence[str] = ()
    active: bool | None = None
    deletes: bool = False

    @property
    def size(self) -> int:
        """How many values come and go."""
        return len(self.remove) + len(self.add)

    def parts(self, most: int) -> Iterator[Change]:
        """The same in pieces of at most so many values; what goes, goes first."""
        if self.size <= most:
            yield self
            return
        for start in range(0, len(self.remove), most):
            yield replace(self, remove=self.remove[start : start + most], add=())
        for start in range(0, len(self.add), most):
            yield replace(self, remove=(), add=self.add[start : start + most])

    def halves(self) -> Sequence[Change]:
        """Two changes that together are this one."""
        if self.remove and self.add:
            return replace(self, add=()), replace(self, remove=())
        middle = self.size // 2
        if self.remove:
            return replace(self, remove=self.remove[:middle]), replace(self, remove=self.remove[middle:])
        return replace(self, add=self.add[:middle]), replace(self, add=self.add[middle:])


@dataclass(slots=True)
class Sender:
    """Sends changes over a connection that can write."""

    session: Session
    features: Features
    layout: Layout
    sent: int = 0
    """How many requests that may have changed something."""
    _bulk_refused: bool = False
    _hopeless: bool = False
    """Whether what it refuses is not about single members."""
    _silence: Reply | None = None

    def send(self, changes: Sequence[Change]) -> Iterator[tuple[Change, Reply]]:
        """Each change, or each part of it, with what was said to it. After one to which nothing was said, nothing more
        is sent.
        """
        self._silence = None
        most = self.layout.members_per_request
        whole = [change for change in changes if change.size <= most]
        alone: Iterable[Change] = [change for change in changes if change.size > most]
        if len(whole) > 1 and self.features.bulk > 1 and self.features.patch:
            for batch in self._batches(whole):
                yield from self._bulk(batch)
        else:
            alone = [*whole, *alone]
        for change in alone:
            yield from self._in_parts(change)

    # --- one by one -------------------------------------------------------------------------------------------------

    def _in_parts(self, change: Change) -> Iterator[tuple[Change, Reply]]:
        version, moved = change.version, None
        for each in change.parts(self.layout.members_per_request):
            if moved is not None:
                yield each, moved
                continue
            for piece, reply in self._divided(replace(each, version=version)):
                yield piece, reply
                version = reply.version if reply.kind is Kind.DONE else version
                moved = reply if reply.kind is Kind.MOVED else moved

    def _divided(self, change: Change) -> Iterator[tuple[Change, Reply]]:
        """One refused member does not keep the others from being changed: what is refused is sent in halves. Three
        single members refused, from both ends, and nobody taken: then it is not about the members.
        """
        waiting, version, from_left, refused, taken = [change], change.version, True, 0, False
        while waiting:
            each = replace(waiting.pop(0 if from_left else -1), version=version)
            reply = self._one(each)
            if self._is_divisible(each, reply):
                waiting = [*each.halves(), *waiting] if from_left else [*waiting, *each.halves()]
                continue
            yield each, reply
            if reply.kind is Kind.DONE:
                taken, version = True, reply.version
            elif reply.kind is Kind.MOVED:
                break
            elif reply.kind is not Kind.UNANSWERED:
                refused, from_left = refused + 1, not from_left
            if refused == _HOPELESS and not taken:
                self._hopeless = True
                break
        yield from ((each, reply) for each in waiting)

    def _is_divisible(self, change: Change, reply: Reply) -> bool:
        """Whether its halves may fare better."""
        both_ways = bool(change.remove and change.add)
        return reply.status in _DIVISIBLE and change.size > 1 and (both_ways or not self._hopeless)

    def _one(self, change: Change) -> Reply:
        if self._silence is not None:
            return self._silence
        self.sent += 1
        try:
            if change.deletes:
                reply = reply_of(self.session.send("DELETE", change.path, version=self._version(change)))
            elif not self.features.patch:
                reply = self._replaced(change)
            else:
                reply = reply_of(self.session.send("PATCH", change.path, self._patch(change), self._version(change)))
        except Trouble as trouble:
            reply = unanswered(trouble)
        return self._heard(reply)

    def _heard(self, reply: Reply) -> Reply:
        """A provider that does not answer, or asks to be left alone, is left alone."""
        if reply.kind is Kind.UNANSWERED:
            self._silence = reply
        return reply

    def _version(self, change: Change) -> str:
        return change.version if self.features.etag else ""

    def _patch(self, change: Change) -> dict[str, object]:
        return {"schemas": [f"{_MESSAGES}:PatchOp"], "Operations": self._operations(change)}

    def _operations(self, change: Change) -> list[Operation]:
        dialect = self.layout.dialect
        if change.active is not None:
            return dialect.switch(active=change.active)
        return [*dialect.remove(change.attribute, change.remove), *dialect.add(change.attribute, change.add)]

    def _replaced(self, change: Change) -> Reply:
        """By PUT, of all that there is; only with a version, since it would undo whatever came in between."""
        if not self.features.etag or not change.version:
            words = "it knows neither PATCH nor versions: a change would undo what somebody else does meanwhile"
            return Reply(Kind.REFUSED, words)
        answer = self.session.get(change.path)
        if answer.version != change.version:
            return Reply(Kind.MOVED)
        if change.active is None and not part(answer.value, change.attribute) and self._hides(change):
            words = f"it shows {change.attribute} only to who asks for them, so that a PUT would take away all others"
            return Reply(Kind.REFUSED, words)
        assert isinstance(answer.value, Mapping)  # noqa: S101  # the session takes nothing else
        return reply_of(self.session.send("PUT", change.path, _edited(answer.value, change), change.version))

    def _hides(self, change: Change) -> bool:
        """Whether there are values that the resource as a whole does not show (RFC 7643, section 7, `returned`)."""
        if "attributes" in self.layout.without:
            return False
        answer = self.session.get(change.path, {"attributes": change.attribute})
        return bool(part(answer.value, change.attribute))

    # --- many at once -----------------------------------------------------------------------------------------------

    def _batches(self, changes: Sequence[Change]) -> Iterator[list[tuple[Change, Operation]]]:
        """As many as the provider takes at once."""
        room = self.features.bulk_octets or 1 << 20
        batch: list[tuple[Change, Operation]] = []
        used = _SPARE
        for change in changes:
            operation = self._bulk_operation(change)
            size = len(json.dumps(operation, ensure_ascii=False).encode()) + 2
            if batch and (len(batch) == self.features.bulk or used + size > room):
                yield batch
                batch, used = [], _SPARE
            batch.append((change, operation))
            used += size
        yield batch

    def _bulk_operation(self, change: Change) -> Operation:
        operation: Operation = {"method": "DELETE" if change.deletes else "PATCH", "path": change.path}
        if not change.deletes:
            operation["data"] = self._patch(change)
        if version := self._version(change):
            operation["version"] = version
        return operation

    def _bulk(self, batch: Sequence[tuple[Change, Operation]]) -> Iterator[tuple[Change, Reply]]:
        if len(batch) == 1 or self._bulk_refused or self._silence is not None:
            for change, _ in batch:
                yield from self._in_parts(change)
            return
        body = {"schemas": [f"{_MESSAGES}:BulkRequest"], "Operations": [operation for _, operation in batch]}
        self.sent += 1
        try:
            answer = self.session.send("POST", "/Bulk", body)
        except Trouble as trouble:
            lost = self._heard(unanswered(trouble))
            yield from ((change, lost) for change, _ in batch)
            return
        if answer.status in _NO_BULK:
            self._bulk_refused = answer.status != 413
            for change, _ in batch:
                yield from self._in_parts(change)
            return
        said = _by_path(part(answer.value, "Operations")) if answer.done else {}
        unsaid = Reply(Kind.UNANSWERED, answer.words or "its answer does not say what became of it")
        for change, _ in batch:
            reply = self._bulk_reply(said[change.path]) if change.path in said else unsaid
            if self._is_divisible(change, reply):
                yield from self._in_parts(change)
            else:
                yield change, reply

    def _bulk_reply(self, said: object) -> Reply:
        status = one_text(part(said, "status")) or one_text(part(part(said, "status"), "code"))
        code = int(status) if status.isascii() and status.isdigit() else 0
        return reply_of(self.session.part_of_many(code, part(said, "response"), one_text(part(said, "version"))))


def _by_path(said: object) -> Mapping[str, object]:
    """What became of which resource, by the end of its address."""
    found: dict[str, object] = {}
    for each in said if isinstance(said, list) else ():
        ending = one_text(part(each, "location")).rsplit("/", 2)[-2:]
        found["/" + "/".join(ending)] = each
    return found


def _edited(resource: Mapping[str, object], change: Change) -> dict[str, object]:
    """All that there is, with the change in it."""
    edited = {name: value for name, value in resource.items() if name not in ("meta", "groups")}
    if change.active is not None:
        return {**edited, "active": change.active}
    name = next((name for name in edited if name.casefold() == change.attribute.casefold()), change.attribute)
    values = edited.get(name)
    gone = set(change.remove)
    kept = [value for value in (values if isinstance(values, list) else ()) if one_text(value) not in gone]
    return {**edited, name: [*kept, *({"value": value} for value in change.add)]}
