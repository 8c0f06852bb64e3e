"""A real OpenLDAP server for tests and the demo: its own folder, its own loopback port, its own certificate authority.

Promises: nothing of the system's configuration is read or changed; the server ends with whoever started it; no waiting
by the clock. On systems where AppArmor confines `/usr/sbin/slapd`, a copy of the program in the server's folder runs
instead.

As a command, it serves an LDIF file until it is terminated:

    python -m tests.servers.slapd --ldif directory.ldif --port 3890 --folder state/slapd
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = [
    "Found",
    "Slapd",
    "certificates",
    "entries_of",
    "free_port",
    "insist",
    "ldapsearch",
    "missing_programs",
    "required",
    "started",
]

SUFFIX = "dc=example,dc=com"
PASSWORD = "secret"
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
_MODULES = Path("/usr/lib/ldap")
_SCHEMAS = Path("/etc/ldap/schema")
Found: TypeAlias = dict[str, dict[str, list[str]]]
"""DN → attribute → values."""
_READY = 30.0
"""Seconds a server may take to answer at all; it takes far less than one."""


@dataclass(frozen=True, slots=True)
class Slapd:
    """A running server. `admin` may do everything; `reconciler` reads everything and writes groups only; `limited`
    reads
    everything, but never more than 500 entries."""

    folder: Path
    port: int
    tls_port: int
    suffix: str
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def account(self, name: str) -> str:
        """The DN of `admin`, `reconciler` or `limited`; the password of each is `PASSWORD`."""
        return f"cn={name},{self.suffix}"

    def run(self, program: str, *arguments: str, entries: str = "", check: bool = True) -> str:
        """One of the OpenLDAP client programs, as `admin`; what it printed."""
        command = [program, "-x", "-H", self.url, "-D", self.account("admin"), "-w", PASSWORD, *arguments]
        done = subprocess.run(command, input=entries.encode(), capture_output=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{program}: {done.stderr.decode()}")
        return done.stdout.decode()

    def add(self, entries: str) -> None:
        self.run("ldapadd", entries=entries)

    def modify(self, changes: str) -> None:
        self.run("ldapmodify", entries=changes)

    def search(self, base: str, condition: str = "(objectClass=*)", *attributes: str) -> Found:
        return ldapsearch(self.url, base, condition, attributes, user=self.account("admin"))


def ldapsearch(
    url: str, base: str, condition: str, attributes: Sequence[str] = (), *, user: str, password: str = PASSWORD
) -> Found:
    """What the real `ldapsearch` says: DN → attribute → values. Independent of everything that is tested here."""
    command = ["ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-x", "-H", url, "-D", user, "-w", password, "-b", base]
    done = subprocess.run([*command, condition, *attributes], capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f"ldapsearch: {done.stderr.decode()}")
    return entries_of(done.stdout.decode())


def entries_of(ldif: str) -> Found:
    """What an answer of `ldapsearch -LLL -o ldif-wrap=no` says."""
    return dict(_entries(ldif))


def _entries(ldif: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    for block in ldif.strip().split("\n\n"):
        lines = [_line(line) for line in block.splitlines() if line and not line.startswith("#")]
        if not lines or lines[0][0] != "dn":
            continue
        attributes: dict[str, list[str]] = {}
        for name, value in lines[1:]:
            attributes.setdefault(name, []).append(value)
        yield lines[0][1], attributes


def _line(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return (
        (name, base64.b64decode(value[1:]).decode("utf-8", "surrogateescape"))
        if value.startswith(":")
        else (name, value.strip())
    )


def missing_programs() -> str:
    """Which programs are needed and not there, in words; empty where all are."""
    needed = ("slapd", "ldapadd", "ldapmodify", "ldapsearch", "openssl")
    missing = [program for program in needed if not shutil.which(program, path=_PATH)]
    return f"not installed: {', '.join(missing)}; see tests/servers/install.sh" if missing else ""


def required() -> None:
    """Skip the test, saying why, where there is no slapd; fail it where CI is to have one."""
    insist(missing_programs())


def insist(reason: str) -> None:
    """Skip the test for this reason, or fail it where CI is to have everything; go on where there is none."""
    import pytest  # the command has no need of it

    if reason and os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@contextmanager
def started(
    folder: Path,
    *,
    ldif: Path | None = None,
    port: int = 0,
    suffix: str = SUFFIX,
    overlays: Sequence[str] = (),
    limits: str = "",
    hides_schema: bool = False,
) -> Iterator[Slapd]:
    """A server with its data in `folder`, ready to answer; ended when the block ends. `overlays`: memberof, ppolicy,
    refint, syncprov. `hides_schema`: nobody may read which attributes there are.

    `limits` is a `limits` line of slapd.conf for others than the administrator. A folder that holds data already keeps
    them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    certificates(folder)
    (folder / "slapd.conf").write_text(_configuration(folder, suffix, overlays, limits, hides_schema), encoding="utf-8")
    program = _program(folder)
    if not (folder / "data" / "data.mdb").exists():
        (folder / "data").mkdir(exist_ok=True)
        _load(program, folder, ldif, suffix, lockout="ppolicy" in overlays)
    server = _start(program, folder, port, suffix)
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM)
        try:
            server.process.wait(10)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


