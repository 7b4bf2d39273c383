"""The faults of the tour as data: what is broken and how, what monitord may say of it, how long it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitord.demo.apps.faults import Fault as ServiceFault

if TYPE_CHECKING:
    from monitord.demo.stack import Stack
    from monitord.testing.servers.base import EmbeddedServer

# What is done to the stack; it returns when it is done.
Hand = Callable[["Stack"], Awaitable[object]]
CRASHER = PUBLISHER = "tree-builder"
LISTENER = "stream-listener"
UNSEALED = "MILO"
FLOOD_ROWS = 40_000

# The machine is its owner's: its disk and memory are shown and not judged.
OWNERS_MACHINE = {
    "MONITORD_ORDERS__DISK_WARNING": "100%",
    "MONITORD_ORDERS__DISK_CRITICAL": "100%",
    "MONITORD_ORDERS__HOST_MEMORY": "0B",
}
SETTINGS = {
    "MONITORD_CHECK_INTERVAL": "1s",
    # Each fault gives its own alert and clears within seconds: the windows are a little longer than an epoch.
    "MONITORD_EPOCHS__GRACE": "5s",
    "MONITORD_ORDERS__RESTARTS_WARNING": "2",
    "MONITORD_ORDERS__RESTARTS_CRITICAL": "20",
    "MONITORD_ORDERS__RESTARTS_WINDOW": "12s",
    "MONITORD_ORDERS__GROWTH_LIMIT": "10000",
    "MONITORD_ORDERS__GROWTH_STEADY": "1000000",  # some 90,000 an hour is this fleet's calm
    "MONITORD_ORDERS__GROWTH_WINDOW": "12s",
    "MONITORD_ORDERS__FLOW_STALL": "10s",
    "MONITORD_ORDERS__SEAL_WARNING": "30s",
    "MONITORD_ORDERS__SEAL_CRITICAL": "60s",
    "MONITORD_ORDERS__QUEUE_WAITING": "500",
    **OWNERS_MACHINE,
}
"""What the tour of the pipeline orders beyond its settings."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Any alert of `expected` (rule, subject) detects it. It takes `seconds` to clear, with room to spare."""

    name: str
    broke: str
    mended: str
    expected: frozenset[tuple[str, str]]
    seconds: float
    breaks: Hand
    mends: Hand


class FaultError(ValueError):
    """A name that no fault has; the message is a sentence with the names there are."""


def service_fault(fault: ServiceFault, subject: str, amount: int = 1) -> tuple[Hand, Hand]:
    async def breaks(stack: Stack) -> None:
        stack.faults.set(fault, subject, amount)

    async def mends(stack: Stack) -> None:
        stack.faults.clear(fault, subject)

    return breaks, mends


def stopped(service: str) -> tuple[Hand, Hand]:
    return lambda stack: stack.pm2("stop", service), lambda stack: stack.pm2("start", service)


def _frozen(server: Callable[[Stack], EmbeddedServer]) -> tuple[Hand, Hand]:
    async def breaks(stack: Stack) -> None:
        server(stack).pause()

    async def mends(stack: Stack) -> None:
        server(stack).resume()

    return breaks, mends


def _sql(text: str) -> Hand:
    return lambda stack: stack.postgres.execute(
        text.replace("LENGTH", str(stack.epoch_seconds)), database=stack.fleet.database
    )


# Of the newest label whose grace is over: the root of one seal with the halves of its digits changed over, and back.
REWRITTEN = f"""
UPDATE sealed_epochs SET root = right(root, 32) || left(root, 32)
WHERE (epoch, channel, token_group) = (
    SELECT epoch, channel, token_group FROM sealed_epochs
    WHERE token_group = '{UNSEALED}' AND epoch + 2 * LENGTH < extract(epoch FROM now())
    ORDER BY epoch DESC, channel LIMIT 1
)
"""  # noqa: S608 - of constants
PUT_RIGHT = """
UPDATE sealed_epochs s SET root = t.root FROM l2_tree_cache t
WHERE t.epoch = s.epoch AND t.channel = s.channel AND t.root <> s.root
"""


def fault(
    name: str, broke: str, mended: str, seconds: float, hands: tuple[Hand, Hand], *expected: tuple[str, str]
) -> Fault:
    return Fault(name, broke, mended, frozenset(expected), seconds, *hands)


FAULTS = (
    fault("service", "stopped gateway", "started gateway", 12, stopped("gateway"), ("service_down", "gateway")),
    fault(
        "crash",
        f"crashed {CRASHER}",
        f"let {CRASHER} run",
        32,
        service_fault("crash", CRASHER),
        ("service_restart_loop", CRASHER),
    ),
    fault(
        "postgres",
        "froze Postgres",
        "let Postgres go on",
        18,
        _frozen(lambda stack: stack.postgres),
        ("postgres_unreachable", "postgres"),
    ),
    fault(
        "redis",
        "froze Redis",
        "let Redis go on",
        18,
        _frozen(lambda stack: stack.valkey),
        ("redis_unreachable", "redis"),
    ),
    fault(
        "sealing",
        f"held {UNSEALED}'s seals",
        f"let {UNSEALED} seal",
        30,
        service_fault("no-seal", UNSEALED),
        ("groups_out_of_sync", "epochs"),
        *((rule, UNSEALED) for rule in ("sealing_late", "sealing_stuck", "sealing_gap")),
    ),
    fault(
        "flood",
        "flooded user_signals",
        "ended the flood",
        30,
        service_fault("flood", LISTENER, FLOOD_ROWS),
        ("table_growth_high", "user_signals"),
    ),
    fault(
        "publishing",
        "faked publishing",
        "let it publish",
        45,
        service_fault("pretend", PUBLISHER),
        *(("chain_behind", group) for group in ("MILO", "CLS")),
    ),
    fault(
        "root",
        f"rewrote a root of {UNSEALED}",
        "put the root back",
        14,
        (_sql(REWRITTEN), _sql(PUT_RIGHT)),
        ("root_changed", UNSEALED),
    ),
)
"""The tour of the pipeline, in its order."""


def chosen(words: Iterable[str], faults: Sequence[Fault] = FAULTS) -> tuple[Fault, ...]:
    """In the order of the tour; all of them when nobody asks. A word may be several names, separated by commas."""
    asked = list(words)
    if not asked:
        return tuple(faults)
    known = [fault.name for fault in faults]
    names = {name.strip() for word in asked for name in word.split(",") if name.strip()}
    if strange := sorted(names - set(known)):
        raise FaultError(f"--break: nothing is called {', '.join(map(repr, strange))}; there are {', '.join(known)}")
    if not names:
        raise FaultError(f"--break: it wants a name; there are {', '.join(known)}")
    return tuple(fault for fault in faults if fault.name in names)
