"""What is withheld from single people and why, for a plan that needs it of many.

A person's dossier answers for all permissions of a class at once, so people are gone through one by one, and only of
those who change more than the moment's dossier is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from pyroaring import BitMap

from reconciler.access import explain
from reconciler.access.dossier import Book, Dossier
from reconciler.access.model import Denial, Desired, Reason
from reconciler.access.subject import moment_of
from reconciler.facts.model import Population
from reconciler.plan.model import Withheld, WithheldReason
from reconciler.policy.model import Entitlement, EntitlementRef, Permission, Policy


class Explaining:
    """Explains people to one plan."""

    def __init__(self, policy: Policy, population: Population, desired: Desired) -> None:
        self._policy = policy
        self._population = population
        self._desired = desired
        self._moment = moment_of(policy, population, desired.at)
        self._book = Book(self._moment)
        self._dossiers: dict[int, Dossier] = {}
        self._without: dict[EntitlementRef, BitMap] = {}
        self._told: dict[tuple[WithheldReason, ...], tuple[WithheldReason, ...]] = {}
        self.id_of = {person.number: person.id for person in population}

    def strongest_reason(self, number: int, permission: Permission) -> Reason | None:
        """What gives the person the permission."""
        return next(iter(self._dossier(number).reasons(self._book.asked(permission))), None)

    def denials(self, number: int, permission: Permission) -> Sequence[Denial]:
        """Why a permission that the person is given is not let through."""
        return self._dossier(number).denials(self._book.asked(permission))

    def withheld_from(self, entitlement: Entitlement) -> BitMap:
        """Those to whom some permission of the entitlement is given without being allowed."""
        if entitlement.ref not in self._without:
            given, allowed = self._desired.given, self._desired.allowed
            parts = [given[each] - allowed[each] for each in entitlement.permissions]
            self._without[entitlement.ref] = BitMap().union(*parts)
        return self._without[entitlement.ref]

    def _dossier(self, number: int) -> Dossier:
        if number not in self._dossiers:
            self._dossiers[number] = self._new_dossier(number)
        return self._dossiers[number]

    def _new_dossier(self, number: int) -> Dossier:
        return Dossier(self._book, self._moment, self._moment.person(self.id_of[number]))

    # --- all that is withheld ---------------------------------------------------------------------------------------

    def withheld(self) -> tuple[Withheld, ...]:
        """All that is given and not let through, by subject and permission."""
        found = [*self._withheld_from_people(), *self._withheld_from_services()]
        return tuple(sorted(found, key=lambda each: (each.subject, each.permission)))

    def _withheld_from_people(self) -> Iterator[Withheld]:
        missing = self._missing_by_person()
        named = {permission for permissions in missing.values() for permission in permissions}
        spelled = {permission: (str(permission), self._book.asked(permission)) for permission in named}
        for number, permissions in missing.items():
            person, dossier = self.id_of[number], self._dossiers.get(number) or self._new_dossier(number)
            told: dict[int, tuple[Sequence[Denial], tuple[WithheldReason, ...]]] = {}
            for permission in permissions:
                name, asked = spelled[permission]
                denials = dossier.denials(asked)
                if id(denials) not in told:  # those that permissions of a class share are the same
                    told[id(denials)] = denials, self._reasons(denials)
                yield Withheld(person, True, name, asked.classification, told[id(denials)][1])

    def _missing_by_person(self) -> dict[int, list[Permission]]:
        found: dict[int, list[Permission]] = defaultdict(list)
        for permission, given in self._desired.given.items():
            if given:  # of nearly all there is nobody to tell of, where one person is asked about
                for number in given - self._desired.allowed[permission]:
                    found[number].append(permission)
        return found

    def _withheld_from_services(self) -> Iterator[Withheld]:
        for permission, given in self._desired.service_given.items():
            for name in sorted(given - self._desired.service_allowed[permission]) if given else ():
                said = explain(self._policy, self._population, name, permission, self._desired.at)
                yield Withheld(name, False, str(permission), said.classification, self._reasons(said.denials))

    def _reasons(self, denials: Iterable[Denial]) -> tuple[WithheldReason, ...]:
        own = tuple(WithheldReason(each.kind.value, each.what, each.text, each.remedy) for each in denials)
        return self._told.setdefault(own, own)
