"""Distinguished names, and when two of them are one.

Promises: two spellings of one name have the same canonical form, two names never do. Sources: RFC 4514 (the string
form, and what LDAPv2 allowed: quotes, `;`, spaces around separators), RFC 4517 and 4518 (caseIgnoreMatch: case, runs of
spaces, compatibility forms). As OpenLDAP does, and unlike RFC 4518, invisible characters are *not* dropped: taking two
of the server's names for one would give somebody another's access.

One limit: values of every naming attribute compare without regard to case, as those of all usual ones do (`uid`, `cn`,
`ou`, `dc`, `o`, `mail`, `employeeNumber`, …).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

__all__ = ["InvalidName", "Name", "Rdn", "canonical", "fold", "lies_under", "parse", "rdn_value", "render"]

Rdn = tuple[tuple[str, str], ...]
"""One component: its (type, value) pairs in canonical spelling and order; nearly always one pair."""
Name = tuple[Rdn, ...]
"""A name, its own component first, the root of the tree last; the empty tuple is the root itself."""


class InvalidName(ValueError):
    """The text is no distinguished name."""


# RFC 4519 and RFC 4514 section 3: the same type under its long name and its object identifier.
_TYPES = {
    "commonname": "cn",
    "2.5.4.3": "cn",
    "surname": "sn",
    "2.5.4.4": "sn",
    "countryname": "c",
    "2.5.4.6": "c",
    "localityname": "l",
    "2.5.4.7": "l",
    "stateorprovincename": "st",
    "2.5.4.8": "st",
    "streetaddress": "street",
    "2.5.4.9": "street",
    "organizationname": "o",
    "2.5.4.10": "o",
    "organizationalunitname": "ou",
    "2.5.4.11": "ou",
    "domaincomponent": "dc",
    "0.9.2342.19200300.100.1.25": "dc",
    "userid": "uid",
    "0.9.2342.19200300.100.1.1": "uid",
}
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+", re.ASCII)
_SPECIAL = re.compile(r'[\\,+="<>;#\x00]')
# The common case, recognised in one step: short type names, and values in which nothing is special.
_VALUE = r"[!$%&'()*./:?@\[\]^_`{|}~A-Za-z0-9-]+(?: [!$%&'()*./:?@\[\]^_`{|}~A-Za-z0-9-]+)*"
_PLAIN = re.compile(rf"(?:uid|cn|ou|dc|o|c|l|st|sn)={_VALUE}", re.I | re.ASCII)
_CACHED = 1 << 16


def fold(value: str) -> str:
    """A value as caseIgnoreMatch sees it: compatibility forms composed, lower case, no space but single inner ones."""
    if value.isascii():
        return _single_spaced(value.lower())
    # Lower-casing letter by letter, because a server knows nothing of a final sigma; twice, because composing can bring
    # capitals.
    lowered = "".join(map(str.lower, unicodedata.normalize("NFKC", value)))
    return _single_spaced(
        unicodedata.normalize("NFKC", "".join(map(str.lower, unicodedata.normalize("NFKC", lowered))))
    )


def canonical(text: str) -> str:
    """The one spelling that all spellings of this name share, fit for a dictionary key. Raises `InvalidName`."""
    # Most names are a plain component under one of a few branches, and a branch is taken apart once.
    own, comma, branch = text.partition(",")
    if not _PLAIN.fullmatch(own):
        return _canonical(text)
    if not comma:
        return own.lower()
    above = _branch(branch)
    return f"{own.lower()},{above}" if above else _canonical(text)


@lru_cache(maxsize=_CACHED)
def _canonical(text: str) -> str:
    return render(parse(text))


@lru_cache(maxsize=_CACHED)
def _branch(text: str) -> str:
    """As `canonical`; empty where it is no name, or the root's."""
    try:
        return render(parse(text))
    except InvalidName:
        return ""


def render(name: Name) -> str:
    """A parsed name as text; parsing it again gives the same name."""
    return ",".join("+".join(f"{kind}={_escaped(value)}" for kind, value in rdn) for rdn in name)


def lies_under(text: str, base: str) -> bool:
    """Whether a name lies below a base (and is not the base itself). Raises `InvalidName`."""
    name, root = parse(text), parse(base)
    return len(name) > len(root) and name[len(name) - len(root) :] == root


def escaped_value(value: str) -> str:
    """A value as it may stand in a name (RFC 4514, 2.4); blanks at its ends stay part of it."""
    inner = _escaped(value)
    if inner.startswith(" "):
        inner = "\\ " + inner[1:]
    return inner[:-1] + "\\ " if inner.endswith(" ") and not inner.endswith("\\ ") else inner


def rdn_value(text: str) -> str:
    """The value of a name's own component as it is spelled, without escapes: what people call the entry."""
    for _, value, _ in _pairs(text):
        return value
    return ""


