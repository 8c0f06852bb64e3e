"""Which account belongs to whom.

An account is linked to a person by the target's stable identifier, found once through the configured match and
remembered: a renamed account stays the same account, a re-used name does not make a new person its owner. What is not
certain is said and left alone: an account that matches two people, a person with two accounts, an account whose match
has changed.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from pyroaring import BitMap

from reconciler.facts.model import Person, Population
from reconciler.plan.model import Finding
from reconciler.targets import ObservedAccount

NOBODY = -1


@dataclass(frozen=True, slots=True)
class Links:
    """The accounts of one observation and their owners; positions are those of the observation's accounts.

    `person_at[position]` is a `Person.number` or `NOBODY`, and `owned` are the positions that are somebody's. Nearly
    everybody has one account: `first_of` is their first, `several_of` has all of those who have more than one.
    `learned` are the links that were not remembered yet.
    """

    person_at: Sequence[int]
    owned: BitMap
    first_of: Mapping[int, int]
    several_of: Mapping[int, Sequence[int]]
    service_at: Mapping[int, str]
    doubtful: BitMap
    """Accounts of which it is not certain whose they are: they are granted nothing."""
    orphans: BitMap
    learned: Mapping[str, str]
    findings: tuple[Finding, ...]

    def people_in(self, positions: BitMap) -> BitMap:
        """The people behind these accounts; accounts of nobody are left out."""
        owned = (positions & self.owned).to_array()
        if len(owned) < 2:
            return BitMap([self.person_at[position] for position in owned])
        return BitMap(itemgetter(*owned)(self.person_at))  # several times as fast as one by one

    def positions_of(self, number: int) -> Sequence[int]:
        """Every account of the person."""
        if number in self.several_of:
            return self.several_of[number]
        return (self.first_of[number],) if number in self.first_of else ()

    def account_for(self, number: int) -> int | None:
        """The single account that grants to the person go to; None where that is not certain."""
        position = self.first_of.get(number)
        return None if position is None or position in self.doubtful or number in self.several_of else position


def folded(value: str) -> str:
    """A match value as it is compared: directories ignore case and surrounding space, and so do people."""
    if value.isascii():
        return value.strip().lower()
    return unicodedata.normalize("NFKC", value).strip().casefold()


def link_accounts(
    target: str,
    accounts: Sequence[ObservedAccount],
    population: Population,
    attributes: Sequence[str],
    remembered: Mapping[str, str],
    service_accounts: Collection[str],
) -> Links:
    """Link every observed account to its person, its service account, or nobody.

    `attributes` are the person attributes that accounts are matched by (all must agree); `remembered` is account key
    → person id.
    """
    candidates = _people_by_match(population, attributes)
    services = {folded(name): name for name in service_accounts}
    findings: list[Finding] = []
    person_at: list[int] = []
    service_at: dict[int, str] = {}
    contested: set[int] = set()
    first_of: dict[int, int] = {}
    several_of: dict[int, list[int]] = {}
    learned: dict[str, str] = {}
    for position, account in enumerate(accounts):
        matching = candidates.get(_match_of(account, attributes), ())
        owner, doubt = _owner(account, matching, population.by_id.get(remembered.get(account.key, "")))
        if doubt:
            findings.append(Finding("ambiguous-account", target, account.name, doubt))
            contested.add(position)
        if owner is None and not doubt and (service := _service_of(account, attributes, services)):
            service_at[position] = service
        person_at.append(NOBODY if owner is None else owner.number)
        if owner is not None:
            if (first := first_of.setdefault(owner.number, position)) != position:
                several_of.setdefault(owner.number, [first]).append(position)
            if account.key not in remembered and not doubt:
                learned[account.key] = owner.id
    contested |= _doubtful_services(target, accounts, service_at, findings)
    findings += _several_accounts(target, accounts, several_of, population)
    owned = BitMap([position for position, number in enumerate(person_at) if number != NOBODY])
    nobodys = BitMap(range(len(person_at))) - owned
    return Links(
        person_at=person_at,
        owned=owned,
        first_of=first_of,
        several_of=several_of,
        service_at=service_at,
        doubtful=BitMap(contested),
        orphans=nobodys - BitMap(service_at) - BitMap(contested),
        learned=learned,
        findings=tuple(findings),
    )


_Match = str | tuple[str, ...]
"""The values that an account is matched by: bare where there is one."""


def _people_by_match(population: Population, attributes: Sequence[str]) -> Mapping[_Match, tuple[Person, ...]]:
    found: dict[_Match, tuple[Person, ...]] = {}
    for person in population:
        values = _as_match([attribute_of(person, attribute) for attribute in attributes])
        if values:
            found[values] = (*found[values], person) if values in found else (person,)
    return found


def _as_match(values: Sequence[str]) -> _Match:
    """The values as they are compared; "" where one is blank, and two blanks are not two equal names (C1)."""
    if len(values) == 1:
        return folded(values[0])
    own = tuple(map(folded, values))
    return own if all(own) else ""


def attribute_of(person: Person, attribute: str) -> str:
    """The person's value that accounts are matched by; "" where there is none."""
    if attribute == "id":
        return person.id
    if attribute == "email":
        return person.email
    return person.name if attribute == "name" else ""


def _match_of(account: ObservedAccount, attributes: Sequence[str]) -> _Match:
    return _as_match([account.match.get(attribute, "") for attribute in attributes])


def _owner(account: ObservedAccount, matching: Sequence[Person], known: Person | None) -> tuple[Person | None, str]:
    """The account's owner and, where that is doubtful, why; a doubtful account is granted nothing."""
    if known is not None:
        if matching and known not in matching:
            others = ", ".join(person.id for person in matching)
            return known, (
                f"{account.name} is known as {known.id}'s account and now matches {others}: it is granted nothing "
                "until the directory says again whose it is"
            )
        return known, ""
    if len(matching) > 1:
        ids = ", ".join(sorted(person.id for person in matching))
        return None, f"{account.name} matches {len(matching)} people ({ids}): it is left alone until it matches one"
    return (matching[0] if matching else None), ""


def _service_of(account: ObservedAccount, attributes: Sequence[str], services: Mapping[str, str]) -> str | None:
    names = [account.login, *(account.match.get(attribute, "") for attribute in attributes)]
    return next((services[folded(name)] for name in names if folded(name) in services), None)


def _doubtful_services(
    target: str, accounts: Sequence[ObservedAccount], service_at: Mapping[int, str], findings: list[Finding]
) -> set[int]:
    """Who makes an account of a service account's name elsewhere in the directory does not get its access."""
    positions: dict[str, list[int]] = defaultdict(list)
    for position, service in service_at.items():
        positions[service].append(position)
    several = {service: own for service, own in positions.items() if len(own) > 1}
    for service, own in several.items():
        names = ", ".join(accounts[position].name for position in own)
        text = f"{len(own)} accounts could be the service account {service} ({names}): none of them is granted anything"
        findings.append(Finding("ambiguous-account", target, service, text))
    return {position for own in several.values() for position in own}


def _several_accounts(
    target: str, accounts: Sequence[ObservedAccount], several_of: Mapping[int, Sequence[int]], population: Population
) -> list[Finding]:
    ids = {person.number: person.id for person in population if person.number in several_of} if several_of else {}
    findings = []
    for number, several in several_of.items():
        names = ", ".join(accounts[position].name for position in several)
        text = f"{ids[number]} has {len(several)} accounts ({names}): nothing is granted until one of them is left"
        findings.append(Finding("ambiguous-account", target, ids[number], text))
    return findings
