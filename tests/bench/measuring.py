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


Work = Callable[[], object]
Measurement = tuple[str, str, Work, str, Work | None]
"""Name, size, work, the reference in words, and the reference's work (None: there is none)."""


def timed(work: Work) -> float:
    """Seconds of wall time that the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def report(measurements: Iterable[Measurement]) -> None:
    """Measure one after the other, and print a line for each."""
    for name, size, work, reference, reference_work in measurements:
        seconds = timed(work)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        against = timed(reference_work) if reference_work else None
        ratio = round(seconds / against, 2) if against else None
        line = Measured(name, size, round(seconds, 3), round(peak, 1), reference, against and round(against, 3), ratio)
        print(json.dumps(asdict(line)), flush=True)
