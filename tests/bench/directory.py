"""Reading and changing a large directory, beside the C client's time on the same server in the same run.

What takes a moment is measured several times, and the shortest time counts, on both sides.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from adapters.ldap import LdapTarget
from adapters.ldap.session import encoded_filter
from adapters.ldap.settings import endpoint_of, ldap_settings
from adapters.ldap.wire import ReadOnlyWire, opened
from reconciler.errors import Place
from reconciler.targets import Op, OutcomeKind, Step, TargetContext
from tests.bench.measuring import Measurement, Ran, again, best, timed
from tests.servers.slapd import PASSWORD, Slapd, required, started

PEOPLE, GROUPS, PER_GROUP = 100_000, 2_000, 140
SUFFIX = "dc=example,dc=com"
SIX = ("uid", "cn", "sn", "mail", "employeeNumber", "entryUUID")
TWO = ("employeeNumber", "entryUUID")


def write(path: Path, *, members: bool = True) -> None:
    """A directory with people, and groups of them; or groups in which nobody is yet."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write(f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: bench\ndc: example\n\n")
        for unit in ("people", "groups"):
            stream.write(f"dn: ou={unit},{SUFFIX}\nobjectClass: organizationalUnit\nou: {unit}\n\n")
        for n in range(PEOPLE):
            stream.write(
                f"dn: uid=e{n},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: e{n}\ncn: Person {n}\nsn: {n}\n"
                f"employeeNumber: E{n:06}\nmail: e{n}@example.com\n\n"
            )
        for g in range(GROUPS):
            stream.write(f"dn: cn=g{g},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: g{g}\n")
            for n in members_of(g) if members else ():
                stream.write(f"member: {dn(n)}\n")
            stream.write("\n" if members else f"member: cn=placeholder,ou=groups,{SUFFIX}\n\n")


def dn(number: int) -> str:
    """What a person's account is called."""
    return f"uid=e{number},ou=people,{SUFFIX}"


def members_of(group: int) -> Sequence[int]:
    """Who is in a group."""
    return [(group * 37 + step * 701) % PEOPLE for step in range(PER_GROUP)]


def newcomers(group: int, count: int) -> list[int]:
    """Who is to come into a group: people who are not in it."""
    taken = set(members_of(group))
    free = ((group * 91 + step * 1009 + 17) % PEOPLE for step in range(4 * count + PER_GROUP))
    return [number for number in free if number not in taken][:count]


def settings(server: Slapd) -> dict[str, object]:
    """This directory as a target."""
    return {
        "url": server.url,
        "tls": "none",
        "bind": {"dn": server.account("reconciler"), "password": PASSWORD},
        "people": {"base": f"ou=people,{SUFFIX}", "match": {"employeeNumber": "id"}},
        "groups": {"base": f"ou=groups,{SUFFIX}", "kind": "groupOfNames"},
        "timeout": 120,
    }


def context(folder: Path) -> TargetContext:
    """What the workspace would say of it."""
    return TargetContext("ldap", folder, Place("bench"))


@contextmanager
def serving(folder: Path) -> Iterator[Slapd]:
    """The directory, served from that folder."""
    required()
    write(folder / "bench.ldif")
    with started(folder / "slapd", ldif=folder / "bench.ldif") as server:
        yield server


# --- the C clients ----------------------------------------------------------------------------------------------------


def login(server: Slapd) -> list[str]:
    """Where and as whom OpenLDAP's clients work."""
    return ["-x", "-H", server.url, "-D", server.account("reconciler"), "-w", PASSWORD]


def by_ldapsearch(server: Slapd, base: str, condition: str, attributes: Sequence[str]) -> None:
    """A paged search, its answer thrown away."""
    command = ["ldapsearch", "-LLL", *login(server), "-E", "pr=1000/noprompt", "-b", f"ou={base},{SUFFIX}"]
    subprocess.run([*command, condition, *attributes], check=True, stdout=subprocess.DEVNULL)


def change_records(verb: str, changed: Mapping[int, Collection[int]], *, coalesced: bool) -> str:
    """LDIF that adds these people to these groups, or deletes them from there."""
    parts = []
    for group, numbers in changed.items():
        values = [f"member: {dn(number)}\n" for number in numbers]
        for some in ["".join(values)] if coalesced else values:
            parts.append(f"dn: cn=g{group},ou=groups,{SUFFIX}\nchangetype: modify\n{verb}: member\n{some}\n")
    return "".join(parts)


