"""How steps become few modifications, and answers become one outcome per step.

Promises: one modify request per group and batch (more only beyond `MOST_VALUES` values, or where the directory objects
to one of them); values are added and deleted, the whole list is never replaced; a group that may not be empty gets its
placeholder in the request that removes the last member; what the plan saw is checked first; nothing is touched that no
step names; nothing is raised for what the directory says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from adapters.directory import names
from adapters.directory.creating import create
from adapters.directory.entries import Answer, DirectoryWriter, Edit, Entry, GroupName, Modification, Request, Verdict
from adapters.directory.groups import DYNAMIC, dynamic, of_another_class, value_principal
from adapters.directory.reading import canonical_name, group_keys
from adapters.directory.settings import AttributeValue, Layout
from reconciler.targets import Locator, Op, Outcome, OutcomeKind, Step, TargetError, TargetUnavailable, TargetWriter

__all__ = ["MOST_VALUES", "DirectoryStepWriter"]

MOST_VALUES = 500
"""The most values in one modify request: larger ones gain nothing and keep the server from others for long."""
_ATTEMPTS = 3
"""How often a group or an account is read again because somebody else keeps changing it."""
_MOST_NAMED = 5
"""So many groups are named where there may be any number."""
_FINAL = {Verdict.VIOLATION, Verdict.REFUSED, Verdict.FORBIDDEN}


@dataclass(slots=True)  # and not frozen, as an `Entry`
class _Wish:
    """One membership to add or remove, and the spellings under which the group may have it."""

    step: int
    adds: bool
    principal: Callable[[bytes], str]
    spellings: Sequence[bytes]

    @property
    def principals(self) -> frozenset[str]:
        """What the spellings come to. Worked out where it is asked for: of most wishes it never is."""
        return frozenset(map(self.principal, self.spellings))


@dataclass(frozen=True, slots=True)
class _Place:
    """What a locator comes to: what is wrong with it, or the attribute's value or the group that it names."""

    error: str | None
    value: AttributeValue | None = None
    name: GroupName | None = None


