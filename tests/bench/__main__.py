"""Measures against the budgets: ``make bench``, or ``make bench BENCH=plan`` for one room. Prints one JSON line each.

Every room, and every part of a room that has parts (``BENCH=plan/in-sync``), runs in a process of its own, so that its
peak memory is its own. Nothing is asserted: figures depend on the machine, ratios less so.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping

from tests.bench import (
    applying,
    declared,
    directory,
    files,
    leaving,
    machines,
    people,
    planning,
    provisioning,
    reviewing,
    rollout,
    serving,
    watching,
)
from tests.bench.measuring import Measurement, report

Room = Callable[[], Iterable[Measurement]]
ROOMS: Mapping[str, Room] = {
    **{f"plan/{part}": room for part, room in planning.PARTS.items()},
    **{f"impact/{part}": room for part, room in reviewing.PARTS.items()},
    "people": people.room,
    **{f"directory/{part}": room for part, room in {**directory.PARTS, **rollout.PARTS}.items()},
    "apply": applying.room,
    "leaver": leaving.room,
    "service": serving.room,
    "metrics": watching.room,
    "machines": machines.room,
    "files": files.room,
    "scim": provisioning.room,
    "http": declared.room,
}


def main(asked: list[str]) -> int:
    """Run the rooms named on the command line, or all of them."""
    asked = ["directory" if each == "ldap" else each for each in asked]
    chosen = [room for room in ROOMS if not asked or room in asked or room.split("/")[0] in asked]
    known = {*ROOMS, *(room.split("/")[0] for room in ROOMS)}
    if unknown := set(asked) - known:
        print(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}", file=sys.stderr)
        return 64
    if asked and asked == chosen and len(chosen) == 1:
        report(ROOMS[chosen[0]]())
        return 0
    runs = [subprocess.run([sys.executable, "-m", "tests.bench", room], check=False) for room in chosen]
    return max(run.returncode for run in runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
