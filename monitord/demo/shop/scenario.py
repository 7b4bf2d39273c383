"""The faults of the shop's tour as data: what is broken and how, and what monitord may say of it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from monitord.demo.apps.faults import Fault as ServiceFault
from monitord.demo.scenario import Fault, Hand

if TYPE_CHECKING:
    from monitord.demo.stack import Stack

API, WEB, TRACKER, IMPORT, MAIL, PRICES = "shop-api", "web", "tracker", "order-import", "mail_worker 2", "price-sync"

TOUR: Final = {
    "MONITORD_CHECK_INTERVAL": "1s",
    "MONITORD_ORDERS__GROWTH_STEADY": "1000000",
    # The machine is its owner's: its disk and memory are shown and not judged.
    "MONITORD_ORDERS__DISK_WARNING": "100%",
    "MONITORD_ORDERS__DISK_CRITICAL": "100%",
    "MONITORD_ORDERS__HOST_MEMORY": "0B",
}
"""What the tour of the shop orders beyond its settings."""


def _service_fault(fault: ServiceFault, service: str) -> tuple[Hand, Hand]:
    """How a service gets a fault, and loses it."""

    async def breaks(stack: Stack) -> None:
        stack.faults.set(fault, service)

    async def mends(stack: Stack) -> None:
        stack.faults.clear(fault, service)

    return breaks, mends


async def _free(stack: Stack) -> None:
    """Its numbers are of its whole life, and stay high for minutes: it begins a new one."""
    stack.faults.clear("block", WEB)
    await stack.pm2("restart", WEB)


def _pm2(command: str) -> Hand:
    def hand(stack: Stack) -> Awaitable[object]:
        return stack.pm2(command, API)

    return hand


def _fault(
    name: str, broke: str, mended: str, expected: tuple[str, str], seconds: float, hands: tuple[Hand, Hand]
) -> Fault:
    return Fault(name, broke, mended, frozenset({expected}), seconds, *hands)


FAULTS: Final = (
    _fault("service", f"stopped {API}", f"started {API}", ("service_down", API), 14, (_pm2("stop"), _pm2("start"))),
    _fault(
        "api", f"let {API} answer 500", f"let {API} answer", ("endpoint_down", "api"), 14, _service_fault("error", API)
    ),
    _fault(
        "orders",
        "held the import of orders",
        "let it import",
        ("table_flow_stalled", "orders"),
        40,
        _service_fault("hold", IMPORT),
    ),
    _fault(
        "checkin",
        f"let {PRICES} report nothing",
        "let it report",
        ("checkin_missed", "prices"),
        30,
        _service_fault("hold", PRICES),
    ),
    _fault(
        "loop",
        f"blocked {WEB}'s event loop",
        "freed and restarted it",
        ("event_loop_blocked", WEB),
        70,
        (_service_fault("block", WEB)[0], _free),
    ),
    _fault(
        "queue",
        "let every mail fail",
        "let mails go out",
        ("queue_failing", "emails"),
        40,
        _service_fault("fail", MAIL),
    ),
)
