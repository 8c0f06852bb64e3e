"""Go through many seeds, and say how much they went through: ``python -m tests.simulation --seeds 5000``.

One seed again, step by step: ``python -m tests.simulation --seed 1234 --verbose``.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice

from tests.simulation.story import Told, play
from tests.simulation.world import QUICK, work_below

CHUNK = 24
LAST = 40
"""So many steps of a seed that failed are shown."""


def main(words: Sequence[str] | None = None) -> int:
    """The exit status: 0 where every promise held, 1 where one was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many (500)")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first one (1)")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--verbose", action="store_true", help="with --seed: every step")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args(words)
    if asked.seed is not None:
        return one(asked.seed, verbose=asked.verbose)
    return many(range(asked.first, asked.first + asked.seeds), asked.processes)


def one(seed: int, *, verbose: bool) -> int:
    """One seed, and the digest of all that happened."""
    told = play(seed)
    print(*(told.lines if verbose else ()), sep="\n", end="\n" if verbose else "")
    print(f"seed {seed}: {len(told.lines)} steps, digest {told.digest}")
    return report_broken(told)


def many(seeds: range, processes: int) -> int:
    """All of these, in several processes. Ends at the first chunk in which a promise was broken."""
    counts: Counter[str] = Counter()
    done = 0
    below = tempfile.TemporaryDirectory(dir=QUICK)  # a worker of a pool cleans nothing up itself
    with below as folder, ProcessPoolExecutor(processes, initializer=work_below, initargs=(folder,)) as pool:
        try:
            for chunk in pool.map(play_all, _chunks(seeds)):
                for told in chunk:
                    done += 1
                    counts += told.counts
                    if told.broken:
                        pool.shutdown(wait=False, cancel_futures=True)
                        return report_broken(told)
                print(f"{done} of {len(seeds)} seeds", end="\r", file=sys.stderr, flush=True)
        except KeyboardInterrupt:  # what has been gone through until now is worth telling
            pool.shutdown(wait=False, cancel_futures=True)
    print(summary(done, counts))
    return 0 if done == len(seeds) else 1


def play_all(seeds: Sequence[int]) -> list[Told]:
    """The stories of these seeds, without their steps where nothing is wrong."""
    gc.freeze()  # what is kept for all seeds is no garbage, and looking through it takes a tenth of the time
    gc.set_threshold(20_000, 20, 50)
    return [told if (told := play(seed)).broken else Told(seed, told.digest, told.counts, []) for seed in seeds]


def summary(seeds: int, counts: Counter[str]) -> str:
    """What the seeds went through."""
    faults = sum(count for name, count in counts.items() if name.startswith("fault: "))
    head = (
        f"{seeds} seeds, every promise held: {counts['events from HR']} events from HR, {faults} faults, "
        f"{counts['crashes']} crashes, {counts['passes']} passes, {counts['seams']} seams"
    )
    return "\n".join([head, *(f"  {count:>9}  {name}" for name, count in sorted(counts.items()))])


def report_broken(told: Told) -> int:
    """Say what is wrong with a seed, where anything is, and how to see it again."""
    if not told.broken:
        return 0
    lines = [f"seed {told.seed}: {told.broken}", "the last steps:", *(f"  {line}" for line in told.lines[-LAST:])]
    lines.append(f"again: python -m tests.simulation --seed {told.seed} --verbose")
    print("\n".join(lines), file=sys.stderr)
    return 1


def _chunks(seeds: range) -> Iterator[list[int]]:
    numbers = iter(seeds)
    while chunk := list(islice(numbers, CHUNK)):
        yield chunk


if __name__ == "__main__":
    raise SystemExit(main())
