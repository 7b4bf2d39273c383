"""The rules, one line each: which probe's readings they judge, and what the end of a subject means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from monitord.core.history import History
from monitord.core.model import Alert, Finding
from monitord.core.orders import StandingOrders
from monitord.core.rules import (
    growth,
    host,
    identity,
    learned,
    monitor,
    redis,
    replica,
    sealing,
    served,
    servers,
    services,
    trends,
)
from monitord.core.rules.servers import Rule


@dataclass(frozen=True, slots=True)
class Spec:
    """One rule: a function of (Observation, History, StandingOrders) and when it applies.

    `judges_failure`: it also answers when the probe itself failed. `absent`: what it means that a subject with an
    alert is no longer judged: it is not watched any more, or what was wrong is gone. `of_server`: it is about the
    server itself, and judged while what is measured through it waits for the server's return to be confirmed.
    `over`: why an alert that a reading ends is over, where that is not that all is well ("": it is).
    `adopted_by_ack`: whoever acknowledges its alert says that what was found is right from now on. `outage`: it says
    that a server does not serve the fleet, because it is away, another one, or refuses.
    """

    name: str
    probe: str
    judge: Rule
    judges_failure: bool = False
    absent: Literal["not_watched", "clear"] = "not_watched"
    of_server: bool = False
    adopted_by_ack: bool = False
    outage: bool = False
    over: Callable[[Alert, History, StandingOrders], str] | None = None


# What explains comes before what it may explain: servers, the host, services, then what services do.
RULES: tuple[Spec, ...] = (
    Spec("host_memory_low", "host", host.host_memory_low),
    Spec("disk_high", "host", host.disk_high),
    Spec("disk_filling", "host", trends.disk_filling),
    Spec("pm2_empty", "pm2", servers.pm2_empty, of_server=True),
    Spec("pm2_unreachable", "pm2", servers.unreachable("pm2"), judges_failure=True, outage=True),
    *(
        Spec(rule, probe, served.refusing(probe), judges_failure=True, of_server=True, outage=True)
        for probe, rule in served.REFUSING.items()
    ),
    Spec("postgres_unreachable", "postgres", servers.unreachable("postgres"), judges_failure=True, outage=True),
    Spec("replica_lagging", "postgres", replica.replica_lagging),
    Spec("database_changed", "postgres", identity.database_changed, adopted_by_ack=True, outage=True),
    Spec("redis_unreachable", "redis", servers.unreachable("redis"), judges_failure=True, outage=True),
    Spec("service_missing", "pm2", services.service_missing),
    Spec("service_down", "pm2", services.service_down),
    Spec("service_overdue", "pm2", services.service_overdue),
    Spec("service_unexpected", "pm2", services.service_unexpected, absent="clear"),
    Spec("service_restart_loop", "pm2", services.service_restart_loop),
    Spec("service_unstable", "pm2", services.service_unstable),
    Spec("service_frozen", "pm2", services.service_frozen),
    Spec("service_memory_high", "pm2", services.service_memory_high),
    Spec("service_memory_leak", "pm2", trends.service_memory_leak),
    Spec("table_growth_high", "postgres", growth.table_growth_high),
    Spec("table_flow_stalled", "postgres", growth.table_flow_stalled),
    Spec("sealing_stuck", "epochs", sealing.sealing_stuck),
    Spec("sealing_late", "epochs", sealing.sealing_late),
    Spec("sealing_gap", "epochs", sealing.sealing_gap, over=sealing.gap_over),
    Spec("labels_unaligned", "epochs", sealing.labels_unaligned, over=sealing.unaligned_over),
    Spec("groups_out_of_sync", "epochs", sealing.groups_out_of_sync),
    Spec("sealing_slow", "epochs", learned.sealing_slow),
    Spec("sealing_incomplete", "epochs", learned.sealing_incomplete),
    Spec("channel_silent", "epochs", learned.channel_silent),
    Spec("redis_queue_backlog", "redis", redis.redis_queue_backlog),
    Spec("subject_unmeasured", "postgres", servers.unmeasured("postgres"), absent="clear"),
    Spec("subject_unmeasured", "redis", servers.unmeasured("redis"), absent="clear"),
    Spec("subject_unmeasured", "epochs", servers.unmeasured("epochs"), judges_failure=True, absent="clear"),
    Spec("subject_unmeasured", "host", servers.unmeasured("host"), judges_failure=True, absent="clear"),
    Spec("monitor_degraded", "monitord", monitor.monitor_degraded),
)

# A server that serves nobody, as each of these says.
OUTAGES: frozenset[str] = frozenset(spec.name for spec in RULES if spec.outage)

# Whoever acknowledges one of these adopts what it found.
ADOPTED: frozenset[str] = frozenset(spec.name for spec in RULES if spec.adopted_by_ack)

# The first says all that the second would say of the same subject, where `replaces` does not know better.
REPLACES: tuple[tuple[str, str], ...] = (
    ("pm2_empty", "pm2_unreachable"),
    ("service_missing", "service_down"),
    ("service_down", "service_restart_loop"),
    ("service_missing", "service_overdue"),
    ("service_down", "service_overdue"),
    ("sealing_stuck", "sealing_late"),
    ("sealing_stuck", "sealing_slow"),
    ("sealing_late", "sealing_slow"),
    ("disk_high", "disk_filling"),
    ("service_memory_high", "service_memory_leak"),
)


# Where the second is found no more because the first is, it is not over: the first takes its place.
SUCCEEDS: tuple[tuple[str, str], ...] = (
    ("postgres_full", "postgres_unreachable"),
    ("redis_not_writable", "redis_unreachable"),
    *(
        (gone, rule)
        for gone in ("service_missing", "service_down")
        for rule in ("service_frozen", "service_memory_high", "service_memory_leak", "service_restart_loop")
    ),
    ("sealing_gap", "sealing_slow"),
)

# Of these the first is the second's alert that goes on: it keeps its id and its beginning, and nothing ends.
CONTINUES: frozenset[tuple[str, str]] = frozenset({("pm2_empty", "pm2_unreachable")})


def replaces(stronger: Finding, weaker: Finding) -> bool:
    """Whether the first of two findings, whose rules REPLACES has in this order, leaves the second nothing to say.

    A loop is at its end when PM2 gives up; while it goes on, being down for a moment is what it consists of. What is
    critical is not replaced by a warning. A disk past its first limit fills on: it is full for good at the second.
    """
    if weaker.rule == "disk_filling":
        return stronger.severity == "critical"
    if weaker.rule != "service_restart_loop":
        return True
    return stronger.value == "errored" and (stronger.severity == "critical" or weaker.severity == "warning")
