"""Which account belongs to whom.

An account is linked to a person by the target's stable identifier, found once through the configured match and
remembered: a renamed account stays the same account, a re-used name does not make a new person its owner. What is not
certain is said and left alone: an account that matches two people, a person with two accounts, an account whose match
has changed.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyroaring import BitMap

from reconciler.facts.model import Person, Population
from reconciler.plan.model import Finding
from reconciler.targets import ObservedAccount

NOBODY = -1


@dataclass(frozen=True, slots=True)
class Links:
    """The accounts of one observation and their owners; positions are those of the observation's accounts.

    `person_at[position]` is a `Person.number` or `NOBODY`; `positions_of` has every account of a person,
    `account_for` the single one that grants go to (absent where that is not certain). `learned` are the links that
    were not remembered yet.
    """

    person_at: Sequence[int]
    positions_of: Mapping[int, Sequence[int]]
    account_for: Mapping[int, int]
    service_at: Mapping[int, str]
    doubtful: BitMap
    """Accounts of which it is not certain whose they are: they are granted nothing."""
    orphans: BitMap
    learned: Mapping[str, str]
    findings: tuple[Finding, ...]

    def people_in(self, positions: Iterable[int]) -> BitMap:
        """The people behind these accounts; accounts of nobody are left out."""
        return BitMap([number for number in map(self.person_at.__getitem__, positions) if number >= 0])


def folded(value: str) -> str:
    """A match value as it is compared: directories ignore case and surrounding space, and so do people."""
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
    positions: dict[int, list[int]] = defaultdict(list)
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
            positions[owner.number].append(position)
            if account.key not in remembered and not doubt:
                learned[account.key] = owner.id
    contested |= _doubtful_services(target, accounts, service_at, findings)
    account_for = _single_accounts(target, accounts, positions, contested, population, findings)
    orphans = BitMap(
        p for p, number in enumerate(person_at) if number == NOBODY and p not in service_at and p not in contested
    )
    return Links(person_at, positions, account_for, service_at, BitMap(contested), orphans, learned, tuple(findings))


def _people_by_match(population: Population, attributes: Sequence[str]) -> Mapping[tuple[str, ...], list[Person]]:
    found: dict[tuple[str, ...], list[Person]] = defaultdict(list)
    for person in population:
        values = tuple(folded(_attribute_of(person, attribute)) for attribute in attributes)
        if all(values):
            found[values].append(person)
    return found


def _attribute_of(person: Person, attribute: str) -> str:
    if attribute == "id":
        return person.id
    if attribute == "email":
        return person.email
    return person.name if attribute == "name" else ""


def _match_of(account: ObservedAccount, attributes: Sequence[str]) -> tuple[str, ...]:
    values = tuple(folded(account.match.get(attribute, "")) for attribute in attributes)
    # A blank matches nobody: two blanks are not two equal names (C1).
    return values if all(values) else ("",) * (len(attributes) + 1)


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


def _single_accounts(
    target: str,
    accounts: Sequence[ObservedAccount],
    positions: Mapping[int, Sequence[int]],
    contested: Collection[int],
    population: Population,
    findings: list[Finding],
) -> dict[int, int]:
    by_number = {number: positions_ for number, positions_ in positions.items() if len(positions_) > 1}
    if by_number:
        ids = {person.number: person.id for person in population}
        for number, several in by_number.items():
            names = ", ".join(accounts[position].name for position in several)
            text = f"{ids[number]} has {len(several)} accounts ({names}): nothing is granted until one of them is left"
            findings.append(Finding("ambiguous-account", target, ids[number], text))
    return {
        number: several[0] for number, several in positions.items() if len(several) == 1 and several[0] not in contested
    }
