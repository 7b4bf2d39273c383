"""A night as a story: the fleet lives, something goes wrong, monitord looks every 30 seconds, and says what it says.

    night = Night()
    night.passes(minutes=10)
    night["gateway"].stops()
    night.passes(minutes=1)
    night.fired_once("service_down", "gateway")

Nothing sleeps and no clock is read: a night is a fold of `decide` over made observations. Like the daemon, it takes
again the probes a decision asks for, as soon as it asks, and has counted exactly what it asks to be counted.
"""

from __future__ import annotations

import copy
import itertools
import json
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from monitord.core.app_numbers import of_word
from monitord.core.codec import decode, encode
from monitord.core.engine import Decision, State, decide
from monitord.core.history.defaults import defaults
from monitord.core.history.epochs import window_seconds
from monitord.core.model import (
    Answered,
    Command,
    Failure,
    Observation,
    OperatorAction,
    ProcessExit,
    Reading,
    Sample,
    Silence,
    Transition,
    Unmeasured,
    Value,
)
from monitord.core.orders import SEALS, Expected, StandingOrders
from monitord.core.subjects.chain_facts import chain_settings

from .chain import Chain
from .cycles import Cycles, Look
from .fleet import MB, Check, Clock, Group, Host, Keyspace, Queue, Server, Service, Table, Told, sample
from .pipeline import Pipeline
from .sessions import Sessions

# The moment and the numbers of the standing orders' baseline.
BASELINE = datetime(2025, 11, 5, 3, 57, tzinfo=UTC)
MEMORY = {
    "milo-aggregator": 158 * MB,
    "milo-worker-v2": 85 * MB,
    "cls-worker": 88 * MB,
    "gateway": 99 * MB,
    "stream-listener": 77 * MB,
    "tree-builder": 74 * MB,
    "cls-discovery": 0,
}
UPTIME_HOURS = dict(zip(MEMORY, (3, 1.8, 1.7, 14, 14, 14, 1), strict=True))
ROSTER: Mapping[str, Expected] = {name: "periodic" if name == "cls-discovery" else "online" for name in MEMORY}
ORDERS = StandingOrders(services=ROSTER, queues=("tree-builder",))
EVERY = 30.0
ABSENT = "absent"
# What is told of a server by each reading of it.
PM2_ANSWERS = (sample("pm2_latency", 1.5, "ms"),)
POSTGRES_ANSWERS = (sample("response", 0.8, "ms"), sample("connections", 41))
POSTGRES_REFUSES_NOTHING = tuple(sample("postgres_refusal", "", "", why=why) for why in ("connections", "readonly"))
DATABASE_SIZE = (sample("database_size", 2_200_000_000, "bytes"),)
LARGEST_TABLE = (sample("largest_table", 1_100_000_000, "bytes", table="user_signals"),)
REDIS_ANSWERS = (
    sample("redis_latency", 0.4, "ms"),
    *(sample("redis_refusal", "", "", why=why) for why in ("misconf", "oom", "replica", "noreplicas", "connections")),
)
NONE_UNALIGNED = (sample("unaligned_labels", 0),)
Kind = Literal["silence", "unsilence", "ack", "forget"]
# For nights so long that a look every five minutes must do.
LONG = replace(ORDERS, late_after=timedelta(minutes=15))