def by_ldapmodify(server: Slapd, folder: Path, changed: Mapping[int, Collection[int]], *, coalesced: bool) -> Ran:
    """These additions by OpenLDAP's client, after they have been taken back (which is not timed)."""
    path = folder / "changes.ldif"
    command = ["ldapmodify", *login(server), "-f", str(path)]

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    path.write_text(change_records("delete", changed, coalesced=True), "utf-8")
    run()
    path.write_text(change_records("add", changed, coalesced=coalesced), "utf-8")
    return Ran(timed(run))


# --- reading ----------------------------------------------------------------------------------------------------------


def reads() -> Iterator[Measurement]:
    """Everybody with six attributes, with the two that a plan needs; all groups; and a whole observation."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as server:
        folder, ours = Path(name), settings(server)
        endpoint = endpoint_of(ldap_settings(ours, context(folder)), folder)

        def search(base: str, condition: str, attributes: Sequence[str]) -> None:
            with opened(ReadOnlyWire, endpoint) as wire:
                listing = wire.search(f"ou={base},{SUFFIX}", encoded_filter(condition), attributes)
                count = sum(1 for _ in listing)
                if listing.shortfalls or count != (PEOPLE if base == "people" else GROUPS):
                    raise RuntimeError(f"{count} entries: {listing.shortfalls}")

        people, groups = "(objectClass=person)", "(objectClass=groupOfNames)"
        of_groups = f"{GROUPS} groups, {GROUPS * PER_GROUP} members"
        asked = [
            ("ldap read", f"{PEOPLE} people, six attributes", "people", people, SIX),
            ("ldap read", f"{PEOPLE} people, two attributes", "people", people, TWO),
            ("ldap read", of_groups, "groups", groups, ("cn", "member")),
        ]
        reference = "ldapsearch -E pr=1000, the same question"
        for label, size, base, condition, attributes in asked:
            yield (
                label,
                size,
                _bound(search, base, condition, attributes),
                reference,
                _bound(by_ldapsearch, server, base, condition, attributes),
            )
        yield from _observation(server, LdapTarget(context(folder), ours), f"{PEOPLE} people, {of_groups}")


def _bound(work: Callable[..., None], *arguments: object) -> Callable[[], Ran]:
    return lambda: best(lambda: work(*arguments))


def _observation(server: Slapd, target: LdapTarget, size: str) -> Iterator[Measurement]:
    locators = [{"group": f"g{g}"} for g in range(GROUPS)]

    def reference() -> None:
        by_ldapsearch(server, "people", "(objectClass=person)", ["uid", *TWO])
        by_ldapsearch(server, "groups", "(objectClass=groupOfNames)", ["cn", "member"])

    told = "ldapsearch -E pr=1000, the same attributes"
    yield "ldap observe", size, lambda: best(lambda: target.observe(locators), 3), told, lambda: best(reference, 3)


# --- changing ---------------------------------------------------------------------------------------------------------


def writes() -> Iterator[Measurement]:
    """Additions to groups on a connection of ours, in batches as a run sends them."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as server:
        folder = Path(name)
        target = LdapTarget(context(folder), settings(server))
        keys = {account.name: account.key for account in target.observe([]).accounts.accounts}
        few = {group: newcomers(group, 25) for group in range(200)}
        wide = {group: newcomers(group, 26)[25:] for group in range(GROUPS)}
        for changed, size in (
            (few, "5000 additions in 200 groups"),
            (wide, f"one addition to each of {GROUPS} groups"),
        ):
            yield from _additions(server, target, changed, keys, size, folder)


def _additions(
    server: Slapd,
    target: LdapTarget,
    changed: Mapping[int, Collection[int]],
    keys: Mapping[str, str],
    size: str,
    folder: Path,
) -> Iterator[Measurement]:
    steps = [
        Step(Op.GRANT, keys[dn(number)], dn(number), {"group": f"g{group}"})
        for group, numbers in changed.items()
        for number in numbers
    ]
    single = lambda: by_ldapmodify(server, folder, changed, coalesced=False)  # noqa: E731
    together = lambda: by_ldapmodify(server, folder, changed, coalesced=True)  # noqa: E731
    yield "ldap apply", size, lambda: _applied(target, steps), "ldapmodify, one value at a time", single
    yield "ldap apply", size, again, "ldapmodify, coalesced per group", together


def _applied(target: LdapTarget, steps: Sequence[Step]) -> None:
    size = target.describe().batch_size
    with target.writer() as writer:
        for start in range(0, len(steps), size):
            outcomes = writer.apply(steps[start : start + size])
            if any(outcome.kind is not OutcomeKind.APPLIED for outcome in outcomes):
                raise RuntimeError(f"not all was done: {outcomes[0]}")


PARTS: Mapping[str, Callable[[], Iterator[Measurement]]] = {"reads": reads, "writes": writes}
"""What is measured, each in a process of its own."""