def _start(program: Path, folder: Path, port: int, suffix: str) -> Slapd:
    for _ in range(5):  # a free port may be taken by somebody else before slapd takes it
        plain, encrypted = port or free_port(), free_port()
        urls = f"ldap://127.0.0.1:{plain}/ ldaps://127.0.0.1:{encrypted}/"
        with (folder / "slapd.log").open("ab") as log:
            command = [str(program), "-d", "0", "-f", str(folder / "slapd.conf"), "-h", urls]
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        if _answers(process, plain):
            return Slapd(folder, plain, encrypted, suffix, process)
    raise AssertionError(f"slapd does not start: {(folder / 'slapd.log').read_text(errors='replace')[-2000:]}")


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server takes connections before it ends or the time is up."""
    for _ in range(int(_READY / 0.02)):
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    return True
        else:
            return False
    process.kill()
    process.wait()
    return False


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program(folder: Path) -> Path:
    original = shutil.which("slapd", path=_PATH)
    assert original is not None, missing_programs()
    copy = folder / "slapd"
    if not copy.exists():
        shutil.copy2(original, copy)
    return copy


def _configuration(folder: Path, suffix: str, overlays: Sequence[str], limits: str, hides_schema: bool) -> str:
    schemas = "\n".join(
        f"include {_SCHEMAS / name}.schema" for name in ("core", "cosine", "inetorgperson", "nis", "dyngroup")
    )
    modules = "\n".join(f"moduleload {name}" for name in ("back_mdb", *overlays)) if _MODULES.is_dir() else ""
    extras = "\n".join(f"overlay {name}\n{_OVERLAYS[name].format(suffix=suffix)}" for name in overlays)
    return f"""
{schemas}
{f"modulepath {_MODULES}" if modules else ""}
{modules}
pidfile {folder}/slapd.pid
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
{'access to dn.base="cn=Subschema" by * none' if hides_schema else ""}
database mdb
suffix "{suffix}"
rootdn "cn=admin,{suffix}"
rootpw {PASSWORD}
directory {folder}/data
maxsize 1073741824
dbnosync
sizelimit 500
{limits}
limits dn.exact="cn=reconciler,{suffix}" size=unlimited
index objectClass,entryUUID,cn,uid,member,memberUid,employeeNumber eq
access to attrs=userPassword by anonymous auth by * none
access to filter="(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))"
  by dn.exact="cn=reconciler,{suffix}" write by users read by * none
access to * by users read by anonymous auth
{extras}
"""


_OVERLAYS = {
    "memberof": "memberof-refint true",
    "ppolicy": 'ppolicy_default "cn=lockout,{suffix}"',
    "refint": "refint_attributes member",
    "syncprov": "",
}


def _load(program: Path, folder: Path, ldif: Path | None, suffix: str, *, lockout: bool) -> None:
    content = ldif.read_text(encoding="utf-8") if ldif else _tree(suffix)
    content = content.removeprefix("version: 1\n")  # slapadd takes it for an entry where a blank line follows
    for name in ("reconciler", "limited"):
        if f"dn: cn={name},{suffix}".lower() not in content.lower():
            content = content.rstrip() + "\n\n" + _service_account(name, suffix)
    if lockout and f"dn: cn=lockout,{suffix}".lower() not in content.lower():
        content = content.rstrip() + "\n\n" + _lockout(suffix)
    command = [str(program), "-Tadd", "-q", "-f", str(folder / "slapd.conf")]
    done = subprocess.run(command, input=content.encode(), capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f"slapadd: {done.stderr.decode()}")


def _tree(suffix: str) -> str:
    dc = suffix.split(",", maxsplit=1)[0].removeprefix("dc=")
    return f"dn: {suffix}\nobjectClass: organization\nobjectClass: dcObject\no: Example\ndc: {dc}\n"


def _lockout(suffix: str) -> str:
    """The policy without which a lock keeps nobody out."""
    classes = "objectClass: device\nobjectClass: pwdPolicy"
    return f"dn: cn=lockout,{suffix}\n{classes}\ncn: lockout\npwdAttribute: userPassword\npwdLockout: TRUE\n"


def _service_account(name: str, suffix: str) -> str:
    classes = "objectClass: applicationProcess\nobjectClass: simpleSecurityObject"
    return f"dn: cn={name},{suffix}\n{classes}\ncn: {name}\nuserPassword: {PASSWORD}\n"


def certificates(folder: Path, address: str = "127.0.0.1") -> None:
    """A certificate authority, and a certificate of it for this address; made anew for each server, worth nothing."""
    if (folder / "server.pem").exists():
        return
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    ca = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-addext", "keyUsage=critical,keyCertSign"]
    _openssl(folder, "req", "-x509", *key, *ca)
    names = f"subjectAltName=IP:{address}"  # and not localhost, so that a wrong host name can be shown
    own = ["-keyout", "server.key", "-out", "server.pem", "-subj", f"/CN={address}", "-addext", names]
    leaf = ["-addext", "basicConstraints=critical,CA:FALSE"]
    _openssl(folder, "req", "-x509", *key, *own, *leaf, "-CA", "ca.pem", "-CAkey", "ca.key")


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f"openssl: {done.stderr.decode()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a directory until terminated; print its URL once it answers."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers.slapd", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--ldif", type=Path, help="what the directory holds at first")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; a free one unless given")
    parser.add_argument("--folder", type=Path, required=True, help="where its data are kept")
    parser.add_argument("--suffix", default=SUFFIX)
    parser.add_argument("--overlay", action="append", default=[], choices=sorted(_OVERLAYS))
    options = parser.parse_args(arguments)
    if reason := missing_programs():
        print(reason, file=sys.stderr)  # noqa: T201
        return 1
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    folder, overlays = options.folder.resolve(), options.overlay
    with started(folder, ldif=options.ldif, port=options.port, suffix=options.suffix, overlays=overlays) as server:
        print(server.url, flush=True)  # noqa: T201
        print(f"admin: {server.account('admin')}  service account: {server.account('reconciler')}", flush=True)  # noqa: T201
        signal.sigwait(stop)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
