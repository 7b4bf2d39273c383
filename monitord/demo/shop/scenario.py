"""The faults of the shop's tour as data: what is broken and how, and what monitord may say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitord.demo.scenario import OWNERS_MACHINE, fault, service_fault, stopped

if TYPE_CHECKING:
    from monitord.demo.stack import Stack

API, WEB, TRACKER, IMPORT, MAIL, PRICES = "shop-api", "web", "tracker", "order-import", "mail_worker 2", "price-sync"

# What the tour of the shop orders beyond its settings.
TOUR: Final = {"MONITORD_CHECK_INTERVAL": "1s", "MONITORD_ORDERS__GROWTH_STEADY": "1000000", **OWNERS_MACHINE}


async def _free(stack: Stack) -> None:
    """Its numbers are of its whole life, and stay high for minutes: it begins a new one."""
    stack.faults.clear("block", WEB)
    await stack.pm2("restart", WEB)


FAULTS: Final = (
    fault("service", f"stopped {API}", f"started {API}", 14, stopped(API), ("service_down", API)),
    fault(
        "api", f"let {API} answer 500", f"let {API} answer", 14, service_fault("error", API), ("endpoint_down", "api")
    ),
    fault(
        "orders",
        "held the import of orders",
        "let it import",
        40,
        service_fault("hold", IMPORT),
        ("table_flow_stalled", "orders"),
    ),
    fault(
        "checkin",
        f"let {PRICES} report nothing",
        "let it report",
        30,
        service_fault("hold", PRICES),
        ("checkin_missed", "prices"),
    ),
    fault(
        "loop",
        f"blocked {WEB}'s event loop",
        "freed and restarted it",
        70,
        (service_fault("block", WEB)[0], _free),
        ("event_loop_blocked", WEB),
    ),
    fault(
        "queue", "let every mail fail", "let mails go out", 40, service_fault("fail", MAIL), ("queue_failing", "emails")
    ),
)
