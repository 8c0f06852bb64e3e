"""The product with one of its safeties taken out, to show that the simulation would notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from reconciler.apply.journal import Journal
from reconciler.apply.leases import Lease
from reconciler.passes.present import Present
from reconciler.plan import causes, guards
from reconciler.plan.attribution import Attribution

Mutant = Callable[[], AbstractContextManager[object]]


def no_recheck() -> AbstractContextManager[object]:
    """Nobody asks before a batch whether it is still wanted."""
    return patch.object(Present, "no_longer_wanted", lambda *_: frozenset())


def no_clock_in_the_recheck() -> AbstractContextManager[object]:
    """Only news is asked for before a batch: what ran out meanwhile is given all the same."""
    return patch.object(Present, "_overtaken_by_time", lambda *_: set())


def no_fencing() -> AbstractContextManager[object]:
    """Whoever was overtaken goes on."""
    return patch.object(Lease, "check", lambda *_: None)


def no_window() -> AbstractContextManager[object]:
    """Guards count every pass by itself."""
    return patch.object(Journal, "recent", lambda *_: {})


def incomplete_reads_prove_something() -> AbstractContextManager[object]:
    """What could not be read whole is taken for the truth."""
    return _without("incomplete-read")


def no_limits() -> AbstractContextManager[object]:
    """However many people change, nothing is held."""
    return _without("too-many")


def nobody_is_protected() -> AbstractContextManager[object]:
    """The protected are changed like everybody else."""
    return _without("protected")


def no_leavers_lane() -> AbstractContextManager[object]:
    """Leavers wait with everybody else."""

    @contextmanager
    def patched() -> Iterator[None]:
        with patch.object(Attribution, "is_leavers", lambda *_, **__: False), _everybody_in():
            yield

    return patched()


def no_recovery() -> AbstractContextManager[object]:
    """What a run that died had begun is forgotten."""
    return patch.object(Journal, "open_intents", lambda *_: [])


def _without(guard: str) -> AbstractContextManager[object]:
    checks: Mapping[str, Any] = {name: check for name, check in guards.CHECKS.items() if name != guard}
    return patch.object(guards, "CHECKS", checks)


def _everybody_in() -> AbstractContextManager[object]:
    real = causes.Causes._verdict
    return patch.object(causes.Causes, "_verdict", lambda self, cause, *, leaver=False: real(self, cause, leaver=False))


MUTANTS: Mapping[str, Mutant] = {
    each.__name__.replace("_", "-"): each
    for each in (
        no_recheck, no_clock_in_the_recheck, no_fencing, no_window, incomplete_reads_prove_something, no_limits,
        nobody_is_protected, no_leavers_lane, no_recovery,
    )
}  # fmt: skip
