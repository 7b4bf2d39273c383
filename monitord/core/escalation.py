"""The text that is handed on when an issue goes to somebody else, as operators write it by hand: filled in.

Severity, component, issue, duration, and the impact: where epochs are watched, what it does to collection, to sealing
and to claims. Where the rule does not say, the impact is told as not known, never as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from monitord.core import causes, words
from monitord.core.model import Alert, Severity
from monitord.core.orders import StandingOrders

NONE: Final = "none known"
UNKNOWN: Final = "not known while it lasts"
_PLAIN: Final = {
    "table_growth_high": "more rows than usual; the disk fills faster",
    "postgres_unreachable": "nothing can be read from the database or stored in it",
    "redis_unreachable": "nothing can be queued",
    "redis_queue_backlog": "jobs wait",
    "disk_high": "what writes to this disk stops when it is full",
    "disk_filling": "what writes to this disk stops when it is full",
    "host_memory_low": "at risk: the kernel may end any process",
}


def escalation(
    alert: Alert,
    orders: StandingOrders,
    now: datetime,
    ended: datetime | None = None,
    severity: Severity | None = None,
) -> str:
    """A line a field. `ended` is when it was over; None while it lasts. `severity`: the worst it came to."""
    lasted = words.duration(max(0.0, ((ended or now) - alert.since).total_seconds()))
    since = alert.since.strftime("%Y-%m-%d %H:%M UTC")
    fields = (
        ("Severity", severity or alert.severity),
        ("Component", _component(alert)),
        ("Issue", alert.finding.summary),
        ("Duration", f"{lasted} (since {since}, {'over' if ended else 'ongoing'})"),
        *impact(alert, orders),
    )
    return "\n".join(f"{name}: {value}" for name, value in fields)


def impact(alert: Alert, orders: StandingOrders) -> tuple[tuple[str, str], ...]:
    """What an alert means for the fleet's work: what is affected, and a phrase for each."""
    if not orders.groups:
        return (("Impact", _plainly(alert, orders)),)
    names = ("Impact on collection", "Impact on sealing", "Impact on claims")
    return tuple(zip(names, _on_sealing(alert, orders), strict=True))


def _plainly(alert: Alert, orders: StandingOrders) -> str:
    """The impact in a fleet of which nothing is known but what the orders declare."""
    rule, subject = alert.rule, alert.subject
    if rule in causes.DEAD:
        tables = list(causes.fed(subject, orders))
        lacks = "may be missing in part: others of its instances live" if _in_part(alert) else "is missing"
        brings = [f"what {subject} brings into {words.listed(tables)} {lacks}"] if tables else []
        faces = ["people cannot reach it"] if _faces(subject, orders) else []
        queues = list(causes.worked_off(subject, orders))
        waits = [f"jobs of {words.listed(queues)} wait"] if queues else []
        return "; ".join([*brings, *waits, *faces]) or UNKNOWN
    if rule == "service_unstable":
        return f"{subject} is away for a moment each time, and loses what it was at"
    if rule == "service_overdue":
        return f"what {subject} does in its runs is not done"
    if rule in ("service_memory_high", "service_memory_leak"):
        return f"{subject} is at risk of being ended for its memory"
    if rule in causes.FLOW:
        return f"what should come into {subject} is missing"
    return _PLAIN.get(rule, UNKNOWN)  # pm2_unreachable, monitor_degraded, what cannot be measured


def _on_sealing(alert: Alert, orders: StandingOrders) -> tuple[str, str, str]:
    """The impact on collection, sealing and claims."""
    rule, subject = alert.rule, alert.subject
    if rule in causes.DEAD or rule in ("service_overdue", "service_unstable"):
        return _of_part(subject, orders) if _in_part(alert) else _of_dead(subject, orders)
    if rule in ("service_memory_high", "service_memory_leak"):
        return NONE, NONE, "at risk when the process is ended for its memory" if _faces(subject, orders) else NONE
    if rule in causes.SEALING:
        group = subject if rule != "groups_out_of_sync" else "the group that is behind"
        return (
            NONE,
            f"epochs of {group} are unsealed or incomplete",
            f"what is not sealed for {group} cannot be claimed",
        )
    if rule == "labels_unaligned":
        return (
            NONE,
            f"seals of {subject} carry labels that nobody looks for",
            "what carries such a label may not be claimed",
        )
    if rule in causes.FLOW:
        return "signals are not collected", "epochs will hold fewer participants, or none", NONE
    if rule == "table_growth_high":
        return "more rows than usual; the disk fills faster", NONE, NONE
    if rule == "postgres_unreachable":
        return "signals cannot be stored", "epochs cannot be sealed", "proofs cannot be read"
    if rule == "replica_lagging":
        return "not known since", "not known since", UNKNOWN
    if rule == "database_changed":
        return "may be stored in the wrong database", "may be sealed in the wrong database", UNKNOWN
    if rule == "redis_unreachable":
        return NONE, "trees cannot be queued", UNKNOWN
    if rule == "redis_queue_backlog":
        return NONE, "trees are built late", "claims of the newest epochs wait"
    if rule in ("disk_high", "disk_filling"):
        return "stops when the disk is full", "stops when the disk is full", NONE
    if rule == "host_memory_low":
        same = "at risk: the kernel may end any process"
        return same, same, same
    return UNKNOWN, UNKNOWN, UNKNOWN  # pm2_unreachable, monitor_degraded, what cannot be measured


def _in_part(alert: Alert) -> bool:
    """Whether others of a service's instances live."""
    instances = alert.finding.evidence.get("instances")
    return alert.rule == "service_down" and isinstance(instances, Mapping) and "online" in instances.values()


def _of_part(service: str, orders: StandingOrders) -> tuple[str, str, str]:
    late = "at most slower: others of its instances live"
    return (
        late if causes.fed(service, orders) else NONE,
        late if causes.sealed(service, orders) else NONE,
        late if _faces(service, orders) or causes.builds_trees(service, orders) else NONE,
    )


def _of_dead(service: str, orders: StandingOrders) -> tuple[str, str, str]:
    collects, seals = causes.fed(service, orders), causes.sealed(service, orders)
    claims = {
        "people cannot reach it": _faces(service, orders),
        "what is not sealed cannot be claimed": bool(seals),
        "trees are not built and nothing new is published: what is sealed meanwhile cannot be claimed yet": (
            causes.builds_trees(service, orders)
        ),
    }
    return (
        f"what {service} collects is missing" if collects else NONE,
        "epochs are not sealed without it" if seals else NONE,
        next((impact for impact, so in claims.items() if so), NONE),
    )


def _faces(service: str, orders: StandingOrders) -> bool:
    return service in orders.user_facing


# What is looked at through a probe, and what the servers and the rest are called.
_KINDS: Final = {"pm2": "service", "postgres": "table", "epochs": "token group", "redis": "queue", "host": "disk"}
_NAMES: Final = {
    "pm2": "PM2",
    "postgres": "Postgres",
    "redis": "Redis",
    "epochs": "epoch sealing",
    "host": "the host",
    "monitord": "monitord",
}


def _component(alert: Alert) -> str:
    return _NAMES.get(alert.subject) or f"{_KINDS.get(alert.probe, '')} {alert.subject}".strip()
