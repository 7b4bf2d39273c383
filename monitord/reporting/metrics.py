"""`/metrics`: the latest report in the text format of Prometheus, with a registry of its own for every scrape.

What could not be measured has no sample: a dashboard shows a gap, and no rule takes it for 0. A family shows at most
MOST label values, those that alerts fire for first; how many were left out is a metric too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar, get_args

from monitord.core.model import Status
from monitord.core.names import distinct
from monitord.core.status import FleetStatus
from monitord.core.subjects.base import MetricFamily, seconds
from monitord.core.subjects.registry import registered
from monitord.reporting.metric_families import families
from monitord.reporting.terminal import clean

if TYPE_CHECKING:
    from prometheus_client.core import Metric

T = TypeVar("T")
MOST: Final = 200
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """What one channel has to do. None: not known.

    `waiting` counts messages, `oldest_age_seconds` is how long the oldest of them has waited; `sent` messages and
    `failed` tries are counted since the start.
    """

    waiting: int | None = None
    oldest_age_seconds: float | None = None
    sent: int | None = None
    failed: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report does not say of monitord itself. None: not known, or there is no such thing.

    `at` is the `now` of the last cycle (aware), `cycle_seconds` how long it took, `whole_age_seconds` how long ago
    every probe ran in one cycle. `bus_dropped` counts since the start. `outbox` is by the name of a channel.
    """

    version: str
    instance: str
    fleet: str = ""
    at: datetime | None = None
    cycle_seconds: float | None = None
    whole_age_seconds: float | None = None
    bus_connected: bool | None = None
    bus_dropped: int | None = None
    outbox: Mapping[str, ChannelFigures] = field(default_factory=dict)


def exposition(report: FleetStatus, facts: Facts) -> tuple[bytes, str]:
    """The body of `/metrics` and its content type."""
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
    from prometheus_client.registry import CollectorRegistry

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(report, facts))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Collector:
    """One report's samples, by family."""

    def __init__(self, report: FleetStatus, facts: Facts) -> None:
        self._report, self._facts = report, facts
        self._families = families()
        self._samples: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in self._families}
        self._wanted = {label(alert.subject) for alert in report.alerts.firing}

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not check names that are all ours."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family that has a sample, in the order of the catalogue."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        self._of_itself()
        self._of_the_watch()
        self._of_alerts()
        self._of_subjects()
        for name, family in self._families.items():
            if samples := self._samples[name]:
                made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
                metric = made(name, family.help, labels=family.labels)
                for labels, value in samples.items():
                    metric.add_metric(labels, value)
                yield metric

    def _add(self, name: str, value: float | None, *labels: str) -> None:
        if value is not None and math.isfinite(value):
            self._samples[f"monitord_{name}"][labels] = float(value)

    def _shown(self, family: str, found: Mapping[str, T]) -> Iterator[tuple[str, T]]:
        """What there is room for, by its label: what alerts fire for, then what is not as expected, then by name.

        Names that are the same once cleaned are one, and only the first of them is shown.
        """
        ordered = sorted(found, key=lambda name: (label(name) not in self._wanted, _order(found[name]), name))
        shown: dict[str, T] = {}
        for name in ordered:
            if len(shown) == MOST:
                break
            shown.setdefault(label(name), found[name])
        self._add("series_dropped", len(found) - len(shown), family)
        yield from shown.items()

    def _of_itself(self) -> None:
        facts = self._facts
        self._add("build_info", 1, label(facts.version), label(facts.instance), label(facts.fleet))
        for status in get_args(Status):
            self._add("status", status == self._report.status, status)
        self._add("last_check_timestamp_seconds", None if facts.at is None else facts.at.timestamp())
        self._add("cycle_duration_seconds", facts.cycle_seconds)
        self._add("whole_cycle_age_seconds", facts.whole_age_seconds)

    def _of_the_watch(self) -> None:
        facts = self._facts
        self._add("bus_connected", facts.bus_connected)
        self._add("bus_dropped_events_total", facts.bus_dropped)
        for channel, out in self._shown("channel", facts.outbox):
            self._add("outbox_waiting", out.waiting, channel)
            self._add("outbox_oldest_age_seconds", out.oldest_age_seconds, channel)
            self._add("notifications_sent_total", out.sent, channel)
            self._add("notifications_failed_total", out.failed, channel)
        for probe, measured in self._shown("probe", self._report.probes):
            if measured.status != "off" and measured.duration_ms is not None:  # taken at least once
                self._add("probe_up", measured.status == "ok", probe)
                self._add("probe_duration_seconds", seconds(measured.duration_ms), probe)
                if measured.status == "ok":
                    self._add("probe_unmeasured_subjects", len(measured.unmeasured), probe)

    def _of_alerts(self) -> None:
        # The report has the critical ones first.
        firing = self._report.alerts.firing
        self._add("alerts", len(firing), "firing")
        self._add("alerts", len(self._report.alerts.suppressed), "suppressed")
        shown = {(label(a.rule), label(a.subject), label(a.severity)) for a in firing[:MOST]}
        for labels in sorted(shown):
            self._add("alert_firing", 1, *labels)
        self._add("series_dropped", len(firing) - len(shown), "alert")

    def _of_subjects(self) -> None:
        for subject in registered():
            for group in subject.metrics:
                found = group.find(self._report)
                for name, thing in self._shown(subject.member, found) if group.label and found else found.items():
                    self._of_thing(group.metrics, thing, (name,) if group.label else ())

    def _of_thing(self, metrics: Iterable[MetricFamily[T]], thing: T, labels: tuple[str, ...]) -> None:
        for metric in metrics:
            value = metric.value(thing)
            if isinstance(value, Mapping):
                for name, one in value.items():
                    self._add(metric.name, one, *labels, name)
            else:
                self._add(metric.name, value, *labels)


def label(value: object) -> str:
    """A label's value: on one line, without what could command a terminal, at most 200 characters."""
    text = clean(str(value))
    return text if len(text) <= _LONGEST else distinct(str(value), _LONGEST)


def _order(found: object) -> int:
    """What is not as expected before what is unknown, and that before the rest."""
    ok = getattr(found, "ok", True)
    return 0 if ok is False else 1 if ok is None else 2
