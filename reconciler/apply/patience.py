"""How often a target that does not answer is tried again, after how long, and when it is given up for this run.

The waits grow exponentially with jitter, so that many reconcilers do not come back all at once; what the target itself
says (``Retry-After``) is obeyed. Waiting and chance are seams: a test records the one and fixes the other.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Patience"]


@dataclass(frozen=True, slots=True)
class Patience:
    """Waits in seconds. `attempts` counts the first one, too.

    `in_all` is the most that a run waits for one target altogether; a target that asks for more is set aside at once.
    So is one that gave no answer at all to `silent_batches` batches in a row, each tried as often as `attempts` says.
    """

    attempts: int = 4
    first_wait: float = 0.25
    longest_wait: float = 8.0
    in_all: float = 30.0
    silent_batches: int = 3
    wait: Callable[[float], None] | None = None
    """Waits so many seconds. None: by the clock, and only until the run is to end."""
    jitter: Callable[[], float] = random.random
    """A number from 0 to 1."""

    def pause(self, attempt: int, retry_after: float | None = None) -> float:
        """How long to wait after this attempt, counted from 1."""
        grown: float = min(self.longest_wait, self.first_wait * 2 ** (attempt - 1))
        # Jitter upwards from half; after what the target asks for, on top of it, since it asks everybody for the same.
        share = self.jitter()
        return grown * (1 + share) / 2 if retry_after is None else max(0.0, retry_after) + self.first_wait * share
