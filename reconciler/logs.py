"""What a run tells a log: events of stable names, one JSON object a line, on standard error.

Promises: nothing is written unless somebody asked for it (`shown`); a line names runs, targets, operations, counts and
ids, never a secret, a name or a proof; times are UTC in RFC 3339. Only the rooms that act write here: what is pure has
nothing to tell, and what a person is to know stands in a command's results.

The events: ``run-started``, ``batch-sent``, ``retry-waiting``, ``change-refused``, ``change-contradicted``,
``target-set-aside``, ``run-finished``; ``plan-made``, ``target-unreadable``, ``dead-run-recovered``;
``notification-sent``, ``notification-not-sent``, ``notification-given-up``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

__all__ = ["log", "shown"]

_LOGGER = logging.getLogger("reconciler")
_LOGGER.addHandler(logging.NullHandler())
_LOGGER.propagate = False
_STAMPED = (
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
def shown(stream: TextIO, *, as_json: bool, detailed: bool = False) -> Iterator[None]:
    """Write events to the stream for as long as the context lasts: as JSON, or as lines for people. `detailed` shows
    those as well that nobody needs while all goes well.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=_renderer(as_json=as_json)))
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.DEBUG if detailed else logging.INFO)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(logging.NOTSET)


def _renderer(*, as_json: bool) -> Any:
    if as_json:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