class Night(Cycles):
    """The fleet, its servers, and a monitord that watches them. `night[name]` is a service, or its first instance."""

    def __init__(
        self,
        orders: StandingOrders = ORDERS,
        *,
        start: datetime = BASELINE,
        every: float = EVERY,
        state: State | None = None,
        services: Iterable[str] = MEMORY,
        keep: int | None = None,
    ) -> None:
        """`keep`: how many looks are kept to be asked about (None: all)."""
        super().__init__()
        self.orders, self.every, self.keep = orders, every, keep
        self.state = state or State()
        self.clock = Clock(start.timestamp())
        self.clock_error = 0.0
        self.lives = True  # whether the seconds that were lived through are told
        # By how much the database server's clock is wrong (None: it is not told).
        self.database_error: float | None = 0.0
        length, begin = int(orders.epoch_length.total_seconds()), self.clock.now
        self.services: list[Service] = []
        self.unlisted: list[Service] = []  # alive, and for the moment not in PM2's list
        self._made = 0
        for name in services:
            self.appears(name)
            self[name].created_at = self[name].started_at = begin - UPTIME_HOURS.get(name, 14) * 3600
        if "cls-discovery" in services:
            self["cls-discovery"].stops()
        window = orders.growth_window.total_seconds()
        self.tables = {name: Table(name, self.clock, length, window) for name in orders.tables}
        for table in self.tables.values():
            for label in range(int(begin - 12 * length) // length * length, int(begin), length):
                table.by_label[label] = table.per_second * min(length, begin - label)
            table.inserted = 9_000_000.0
        self.groups = {
            name: Group(
                name,
                length,
                window_seconds(orders),
                9 if name == "MILO" else 54,
                min(182.0, length / 20),
                orders.epoch_grace.total_seconds(),
                cemented=name in orders.cemented,
            )
            for name in orders.groups
        }
        self.pipeline = Pipeline(self.clock, self.groups)
        self.chain = Chain(self.groups, chain_settings(orders))
        self.queues = {name: Queue(name) for name in orders.queues}
        self.keyspace = Keyspace()
        self.sessions = Sessions(self.clock)
        self.checks = {
            name: Check(name, 0.0 if order.every is None else order.every.total_seconds())
            for name, order in orders.checks.items()
        }
        self.host = Host(boot_at=begin - 30 * 86400)
        self.pm2, self.postgres, self.epochs, self.redis, self.machine = (Server() for _ in range(5))
        self.pipeline_server, self.chain_server, self.checking = Server(), Server(), Server()
        self.replica = False
        # When the standby stopped to replay (None: it has replayed all), and whether it tells.
        self.replay_stopped: float | None = None
        self.tells_lag = True
        # How fast rows come into each table that is not replayed, and since when.
        self.unread: dict[str, tuple[float, float]] = {}
        self.system: str | None = "7301"
        self.server_started = 1_760_000_000.0
        self.database = ("fleet", 16_384)
        # Which PM2 daemon answers ("": its pid file cannot be read).
        self.daemon = ""
        # Since when PM2's bus is heard (None: it is not); how many frames of it nobody read, and whether that goes on;
        # and the lines that each service had written before it was.
        self.bus_since: float | None = begin
        self.bus_unread, self.bus_storms = 0, False
        self.unheard: dict[str, float] = {}
        self.own_gaps: tuple[Unmeasured, ...] = ()
        self.epochs_gaps: tuple[Unmeasured, ...] = ()
        # What a reading says in place of what the simulator would: by sample name and labels.
        self.instead: dict[tuple[str, tuple[tuple[str, str], ...]], Value] = {}
        self.exits: list[ProcessExit] = []
        self.commands: list[Command] = []
        self._courses: dict[str, tuple[float, Callable[[float], float]]] = {}
        self._late: float = 0.0
        self._due = self.clock.now
        self._rechecks: dict[str, float] = {}
        self._exact: frozenset[str] = frozenset()
        self._awaited: frozenset[str] = frozenset()
        self._last: dict[str, Reading] = {}
        # Of each probe what its reading was last made of.
        self._made_of: dict[str, tuple[tuple[tuple[Sample, ...], ...], tuple[Unmeasured, ...], Reading]] = {}
        self._told: dict[str, Told] = defaultdict(Told)
        self._live(0.0)

    def branch(self) -> Night:
        """This night once more, to go on by itself. What was seen and judged so far is shared: nothing changes it."""
        shared = (self.state, self.orders, *self.looks, *self._last.values())
        return copy.deepcopy(
            self, {id(one): one for one in shared} | {id(self._made_of): {}, id(self._told): defaultdict(Told)}
        )

    # The fleet

    def __getitem__(self, service: str) -> Service:
        return next(s for s in self.services if s.name == service)

    def appears(self, name: str, **made_with: str | bool | float) -> Service:
        """A process that PM2 now has in its list."""
        service = Service(name, self.clock, self._made, memory=float(MEMORY.get(name, 85 * MB)))
        self._made += 1
        service.created_at = service.started_at = self.clock.now
        for field, value in made_with.items():
            setattr(service, field, value)
        self.services.append(service)
        return service

    def vanishes(self, name: str) -> None:
        """`pm2 delete`."""
        self.services = [s for s in self.services if s.name != name]

    def memory_goes(self, name: str, course: Callable[[float], float]) -> None:
        """From here on this service's memory (bytes) is a function of the hours gone by."""
        self._courses[name] = self.clock.now, course

    def disk_goes(self, course: Callable[[float], float]) -> None:
        """From here on the disk is used (percent) as a function of the hours gone by."""
        self._courses["/"] = self.clock.now, course

    @property
    def table(self) -> Table:
        """The first watched table."""
        return next(iter(self.tables.values()))

    # Time

    @property
    def now(self) -> float:
        """What monitord's wall clock says (Unix seconds)."""
        return self.clock.now + self.clock_error

    @property
    def _asked_at(self) -> float:
        """What the clock says that bounds the labels which the database is asked for."""
        return self.now if self.database_error is None else self.clock.now + self.database_error

    def tells_no_clock(self) -> None:
        """As recordings from before have it: neither what was lived through nor the server's clock is told."""
        self.lives, self.database_error = False, None

    def clock_steps(self, **by: float) -> None:
        """monitord's wall clock is set forward, or back."""
        self.clock_error += timedelta(**by).total_seconds()

    def passes(self, **duration: float) -> None:
        """So much time goes by, and monitord looks whenever it is due or has asked to look again."""
        end = self.clock.now + timedelta(**duration).total_seconds()
        while (at := min([self._due, *self._rechecks.values()])) <= end:
            self._live(at - self.clock.now)
            if self._due <= at:
                self._due = at + self.every
                self.look()
            else:
                self.look({probe for probe, due in self._rechecks.items() if due <= at})
        self._live(end - self.clock.now)

    def is_due(self) -> None:
        """The next look is due at once."""
        self._due = self.clock.now

    def until(self, hour: int, minute: int, second: int = 0) -> None:
        """Time goes by until the fleet's clock next says so (UTC)."""
        then = datetime.fromtimestamp(self.clock.now, UTC).replace(hour=hour, minute=minute, second=second)
        seconds = (then.timestamp() - self.clock.now) % 86400
        self.passes(seconds=seconds)

    def monitord_is_away(self, **duration: float) -> None:
        """monitord is stopped for so long, and started again from its snapshot; the fleet goes on."""
        self._live(timedelta(**duration).total_seconds())
        self.state = restored(self.state)
        self._counts_anew()
        self._due, self._rechecks, self._exact, self._awaited = self.clock.now, {}, frozenset(), frozenset()

    def monitord_restarts(self) -> None:
        """monitord is stopped and started at once."""
        self.monitord_is_away(seconds=1)

    def cycles_begin_late(self, **by: float) -> None:
        """From here on each cycle begins so long after it was due."""
        self._late = timedelta(**by).total_seconds()

    def _live(self, seconds: float) -> None:
        """The fleet does its work, in steps so small that rows get their right labels."""
        length = self.orders.epoch_length.total_seconds()
        while seconds > 0:
            step = min(seconds, length - self.clock.now % length)
            for table in self.tables.values():
                table.advance(step)
            for queue in self.queues.values():
                queue.advance(step)
            self.host.disk_used += self.host.disk_per_hour * step / 3600
            self.clock.now, self.clock.step = self.clock.now + step, step
            for service in self.services:
                service.advance()
            seconds -= step
        for group in self.groups.values():
            group.advance(self.clock.now)
        for name, (since, course) in self._courses.items():
            level = course((self.clock.now - since) / 3600)
            if name == "/":
                self.host.disk_used = level
            elif name in {service.name for service in self.services}:
                self[name].memory = level

    # monitord

    def look(self, probes: Iterable[str] | None = None) -> Decision:
        """One cycle: observe and decide. None: every probe."""
        asked, self.commands = tuple(self.commands), []
        now = datetime.fromtimestamp(self.now, UTC)
        lived = self.clock.now - BASELINE.timestamp() + 1e9 if self.lives else None
        exits, acts = self._heard()
        readings = self._readings(probes)
        observation = Observation(now, readings, exits, asked, acts, lived, "one" if self.lives else "")
        decision = self.judge(observation)
        self.state = decision.state
        self.looks.append(Look(observation, decision, self.clock.now))
        if self.keep is not None:
            del self.looks[: -self.keep]
        self._rechecks = {r.probe: self.clock.now + r.after for r in decision.rechecks if r.after is not None}
        self._exact = frozenset().union(*(r.exact for r in decision.rechecks))
        self._awaited = frozenset().union(*(r.awaited for r in decision.rechecks))
        return decision

    def asks(self, kind: Kind, target: str = "", silence: Silence | None = None) -> None:
        """An operator asks something of monitord, which hears of it at its next look."""
        self.commands.append(Command(kind, datetime.fromtimestamp(self.now, UTC), target, silence))

    def judge(self, observation: Observation) -> Decision:
        """What monitord makes of an observation."""
        return decide(self.state, observation, self.orders)

    def _heard(self) -> tuple[tuple[ProcessExit, ...], tuple[OperatorAction, ...]]:
        """What PM2's bus has told since the last check: of processes that ended, and of operators' doing."""
        acts: list[OperatorAction] = []
        exits, self.exits = self.exits, []
        for service in self.services:
            if service.exits:
                exits, service.exits = [*exits, *service.exits], []
            if service.acts:
                acts, service.acts = [*acts, *service.acts], []
        return tuple(sorted(exits, key=lambda told: told.at)), tuple(sorted(acts, key=lambda act: act.at))

    def _readings(self, probes: Iterable[str] | None) -> dict[str, Reading]:
        wanted = self.orders.probes if probes is None else self.orders.probes & frozenset(probes)
        readings: dict[str, Reading] = {}
        if "pm2" in wanted:
            readings["pm2"] = self._read("pm2", self.pm2, self._of_pm2())
        if "postgres" in wanted:
            gaps = _gaps(self.tables.values())
            readings["postgres"] = self._read("postgres", self.postgres, self._of_postgres(), gaps)
        if "epochs" in wanted:
            readings["epochs"] = self._read("epochs", self.epochs, self._of_epochs(), self.epochs_gaps)
        if "pipeline" in wanted:
            readings["pipeline"] = self._read("pipeline", self.pipeline_server, self._of_pipeline())
        if "redis" in wanted:
            readings["redis"] = self._read("redis", self.redis, self._of_redis(), _gaps(self.queues.values()))
        if "host" in wanted:
            gaps = () if self.host.disk_gap is None else (self.host.disk_gap,)
            readings["host"] = self._read("host", self.machine, self._of_host(), gaps)
        if "checks" in wanted:
            taken = [
                check.taken(self.now, is_awaited=name in self._awaited, whole=probes is None)
                for name, check in self.checks.items()
            ]
            gaps = tuple(gap for _, gap in taken if gap is not None)
            readings["checks"] = self._read("checks", self.checking, (samples for samples, _ in taken), gaps)
        if "chain" in wanted and not self._is_told("chain"):
            asked = self._awaited if probes is not None else frozenset[str]()
            readings["chain"] = self.chain.taken(self.chain_server, self.now, asked, whole=probes is None)
        readings |= {name: self._of_other(name) for name in sorted(wanted - readings.keys())}
        if self.daemon and "pm2" in readings and readings["pm2"].failure is None:
            readings["pm2"] = replace(readings["pm2"], by=Answered(self.daemon))
        if self.instead:
            readings = {name: self._as_told(found) for name, found in readings.items()}
        if probes is None:
            own = self._told["monitord"].while_as(self._late, self._of_itself)
            readings["monitord"] = Reading("monitord", own, gaps=self.own_gaps)
        for name, found in readings.items():
            self._is_sorted_as_before(found)
            self._last[name] = found
        return readings

    def _read(
        self, probe: str, server: Server, made: Iterable[tuple[Sample, ...]], gaps: tuple[Unmeasured, ...] = ()
    ) -> Reading:
        """A probe's reading of a server; the same as before while all that it is made of is."""
        if (failure := server.trouble()) is not None:
            return Reading(probe, failure=failure, duration_ms=5000.0)
        parts = tuple(made)
        if (last := self._made_of.get(probe)) is not None and last[1] == gaps and _are(parts, last[0]):
            return last[2]
        found = Reading(probe, tuple(itertools.chain.from_iterable(parts)), gaps=gaps, duration_ms=1.5)
        self._made_of[probe] = parts, gaps, found
        return found

    def _is_sorted_as_before(self, found: Reading) -> None:
        """As a replayed recording: a reading of the very samples of the one before is not sorted by names anew."""
        last = self._last.get(found.probe)
        if last is not None and last is not found and _are(found.samples, last.samples):
            found.sort_as(last)

    def _is_told(self, probe: str) -> bool:
        """Whether the story itself gives the whole reading of a probe."""
        return any(name.startswith(f"{probe}:") for name, _ in self.instead)

    def _of_other(self, probe: str) -> Reading:
        """A reading that the story gives (`NAME:sample`), or of a probe that the simulated fleet has nothing for."""
        told = {key: value for key, value in self.instead.items() if key[0].startswith(f"{probe}:")}
        if (kind := told.pop((f"{probe}:failure", ()), ABSENT)) != ABSENT:
            return Reading(probe, failure=decode(Failure, {"kind": kind, "error": f"it is {kind}"}), duration_ms=1.5)
        samples = (Sample(name.partition(":")[2], labels, told[name, labels], "1") for name, labels in told)
        return Reading(probe, tuple(one for one in samples if one.value != ABSENT), duration_ms=1.5)

    def counters_jump(self, rows: int) -> None:
        """Another server counts, and so many more rows."""
        self.server_started += 86400
        self.table.jumps(rows)

    def _as_told(self, found: Reading) -> Reading:
        """The reading with the values in it that the story gives; ABSENT ones are left out."""
        told = ((s, self.instead.get((s.name, s.labels), s.value)) for s in found.samples)
        samples = (s if value is s.value else replace(s, value=value) for s, value in told if value != ABSENT)
        return replace(found, samples=tuple(samples))

    def _of_itself(self) -> tuple[Sample, ...]:
        return (
            sample("cycle_late", self._late, "seconds"),
            sample("cycle_took", 0.05, "seconds"),
            sample("memory", 60 << 20),
        )

    def _of_pm2(self) -> Iterator[tuple[Sample, ...]]:
        for service in self.services:
            yield service.samples()
        if values := ";".join(of_word(one.told)[1] for one in self.services if one.told and one.state == "online"):
            yield (sample("app_values", values, ""),)
        yield PM2_ANSWERS
        if self.bus_since is not None:
            self.bus_unread += 1000 * self.bus_storms
            lines = [(service.name, service.error_lines) for service in self.services if service.error_lines]
            of = (self.bus_since, self.bus_unread, lines, self.unheard)
            yield self._told["bus"].while_as(of, lambda: self._of_bus(lines))

    def _of_bus(self, lines: Iterable[tuple[str, float]]) -> Iterator[Sample]:
        """What the present monitord has counted of error lines since it listens to PM2's bus."""
        yield sample("error_lines_since", self.bus_since, "timestamp")
        if self.bus_unread:
            yield sample("error_lines_unread", self.bus_unread)
        counted: dict[str, float] = {}
        for name, of_one in lines:
            counted[name] = counted.get(name, 0.0) + of_one
        for name, written in counted.items():
            if heard := round(written - self.unheard.get(name, 0.0)):
                yield sample("error_lines", heard, service=name)

    def bus_is_heard(self) -> None:
        """From here on monitord listens to PM2's bus, by a connection that has just begun."""
        self.bus_since = self.now

    def bus_is_lost(self) -> None:
        """PM2's bus is not heard: what is written meanwhile nobody counts."""
        self.bus_since = None

    def _counts_anew(self) -> None:
        """Another monitord has counted nothing yet."""
        self.unheard = {}
        for service in self.services:
            self.unheard[service.name] = self.unheard.get(service.name, 0.0) + service.error_lines
        if self.bus_since is not None:
            self.bus_since, self.bus_unread = self.now, 0

    def _of_postgres(self) -> Iterator[tuple[Sample, ...]]:
        yield POSTGRES_ANSWERS
        yield self.sessions.samples()
        yield DATABASE_SIZE
        lag = None if self.replay_stopped is None else self.clock.now - self.replay_stopped
        of = (self.replica, lag, self.tells_lag)
        yield self._told["replica"].while_as(of, lambda: self._of_a_replica(lag or 0.0))
        if self.database_error is not None:
            yield (Sample("server_clock", (), self.clock.now + self.database_error, "timestamp"),)
        yield self._told["server"].while_as((self.system, self.server_started, self.database), self._of_the_server)
        yield POSTGRES_REFUSES_NOTHING
        for table in self.tables.values():
            if table.gap is None:
                yield from table.samples(self._exact, self._asked_at, replica=self.replica)
        away = [self.epochs.failure, *(table.gap for table in self.tables.values())]
        yield self._told["defaults"].while_as((away, self.orders), self._of_defaults)
        yield LARGEST_TABLE

    def _of_a_replica(self, lag: float) -> Iterator[Sample]:
        yield sample("replica", int(self.replica))
        if self.replica:
            yield sample("replica_lag", lag if self.tells_lag else None, "seconds")

    def _of_the_server(self) -> Iterator[Sample]:
        yield sample("system_identifier", self.system, "")
        yield sample("server_started", self.server_started, "timestamp")
        yield sample("database_oid", self.database[1], database=self.database[0])

    def _of_defaults(self) -> Iterator[Sample]:
        for name in defaults(self.orders):
            gap, failure = self.tables[name].gap if name in self.tables else None, self.epochs.failure
            away = failure if name == SEALS else gap
            yield sample("there", int(away is None or away.kind != "missing"), table=name)

    def _of_epochs(self) -> Iterator[tuple[Sample, ...]]:
        for group in self.groups.values():
            yield group.samples(self._asked_at)
        yield NONE_UNALIGNED
        for group in self.groups.values():
            yield group.participation(self._asked_at)

    def _of_pipeline(self) -> Iterator[tuple[Sample, ...]]:
        yield tuple(self.pipeline.samples(self._asked_at))

    def _of_host(self) -> Iterator[tuple[Sample, ...]]:
        yield self.host.samples()

    def _of_redis(self) -> Iterator[tuple[Sample, ...]]:
        yield self.keyspace.samples()
        yield REDIS_ANSWERS
        for queue in self.queues.values():
            if queue.gap is None:
                yield queue.samples()


def _are(some: Sequence[object], others: Sequence[object]) -> bool:
    """Whether they are the very same objects, one by one."""
    return len(some) == len(others) and all(map(operator.is_, some, others))


def watching(
    *probes: str,
    orders: StandingOrders = ORDERS,
    every: float = EVERY,
    services: Iterable[str] = MEMORY,
    start: datetime = BASELINE,
) -> Night:
    """A night in which only these probes are taken: the others have nothing to say of what is asked, and cost time."""
    return Night(replace(orders, probes=frozenset(probes)), every=every, services=services, start=start)


def _gaps(parts: Iterable[Table] | Iterable[Queue]) -> tuple[Unmeasured, ...]:
    found = (part.gap or (part.uncounted if isinstance(part, Table) else None) for part in parts)
    return tuple(gap for gap in found if gap is not None)


def restored(state: State) -> State:
    """The state as its snapshot gives it back, through text."""
    return decode(State, json.loads(json.dumps(encode(state))))


def fold(
    observations: Iterable[Observation], orders: StandingOrders, *, cuts: Iterable[int] = (), state: State | None = None
) -> tuple[State, list[tuple[datetime, Transition]]]:
    """The last state and all edges of a run of observations. After each of `cuts` the state goes through its text."""
    state, edges, cut = state or State(), [], set(cuts)
    for number, observation in enumerate(observations):
        decision = decide(state, observation, orders)
        state = restored(decision.state) if number in cut else decision.state
        edges += [(observation.now, transition) for transition in decision.transitions]
    return state, edges


def orders(**changes: object) -> StandingOrders:
    """The baseline's orders with something changed."""
    return replace(ORDERS, **changes)  # type: ignore[arg-type]
