"""Reading a large directory, beside the C client's time on the same server in the same run."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from adapters.ldap import LdapTarget
from reconciler.errors import Place
from reconciler.targets import TargetContext
from tests.bench.measuring import Measurement
from tests.servers.slapd import PASSWORD, Slapd, required, started

PEOPLE, GROUPS, PER_GROUP = 100_000, 2_000, 140
SUFFIX = "dc=example,dc=com"


def write(path: Path) -> None:
    """A directory with people, and groups of them."""
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
            for step in range(PER_GROUP):
                stream.write(f"member: uid=e{(g * 37 + step * 701) % PEOPLE},ou=people,{SUFFIX}\n")
            stream.write("\n")


def by_ldapsearch(server: Slapd) -> None:
    """The same two questions asked by OpenLDAP's own client."""
    login = [
        "-x",
        "-LLL",
        "-H",
        server.url,
        "-D",
        server.account("reconciler"),
        "-w",
        PASSWORD,
        "-E",
        "pr=1000/noprompt",
    ]
    for base, attributes in (("people", ["employeeNumber", "uid", "entryUUID"]), ("groups", ["cn", "member"])):
        command = ["ldapsearch", *login, "-b", f"ou={base},{SUFFIX}", "(objectClass=*)", *attributes]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def room() -> Iterator[Measurement]:
    """One whole observation."""
    required()
    with tempfile.TemporaryDirectory() as name:
        ldif = Path(name) / "bench.ldif"
        write(ldif)
        with started(Path(name) / "slapd", ldif=ldif) as server:
            settings = {
                "url": server.url,
                "tls": "none",
                "bind": {"dn": server.account("reconciler"), "password": PASSWORD},
                "people": {"base": f"ou=people,{SUFFIX}", "match": {"employeeNumber": "id"}},
                "groups": {"base": f"ou=groups,{SUFFIX}", "kind": "groupOfNames"},
                "timeout": 120,
            }
            target = LdapTarget(TargetContext("ldap", Path(name), Place("bench")), settings)
            locators = [{"group": f"g{g}"} for g in range(GROUPS)]
            size = f"{PEOPLE} people, {GROUPS} groups, {GROUPS * PER_GROUP} members"
            reference = "ldapsearch -E pr=1000, the same attributes"
            yield "ldap observe", size, lambda: target.observe(locators), reference, lambda: by_ldapsearch(server)
