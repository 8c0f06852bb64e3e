"""A real Active Directory for tests: Samba as a domain controller, on a loopback address of its own.

Promises: nothing of the system's configuration is read or changed; the server ends with whoever started it; no waiting
by the clock. Samba listens on 389 and 636 and nothing else will do, so each server takes an address of 127.0.0.0/8 that
nobody listens on, and several can run side by side; such ports need root. Only the LDAP service is started.

A domain takes some seconds to make. `Seed` makes it once and controllers start from copies of it, which hold the same
objects with the same keys: two controllers of one domain between which nothing is replicated, the worst lag there is.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.slapd import Found, certificates, entries_of, insist

__all__ = ["DOMAIN", "LABS", "PASSWORD", "Samba", "missing", "required", "seeded", "started"]

DOMAIN = "DC=lab,DC=test"
LABS = f"OU=labs,{DOMAIN}"
"""Below this unit `reconciler` may write the members of groups and the state of accounts, and nothing anywhere else."""
PASSWORD = "Secret-of-the-lab-1"
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
_SCHEMA = Path("/usr/share/samba/setup/ad-schema")
_READY = 60.0
"""Seconds a server may take to answer at all."""
_GROUP, _USER = "bf967a9c-0de6-11d0-a285-00aa003049e2", "bf967aba-0de6-11d0-a285-00aa003049e2"
_MEMBER, _CONTROL = "bf9679c0-0de6-11d0-a285-00aa003049e2", "bf967a68-0de6-11d0-a285-00aa003049e2"
RIGHTS = (f"(OA;CIIO;WP;{_MEMBER};{_GROUP};{{sid}})", f"(OA;CIIO;WP;{_CONTROL};{_USER};{{sid}})")
"""The least that the adapter needs, in the security descriptor language (MS-DTYP): write members, write the state."""


@dataclass(frozen=True, slots=True)
class Samba:
    """A running domain controller. `administrator` may do everything; `reconciler` what `LABS` says; `reader` reads."""

    folder: Path
    address: str
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"ldap://{self.address}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://{self.address}"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def database(self) -> str:
        return str(self.folder / "private" / "sam.ldb")

    def account(self, name: str) -> str:
        """The DN of `Administrator`, `reconciler` or `reader`; the password of each is `PASSWORD`."""
        return f"CN={name},CN=Users,{DOMAIN}"

    def add(self, entries: str) -> None:
        """Add entries in one transaction, beside the server: hundreds of times as fast as one by one through it."""
        _run("ldbadd", "-H", self.database, entries=entries)

    def modify(self, changes: str) -> None:
        _run("ldbmodify", "-H", self.database, entries=changes)

    def tool(self, *arguments: str) -> str:
        """What `samba-tool` prints."""
        return _run("samba-tool", *arguments, "-s", str(self.folder / "smb.conf"), "-H", self.database)

    def search(self, base: str, condition: str = "(objectClass=*)", *attributes: str) -> Found:
        """What the real `ldapsearch` says, as the administrator, over TLS."""
        command = ["ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-x", "-H", self.tls_url, "-D"]
        command += [self.account("Administrator"), "-w", PASSWORD, "-b", base, "-E", "!1.2.840.113556.1.4.1339"]
        return entries_of(_run(*command, "-E", "pr=1000/noprompt", condition, *attributes, ca=self.ca))

    def rename_controller(self, name: str) -> None:
        """Give the controller another name for itself."""
        [server] = _search_here(self.database, "(objectClass=server)", "sites")
        self.modify(f"dn: {server}\nchangetype: modrdn\nnewrdn: CN={name}\ndeleteoldrdn: 1\n")

    def terminate(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def missing() -> str:
    """What is needed and not there, in words; empty where all is."""
    needed = ("samba", "samba-tool", "ldbadd", "ldbmodify", "ldapsearch", "openssl")
    absent = [program for program in needed if not shutil.which(program, path=_PATH)]
    if absent or not _SCHEMA.is_dir():
        named = absent or [f"{_SCHEMA} (Debian: samba-ad-provision)"]
        return f"not installed: {', '.join(named)}; see tests/servers/install.sh"
    return "" if os.geteuid() == 0 else "only root can start a domain controller: it listens on 389 and 636"


def required() -> None:
    """Skip the test, saying why, where there can be no Samba; fail it where CI is to have one."""
    insist(missing())


def seeded(folder: Path) -> Path:
    """The domain in `folder`, made there unless it is; whoever else makes it at this moment is waited for."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _provision(folder)
            (folder / "whole").touch()
    return folder


