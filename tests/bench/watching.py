"""What a monitoring system costs the service: scrapes of `/metrics` in a company of 100,000, with a record to count.

The first line is the start without anything kept: the whole record is counted, scrape by scrape. The second one is
every day: a scrape each time, after a hundred events more are on record.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import requests

from tests.bench import directory
from tests.bench.leaving import company_beside_directory, prepared
from tests.bench.measuring import Measurement
from tests.bench.serving import Sender, moved, serving, tell

SCRAPES, EACH = 50, 100


def scrape(sender: Sender) -> tuple[float, bool]:
    """Seconds, and whether all of the record is counted."""
    begun = time.perf_counter()
    text = requests.get(f"{sender.url}/metrics", timeout=120).text
    seconds = time.perf_counter() - begun
    said = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return seconds, said["reconciler_ledger_counted_entry"] == said["reconciler_ledger_head_entry"]


def measured(folder: Path) -> None:
    """Both lines."""
    with serving(folder) as sender:
        first, whole = [], False
        while not whole:
            seconds, whole = scrape(sender)
            first.append(seconds)
        size = f"{directory.PEOPLE} people"
        tell("metrics, counting the whole record", size, first, scrapes=len(first), in_all=round(sum(first), 3))
        each = []
        for turn in range(SCRAPES):
            sender.post(*(moved(2 + n, 1 + turn * EACH + n) for n in range(EACH)))
            each.append(scrape(sender)[0])
        tell("metrics, a scrape", size, each)


def room() -> Iterator[Measurement]:
    """Scrapes."""
    with company_beside_directory() as (own, _):
        prepared(own)
        measured(own)
    yield from ()
