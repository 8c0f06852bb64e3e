"""One measurement: what is timed, the reference beside it, and the line it prints."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measured:
    """One line: seconds of wall time, peak resident memory of the process so far (MiB), the reference beside it."""

    name: str
    size: str
    seconds: float
    peak_mib: float
    reference: str
    reference_seconds: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Extrapolated:
    """What a reference would take at the full size, worked out from a part that it can bear; `text` says which."""

    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Ran:
    """What a work has measured by itself: its best of several goes, or a process of its own and that one's peak
    memory (MiB; None: that of this process counts).
    """

    seconds: float
    peak_mib: float | None = None


Work = Callable[[], object]
Measurement = tuple[str, str, Work, str, Work | None]
"""Name, size, work, the reference in words, and the reference's work (None: there is none)."""


def again() -> None:
    """As a measurement's work: the one measured before, beside another reference."""


def timed(work: Work) -> float:
    """Seconds of wall time that the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def best(work: Work, goes: int = 5) -> Ran:
    """The shortest of several goes: for what takes a moment only, on a machine that others use too."""
    return Ran(min(timed(work) for _ in range(goes)))


def in_a_process(command: Sequence[str], folder: Path, accepted: Sequence[int] = (0,)) -> Ran:
    """A program run to its end in that folder, with its own peak memory; what it prints is thrown away. Raises
    `RuntimeError` for another exit status than these.
    """
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in accepted:
            said.seek(0)
            raise RuntimeError(f"{command} ended with {process.returncode}: {said.read().decode()[-2000:]}")
    return Ran(seconds, usage.ru_maxrss / 1024)


def report(measurements: Iterable[Measurement]) -> None:
    """Measure one after the other, and print a line for each."""
    seconds, peak = 0.0, 0.0
    for name, size, work, reference, reference_work in measurements:
        if work is not again:
            seconds, peak = _measured(work)
        against, told = _reference(reference, reference_work)
        ratio = float(f"{seconds / against:.3g}") if against else None
        line = Measured(name, size, round(seconds, 3), round(peak, 1), told, against and round(against, 3), ratio)
        print(json.dumps(asdict(line), ensure_ascii=False), flush=True)


def _measured(work: Work) -> tuple[float, float]:
    started = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - started
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if isinstance(found, Ran):
        return found.seconds, own if found.peak_mib is None else found.peak_mib
    return seconds, own


def _reference(text: str, work: Work | None) -> tuple[float | None, str]:
    if work is None:
        return None, text
    started = time.perf_counter()
    found = work()
    if isinstance(found, Extrapolated):
        return found.seconds, f"{text}: {found.text}"
    if isinstance(found, Ran):
        return found.seconds, text
    return time.perf_counter() - started, text
