"""A small company to run passes on: a real store, real policies, and a real directory and vault in files.

Nothing here is a stand-in but `Faulty`, which wraps a real target and fails where a test says so.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from reconciler.apply.patience import Patience
from reconciler.facts.events import parse_event
from reconciler.facts.recording import EventOutcome, record_events
from reconciler.passes import Applied, ConfiguredTarget, Look, Wiring, apply_plan, approve, look
from reconciler.plan.artefact import SavedPlan
from reconciler.plan.model import Change
from reconciler.targets import (
    Capabilities,
    EntitlementRead,
    Locator,
    Observation,
    Outcome,
    OutcomeKind,
    Reading,
    Step,
    Target,
    TargetUnavailable,
    TargetWriter,
)
from reconciler.workspace import Workspace

MONDAY = datetime(2026, 11, 23, 2, tzinfo=UTC)
"""10:00 in Shanghai."""

QUICK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # folders of one's own are made below it
"""Where folders for tests are made; None: where the system makes them."""

STORES: list[Callable[[], str]] = []
"""Where companies that are made now have their stores, the last one counts; nothing: each in a file of its own."""

WORKSPACE = """
format: reconciler.workspace/1
organization: 星河科技
timezone: Asia/Shanghai
policies: policies
targets:
  dir:
    type: ldif
    path: directory.ldif
    people: {base: "ou=people,dc=example,dc=com", match: {employeeNumber: id}}
    groups: {base: "ou=groups,dc=example,dc=com", kind: groupOfNames, placeholder: "cn=nobody,dc=example,dc=com"}
    accounts: {disable: ppolicy}
  vault: {type: casbin, model: vault.conf, policy: vault.csv}
"""

POLICY = """
attributes:
  department: {kind: tree}
evidence:
  nda:      {kind: agreement, version: 1}
  training: {kind: training, valid_for: 1y}
clearances:
  - public: {}
  - internal: {requires: [nda]}
  - core: {requires: [training]}
resources:
  docs:       {classification: internal, access: {read: {dir: {group: docs}}}}
  algorithms: {classification: core, access: {read: {dir: {group: algorithms}, vault: {role: core-reader}}}}
roles:
  engineer: {match: {department: rd}, grants: {read: [docs]}}
  researcher: {match: {department: rd/ai}, grants: {read: [algorithms]}}
lifecycle:
  notice: {ceiling: public}
  exited: {disable: immediately, delete_after: 90d}
"""

MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
"""

HEAD = """version: 1

dn: dc=example,dc=com
objectClass: domain
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups
"""


@dataclass(frozen=True)
class Account:
    """An account as the directory has it: `number` is the employee number, `stable` what its entryUUID hangs on."""

    uid: str
    number: str = ""
    stable: str = ""

    @property
    def dn(self) -> str:
        return f"uid={self.uid},ou=people,dc=example,dc=com"

    @property
    def key(self) -> str:
        return str(uuid5(NAMESPACE_DNS, self.stable or self.uid))

    def entry(self) -> str:
        number = f"employeeNumber: {self.number}\n" if self.number else ""
        return (
            f"dn: {self.dn}\nobjectClass: inetOrgPerson\nuid: {self.uid}\ncn: {self.uid}\nsn: {self.uid}\n"
            f"{number}entryUUID: {self.key}\n"
        )