def own_part(text: str) -> str:
    """A name's own component as it is spelled. Raises `InvalidName`."""
    position = 0
    while True:
        _, position = _type(text, position)
        _, position = _value(text, position)
        if text[position : position + 1] != "+":
            return text[:position].strip()
        position += 1


def parse(text: str) -> Name:
    """A name's components in canonical spelling. Raises `InvalidName`, saying what is wrong."""
    rdns: list[Rdn] = []
    pairs: list[tuple[str, str]] = []
    for kind, value, separator in _pairs(text):
        pairs.append((kind, fold(value)))
        if separator != "+":
            rdns.append(tuple(sorted(pairs)))
            pairs = []
    return tuple(rdns)


def _pairs(text: str) -> Iterator[tuple[str, str, str]]:
    """The (type, value, separator after it) of a name, one after the other; values without escapes."""
    if not text.strip():
        return
    position = 0
    while True:
        kind, position = _type(text, position)
        value, position = _value(text, position)
        separator = text[position : position + 1]
        yield kind, value, "," if separator == ";" else separator
        if not separator:
            return
        position += 1


def _type(text: str, position: int) -> tuple[str, int]:
    end = text.find("=", position)
    kind = text[position:end].strip() if end >= 0 else ""
    kind = kind[4:] if kind[:4].lower() == "oid." else kind
    if not _TYPE.fullmatch(kind):
        raise InvalidName(f"expected `type=value` at character {position + 1} of {text!r}")
    kind = kind.lower()
    return _TYPES.get(kind, kind), end + 1


def _value(text: str, position: int) -> tuple[str, int]:
    while text[position : position + 1] == " ":
        position += 1
    if text[position : position + 1] == "#":
        return _hexadecimal(text, position)
    if text[position : position + 1] == '"':
        return _quoted(text, position)
    octets = bytearray()
    keep = 0  # what an escape put there is no padding, even where it is a space
    while position < len(text) and text[position] not in ",;+":
        character = text[position]
        if character == "\\":
            octet, position = _escape(text, position)
            octets += octet
            keep = len(octets)
            continue
        if character in '"<>':
            raise InvalidName(f"{character!r} at character {position + 1} of {text!r} has to be escaped")
        octets += character.encode("utf-8", "surrogateescape")
        position += 1
    while len(octets) > keep and octets.endswith(b" "):
        octets.pop()
    return octets.decode("utf-8", "surrogateescape"), position


def _escape(text: str, position: int) -> tuple[bytes, int]:
    pair = text[position + 1 : position + 3]
    if re.fullmatch("[0-9A-Fa-f]{2}", pair):
        return bytes.fromhex(pair), position + 3
    if not pair:
        raise InvalidName(f"{text!r} ends in the middle of an escape")
    if pair[0] not in ' "#+,;<=>\\':
        raise InvalidName(f"{text!r} escapes {pair[0]!r} at character {position + 1}, which is no escape")
    return pair[0].encode(), position + 2


def _quoted(text: str, position: int) -> tuple[str, int]:
    octets = bytearray()
    start, position = position, position + 1
    while text[position : position + 1] != '"':
        if position >= len(text):
            raise InvalidName(f"the quote at character {start + 1} of {text!r} is never closed")
        if text[position] == "\\":
            octet, position = _escape(text, position)
            octets += octet
        else:
            octets += text[position].encode("utf-8", "surrogateescape")
            position += 1
    return octets.decode("utf-8", "surrogateescape"), _after_padding(text, position + 1)


def _hexadecimal(text: str, position: int) -> tuple[str, int]:
    """`#` and the BER encoding of a value; of a string type, the string is meant."""
    match = re.compile("#((?:[0-9A-Fa-f]{2})+)").match(text, position)
    if match is None:
        raise InvalidName(
            f"`#` at character {position + 1} of {text!r} has to be followed by pairs of hexadecimal digits"
        )
    encoded = bytes.fromhex(match[1])
    is_string = encoded[0] in (0x04, 0x0C, 0x13, 0x16) and len(encoded) > 1 and encoded[1] == len(encoded) - 2 < 0x80
    value = encoded[2:].decode("utf-8", "surrogateescape") if is_string else match[0].lower()
    return value, _after_padding(text, match.end())


def _after_padding(text: str, position: int) -> int:
    while text[position : position + 1] == " ":
        position += 1
    if text[position : position + 1] not in ("", ",", ";", "+"):
        raise InvalidName(f"expected `,` at character {position + 1} of {text!r}")
    return position


def _single_spaced(value: str) -> str:
    return " ".join(part for part in value.split(" ") if part) if " " in value else value


def _escaped(value: str) -> str:
    return _SPECIAL.sub(lambda special: "\\00" if special[0] == "\x00" else "\\" + special[0], value)
