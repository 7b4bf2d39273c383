"""What a healthy fleet does all night: work by its rhythm, restarts on purpose, clean-ups, and readings that fail."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Sequence

from tests.core.fleet import MB, Group, Server, Table

from .living import HOUR, Living

DAY = 24 * HOUR
SLOW_SEAL = 1574.0
Habit = Callable[[Living, random.Random, float], None]


def rows(night: Living, chance: random.Random, end: float) -> None:
    """Rows come by day and night, evenly, or once an hour in bulk."""
    first = night.clock.now // HOUR * HOUR
    has_past = night.clock.now < night.begins - 2 * DAY
    for table in night.tables.values():
        busy = night.fleet.busy * chance.uniform(0.5, 1.0)
        least = chance.uniform(0.12, 0.6) if has_past else chance.uniform(0.5, 0.8)
        peak, sway = chance.uniform(0, 24), chance.uniform(0.0, 0.1)
        is_bulk = table.name not in night.broken and night.fleet.name == "a ledger" and chance.random() < 0.5
        if is_bulk:
            _by_bulk(night, table, busy / 2, first, end, chance)
            continue
        table.per_second = busy * least / HOUR
        for at in _every(HOUR, first + HOUR, end):
            share = least + (1 - least) * (1 + math.cos((at / HOUR - peak) / 24 * 2 * math.pi)) / 2
            rate = busy * share * chance.uniform(1 - sway, 1 + sway) / HOUR
            night.plan(at, "", functools.partial(_rate, night, table, rate))


def _by_bulk(night: Living, table: Table, many: float, first: float, end: float, chance: random.Random) -> None:
    """A little all the time, and the rest at once some minutes after each hour."""
    table.per_second = 600 / HOUR
    for at in _every(HOUR, first + HOUR + chance.uniform(0, 1200), end):
        night.plan(at, "", functools.partial(_bulk, night, table, round(many * chance.uniform(0.9, 1.1))))


def _rate(night: Living, table: Table, rate: float) -> None:
    if table.name not in night.broken:
        table.per_second = rate


def _bulk(night: Living, table: Table, many: int) -> None:
    if table.name not in night.broken:
        table.floods(many)


def seals(night: Living, chance: random.Random, end: float) -> None:
    """Each label takes minutes to seal; some nights are slow, and have been before."""
    first = int(night.clock.now // HOUR - 30) * 3600
    is_slow_now_and_then = chance.random() < 0.5
    for number, label in enumerate(range(first, int(end), 3600)):
        # What a bad hour takes is known from before the night. It makes all groups late: they share a database.
        is_bad = number in (4, 17) or chance.random() < (1 / 12 if is_slow_now_and_then else 1 / 31)
        slow = is_bad and is_slow_now_and_then
        for group in night.groups.values():
            usual = 800.0 if is_bad else chance.uniform(120, 300)
            group.delays[label] = SLOW_SEAL + chance.uniform(-60, 0) if slow else usual
            if label in group.sealed:
                group.sealed_at[label] = label + HOUR + group.delays[label]
    if night.begins - night.clock.now > 2 * DAY and chance.random() < 0.8:
        for name, group in night.groups.items():
            known = [f"{name.lower()}{n:03}" for n in range(chance.choice((6, 12, 60)))]
            least = len(known) if name in night.orders.cemented else max(3, len(known) // 2)
            group.takes_part = _drawn(known, least, f"{first} {name}")


def _drawn(known: Sequence[str], least: int, seed: str) -> Callable[[int], frozenset[str]]:
    """So many channels or more take part in a label, always the same ones in the same label."""

    @functools.cache
    def takes_part(label: int) -> frozenset[str]:
        chance = random.Random(f"{seed} {label}")  # noqa: S311 - a simulation
        return frozenset(chance.sample(known, chance.randint(least, len(known))))

    return takes_part


def queues(night: Living, chance: random.Random, end: float) -> None:
    """Jobs come in bursts and are worked off: a sawtooth, and now and then a flat queue."""
    for name in night.queues:
        high = night.orders.queue_limit(name) * chance.uniform(0.02, 0.6)
        period, offset = chance.uniform(600, HOUR), chance.uniform(0, HOUR)
        drained = chance.uniform(0.2, 0.9)

        def waiting(
            now: float, high: float = high, period: float = period, offset: float = offset, drained: float = drained
        ) -> float:
            return high * max(0.0, 1 - ((now + offset) % period) / (period * drained))

        night.queue_courses[name] = waiting


def memory(night: Living, chance: random.Random, end: float) -> None:
    """Memory is a sawtooth of each service's own; some have a short peak under the limit."""
    for service in night.services:
        limit = night.orders.memory_limit(service.name)
        low = chance.uniform(40, 120) * MB
        service.sawtooth = (low, low + chance.uniform(0.05, 0.6) * (0.9 * limit - low), chance.uniform(900, 9000))
    if chance.random() < 0.5:
        name, at = chance.choice(night.fleet.always), _between(chance, night.begins, end)
        peak = night.orders.memory_limit(name) * chance.uniform(0.9, 0.99)
        night.plan(at, f"{name} uses {peak / MB:.0f} MB for two minutes", lambda: _peaks(night, name, peak, at))


def _peaks(night: Living, name: str, peak: float, at: float) -> None:
    for service in night.well(name):
        usual, service.sawtooth, service.memory = service.sawtooth, None, peak

        def over(service: object = service, usual: object = usual) -> None:
            if name not in night.broken:
                service.sawtooth = usual  # type: ignore[attr-defined]

        night.plan(at + 120, "", over)


