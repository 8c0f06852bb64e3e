"""Reading what a source delivers, as the record takes it in."""

from __future__ import annotations

from reconciler.facts.feed import REQUIRED_COLUMNS, feed_columns, feed_cursor
from reconciler.facts.people import Facts
from reconciler.policy.model import Policy
from reconciler.sources import Feed, Source

__all__ = ["delivery"]


def delivery(facts: Facts, name: str, source: Source, policy: Policy, *, full: bool = False) -> Feed:
    """What the source of this name delivers: what has changed since it was read last, where it can tell; everybody
    otherwise, or where that is asked for. Raises `SourceError`.
    """
    since = "" if full else feed_cursor(facts, name)
    return source.read(feed_columns(policy.attributes), REQUIRED_COLUMNS, since)