@contextmanager
def started(seed: Path, folder: Path, address: str = "") -> Iterator[Samba]:
    """A controller with a copy of the domain in `folder`, ready to answer; ended when the block ends. A folder that
    holds a domain already keeps it, and goes on at its own `address`, which is a free one unless given.
    """
    if not (folder / "private").exists():
        own = shutil.ignore_patterns("ldapi", "ca.*", "server.*")  # sockets and certificates are each controller's own
        shutil.copytree(seed, folder, symlinks=True, dirs_exist_ok=True, ignore=own)
    address = address or _free_address()
    certificates(folder, address)
    (folder / "server.key").chmod(0o600)
    (folder / "smb.conf").write_text(_configuration(folder, address), encoding="utf-8")
    with (folder / "samba.out").open("ab") as log:
        command = ["samba", "-i", "-M", "single", "-s", str(folder / "smb.conf")]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=_environment(), start_new_session=True
        )
    server = Samba(folder, address, process)
    try:
        _wait_for(server)
        yield server
    finally:
        server.terminate()


def _wait_for(server: Samba) -> None:
    for _ in range(int(_READY / 0.02)):
        try:
            server.process.wait(0.02)
        except subprocess.TimeoutExpired:
            with socket.socket() as attempt:
                if attempt.connect_ex((server.address, 636)) == 0:
                    return
        else:
            break
    said = (server.folder / "samba.out").read_text(errors="replace")
    raise AssertionError(f"samba does not start: {said[-2000:]}")


def _provision(folder: Path) -> None:
    folder.mkdir()
    (folder / "smb.conf").write_text(_configuration(folder, "127.0.0.1"), encoding="utf-8")
    domain = ["--use-rfc2307", "--realm=LAB.TEST", "--domain=LAB", "--host-name=dc", "--host-ip=127.0.0.1"]
    role = ["--server-role=dc", "--dns-backend=NONE", f"--adminpass={PASSWORD}", f"--targetdir={folder}"]
    _run("samba-tool", "domain", "provision", "-s", str(folder / "smb.conf"), *domain, *role)
    database = str(folder / "private" / "sam.ldb")
    _run("ldbadd", "-H", database, entries=f"dn: {LABS}\nobjectClass: organizationalUnit\n")
    own = ["-s", str(folder / "smb.conf"), "-H", database]
    for name in ("reconciler", "reader"):
        _run("samba-tool", "user", "create", name, PASSWORD, *own)
    shown = _run("samba-tool", "user", "show", "reconciler", "--attributes=objectSid", *own)
    sid = next(line.split()[1] for line in shown.splitlines() if line.startswith("objectSid:"))
    for right in RIGHTS:
        _run("samba-tool", "dsacl", "set", "--objectdn", LABS, f"--sddl={right.format(sid=sid)}", *own)


def _configuration(folder: Path, address: str) -> str:
    for name in ("pid", "ncalrpc", "winbindd"):
        (folder / name).mkdir(exist_ok=True)
    return f"""[global]
    interfaces = {address}/8
    bind interfaces only = yes
    server services = ldap
    server role = active directory domain controller
    netbios name = DC
    realm = LAB.TEST
    workgroup = LAB
    idmap_ldb:use rfc2307 = yes
    private dir = {folder}/private
    state directory = {folder}/state
    cache directory = {folder}/cache
    lock directory = {folder}
    binddns dir = {folder}/bind-dns
    pid directory = {folder}/pid
    ncalrpc dir = {folder}/ncalrpc
    winbindd socket directory = {folder}/winbindd
    log file = {folder}/samba.log
    tls keyfile = {folder}/server.key
    tls certfile = {folder}/server.pem
    tls cafile = {folder}/ca.pem
"""


def _free_address() -> str:
    """An address of this machine alone at which nobody listens on the ports of a controller."""
    for _ in range(100):
        address = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(254) + 1}.{secrets.randbelow(253) + 2}"
        if all(_can_bind(address, port) for port in (389, 636, 3268, 3269)):
            return address
    raise AssertionError("no address of 127.0.0.0/8 is free for a domain controller")


def _can_bind(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _search_here(database: str, condition: str, under: str) -> Sequence[str]:
    base = f"CN={under},CN=Configuration,{DOMAIN}"
    found = _run("ldbsearch", "-H", database, "-b", base, condition, "dn")
    return [line.removeprefix("dn: ") for line in found.splitlines() if line.startswith("dn: ")]


def _environment(ca: Path | None = None) -> dict[str, str]:
    return {**os.environ, "PATH": _PATH, "LC_ALL": "C.UTF-8", **({"LDAPTLS_CACERT": str(ca)} if ca else {})}


def _run(program: str, *arguments: str, entries: str = "", ca: Path | None = None) -> str:
    command: Sequence[str] = (program, *arguments)
    done = subprocess.run(command, input=entries.encode(), capture_output=True, env=_environment(ca), check=False)
    if done.returncode or b"ERR: " in done.stderr:  # ldbadd commits what it added before an error, and ends with 0
        raise AssertionError(f"{program}: {done.stderr.decode()}{done.stdout.decode()}")
    return done.stdout.decode()
