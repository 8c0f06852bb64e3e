"""From one exit event to the last confirmed revocation, for 200 leavers one after the other, in a large directory,
while a full reconcile of the same workspace runs in another process without a pause.

What is timed is what a service does for one event: `record_events`, then the pass for that person
(`passes.one_person.let_out`) until what it took away has been read back. The wiring is made once, as in a service. A
second line times the command `reconciler revoke`, a process of its own each time, start of Python included.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

from reconciler.facts.events import parse_event
from reconciler.facts.recording import record_events
from reconciler.passes.one_person import let_out
from reconciler.passes.wiring import Wiring
from reconciler.workspace import Workspace
from tests.bench import directory
from tests.bench.directory import GROUPS, PEOPLE, PER_GROUP, SUFFIX
from tests.bench.measuring import Measurement
from tests.servers.slapd import PASSWORD, Slapd, required, started

LEAVERS, COMMANDS = 200, 20

WORKSPACE = f"""\
format: reconciler.workspace/1
organization: bench
timezone: UTC
policies: policies
targets:
  ldap:
    type: ldap
    url: "${{env:LDAP_URL}}"
    tls: none
    bind: {{dn: "${{env:LDAP_BIND}}", password: "${{env:LDAP_PASSWORD}}"}}
    people: {{base: "ou=people,{SUFFIX}", match: {{employeeNumber: id}}}}
    groups: {{base: "ou=groups,{SUFFIX}", kind: groupOfNames}}
    timeout: 120
"""


def policy() -> str:
    """A role for each block of groups; its members are those who are in them."""
    lines = [
        "attributes: {team: {kind: set}}",
        "clearances: [public: {}]",
        "guards: {rules: {grant: &all {percent: 100, people: 1000000}}, people: {grant: *all}}",
        "resources:",
    ]
    lines += [f"  r{g}: {{classification: public, access: {{read: {{ldap: {{group: g{g}}}}}}}}}" for g in range(GROUPS)]
    lines += ["roles:"]
    lines += [f"  in-{g}: {{match: {{team: t{g}}}, grants: {{read: [r{g}]}}}}" for g in range(GROUPS)]
    return "\n".join(lines) + "\n"


def teams() -> list[list[int]]:
    """Person → the groups they are in."""
    found: list[list[int]] = [[] for _ in range(PEOPLE)]
    for group in range(GROUPS):
        for step in range(PER_GROUP):
            found[(group * 37 + step * 701) % PEOPLE].append(group)
    return found


DAMAGED = 5
"""So many members of each group are taken out by somebody's hand before every full pass."""


def damaged() -> set[int]:
    """Whom that concerns."""
    return {(group * 37 + step * 701) % PEOPLE for group in range(GROUPS) for step in range(DAMAGED)}


def prepared(folder: Path, hired_later: Container[int] = ()) -> None:
    """A workspace whose people are those of the directory, but these."""
    write_workspace(folder, hired_later)
    command(folder, "people", "import", "people.csv")
    command(folder, "apply", "--yes")


def write_workspace(folder: Path, hired_later: Container[int] = ()) -> None:
    """Its files; these people are not in them."""
    (folder / "policies").mkdir()
    (folder / "policies" / "policy.yaml").write_text(policy(), "utf-8")
    (folder / "reconciler.yaml").write_text(WORKSPACE, "utf-8")
    with (folder / "people.csv").open("w", encoding="utf-8") as stream:
        stream.write("id,name,team,starts_on,status\n")
        for number, own in enumerate(teams()):
            if number in hired_later:
                continue
            stream.write(f"E{number:06},员工{number},{';'.join(f't{group}' for group in own)},2020-01-01,active\n")


def program() -> str:
    """The product."""
    return str(Path(sys.executable).parent / "reconciler")


def command(folder: Path, *arguments: str) -> None:
    """A command of the product, to its end."""
    done = subprocess.run([program(), *arguments], cwd=folder, capture_output=True, check=False)
    if done.returncode not in (0, 3):
        said = done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:]
        raise RuntimeError(f"{arguments}: {done.returncode}\n{said}")


