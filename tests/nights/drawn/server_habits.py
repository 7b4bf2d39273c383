"""What the servers, the machine and the apps of a healthy fleet do all night, up to their limits and not past them."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable

from tests.core.fleet import MB

from .living import HOUR, Living

MINUTE = 60.0


def sessions(night: Living, chance: random.Random, end: float) -> None:
    """Connections come and go, a backup holds a transaction, somebody leaves one open, locks are waited for."""
    night.sessions.xid_used = chance.uniform(0.5, 45)
    for at in _every(HOUR / 2, night.clock.now + chance.uniform(0, HOUR), end):
        used = round(night.sessions.most * chance.uniform(0.1, 0.85))
        night.plan(at, "", functools.partial(_of_sessions, night, used=used, standby_lag=chance.uniform(0, 300)))
    for name, most in (("transaction_since", 5.5 * HOUR), ("idle_since", 27 * MINUTE), ("lock_since", 4 * MINUTE)):
        for _ in range(chance.choice((0, 1, 2))):
            at, lasts = chance.uniform(night.begins + 300, end - 300), chance.uniform(30, most)
            night.plan(at, f"{name} for {lasts:.0f} s", functools.partial(_of_sessions, night, **{name: at}))
            night.plan(at + lasts, "", functools.partial(_of_sessions, night, **{name: None}))
    if chance.random() < 0.5:
        at, lasts = chance.uniform(night.begins + 300, end - 300), chance.uniform(10, 90)
        used = night.sessions.used
        night.plan(at, f"connections twice for {lasts:.0f} s", functools.partial(_of_sessions, night, used=95))
        night.plan(at + lasts, "", functools.partial(_of_sessions, night, used=used))


def _of_sessions(night: Living, **fields: float | None) -> None:
    if "sessions" not in night.broken:
        for name, value in fields.items():
            setattr(night.sessions, name, value)


def machine(night: Living, chance: random.Random, end: float) -> None:
    """Processors are busy by the hour, and all of them are for some minutes; what was swapped out stays there."""
    night.host.swap = chance.uniform(0, 70)
    for at in _every(HOUR, night.clock.now + chance.uniform(0, HOUR), end):
        busy = chance.uniform(3, 85)
        night.plan(at, "", functools.partial(_is_busy, night, busy))
        if chance.random() < 0.3:
            later = at + chance.uniform(0, HOUR / 2)
            night.plan(later, "", functools.partial(_is_busy, night, 100.0))
            night.plan(later + chance.uniform(60, 8 * MINUTE), "", functools.partial(_is_busy, night, busy))


def _is_busy(night: Living, percent: float) -> None:
    if "machine" not in night.broken:
        night.host.cpu, night.host.load = percent, percent * 0.3
    for service in night.services:
        if service.name not in night.broken:
            service.cpu = percent * 0.8


def apps(night: Living, chance: random.Random, end: float) -> None:
    """Some tell of their event loop and heap: the loop is held up a little, the heap is swept."""
    for service in night.services:
        if chance.random() < 0.5:
            heap = chance.choice((128.0, 512.0, 2048.0))
            service.loop_ms, service.heap_limit = chance.uniform(1, 450), heap * 2.0**20
            service.heap_sawtooth = (heap * 0.3, heap * chance.uniform(0.5, 0.88), chance.uniform(120, 900))


def redis(night: Living, chance: random.Random, end: float) -> None:
    """Keys come and go with their memory, some jobs fail, a long one holds up its queue."""
    night.keyspace.limit = chance.choice((0.0, 200.0 * MB))
    for at in _every(HOUR / 3, night.clock.now + chance.uniform(0, HOUR), end):
        night.plan(at, "", functools.partial(_holds, night, chance.randint(60, 4000), chance.uniform(2, 176) * MB))
    for name, queue in night.queues.items():
        queue.oldest = chance.uniform(0, 15 * MINUTE)
        fails: Callable[[float], None] = queue.fails
        for at in _every(HOUR, night.begins + chance.uniform(0, HOUR), end):
            night.plan(at, "", functools.partial(fails, chance.randint(0, 20)))
        if chance.random() < 0.4:
            at, lasts = chance.uniform(night.begins + 300, end - 300), chance.uniform(300, 0.7 * HOUR)
            night.plan(at, f"a job of {name} takes {lasts:.0f} s", functools.partial(_moves, night, name, moves=False))
            night.plan(at + lasts, "", functools.partial(_moves, night, name, moves=True))


def _holds(night: Living, keys: int, memory: float) -> None:
    if "redis" not in night.broken:
        night.keyspace.keys, night.keyspace.memory = keys, memory


def _moves(night: Living, name: str, *, moves: bool) -> None:
    if name not in night.broken:
        night.queues[name].moves = moves


HABITS = (sessions, machine, apps, redis)


def _every(period: float, first: float, end: float) -> list[float]:
    return [first + n * period for n in range(max(0, math.ceil((end - first) / period)))]
