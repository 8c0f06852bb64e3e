"""Measures against the budgets: ``make bench``, or ``make bench BENCH=plan`` for one room. Prints one JSON line each.

Every room runs in a process of its own, so that its peak memory is its own. Nothing is asserted: figures depend on the
machine, ratios less so.
"""

from __future__ import annotations

import subprocess
import sys

from tests.bench import directory, people, planning
from tests.bench.measuring import report

ROOMS = {"plan": planning.room, "people": people.room, "ldap": directory.room}


def main(asked: list[str]) -> int:
    """Run the rooms named on the command line, or all of them."""
    if unknown := set(asked) - set(ROOMS):
        print(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(ROOMS)}", file=sys.stderr)
        return 64
    if len(asked) == 1:
        report(ROOMS[asked[0]]())
        return 0
    runs = [subprocess.run([sys.executable, "-m", "tests.bench", room], check=False) for room in asked or ROOMS]
    return max(run.returncode for run in runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
