"""The catalogue of metrics: every name there is, what it means, and the labels of its samples.

Names follow Prometheus: base units, `_total` for what only rises, `_timestamp_seconds` for moments. Neither `instance`
nor `fleet` is among the labels: they say where something was scraped, and Prometheus adds them from its own list of
targets. `monitord_build_info` alone repeats them, so that a wrong list can be found out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, get_args

from monitord.core.model import Status
from monitord.core.status import FleetStatus, ProbeStatus
from monitord.core.subjects.base import MetricFamily, MetricGroup, metrics_of, seconds
from monitord.core.subjects.registry import registered


@dataclass(frozen=True, slots=True)
class Family:
    """One metric; a counter only rises while the process lives."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """None: not known. `sent` messages and `failed` tries are counted since the start."""

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

    version: str = ""
    instance: str = ""
    fleet: str = ""
    at: datetime | None = None
    cycle_seconds: float | None = None
    whole_age_seconds: float | None = None
    bus_connected: bool | None = None
    bus_dropped: int | None = None
    outbox: Mapping[str, ChannelFigures] = field(default_factory=dict)


# Those whose samples have labels of their own.
BUILD: Final = Family(
    "monitord_build_info", "Which monitord this is, and where it says it runs.", ("version", "host", "fleet")
)
DROPPED: Final = Family(
    "monitord_series_dropped", "Label values left out, since too many would be a burden.", ("family",)
)
FIRING: Final = Family("monitord_alert_firing", "1 for every alert that fires.", ("rule", "subject", "severity"))


_REPORT: Final[tuple[MetricFamily[FleetStatus], ...]] = (
    MetricFamily(
        "status",
        "1 for the status of the last cycle, 0 for the others.",
        lambda report: {word: word == report.status for word in get_args(Status)},
        by="status",
    ),
    MetricFamily(
        "alerts",
        "How many alerts are in a state.",
        lambda report: {"firing": len(report.alerts.firing), "suppressed": len(report.alerts.suppressed)},
        by="state",
    ),
)
_FACTS: Final = metrics_of(
    Facts,
    MetricFamily(
        "last_check_timestamp_seconds",
        "When the last cycle was judged.",
        lambda o: None if o.at is None else o.at.timestamp(),
    ),
    ("cycle_duration_seconds", "How long the last cycle took.", "cycle_seconds"),
    ("whole_cycle_age_seconds", "How long ago every probe ran in one cycle.", "whole_age_seconds"),
    ("bus_connected", "Whether PM2's bus is connected.", "bus_connected"),
    MetricFamily(
        "bus_dropped_events_total",
        "Events of PM2's bus that came too fast to be kept.",
        lambda o: o.bus_dropped,
        kind="counter",
    ),
)
_CHANNEL: Final = metrics_of(
    ChannelFigures,
    ("outbox_waiting", "Messages that wait to be sent, in quiet hours too.", "waiting"),
    (
        "outbox_oldest_age_seconds",
        "How long the oldest of those that are due has waited; absent where none is.",
        "oldest_age_seconds",
    ),
    MetricFamily("notifications_sent_total", "Messages that were accepted.", lambda o: o.sent, kind="counter"),
    MetricFamily("notifications_failed_total", "Tries that failed.", lambda o: o.failed, kind="counter"),
)
_PROBE: Final = metrics_of(
    ProbeStatus,
    MetricFamily("probe_up", "Whether a configured probe could measure.", lambda o: o.status == "ok"),
    MetricFamily("probe_duration_seconds", "How long a probe's last turn took.", lambda o: seconds(o.duration_ms)),
    MetricFamily(
        "probe_unmeasured_subjects",
        "What a probe could not measure of a server that answers.",
        lambda o: len(o.unmeasured) if o.status == "ok" else None,
    ),
)


def of_monitord(facts: Facts) -> tuple[MetricGroup[Any], ...]:
    return (
        MetricGroup(lambda report: {"": report}, _REPORT),
        MetricGroup(lambda _: {"": facts}, _FACTS),
        MetricGroup(lambda _: facts.outbox, _CHANNEL, "channel"),
        MetricGroup(lambda report: {name: o for name, o in report.probes.items() if _is_taken(o)}, _PROBE, "probe"),
    )


def _is_taken(probe: ProbeStatus) -> bool:
    return probe.status != "off" and probe.duration_ms is not None


def families() -> dict[str, Family]:
    own = of_monitord(Facts())
    groups = (*own, *(group for subject in registered() for group in subject.metrics))
    declared = (_declared(group, metric) for group in groups for metric in group.metrics)
    return {family.name: family for family in (BUILD, *declared, DROPPED, FIRING)}


def _declared(group: MetricGroup[Any], metric: MetricFamily[Any]) -> Family:
    labels = tuple(label for label in (group.label, metric.by) if label)
    return Family(f"monitord_{metric.name}", metric.help, labels, metric.kind)
