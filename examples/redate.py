"""Copies of folders in which the example's own day, 2026-11-23, has become another one, today unless told otherwise.

The example company is written as if it were 2026-11-23: who is about to start, whose training has just run out. Read
on any other day, that story is over. So the demonstration works on a copy in which every ISO date (2026-11-23, and the
date of 2026-11-23T09:00:00+08:00) of every .csv, .yaml, .json and .ldif file has moved by the same number of days.
Nothing else changes: other files are copied byte for byte, and moving by no days copies everything so.

    python examples/redate.py DESTINATION examples policies
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

WRITTEN_FOR = date(2026, 11, 23)
TIMEZONE = ZoneInfo("Asia/Shanghai")
DATED = {".csv", ".yaml", ".yml", ".json", ".ldif"}
LEFT_OUT = shutil.ignore_patterns("state", "__pycache__", "*.pyc")
# Digits or dashes around it make it part of some number. In bytes, so that the encoding does not matter.
ISO_DATE = re.compile(rb"(?<![0-9-])[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9-])")


def moved(content: bytes, days: int) -> bytes:
    """The content with every ISO date moved by this many days; what only looks like a date stays."""

    def move(found: re.Match[bytes]) -> bytes:
        try:
            return (date.fromisoformat(found[0].decode()) + timedelta(days)).isoformat().encode()
        except (ValueError, OverflowError):
            return found[0]

    return ISO_DATE.sub(move, content)


def copy_moved(folder: Path, destination: Path, days: int) -> None:
    """Copy a folder to a destination that does not exist yet, its dates moved by this many days."""
    shutil.copytree(folder, destination, ignore=LEFT_OUT)
    for path in destination.rglob("*"):
        if path.is_file() and path.suffix in DATED:
            path.write_bytes(moved(path.read_bytes(), days))


def main(arguments: Sequence[str] | None = None) -> None:
    """Copy each folder into the destination under its own name. Ends with status 2 for arguments that cannot work."""
    parser = argparse.ArgumentParser(
        description="Copy example folders, moving their dates so that they speak of today."
    )
    parser.add_argument("destination", type=Path, help="where the copies go")
    parser.add_argument("folders", type=Path, nargs="+", help="what to copy, e.g. examples policies")
    parser.add_argument(
        "--today",
        type=date.fromisoformat,
        default=datetime.now(TIMEZONE).date(),
        help=f"the day that {WRITTEN_FOR} becomes (YYYY-MM-DD; default: today in {TIMEZONE.key})",
    )
    options = parser.parse_args(arguments)
    copies = [(folder, options.destination / folder.resolve().name) for folder in options.folders]
    for folder, copy in copies:
        if not folder.is_dir():
            parser.error(f"{folder} is not a folder")
        if copy.exists():
            parser.error(f"{copy} is there already: name another destination, or remove it")
        if options.destination.resolve().is_relative_to(folder.resolve()):
            parser.error(f"{options.destination} lies inside {folder}: name a destination outside of it")
    for folder, copy in copies:
        copy_moved(folder, copy, (options.today - WRITTEN_FOR).days)


if __name__ == "__main__":
    main()
