"""Signed checkpoints: what the ledger was at one entry, kept where whoever can rewrite the store cannot reach.

Promises: a checkpoint names the workspace, an entry and its digest, which by the chain stands for everything before it;
it is signed (Ed25519) over its canonical JSON and carries the public key, so that anybody can check it. A ledger that
was rewritten before that entry, or cut off before it, does not fit; one that goes on after it does.

Sources: RFC 8032 (Ed25519), RFC 8785 (canonical JSON).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from sqlalchemy import select

from reconciler.errors import ReconcilerError
from reconciler.facts.days import instant_text
from reconciler.facts.ledger import CHUNK, Ledger, LedgerBroken, Verified, canonical, chunks, ledger_entries

__all__ = ["Checkpoint", "CheckpointRefused", "check_all", "key_at", "made", "parsed", "public_key"]

FORMAT = "reconciler.checkpoint/1"
_FIELDS = ("format", "organization", "seq", "digest", "made_at", "public_key")


class CheckpointRefused(ReconcilerError):
    """A checkpoint that is none, or one that nobody may rely on."""

    code = "checkpoint"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The ledger of `organization` had `digest` at entry `seq`. `public_key` and `signature` are hexadecimal; `where`
    says where it was found.
    """

    organization: str
    seq: int
    digest: str
    made_at: str
    public_key: str
    signature: str
    where: str = ""

    def signed(self) -> bytes:
        """What the signature is over."""
        said = (FORMAT, self.organization, self.seq, self.digest, self.made_at, self.public_key)
        return canonical(dict(zip(_FIELDS, said, strict=True)))

    def text(self) -> str:
        """One line of JSON."""
        return json.dumps(
            {**json.loads(self.signed()), "signature": self.signature}, ensure_ascii=False, sort_keys=True
        )

    @property
    def key_name(self) -> str:
        """The key, as people compare it."""
        return hashlib.sha256(bytes.fromhex(self.public_key)).hexdigest()[:16]


def made(organization: str, verified: Verified, at: datetime, key: Ed25519PrivateKey) -> Checkpoint:
    """A checkpoint of a ledger that has just been verified. Raises `CheckpointRefused` for an empty one."""
    if not verified.entries:
        raise CheckpointRefused("there is nothing to attest: the ledger is empty", remedy="import people first")
    bare = Checkpoint(organization, verified.entries, verified.head, instant_text(at), public_key(key), "")
    signature = key.sign(bare.signed()).hex()
    return Checkpoint(organization, bare.seq, bare.digest, bare.made_at, bare.public_key, signature)


def parsed(text: str, where: str) -> Checkpoint:
    """A checkpoint from its JSON. Raises `CheckpointRefused` for what is none, or was altered."""
    try:
        document: Mapping[str, Any] = json.loads(text)
        if document["format"] != FORMAT:
            raise ValueError(document["format"])
        found = Checkpoint(
            str(document["organization"]),
            int(document["seq"]),
            str(document["digest"]),
            str(document["made_at"]),
            str(document["public_key"]),
            str(document["signature"]),
            where,
        )
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(found.public_key)).verify(
            bytes.fromhex(found.signature), found.signed()
        )
    except (ValueError, TypeError, KeyError):
        raise CheckpointRefused(f"{where} is no checkpoint", remedy="name what `ledger anchor` made") from None
    except InvalidSignature:
        text = f"{where}: the signature does not fit what it says: it was altered"
        raise CheckpointRefused(text, remedy="compare it with a copy, and find out who changed it") from None
    return found


def check_all(
    ledger: Ledger, checkpoints: Iterable[Checkpoint], organization: str, trusted: Collection[str]
) -> tuple[Verified, list[Checkpoint]]:
    """Verify the ledger and hold every checkpoint against it: what was verified, and the checkpoints, oldest entry
    first. `trusted` are the public keys that count (none: any).

    Raises `LedgerBroken` where the ledger is not the one that a checkpoint attests, `CheckpointRefused` where one is of
    another workspace or by a key that nobody trusts.
    """
    verified = ledger.verify()
    found = sorted(checkpoints, key=lambda each: (each.seq, each.where))
    for each in found:
        if each.organization != organization:
            text = f"{each.where} attests the ledger of `{each.organization}`, and this is `{organization}`"
            raise CheckpointRefused(text, remedy="name a checkpoint of this workspace")
        if trusted and each.public_key not in trusted:
            text = f"{each.where} is signed with a key that nobody here knows ({each.key_name})"
            raise CheckpointRefused(text, remedy="where it is right, name its public key: --key FILE")
    digests = _digests(ledger, [each.seq for each in found])
    for each in found:
        if each.seq > verified.entries:
            text = f"the record ends here, but {each.where} attests entry {each.seq}: its end was cut off"
            raise LedgerBroken(verified.entries, text)
        if digests[each.seq] != each.digest:
            text = f"it is not the entry that {each.where} attests: the record was rewritten, there or before"
            raise LedgerBroken(each.seq, text)
    return verified, found


def _digests(ledger: Ledger, numbers: Collection[int]) -> dict[int, str]:
    c, found = ledger_entries.c, {}
    with ledger.store.reading() as connection:
        for some in chunks(sorted(set(numbers)), CHUNK):
            found.update(
                {row.seq: row.digest for row in connection.execute(select(c.seq, c.digest).where(c.seq.in_(some)))}
            )
    return found


# --- keys -----------------------------------------------------------------------------------------------------------


def public_key(key: Ed25519PrivateKey) -> str:
    """The public half, hexadecimal."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def key_at(path: Path, *, make: bool) -> Ed25519PrivateKey | None:
    """The private key in a PEM file (PKCS #8); made where there is none and `make` says so, readable by its owner only,
    with the public half beside it. Raises `CheckpointRefused` for a file that holds none, or that others can read.
    """
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError:
        return _new_key(path) if make else None
    except OSError as error:
        raise CheckpointRefused(f"the key {path} cannot be read: {error.strerror}", remedy="see who owns it") from None
    if stat.S_IMODE(mode) & 0o077:
        text = f"others than its owner can use the key {path} (mode {stat.S_IMODE(mode):04o})"
        raise CheckpointRefused(text, remedy=f"chmod 600 {path}; if somebody may have read it, use another one")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise CheckpointRefused(f"{path} holds no Ed25519 key", remedy="let `signing_key` name another file")
    return key


def _new_key(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(secret)
    path.with_name(path.name + ".pub").write_text(public_key(key) + "\n", "ascii")
    return key
