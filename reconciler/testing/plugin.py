"""The pytest plug-in. It is loaded by every run of pytest where we are installed, so it imports nothing but pytest.

It makes failed assertions of the contract suites readable, and says what to do where a suite misses its fixture.
"""

from __future__ import annotations

from typing import NoReturn

import pytest

pytest.register_assert_rewrite("reconciler.testing.targets", "reconciler.testing.sources")


@pytest.fixture
def make_lab() -> NoReturn:
    """What `TargetContract` needs: a function of accounts and groups that makes a fresh `Lab` which holds them."""
    pytest.fail(
        "the target contract needs a fixture `make_lab` beside the class that inherits it: it returns a function "
        "which, given accounts and groups, sets up a fresh system that holds exactly those and returns a "
        "`reconciler.testing.targets.Lab`; docs/adapters.md shows one",
        pytrace=False,
    )


@pytest.fixture
def make_source() -> NoReturn:
    """What `SourceContract` needs: a function of people and settings that returns the source which delivers them."""
    pytest.fail(
        "the source contract needs a fixture `make_source` beside the class that inherits it: it returns a function "
        "which, given people and settings, sets up a system that holds exactly those and returns the source that reads "
        "it; docs/adapters.md tells more",
        pytrace=False,
    )