@dataclass
class Company:
    """One workspace in a folder, with a clock that is moved by hand."""

    folder: Path
    now: datetime = MONDAY
    actor: str = "ops"
    people: list[str] = field(default_factory=list)
    patience: Patience = field(default_factory=lambda: Patience(wait=lambda _: None))
    made: bool = False
    told: int = 0

    def __post_init__(self) -> None:
        if self.made:
            self.told = 1000  # the ids of the template's events are taken
            return
        (self.folder / "policies").mkdir()
        if STORES:
            (self.folder / "store-url").write_text(STORES[-1](), "utf-8")
            (self.folder / "store-url").chmod(0o600)
        self._write_workspace(WORKSPACE)
        (self.folder / "vault.conf").write_text(MODEL, "utf-8")
        (self.folder / "vault.csv").write_text("p, core-reader, algorithms, read\n", "utf-8")
        self.policy(POLICY)
        self.directory([], {"docs": [], "algorithms": []})

    # --- the world ----------------------------------------------------------------------------------------------------

    def policy(self, text: str) -> None:
        (self.folder / "policies" / "policy.yaml").write_text(text, "utf-8")

    def add_policy(self, text: str, name: str = "more") -> None:
        (self.folder / "policies" / f"{name}.yaml").write_text(text, "utf-8")

    def configure(self, **settings: str) -> None:
        """Add settings to the target `dir`."""
        lines = "".join(f"    {name}: {value}\n" for name, value in settings.items())
        text = WORKSPACE.replace("    path: directory.ldif\n", f"    path: directory.ldif\n{lines}")
        self._write_workspace(text)

    def workspace(self, change: Callable[[str], str]) -> None:
        """Edit the workspace file."""
        path = self.folder / "reconciler.yaml"
        path.write_text(change(path.read_text("utf-8")), "utf-8")

    def _write_workspace(self, text: str) -> None:
        where = 'store: "${file:store-url}"\n' if (self.folder / "store-url").exists() else ""
        (self.folder / "reconciler.yaml").write_text(text + where, "utf-8")

    def directory(self, accounts: Sequence[Account], groups: Mapping[str, Sequence[Account | str]]) -> None:
        """Write the directory afresh; a member given as text stands there as it is."""
        parts = [HEAD, *(account.entry() for account in accounts)]
        for name, members in groups.items():
            dns = [member if isinstance(member, str) else member.dn for member in members]
            lines = "".join(f"member: {dn}\n" for dn in dns or ["cn=nobody,dc=example,dc=com"])
            parts.append(f"dn: cn={name},ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: {name}\n{lines}")
        (self.folder / "directory.ldif").write_text("\n".join(parts), "utf-8")

    def put(self, group: str, account: Account) -> None:
        """Somebody adds a member by hand."""
        self._edit(group, lambda entry: f"{entry}member: {account.dn}\n")

    def take(self, group: str, account: Account) -> None:
        """Somebody takes a member out by hand."""
        self._edit(group, lambda entry: entry.replace(f"member: {account.dn}\n", ""))

    def members(self, group: str) -> set[str]:
        """The uids of a group's members, read from the file by other means than the target's."""
        entry = self._entry(group)
        dns = [line.removeprefix("member: ") for line in entry.splitlines() if line.startswith("member: ")]
        return {dn.split(",")[0].removeprefix("uid=") for dn in dns if not dn.startswith("cn=nobody,")}

    def readers(self) -> set[str]:
        """Who holds the vault's role."""
        lines = (self.folder / "vault.csv").read_text("utf-8").splitlines()
        return {line.split(",")[1].strip() for line in lines if line.startswith("g,") and line.endswith("core-reader")}

    def _entry(self, group: str) -> str:
        parts = (self.folder / "directory.ldif").read_text("utf-8").split("\n\n")
        return next(part + "\n" for part in parts if part.startswith(f"dn: cn={group},"))

    def _edit(self, group: str, change: Any) -> None:
        path = self.folder / "directory.ldif"
        old = self._entry(group).rstrip("\n") + "\n"
        text = path.read_text("utf-8")
        text = text if text.endswith("\n") else text + "\n"
        path.write_text(text.replace(old, change(old)), "utf-8")

    # --- facts --------------------------------------------------------------------------------------------------------

    def pass_time(self, **amount: float) -> None:
        self.now += timedelta(**amount)

    def tell(self, kind: str, person: str, day: str = "2026-01-01", /, **data: object) -> int:
        """Record an event; the ledger entry."""
        return self.tell_all([(kind, person, day, data)])[0]

    def tell_all(self, events: Sequence[tuple[str, str, str, Mapping[str, object]]]) -> list[int]:
        parsed = []
        for kind, person, day, data in events:
            self.told += 1
            first_proof = kind == "evidence-recorded" and day == "2026-06-01"
            name = f"{person}-{data['kind']}" if first_proof else f"t-{self.told}"
            said = {"id": name, "type": kind, "person": person, "effective_at": day, "data": dict(data)}
            parsed.append(parse_event({**said, "confirmed": kind == "unlocked"}))
        facts = self.wiring(targets=()).facts
        results = record_events(facts, parsed, source="test", now=self.now, actor="hr")
        assert all(result.outcome is EventOutcome.RECORDED for result in results), results
        return [result.entry for result in results]

    def hire(self, *people: str, department: str = "rd", proofs: Sequence[str] = ("nda", "training")) -> None:
        """Hire them, with proofs that are valid until next summer."""
        hired: list[tuple[str, str, str, Mapping[str, object]]] = [
            ("hired", person, "2026-01-01", {"department": department}) for person in people
        ]
        shown: list[tuple[str, str, str, Mapping[str, object]]] = [
            ("evidence-recorded", person, "2026-06-01", {"kind": kind, "valid_from": "2026-06-01"})
            for person in people
            for kind in proofs
        ]
        self.tell_all([*hired, *shown])
        self.people += people

    # --- passes -------------------------------------------------------------------------------------------------------

    def wiring(self, *, targets: Sequence[str] | None = None, faults: Mapping[str, Faulty] | None = None) -> Wiring:
        made = Workspace.load(self.folder / "reconciler.yaml").wire(targets=targets)
        wired = replace(made, clock=lambda: self.now, actor=self.actor, patience=self.patience)
        for name, fault in (faults or {}).items():
            fault.real = made.targets[name].target
            configured: ConfiguredTarget = replace(made.targets[name], target=fault)
            wired = replace(wired, targets={**wired.targets, name: configured})
        return wired

    def look(self, **options: Any) -> Look:
        return look(self.wiring(faults=options.pop("faults", None)), **options)

    def apply(self, saved: SavedPlan | None = None, **options: Any) -> Applied:
        done = apply_plan(self.wiring(faults=options.pop("faults", None)), saved=saved, **options)
        assert done is not None
        return done

    def approve(self, digest: str, actor: str = "boss") -> None:
        wired = replace(self.wiring(targets=()), actor=actor)
        approve(wired, digest, "looked at")

    def settle(self) -> Applied:
        """The first roll-out: somebody looks at all of it, and it is carried out."""
        self.approve(self.look().plan.digest)
        done = self.apply()
        assert not done.plan.held
        assert not done.failed
        self.pass_time(days=2)
        return done


