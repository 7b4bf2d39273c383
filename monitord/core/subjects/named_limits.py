"""Judgement of limits that are set for a service that PM2 has not: that they judge nothing is a finding."""

from collections.abc import Iterator

from monitord.core.history.model import History
from monitord.core.history.periodic import expected
from monitord.core.model import Alert, Finding, Judgement, Observation
from monitord.core.names import EVERYTHING, hint
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import RecoveryContext, Rule
from monitord.core.subjects.servers import UNMEASURED_RULE


def limited_services(orders: StandingOrders) -> dict[str, str]:
    """The services that limits of their own are set for, each with the setting that names it first."""
    found: dict[str, str] = {}
    for variable, names in (
        ("MONITORD_PM2__SERVICES", orders.service_by_name),
        ("MONITORD_PM2__LIMITS", orders.number_limits),
        ("MONITORD_ORDERS__SERVICE_MEMORY_BY_NAME", orders.service_memory_by_name),
        ("MONITORD_ORDERS__SERVICE_CPU_BY_NAME", orders.service_cpu_by_name),
    ):
        for name in names:
            if name != EVERYTHING:
                found.setdefault(name, variable)
    return found


def limits_of_nothing(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """Limits that judge nothing. While PM2 lists nothing at all, that is another finding."""
    limited = limited_services(orders)
    known = {name for name, service in history.services.items() if service.lives} if limited else ()
    if not known:
        return
    for name, variable in limited.items():
        if name in known or name in expected(history, orders):
            continue
        error = f"{variable} sets limits for it, and PM2 has no service of that name"
        yield _finding(name, error, f"Correct the name in {variable}, or take it out there{hint(name, known)}.")


def _finding(subject: str, error: str, recommendation: str) -> Finding:
    return Finding(
        UNMEASURED_RULE,
        subject,
        "warning",
        "missing",
        None,
        "",
        f"{subject} cannot be measured: {error}.",
        {"probe": "pm2", "kind": "missing", "error": error},
        recommendation,
    )


def _judged_now(alert: Alert, at: RecoveryContext) -> str:
    return f"No limit is set for {alert.subject} that judges nothing."


LIMITS_OF_NOTHING = Rule(
    UNMEASURED_RULE,
    "pm2",
    ("warning",),
    limits_of_nothing,
    absent="clear",
    roles=frozenset({"unmeasured"}),
    recovered=_judged_now,
)
