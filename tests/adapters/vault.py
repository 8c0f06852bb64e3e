"""A casbin vault to test on, seen by an enforcer that knows nothing of the target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import casbin
from casbin.persist import Adapter, load_policy_line
from sqlalchemy import create_engine, text

from adapters.casbin import CasbinTarget
from reconciler.targets import Locator, Observation, Op, OutcomeKind, Place, Step, TargetContext, entitlement_key

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
MODEL_WITHOUT_ROLES = MODEL.replace("[role_definition]\ng = _, _\n", "").replace("g(r.sub, p.sub)", "r.sub == p.sub")
POWERS = "# 阅读者\np, core-reader, core-algorithms, read\np, core-writer, core-algorithms, write\n\n"
READER: Locator = {"role": "core-reader"}
WRITER: Locator = {"role": "core-writer"}
DESIGNS: Locator = {"object": "chip-designs", "action": "read"}
ALL = (READER, WRITER, DESIGNS)
ASKED = {
    entitlement_key(READER): ("core-algorithms", "read"),
    entitlement_key(WRITER): ("core-algorithms", "write"),
    entitlement_key(DESIGNS): ("chip-designs", "read"),
}


class Rows(Adapter):  # type: ignore[misc]  # pycasbin has no types
    """Rows of a table, loaded into an enforcer as casbin's SQL adapter does."""

    def __init__(self, url: str) -> None:
        self._url = url

    def load_policy(self, model: object) -> None:
        engine = create_engine(self._url)
        with engine.connect() as connection:
            for row in connection.execute(text("SELECT ptype, v0, v1, v2 FROM casbin_rule ORDER BY id")):
                load_policy_line(", ".join(value for value in row if value is not None), model)
        engine.dispose()


class Vault:
    """A store in a folder, the target on it, and an enforcer that knows nothing of the target."""

    def __init__(self, folder: Path, model: str = MODEL) -> None:
        self.folder = folder
        (folder / "vault.conf").write_text(model, encoding="utf-8")

    @property
    def policy(self) -> Path:
        return self.folder / "vault.csv"

    def settings(self) -> dict[str, object]:
        return {"model": "vault.conf", "policy": "vault.csv"}

    def fill(self, lines: str) -> None:
        self.policy.write_bytes(lines.encode())

    def enforcer(self) -> casbin.Enforcer:
        return casbin.Enforcer(str(self.folder / "vault.conf"), str(self.policy))

    def append(self, *fields: str) -> None:
        """One more line, by hand."""
        with self.policy.open("a", encoding="utf-8") as file:
            file.write(" ,".join(fields) + "\n")

    def forget(self, subject: str) -> None:
        """Take every g line of a subject out, by hand."""
        lines = self.policy.read_text(encoding="utf-8").splitlines(keepends=True)
        self.policy.write_text("".join(line for line in lines if f"g, {subject}," not in line), encoding="utf-8")

    def picture(self) -> object:
        """Everything that is stored."""
        return self.policy.read_bytes()

    @property
    def target(self) -> CasbinTarget:
        return CasbinTarget(TargetContext("vault", self.folder, Place("reconciler.yaml", 1)), self.settings())

    def observe(self, *locators: Locator) -> Observation:
        return self.target.observe(locators or ALL)

    def apply(self, *steps: Step) -> list[OutcomeKind]:
        with self.target.writer() as writer:
            return [outcome.kind for outcome in writer.apply(steps)]


class SqlVault(Vault):
    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/vault.db"

    def settings(self) -> dict[str, object]:
        return {"model": "vault.conf", "policy": {"url": "sqlite:///vault.db"}}

    def fill(self, lines: str) -> None:
        engine = create_engine(self.url)
        columns = ", ".join(f"v{number} VARCHAR(255)" for number in range(6))
        with engine.begin() as connection:
            connection.execute(
                text(f"CREATE TABLE casbin_rule (id INTEGER PRIMARY KEY, ptype VARCHAR(255), {columns})")
            )
            for line in lines.splitlines():
                if line and not line.startswith("#"):
                    fields = [field.strip() for field in line.split(",")] + [None, None, None]
                    row = dict(zip(("ptype", "v0", "v1", "v2"), fields, strict=False))
                    insert = "INSERT INTO casbin_rule (ptype, v0, v1, v2) VALUES (:ptype, :v0, :v1, :v2)"
                    connection.execute(text(insert), row)
        engine.dispose()

    def enforcer(self) -> casbin.Enforcer:
        return casbin.Enforcer(str(self.folder / "vault.conf"), Rows(self.url))

    def append(self, *fields: str) -> None:
        row = dict(zip(("ptype", "v0", "v1", "v2"), (*fields, None, None), strict=False))
        self._run("INSERT INTO casbin_rule (ptype, v0, v1, v2) VALUES (:ptype, :v0, :v1, :v2)", row)

    def forget(self, subject: str) -> None:
        self._run("DELETE FROM casbin_rule WHERE ptype = 'g' AND v0 = :subject", {"subject": subject})

    def picture(self) -> object:
        engine = create_engine(self.url)
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(text("SELECT * FROM casbin_rule ORDER BY id"))]
        engine.dispose()
        return rows

    def _run(self, statement: str, values: Mapping[str, str | None]) -> None:
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(text(statement), values)
        engine.dispose()


def grant(person: str, locator: Locator) -> Step:
    return Step(Op.GRANT, person, person, locator)


def revoke(person: str, locator: Locator) -> Step:
    return Step(Op.REVOKE, person, person, locator)


def members(observed: Observation, locator: Locator) -> set[str]:
    names = [account.name for account in observed.accounts.accounts]
    return {names[position] for position in observed.entitlements[entitlement_key(locator)].members}


def findings(observed: Observation) -> set[tuple[str, str]]:
    return {(finding.kind, finding.subject) for finding in observed.findings}
