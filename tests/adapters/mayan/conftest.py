"""What every test of the Mayan adapter may have: a document management system with people in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count

import pytest

from reconciler.testing.targets import GROUPS, PEOPLE, LabAccount
from tests.adapters.mayan.lab import MayanLab
from tests.servers.fixtures import mayan, mayan_server_of_all
from tests.servers.mayan import Mayan

__all__ = ["MakeMayanLab", "lab", "make", "mayan", "mayan_server_of_all"]

MakeMayanLab = Callable[..., MayanLab]


@pytest.fixture
def make(mayan: Mayan) -> MakeMayanLab:
    numbers = count()

    def new(
        accounts: Sequence[LabAccount] = PEOPLE, groups: Mapping[str, Sequence[str]] = GROUPS, **more: object
    ) -> MayanLab:
        if next(numbers):
            mayan.renew()
        return MayanLab(mayan, accounts, groups, **more)

    return new


@pytest.fixture
def lab(make: MakeMayanLab) -> MayanLab:
    return make()