def staff(count: int) -> list[Account]:
    """Accounts of people E1, E2, …"""
    return [Account(f"u{n}", f"E{n}") for n in range(1, count + 1)]


def settled_company(folder: Path, count: int = 10, department: str = "rd") -> tuple[Company, list[Account]]:
    """A company in which everybody has what they should have."""
    if STORES:  # a file can be copied
        return _settled(folder, count, department), staff(count)
    template = _template(count, department)
    shutil.copytree(template.name, folder, dirs_exist_ok=True)
    accounts = staff(count)
    company = Company(folder, made=True, people=[account.number for account in accounts])
    company.pass_time(days=2)
    return company, accounts


@cache
def _template(count: int, department: str) -> tempfile.TemporaryDirectory[str]:
    """Settling takes as long as a whole test: it is done once for all of them."""
    made = tempfile.TemporaryDirectory(dir=QUICK)
    _settled(Path(made.name), count, department)
    return made


def _settled(folder: Path, count: int, department: str) -> Company:
    company, accounts = Company(folder), staff(count)
    company.hire(*(account.number for account in accounts), department=department)
    company.directory(accounts, {"docs": [], "algorithms": []})
    company.settle()
    return company


def of(changes: Sequence[Change], op: str = "") -> set[tuple[str | None, str]]:
    """(person, permission) of the changes."""
    return {(c.subject, p) for c in changes if not op or c.op.value == op for p in c.permissions or ("",)}


class Died(Exception):
    """The process died here."""


@dataclass
class Faulty(Target):
    """A real target, one step at a time, that fails where a test says so.

    `lies`: says that a step is done and does nothing. `mute`: does it and does not answer. `deaf`: does nothing and
    does not answer. `dies_at`: the process dies at this step (counted from 0), after it was done if `late`.
    """

    lies: Collection[str] = ()
    mute: Collection[str] = ()
    deaf: Collection[str] = ()
    refuses: Collection[str] = ()
    dies_at: int = -1
    late: bool = False
    unreachable: bool = False
    breaks_off: bool = False
    own: frozenset[str] = frozenset()
    accounts_reading: Reading | None = None
    readings: Mapping[str, Reading] = field(default_factory=dict)
    sent: list[Step] = field(default_factory=list)
    during: Any = None
    real: Any = None

    def describe(self) -> Capabilities:
        real: Capabilities = self.real.describe()
        return replace(real, batch_size=1)

    def check_locator(self, locator: Locator) -> str | None:
        found: str | None = self.real.check_locator(locator)
        return found

    def match_attributes(self) -> Sequence[str]:
        found: Sequence[str] = self.real.match_attributes()
        return found

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        if self.unreachable:
            raise TargetUnavailable("the directory does not answer")
        seen: Observation = self.real.observe(locators, accounts)
        reads = {key: self._read(key, read) for key, read in seen.entitlements.items()}
        roll = replace(seen.accounts, reading=self.accounts_reading) if self.accounts_reading else seen.accounts
        return replace(seen, accounts=roll, entitlements=reads, own=self.own)

    def _read(self, key: str, read: EntitlementRead) -> EntitlementRead:
        return replace(read, reading=self.readings[key], detail="size limit") if key in self.readings else read

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        if self.unreachable:
            raise TargetUnavailable("the directory does not answer")
        with self.real.writer() as inner:
            yield _FaultyWriter(self, inner)


class _FaultyWriter(TargetWriter):
    def __init__(self, faults: Faulty, inner: TargetWriter) -> None:
        self._faults = faults
        self._inner = inner

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        return [self._one(step) for step in steps]

    def _one(self, step: Step) -> Outcome:
        faults, name = self._faults, step.account_name.split(",")[0].removeprefix("uid=")
        dies = len(faults.sent) == faults.dies_at
        faults.sent.append(step)
        if faults.during:
            faults.during()
        if faults.breaks_off:
            raise TargetUnavailable("the connection was lost")
        if dies and not faults.late:
            raise Died
        if name in faults.lies:
            return Outcome(OutcomeKind.APPLIED)
        if name in faults.refuses:
            return Outcome(OutcomeKind.REFUSED, "no right to do so")
        if name in faults.deaf:
            return Outcome(OutcomeKind.UNAVAILABLE, "no answer in 5 s")
        outcome = self._inner.apply([step])[0]
        if dies:
            raise Died
        return Outcome(OutcomeKind.UNAVAILABLE, "no answer in 5 s") if name in faults.mute else outcome
