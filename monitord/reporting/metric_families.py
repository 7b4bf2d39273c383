"""The catalogue of metrics: every name there is, what it means, and the labels of its samples.

Names follow Prometheus: base units, `_total` for what only rises, `_timestamp_seconds` for moments. Neither `instance`
nor `fleet` is among the labels: they say where something was scraped, and Prometheus adds them from its own list of
targets. `monitord_build_info` alone repeats them, so that a wrong list can be found out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from monitord.core.subjects.registry import registered


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, its help line, its labels, and whether it only ever rises while the process lives."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


_OF_MONITORD: Final = (
    # What monitord reports of itself.
    Family("monitord_build_info", "Which monitord this is, and where it says it runs.", ("version", "host", "fleet")),
    Family("monitord_status", "1 for the status of the last cycle, 0 for the others.", ("status",)),
    Family("monitord_last_check_timestamp_seconds", "When the last cycle was judged."),
    Family("monitord_cycle_duration_seconds", "How long the last cycle took."),
    Family("monitord_whole_cycle_age_seconds", "How long ago every probe ran in one cycle."),
    Family("monitord_probe_up", "Whether a configured probe could measure.", ("probe",)),
    Family("monitord_probe_duration_seconds", "How long a probe's last turn took.", ("probe",)),
    Family(
        "monitord_probe_unmeasured_subjects", "What a probe could not measure of a server that answers.", ("probe",)
    ),
    Family("monitord_bus_connected", "Whether PM2's bus is connected."),
    Family("monitord_bus_dropped_events_total", "Events of PM2's bus that came too fast to be kept.", (), "counter"),
    Family("monitord_outbox_waiting", "Messages that wait to be sent, in quiet hours too.", ("channel",)),
    Family(
        "monitord_outbox_oldest_age_seconds",
        "How long the oldest of those that are due has waited; absent where none is.",
        ("channel",),
    ),
    Family("monitord_notifications_sent_total", "Messages that were accepted.", ("channel",), "counter"),
    Family("monitord_notifications_failed_total", "Tries that failed.", ("channel",), "counter"),
    Family("monitord_series_dropped", "Label values left out, since too many would be a burden.", ("family",)),
    # What it judges.
    Family("monitord_alert_firing", "1 for every alert that fires.", ("rule", "subject", "severity")),
    Family("monitord_alerts", "How many alerts are in a state.", ("state",)),
)


def families() -> dict[str, Family]:
    """Every metric by its name: monitord's own, then those of each subject."""
    return {family.name: family for family in (*_OF_MONITORD, *_of_subjects())}


def _of_subjects() -> Iterator[Family]:
    for subject in registered():
        for group in subject.metrics:
            for metric in group.metrics:
                labels = tuple(label for label in (group.label, metric.by) if label)
                yield Family(f"monitord_{metric.name}", metric.help, labels, metric.kind)
