"""Who has what in the system, as somebody exported it, and when that was.

A CSV file whose first line dates it::

    # exported 2026-11-20T18:00:00+08:00
    account,entitlement
    E1001,A-wing
    ,B-wing

An account without an entitlement has none; an entitlement without an account is there, and nobody has it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from reconciler.targets import Place, TargetError, TargetUnavailable

__all__ = ["Inventory", "read_inventory"]

_DATED = re.compile(r"# *exported:? +(?P<at>\S+)[ ,;]*")
_NEEDED = ("account", "entitlement")
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the file says: entitlement → accounts; account → what it is matched by (blank: nobody); and which lines
    could not be taken.
    """

    exported: datetime
    members: Mapping[str, frozenset[str]]
    accounts: Mapping[str, str]
    flaws: Sequence[str] = ()

    @property
    def detail(self) -> str:
        """Why it is not whole, in words, or a blank."""
        more = f" and {len(self.flaws) - _NAMED} more" if len(self.flaws) > _NAMED else ""
        return f"the inventory cannot be read whole: {', '.join(self.flaws[:_NAMED])}{more}" if self.flaws else ""


@dataclass(slots=True)
class _Found:
    members: dict[str, set[str]] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    flaws: list[str] = field(default_factory=list)


def read_inventory(path: Path, column: str, now: datetime) -> Inventory:
    """The inventory in this file; accounts are matched by `column`. Raises `TargetError`."""
    text = _text(path)
    first, _, table = text.partition("\n")
    exported = _dated(first, path, now)
    rows = csv.reader(io.StringIO(table, newline=""), strict=True)
    found = _Found()
    try:
        names = [name.strip() for name in next(rows, [])]
        positions = _positions(names, [*_NEEDED, column], path)
        for row in rows:
            _take(row, rows.line_num + 1, len(names), positions, column, found)
    except csv.Error as error:
        found.flaws.append(f"line {rows.line_num + 1} ({error})")
    if not text.endswith("\n"):
        found.flaws.append("its last line has no end, as if it had been cut")
    members = {entitlement: frozenset(accounts) for entitlement, accounts in found.members.items()}
    return Inventory(exported, members, found.accounts, found.flaws)


def _take(row: Sequence[str], line: int, width: int, positions: Mapping[str, int], column: str, found: _Found) -> None:
    cells = [cell.strip() for cell in row]
    if not any(cells):
        return
    if len(cells) != width:
        found.flaws.append(f"line {line}")
        return
    account, entitlement, value = (cells[positions[name]] for name in (*_NEEDED, column))
    if account and found.accounts.setdefault(account, value) != value:
        found.flaws.append(f"line {line} (another `{column}` for the same account)")
    if entitlement:
        found.members.setdefault(entitlement, set()).update([account] if account else [])


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        remedy = "have it exported and put it there, or correct `inventory` in the target's settings"
        raise TargetError(f"there is no inventory {path}", remedy=remedy) from None
    except OSError as error:
        raise TargetUnavailable(f"the inventory {path} cannot be read: {error.strerror}") from None
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding).replace("\r\n", "\n")
        except UnicodeDecodeError:
            continue
    raise TargetError(f"the inventory {path} is neither UTF-8 nor GB18030", remedy="save it as UTF-8")


def _dated(line: str, path: Path, now: datetime) -> datetime:
    found = _DATED.fullmatch(line.strip().strip('"'))
    try:
        at = datetime.fromisoformat(found["at"]) if found else None
    except ValueError:
        at = None
    place = Place(str(path), 1, 1)
    if at is None or at.tzinfo is None:
        example = now.astimezone().replace(microsecond=0).isoformat()
        text = "the inventory does not say when it was exported"
        raise TargetError(text, place=place, remedy=f"let its first line say so: # exported {example}")
    if at > now:
        raise TargetError("the inventory was exported in the future", place=place, remedy="correct its first line")
    return at.astimezone(UTC)


def _positions(names: Sequence[str], needed: Sequence[str], path: Path) -> dict[str, int]:
    if wrong := [name for name in dict.fromkeys(needed) if names.count(name) != 1]:
        text = f"the inventory has no column {', '.join(wrong)}, or has it twice; there are: {', '.join(names)}"
        raise TargetError(text, place=Place(str(path), 2, 1), remedy="name the columns in its second line")
    return {name: names.index(name) for name in needed}
