"""`/metrics`: the latest report in the text format of Prometheus, with a registry of its own for every scrape.

What could not be measured has no sample: a dashboard shows a gap, and no rule takes it for 0. A family shows at most
MOST label values, those that alerts fire for first; how many were left out is a metric too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, get_args

from monitord.core.distinct import distinct
from monitord.core.model import Status
from monitord.core.status import FleetStatus
from monitord.reporting.metric_families import FAMILIES
from monitord.reporting.terminal import clean

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MOST: Final = 200
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """What one way out has to do. None: not known.

    `waiting` counts messages, `oldest_age_seconds` is how long the oldest of them has waited; `sent` messages and
    `failed` tries are counted since the start.
    """

    waiting: int | None = None
    oldest_age_seconds: float | None = None
    sent: int | None = None
    failed: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report does not say of the watch itself. None: not known, or there is no such thing.

    `at` is the `now` of the last cycle (aware), `cycle_seconds` how long it took, `whole_age_seconds` how long ago
    every probe was taken in one cycle. `bus_dropped` counts since the start. `outbox` is by the name of a way out.
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
        self._samples: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in FAMILIES}
        self._wanted = {label(alert["subject"]) for alert in report.alerts.get("firing", ())}

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not check names that are all ours."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family that has a sample, in the order of the catalogue."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        self._of_itself()
        self._of_the_watch()
        self._of_alerts()
        self._of_services()
        self._of_postgres()
        self._of_epochs()
        self._of_redis()
        self._of_the_host()
        for name, family in FAMILIES.items():
            if samples := self._samples[name]:
                made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
                metric = made(name, family.help, labels=family.labels)
                for labels, value in samples.items():
                    metric.add_metric(labels, value)
                yield metric

    def _add(self, name: str, value: float | None, *labels: str) -> None:
        if value is not None and math.isfinite(value):
            self._samples[f"monitord_{name}"][labels] = float(value)

    def _shown(self, family: str, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """What there is room for, by its label: what alerts fire for, then what is not as ordered, then by name.

        Names that are the same once cleaned cannot be told apart, and only the first of them is shown.
        """
        ordered = sorted(found, key=lambda name: (label(name) not in self._wanted, _order(found[name]), name))
        shown: dict[str, Any] = {}
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
            if measured["status"] != "off" and measured["duration_ms"] is not None:  # taken at least once
                self._add("probe_up", measured["status"] == "ok", probe)
                self._add("probe_duration_seconds", _seconds(measured["duration_ms"]), probe)
                if measured["status"] == "ok":
                    self._add("probe_unmeasured_subjects", len(measured.get("unmeasured", ())), probe)

    def _of_alerts(self) -> None:
        for state, alerts in self._report.alerts.items():
            self._add("alerts", len(alerts), state)
        # The report has the critical ones first.
        firing = self._report.alerts.get("firing", ())
        shown = {(label(a["rule"]), label(a["subject"]), label(a["severity"])) for a in firing[:MOST]}
        for labels in sorted(shown):
            self._add("alert_firing", 1, *labels)
        self._add("series_dropped", len(firing) - len(shown), "alert")

    def _of_services(self) -> None:
        services = self._report.services
        if self._report.probes.get("pm2", {}).get("status") == "off":
            return
        for word, ok in (("true", True), ("false", False), ("unknown", None)):
            self._add("services", sum(service["ok"] is ok for service in services.values()), word)
        for name, service in self._shown("service", services):
            state, cpu = service["state"], service["cpu_percent"]
            self._add("service_up", None if state is None else state == "online", name)
            self._add("service_as_ordered", service["ok"], name)
            self._add("service_memory_bytes", service["memory_bytes"], name)
            self._add("service_cpu_ratio", _ratio(cpu), name)
            self._add("service_uptime_seconds", service["uptime_seconds"], name)
            self._add("service_restarts_recent", service["restarts_recent"], name)

    def _of_postgres(self) -> None:
        database, growth = self._report.database, self._report.growth
        sizes = {one["table"]: {"total_bytes": one["bytes"]} for one in database["largest_tables"] or ()}
        for name, table in self._shown("table", sizes | growth):
            self._add("table_rows", table.get("rows"), name)
            self._add("table_rows_per_hour", table.get("rows_per_hour"), name)
            self._add("table_size_bytes", table["total_bytes"], name)
        self._add("database_size_bytes", database["bytes"])
        self._add("database_connections", database["connections"])
        self._add("database_response_seconds", _seconds(database["response_ms"]))

    def _of_epochs(self) -> None:
        if not self._report.epochs:
            return
        for name, group in self._shown("group", self._report.epochs):
            missed = group["missed"]
            self._add("epoch_label_timestamp_seconds", group["latest"], name)
            self._add("epoch_expected_label_timestamp_seconds", group["expected"], name)
            self._add("epoch_seal_age_seconds", group["seal_age_seconds"], name)
            self._add("epoch_missed_labels", None if missed is None else len(missed), name)
            self._add("epoch_channels_sealed", group["channels_sealed"], name)

    def _of_redis(self) -> None:
        redis = self._report.redis
        self._add("redis_keys", redis["keys"])
        self._add("redis_latency_seconds", _seconds(redis["latency_ms"]))
        self._add("redis_memory_bytes", redis["memory_bytes"])
        self._add("redis_evicted_keys_total", redis["evicted"])
        for name, queue in self._shown("queue", redis["queues"]):
            for state, jobs in queue.items():
                self._add("queue_jobs", jobs, name, state)

    def _of_the_host(self) -> None:
        host = self._report.host
        for path, disk in self._shown("disk", host["disks"]):
            self._add("disk_used_ratio", _ratio(disk["used_percent"]), path)
            self._add("disk_free_bytes", disk["free_bytes"], path)
            self._add("disk_inodes_used_ratio", _ratio(disk.get("inodes_used_percent")), path)
        self._add("host_memory_available_bytes", host["memory_available_bytes"])
        self._add("host_swap_used_ratio", _ratio(host["swap_percent"]))
        for minutes, load in zip(("1", "5", "15"), host["load"] or (), strict=False):
            self._add("host_load", load, minutes)


def label(value: object) -> str:
    """A label's value: on one line, without what could command a terminal, at most 200 characters."""
    text = clean(str(value))
    return text if len(text) <= _LONGEST else distinct(str(value), _LONGEST)


def _order(found: object) -> int:
    """What is not as ordered before what cannot be told, and that before the rest."""
    ok = found.get("ok", True) if isinstance(found, dict) else True
    return 0 if ok is False else 1 if ok is None else 2


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else round(percent / 100, 6)
