"""The certain faults of sessions, of Redis' memory, of jobs, processors, apps and checks. They last until the end."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Final

from tests.core.fleet import MB

from .faults import AT_ONCE, MINUTE, Kind, Made, has_queues, of, to_set
from .living import HOUR, Living

_CYCLE: Final = 300.0  # the slowest
Makes = Callable[[Living, random.Random], Made]


def _sessions(text: str, **fields: float | None) -> Makes:
    """None: since then."""

    def breaks(night: Living) -> None:
        to_set(night.sessions, **{name: night.clock.now if v is None else v for name, v in fields.items()})

    return lambda night, chance: Made(text, frozenset({"postgres"}), breaks, broken=frozenset({"sessions"}))


def _again_and_again(night: Living, does: Callable[[], object]) -> None:
    """So often for half a day that it counts in each window."""
    for number in range(72):
        night.plan(night.clock.now + number * 600, "", does)


def _evicts(night: Living, chance: random.Random) -> Made:
    def evict() -> None:
        night.keyspace.evicted += 30

    return Made("Redis gives up keys", frozenset({"redis"}), lambda n: _again_and_again(n, evict))


def _full(night: Living, chance: random.Random) -> Made:
    fills = functools.partial(_fills, share=chance.uniform(0.91, 1.0))
    return Made("Redis is nearly full", frozenset({"redis"}), fills, broken=frozenset({"redis"}))


def _fills(night: Living, share: float) -> None:
    night.keyspace.limit, night.keyspace.memory = 400.0 * MB, 400.0 * MB * share


def _emptied(night: Living, chance: random.Random) -> Made:
    def empties(night: Living) -> None:
        night.keyspace.keys = 0

    return Made("Redis is flushed", frozenset({"redis"}), empties, broken=frozenset({"redis"}))


def _failing(night: Living, chance: random.Random) -> Made:
    name = chance.choice(list(night.queues))
    rate = 3 * night.orders.failed_limit(name) / HOUR
    return Made(f"jobs of {name} fail", frozenset({name}), lambda n: to_set(n.queues[name], fails_per_second=rate))


def _hangs(night: Living, chance: random.Random) -> Made:
    name = chance.choice(list(night.queues))

    def hangs(night: Living) -> None:
        night.queue_courses.pop(name, None)
        to_set(night.queues[name], waiting=40.0, moves=False)

    return Made(f"the worker of {name} hangs", frozenset({name}), hangs, broken=frozenset({name}))


def _old_queues(night: Living) -> list[str]:
    return [name for name in night.queues if night.orders.oldest_limit(name) is not None]


def _old(night: Living, chance: random.Random) -> Made:
    name = chance.choice(_old_queues(night))
    limit = night.orders.oldest_limit(name) or 0.0

    def gets_old(night: Living) -> None:
        night.queue_courses.pop(name, None)
        to_set(night.queues[name], waiting=7.0, oldest=limit * 1.5)

    return Made(f"a job of {name} is old", frozenset({name}), gets_old)


def _machine(text: str, **fields: float) -> Makes:
    return lambda night, chance: Made(
        text, frozenset({"host"}), lambda n: to_set(n.host, **fields), broken=frozenset({"machine"})
    )


def _limits(name: str) -> Callable[[Living], bool]:
    return lambda night: getattr(night.orders, name) is not None


def _service(text: str, does: Callable[[Living, str], object]) -> Makes:
    def makes(night: Living, chance: random.Random) -> Made:
        name = chance.choice(night.fleet.always)
        return Made(f"{name} {text}", frozenset({name}), lambda n: does(n, name), broken=frozenset({name}))

    return makes


def _is_slow(night: Living, name: str) -> None:
    night[name].loop_ms = 1900.0


def _is_blocked(night: Living, name: str) -> None:
    told = "Used Heap Size: 40.00 MiB | Event Loop Latency p95: 2.50 ms"
    to_set(night[name], loop_ms=2.5, told=told, blocked=True)


def _heap_full(night: Living, name: str) -> None:
    to_set(night[name], loop_ms=2.5, heap_limit=256 * 2.0**20, heap_sawtooth=None, heap=250.0)


def _takes_all(night: Living, name: str) -> None:
    night[name].cpu = 100.0


def _checked(type_: str, text: str, does: Callable[[Living, str], object]) -> Kind:
    def named(night: Living) -> list[str]:
        return [name for name, order in night.orders.checks.items() if order.type == type_]

    def makes(night: Living, chance: random.Random) -> Made:
        name = chance.choice(named(night))
        return Made(f"{name} {text}", frozenset({name}), lambda n: does(n, name))

    return Kind(f"a check {text}", lambda night: bool(named(night)), makes, 20 * MINUTE, stays=True)


def _is_critical(night: Living, name: str) -> None:
    night.checks[name].samples.update(check_state="critical", check_text="it has expired")


def _stays(name: str, fits: Callable[[Living], bool], makes: Makes, lasts: float, **told: float) -> Kind:
    """A fault that is one once it has lasted so long."""
    return Kind(name, fits, makes, lasts + 2 * _CYCLE + 300, lasts + AT_ONCE, stays=True, **told)


KINDS: Final = (
    _stays("connections", of("postgres"), _sessions("connections run out", used=95), 2 * MINUTE),
    _stays("a long transaction", of("postgres"), _sessions("a transaction", transaction_since=None), 6 * HOUR),
    _stays("idle in transaction", of("postgres"), _sessions("a forgotten one", idle_since=None), 30 * MINUTE),
    _stays("a lock", of("postgres"), _sessions("a lock is waited for", lock_since=None), 5 * MINUTE),
    _stays("a slow standby", of("postgres"), _sessions("a standby is behind", standby_lag=900.0), 0.0),
    _stays("transaction ids", of("postgres"), _sessions("no row is frozen", xid_used=63.0), 0.0),
    _stays("evictions", has_queues, _evicts, 0.0),
    _stays("Redis nearly full", of("redis"), _full, 0.0),
    # It is told for an hour.
    _stays("Redis flushed", of("redis"), _emptied, 0.0, told_for=HOUR),
    _stays("failing jobs", has_queues, _failing, 25 * MINUTE),
    _stays("a hanging worker", has_queues, _hangs, HOUR + _CYCLE),
    _stays("an old job", lambda night: bool(_old_queues(night)), _old, 0.0),
    _stays("busy processors", _limits("host_cpu"), _machine("all are busy", cpu=100.0), 20 * MINUTE),
    _stays("a high load", _limits("host_load"), _machine("it is loaded", load=80.0), 20 * MINUTE),
    _stays("swapped out", _limits("host_swap"), _machine("it swaps", swap=99.0), 20 * MINUTE),
    _stays(
        "a busy service",
        _limits("service_cpu"),
        _service("takes a processor", _takes_all),
        20 * MINUTE,
    ),
    _stays("a slow loop of events", of("pm2"), _service("is slow", _is_slow), 0.0),
    _stays("a blocked loop", of("pm2"), _service("is blocked", _is_blocked), _CYCLE),
    _stays("a full heap", of("pm2"), _service("fills its heap", _heap_full), 10 * MINUTE + _CYCLE),
    _checked("http", "answers 500", lambda night, name: night.checks[name].answers(500)),
    _checked("http", "is slow", lambda night, name: to_set(night.checks[name], value=9000.0)),
    _checked("tcp", "expires", lambda night, name: to_set(night.checks[name], expires=night.clock.now + 3 * 24 * HOUR)),
    _checked("sql", "is out of range", lambda night, name: to_set(night.checks[name], value=1e6)),
    _checked("freshness", "is stale", lambda night, name: to_set(night.checks[name], value=30 * 3600.0)),
    _checked("command", "is critical", _is_critical),
)
