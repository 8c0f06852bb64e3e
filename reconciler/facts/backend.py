"""What every kind of database has to answer for the store, and what the store says where one cannot.

`reconciler.facts.sqlite` and `reconciler.facts.postgresql` are the two there are; `reconciler.facts.store` picks one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from reconciler.errors import Problem, ReconcilerError

READ = "read"
WRITE = "write"
"""The two kinds of transactions, as the option `reconciler_transaction` of a connection names them."""

OPTION = "reconciler_transaction"


class StoreError(ReconcilerError):
    """The store cannot be used as it is."""

    code = "store"


class StoreBusy(StoreError):
    """Somebody else is writing and did not finish in time; the same call may go through later."""

    code = "store-busy"


class StoreTooNew(StoreError):
    """The store was written by a newer version of this program."""

    code = "store-too-new"


class Backend(Protocol):
    """One kind of database."""

    @property
    def name(self) -> str:
        """The store as messages call it; never with a secret."""
        ...

    @property
    def path(self) -> Path | None:
        """The file, where it is one."""
        ...

    @property
    def driver_settings(self) -> Mapping[str, Any] | None:
        """What psycopg connects with, where it is a server that several machines can share. It holds the password."""
        ...

    def exists(self) -> bool:
        """Whether there is a store, without making one. Raises `StoreError` where nobody can tell."""
        ...

    def prepare(self) -> None:
        """Make what an engine needs before it can connect."""
        ...

    def engine(self) -> Engine:
        """An engine whose transactions begin as their option `OPTION` says: one writer at a time, readers who cannot
        write and see one state throughout.
        """
        ...

    def check_present(self) -> None:
        """Raises `StoreError` where the store has gone since it was opened."""
        ...

    def in_words(self, error: DBAPIError) -> StoreError:
        """What the database says, in our words."""
        ...

    def scrub(self, engine: Engine) -> None:
        """Leave nothing of what was deleted in the files; nobody writes meanwhile."""
        ...

    def check_safety(self) -> list[Problem]:
        """Whether others than we could read or change the store, for `doctor`."""
        ...

    def lease(self, name: str) -> AbstractContextManager[bool]:
        """Held for as long as the context lasts, or the process: whether nobody else holds the one of this name."""
        ...
