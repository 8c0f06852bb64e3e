"""Marks of targets (`Target.mark`): a digest of all that an observation depends on."""

from __future__ import annotations

import hashlib

__all__ = ["mark_of"]


def mark_of(*parts: str | bytes) -> str:
    """One text for these parts, in their order; other parts, or other bounds between them, are another text."""
    digest = hashlib.sha256()
    for part in parts:
        octets = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(len(octets).to_bytes(8, "big") + octets)
    return digest.hexdigest()
