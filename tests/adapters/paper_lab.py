"""A system that only people can change, and the people: they read orders, do them, and fill in the forms."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.work_order import WorkOrderTarget
from reconciler.targets import Locator, Place, TargetContext
from reconciler.testing.targets import Lab, LabAccount


class PaperLab(Lab):
    """Who has what stands in `system`, which nothing but the people here changes."""

    def __init__(
        self,
        folder: Path,
        accounts: Sequence[LabAccount],
        groups: Mapping[str, Sequence[str]],
        **settings: object,
    ) -> None:
        self.folder = folder
        self.ids = {account.login: account.id for account in accounts}
        self.system = {group: set(logins) for group, logins in groups.items()}
        own = {"inventory": "inventory.csv", "orders": "orders", "match": {"id": "id"}, **settings}
        self.target = WorkOrderTarget(TargetContext("badges", folder, Place("reconciler.yaml", 9, 5)), own)
        self.export(datetime.now(UTC) - timedelta(days=1))

    # --- the people ---------------------------------------------------------------------------------------------------

    def export(self, at: datetime | None = None) -> None:
        """Write the inventory anew."""
        at = at or datetime.now(UTC)
        with (self.folder / "inventory.csv").open("w", encoding="utf-8", newline="") as file:
            file.write(f"# exported {at.isoformat()}\n")
            rows = csv.writer(file)
            rows.writerow(["account", "id", "entitlement"])
            rows.writerows([login, number, ""] for login, number in self.ids.items())
            for group, logins in self.system.items():
                rows.writerows([login, self.ids.get(login, ""), group] for login in sorted(logins) or [""])

    def forms(self) -> list[Path]:
        """The orders that lie there to be done, the older one first."""
        found = list((self.folder / "orders" / "open").glob("*.txt"))
        return sorted(found, key=lambda path: line_of(path.read_text("utf-8"), "ordered"))

    def do(self, form: Path) -> None:
        """What an order asks for."""
        text = form.read_text("utf-8")
        own = self.system[line_of(text, "entitlement")]
        (own.add if "please give" in text else own.discard)(line_of(text, "account"))

    def acknowledge(self, form: Path, *, by: str = "Li Na", at: str = "", proof: str = "T-1") -> Path:
        """Fill in the form and move it."""
        text = form.read_text("utf-8")
        at = at or datetime.now(UTC).isoformat()
        for label, value in (("done by: ", by), ("done at (2026-01-31 14:30): ", at), ("凭证 proof: ", proof)):
            assert label in text
            text = text.replace(label, label + value)
        form.write_text(text, encoding="utf-8")
        return form.rename(self.folder / "orders" / "acknowledged" / form.name)

    def carry_out(self) -> None:
        for form in self.forms():
            self.do(form)
            self.acknowledge(form)

    # --- the lab ------------------------------------------------------------------------------------------------------

    def locator(self, group: str) -> Locator:
        return {"entitlement": group}

    def key(self, login: str) -> str:
        return login

    def account_name(self, login: str) -> str:
        return login

    def members(self, group: str) -> set[str]:
        return set(self.system[group])

    def put(self, group: str, login: str) -> None:
        self.system[group].add(login)
        self.export()
        path = self.folder / "inventory.csv"
        row = f"{login},{self.ids.get(login, '')},{group}"
        text = path.read_text("utf-8")
        assert row in text
        path.write_text(text.replace(row, row.replace(",", " ,\t")), encoding="utf-8")

    def put_foreign(self, group: str) -> str:
        self.put(group, "guest")
        return "guest"

    def remove_account(self, login: str) -> None:
        del self.ids[login]
        for logins in self.system.values():
            logins.discard(login)
        self.export()

    def picture(self) -> object:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


def line_of(text: str, label: str) -> str:
    """What stands behind a label of a form."""
    found = re.search(rf"^\S+ / {label}:\s+(.*)$", text, re.MULTILINE)
    assert found, label
    return found[1]
