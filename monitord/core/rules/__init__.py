"""Every rule, in the order of causation, and how one speaks in place of another."""

from __future__ import annotations

from collections.abc import Mapping

from monitord.core.model import Finding
from monitord.core.rules import epochs, growth, host, learned, monitor, pm2, postgres, redis, sealing, services
from monitord.core.rules.base import Rule
from monitord.core.rules.identity import DATABASE_CHANGED
from monitord.core.rules.replica import REPLICA_LAGGING

# What explains comes before what it may explain: the host, servers, services, then what services do.
RULES: tuple[Rule, ...] = (
    *host.RULES,
    *pm2.RULES,
    postgres.POSTGRES_FULL,
    redis.REDIS_NOT_WRITABLE,
    postgres.POSTGRES_UNREACHABLE,
    REPLICA_LAGGING,
    DATABASE_CHANGED,
    redis.REDIS_UNREACHABLE,
    *services.RULES,
    *growth.RULES,
    *sealing.RULES,
    *learned.RULES,
    redis.REDIS_QUEUE_BACKLOG,
    postgres.UNMEASURED,
    redis.UNMEASURED,
    epochs.UNMEASURED,
    host.UNMEASURED,
    monitor.MONITOR_DEGRADED,
)

# Of a rule that judges several probes' readings, the first: what is said of it is the same for all.
BY_NAME: Mapping[str, Rule] = {rule.name: rule for rule in reversed(RULES)}


def declared(name: str) -> Rule:
    """The rule of this name; one of which nothing is known where a snapshot holds alerts of a rule that is no more."""
    return BY_NAME.get(name) or Rule(name, "", ())


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
