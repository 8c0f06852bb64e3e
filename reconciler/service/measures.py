"""What this process measures of its own work: requests, events, passes. What the record says is counted elsewhere.

Whoever measures something more makes it here, on `registry`, as an attribute with a method that says what happened:
`metrics` shows whatever is registered. Names begin with ``reconciler_``, units are Prometheus' own (seconds, totals),
and a label's values are words of the code or the workspace file: never a person, never what somebody sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics

__all__ = ["Measures"]

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a series began says its first sample; it would double their number

PASSES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
REQUESTS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


class Measures:
    """One for a process. Called from several threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._requests = Histogram(
            "reconciler_http_request_duration_seconds",
            "How long requests took to be answered, by route and status.",
            ["method", "route", "status"],
            buckets=REQUESTS,
            registry=self.registry,
        )
        self._events = Counter(
            "reconciler_events",
            "Events that webhooks sent, by what became of them.",
            ["webhook", "outcome"],
            registry=self.registry,
        )
        self._passes = Histogram(
            "reconciler_pass_duration_seconds",
            "How long passes took: for one person, or whole.",
            ["kind", "outcome"],
            buckets=PASSES,
            registry=self.registry,
        )
        self._failures = Counter(
            "reconciler_target_failures",
            "Passes of this process in which a target could not be read.",
            ["target"],
            registry=self.registry,
        )
        self._clock_steps = Counter(
            "reconciler_clock_set_back", "How often the clock was behind itself.", registry=self.registry
        )
        self._errors = Counter(
            "reconciler_errors",
            "What broke a pass off, or kept the loop from the record, by its code; `defect`: a fault of this program.",
            ["where", "code"],
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)

    def expects(self, targets: Iterable[str], webhooks: Iterable[str], outcomes: Iterable[str]) -> None:
        """What may come to be counted begins at 0, so that the first one shows."""
        for target in targets:
            self._failures.labels(target)
        for webhook in webhooks:
            for outcome in outcomes:
                self._events.labels(webhook, outcome)
        for where in ("pass", "record"):
            self._errors.labels(where, "defect")

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is the pattern that it fitted, blank where there is none."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def took_events(self, webhook: str, outcomes: Mapping[str, int]) -> None:
        """A webhook sent events, of which so many came to each of these."""
        for outcome, count in outcomes.items():
            self._events.labels(webhook, outcome).inc(count)

    def broke_off(self, where: str, code: str) -> None:
        """A pass, or a look at the record, came to no end."""
        self._errors.labels(where, code).inc()

    def set_back(self) -> None:
        """The clock was behind itself."""
        self._clock_steps.inc()

    def passed(self, kind: str, seconds: float, *, well: bool, unread: Iterable[str]) -> None:
        """A pass has ended: `person` or `whole`; these targets could not be read."""
        self._passes.labels(kind, "well" if well else "failed").observe(seconds)
        for target in unread:
            self._failures.labels(target).inc()
