"""The folder of orders: `records` is ours; in `open` people find what is to be done, and move it to `acknowledged`.

Whatever is written takes its place whole or not at all. Only a record says that there is an order: forms are made
again from the records where they are missing.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.work_order.order import BadRecord, Order
from reconciler.targets import TargetError, TargetUnavailable

__all__ = ["Folder"]

_FOLDERS = ("records", "open", "acknowledged", "withdrawn", "sent")


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder at `path`. What cannot be read or written raises `TargetUnavailable`."""

    path: Path

    # --- reading ------------------------------------------------------------------------------------------------------

    def orders(self) -> dict[str, Order]:
        """All orders there have been, by number. Raises `TargetError` for a record that is none."""
        found = {}
        for path in self._files("records", ".json"):
            try:
                order = Order.from_json(_read(path).decode("utf-8"))
            except (BadRecord, UnicodeDecodeError):
                remedy = "bring it back from a backup; without it nobody knows what was ordered"
                raise TargetError(f"{path} is no record of a work order", remedy=remedy) from None
            found[order.number] = order
        return found

    def acknowledgements(self) -> Sequence[Path]:
        """The files that people have put there."""
        return list(self._files("acknowledged"))

    def sent(self, channel: str) -> set[tuple[str, bool]]:
        """Which orders were sent that way, and whether as urgent ones."""
        found: set[tuple[str, bool]] = set()
        for path in self._files("sent", f".{channel}.json"):
            try:
                found |= {(number, urgent) for number, urgent in json.loads(_read(path))}
            except (ValueError, TypeError):
                continue  # what nobody can say was sent is sent once more
        return found

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """The name and the content of every file that an observation depends on."""
        for name in ("records", "acknowledged", "sent"):
            for path in self._files(name):
                yield f"{name}/{path.name}", _read(path)

    def _files(self, name: str, ending: str = "") -> Iterator[Path]:
        try:
            entries = sorted((self.path / name).iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unusable(self.path / name, error) from None
        for path in entries:
            if path.name.endswith(ending) and not path.name.startswith(".") and path.is_file():
                yield path

    # --- writing ------------------------------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Whoever writes orders is alone at it. Raises `TargetUnavailable` where somebody else is."""
        try:
            for name in _FOLDERS:
                (self.path / name).mkdir(parents=True, exist_ok=True)
            with (self.path / ".lock").open("a") as lock:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield
        except OSError as error:
            raise _unusable(self.path, error) from None

    def record(self, orders: Iterable[Order]) -> None:
        """There are such orders from now on, whatever happens next."""
        for order in orders:
            self._write("records", f"{order.number}.json", order.as_json(), lasting=True)
        descriptor = os.open(self.path / "records", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def show(self, forms: Mapping[str, str], withdrawn: Mapping[str, str]) -> None:
        """Let there be these forms of open orders, and of withdrawn ones, by number; of no other orders any open."""
        for path in self._files("open", ".txt"):
            if path.stem not in forms:
                path.unlink(missing_ok=True)
        for name, texts in (("open", forms), ("withdrawn", withdrawn)):
            for number, text in texts.items():
                path = self.path / name / f"{number}.txt"
                # A form in which somebody has begun to write stays as it is, unless the order has become urgent.
                if not path.exists() or text.splitlines()[0] not in path.read_text("utf-8", "replace"):
                    self._write(name, path.name, text)

    def note_sent(self, channel: str, name: str, orders: Iterable[Order]) -> None:
        """These were sent that way, in one message of this name."""
        told = [[order.number, order.urgent_since is not None] for order in orders]
        self._write("sent", f"{name}.{channel}.json", json.dumps(told) + "\n")

    def _write(self, name: str, file_name: str, text: str, *, lasting: bool = False) -> None:
        path = self.path / name / file_name
        fresh = path.with_name(f".{file_name}.new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError) -> TargetUnavailable:
    if isinstance(error, BlockingIOError):
        return TargetUnavailable(f"somebody else is writing orders in {path}")
    return TargetUnavailable(
        f"{path} cannot be used: {error.strerror}", remedy="give this user the right to write there"
    )
