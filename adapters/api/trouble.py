"""What may go wrong between us and an API, before it is known whom to tell: a source's error or a target's outcome."""

from __future__ import annotations

from typing import Self

__all__ = ["Moved", "Trouble", "bare"]


class Trouble(Exception):
    """What an API did that was not agreed.

    `said` and `remedy` are for people, and hold no secret. `passing`: it may go through later, `wait` seconds from now
    where the API says so. `status`: that of the answer, where there was one. `url` and `number` say of which page it
    is.
    """

    def __init__(
        self, said: str, remedy: str, *, passing: bool = False, wait: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(said)
        self.said = said
        self.remedy = remedy
        self.passing = passing
        self.wait = wait
        self.status = status
        self.url = ""
        self.number = 0

    def at(self, url: str, number: int) -> Self:
        """The same, of this page; where it is of one already, it stays so."""
        if not self.url:
            self.url, self.number = url, number
        return self


class Moved(Trouble):
    """The number of records changed while they were read: some may have slipped from page to page."""


def bare(url: str) -> str:
    """A URL as it may be shown: without what is asked with, which may hold secrets and names."""
    return url.partition("?")[0].partition("#")[0]
