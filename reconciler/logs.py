"""What a run tells a log: events of stable names, one JSON object a line, on standard error.

Promises: nothing is written unless somebody asked for it (`shown`); a line names runs, targets, operations, counts and
ids, never a secret, a name or a proof; times are UTC in RFC 3339. Only the rooms that act write here: what is pure has
nothing to tell, and what a person is to know stands in a command's results.

The events: ``run-started``, ``batch-sent``, ``retry-waiting``, ``change-refused``, ``change-contradicted``,
``target-set-aside``, ``run-finished``; ``plan-made``, ``target-unreadable``, ``dead-run-recovered``;
``notification-sent``, ``notification-not-sent``, ``notification-given-up``; the service's own stand in docs/running.md.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any, TextIO, TypeVar
from uuid import uuid4

import structlog

__all__ = ["carried", "keep_out_others", "level", "log", "relay", "shown", "some_id", "within"]

T = TypeVar("T")

_LOGGER = logging.getLogger("reconciler")
_LOGGER.addHandler(logging.NullHandler())
_LOGGER.propagate = False
_NOBODY = logging.NullHandler()


def _without_words(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its kind and where it came through: its words may quote what somebody sent, or a name."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["exception"] = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)
        event["through"] = [f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in frames]
    return event


_STAMPED = (
    structlog.contextvars.merge_contextvars,
    _without_words,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
)

log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
    _LOGGER,
    processors=[
        structlog.stdlib.filter_by_level,
        *_STAMPED,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=False,
)
"""Where events go: ``log.info("batch-sent", run=…, target=…)``."""


@contextmanager
def within(**ids: str) -> Iterator[None]:
    """Every line carries these, for as long as the context lasts, in what it calls and in threads that `carried` leads
    to: ``within(request=…)``.
    """
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def carried(work: Callable[[], T]) -> Callable[[], T]:
    """The same work, whose lines carry what those here do, in whatever thread it is done."""
    context = copy_context()
    return lambda: context.run(work)


def some_id() -> str:
    """An id that nothing else has."""
    return uuid4().hex[:12]


@contextmanager
def shown(stream: TextIO, *, as_json: bool, detailed: bool = False) -> Iterator[None]:
    """Write events to the stream for as long as the context lasts: as JSON, or as lines for people. `detailed` shows
    those as well that nobody needs while all goes well.
    """
    keep_out_others()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=_renderer(as_json=as_json)))
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.DEBUG if detailed else logging.INFO)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(logging.NOTSET)


def keep_out_others() -> None:
    """What libraries log, and nobody listens to, would come between the lines in a form and in words of its own."""
    logging.getLogger().addHandler(_NOBODY)


def level() -> int:
    """From which level on anything is written, as `logging` numbers them; higher than any where nothing is."""
    return _LOGGER.level if _LOGGER.level else logging.CRITICAL + 1


def relay(of_level: int, event: Mapping[str, Any]) -> None:
    """Write an event that was stamped in another process, as if it came from here."""
    if _LOGGER.isEnabledFor(of_level):
        event = {**structlog.contextvars.get_contextvars(), **event}
        record = _LOGGER.makeRecord(_LOGGER.name, of_level, "", 0, event, (), None)
        record._logger, record._name = _LOGGER, logging.getLevelName(of_level).lower()
        _LOGGER.handle(record)


def _renderer(*, as_json: bool) -> Any:
    if as_json:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
