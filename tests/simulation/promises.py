"""The six promises, as things that can be caught being broken.

Everything here is judged by other means than the product's: by the naive reading of the rule, by each system's own log,
and by queries of its own to the record.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn

from reconciler.facts.model import Person, Population
from reconciler.plan.guards import stricter
from reconciler.policy.model import EntitlementRef, Guards, Limit, Mode, Policy
from reconciler.targets import Op, entitlement_key
from tests.access.naive_rule import NaiveRule
from tests.simulation.policies import FILE, UNMANAGED, Standing
from tests.simulation.system import Account, System, Written
from tests.simulation.world import Process, PromiseBroken, World

DAY = timedelta(hours=23)
"""The guards' window, less what clocks may step back."""
TABLES = ("people", "evidence", "account_links", "approvals", "runs", "intents", "effects", "baselines", "policies")
_GOES_WITH_IT = (Op.REVOKE.value, Op.DISABLE_ACCOUNT.value)
TAKING = (Op.REVOKE, Op.DISABLE_ACCOUNT, Op.DELETE_ACCOUNT)


class Judge:
    """Watches one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.standings: dict[str, Standing] = {}
        self._counted: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        world.judge = self.written

    # --- at every change that a reconciler makes ----------------------------------------------------------------------

    def written(self, process: Process, system: System, written: Written) -> None:
        """A process has changed a system."""
        key = entitlement_key({"group": written.group}) if written.group else ""
        change = self._intent(process, system, written, key)
        person = self.owner(system, written.key)
        self._named_by_a_policy(process, system, written, key)
        if change["approved"]:
            self._approved(process, change)
        if written.op in (Op.GRANT, Op.ENABLE_ACCOUNT):
            process.granted_on.add(system.name)
            self._allowed(process, system, written, key, person, undone=change["cause"]["kind"] == "undo")
        elif change["leaver"]:
            self._after_grants(process, system, written)
        elif not change["approved"] and written.op is not Op.DELETE_ACCOUNT:
            self._was_read_whole(process, system, written, key)
        if person in process.standing.policy.guards.protected and not change["approved"]:
            self._broken(4, f"{person} is protected, and was changed without approval: {written}")
        if not change["leaver"] and not change["approved"] and not written.late:
            self._within_guards(process, change, person or written.key)

    def _intent(self, process: Process, system: System, written: Written, key: str) -> Mapping[str, Any]:
        keys = ((written.op.value, system.name, account, key) for account in (written.key, ""))
        found = next((process.intents[each] for each in keys if each in process.intents), None)
        if found is None:
            self._broken(5, f"{process.name} did what it had not said it would: {written}")
        return found

    def _named_by_a_policy(self, process: Process, system: System, written: Written, key: str) -> None:
        if written.group.casefold() == UNMANAGED:
            self._broken(4, f"no policy names this group: {written}")
        if written.key == f"{system.name}-own" and written.op in TAKING:
            self._broken(4, f"it took from the account that it acts as: {written}")
        if not written.key or (self.owner(system, written.key) is None and not system.implicit):
            self._broken(4, f"this belongs to no person: {written}")
        if key:
            standing = process.standing.policy.entitlements.get(EntitlementRef(system.name, key))
            if standing is not None and standing.mode is Mode.OBSERVE:
                self._broken(4, f"this group is only observed: {written}")

    def _approved(self, process: Process, change: Mapping[str, Any]) -> None:
        found = self.world.rows(
            "SELECT 1 FROM approvals WHERE change_id = ? AND entry < ?", change["id"], change["entry"]
        )
        if not found:
            self._broken(3, f"nobody has approved this: {change}")

    def _allowed(
        self, process: Process, system: System, written: Written, key: str, person: str | None, *, undone: bool
    ) -> None:
        """What is given is allowed, as of the last moment at which there was still time to ask."""
        if written.late:
            return
        said = []
        for head, at in [*process.moments, (self.world.head, self.world.now)]:
            population = self.world.population_at(head)
            known = population.by_id.get(person or "")
            rule = NaiveRule(process.standing.policy, population, at)
            denied = self._denied(rule, known, system, written, key, undone=undone)
            if not denied:
                return
            said.append(f"{denied} (known up to {head}, at {at.isoformat()})")
        self._broken(1, f"{process.name} gave {person} {written.op} {system.name} {key}, and: {'; '.join(said)}")

    def _denied(
        self, rule: NaiveRule, person: Person | None, system: System, written: Written, key: str, *, undone: bool
    ) -> str:
        if person is None:
            return "nobody is known"
        if written.op is Op.ENABLE_ACCOUNT:
            return "has left, is locked out or suspended" if is_out(rule, person) or rule.is_suspended(person) else ""
        entitlement = rule.policy.entitlements.get(EntitlementRef(system.name, key))
        if entitlement is None:
            return "no policy names this"
        if any(rule.may(person, permission) for permission in entitlement.permissions):
            return ""
        if undone and not any(rule.denials(person, permission) for permission in entitlement.permissions):
            return ""  # what was undone comes back although no role gives it, never where something is denied
        return str({str(each): sorted(rule.denials(person, each)) or "not given" for each in entitlement.permissions})

    def _after_grants(self, process: Process, system: System, written: Written) -> None:
        if written.op is Op.REVOKE and system.name in process.granted_on:
            self._broken(2, f"a leaver's revocation waited behind a grant of {process.name}: {written}")

    def _was_read_whole(self, process: Process, system: System, written: Written, key: str) -> None:
        if not process.readings.get(system.name, {}).get(key, False):
            self._broken(3, f"{process.name} took this on a reading that proves nothing: {written}")

    def _within_guards(self, process: Process, change: Mapping[str, Any], subject: str) -> None:
        world, name = self.world, str(change["slice"])
        own = self._counted[name]
        own.append((world.now, subject))
        people = {who for at, who in own if abs(world.now - at) < DAY}
        if any(abs(world.now - at) < DAY * 2 for at in world.overlaps):
            return  # what an overtaken one sent in its last instant was in nobody's count
        limit = limit_of(self.guards_in_force(process), name)
        everybody = len(world.population_at(world.head).people)
        most = max(
            n for n in range(everybody + 3) if n <= limit.people and (n <= 2 or n * 100 <= limit.percent * everybody)
        )
        if len(people) > most:
            self._broken(3, f"{sorted(people)} changed in {name} in a day without approval, at most {most} may")

    def guards_in_force(self, process: Process) -> Guards:
        """The process's, or those of before where nobody has approved a loosening yet."""
        asked = "SELECT policy_digest FROM approvals ORDER BY entry DESC LIMIT 1"
        first = "SELECT policy_digest FROM runs ORDER BY entry LIMIT 1"
        found = self.world.rows(asked) or self.world.rows(first)
        before = self.standings.get(found[0][0]) if found else None
        own = process.standing.policy.guards
        return stricter(own, before.policy.guards) if before else own

    def owner(self, system: System, key: str) -> str | None:
        """Whose account this is: as it was linked once, or by the number that it bears."""
        query = "SELECT person FROM account_links WHERE target = ? AND account_key = ?"
        linked = self.world.rows(query, system.name, key)
        if linked:
            return str(linked[0][0])
        account = system.accounts.get(key)
        number = account.id if account is not None else key if system.implicit else ""
        return number or None

    # --- after a pass -------------------------------------------------------------------------------------------------

    def out_of_everything(self, process: Process, targets: Collection[str], population: Population) -> None:
        """Nobody who is out holds anything that is managed, and none of their accounts is open."""
        rule = NaiveRule(process.standing.policy, population, self.world.now)
        protected = self.guards_in_force(process).protected
        out = {person.id for person in population if is_out(rule, person)} - protected
        for name in sorted(targets):
            system = self.world.systems[name]
            for account in system.accounts.values():
                person = self.owner(system, account.key)
                if person in out:
                    self._holds_nothing(process.standing.policy, system, account, str(person))

    def _holds_nothing(self, policy: Policy, system: System, account: Account, person: str) -> None:
        for group in held_groups(policy, system, account):
            self._broken(2, f"{person} is out, and {account.name} is still in {group} of {system.name}")
        if account.enabled and not system.implicit:
            self._broken(2, f"{person} is out, and {account.name} is still enabled on {system.name}")

    def record_is_whole(self) -> None:
        """Nothing has been rewritten or lost."""
        self.world.facts.ledger.verify()

    # --- at the end ---------------------------------------------------------------------------------------------------

    def settled(self, standing: Standing, legitimately: Collection[tuple[str, str, str]] = ()) -> None:
        """Who holds what is what the rule says; `legitimately` are (target, entitlement, person) left out."""
        world = self.world
        population = world.population_at(world.head)
        rule = NaiveRule(standing.policy, population, world.now)
        for ref, entitlement in standing.policy.entitlements.items():
            system, group = world.systems[ref.target], entitlement.locator["group"]
            if entitlement.mode is not Mode.ENFORCE or system.group(group) is None:
                continue
            for person in population:
                wanted = any(rule.may(person, permission) for permission in entitlement.permissions)
                accounts = [each for each in system.accounts.values() if self.owner(system, each.key) == person.id]
                has = [each for each in accounts if system.holds(each.key, group)]
                if (ref.target, ref.key, person.id) in legitimately:
                    continue
                if has and not wanted:
                    self._broken(3, f"after everything was approved {person.id} still holds {ref}")
                certain = len(accounts) == 1 or (system.implicit and not accounts)
                if wanted and certain and not has:
                    self._broken(5, f"after everything was approved {person.id} still lacks {ref}")

    def record_agrees_with_logs(self) -> None:
        """Every change that was made is on record exactly once, and nothing is claimed that was never done."""
        claimed, doubted = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        asked = "SELECT entry, change_id FROM effects WHERE outcome = 'contradicted'"
        contradicted = {tuple(row) for row in self.world.rows(asked)}
        denied = set[tuple[str, ...]]()
        for entry, change in self._effects():
            if change["outcome"] == "not-applied":
                denied.add((change["run"], change["target"], change["op"], change["account_key"]))
            if change["outcome"] == "applied":
                kind = doubted if (entry, change["change"]) in contradicted else claimed
                kind[change["target"], change["op"], change["account_key"], change["entitlement_key"]] += 1
            self._cause_exists(entry, change)
        ours, others = Counter[tuple[str, ...]](), Counter(self.world.doubts)
        by_whom: set[tuple[str, ...]] = set()
        for name, system in self.world.systems.items():
            for each in system.log:
                what: tuple[str, ...] = (
                    name,
                    each.op.value,
                    each.key,
                    entitlement_key({"group": each.group}) if each.group else "",
                )
                own = each.who in self.world.processes and not each.late and (each.who, *what) not in by_whom
                own = own and not self._undone_before_anybody_looked(system, each, denied)
                by_whom.add((each.who, *what))  # undone by hand between two attempts, and done again by the second
                (ours if own else others)[what] += 1
        gone = {
            (name, each.key)
            for name, system in self.world.systems.items()
            for each in system.log
            if each.op is Op.DELETE_ACCOUNT
        }
        for what in sorted(ours.keys() | claimed.keys()):
            # With an account goes all that it had: whoever reads afterwards cannot tell who took it.
            others[what] += what[1] in _GOES_WITH_IT and (what[0], what[2]) in gone
            if ours[what] > claimed[what] + doubted[what] or claimed[what] > ours[what] + others[what]:
                text = (
                    f"{what}: done {ours[what]} times (and {others[what]} by others), on record {claimed[what]} times"
                )
                self._broken(5, text)

    def _undone_before_anybody_looked(self, system: System, own: Written, denied: Collection[tuple[str, ...]]) -> bool:
        """Whether a run did this and could not say so, and somebody undid it by hand before its target was read again.
        Reading then shows that it was not done: by design the record says what can be seen, and nobody can see this.
        """
        run = self.world.processes[own.who].run
        if (run, system.name, own.op.value, own.key) not in denied:
            return False
        later = system.log[own.number + 1 :]
        next_one = next((each for each in later if (each.key, each.group) == (own.key, own.group)), None)
        return next_one is not None and next_one.who not in self.world.processes

    def _effects(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Every entry's number and change, those of a batch as what was intended says what they are."""
        query = (
            "SELECT seq, kind, payload FROM ledger_payloads JOIN ledger_entries USING (seq) "
            "WHERE kind IN ('intended', 'effect', 'effects') ORDER BY seq"
        )
        intended: dict[int, dict[str, dict[str, Any]]] = {}
        for seq, kind, payload in self.world.rows(query):
            said = json.loads(payload)
            if kind == "effect":
                yield seq, said
            elif kind == "intended":
                intended[seq] = {each["id"]: {**said["shared"][each["as"]], **each} for each in said["changes"]}
            else:
                own = intended[said["intended"]]
                for change in said.get("changes") or [each for each in own if each not in said["but"]]:
                    yield seq, {**own[change], **said, "change": change}

    def _cause_exists(self, entry: int, change: Mapping[str, Any]) -> None:
        cause = change["cause"]
        ref = str(cause["ref"])
        if not cause["text"]:
            self._broken(5, f"entry {entry} gives no reason: {change}")
        if found := re.fullmatch(r"ledger:(\d+)", ref):
            if not self.world.rows("SELECT 1 FROM ledger_entries WHERE seq = ? AND seq < ?", int(found[1]), entry):
                self._broken(5, f"entry {entry} refers to {ref}, which does not stand before it")
        elif ref and not ref.startswith(FILE):
            self._broken(5, f"entry {entry} refers to {ref}, which is nowhere")
        elif not ref and cause["kind"] not in ("drift", "time", "policy"):
            self._broken(5, f"entry {entry} ({cause['kind']}) refers to nothing")

    def rebuilds_the_same(self) -> None:
        """All projections, made again from the record, are what they were."""
        before = self._projections()
        with self.world.store.writing() as connection:
            self.world.facts.ledger.rebuild(connection)
        after = self._projections()
        for table, rows in before.items():
            if rows != after[table]:
                self._broken(6, f"{table} is another one when it is made again: {set(rows) ^ set(after[table])}")

    def _projections(self) -> dict[str, list[str]]:
        return {name: sorted(map(repr, self.world.rows(f"SELECT * FROM {name}"))) for name in TABLES}  # noqa: S608

    def _broken(self, promise: int, text: str) -> NoReturn:
        raise PromiseBroken(f"promise {promise}: {text}")


def is_out(rule: NaiveRule, person: Person) -> bool:
    """Whether the person is to have nothing at all: has left, or is locked out by an event."""
    return rule.is_exited(person) or any(rule.covers(span) for span in person.lockouts)


def held_groups(policy: Policy, system: System, account: Account) -> list[str]:
    """The managed groups that the account is in."""
    own = [(ref, each) for ref, each in policy.entitlements.items() if ref.target == system.name]
    groups = [each.locator["group"] for _, each in own if each.mode is not Mode.OBSERVE]
    return [group for group in groups if system.holds(account.key, group)]


def limit_of(guards: Guards, name: str) -> Limit:
    """The limit of a slice, by its name: target/operation/class/origin."""
    _, op, _, origin = name.split("/")
    gives = op in ("grant", "enable-account", "create-account")
    if origin == "rules":
        return guards.rules_grant if gives else guards.rules_revoke
    return guards.people_grant if gives else guards.people_revoke
