"""Grants and revocations: few statements for many steps, each entitlement by itself, and nothing believed that is not
read back.

Each unit (one entitlement, one direction) is a transaction: what is there is read, what is missing is said in one
statement, the result is read back by the roles' oids, and only then it counts. So a role that was renamed or replaced
in between undoes the unit, and a GRANT or REVOKE that the server lets pass with a mere warning is no success.

Source: PostgreSQL's documentation of GRANT and REVOKE, "Notes".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from adapters.postgres import catalog
from adapters.postgres.accounts import account_outcome, find_account
from adapters.postgres.catalog import Holding, Role
from adapters.postgres.entitlements import Kind, Managed, locator_error, managed
from adapters.postgres.reading import as_oids, is_account, obstacle_to_group
from adapters.postgres.session import Connection, is_forbidden, outcome_of
from adapters.postgres.settings import Layout
from reconciler.targets import Op, Outcome, OutcomeKind, Step, TargetWriter

__all__ = ["PostgresWriter"]

Numbered = tuple[int, Step]
_ENTITLEMENTS = (Op.GRANT, Op.REVOKE)


class PostgresWriter(TargetWriter):
    """Carries out batches over a connection on which each statement counts by itself."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection = connection
        self._layout = layout
        self._outcomes: dict[int, Outcome] = {}

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """See `TargetWriter.apply`. Accounts are disabled first and enabled last but for grants."""
        self._outcomes = {}
        numbered = [each for each in enumerate(steps) if not self._impossible(*each)]
        turns = sorted(_turns(numbered).items(), key=lambda turn: turn[1][0][0][1].op is Op.GRANT)
        for number, step in numbered:
            if step.op in (Op.DISABLE_ACCOUNT, Op.END_SESSIONS):
                self._account(number, step)
        for entitlement, rounds in turns:
            for each in rounds:
                self._unit(entitlement, [one for one in each if one[1].op is Op.REVOKE])
                self._unit(entitlement, [one for one in each if one[1].op is Op.GRANT])
        for number, step in numbered:
            if step.op is Op.ENABLE_ACCOUNT:
                self._account(number, step)
        lost = Outcome(OutcomeKind.UNAVAILABLE, "the connection to the server was lost")
        return [self._outcomes.get(number, lost) for number in range(len(steps))]

    def _impossible(self, number: int, step: Step) -> bool:
        words = ""
        if step.op not in self._layout.ops:
            words = f"this target is not configured to {step.op}"
        elif step.op in _ENTITLEMENTS:
            words = locator_error(step.locator) or ""
        if words:
            self._outcomes[number] = Outcome(OutcomeKind.REFUSED, words)
        return bool(words)

    def _account(self, number: int, step: Step) -> None:
        if not self._connection.closed:
            self._outcomes[number] = account_outcome(self._connection, self._layout, step)

    def _unit(self, entitlement: Managed, wishes: Sequence[Numbered]) -> None:
        if not wishes or self._connection.closed:
            return
        unit = _Unit(self._connection, self._layout, entitlement, wishes)
        failed: Outcome | None = None
        try:
            with self._connection.transaction():
                unit.carry_out()
        except _Undone as undone:
            failed = undone.outcome
        except psycopg.Error as error:
            failed = unit.outcome_of(error)
        if not unit.resolved:
            self._record([number for number, _ in wishes], failed)
            return
        self._outcomes |= unit.settled
        pending = [each for each in wishes if each[0] in unit.pending]
        if failed is None or len(pending) < 2 or unit.shared or failed.kind is OutcomeKind.UNAVAILABLE:
            self._record(unit.pending, failed or Outcome(OutcomeKind.APPLIED))
            return
        for part in (pending[: len(pending) // 2], pending[len(pending) // 2 :]):
            self._unit(entitlement, part)

    def _record(self, numbers: Iterable[int], outcome: Outcome | None) -> None:
        if outcome is not None:
            self._outcomes |= dict.fromkeys(numbers, outcome)


class _Undone(Exception):
    """The statement did not do what it should have: the transaction is given up."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


@dataclass(slots=True)
class _Unit:
    """One entitlement and one direction. `settled` are the outcomes that hold whether or not the transaction does,
    `pending` the steps that it is for.
    """

    connection: Connection
    layout: Layout
    entitlement: Managed
    wishes: Sequence[Numbered]
    resolved: bool = False
    """Whether it came so far that `settled` and `pending` say all."""
    settled: dict[int, Outcome] = field(default_factory=dict)
    pending: dict[int, Role] = field(default_factory=dict)
    shared: bool = False
    """Whether what failed would fail for each of the steps alone."""
    own: str = ""
    grantor: Role | None = None
    """Whose grant was being taken back, where it is not our own."""

    def carry_out(self) -> None:
        """Settle what needs no change, and carry out the rest; raises `_Undone`, or what the server says."""
        adds = self.wishes[0][1].op is Op.GRANT
        own = catalog.own_role(self.connection)
        self.own = own.name
        roles = self._roles()
        holding = self._holding([role.oid for role in roles.values() if isinstance(role, Role)])
        if holding is None or holding.mighty:
            self.settled |= {number: self._no_entitlement(holding) for number, _ in self.wishes}
            self.resolved = True
            return
        self._sort(roles, holding, own, adds=adds)
        self.resolved = True
        if not self.pending:
            return
        names = {role.oid: role.name for role in self.pending.values()}
        if adds:
            self.connection.execute(self.entitlement.granting(sorted(names.values())))
        else:
            self._take(holding, names)
        self._check(names, adds)

    def outcome_of(self, error: psycopg.Error) -> Outcome:
        """What the server's refusal means, and what to do about it."""
        outcome = outcome_of(error, self.connection)
        if error.sqlstate == "2BP01":
            words = f"{outcome.detail}: it was passed on to others, who would lose it too; take it from them first"
            return Outcome(outcome.kind, words)
        if is_forbidden(error):
            self.shared = self.wishes[0][1].op is Op.GRANT
            return Outcome(outcome.kind, f"{outcome.detail}; {self._remedy()}")
        return outcome

    def _remedy(self) -> str:
        needed = self.entitlement.right_needed(self.own)
        if self.grantor is not None:
            who, taken = self.grantor.name, sorted(role.name for role in self.pending.values())
            words = f"{who} granted it and alone can take it back: as {who}, {self._statement(taken)}"
            if self.grantor.mighty:  # to act as a superuser is to be one
                return words
            act = sql.SQL("GRANT {} TO {}").format(sql.Identifier(who), sql.Identifier(self.own))
            return f"{words}; or let us act as {who}: {act.as_string(None)}"
        return f"an administrator can permit it: {needed}"

    def _statement(self, names: Sequence[str]) -> str:
        return self.entitlement.revoking(names).as_string(None)

    def _holding(self, of: Collection[int]) -> Holding | None:
        return catalog.holdings(self.connection, [self.entitlement], of).get(self.entitlement)

    def _no_entitlement(self, holding: Holding | None) -> Outcome:
        if holding is None:
            return Outcome(OutcomeKind.STALE, f"there is no {self.entitlement.kind} {self.entitlement.path} any more")
        return Outcome(OutcomeKind.REFUSED, obstacle_to_group(self.entitlement.name))

    def _roles(self) -> Mapping[int, Role | Outcome]:
        """Of whom each step speaks, or why of nobody."""
        steps = [step for _, step in self.wishes]
        by_oid = catalog.roles(self.connection, as_oids([step.account for step in steps]))
        foreign = catalog.roles_named(self.connection, {step.account_name for step in steps if not step.account})
        return {
            number: find_account(step, by_oid) if step.account else self._foreign(step, foreign)
            for number, step in self.wishes
        }

    def _sort(self, roles: Mapping[int, Role | Outcome], holding: Holding, own: Role, *, adds: bool) -> None:
        for number, role in roles.items():
            if isinstance(role, Outcome):
                self.settled[number] = role
            elif words := self._protected(role, holding, own):
                self.settled[number] = Outcome(OutcomeKind.REFUSED, words)
            elif (role.oid in holding.holders) is adds:
                self.settled[number] = Outcome(OutcomeKind.ALREADY)
            else:
                self.pending[number] = role

    def _foreign(self, step: Step, known: Mapping[str, Role]) -> Role | Outcome:
        role = known.get(step.account_name)
        if step.op is not Op.REVOKE or not step.account_name:
            return Outcome(OutcomeKind.REFUSED, "the step names no account")
        if role is None:
            return Outcome(OutcomeKind.STALE, f"there is no role {step.account_name} any more")
        if is_account(role, self.layout):
            return Outcome(OutcomeKind.STALE, f"{role.name} is an account by now")
        return role

    def _protected(self, role: Role, holding: Holding, own: Role) -> str:
        if role.oid == own.oid:
            return f"{role.name} is the role that the reconciler itself acts as"
        if role.mighty or role.name in self.layout.protected:
            return f"{role.name} is protected: it is a superuser, replicates, or is named in `protected`"
        if role.oid == holding.owner:
            kind, path = self.entitlement.kind, self.entitlement.path
            return f"{role.name} owns {kind} {path} and can always give it to itself: give it another owner first"
        return ""

    def _take(self, holding: Holding, names: Mapping[int, str]) -> None:
        """One statement per grantor: nobody takes back what somebody else gave."""
        by_grantor: dict[int, set[int]] = defaultdict(set)
        for grant in holding.grants:
            if grant.grantee in names:
                by_grantor[grant.grantor].add(grant.grantee)
        if self.entitlement.kind is Kind.ROLE and not catalog.has_grantors(self.connection):
            self.connection.execute(self.entitlement.revoking(sorted(names.values())))
            return
        grantors = catalog.roles(self.connection, list(by_grantor))
        for oid, grantees in by_grantor.items():
            self._take_back(grantors[oid], [names[each] for each in sorted(grantees)])

    def _take_back(self, grantor: Role, grantees: Sequence[str]) -> None:
        self.grantor = None if grantor.name == self.own else grantor
        if self.entitlement.kind is Kind.ROLE:
            self.connection.execute(self.entitlement.revoking(grantees, grantor.name))
            return
        if self.grantor:
            self.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(grantor.name)))
        self.connection.execute(self.entitlement.revoking(grantees))
        if self.grantor:
            self.connection.execute("SET LOCAL ROLE NONE")

    def _check(self, names: Mapping[int, str], adds: bool) -> None:
        """The same roles still have the same names, and what was wanted of them is so."""
        now = catalog.roles(self.connection, list(names))
        if {oid: role.name for oid, role in now.items()} != names:
            raise _Undone(Outcome(OutcomeKind.STALE, "a role was renamed or dropped meanwhile: nothing was changed"))
        holding = self._holding(list(names))
        holders: Collection[int] = holding.holders if holding else ()
        wrong = [name for oid, name in names.items() if (oid in holders) is not adds]
        if wrong:
            what = "gave" if adds else "took away"
            detail = f"the server {what} nothing, and only warned: no right to; {self._remedy()}"
            raise _Undone(Outcome(OutcomeKind.REFUSED, detail))


def _turns(numbered: Sequence[Numbered]) -> Mapping[Managed, list[list[Numbered]]]:
    """The steps by entitlement, in rounds in which no two speak of the same role."""
    turns: dict[Managed, list[list[Numbered]]] = {}
    speaking: dict[Managed, set[tuple[str, str]]] = {}
    for number, step in numbered:
        if step.op not in _ENTITLEMENTS:
            continue
        entitlement = managed(step.locator)
        who = (step.account, "" if step.account else step.account_name)
        rounds, seen = turns.setdefault(entitlement, []), speaking.setdefault(entitlement, set())
        if not rounds or who in seen:
            rounds.append([])
            seen.clear()
        rounds[-1].append((number, step))
        seen.add(who)
    return turns