def periodic(night: Living, chance: random.Random, end: float) -> None:
    """What comes and goes has its runs."""
    for name, rhythm in night.fleet.periodic.items():
        for at in _every(rhythm, night.clock.now + chance.uniform(0, rhythm), end):
            jitter = chance.uniform(0, rhythm / 20)
            runs = chance.uniform(20, rhythm / 3)
            night.plan(at + jitter, "", functools.partial(_runs, night, name, True))
            night.plan(at + jitter + runs, "", functools.partial(_runs, night, name, False))


def _runs(night: Living, name: str, begins: bool) -> None:
    if name in night.broken:
        return
    for service in night.services:
        if service.name == name:
            service.is_restarted() if begins else service.stops(0)


def restarts(night: Living, chance: random.Random, end: float) -> None:
    """What an operator, a deployment and PM2's clock restart, on purpose."""
    for _ in range(chance.randint(0, 3)):
        name = chance.choice(night.fleet.always)
        at = _between(chance, night.begins, end)
        night.plan(at, f"an operator restarts {name}", functools.partial(_restarts, night, name))
    for _ in range(chance.choice((0, 0, 1, 2))):
        at = _between(chance, night.begins, end)
        night.plan(at, "everything is deployed", functools.partial(_deploys, night))
    if chance.random() < 0.3:
        name, at = chance.choice(night.fleet.always), _between(chance, night.begins, end)
        night.plan(at, f"PM2 restarts {name} by its cron_restart", functools.partial(_by_the_clock, night, name))


def _restarts(night: Living, name: str) -> None:
    for service in night.well(name):
        service.is_restarted()


def _deploys(night: Living) -> None:
    for name in night.fleet.always:
        _restarts(night, name)


def _by_the_clock(night: Living, name: str) -> None:
    for service in night.well(name):
        minutes = round(night.clock.now) // 60
        service.cron = f"{minutes % 60} {minutes // 60 % 24} * * *"
        service.is_restarted()


def readings(night: Living, chance: random.Random, end: float) -> None:
    """Single readings fail, a service is seen launching once, monitord restarts; all of it far from 5% of the night."""
    servers = {
        "PM2": night.pm2,
        "Postgres": night.postgres,
        "the seals' query": night.epochs,
        "Redis": night.redis,
        "the host": night.machine,
    }
    for _ in range(chance.randint(0, 8)):
        name, at = chance.choice(list(servers)), _between(chance, night.begins, end)
        night.plan(at, f"{name} fails one reading", functools.partial(_hiccup, night, name, servers[name]))
    if chance.random() < 0.4:
        name, at = chance.choice(night.fleet.always), _between(chance, night.begins, end)
        night.plan(at, f"{name} is seen launching once", functools.partial(_blip, night, name))
    for _ in range(chance.choice((0, 0, 1, 2))):
        at = _between(chance, night.begins, end)
        away = chance.choice((1.0, 1.0, 120.0, 300.0))
        night.plan(at, f"monitord restarts, {away:.0f} s", functools.partial(night.monitord_is_away, seconds=away))
    if chance.random() < 0.4:
        at, step = _between(chance, night.begins, end), chance.uniform(-4, 4)
        night.plan(at, f"the clock is set by {step:.1f} s", lambda: night.clock_steps(seconds=step))


def _hiccup(night: Living, name: str, server: Server) -> None:
    """One reading fails, and never two in a row: that would be a fault."""
    if night.clock.now - night.lost_at.get(name, 0.0) > 5 * night.cycle and server.failure is None:
        server.hiccups_once()
        night.lost_at[name] = night.clock.now


def _blip(night: Living, name: str) -> None:
    """One reading sees it launching; the one that would confirm it does not."""
    for service in night.well(name):
        service.state = "launching"
        night.look(["pm2"])
        service.state = "online"
        break


def database(night: Living, chance: random.Random, end: float) -> None:
    """Old rows are deleted, some inserts are rolled back, statistics are begun anew."""
    for table in night.tables.values():
        if chance.random() < 0.5:
            at = _between(chance, night.begins, end)
            night.plan(at, f"old rows of {table.name} are deleted", functools.partial(_prunes, night, table))
        if chance.random() < 0.3:
            at, many = _between(chance, night.begins, end), chance.randint(100, 900_000)
            night.plan(at, f"{many:,} rows of {table.name} are rolled back", functools.partial(table.rolls_back, many))
        if chance.random() < 0.15:
            at = _between(chance, night.begins, end)
            night.plan(at, f"the statistics of {table.name} are reset", table.forgets_statistics)


def _prunes(night: Living, table: Table) -> None:
    table.is_pruned(night.clock.now - 30 * HOUR)


def host(night: Living, chance: random.Random, end: float) -> None:
    """The disk is used a little and cleaned up; memory is taken and given back."""
    night.host.disk_used = chance.uniform(10, 62)
    night.host.disk_per_hour = chance.uniform(0.0, 0.06)
    if night.host.data_used is not None:
        night.host.data_used = chance.uniform(5, 65)
    for at in _every(HOUR, night.clock.now + chance.uniform(0, HOUR), end):
        night.plan(at, "", functools.partial(_takes, night, chance.uniform(400, 6000) * MB))


def _takes(night: Living, available: float) -> None:
    if "memory" not in night.broken:
        night.host.available = available


HABITS: tuple[Habit, ...] = (rows, seals, queues, memory, periodic, restarts, readings, database, host)


def _every(period: float, first: float, end: float) -> list[float]:
    return [first + n * period for n in range(max(0, math.ceil((end - first) / period)))]


def _between(chance: random.Random, start: float, end: float) -> float:
    """Some moment of the night that leaves time to be seen."""
    return chance.uniform(start + 300, end - 300)


def of_label(group: Group, now: float) -> int:
    """The label of the epoch that lasts now."""
    return int(now) // group.length * group.length