@contextmanager
def reconciling(folder: Path) -> Iterator[list[float]]:
    """Full passes meanwhile, each with thousands of changes to carry out; how long each took."""
    stop, took = Event(), []
    taken = "".join(
        f"dn: cn=g{group},ou=groups,{SUFFIX}\nchangetype: modify\ndelete: member\n"
        + "".join(f"member: uid=e{(group * 37 + step * 701) % PEOPLE},ou=people,{SUFFIX}\n" for step in range(DAMAGED))
        + "\n"
        for group in range(GROUPS)
    )
    (folder / "damage.ldif").write_text(taken, "utf-8")

    def on_and_on() -> None:
        while not stop.is_set():
            login = ["-x", "-H", os.environ["LDAP_URL"], "-D", os.environ["LDAP_BIND"], "-w", PASSWORD]
            subprocess.run(
                ["ldapmodify", "-c", *login, "-f", str(folder / "damage.ldif")],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            started_at = time.perf_counter()
            command(folder, "apply", "--yes")
            took.append(time.perf_counter() - started_at)

    thread = Thread(target=on_and_on)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


def one_event(wiring: Wiring, person: str) -> tuple[float, float]:
    """Seconds from the event to the last confirmed revocation, and how many of them this process was at work: the
    rest it waited, for the directory, for the disk, or for a processor.
    """
    started_at, worked_at = time.perf_counter(), time.process_time()
    at = datetime.now(UTC)
    event = {"id": f"exit-{person}", "type": "exited", "person": person, "effective_at": at.isoformat(), "data": {}}
    (told,) = record_events(
        wiring.facts, [parse_event({**event, "confirmed": True})], source="bench", now=at, actor="bench"
    )
    done = let_out(wiring, person)
    seconds, worked = time.perf_counter() - started_at, time.process_time() - worked_at
    if told.error or done is None or done.failed or done.report is None:
        raise RuntimeError(f"{person}: {told}, {done}")
    return seconds, worked


def one_command(folder: Path, person: str) -> float:
    """The same, as somebody at a terminal does it."""
    started_at = time.perf_counter()
    command(folder, "revoke", person, "--reason", "bench")
    return time.perf_counter() - started_at


def percentile(seconds: Sequence[float], share: float) -> float:
    """The smallest of them that so many are not above."""
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))]


def still_in(numbers: Sequence[int], url: str) -> int:
    """How many of them are in some group, by OpenLDAP's own client."""
    login = ["-x", "-LLL", "-H", url, "-D", os.environ["LDAP_BIND"], "-w", PASSWORD, "-E", "pr=1000/noprompt"]
    told = subprocess.run(
        [
            "ldapsearch",
            *login,
            "-o",
            "ldif-wrap=no",
            "-b",
            f"ou=groups,{SUFFIX}",
            "(objectClass=groupOfNames)",
            "member",
        ],
        check=True,
        capture_output=True,
    ).stdout.decode()
    members = {line.removeprefix("member: uid=e").split(",")[0] for line in told.splitlines() if "member: uid" in line}
    return len(members & set(map(str, numbers)))


def tell(name: str, seconds: Sequence[float], worked: Sequence[float], full: Sequence[float], wrong: int) -> None:
    """One line, with what `make bench` prints of everything and the percentiles."""
    line = {
        "name": name,
        "size": f"{len(seconds)} leavers, directory of {PEOPLE} people and {GROUPS} groups, full passes meanwhile",
        "p50": round(percentile(seconds, 0.5), 3),
        "p95": round(percentile(seconds, 0.95), 3),
        "p99": round(percentile(seconds, 0.99), 3),
        "longest": round(max(seconds), 3),
        "p50_at_work": round(percentile(worked, 0.5), 3) if worked else None,
        "load": os.getloadavg()[0],
        "full_passes": [round(each, 1) for each in full],
        "given_back": wrong,
    }
    print(json.dumps(line, ensure_ascii=False), flush=True)


@contextmanager
def company_beside_directory() -> Iterator[tuple[Path, Slapd]]:
    """A folder for a company, and the large directory that its workspace will name."""
    required()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        directory.write(folder / "bench.ldif")
        with started(folder / "slapd", ldif=folder / "bench.ldif") as server:
            os.environ |= {
                "LDAP_URL": server.url,
                "LDAP_BIND": server.account("reconciler"),
                "LDAP_PASSWORD": PASSWORD,
            }
            own = folder / "company"
            own.mkdir()
            yield own, server


def room() -> Iterator[Measurement]:
    """200 leavers by event, then some by command."""
    with company_beside_directory() as (own, server):
        prepared(own)
        own_groups, spared = teams(), damaged()
        chosen = [n for n in range(0, PEOPLE, 97) if own_groups[n] and n not in spared][: LEAVERS + COMMANDS]
        with reconciling(own) as full:
            wiring = Workspace.load(own / "reconciler.yaml").wire()
            by_event = [one_event(wiring, f"E{number:06}") for number in chosen[:LEAVERS]]
            passes = list(full)
            by_command = [one_command(own, f"E{number:06}") for number in chosen[LEAVERS:]]
        seconds, worked = zip(*by_event, strict=True)
        tell("leaver, by event", seconds, worked, passes, still_in(chosen, server.url))
        tell("leaver, by command", by_command, [], full[len(passes) :], still_in(chosen, server.url))
    yield from ()
