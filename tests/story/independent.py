"""A second reading of the starter policies and the example's files, which shares nothing with the product.

Plain Python over csv, yaml and dates: only what the starter policies use is understood, anything else raises, so that a
growing policy set cannot be misread in silence. It answers two questions: who should have which permission today, and
what would a role or an exception give that something withholds. It reads the LDIF and the vault's policy, too.
"""

from __future__ import annotations

import base64
import csv
from calendar import monthrange
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

Pair = tuple[str, str]
"""A person's id (or a service account's name) and ``resource:action``."""
Given = tuple[str, str, str]
"""A target, ``resource:action``, and who has it there."""
Entries = Collection[tuple[str, Mapping[str, list[str]]]]
"""A directory: the DN and the attributes of every entry."""


SECTIONS = {
    *("attributes", "evidence", "clearances", "resources", "roles", "exceptions", "lockouts", "service_accounts"),
    *("lifecycle", "sponsors", "separation"),
    # These give and take nothing by themselves: limits of what may be written, of what a plan may do, and the tests.
    *("exception_limits", "guards", "invariants", "tests"),
}
"""What this reading understands. ``invariants`` are asked about what comes out, in `broken`."""


def after(start: date, period: str) -> date:
    """The day on which a period that begins with this day is over: 14d, 6mo, 1y."""
    number, unit = int(period.rstrip("dmoy")), period.lstrip("0123456789")
    if unit == "d":
        return start + timedelta(number)
    months = start.year * 12 + start.month - 1 + number * {"mo": 1, "y": 12}[unit]
    year, month = divmod(months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def only_keys(what: Mapping[str, Any], *known: str) -> None:
    """Refuse what this reading does not understand."""
    assert set(what) <= set(known), f"not understood here: {set(what) - set(known)}"


def this_day() -> date:
    """The day on which the story happens; a status of HR's that has no date of its own holds from then on."""
    return datetime.now(ZoneInfo("Asia/Shanghai")).date()


@dataclass(frozen=True)
class Company:
    """The example's folder on a day. `told` is the day on which HR's file was read."""

    folder: Path
    today: date
    told: date = field(default_factory=this_day)

    # --- files ------------------------------------------------------------------------------------------------------

    @cached_property
    def workspace(self) -> Any:
        return yaml.safe_load((self.folder / "reconciler.yaml").read_text("utf-8"))

    @cached_property
    def policy(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for name in self.workspace["policies"]:
            for path in sorted((self.folder / name).glob("*.yaml")):
                for section, content in yaml.safe_load(path.read_text("utf-8")).items():
                    assert section in SECTIONS, f"{path}: {section} is not understood here"
                    if isinstance(content, dict):
                        merged.setdefault(section, {}).update(content)
                    else:
                        merged.setdefault(section, []).extend(content)
        return merged

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """HR's rows in the words of the policies."""
        source = self.workspace["sources"]["hr"]
        ours = {theirs: ours for ours, theirs in source["columns"].items()}
        values = source["values"]
        with (self.folder / source["path"]).open(encoding="utf-8", newline="") as file:
            raw = [{ours[name]: cell.strip() for name, cell in row.items()} for row in csv.DictReader(file)]
        return [{name: values.get(name, {}).get(cell, cell) for name, cell in row.items()} for row in raw]

    @cached_property
    def proofs(self) -> list[dict[str, str]]:
        with (self.folder / "evidence.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    # --- people -----------------------------------------------------------------------------------------------------

    @cached_property
    def people(self) -> list[str]:
        return sorted({row["id"] for row in self.rows})

    def status(self, person: str) -> str:
        return next(row["status"] for row in self.rows if row["id"] == person and row["status"])

    def counted(self, person: str) -> list[dict[str, str]]:
        """The assignments that count today: begun, or about to begin within the lifecycle's `opens`."""
        if self.status(person) == "exited":
            return []
        opens = self.policy["lifecycle"]["preboarding"]["opens"]
        horizon = after(self.today, opens) if self.new(person) else self.today
        mine = [row for row in self.rows if row["id"] == person]
        begun = [row for row in mine if not row["starts_on"] or date.fromisoformat(row["starts_on"]) <= horizon]
        return [row for row in begun if not row["ends_on"] or date.fromisoformat(row["ends_on"]) >= self.today]

    def new(self, person: str) -> bool:
        """Whether no assignment of the person has begun."""
        return all(date.fromisoformat(row["starts_on"]) > self.today for row in self.rows if row["id"] == person)

    def ceiling(self, person: str) -> int:
        """The highest level, as a number, that the person's stage admits."""
        stages = self.policy["lifecycle"]
        only_keys(
            stages, "preboarding", "notice", "leave", "transfer", "exited"
        )  # a transfer takes an event: none here
        if self.status(person) == "exited":
            return -1
        found = [len(self.levels) - 1]
        if self.new(person):
            found.append(self.level(stages["preboarding"]["ceiling"]))
        if self.status(person) == "notice":
            found.append(self.level(stages["notice"]["ceiling"]))
        if self.status(person) == "leave":
            only_keys(stages["leave"], "after", "ceiling")
            if self.today >= after(self.told, stages["leave"]["after"]):
                found.append(self.level(stages["leave"]["ceiling"]))
        return min(found)

    def answered_for(self, person: str) -> bool:
        """Whether somebody answers for the person, where somebody has to; a while after they left still counts. And
        whether their work ends some day, where it has to.
        """
        return all(self.has_sponsor(person, rule) and self.has_end(person, rule) for rule in self.policy["sponsors"])

    def has_end(self, person: str, rule: Mapping[str, Any]) -> bool:
        assert rule.get("ends", "required") == "required"
        asked = [row for row in self.counted(person) if self.fits(rule["of"], row) is not False]
        return "ends" not in rule or all(row["ends_on"] for row in asked)

    def has_sponsor(self, person: str, rule: Mapping[str, Any]) -> bool:
        only_keys(rule, "of", "by", "must", "lapse", "ends")
        asked = [row for row in self.counted(person) if self.fits(rule["of"], row) is not False]
        return all(self.sponsors(row[rule["by"]], rule) for row in asked)

    def sponsors(self, person: str, rule: Mapping[str, Any]) -> bool:
        """Whether a post of the person fits, and has not been over for longer than `lapse`."""
        return any(
            date.fromisoformat(row["starts_on"]) <= self.today < over
            for row in self.rows
            if row["id"] == person and self.fits(rule["must"], row) is True
            for over in [
                after(date.fromisoformat(row["ends_on"]) + timedelta(1), rule["lapse"]) if row["ends_on"] else date.max
            ]
        )

    # --- matching ---------------------------------------------------------------------------------------------------

    def fits(self, match: Mapping[str, Any], row: Mapping[str, str]) -> bool | None:
        """Whether an assignment fits all keys; None where a blank leaves it open and nothing says no."""
        answers = [self.one_fits(name, wanted, row[name]) for name, wanted in match.items()]
        return False if False in answers else None if None in answers else True

    def one_fits(self, name: str, wanted: Any, value: str) -> bool | None:
        kind = self.policy["attributes"][name]
        options = wanted if isinstance(wanted, list) else [wanted]
        if kind["kind"] == "set":
            return any(option in value.split(";") for option in options)
        if not value:
            return None
        if kind["kind"] == "tree":
            return any(value == option or value.startswith(f"{option}/") for option in options)
        if kind["kind"] == "ordered":
            rungs = [rung if isinstance(rung, list) else [rung] for rung in kind["values"]]
            place = {grade: number for number, rung in enumerate(rungs) for grade in rung}
            only_keys(wanted, "min")
            return place[value] >= place[wanted["min"]]
        assert kind["kind"] == "one_of", kind
        return value in options

    # --- evidence and clearance -------------------------------------------------------------------------------------

    def proven(self, person: str, kind: str) -> bool:
        mine = [each for each in self.proofs if each["person"] == person and each["evidence"] == kind]
        failed = [each["valid_from"] for each in mine if each["result"] == "failed"]
        good = [each for each in mine if each["result"] in ("", "passed")]
        return any(self.counts(kind, each) and not any(bad >= each["valid_from"] for bad in failed) for each in good)

    def counts(self, kind: str, proof: Mapping[str, str]) -> bool:
        rule = self.policy["evidence"][kind]
        only_keys(rule, "kind", "version", "superseded_on", "valid_for", "grace", "applies_to")
        begun = date.fromisoformat(proof["valid_from"])
        if begun > self.today or not self.version_counts(rule, proof):
            return False
        if proof["valid_until"]:
            over = date.fromisoformat(proof["valid_until"]) + timedelta(1)
        elif "valid_for" in rule:
            over = after(begun, rule["valid_for"])
        else:
            return True
        return self.today < (after(over, rule["grace"]) if "grace" in rule else over)

    def version_counts(self, rule: Mapping[str, Any], proof: Mapping[str, str]) -> bool:
        if int(proof["version"] or 1) >= rule.get("version", 1):
            return True
        return "superseded_on" in rule and self.today < rule["superseded_on"]

    def asked_for(self, person: str, kind: str) -> bool:
        """Whether the kind is required of the person: it is not where `applies_to` is certainly false of every post."""
        applies = self.policy["evidence"][kind].get("applies_to")
        return applies is None or any(self.fits(applies, row) is not False for row in self.counted(person))

    def meets(self, person: str, requirement: Any) -> bool:
        if isinstance(requirement, str):
            return not self.asked_for(person, requirement) or self.proven(person, requirement)
        only_keys(requirement, "any_of")
        return any(self.meets(person, alternative) for alternative in requirement["any_of"])

    @cached_property
    def levels(self) -> list[tuple[str, dict[str, Any]]]:
        return [(name, rule) for level in self.policy["clearances"] for name, rule in level.items()]

    def level(self, name: str) -> int:
        return [known for known, _ in self.levels].index(name)

    def clearance(self, person: str) -> int:
        """How many levels, from the lowest, the person reaches without a gap; minus one."""
        reached = -1
        for number, (_, rule) in enumerate(self.levels):
            only_keys(rule, "requires", "only")
            posts = self.counted(person)
            reserved = "only" in rule and not all(self.fits(rule["only"], row) is True for row in posts)
            if reserved or not all(self.meets(person, each) for each in rule.get("requires", [])):
                break
            reached = number
        return reached

    # --- what is given, and what of it comes through ----------------------------------------------------------------

    @cached_property
    def considered(self) -> set[Pair]:
        """What roles and exceptions give, before anything is withheld."""
        return {
            (person, permission)
            for person in self.people
            for permission in {*self.by_roles(person), *self.by_hand(person)}
        }

    def by_roles(self, person: str) -> Iterator[str]:
        for name, role in self.policy["roles"].items():
            only_keys(role, "match", "inherits", "everyone", "members", "grants")
            posts = self.counted(person)
            matched = "match" in role and any(self.fits(role["match"], row) is True for row in posts)
            named = any(
                member["person"] == person and self.today <= member["until"] for member in role.get("members", [])
            )
            if matched or (posts and (role.get("everyone") or named)):
                yield from self.grants_of(name)

    def grants_of(self, role: str) -> Iterator[str]:
        rule = self.policy["roles"][role]
        yield from permissions(rule.get("grants", {}))
        for parent in rule.get("inherits", []):
            yield from self.grants_of(parent)

    def by_hand(self, person: str) -> Iterator[str]:
        for each in self.policy["exceptions"]:
            if each["person"] == person and each["since"] <= self.today <= each["until"] and self.counted(person):
                yield from permissions(each["grants"])

    def admitted(self, person: str, permission: str) -> bool:
        for each in self.policy["lockouts"]:
            only_keys(each, "person", "ref", "since")
            if each["person"] == person and each["since"] <= self.today:
                return False
        needed = self.level(self.policy["resources"][permission.rpartition(":")[0]]["classification"])
        return needed <= min(self.clearance(person), self.ceiling(person)) and self.answered_for(person)

    # --- what has to hold of the outcome ------------------------------------------------------------------------------

    @cached_property
    def conflicts(self) -> set[tuple[str, str]]:
        """Who has been given what they should not hold together, and the rule that says so."""
        given = {person: {what for who, what in self.considered if who == person} for person in self.people}
        return {
            (person, rule["name"]) for rule in self.separations for person in self.people if torn(rule, given[person])
        }

    @cached_property
    def separations(self) -> list[dict[str, Any]]:
        for rule in self.policy["separation"]:
            only_keys(rule, "name", "between", "on_conflict")
            assert rule["on_conflict"] == "report", "a rule that withholds is not understood here"
        found: list[dict[str, Any]] = self.policy["separation"]
        return found

    @cached_property
    def broken(self) -> list[Any]:
        """The invariants that what people should have does not keep."""
        return [rule for rule in self.policy["invariants"] if not self.kept(rule)]

    def kept(self, rule: Mapping[str, Any]) -> bool:
        if "at_most" in rule:
            only_keys(rule, "at_most", "permission")
            most: int = rule["at_most"]
            return len({who for who, what in self.desired if fits_pattern(rule["permission"], what)}) <= most
        only_keys(rule, "never")
        holders = {who for who, what in self.desired if fits_pattern(rule["never"]["permission"], what)}
        posts = [row for who in holders for row in self.counted(who)]
        return all(self.fits(rule["never"]["match"], row) is False for row in posts)

    @cached_property
    def desired(self) -> set[Pair]:
        return {pair for pair in self.considered if self.admitted(*pair)}

    @cached_property
    def withheld(self) -> set[Pair]:
        return self.considered - self.desired

    @cached_property
    def services(self) -> set[Pair]:
        """What service accounts should have."""
        return {
            (name, permission)
            for name, rule in self.policy["service_accounts"].items()
            for permission in permissions(rule["grants"])
            if self.today <= rule["until"]
            and self.level(rule["ceiling"])
            >= self.level(self.policy["resources"][permission.split(":")[0]]["classification"])
        }

    # --- targets ----------------------------------------------------------------------------------------------------

    def bindings(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Permission, target, how the target names it."""
        for name, resource in self.policy["resources"].items():
            for action, targets in resource["access"].items():
                for target, locator in targets.items():
                    yield f"{name}:{action}", target, locator

    def should(self, directory: Entries) -> set[Given]:
        """Who should have what on which target. Only who has an account in the directory can be in its groups; the
        vault needs no accounts, and knows no service account.
        """
        accounts = {self.holder(values) for _, values in directory}
        wanted = {
            (target, what, who)
            for what, target, _ in self.bindings()
            for who, has in self.desired | self.services
            if has == what
        }
        return {
            (target, what, who)
            for target, what, who in wanted
            if (who in accounts if target == "corp-ldap" else who in self.people)
        }

    def has(self, directory: Entries, vault: str) -> set[Given]:
        """Who has what on which target now: of those who are known people or declared service accounts."""
        entries = {dn.lower(): values for dn, values in directory}
        found: set[Given] = set()
        for what, target, locator in self.bindings():
            if target == "corp-ldap":
                base = self.workspace["targets"]["corp-ldap"]["groups"]["base"]
                members = entries[f"cn={locator['group']},{base}".lower()]["member"]
                holders = {self.holder(entries.get(member.lower(), {})) for member in members}
            else:
                holders = vault_holders(vault, locator)
            found |= {
                (target, what, who) for who in holders if who in self.people or who in self.policy["service_accounts"]
            }
        return found

    def holder(self, account: Mapping[str, list[str]]) -> str:
        if "employeeNumber" in account:
            return account["employeeNumber"][0]
        return account["cn"][0] if "cn" in account else ""


def fits_pattern(pattern: str, permission: str) -> bool:
    """``resource:action``, or ``resource:*``."""
    resource, _, action = pattern.rpartition(":")
    assert not {"*", "{"} & {*resource}, pattern
    return permission == pattern or (action == "*" and permission.rpartition(":")[0] == resource)


def torn(rule: Mapping[str, Any], given: Collection[str]) -> bool:
    """Whether something of two lists of the rule is among what is given."""
    sides = [{what for what in given if any(fits_pattern(one, what) for one in side)} for side in rule["between"]]
    return any(one and other for one, other in combinations(sides, 2))


def permissions(grants: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """``resource:action`` of every grant."""
    for action, names in grants.items():
        for name in names:
            yield f"{name}:{action}"


def vault_holders(vault: str, locator: Mapping[str, str]) -> set[str]:
    """Who holds a role, or is allowed an action on an object by name, in a casbin policy."""
    lines = [[cell.strip() for cell in line.split(",")] for line in vault.splitlines() if line and line[0] != "#"]
    if "role" in locator:
        return {line[1] for line in lines if line[0] == "g" and line[2] == locator["role"]}
    return {line[1] for line in lines if line[0] == "p" and line[2:4] == [locator["object"], locator["action"]]}


def ldif_entries(text: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """DN and attributes of every entry of an LDIF export; folded lines and base64 values included."""
    for block in text.replace("\n ", "").split("\n\n"):
        values: dict[str, list[str]] = {}
        for line in block.splitlines():
            if line.startswith("#") or ":" not in line:
                continue
            name, _, value = line.partition(":")
            plain = base64.b64decode(value[1:]).decode() if value.startswith(":") else value.strip()
            values.setdefault(name, []).append(plain)
        if "dn" in values:
            yield values.pop("dn")[0], values
