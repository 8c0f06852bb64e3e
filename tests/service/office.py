"""A small company on a real directory, and the service started for it as an operator starts it.

Requests are signed here by hand, after the specification, and not with the library that checks them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import requests
import yaml

from reconciler.facts.events import parse_event
from reconciler.facts.recording import EventOutcome, record_events
from reconciler.passes import apply_plan, approve, look
from reconciler.passes.tokens import Act, create_token
from reconciler.passes.wiring import Wiring
from reconciler.workspace import Workspace
from tests.servers.postgresql import ESCAPED
from tests.servers.postgresql import PASSWORD as PASSWORD_OF_STORE
from tests.servers.slapd import PASSWORD, Slapd, free_port, ldapsearch

PROGRAM = Path(sys.executable).with_name("reconciler")
PATIENCE = 60.0
"""Seconds after which something that is waited for never comes; it takes a hundredth of that."""

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
NEXT_SECRET = "whsec_" + base64.b64encode(b"fedcba9876543210fedcba9876543210").decode()
DC = "dc=example,dc=com"

WORKSPACE = """\
format: reconciler.workspace/1
organization: 一家公司
timezone: Asia/Shanghai
policies: policies
targets:
  dir:
    type: ldap
    url: "ldap://127.0.0.1:{port}"
    tls: none
    timeout: 5
    bind: {{dn: "cn=reconciler,dc=example,dc=com", password: "${{file:bind}}"}}
    people: {{base: "ou=people,dc=example,dc=com", match: {{employeeNumber: id}}}}
    groups: {{base: "ou=groups,dc=example,dc=com", kind: groupOfNames, placeholder: "cn=nobody,dc=example,dc=com"}}
service:
  listen: "127.0.0.1:{own}"
  max_body_bytes: 4194304
  webhooks:
    hr: {{secret: ["${{file:secret}}", "${{file:next-secret}}"]}}
"""
POLICY = """
attributes: {department: {kind: tree}}
evidence:
  nda:      {kind: agreement, version: 1}
  training: {kind: training, valid_for: 1y}
clearances:
  - public: {}
  - internal: {requires: [nda]}
  - core: {requires: [training]}
resources:
  docs:       {classification: internal, access: {read: {dir: {group: docs}}}}
  algorithms: {classification: core, access: {read: {dir: {group: algorithms}}}}
roles:
  engineer:   {match: {department: rd}, grants: {read: [docs]}}
  researcher: {match: {department: rd/ai}, grants: {read: [algorithms]}}
guards: {exits: {percent: 100, people: 1000}}
lifecycle: {notice: {ceiling: public}}
"""


def directory(count: int) -> str:
    """People e1, e2, … with their numbers, and two empty groups."""
    entries = [f"dn: {DC}\nobjectClass: organization\nobjectClass: dcObject\no: One\ndc: example\n"]
    entries += [f"dn: ou={ou},{DC}\nobjectClass: organizationalUnit\nou: {ou}\n" for ou in ("people", "groups")]
    entries += [
        f"dn: uid=e{n},ou=people,{DC}\nobjectClass: inetOrgPerson\nuid: e{n}\ncn: {n}\nsn: {n}\nemployeeNumber: E{n}\n"
        for n in range(1, count + 1)
    ]
    entries += [
        f"dn: cn={name},ou=groups,{DC}\nobjectClass: groupOfNames\ncn: {name}\nmember: cn=nobody,{DC}\n"
        for name in ("docs", "algorithms")
    ]
    return "\n".join(entries)


def until(holds: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Look again and again until it holds."""
    deadline, pause = time.monotonic() + patience, Event()
    while not holds():
        assert time.monotonic() < deadline, f"never came: {what}"
        pause.wait(0.02)


