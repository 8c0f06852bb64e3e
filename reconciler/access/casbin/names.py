"""How names are spelled in the files, so that every casbin reads the same: its adapters split a line at commas, and
agree neither on quotes nor on brackets.

A name is written as it is, except that ``%``, commas, quotes, brackets, what cannot be printed and white space at the
ends become ``%`` and two hexadecimal digits for each byte of UTF-8, as in a URL. Whoever asks casbin about such a name
spells it the same way. Names that the export makes up begin with ``@``; others never do.
"""

from __future__ import annotations

NOTHING = "-"
"""A column that asks for nothing."""

_RESERVED = frozenset('%,"[]()')
_SEPARATING = _RESERVED | frozenset("|:=@ ")


def casbin_name(text: str) -> str:
    """A person's id, a resource or an action as the files spell it, and as a request has to."""
    if text == NOTHING:
        return _encoded(text)
    spelled = _spelled(text, _RESERVED)
    return _edges_encoded(_encoded("@") + spelled[1:] if spelled.startswith("@") else spelled)


def part(text: str) -> str:
    """A name inside a made-up one: also what separates parts there is encoded, so that no two names look the same."""
    return _spelled(text, _SEPARATING)


def made_up(*words: str) -> str:
    """A name of the export's own."""
    return "@" + " ".join(word for word in words if word)


def _spelled(text: str, reserved: frozenset[str]) -> str:
    return "".join(_encoded(each) if each in reserved or not each.isprintable() else each for each in text)


def _edges_encoded(text: str) -> str:
    inner = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    return _encoded(text[:before]) + inner + _encoded(text[before + len(inner) :])


def _encoded(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))
