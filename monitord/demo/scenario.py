"""The faults of the tour as data: what is broken and how, what monitord may say of it, how long it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitord.demo.stack import Stack

Hand = Callable[["Stack"], Awaitable[object]]
"""What is done to the stack; it returns when it is done."""

CRASHER = PUBLISHER = "tree-builder"
LISTENER = "stream-listener"
UNSEALED = "MILO"
FLOOD_ROWS = 40_000

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
    # The machine is its owner's: its disk and memory are shown and not judged.
    "MONITORD_ORDERS__DISK_WARNING": "100%",
    "MONITORD_ORDERS__DISK_CRITICAL": "100%",
    "MONITORD_ORDERS__HOST_MEMORY": "0B",
}
"""What the tour of the pipeline orders beyond its settings."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to break.

    Attributes:
        name: As `--break` knows it.
        broke: What was done, as one says it: "stopped gateway".
        mended: What was done about it.
        expected: (rule, subject) of the alerts that detect it; any of them is detection.
        seconds: How long it takes from broken to cleared, with room to spare; a shorter watch leaves it out.
        breaks: Breaks it.
        mends: Mends it.
    """

    name: str
    broke: str
    mended: str
    expected: frozenset[tuple[str, str]]
    seconds: float
    breaks: Hand
    mends: Hand


class FaultError(ValueError):
    """A name that no fault has; the message is a sentence with the names there are."""


async def _stop_gateway(stack: Stack) -> None:
    await stack.pm2("stop", "gateway")


async def _start_gateway(stack: Stack) -> None:
    await stack.pm2("start", "gateway")


async def _crash(stack: Stack) -> None:
    stack.faults.set("crash", CRASHER)


async def _calm(stack: Stack) -> None:
    stack.faults.clear("crash", CRASHER)


async def _freeze_postgres(stack: Stack) -> None:
    stack.postgres.pause()


async def _thaw_postgres(stack: Stack) -> None:
    stack.postgres.resume()


async def _freeze_redis(stack: Stack) -> None:
    stack.valkey.pause()


async def _thaw_redis(stack: Stack) -> None:
    stack.valkey.resume()


async def _hold_seals(stack: Stack) -> None:
    stack.faults.set("no-seal", UNSEALED)


async def _release_seals(stack: Stack) -> None:
    stack.faults.clear("no-seal", UNSEALED)


async def _flood(stack: Stack) -> None:
    stack.faults.set("flood", LISTENER, FLOOD_ROWS)


async def _end_flood(stack: Stack) -> None:
    stack.faults.clear("flood", LISTENER)


async def _pretend(stack: Stack) -> None:
    stack.faults.set("pretend", PUBLISHER)


async def _publish(stack: Stack) -> None:
    stack.faults.clear("pretend", PUBLISHER)


# Of the newest label whose grace is over: the root of one seal with the halves of its digits changed over, and back.
REWRITTEN = f"""
UPDATE sealed_epochs SET root = right(root, 32) || left(root, 32)
WHERE (epoch, channel, token_group) = (
    SELECT epoch, channel, token_group FROM sealed_epochs
    WHERE token_group = '{UNSEALED}' AND epoch + 2 * {{length}} < extract(epoch FROM now())
    ORDER BY epoch DESC, channel LIMIT 1
)
"""  # noqa: S608 - of constants
PUT_RIGHT = """
UPDATE sealed_epochs s SET root = t.root FROM l2_tree_cache t
WHERE t.epoch = s.epoch AND t.channel = s.channel AND t.root <> s.root
"""


async def _rewrite_root(stack: Stack) -> None:
    await stack.postgres.execute(REWRITTEN.format(length=stack.epoch_seconds), database=stack.fleet.database)


async def _put_root_right(stack: Stack) -> None:
    await stack.postgres.execute(PUT_RIGHT, database=stack.fleet.database)


FAULTS = (
    Fault(
        name="service",
        broke="stopped gateway",
        mended="started gateway",
        expected=frozenset({("service_down", "gateway")}),
        seconds=12,
        breaks=_stop_gateway,
        mends=_start_gateway,
    ),
    Fault(
        name="crash",
        broke=f"crashed {CRASHER}",
        mended=f"let {CRASHER} run",
        expected=frozenset({("service_restart_loop", CRASHER)}),
        seconds=32,
        breaks=_crash,
        mends=_calm,
    ),
    Fault(
        name="postgres",
        broke="froze Postgres",
        mended="let Postgres go on",
        expected=frozenset({("postgres_unreachable", "postgres")}),
        seconds=18,
        breaks=_freeze_postgres,
        mends=_thaw_postgres,
    ),
    Fault(
        name="redis",
        broke="froze Redis",
        mended="let Redis go on",
        expected=frozenset({("redis_unreachable", "redis")}),
        seconds=18,
        breaks=_freeze_redis,
        mends=_thaw_redis,
    ),
    Fault(
        name="sealing",
        broke=f"held {UNSEALED}'s seals",
        mended=f"let {UNSEALED} seal",
        expected=frozenset(
            {
                ("groups_out_of_sync", "epochs"),
                ("sealing_late", UNSEALED),
                ("sealing_stuck", UNSEALED),
                ("sealing_gap", UNSEALED),
            }
        ),
        seconds=30,
        breaks=_hold_seals,
        mends=_release_seals,
    ),
    Fault(
        name="flood",
        broke="flooded user_signals",
        mended="ended the flood",
        expected=frozenset({("table_growth_high", "user_signals")}),
        seconds=30,
        breaks=_flood,
        mends=_end_flood,
    ),
    Fault(
        name="publishing",
        broke="faked publishing",
        mended="let it publish",
        expected=frozenset({("chain_behind", "MILO"), ("chain_behind", "CLS")}),
        seconds=45,
        breaks=_pretend,
        mends=_publish,
    ),
    Fault(
        name="root",
        broke=f"rewrote a root of {UNSEALED}",
        mended="put the root back",
        expected=frozenset({("root_changed", UNSEALED)}),
        seconds=14,
        breaks=_rewrite_root,
        mends=_put_root_right,
    ),
)
"""The tour of the pipeline, in its order."""


def chosen(words: Iterable[str], faults: Sequence[Fault] = FAULTS) -> tuple[Fault, ...]:
    """The faults that are asked for by name, each once, in the order of the tour; all of them when nobody asks.

    Args:
        words: Names, or several in one word, separated by commas.
        faults: Those that there are.

    Raises:
        FaultError: There is none of a name.
    """
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