def signed(body: bytes, secret: str = SECRET, *, at: datetime | None = None, name: str = "msg_1") -> dict[str, str]:
    """The headers of a request, as the Standard Webhooks specification has them."""
    stamp = str(int((at or datetime.now(UTC)).timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mark = hmac.new(key, f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(mark).decode(),
        "content-type": "application/json",
    }


def exited(person: str, name: str = "", at: datetime | None = None) -> dict[str, object]:
    """The event; in a company this small any exit is many."""
    when = (at or datetime.now(UTC)).isoformat()
    said = {"id": name or f"exit-{person}", "type": "exited", "person": person, "effective_at": when}
    return {**said, "confirmed": True}


@dataclass
class Service:
    """A running `reconciler serve`."""

    url: str
    process: subprocess.Popen[bytes]
    errors: Path

    def post(self, said: object, secret: str = SECRET, **how: Any) -> requests.Response:
        """Send it, signed."""
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        return requests.post(f"{self.url}/v1/events", body, headers=signed(body, secret, **how), timeout=PATIENCE)

    def ask(self, path: str, token: str = "", said: object = None, **headers: str) -> requests.Response:
        """Ask with a token: GET, or POST where something is said."""
        sent = {**({"authorization": f"Bearer {token}"} if token else {}), **headers}
        method, body = ("GET", None) if said is None else ("POST", json.dumps(said).encode())
        if body is not None:
            sent = {"content-type": "application/json", **sent}
        return requests.request(method, self.url + path, data=body, headers=sent, timeout=PATIENCE)

    def ready(self) -> Any:
        """What it says of itself."""
        return requests.get(f"{self.url}/readyz", timeout=PATIENCE).json()

    def until_ready(self) -> None:
        """It has made its first whole pass, and nobody is due."""
        until(lambda: (said := self.ready())["ready"] and said["due"] == 0, "readiness")

    def log(self) -> list[dict[str, Any]]:
        """What it told its log; each line is JSON."""
        return [json.loads(line) for line in self.errors.read_text("utf-8").splitlines()]

    def end(self, kind: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; how it ended."""
        self.process.send_signal(kind)
        return self.process.wait(PATIENCE)


@dataclass
class Office:
    """The company, its directory, and a clock for what is done in this process (the service's own is the real one)."""

    folder: Path
    slapd: Slapd
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    file: str = "reconciler.yaml"

    @classmethod
    def made(cls, folder: Path, slapd: Slapd) -> Office:
        """Its files."""
        (folder / "policies").mkdir()
        for name, text in (("bind", PASSWORD), ("secret", SECRET), ("next-secret", NEXT_SECRET)):
            (folder / name).write_text(text, "utf-8")
            (folder / name).chmod(0o600)
        (folder / "reconciler.yaml").write_text(WORKSPACE.format(port=slapd.port, own=free_port()), "utf-8")
        (folder / "policies" / "policy.yaml").write_text(POLICY, "utf-8")
        return cls(folder, slapd)

    def beside(self, name: str, **settings: object) -> Office:
        """The same company as another machine knows it: it listens on a port of its own, and has these settings of
        the service beside.
        """
        written = yaml.safe_load((self.folder / self.file).read_text("utf-8"))
        written["service"] |= {"listen": f"127.0.0.1:{free_port()}", **settings}
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(written, allow_unicode=True), "utf-8")
        return replace(self, file=f"{name}.yaml")

    def kept_in(self, url: str) -> None:
        """The record is there."""
        (self.folder / "store-password").write_text(PASSWORD_OF_STORE, "utf-8")
        (self.folder / "store-password").chmod(0o600)
        line = "store: " + json.dumps(url.replace(ESCAPED, "${file:store-password}")) + "\n"
        path = self.folder / self.file
        path.write_text(path.read_text("utf-8") + line, "utf-8")

    def edit(self, old: str, new: str) -> None:
        """Change the workspace file."""
        path = self.folder / "reconciler.yaml"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")

    def run_git(self, *words: str) -> None:
        """In the folder of the policies."""
        subprocess.run(["git", "-C", str(self.folder / "policies"), *words], check=True, capture_output=True)

    def write_policy(self, old: str, new: str) -> None:
        """Change the policy's text."""
        file = self.folder / "policies" / "policy.yaml"
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    # --- in this process ----------------------------------------------------------------------------------------------

    def workspace(self) -> Workspace:
        return Workspace.load(self.folder / self.file)

    def wiring(self, **options: Any) -> Wiring:
        return replace(self.workspace().wire(**options), clock=self.clock)

    def tell(self, *events: Mapping[str, object]) -> None:
        """Record events as the command line does."""
        parsed = [parse_event(event) for event in events]
        facts = self.workspace().facts()
        results = record_events(facts, parsed, source="cli", now=self.clock(), actor="hr")
        assert all(each.outcome is EventOutcome.RECORDED for each in results), results

    def hire(self, people: Sequence[str], proven_on: str) -> None:
        """Researchers with all proofs, valid for a year from that day."""
        events: list[dict[str, object]] = []
        for person in people:
            post = {"department": "rd/ai"}
            events.append({"id": f"h-{person}", "type": "hired", "person": person, "effective_at": "2020-01-01"})
            events[-1]["data"] = post
            for kind in ("nda", "training"):
                data = {"kind": kind, "valid_from": proven_on}
                name = f"{kind}-{person}"
                told = {"id": name, "type": "evidence-recorded", "person": person, "effective_at": proven_on}
                events.append({**told, "data": data})
        self.tell(*events)

    def settle(self) -> None:
        """The first roll-out, looked at and carried out."""
        wiring = self.wiring()
        approve(replace(wiring, actor="boss"), look(wiring).plan.digest, "looked at")
        done = apply_plan(wiring)
        assert done is not None
        assert not done.failed
        assert not done.plan.held

    def token(self, owner: str, *acts: Act, until: datetime | None = None) -> str:
        """A token, made as the command line does; good for everything unless it is said for what."""
        now = self.clock()
        ends = until or now + timedelta(days=1)
        return create_token(self.workspace().facts(), owner, acts or [*Act], ends, now=now, actor="it")[0]

    def entries(self, kind: str) -> int:
        """How many entries of this kind the ledger has; it verifies."""
        ledger = self.workspace().facts().ledger
        ledger.verify()
        return sum(1 for _ in ledger.entries(kinds={kind}))

    # --- the directory, by OpenLDAP's own program ---------------------------------------------------------------------

    def members(self, group: str) -> set[str]:
        """The people in a group."""
        found = ldapsearch(
            self.slapd.url, f"cn={group},ou=groups,{DC}", "(cn=*)", ["member"], user=self.slapd.account("admin")
        )
        dns = found[f"cn={group},ou=groups,{DC}"]["member"]
        return {dn.split(",")[0].removeprefix("uid=").upper() for dn in dns if dn.startswith("uid=")}

    def anywhere(self, person: str) -> bool:
        return person in self.members("docs") | self.members("algorithms")

    # --- the service --------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://{self.workspace().spec.service.listen}"

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the product, to its end."""
        return subprocess.run(
            [str(PROGRAM), *arguments, "--workspace", self.file],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    @contextmanager
    def serving(self) -> Iterator[Service]:
        """The service as a process; whatever happens, it is gone afterwards."""
        with self._process(["serve"], self.folder / "service.log", "Listening on") as process:
            yield Service(self.url, process, self.folder / "service.log")

    @contextmanager
    def working(self, name: str = "worker") -> Iterator[Service]:
        """A worker as a process, which has no URL."""
        errors = self.folder / f"{name}.log"
        with self._process(["worker"], errors, "Working for") as process:
            yield Service("", process, errors)

    @contextmanager
    def _process(self, arguments: Sequence[str], errors: Path, begun: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [str(PROGRAM), *arguments, "--workspace", self.file]
        with errors.open("ab") as stream:
            process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=stream)
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            assert begun in line, line + errors.read_text("utf-8")
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def days_ago(days: int) -> str:
    """A day."""
    return (datetime.now(UTC) - timedelta(days)).date().isoformat()


def check_commands_beside(office: Office) -> None:
    """Other commands work beside the service, and it acts on what they record."""
    with office.serving() as service:
        service.until_ready()
        told = office.command("people", "event", "exited", "E2", "--at", "now", "--confirmed")
        assert told.returncode == 0, told.stderr
        until(lambda: not office.anywhere("E2"), "E2 out, whoever recorded it")
        locked = office.command("revoke", "E3", "--reason", "SEC-1")
        assert locked.returncode == 0, locked.stderr
        assert not office.anywhere("E3")
        service.until_ready()