@dataclass(slots=True)
class _Holder:
    """An entry with an attribute whose values are given and taken: a group with its members, or an account with one of
    its attributes. `provided` is what has to be so still when it is changed.
    """

    dn: str
    attribute: str
    principal: Callable[[bytes], str]
    needs_value: bool = False
    provided: Mapping[str, bytes] = field(default_factory=dict)
    loose: bool = False
    """Whether its values compare here as they may not on the server, so that it has to be read first."""
    has_placeholder: bool = False
    dynamic: bool = False


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the steps speak of, as it is now."""

    accounts: Mapping[str, Entry]
    accounts_whole: bool
    groups: Mapping[GroupName, Sequence[_Holder]]
    unusable: Mapping[GroupName, str]
    """Why a group of that name is none that anybody could be put into."""


class DirectoryStepWriter(TargetWriter):
    """Carries steps out on a directory. `now` gives the time that a lock is judged by."""

    def __init__(self, directory: DirectoryWriter, layout: Layout, now: Callable[[], datetime]) -> None:
        self._directory = directory
        self._layout = layout
        self._now = now
        self._lost = ""
        self._outcomes: dict[int, Outcome] = {}
        # Thousands of steps name a few groups, each of which may be a DN to take apart, by a few locators.
        self._principal = layout.kind.principal
        self._places: dict[tuple[tuple[str, str], ...], _Place] = {}
        self._by_identity: dict[int, _Place] = {}
        self._found: dict[int, _Holder | Outcome] = {}
        """By the identity of a place: its group, or why there is none that anybody could be put into."""

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """See `TargetWriter.apply`."""
        self._lost, self._outcomes, self._by_identity, self._found = "", {}, {}, {}
        try:
            self._carry_out(steps, self._scene(steps))
        except TargetUnavailable as error:
            return self._filled(steps, Outcome(OutcomeKind.UNAVAILABLE, str(error)))
        except TargetError as error:
            return self._filled(steps, Outcome(OutcomeKind.REFUSED, str(error)))
        return self._filled(steps, Outcome(OutcomeKind.UNAVAILABLE, self._lost))

    def _filled(self, steps: Sequence[Step], rest: Outcome) -> Sequence[Outcome]:
        return [self._outcomes.get(number, rest) for number in range(len(steps))]

    # -- what the plan saw ---------------------------------------------------------------------------------------------

    def _scene(self, steps: Sequence[Step]) -> _Scene:
        groups = self._groups(steps)
        unusable = self._unusable([name for name, own in groups.items() if not own])
        keys = {step.account for step in steps if step.account}
        if not keys:
            return _Scene({}, True, groups, unusable)
        memberships = all(step.op in (Op.GRANT, Op.REVOKE) for step in steps)
        asked = self._layout.member_attributes if memberships else self._layout.account_attributes
        listing = self._directory.accounts(asked, keys)
        accounts = {self._directory.key(entry): entry for entry in listing}
        return _Scene(accounts, not listing.shortfalls, groups, unusable)

    def _groups(self, steps: Sequence[Step]) -> Mapping[GroupName, Sequence[_Holder]]:
        places = {id(place): place for place in map(self._place, steps)}
        wanted = {place.name for place in places.values() if place.name is not None}
        result: dict[GroupName, list[_Holder]] = {name: [] for name in wanted}
        by_dn: dict[str, _Holder] = {}
        for entry in self._directory.groups(list(wanted), ("cn", DYNAMIC)) if wanted else ():
            group = by_dn.setdefault(names.canonical(entry.dn), self._group(entry))
            for name in set(group_keys(entry)) & wanted:
                result[name].append(group)
        if self._layout.kind.needs_member and any(step.op is Op.GRANT for step in steps):
            for entry in self._directory.groups(list(wanted), ("cn",), holding=[self._placeholder]) if wanted else ():
                by_dn.setdefault(names.canonical(entry.dn), self._group(entry)).has_placeholder = True
        return result

    def _group(self, entry: Entry) -> _Holder:
        kind = self._layout.kind
        return _Holder(
            entry.dn,
            kind.attribute,
            kind.principal,
            kind.needs_member,
            loose=not kind.by_dn,
            dynamic=bool(entry.values(DYNAMIC)),
        )

    def _unusable(self, missing: Sequence[GroupName]) -> Mapping[GroupName, str]:
        found: dict[GroupName, str] = {}
        for entry in self._directory.other_groups(missing, ("cn", "objectclass", DYNAMIC)) if missing else ():
            for name in set(group_keys(entry)).intersection(missing):
                found[name] = of_another_class(entry, self._layout.kind)
        return found

    def _place(self, step: Step) -> _Place:
        """What the step's locator comes to; of an operation on an account, nothing."""
        place = self._by_identity.get(id(step.locator))
        if place is None:
            spelled = tuple(sorted(step.locator.items()))
            if spelled not in self._places:
                self._places[spelled] = self._placed(step.locator)
            place = self._by_identity[id(step.locator)] = self._places[spelled]
        return place

    def _placed(self, locator: Locator) -> _Place:
        if error := self._layout.locator_error(locator):
            return _Place(error)
        if value := self._layout.attribute_value(locator):
            return _Place(None, value)
        return _Place(None, None, canonical_name(self._layout.group_name(locator)))

    @property
    def _placeholder(self) -> bytes:
        return self._layout.placeholder.encode()

    # -- the steps -----------------------------------------------------------------------------------------------------

    def _carry_out(self, steps: Sequence[Step], scene: _Scene) -> None:
        able = self._layout.ops
        for number, step in enumerate(steps):
            if step.op not in able:
                self._outcomes[number] = Outcome(OutcomeKind.REFUSED, f"this target is not set up to {step.op}")
        self._account_steps(steps, scene, Op.DISABLE_ACCOUNT)
        for turns in self._by_group(steps, scene):
            self._take_turns(turns)
        self._account_steps(steps, scene, Op.DELETE_ACCOUNT)
        self._creations(steps)
        self._account_steps(steps, scene, Op.ENABLE_ACCOUNT)

    def _by_group(self, steps: Sequence[Step], scene: _Scene) -> Iterator[list[_Turns]]:
        """The groups with their wishes, first those from which somebody goes, then the others; of each, what can be
        sent together, in the order in which it has to be.
        """
        rounds: dict[tuple[str, str], list[_Round]] = {}
        groups: dict[tuple[str, str], _Holder] = {}
        before: _Holder | None = None
        own: list[_Round] = []
        grants = self._layout.kind.by_dn and all(step.op is Op.GRANT and step.account for step in steps)
        for number, step in enumerate(steps):
            if step.op not in (Op.GRANT, Op.REVOKE):
                continue
            resolved = self._resolved(number, step, scene)
            if isinstance(resolved, Outcome):
                self._outcomes[number] = resolved
                continue
            group, wish = resolved
            if group is not before:  # most follow one on the same group
                before, place = group, (group.dn, group.attribute)
                groups.setdefault(place, group)
                own = rounds.setdefault(place, [])
            # The server gives an account one name: in one group, those who are given it by their keys differ.
            members = (step.account,) if grants and wish.principal is self._principal else wish.principals
            _put(own, wish, members)
        turns = [
            (
                groups[at],
                [part for each in those for part in _portions(each.wishes)],
                all(w.adds for w in those[0].wishes),
            )
            for at, those in rounds.items()
        ]
        for adding in (False, True):
            yield [_Turns(group, parts) for group, parts, adds in turns if adds is adding]

    def _resolved(self, number: int, step: Step, scene: _Scene) -> tuple[_Holder, _Wish] | Outcome:
        place = self._place(step)
        if place.value is not None:
            return self._value(number, step, scene, place.value)
        group = self._found.get(id(place))
        if group is None:
            group = self._found[id(place)] = self._group_at(place, step.locator, scene)
        if isinstance(group, Outcome):
            return group
        wish = self._wish(number, step, scene)
        return wish if isinstance(wish, Outcome) else (group, wish)

    def _group_at(self, place: _Place, locator: Locator, scene: _Scene) -> _Holder | Outcome:
        if place.name is None:
            return Outcome(OutcomeKind.REFUSED, place.error or "")
        label, name = locator["group"], place.name
        match scene.groups[name]:
            case [] if name in scene.unusable:
                return Outcome(OutcomeKind.REFUSED, scene.unusable[name])
            case []:
                return Outcome(OutcomeKind.STALE, f"there is no group named {label} any more")
            case [group] if group.dynamic:
                return Outcome(OutcomeKind.REFUSED, dynamic(group.dn))
            case [group]:
                return group
            case several:
                dns = " and ".join(sorted(group.dn for group in several))
                return Outcome(OutcomeKind.REFUSED, f"several groups are named {label}: {dns}")

    def _value(self, number: int, step: Step, scene: _Scene, value: AttributeValue) -> tuple[_Holder, _Wish] | Outcome:
        """An account that is to have the value, or is to have it no more; bound to the account that was looked up."""
        if not step.account:
            return Outcome(OutcomeKind.REFUSED, "the step names no account")
        entry = scene.accounts.get(step.account)
        if entry is None:
            return self._unknown(step, scene)
        holder = _Holder(entry.dn, value.attribute, value_principal, provided=self._directory.same(entry))
        spelled = value.value.encode()
        return holder, _Wish(number, step.op is Op.GRANT, value_principal, (spelled,))

    def _wish(self, number: int, step: Step, scene: _Scene) -> _Wish | Outcome:
        spellings = self._spellings(step, scene)
        if isinstance(spellings, Outcome):
            return spellings
        wish = _Wish(number, step.op is Op.GRANT, self._principal, spellings)
        if self._may_be_placeholder(step) and wish.principal(self._placeholder) in wish.principals:
            return Outcome(OutcomeKind.REFUSED, f"{self._layout.placeholder} is the placeholder of empty groups")
        return wish

    def _may_be_placeholder(self, step: Step) -> bool:
        return self._layout.kind.needs_member and (not step.account or self._account_may_be_placeholder)

    @cached_property
    def _account_may_be_placeholder(self) -> bool:
        kind = self._layout.kind
        return not kind.by_dn or self._layout.may_be_account(self._layout.placeholder)

    def _spellings(self, step: Step, scene: _Scene) -> Sequence[bytes] | Outcome:
        if not step.account:
            if step.op is Op.REVOKE and step.account_name:
                return (step.account_name.encode(),)
            return Outcome(OutcomeKind.REFUSED, "the step names no account")
        entry = scene.accounts.get(step.account)
        if entry is None:
            return self._unknown(step, scene)
        current = self._layout.kind.spellings(entry)
        if not current:
            return Outcome(OutcomeKind.REFUSED, f"{entry.dn} has no uid, by which it could be a member")
        if step.op is Op.GRANT:
            return current[:1]
        return (*current, *self._former(step, entry))

    def _former(self, step: Step, entry: Entry) -> Sequence[bytes]:
        """The name that a renamed account had when the plan was made, where nobody else has it by now."""
        if not self._layout.kind.by_dn or not step.account_name:
            return ()
        try:
            renamed = names.canonical(step.account_name) != names.canonical(entry.dn)
        except names.InvalidName:
            return ()
        taken = renamed and self._directory.read(step.account_name, ("objectclass",)) is not None
        return (step.account_name.encode(),) if renamed and not taken else ()

    def _unknown(self, step: Step, scene: _Scene) -> Outcome:
        if not scene.accounts_whole:
            return Outcome(OutcomeKind.UNAVAILABLE, "the accounts could not be looked up whole")
        if step.op is Op.DELETE_ACCOUNT:
            return Outcome(OutcomeKind.ALREADY, f"no account under {self._layout.people_base} has this key")
        return self._unlike(step)

    def _unlike(self, step: Step) -> Outcome:
        text = f"{step.account_name} is gone or is another account: none has the key {step.account} any more"
        return Outcome(OutcomeKind.STALE, text)

    # -- accounts ------------------------------------------------------------------------------------------------------

    def _account_steps(self, steps: Sequence[Step], scene: _Scene, op: Op) -> None:
        for number, step in enumerate(steps):
            if step.op is not op or op not in self._layout.ops or self._lost:
                continue
            entry = scene.accounts.get(step.account)
            self._outcomes[number] = self._unknown(step, scene) if entry is None else self._account_step(step, entry)

    def _creations(self, steps: Sequence[Step]) -> None:
        template = self._layout.create
        for number, step in enumerate(steps):
            if step.op is not Op.CREATE_ACCOUNT or template is None or self._lost:
                continue
            layout = self._layout
            answer, was_there = create(
                self._directory, template, layout.people_base, layout.match, layout.handover, step.person
            )
            heard = self._heard(answer)
            self._outcomes[number] = Outcome(OutcomeKind.ALREADY, answer.words) if was_there else heard

    def _account_step(self, step: Step, entry: Entry, attempts: int = _ATTEMPTS) -> Outcome:
        if step.op is Op.DELETE_ACCOUNT:
            # Bound to the account that was looked up: by now, the name may be somebody else's.
            request = Request(entry.dn, provided=self._directory.same(entry))
            outcome = self._heard(self._directory.delete(request), gone=OutcomeKind.ALREADY)
            return replace(outcome, detail=self._named_still(entry)) if outcome.kind is OutcomeKind.APPLIED else outcome
        lock = self._layout.lock
        assert lock is not None  # noqa: S101  # `ops` has no locking without one
        if obstacle := lock.obstacle(entry):
            return Outcome(OutcomeKind.REFUSED, obstacle)
        disables = step.op is Op.DISABLE_ACCOUNT
        if lock.is_locked(entry, self._now()) is disables:
            return Outcome(OutcomeKind.ALREADY)
        change = lock.locking(entry) if disables else lock.unlocking(entry)
        [answer] = self._directory.modify([Request(entry.dn, change, self._directory.same(entry))])
        if answer.verdict is Verdict.CONFLICT and attempts > 1:  # somebody else changed the account in between
            listing = self._directory.accounts(self._layout.account_attributes, [step.account])
            now = {self._directory.key(each): each for each in listing}.get(step.account)
            return self._unlike(step) if now is None else self._account_step(step, now, attempts - 1)
        return self._heard(answer)

    def _named_still(self, account: Entry) -> str:
        """Which groups hold the name of an account that is deleted, in words: whoever gets it next would be in them.
        Nothing is changed there: they are no concern of the steps.
        """
        kind = self._layout.kind
        spelled = kind.spellings(account)
        if kind.forgets or not spelled:
            return ""
        try:
            listing = self._directory.groups_of(spelled, ("cn",))
            found = sorted(entry.dn for entry in listing)
        except TargetError as error:
            return f"groups may hold its name still, which whoever gets it next would be in: {error.message}"
        if not found:
            return "; ".join(listing.shortfalls)
        some = "; ".join(found[:_MOST_NAMED]) + ("; …" if len(found) > _MOST_NAMED else "")
        them = "a group holds" if len(found) == 1 else f"{len(found)} groups hold"
        return f"{them} its name still, and whoever gets it next would be in there; take it out: {some}"

    def _heard(self, answer: Answer, gone: OutcomeKind = OutcomeKind.STALE) -> Outcome:
        if answer.verdict is Verdict.UNAVAILABLE:
            self._lost = answer.words
        kinds = {
            Verdict.DONE: OutcomeKind.APPLIED,
            Verdict.GONE: gone,
            Verdict.CHANGED: OutcomeKind.STALE,
            Verdict.UNAVAILABLE: OutcomeKind.UNAVAILABLE,
            Verdict.CONFLICT: OutcomeKind.UNAVAILABLE,  # somebody else keeps changing the group
        }
        return Outcome(kinds.get(answer.verdict, OutcomeKind.REFUSED), answer.words)

    # -- one group -----------------------------------------------------------------------------------------------------

    def _take_turns(self, turns: Sequence[_Turns]) -> None:
        """All groups side by side, each with one request at a time."""
        for number in range(max((len(each.parts) for each in turns), default=0)):
            if self._lost:
                return
            self._send([(each.group, each.parts[number]) for each in turns if number < len(each.parts)])

    def _send(self, parts: Sequence[tuple[_Holder, Sequence[_Wish]]]) -> None:
        """In the hope that all is as the plan saw it; otherwise, and where a member may have several spellings, by
        what the group holds now.
        """
        hopeful = [not group.loose and all(len(w.spellings) == 1 for w in wishes) for group, wishes in parts]
        sent = [each for each, hope in zip(parts, hopeful, strict=True) if hope]
        requests = [self._hoped(group, wishes) for group, wishes in sent]
        for (group, wishes), answer in zip(sent, self._directory.modify(requests) if sent else (), strict=True):
            self._conclude(group, wishes, answer)
        for (group, wishes), hope in zip(parts, hopeful, strict=True):
            if not hope and not self._lost:
                self._send_by_what_is_there(group, wishes)

    def _hoped(self, group: _Holder, wishes: Sequence[_Wish]) -> Request:
        additions = [wish.spellings[0] for wish in wishes if wish.adds]
        removals = [wish.spellings[0] for wish in wishes if not wish.adds]
        placeholder = [self._placeholder] if additions and group.has_placeholder else []
        return self._request(group, additions, [*removals, *placeholder])

    def _conclude(self, group: _Holder, wishes: Sequence[_Wish], answer: Answer) -> None:
        if answer.verdict in (Verdict.CONFLICT, Verdict.VIOLATION):
            if not self._lost:
                self._send_by_what_is_there(group, wishes)
            return
        if answer.verdict is Verdict.DONE and any(wish.adds for wish in wishes):
            group.has_placeholder = False
        self._settle(group, wishes, answer)

    def _send_by_what_is_there(self, group: _Holder, wishes: Sequence[_Wish]) -> None:
        for _ in range(_ATTEMPTS):
            entry = self._directory.read(group.dn, ("cn", group.attribute))
            if entry is None:
                self._record(wishes, Outcome(OutcomeKind.STALE, f"{group.dn} is there no more"))
                return
            present = _present(entry, group)
            pending = [wish for wish in wishes if wish.adds is not bool(wish.principals & present.keys())]
            so_already = [wish for wish in wishes if wish.adds is bool(wish.principals & present.keys())]
            self._record(so_already, Outcome(OutcomeKind.ALREADY))
            if not pending:
                return
            [answer] = self._directory.modify([self._request(group, *self._exactly(group, pending, present))])
            if answer.verdict is not Verdict.CONFLICT:
                self._settle(group, pending, answer)
                return
            wishes = pending
        self._settle(group, wishes, answer)

    def _exactly(
        self, group: _Holder, wishes: Sequence[_Wish], present: Mapping[str, list[bytes]]
    ) -> tuple[list[bytes], list[bytes]]:
        """What to add and what to delete, in the group's own spelling, with the placeholder in or out as needed."""
        leaving = {principal for wish in wishes if not wish.adds for principal in wish.principals & present.keys()}
        removals = [value for principal in leaving for value in present[principal]]
        additions = [wish.spellings[0] for wish in wishes if wish.adds]
        if group.needs_value:
            placeholder = group.principal(self._placeholder)
            group.has_placeholder = placeholder in present
            if additions:
                removals += present.get(placeholder, [])
                group.has_placeholder = False
            elif not present.keys() - leaving:
                additions = [self._placeholder]
                group.has_placeholder = True
        return additions, removals

    def _request(self, group: _Holder, additions: Sequence[bytes], removals: Sequence[bytes]) -> Request:
        attribute = group.attribute
        parts = (Modification(attribute, Edit.DELETE, removals), Modification(attribute, Edit.ADD, additions))
        return Request(group.dn, [part for part in parts if part.values], group.provided)

    def _settle(self, group: _Holder, wishes: Sequence[_Wish], answer: Answer) -> None:
        """Outcomes for what was sent. Where a whole may be refused for a part, the parts are sent by themselves."""
        if answer.verdict not in _FINAL or len(wishes) == 1:
            self._record(wishes, self._heard(answer))
            return
        removals, additions = [w for w in wishes if not w.adds], [w for w in wishes if w.adds]
        if removals and additions:
            parts: Iterable[Sequence[_Wish]] = (removals, additions)
        elif answer.verdict is Verdict.FORBIDDEN:  # a right is missing; it is missing for every value
            self._record(wishes, self._heard(answer))
            return
        else:
            parts = (wishes[: len(wishes) // 2], wishes[len(wishes) // 2 :])
        for part in parts:
            if not self._lost:
                self._send([(group, part)])

    def _record(self, wishes: Iterable[_Wish], outcome: Outcome) -> None:
        for wish in wishes:
            self._outcomes[wish.step] = outcome


@dataclass(slots=True)
class _Round:
    """Wishes on one group that can be sent together: no two of them speak of the same member."""

    wishes: list[_Wish] = field(default_factory=list)
    members: set[str] = field(default_factory=set)

    def add(self, wish: _Wish, members: Collection[str]) -> None:
        self.wishes.append(wish)
        self.members.update(members)


@dataclass(frozen=True, slots=True)
class _Turns:
    """A group, and the wishes on it that make one request each, one after the other."""

    group: _Holder
    parts: Sequence[Sequence[_Wish]]


def _present(entry: Entry, group: _Holder) -> Mapping[str, list[bytes]]:
    present: dict[str, list[bytes]] = {}
    for value in entry.values(group.attribute):
        present.setdefault(group.principal(value), []).append(value)
    return present


def _portions(wishes: Sequence[_Wish]) -> Iterator[Sequence[_Wish]]:
    """All together where they fit into one request, otherwise removals first."""
    if len(wishes) > MOST_VALUES:
        wishes = sorted(wishes, key=lambda wish: wish.adds)
    for start in range(0, len(wishes), MOST_VALUES):
        yield wishes[start : start + MOST_VALUES]


def _put(rounds: list[_Round], wish: _Wish, members: Collection[str]) -> None:
    if not rounds or not rounds[-1].members.isdisjoint(members):
        rounds.append(_Round())
    rounds[-1].add(wish, members)
