"""The text of an LDIF content file: parsed strictly, edited line by line, and otherwise kept octet for octet.

Promises: `parse(data).rendered() == data`; an edit changes the lines of the values concerned and nothing else; whatever
is not LDIF content is an error with its line. Not in here: what an entry means. Source: RFC 2849, with what exports
really contain: UTF-8 values that are not base64, CRLF or LF, a byte order mark, a last line without its end.

Refused: change records (`changetype`), since this is a picture of a directory, and values by URL (`attr:< file:///…`),
since a data file does not get to say which files are read.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from adapters.directory import names

__all__ = ["Document", "Line", "Malformed", "Record", "attribute_lines", "parse"]

_WIDTH = 76
_BOM = b"\xef\xbb\xbf"
_ATTRIBUTE = re.compile(rb"(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*)(?:;[A-Za-z0-9-]+)*\Z")
_LOGICAL_LINE = re.compile(rb"[^\n]*(?:\n [^\n]*)*(?:\n|\Z)")
_FOLD = re.compile(rb"\r?\n ")
# RFC 2849, SAFE-STRING: what may stand in a line as it is.
_SAFE = re.compile(rb"(?:[\x01-\x09\x0b\x0c\x0e-\x1f\x21-\x39\x3b\x3d-\x7f][\x01-\x09\x0b\x0c\x0e-\x7f]*)?\Z")

# What `ldapsearch -LLL` writes for a referral, and with `-E pr=N` after each page; after the last, the cookie is blank.
_REFERRAL = re.compile(rb"# ref(ldaps?://\S+)")
_PAGE = re.compile(rb"# pagedresults: cookie=(\S*)")


class Malformed(ValueError):
    """The text is no LDIF content. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line: its octets with all its continuations and line ends. A comment has no attribute."""

    raw: bytes
    attribute: str = ""
    value: bytes = b""


@dataclass(slots=True)
class Record:
    """One entry: its `dn:` line and the lines after it, up to the blank line that ends it."""

    dn: str
    number: int
    lines: list[Line]

    def values(self, attribute: str) -> Sequence[bytes]:
        return [line.value for line in self.lines if line.attribute == attribute]

    def add(self, attribute: str, values: Sequence[bytes], newline: bytes) -> None:
        """Put values after the last one of the attribute, or at the end of the entry; the attribute as spelled here."""
        places = [place for place, line in enumerate(self.lines) if line.attribute == attribute]
        place = places[-1] + 1 if places else len(self.lines)
        if place == len(self.lines) and not self.lines[-1].raw.endswith(b"\n"):
            self.lines[-1] = Line(self.lines[-1].raw + newline, self.lines[-1].attribute, self.lines[-1].value)
        spelled = self.lines[places[-1]].raw.split(b":", 1)[0].decode() if places else attribute
        self.lines[place:place] = [Line(attribute_lines(spelled, value, newline), attribute, value) for value in values]

    def remove(self, attribute: str, values: Sequence[bytes]) -> None:
        gone = set(values)
        self.lines = [line for line in self.lines if line.attribute != attribute or line.value not in gone]


@dataclass(slots=True)
class Document:
    """A whole file: its records, and what stands between them."""

    parts: list[bytes | Record]
    newline: bytes
    ends_properly: bool
    """Whether the last line has its end; without, the file may have been cut off."""
    gaps: Sequence[str] = ()
    """What is missing, as far as `ldapsearch` says so in its remarks between the entries."""
    records: list[Record] = field(init=False)

    def __post_init__(self) -> None:
        self.records = [part for part in self.parts if isinstance(part, Record)]

    def rendered(self) -> bytes:
        return b"".join(
            part if isinstance(part, bytes) else b"".join(line.raw for line in part.lines) for part in self.parts
        )

    def append(self, dn: str, attributes: Iterable[tuple[str, Sequence[bytes]]]) -> Record:
        """Put a new entry at the end."""
        lines = [Line(attribute_lines("dn", dn.encode(), self.newline), "dn", dn.encode())]
        for name, values in attributes:
            lines += [Line(attribute_lines(name, value, self.newline), name.lower(), value) for value in values]
        record = Record(dn, 0, lines)
        blank = b"" if self.rendered().endswith(self.newline * 2) else self.newline
        self.parts += [blank, record] if blank else [record]
        self.records.append(record)
        return record

    def rename(self, record: Record, dn: str) -> None:
        """Give an entry another name; all else that stands in it stays as it is."""
        record.dn = dn
        record.lines[0] = Line(attribute_lines("dn", dn.encode(), self.newline), "dn", dn.encode())

    def put_last(self, record: Record) -> None:
        """Move an entry to the end, behind all others."""
        self.drop(record)
        if not self.rendered().endswith(self.newline * 2):
            self.parts.append(self.newline)
        self.parts.append(record)
        self.records.append(record)

    def drop(self, record: Record) -> None:
        """Remove an entry and the blank line after it."""
        place = next(place for place, part in enumerate(self.parts) if part is record)
        del self.parts[place]
        if place < len(self.parts) and isinstance(following := self.parts[place], bytes):
            self.parts[place] = following.split(b"\n", 1)[1] if b"\n" in following else following
        self.records = [other for other in self.records if other is not record]


def parse(data: bytes) -> Document:
    """The file's records. Raises `Malformed`."""
    parts: list[bytes | Record] = []
    between = bytearray()
    lines: list[Line] = []
    remarks: list[bytes] = []
    for number, raw in _logical_lines(data):
        content = _unfolded(raw)
        if lines and content:
            lines.append(_line(raw, content, number))
        elif not content or content.removeprefix(_BOM).startswith((b"#", b"version:")) or content == _BOM:
            lines = []
            between += raw
            remarks.append(content)
        else:
            mark = _BOM if number == 1 and raw.startswith(_BOM) else b""
            parts += [part for part in (bytes(between), mark) if part]
            between.clear()
            lines = [_line(raw.removeprefix(mark), content.removeprefix(mark), number)]
            parts.append(_record(lines, number))
    parts += [bytes(between)] if between else []
    newline = b"\r\n" if b"\r\n" in data[: data.find(b"\n") + 1] else b"\n"
    return Document(parts, newline, not data or data.endswith(b"\n"), list(_gaps(remarks)))


