"""The catalogue of metrics: every name there is, what it means, and what tells its samples apart.

Names follow Prometheus: base units, `_total` for what only rises, `_timestamp_seconds` for moments. Neither `instance`
nor `fleet` is among the labels: they say where something was scraped, and Prometheus adds them from its own list of
targets. `monitord_build_info` alone repeats them, so that a wrong list can be found out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, its help line, its labels, and whether it only ever rises while the process lives."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


_ALL: Final = (
    # What monitord says of itself.
    Family("monitord_build_info", "Which monitord this is, and where it says it runs.", ("version", "host", "fleet")),
    Family("monitord_status", "1 for the status of the last cycle, 0 for the others.", ("status",)),
    Family("monitord_last_check_timestamp_seconds", "When the last cycle was judged."),
    Family("monitord_cycle_duration_seconds", "How long the last cycle took."),
    Family("monitord_whole_cycle_age_seconds", "How long ago every probe was taken in one cycle."),
    Family("monitord_probe_up", "Whether a configured probe could measure.", ("probe",)),
    Family("monitord_probe_duration_seconds", "How long a probe's last turn took.", ("probe",)),
    Family(
        "monitord_probe_unmeasured_subjects", "What a probe could not measure of a server that answers.", ("probe",)
    ),
    Family("monitord_bus_connected", "Whether PM2's bus is heard."),
    Family("monitord_bus_dropped_events_total", "Events of PM2's bus that came too fast to be kept.", (), "counter"),
    Family("monitord_outbox_waiting", "Messages that wait to be told, in quiet hours too.", ("channel",)),
    Family(
        "monitord_outbox_oldest_age_seconds",
        "How long the oldest of those that are due has waited; absent where none is.",
        ("channel",),
    ),
    Family("monitord_notifications_sent_total", "Messages that were taken.", ("channel",), "counter"),
    Family("monitord_notifications_failed_total", "Tries that failed.", ("channel",), "counter"),
    Family("monitord_series_dropped", "Label values left out, since too many would be a burden.", ("family",)),
    # What it judges.
    Family("monitord_alert_firing", "1 for every alert that fires.", ("rule", "subject", "severity")),
    Family("monitord_alerts", "How many alerts are in a state.", ("state",)),
    # What it measures.
    Family("monitord_services", "How many services are as ordered, are not, and cannot be told.", ("as_ordered",)),
    Family("monitord_service_up", "Whether a service is online.", ("service",)),
    Family("monitord_service_as_ordered", "Whether a service is as the standing orders want it.", ("service",)),
    Family("monitord_service_memory_bytes", "Memory of a service's biggest instance.", ("service",)),
    Family("monitord_service_cpu_ratio", "CPU of all instances of a service; 1 is one core.", ("service",)),
    Family("monitord_service_uptime_seconds", "How long a service's youngest instance has been online.", ("service",)),
    Family("monitord_service_restarts_recent", "Automatic restarts within RESTARTS_WINDOW.", ("service",)),
    Family("monitord_table_rows", "Rows of a watched table, as Postgres estimates them.", ("table",)),
    Family("monitord_table_rows_per_hour", "Growth of a watched table over GROWTH_WINDOW.", ("table",)),
    Family("monitord_table_size_bytes", "Size of a table with its indexes.", ("table",)),
    Family("monitord_database_size_bytes", "Size of the whole database."),
    Family("monitord_database_connections", "Connections to the database."),
    Family("monitord_database_response_seconds", "How long Postgres took to answer."),
    Family("monitord_epoch_label_timestamp_seconds", "The newest sealed label of a group.", ("group",)),
    Family("monitord_epoch_expected_label_timestamp_seconds", "The newest label that is due.", ("group",)),
    Family("monitord_epoch_seal_age_seconds", "How long ago the newest sealed label of a group ended.", ("group",)),
    Family("monitord_epoch_missed_labels", "Labels that are due and absent.", ("group",)),
    Family("monitord_epoch_channels_sealed", "Channels sealed for the newest label of a group.", ("group",)),
    Family("monitord_redis_keys", "Keys in Redis."),
    Family("monitord_redis_latency_seconds", "How long Redis took to answer."),
    Family("monitord_redis_memory_bytes", "Memory that Redis uses."),
    Family("monitord_redis_evicted_keys_total", "Keys that Redis gave up for want of memory.", (), "counter"),
    Family("monitord_queue_jobs", "Jobs of a queue by state.", ("queue", "state")),
    Family("monitord_disk_used_ratio", "How full a file system is.", ("path",)),
    Family("monitord_disk_free_bytes", "What is free on a file system.", ("path",)),
    Family("monitord_disk_inodes_used_ratio", "How many of a file system's inodes are used.", ("path",)),
    Family("monitord_host_memory_available_bytes", "Memory the host has available."),
    Family("monitord_host_swap_used_ratio", "How much of the swap is in use."),
    Family("monitord_host_load", "Load average over 1, 5 and 15 minutes.", ("minutes",)),
)
FAMILIES: Final = {family.name: family for family in _ALL}
