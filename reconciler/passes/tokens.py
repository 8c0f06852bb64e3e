"""Access tokens: who acts where nobody has logged in.

Promises: a token is shown once, when it is made; the record keeps its digest only; it has an owner who answers for
what is done with it, an end, and acts that it is good for; taking it back counts at once. Tokens are facts in the
ledger (`token-created`, `token-revoked`), so that what one was used for can be told for ever.

A token carries 256 bits from the system's generator, which is why a plain SHA-256 of it gives nothing away.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from reconciler.errors import ReconcilerError
from reconciler.facts.days import instant_text, parse_instant
from reconciler.facts.ledger import Entry, NewEntry, read_subjects
from reconciler.facts.people import Facts

CREATED = "token-created"
REVOKED = "token-revoked"
_TOKEN = re.compile(r"rec_(?P<id>[0-9a-f]{10})_(?P<secret>[A-Za-z0-9_-]{43})")
_OWNER = re.compile(r"[^\x00-\x1f\x7f]{1,100}")


class Act(StrEnum):
    """What somebody may be allowed to do here."""

    READ = "read"
    """Ask who may do what and why, and look at the record."""
    PLAN = "plan"
    APPLY = "apply"
    """Carry out what nothing holds."""
    APPROVE = "approve"
    """Release what is held."""
    RECORD = "record"
    """Bring facts in: people, events, evidence."""
    REVOKE = "revoke"
    """Shut one person out of everything at once."""
    ADMINISTER = "administer"
    """Tokens, and the record's own upkeep: erasing, rebuilding, anchoring."""


class TokenRefused(ReconcilerError):
    """The token is none of ours, has ended or was taken back, or cannot be made."""

    code = "token"


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `id` names it in lists and in the record; `digest` is the SHA-256 of the whole token, hexadecimal."""

    id: str
    owner: str
    acts: frozenset[Act]
    expires_at: datetime
    digest: str
    made_by: str
    entry: int
    revoked_entry: int = 0

    def is_good(self, at: datetime) -> bool:
        """Whether it opens anything at that moment."""
        return not self.revoked_entry and at < self.expires_at


def create_token(
    facts: Facts, owner: str, acts: Collection[Act], expires_at: datetime, *, now: datetime, actor: str
) -> tuple[str, Token]:
    """A new token and what is known of it. The text is nowhere kept."""
    if not _OWNER.fullmatch(owner.strip()):
        raise TokenRefused("a token needs an owner", remedy="name who answers for it: --owner hr-system")
    if expires_at <= now:
        raise TokenRefused("the token would have ended already", remedy="let it end in the future: --until 2027-06-30")
    if not acts:
        raise TokenRefused("a token that is good for nothing", remedy=f"--act {', '.join(Act)}")
    name = secrets.token_hex(5)
    text = f"rec_{name}_{secrets.token_urlsafe(32)}"
    payload = {
        "token": name,
        "owner": owner.strip(),
        "acts": sorted(acts),
        "expires_at": instant_text(expires_at),
        "digest": _digest(text),
    }
    entry = _record(facts, NewEntry(CREATED, subject_of(name), actor, payload), now)
    return text, _token(entry)


def revoke_token(facts: Facts, name: str, reason: str, *, now: datetime, actor: str) -> Token:
    """Take a token back, by its id. Raises `TokenRefused` where there is none, or it was taken back before."""
    with facts.store.reading() as connection:
        token = read_token(connection, name)
    if token is None:
        raise TokenRefused(f"there is no token `{name}`", remedy="`reconciler token list` names them")
    if token.revoked_entry:
        raise TokenRefused(f"token `{name}` was taken back already, by ledger entry {token.revoked_entry}")
    payload = {"token": name, "owner": token.owner, "reason": reason}
    entry = _record(facts, NewEntry(REVOKED, subject_of(name), actor, payload), now)
    return replace(token, revoked_entry=entry.seq)


def list_tokens(facts: Facts) -> list[Token]:
    """All tokens that were ever made, in that order."""
    return _tokens(facts.ledger.entries(kinds={CREATED, REVOKED}))


def read_token(connection: Connection, name: str) -> Token | None:
    """The token of this id, as the transaction sees it; found by its own entries, however many others there are."""
    told = read_subjects(connection, [subject_of(name)], kinds={CREATED, REVOKED})
    return next((token for _, entries in told for token in _tokens(entries)), None)


def subject_of(name: str) -> str:
    """Whom the ledger's entries about a token are about."""
    return f"token:{name}"


def token_behind(facts: Facts, text: str, now: datetime) -> Token:
    """The token that this text is. Raises `TokenRefused`, whose words never repeat it."""
    with facts.store.reading() as connection:
        return checked(text, lambda name: read_token(connection, name), now)


def checked(text: str, find: Callable[[str], Token | None], now: datetime) -> Token:
    """The token that this text is, `find` being asked for that of its id. Raises `TokenRefused`, whose words never
    repeat it.
    """
    given = text.strip()
    found = _TOKEN.fullmatch(given)
    if found is None:
        raise TokenRefused("this is no token of ours", remedy="give it as `reconciler token create` printed it")
    token = find(found["id"])
    if token is None or not hmac.compare_digest(token.digest, _digest(given)):
        raise TokenRefused("this token is not known here", remedy="make one: reconciler token create --owner NAME")
    if token.revoked_entry:
        raise TokenRefused(f"token `{token.id}` was taken back", remedy="make a new one: reconciler token create")
    if not token.is_good(now):
        raise TokenRefused(f"token `{token.id}` has ended", remedy="make a new one: reconciler token create")
    return token


def _tokens(entries: Iterable[Entry]) -> list[Token]:
    found: dict[str, Token] = {}
    for entry in entries:
        name = str(entry.payload["token"])
        if entry.kind == CREATED:
            found[name] = _token(entry)
        elif name in found:
            found[name] = replace(found[name], revoked_entry=entry.seq)
    return list(found.values())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _record(facts: Facts, entry: NewEntry, now: datetime) -> Entry:
    with facts.store.writing() as connection:
        return facts.ledger.append(connection, [entry], now)[0]


def _token(entry: Entry) -> Token:
    payload = entry.payload
    acts = payload["acts"]
    return Token(
        id=str(payload["token"]),
        owner=str(payload["owner"]),
        acts=frozenset(Act(str(act)) for act in acts) if isinstance(acts, list | tuple) else frozenset(),
        expires_at=parse_instant(str(payload["expires_at"])),
        digest=str(payload["digest"]),
        made_by=entry.actor,
        entry=entry.seq,
    )
