"""The faults that are certain: each a way to break one thing for so long that nobody may call the night a GO."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from monitord.core.model import Failure, Unmeasured
from tests.core.fleet import MB, Group, Server, Table

from .living import HOUR, Living

MINUTE: Final = 60.0
# Within so long of its confirmation every alert is there: a cycle, a recheck and a moment are added to it.
AT_ONCE: Final = 30.0
NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is broken in a night.

    `subjects`: whose alert must fire within `within` seconds of `at` (NEVER: no alert is due, the verdict alone must
    show it). `also` are the subjects of what follows from it, which is no further page. `lasts` None: until the end.
    """

    kind: str
    text: str
    at: float
    lasts: float | None
    within: float
    subjects: frozenset[str]
    also: frozenset[str]
    breaks: Callable[[Living], object]
    mends: Callable[[Living], object]


@dataclass(frozen=True, slots=True)
class Made:
    """What a kind makes of a night: who is at fault, and how to break and to mend it."""

    text: str
    subjects: frozenset[str]
    breaks: Callable[[Living], object]
    mends: Callable[[Living], object] = lambda night: None
    also: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: to whom it can happen, for how long it must last to be certain, how soon it must be told."""

    name: str
    fits: Callable[[Living], bool]
    makes: Callable[[Living, random.Random], Made]
    least: float
    within: float = AT_ONCE
    most: float = 4 * HOUR
    # It goes on to the end of the night.
    stays: bool = False
    # It is told for so long at most, and so it happens late enough to be told in the end.
    told_for: float = NEVER


def of(probe: str) -> Callable[[Living], bool]:
    return lambda night: probe in night.orders.probes


def _groups(night: Living) -> frozenset[str]:
    return frozenset({*night.groups, "epochs"} if night.groups else ())


def _data(night: Living) -> frozenset[str]:
    """Everything that is judged by what Postgres answers."""
    return frozenset(night.tables) | _groups(night) | {"postgres"}


# Servers


def _server(name: str, probes: tuple[str, ...]) -> Callable[[Living, random.Random], Made]:
    def makes(night: Living, chance: random.Random) -> Made:
        failure = chance.choice(
            (
                Failure("refused", "connection refused"),
                Failure("timeout", "no answer within 5 s"),
                Failure("auth", "password authentication failed"),
                Failure("dns", "Name or service not known"),
            )
        )
        servers: list[Server] = [getattr(night, probe) for probe in probes]

        def fails(night: Living) -> None:
            for server in servers:
                server.failure = failure

        def recovers(night: Living) -> None:
            for server in servers:
                server.recovers()

        follows = (
            _data(night) if name == "postgres" else frozenset({name, *night.queues} if name == "redis" else {name})
        )
        return Made(f"{name} is away: {failure.error}", frozenset({name}), fails, recovers, follows)

    return makes


def _seals_unreadable(night: Living, chance: random.Random) -> Made:
    failure = Failure("protocol", 'column "token_group" does not exist')
    return Made(
        "the seals cannot be read: a column is gone",
        frozenset({"epochs"}) | frozenset(night.groups),
        lambda n: to_set(n.epochs, failure=failure),
        lambda n: n.epochs.recovers(),
        _groups(night),
    )


def _host_blind(night: Living, chance: random.Random) -> Made:
    failure = Failure("permission", "/proc cannot be read")
    return Made(
        "the host cannot be measured",
        frozenset({"host"}),
        lambda n: to_set(n.machine, failure=failure),
        lambda n: n.machine.recovers(),
    )


def _table_locked(night: Living, chance: random.Random) -> Made:
    table = chance.choice(list(night.tables.values()))
    gap = Unmeasured(table.name, "timeout", f"{table.name} is locked")
    return Made(
        f"{table.name} is locked",
        frozenset({table.name}),
        lambda n: to_set(table, gap=gap),
        lambda n: to_set(table, gap=None),
    )


def _refusal(server: str, why: str, said: str) -> Callable[[Living, random.Random], Made]:
    def makes(night: Living, chance: random.Random) -> Made:
        sample = (f"{server}_refusal", (("why", why),))
        return Made(
            f"{server}: {said}",
            frozenset({server}),
            lambda n: n.instead.update({sample: said}),
            lambda n: n.instead.pop(sample, None),
        )

    return makes


def _another_database(night: Living, chance: random.Random) -> Made:
    return Made(
        "Postgres is another server",
        frozenset({"postgres"}),
        lambda n: to_set(n, system="7302"),
        lambda n: to_set(n, system="7301"),
    )


# Services


def _service(how: str) -> Callable[[Living, random.Random], Made]:
    def makes(night: Living, chance: random.Random) -> Made:
        name = chance.choice(night.fleet.always)
        return Made(
            f"{name} {how}",
            frozenset({name}),
            functools.partial(_breaks, name, how),
            functools.partial(_begins_anew, name),
            broken=frozenset({name}),
        )

    return makes


def _breaks(name: str, how: str, night: Living) -> None:
    for service in [s for s in night.services if s.name == name]:
        match how:
            case "is stopped by hand":
                service.is_stopped_by_hand()
            case "ends by itself":
                service.stops(1)
            case "is given up by PM2":
                service.is_given_up()
            case "is frozen":
                service.is_frozen()
            case "is a zombie":
                service.is_frozen("zombie")
            case "vanishes":
                night.vanishes(name)
            case "dies every 20 s":
                service.crashes_every(20.0)
            case "dies every 20 s by SIGSEGV":
                service.crashes_every(20.0)
                service.crash_signal = "SIGSEGV"
            case "dies every three minutes":
                service.crashes_every(180.0)
            case _:
                raise ValueError(how)


def _begins_anew(name: str, night: Living) -> None:
    there = [s for s in night.services if s.name == name]
    for service in there or [night.appears(name) for _ in range(night.fleet.instances[name])]:
        service.crash_every, service.crash_signal, service.memory_per_hour = None, "", 0.0
        service.is_restarted()


def _one_of_several(night: Living, chance: random.Random) -> Made:
    name = chance.choice([name for name, count in night.fleet.instances.items() if count > 1])
    return Made(
        f"one of the instances of {name} is stopped",
        frozenset({name}),
        lambda n: n[name].stops(1),
        lambda n: n[name].starts(),
        broken=frozenset({name}),
    )


def _dead_listener(night: Living, chance: random.Random) -> Made:
    """Who brings the rows is dead, all of it, and so no rows come: one page."""
    dead = night.fleet.listeners

    def dies(night: Living) -> None:
        for name in dead:
            _breaks(name, "is given up by PM2", night)
        _no_rows(night)

    def lives(night: Living) -> None:
        for name in dead:
            _begins_anew(name, night)
        _rows_again(night)

    tables = frozenset(_first(night))
    return Made(
        f"{' and '.join(dead)} dead, and no rows come", frozenset(dead), dies, lives, tables, tables | frozenset(dead)
    )


def _memory_over(night: Living, chance: random.Random) -> Made:
    name, share = chance.choice(night.fleet.always), chance.uniform(1.02, 3)

    def grows(night: Living) -> None:
        service = night[name]
        service.sawtooth, service.memory = None, night.orders.memory_limit(name) * share

    def shrinks(night: Living) -> None:
        night[name].memory = 90.0 * MB
        night[name].is_restarted()

    return Made(f"{name} uses {share:.2f} of its memory", frozenset({name}), grows, shrinks, broken=frozenset({name}))


def _memory_leak(night: Living, chance: random.Random) -> Made:
    name = chance.choice(night.fleet.always)

    def leaks(night: Living) -> None:
        service = night[name]
        service.sawtooth, service.memory = None, 100.0 * MB
        service.memory_per_hour = night.orders.memory_limit(name) * chance.uniform(0.25, 0.5)

    return Made(
        f"{name} leaks", frozenset({name}), leaks, functools.partial(_begins_anew, name), broken=frozenset({name})
    )


def _lost_list(night: Living, chance: random.Random) -> Made:
    def lost(night: Living) -> None:
        night.daemon = night.daemon or "1"
        night.look(["pm2"])
        night.daemon += "'"
        night.unlisted, night.services = night.services, []

    def again(night: Living) -> None:
        night.services, night.unlisted = [*night.unlisted, *night.services], []

    return Made(
        "PM2 comes back with an empty list",
        frozenset({"pm2"}),
        lost,
        again,
        frozenset(night.fleet.instances),
        frozenset(night.fleet.instances),
    )


def _to_run(night: Living) -> list[str]:
    """The services whose rhythm is named: of others it takes longer than a night to be certain."""
    return [name for name, rhythm in night.orders.rhythms.items() if rhythm.total_seconds() <= 2 * HOUR]


def _never_runs(night: Living, chance: random.Random) -> Made:
    name = chance.choice(_to_run(night))

    def rests(night: Living) -> None:
        night[name].stops(0)

    return Made(f"{name} never runs again", frozenset({name}), rests, broken=frozenset({name}))


# Rows


def _first(night: Living) -> list[str]:
    """The tables whose rows are at fault: the first of a fleet."""
    return list(night.tables)[:1]


def _no_rows(night: Living) -> None:
    for name in _first(night):
        to_set(night.tables[name], per_second=0.0)


def _rows_again(night: Living) -> None:
    for name in _first(night):
        to_set(night.tables[name], per_second=night.fleet.busy / 2 / HOUR, rolled_back_per_second=0.0)


def _stall(night: Living, chance: random.Random) -> Made:
    tables = frozenset(_first(night))
    return Made("no row comes, and everything is online", tables, _no_rows, _rows_again, broken=tables)


def _rolled_back(night: Living, chance: random.Random) -> Made:
    rate = night.fleet.busy / 2 / HOUR

    def breaks(night: Living) -> None:
        _no_rows(night)
        for name in _first(night):
            night.tables[name].rolled_back_per_second = rate

    tables = frozenset(_first(night))
    return Made("every insert is rolled back", tables, breaks, _rows_again, broken=tables)


def _flood(night: Living, chance: random.Random) -> Made:
    table, rows = night.tables[_first(night)[0]], chance.randint(1_500_000, 9_000_000)
    return Made(f"{rows:,} rows are replayed into {table.name}", frozenset({table.name}), lambda n: table.floods(rows))


def _surge(night: Living, chance: random.Random) -> Made:
    table, rate = night.tables[_first(night)[0]], chance.uniform(700_000, 3_000_000)
    return Made(
        f"{rate:,.0f} rows an hour come into {table.name}",
        frozenset({table.name}),
        lambda n: to_set(table, per_second=rate / HOUR),
        _rows_again,
        broken=frozenset({table.name}),
    )


def _doubling(night: Living, chance: random.Random) -> Made:
    table = night.tables[_first(night)[0]]

    def doubles(night: Living) -> None:
        first = max(table.per_second, 20_000 / HOUR)
        for number in range(1, 60):
            at = night.clock.now + number * 900
            night.plan(at, "", functools.partial(_faster, night, table, first * 2 ** (number / 8)))

    return Made(
        f"the rows of {table.name} double every two hours",
        frozenset({table.name}),
        doubles,
        broken=frozenset({table.name}),
    )


def _faster(night: Living, table: Table, rate: float) -> None:
    table.per_second = rate


# Seals


def _one_group(night: Living, chance: random.Random) -> Made:
    group = chance.choice(list(night.groups.values()))
    return Made(
        f"{group.name} seals nothing more",
        frozenset({group.name, "epochs"}),
        lambda n: to_set(group, sealing=False),
        lambda n: to_set(group, sealing=True),
        _groups(night),
    )


def _all_groups(night: Living, chance: random.Random) -> Made:
    def breaks(night: Living) -> None:
        for group in night.groups.values():
            group.sealing = False

    def mends(night: Living) -> None:
        for group in night.groups.values():
            group.sealing = True

    return Made("nothing is sealed any more", _groups(night), breaks, mends, _groups(night))


def _gap(night: Living, chance: random.Random) -> Made:
    group = chance.choice(list(night.groups.values()))

    def skips(night: Living) -> None:
        group.skips.add(int(night.clock.now) // group.length * group.length)

    return Made(f"{group.name} skips an hour", frozenset({group.name, "epochs"}), skips, also=_groups(night))


def _half_unsealed(night: Living, chance: random.Random) -> Made:
    group = chance.choice([group for group in night.groups.values() if group.takes_part is not None])
    share = chance.uniform(0.4, 0.8)

    def leaves_out(night: Living) -> None:
        takes_part, label = group.takes_part, int(night.clock.now) // group.length * group.length
        assert takes_part is not None
        while label < night.clock.now + 24 * HOUR:
            took = sorted(takes_part(label))
            group.left_out[label] = set(took[: max(1, round(len(took) * share))])
            label += group.length

    def seals(night: Living) -> None:
        _seal_all(group, night.clock.now)

    return Made(f"{share:.0%} of {group.name}'s channels are not sealed", frozenset({group.name}), leaves_out, seals)


def _seal_all(group: Group, now: float) -> None:
    group.left_out = {}


# Queues and the host


def _backlog(night: Living, chance: random.Random) -> Made:
    name = chance.choice(list(night.queues))
    jobs = night.orders.queue_limit(name) * chance.uniform(1.1, 20)

    def fills(night: Living) -> None:
        night.queue_courses.pop(name, None)
        night.queues[name].waiting = jobs

    return Made(
        f"{jobs:,.0f} jobs wait in {name}", frozenset({name}), fills, lambda n: to_set(n.queues[name], waiting=1.0)
    )


def _disk(night: Living, chance: random.Random) -> Made:
    percent = chance.uniform(81, 99.9)
    if "/data" in night.orders.disks and chance.random() < 0.5:
        return Made(
            f"/data is {percent:.1f}% full",
            frozenset({"/data"}),
            lambda n: to_set(n.host, data_used=percent),
            lambda n: to_set(n.host, data_used=40.0),
        )
    return Made(
        f"the disk is {percent:.1f}% full",
        frozenset({"/"}),
        lambda n: to_set(n.host, disk_used=percent, disk_per_hour=0.0),
        lambda n: to_set(n.host, disk_used=30.0),
    )


def _filling(night: Living, chance: random.Random) -> Made:
    def fills(night: Living) -> None:
        night.host.disk_per_hour = (85 - night.host.disk_used) / 3.5

    def cleaned(night: Living) -> None:
        night.host.disk_used, night.host.disk_per_hour = 30.0, 0.0

    return Made("the disk fills", frozenset({"/"}), fills, cleaned)


def _memory_low(night: Living, chance: random.Random) -> Made:
    left = chance.uniform(10, 190) * MB
    return Made(
        f"{left / MB:.0f} MB of memory are left",
        frozenset({"host"}),
        lambda n: to_set(n.host, available=left),
        lambda n: to_set(n.host, available=5_000.0 * MB),
        broken=frozenset({"memory"}),
    )


# monitord


def _away(night: Living, chance: random.Random) -> Made:
    seconds = (night.clock.now - night.begins) * 0.02 + chance.uniform(1.2, 3) * HOUR
    return Made(
        f"monitord is away for {seconds / HOUR:.1f} h", frozenset(), lambda n: n.monitord_is_away(seconds=seconds)
    )


def to_set(thing: object, **fields: object) -> None:
    """Set fields of a part of the night."""
    for name, value in fields.items():
        setattr(thing, name, value)


def _has_tables(night: Living) -> bool:
    return bool(night.tables) and "postgres" in night.orders.probes


def _has_groups(night: Living) -> bool:
    return bool(night.groups) and "epochs" in night.orders.probes


def has_queues(night: Living) -> bool:
    """Whether there are queues, and Redis is asked."""
    return bool(night.queues) and "redis" in night.orders.probes


def _counts_channels(night: Living) -> bool:
    return _has_groups(night) and any(group.takes_part is not None for group in night.groups.values())


SERVICES: Final = (
    "is stopped by hand",
    "ends by itself",
    "is given up by PM2",
    "is frozen",
    "is a zombie",
    "vanishes",
)
KINDS: Final = (
    Kind("postgres away", of("postgres"), _server("postgres", ("postgres", "epochs")), 50 * MINUTE),
    Kind("redis away", of("redis"), _server("redis", ("redis",)), 50 * MINUTE),
    Kind("PM2 away", of("pm2"), _server("pm2", ("pm2",)), 50 * MINUTE),
    Kind("seals unreadable", of("epochs"), _seals_unreadable, 5 * HOUR, 4.2 * HOUR, stays=True),
    Kind("host blind", of("host"), _host_blind, 50 * MINUTE),
    Kind("table locked", _has_tables, _table_locked, 50 * MINUTE),
    Kind("Postgres read-only", of("postgres"), _refusal("postgres", "readonly", "it is read-only"), 20 * MINUTE),
    Kind("Postgres full", of("postgres"), _refusal("postgres", "connections", "no slots are left"), 20 * MINUTE),
    Kind("Redis read-only", of("redis"), _refusal("redis", "misconf", "its last save failed"), 20 * MINUTE),
    Kind("another database", of("postgres"), _another_database, 20 * MINUTE),
    *(Kind(f"a service {how}", of("pm2"), _service(how), 20 * MINUTE) for how in SERVICES),
    Kind("a loop", of("pm2"), _service("dies every 20 s"), HOUR, 5 * MINUTE),
    Kind("a loop by a signal", of("pm2"), _service("dies every 20 s by SIGSEGV"), HOUR, 5 * MINUTE),
    Kind("a slow loop", of("pm2"), _service("dies every three minutes"), 2 * HOUR, 20 * MINUTE),
    Kind("one instance dead", lambda n: any(c > 1 for c in n.fleet.instances.values()), _one_of_several, 40 * MINUTE),
    Kind("a dead listener", lambda n: _has_tables(n) and bool(n.fleet.listeners), _dead_listener, 75 * MINUTE),
    Kind("memory over", of("pm2"), _memory_over, HOUR),
    Kind("memory leak", of("pm2"), _memory_leak, 5 * HOUR, 4.5 * HOUR, stays=True),
    Kind("PM2 emptied", of("pm2"), _lost_list, 20 * MINUTE),
    Kind("never runs", lambda n: bool(_to_run(n)), _never_runs, 6 * HOUR, NEVER, stays=True),
    Kind("ingest stop", _has_tables, _stall, 80 * MINUTE, 20 * MINUTE),
    Kind("all rolled back", _has_tables, _rolled_back, 80 * MINUTE, 20 * MINUTE),
    Kind("replay flood", _has_tables, _flood, 10 * MINUTE, 10 * MINUTE),
    Kind("surge", _has_tables, _surge, 2.2 * HOUR, 2.1 * HOUR),
    Kind("doubling", _has_tables, _doubling, 9 * HOUR, 9 * HOUR, stays=True),
    Kind("one group stops", _has_groups, _one_group, 4 * HOUR, 3.3 * HOUR, most=8 * HOUR),
    Kind("all groups stop", _has_groups, _all_groups, 4 * HOUR, 3.3 * HOUR, most=8 * HOUR),
    Kind("gap", _has_groups, _gap, 3 * HOUR, 2.5 * HOUR, stays=True),
    Kind("half unsealed", _counts_channels, _half_unsealed, 3 * HOUR, 1.6 * HOUR),
    Kind("backlog", has_queues, _backlog, HOUR, stays=True),
    Kind("disk full", of("host"), _disk, 30 * MINUTE),
    Kind("disk filling", of("host"), _filling, 4 * HOUR, 3.7 * HOUR),
    Kind("little memory", of("host"), _memory_low, 30 * MINUTE),
    Kind("monitord away", lambda night: True, _away, 4 * HOUR, NEVER, stays=True),
)
