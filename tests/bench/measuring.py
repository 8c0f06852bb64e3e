"""One measurement: what is timed, the reference beside it, and the line it prints."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass


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


def report(measurements: Iterable[Measurement]) -> None:
    """Measure one after the other, and print a line for each."""
    seconds, peak = 0.0, 0.0
    for name, size, work, reference, reference_work in measurements:
        if work is not again:
            seconds = timed(work)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        against, told = _reference(reference, reference_work)
        ratio = float(f"{seconds / against:.3g}") if against else None
        line = Measured(name, size, round(seconds, 3), round(peak, 1), told, against and round(against, 3), ratio)
        print(json.dumps(asdict(line), ensure_ascii=False), flush=True)


def _reference(text: str, work: Work | None) -> tuple[float | None, str]:
    if work is None:
        return None, text
    started = time.perf_counter()
    found = work()
    if isinstance(found, Extrapolated):
        return found.seconds, f"{text}: {found.text}"
    return time.perf_counter() - started, text
