"""`/metrics`: the latest report in the text format of Prometheus, with a registry of its own for every scrape.

What could not be measured has no sample: a dashboard shows a gap, and no rule takes it for 0. A family shows at most
MOST label values, those that alerts fire for first; how many were left out is a metric too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from monitord.core.names import distinct
from monitord.core.status import FleetStatus
from monitord.core.subjects.base import MetricFamily, MetricGroup
from monitord.core.subjects.registry import registered
from monitord.reporting.metric_families import BUILD, DROPPED, FIRING, Facts, families, of_monitord
from monitord.reporting.terminal import clean

if TYPE_CHECKING:
    from prometheus_client.core import Metric

T = TypeVar("T")
MOST: Final = 200
_LONGEST: Final = 200


def exposition(report: FleetStatus, facts: Facts) -> tuple[bytes, str]:
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
    from prometheus_client.registry import CollectorRegistry

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(report, facts))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Collector:
    def __init__(self, report: FleetStatus, facts: Facts) -> None:
        self._report, self._facts = report, facts
        self._families = families()
        self._samples: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in self._families}
        self._wanted = {label(alert.subject) for alert in report.alerts.firing}

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not check names that are all ours."""
        return ()

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        facts = self._facts
        self._add(BUILD.name, 1, label(facts.version), label(facts.instance), label(facts.fleet))
        self._of_groups("", of_monitord(facts))
        self._of_alerts()
        for subject in registered():
            self._of_groups(subject.member, subject.metrics)
        for name, family in self._families.items():
            if samples := self._samples[name]:
                made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
                metric = made(name, family.help, labels=family.labels)
                for labels, value in samples.items():
                    metric.add_metric(labels, value)
                yield metric

    def _add(self, name: str, value: float | None, *labels: str) -> None:
        if value is not None and math.isfinite(value):
            self._samples[name][labels] = float(value)

    def _shown(self, family: str, found: Mapping[str, T]) -> Iterator[tuple[str, T]]:
        """What alerts fire for, then what is not as expected, then by name; of one label the first."""
        ordered = sorted(found, key=lambda name: (label(name) not in self._wanted, _order(found[name]), name))
        shown: dict[str, T] = {}
        for name in ordered:
            if len(shown) == MOST:
                break
            shown.setdefault(label(name), found[name])
        self._add(DROPPED.name, len(found) - len(shown), family)
        yield from shown.items()

    def _of_alerts(self) -> None:
        # The report has the critical ones first.
        firing = self._report.alerts.firing
        shown = {(label(a.rule), label(a.subject), label(a.severity)) for a in firing[:MOST]}
        for labels in sorted(shown):
            self._add(FIRING.name, 1, *labels)
        self._add(DROPPED.name, len(firing) - len(shown), "alert")

    def _of_groups(self, member: str, groups: Iterable[MetricGroup[Any]]) -> None:
        for group in groups:
            found = group.find(self._report)
            for name, thing in self._shown(member or group.label, found) if group.label and found else found.items():
                self._of_thing(group.metrics, thing, (name,) if group.label else ())

    def _of_thing(self, metrics: Iterable[MetricFamily[T]], thing: T, labels: tuple[str, ...]) -> None:
        for metric in metrics:
            value = metric.value(thing)
            if isinstance(value, Mapping):
                for name, one in value.items():
                    self._add(f"monitord_{metric.name}", one, *labels, name)
            else:
                self._add(f"monitord_{metric.name}", value, *labels)


def label(value: object) -> str:
    """On one line, without what could command a terminal, at most 200 characters."""
    text = clean(str(value))
    return text if len(text) <= _LONGEST else distinct(str(value), _LONGEST)


def _order(found: object) -> int:
    """What is not as expected before what is unknown, and that before the rest."""
    ok = getattr(found, "ok", True)
    return 0 if ok is False else 1 if ok is None else 2