def _gaps(remarks: Sequence[bytes]) -> Iterator[str]:
    for referred in filter(None, map(_REFERRAL.match, remarks)):
        yield f"a part lies on another server, which is not in it: {referred[1].decode('utf-8', 'replace')}"
    pages = [page[1] for page in map(_PAGE.match, remarks) if page]
    if pages and pages[-1]:
        yield "its last page is missing: the export ended early, at a limit or an error"


def attribute_lines(attribute: str, value: bytes, newline: bytes) -> bytes:
    """A value as LDIF: plain where RFC 2849 allows it, otherwise base64, folded at 76 columns."""
    plain = _SAFE.match(value) and not value.endswith(b" ")
    line = attribute.encode() + (b": " + value if plain else b":: " + base64.b64encode(value))
    first, rest = line[:_WIDTH], line[_WIDTH:]
    pieces = [first, *(b" " + rest[start : start + _WIDTH - 1] for start in range(0, len(rest), _WIDTH - 1))]
    return b"".join(piece + newline for piece in pieces)


def _logical_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(number of its first line, octets) of each line together with its continuations."""
    number = 1
    for match in _LOGICAL_LINE.finditer(data):
        if match[0]:
            yield number, match[0]
        number += match[0].count(b"\n")


def _unfolded(raw: bytes) -> bytes:
    return _FOLD.sub(b"", raw.rstrip(b"\n").removesuffix(b"\r"))


def _line(raw: bytes, content: bytes, number: int) -> Line:
    if content.startswith(b"#"):
        return Line(raw)
    attribute, colon, rest = content.partition(b":")
    if not colon or not _ATTRIBUTE.match(attribute):
        raise Malformed(number, "expected `attribute: value`")
    name = attribute.decode("ascii").lower()
    if name == "changetype":
        raise Malformed(number, "this is a file of changes; a file of entries is needed")
    if rest.startswith(b"<"):
        raise Malformed(number, f"the value of {name} stands in another file, which is not read; put it here")
    if not rest.startswith(b":"):
        return Line(raw, name, rest.lstrip(b" "))
    try:
        return Line(raw, name, base64.b64decode(rest[1:].strip(b" "), validate=True))
    except binascii.Error:
        raise Malformed(number, f"the value of {name} is no base64") from None


def _record(lines: list[Line], number: int) -> Record:
    first = lines[0]
    if first.attribute == "search":
        raise Malformed(number, "this is what `ldapsearch` says of its search, and no entry: export with -LLL")
    if first.attribute != "dn":
        raise Malformed(number, f"an entry begins with its `dn`, not with {first.attribute}")
    try:
        dn = first.value.decode()
        if not names.parse(dn):
            raise Malformed(number, "the `dn` is empty")
    except UnicodeDecodeError:
        raise Malformed(number, "the `dn` is not UTF-8") from None
    except names.InvalidName as error:
        raise Malformed(number, str(error)) from None
    return Record(dn, number, lines)
