"""The made-up fleet and its servers: what there is to measure on a night, and the ways in which it can go wrong."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from monitord.core import model
from monitord.core.anomalies.completeness import silences
from monitord.core.app_numbers import of_word
from monitord.core.model import Failure, Kind, OperatorAction, ProcessExit, Reading, Sample, Unmeasured, Value

HOUR = 3600.0
MB = 1_000_000
# Most of what a server tells it has told before.
sample = functools.lru_cache(maxsize=4096, typed=True)(model.sample)


@dataclass
class Told:
    """What was last told, and of what: while that is as it was, it is told by the same objects."""

    of: object = None
    samples: tuple[Sample, ...] = ()

    def while_as(self, of: object, made: Callable[[], Iterable[Sample]]) -> tuple[Sample, ...]:
        if of != self.of:
            self.of, self.samples = of, tuple(made())
        return self.samples


# What of a service PM2's list tells.
_told = operator.attrgetter(
    "pm_id",
    "name",
    "state",
    "process",
    "memory",
    "cpu",
    "started_at",
    "restarts",
    "created_at",
    "exit_code",
    "schedule",
    "cron",
    "memory_limit",
    "autorestart",
    "restart_delay",
    "may_end",
    "watch",
    "kill_timeout",
    "listen_timeout",
    "module",
    "own",
    "told",
    "heap_limit",
)


@dataclass
class Service:
    """One process under PM2. Times are Unix seconds; `clock` is the fleet's."""

    name: str
    clock: Clock
    pm_id: int = 0
    memory: float | None = 85.0 * MB
    cpu: float = 1.5
    state: str = "online"
    process: str | None = "running"
    restarts: int = 0
    created_at: float | None = 0.0
    started_at: float | None = 0.0
    exit_code: int | None = None
    schedule: str | None = None
    cron: str | None = None
    module: bool = False
    own: bool = False
    memory_limit: float | None = None
    watch: bool = False
    autorestart: bool = True
    restart_delay: float | None = None
    may_end: bool = False
    # It runs for so many seconds, every so many.
    rhythm: tuple[float, float] | None = None
    # What it tells of itself: how late its event loop is (ms), and of its heap how much it uses and may use (MiB).
    loop_ms: float | None = None
    heap: float | None = None
    # As `sawtooth`, of the heap in MiB.
    heap_sawtooth: tuple[float, float, float] | None = None
    heap_limit: float | None = None
    blocked: bool = False
    told: str = ""
    # Its own numbers, as it tells them.
    numbers: dict[str, str] = field(default_factory=lambda: {"HTTP P95 Latency": "12 ms", "Jobs": "3 jobs"})
    # The lines a minute that it writes to stderr, and how many it has written.
    error_rate: float = 0.0
    error_lines: float = 0.0
    kill_timeout: float | None = None
    listen_timeout: float | None = None
    memory_per_hour: float = 0.0
    # Lowest, highest, and seconds from one to the other: what a garbage collector does to memory.
    sawtooth: tuple[float, float, float] | None = None
    crash_every: float | None = None
    # By which signal it dies again and again, as PM2's bus tells of it ("": the bus is not heard).
    crash_signal: str = ""
    exits: list[ProcessExit] = field(default_factory=list)
    acts: list[OperatorAction] = field(default_factory=list)
    _crash_due: float = 0.0
    _as_told: Told = field(default_factory=Told)
    _run_due: float = 0.0

    def advance(self) -> None:
        """What it does by itself up to now: its memory moves, and it may die again and again."""
        now, seconds = self.clock.now, self.clock.step
        if self.sawtooth is not None:
            low, high, period = self.sawtooth
            self.memory = round(low + (high - low) * (now % period) / period)
        elif self.memory_per_hour and self.memory is not None:
            self.memory += self.memory_per_hour * seconds / HOUR
        if self.error_rate and self.state == "online":
            # A little more and less than that: no two minutes are the same.
            self.error_lines += self.error_rate * seconds / 60 * (1 + 0.2 * math.sin(now / 200))
        self._tells(now)
        if self.rhythm is not None:
            lasts, every = self.rhythm
            while self._run_due <= now:
                begun = self.started_at or 0.0
                if self.state != "online":
                    self.begins(self._run_due)
                    self._run_due += lasts
                else:
                    self.ends(0, at=self._run_due)
                    self._run_due += max(1.0, begun + every - self._run_due)
        if self.crash_every is not None:
            while self._crash_due <= now:
                if self.crash_signal:
                    self.is_killed(self.crash_signal, self._crash_due)
                else:
                    self.crashes()
                self._crash_due += self.crash_every

    def _tells(self, now: float) -> None:
        """Its numbers, which move with each second while its event loop turns."""
        if self.loop_ms is None or self.blocked:
            return
        if self.heap_sawtooth is not None:
            low, high, period = self.heap_sawtooth
            self.heap = low + (high - low) * (now % period) / period
        used = (40.0 if self.heap is None else self.heap) + now % 61 / 100  # no whole number of minutes
        loop = f"Event Loop Latency p95: {self.loop_ms:.2f} ms"
        self.told = " | ".join(
            [f"Used Heap Size: {used:.2f} MiB", loop, *(f"{name}: {told}" for name, told in self.numbers.items())]
        )

    def runs(self, lasts: float, every: float) -> None:
        """From here on it runs for so many seconds, every so many, beginning now."""
        self.rhythm, self._run_due = (lasts, every), self.clock.now + (0.0 if self.state != "online" else lasts)

    def runs_no_more(self) -> None:
        """It ends, and nobody begins it again."""
        self.rhythm = None
        if self.state == "online":
            self.ends(0)

    def begins(self, at: float | None = None) -> None:
        """Its next run: PM2 begins it again, or somebody starts it."""
        at = self.clock.now if at is None else at
        if self.state == "waiting restart":
            self.restarts += 1
        else:
            self.created_at = at
        self.state, self.process, self.started_at = "online", "running", at

    def ends(self, code: int, signal: str = "", at: float | None = None) -> None:
        """It ends by itself, and PM2 does as it is told for that; its bus tells."""
        at = self.clock.now if at is None else at
        self.exits.append(ProcessExit(self.name, str(self.pm_id), at, code, signal, restarts=self.restarts))
        self.stops(code)
        if self.restart_delay is not None:
            self.state = "waiting restart"

    def crashes_every(self, seconds: float) -> None:
        """From here on it lives so long and no longer, again and again."""
        self.crash_every, self._crash_due = seconds, self.clock.now + seconds

    def crashes(self, times: int = 1) -> None:
        """Dies, and PM2 starts it again within milliseconds: only the counter shows it."""
        self.restarts += times
        self.started_at, self.exit_code = self.clock.now, 1

    def is_killed(self, signal: str, at: float) -> None:
        """Dies by a signal, which PM2's bus tells and its list calls exit code 0."""
        self.crashes()
        self.exit_code, self.started_at = 0, at
        self.exits.append(ProcessExit(self.name, str(self.pm_id), at, 0, signal, restarts=self.restarts))

    def is_too_big(self) -> None:
        """PM2 begins it anew, since it uses more memory than its max_memory_restart; the bus says why."""
        self.exits.append(
            ProcessExit(self.name, str(self.pm_id), self.clock.now, 0, memory=True, restarts=self.restarts + 1)
        )
        self.is_restarted()

    def is_restarted_by_rule(self, times: int, *, heard: bool, watch: bool = False) -> None:
        """PM2 begins it anew by a rule of its own, again and again within a moment; `heard`: its bus is."""
        for _ in range(times):
            if heard:
                told = ProcessExit(self.name, str(self.pm_id), self.clock.now, 0, restarts=self.restarts)
                self.exits.append(replace(told, watch=watch, memory=not watch))
            self.is_restarted()

    def is_restarted(self) -> None:
        """`pm2 restart` by an operator."""
        self.restarts += 1
        self.starts()

    def starts(self) -> None:
        """`pm2 start` of what is there."""
        self.state, self.process, self.exit_code = "online", "running", None
        self.created_at = self.started_at = self.clock.now

    def is_launching(self) -> None:
        """Begun by PM2, which waits for it to say that it is ready."""
        self.state, self.process = "launching", "running"
        self.created_at = self.started_at = self.clock.now

    def is_stopping(self) -> None:
        """The first half of an operator's restart: told to end, and not ended yet."""
        self.state = "stopping"

    def stops(self, exit_code: int | None = None) -> None:
        self.state, self.process, self.exit_code = "stopped", None, exit_code

    def is_stopped_by_hand(self) -> None:
        """`pm2 stop`, which PM2's bus tells of."""
        at, pm_id = self.clock.now, str(self.pm_id)
        self.acts += [OperatorAction(self.name, pm_id, at, what) for what in ("stopping", "ended", "stop")]
        self.exits.append(ProcessExit(self.name, pm_id, at, 0, manually=True, restarts=self.restarts))
        self.stops(0)

    def is_given_up(self, after: int = 16) -> None:
        """PM2 has restarted it often enough: it forgets when it made it."""
        self.restarts += after
        self.started_at = self.clock.now if after else self.started_at
        self.state, self.process, self.exit_code, self.created_at = "errored", None, 1, None

    def is_reset(self) -> None:
        """`pm2 reset`: the counter begins anew and so does `created_at`, with no restart."""
        self.restarts, self.created_at = 0, self.clock.now

    def is_frozen(self, how: str = "stopped") -> None:
        self.process = how

    def thaws(self) -> None:
        self.process = "running"

    def samples(self) -> tuple[Sample, ...]:
        """What PM2's list tells of it; the same as before while it is as it was."""
        return self._as_told.while_as(_told(self), self._samples)

    def _samples(self) -> Iterator[Sample]:
        labels = (("instance", str(self.pm_id)), ("service", self.name))  # in order, as `sample` would have them
        alive = self.state == "online"
        yield Sample("service_state", labels, self.state, "")
        yield Sample("service_process", labels, self.process, "")
        yield Sample("service_memory", labels, self.memory if alive else None, "bytes")
        yield Sample("service_cpu", labels, self.cpu if alive else None, "percent")
        begun = self.started_at if self.state in {"online", "launching"} else None
        yield Sample("service_started_at", labels, begun, "timestamp")
        yield Sample("service_restarts", labels, self.restarts, "1")
        yield Sample("service_created_at", labels, self.created_at, "timestamp")
        yield Sample("service_exit_code", labels, self.exit_code, "1")
        if self.schedule is not None:
            yield Sample("service_schedule", labels, self.schedule, "")
        if self.cron is not None:
            yield Sample("service_cron", labels, self.cron, "")
        if self.memory_limit is not None:
            yield Sample("service_memory_limit", labels, self.memory_limit, "bytes")
        if self.state not in {"online", "launching"}:
            yield Sample("service_last_started_at", labels, self.started_at, "timestamp")
        if not self.autorestart:
            yield Sample("service_autorestart", labels, 0, "1")
        if self.restart_delay is not None:
            yield Sample("service_restart_delay", labels, self.restart_delay, "seconds")
        if self.may_end:
            yield Sample("service_may_end", labels, 1, "1")
        if self.watch:
            yield Sample("service_watch", labels, 1, "1")
        if self.state == "stopping" and self.kill_timeout is not None:
            yield Sample("service_kill_timeout", labels, self.kill_timeout, "seconds")
        if self.state == "launching" and self.listen_timeout is not None:
            yield Sample("service_listen_timeout", labels, self.listen_timeout, "seconds")
        if self.module:
            yield Sample("service_module", labels, 1, "1")
        if self.own:
            yield Sample("service_self", labels, 1, "1")
        if self.told and alive:
            yield Sample("service_app_form", labels, of_word(self.told)[0], "")
            if self.heap_limit is not None:
                yield Sample("service_heap_limit", labels, self.heap_limit, "bytes")


@dataclass
class Clock:
    """The fleet's own time (Unix seconds), and how far it last moved. monitord's clock may say something else."""

    now: float
    step: float = 0.0


@dataclass
class Table:
    """A table that rows come into, with the counters Postgres keeps of it and what a count would find."""

    name: str
    clock: Clock
    length: int
    window: float
    per_second: float = 42_000 / HOUR
    rolled_back_per_second: float = 0.0
    rows: int = 4_096_837
    inserted: float = 0.0
    countable: bool = True
    counts: bool = True
    # Whether the counters see what comes; `counting` is whether the server says that they do (track_counts).
    seen: bool = True
    counting: bool = True
    # What is moved by commits alone, and VACUUM and ANALYZE, which estimate the live rows anew.
    live: float = 4_096_837.0
    changed: float = 0.0
    vacuums: int = 0
    analyses: int = 0
    # How much older than the present one the labels of arriving rows are (seconds).
    late_by: float = 0.0
    deleted: float = 0.0
    deleted_per_second: float = 0.0
    # Whether the counters that commits alone move are told (not by a monitord of before they were).
    tells_commits: bool = True
    # Whether rows are counted by a key drawn from a sequence, and not by labels; `came` has drawn so many.
    keyed: bool = False
    came: float = 0.0
    # The rate doubles in so many seconds, time and again.
    doubles_every: float | None = None
    # So many rows at once, every so many seconds; and when next.
    bulk: tuple[int, float] | None = None
    # Lowest and highest rate of a day: lowest at 04:00 UTC, highest at 16:00.
    rhythm: tuple[float, float] | None = None
    # Rows that are inserted and deleted again at once.
    fleeting_per_second: float = 0.0
    # Pages that a row takes; while it is 0 nobody measures the size of the rows.
    heap_per_row: float = 0.0
    heap: float = 1000.0
    cap: int = 2_000_000
    oid: int = 16_400
    gap: Unmeasured | None = None
    counted: int = 0
    by_label: dict[int, float] = field(default_factory=dict)
    _rest: dict[str, float] = field(default_factory=dict)
    _as_told: Told = field(default_factory=Told)

    @property
    def uncounted(self) -> Unmeasured | None:
        """What the probe says where no counter tells and the exact count does not finish."""
        if self.counting or self.counts or not self.countable:
            return None
        return Unmeasured(
            self.name, "timeout", f"the growth of {self.name} cannot be told: no counter and no count tells"
        )

    def advance(self, seconds: float) -> None:
        if self.rhythm is not None:
            low, high = self.rhythm
            self.per_second = low + (high - low) * (1 - math.cos((self.clock.now / 86400 - 1 / 6) * 2 * math.pi)) / 2
        if self.doubles_every is not None and seconds > 0:
            grown = 2 ** (seconds / self.doubles_every)
            self._gain(self.per_second * self.doubles_every * (grown - 1) / math.log(2))
            self.per_second *= grown
        else:
            self._gain(self.per_second * seconds)
        if self.bulk is not None:
            rows, every = self.bulk
            self._gain(rows * ((self.clock.now + seconds) // every - self.clock.now // every))
        self.inserted += self.rolled_back_per_second * seconds
        self._lose(self.deleted_per_second * seconds)
        fleeting = self._whole("fleeting", self.fleeting_per_second * seconds)
        self.inserted, self.deleted = self.inserted + fleeting, self.deleted + fleeting
        self.changed += 2 * fleeting

    def floods(self, rows: int, late_by: float | None = None) -> None:
        """So many rows at once, with labels that are so many seconds old (None: as old as the others')."""
        self._gain(rows, late_by)

    def tells_late(self, rows: float) -> None:
        """The counters tell of so many rows that they did not see as they came."""
        whole = self._whole("inserted", rows)
        self.inserted, self.live, self.changed = self.inserted + whole, self.live + whole, self.changed + whole

    def is_vacuumed(self, live: float) -> None:
        """VACUUM: the live rows are estimated anew."""
        self.vacuums, self.live = self.vacuums + 1, live

    def is_analyzed(self, live: float | None = None) -> None:
        """ANALYZE: the changes begin from nothing, and the live rows are estimated anew (None: well)."""
        self.analyses, self.changed = self.analyses + 1, 0.0
        if live is not None:
            self.live = live

    def jumps(self, rows: int) -> None:
        """The counters stand elsewhere, as those of another server do: so many rows were inserted, half are there."""
        gone = rows // 2
        self.inserted, self.deleted = self.inserted + rows, self.deleted + gone
        self.live, self.changed = self.live + rows - gone, self.changed + rows + gone

    def rolls_back(self, rows: int) -> None:
        """So many rows that are inserted and taken back: the counter keeps them."""
        self.inserted += rows

    def _gain(self, rows: float, late_by: float | None = None) -> None:
        late = self.late_by if late_by is None else late_by
        label = math.floor((self.clock.now - late) / self.length) * self.length
        self.by_label[label] = self.by_label.get(label, 0.0) + rows
        if self.seen and self.counting:
            self.tells_late(rows)
        self.rows += int(rows)
        self.came += rows
        self.heap += rows * self.heap_per_row

    def _lose(self, rows: float) -> None:
        gone = self._whole("deleted", rows)
        self.deleted, self.live, self.changed = self.deleted + gone, max(0.0, self.live - gone), self.changed + gone

    def _whole(self, counter: str, rows: float) -> int:
        """The whole rows among so many more; the rest is counted with the next."""
        self._rest[counter] = self._rest.get(counter, 0.0) + rows
        whole = math.floor(self._rest[counter])
        self._rest[counter] -= whole
        return whole

    def is_truncated(self) -> None:
        """All rows are gone; the counters of inserts and deletes do not know."""
        self.by_label, self.rows, self.live = {}, 0, 0.0

    def forgets_statistics(self) -> None:
        """An unclean restart, or pg_stat_reset."""
        self.inserted = self.deleted = self.live = self.changed = 0.0
        self.vacuums = self.analyses = 0

    def samples(self, exact: frozenset[str], now: float, *, replica: bool) -> Iterator[tuple[Sample, ...]]:
        """What its counters tell, and how many rows were counted where that is asked."""
        of = (self.oid, self.deleted, self.vacuums, self.analyses)
        how = (self.counting, self.tells_commits, self.countable, replica)
        standing = self._as_told.while_as((of, how), lambda: self._standing(replica=replica))
        yield tuple(self._with_what_moves(*standing, replica=replica))
        yield tuple(self._counted(exact, now, replica=replica))

    def _standing(self, *, replica: bool) -> Iterator[Sample]:
        """What mostly is as it was."""
        labels = {"table": self.name}
        yield sample("table_oid", self.oid, **labels)
        yield sample("table_deleted", None if replica else math.floor(self.deleted), **labels)
        if self.counting and self.tells_commits:
            for name, value in (("updated", 0), ("vacuums", self.vacuums), ("analyses", self.analyses)):
                yield sample(f"table_{name}", None if replica else value, **labels)
        yield sample("table_size", 1_100_000_000, "bytes", **labels)
        yield sample("table_countable", int(self.countable), **labels)
        if not self.counting:
            yield sample("table_counters", 0, **labels)

    def _with_what_moves(self, oid: Sample, deleted: Sample, *others: Sample, replica: bool) -> Iterator[Sample]:
        """What moves with each row, among what mostly is as it was."""
        labels = (("table", self.name),)
        yield oid
        yield Sample("table_rows", labels, self.rows, "1")
        yield Sample("table_inserted", labels, None if replica else math.floor(self.inserted), "1")
        yield deleted
        if self.heap_per_row:
            yield Sample("table_heap", labels, math.floor(self.heap), "1")
            yield Sample("table_written", labels, math.floor(self.inserted + self.deleted), "1")
        if self.counting and self.tells_commits:
            yield others[0]
            yield Sample("table_live", labels, None if replica else math.floor(self.live), "1")
            yield Sample("table_changed", labels, None if replica else math.floor(self.changed), "1")
            others = others[1:]
        yield from others

    def _counted(self, exact: frozenset[str], now: float, *, replica: bool) -> Iterator[Sample]:
        if (self.name in exact or replica or not self.counting) and self.countable:
            if not self.counts:  # as the probe says that one did not finish in time
                yield sample("table_recent", None, table=self.name, since="0")
                return
            self.counted += 1
            if self.keyed:
                yield sample("table_arrived", math.floor(self.came), table=self.name, since="0", capped="0")
                return
            since = math.floor((now - self.window) / self.length) * self.length
            rows = self._since(since)
            if rows < self.cap:
                later = since + self.length
                yield sample("table_recent", self._since(later), table=self.name, since=str(later))
            yield sample("table_recent", min(rows, self.cap), table=self.name, since=str(since))

    def is_pruned(self, before: float) -> None:
        """Rows of labels before a moment are deleted in bulk: the counters of inserts do not fall."""
        old = [label for label in self.by_label if label < before]
        gone = math.floor(sum(self.by_label.pop(label) for label in old))
        self.rows -= gone
        self._lose(gone)

    def _since(self, label: int) -> int:
        return math.floor(sum(rows for at, rows in self.by_label.items() if at >= label))


@dataclass
class Group:
    """A token group that seals each epoch `delay` seconds after its end, while `sealing`; `delays` are exceptions.

    While `careless`, labels of the future are told too. `takes_part` names the channels of a label; without it nobody
    counts who takes part, as where there is no such table. Those in `left_out` are not sealed with their label.
    """

    name: str
    length: int
    window: float
    channels: int
    delay: float = 182.0
    grace: float = 900.0
    cemented: bool = False
    sealing: bool = True
    careless: bool = False
    skips: set[int] = field(default_factory=set)
    delays: dict[int, float] = field(default_factory=dict)
    sealed: dict[int, int] = field(default_factory=dict)
    sealed_at: dict[int, float] = field(default_factory=dict)
    takes_part: Callable[[int], Collection[str]] | None = None
    left_out: dict[int, set[str]] = field(default_factory=dict)
    # Who took part before it fell silent.
    heard: Callable[[int], Collection[str]] | None = None
    # Labels off the grid, and how many seals carry each.
    odd: dict[int, int] = field(default_factory=dict)
    _advanced: float = -math.inf
    _is_on_grid: bool = True
    _sealed_told: tuple[dict[int, int], dict[int, float]] = field(default_factory=lambda: ({}, {}))
    _seals_told: Told = field(default_factory=Told)
    _channels_told: Told = field(default_factory=Told)

    def advance(self, now: float) -> None:
        """Seal what is due, and whatever was left over from before."""
        newest = math.floor(now / self.length) * self.length - self.length
        label = newest
        while self.sealing and label not in self.sealed and label > newest - self.window:
            at = label + self.length + self.delays.get(label, self.delay)
            if label not in self.skips and at <= now:
                self.seals(label, at if at > self._advanced else now)
            label -= self.length
        self._advanced = now

    def seals(self, label: int, at: float) -> None:
        """One label is sealed at a moment (Unix seconds)."""
        channels = self.channels if self.takes_part is None else len(self._sealed_of(label))
        if channels or self.takes_part is None:  # without channels there are no rows
            self.sealed[label], self.sealed_at[label] = channels, at

    def forgets(self, before: float) -> None:
        """Labels before a moment are deleted."""
        for label in [label for label in self.sealed if label < before]:
            del self.sealed[label], self.sealed_at[label]

    def _sealed_of(self, label: int) -> set[str]:
        took = set() if self.takes_part is None else set(self.takes_part(label))
        return took - self.left_out.get(label, set())

    def samples(self, now: float) -> tuple[Sample, ...]:
        """The seals of the labels that are asked for at a moment (Unix seconds)."""
        since, until = now - self.window, math.inf if self.careless else now
        odd = {label: count for label, count in self.odd.items() if since <= label <= now}
        sealed = self._as_sealed()
        # Of labels on the grid none enters or leaves the window while it does not pass one.
        edges = (-(-since // self.length), until // self.length) if self._is_on_grid else (since, until)
        of = (sealed, odd, self.delay, edges)
        return self._seals_told.while_as(
            of, lambda: self._samples([label for label in self.sealed if since <= label <= until], odd)
        )

    def _as_sealed(self) -> tuple[dict[int, int], dict[int, float]]:
        """What is sealed and when, as it is now: the same while nothing of it has changed."""
        if self._sealed_told != (self.sealed, self.sealed_at):
            self._sealed_told = (self.sealed.copy(), self.sealed_at.copy())
            self._is_on_grid = not any(label % self.length for label in self.sealed)
        return self._sealed_told

    def _samples(self, labels: Iterable[int], odd: Mapping[int, int]) -> Iterator[Sample]:
        for label in sorted(labels):
            due = label + self.length + self.delay
            yield from _seal(self.name, label, self.sealed[label], self.sealed_at.get(label, due))
        if odd:
            yield sample("unaligned_seals", sum(odd.values()), group=self.name)
            yield sample("unaligned_newest", max(odd), "timestamp", group=self.name)

    def participation(self, now: float) -> tuple[Sample, ...]:
        """Who took part in the newest complete label, and in which absent ones nobody did, as the probe tells."""
        if self.takes_part is None:
            return ()
        first = -(-math.floor(now - self.window) // self.length) * self.length
        last = math.floor(now / self.length) * self.length - self.length
        newest = math.floor((now - self.grace) / self.length) * self.length - self.length
        left_out = {label: frozenset(channels) for label, channels in self.left_out.items()} if self.left_out else None
        of = (self.takes_part, first, last, newest, self.cemented, left_out, self._as_sealed())
        return self._channels_told.while_as(of, lambda: self._participation(first, last, newest))

    def _participation(self, first: int, last: int, newest: int) -> Iterator[Sample]:
        if self.takes_part is None:
            return
        oldest = min((label for label in self.sealed if label >= first), default=first)
        for label in range(oldest, last + self.length, self.length):
            if label not in self.sealed and not self.takes_part(label):
                yield sample("nothing_to_seal", 1, group=self.name, epoch=str(label))
        took = set(self.takes_part(newest))
        unsealed = sorted(took - (self._sealed_of(newest) if newest in self.sealed else set()))
        labels = {"group": self.name, "epoch": str(newest)}
        yield sample("seal_participating", len(took), **labels)
        yield sample("seal_unsealed", len(unsealed), **labels)
        for channel in unsealed[:5]:
            yield sample("unsealed_channel", 1, channel=channel, **labels)
        if self.cemented:
            known, silent = _known_and_silent(self.takes_part, newest, self.length)
            yield sample("channels_known", known, group=self.name)
            for channel in sorted(silent)[:10]:
                yield sample("channel_silent", silent[channel], group=self.name, channel=channel)


@functools.lru_cache(maxsize=512)  # for an epoch it is the same, and so it is in each night of the same hours
def _known_and_silent(
    takes_part: Callable[[int], Collection[str]], newest: int, length: int
) -> tuple[int, Mapping[str, int]]:
    """How many channels are known as of a label, and which are silent."""
    lives: dict[str, set[int]] = {}
    for label in range(newest - 71 * length, newest + length, length):
        for channel in takes_part(label):
            lives.setdefault(channel, set()).add(label)
    return len(lives), silences(lives, newest)


@functools.lru_cache(maxsize=1000)
def _seal(group: str, label: int, channels: int, at: float) -> tuple[Sample, Sample]:
    labels = {"group": group, "epoch": str(label)}
    return sample("seal_channels", channels, **labels), sample("seal_at", at, "timestamp", **labels)


@dataclass
class Queue:
    """A BullMQ queue: how many jobs wait, and how many more come than are done.

    `taken` is how many are taken at once every so many seconds (None: at no such times). `moves`: its workers take jobs
    and finish them, of which `fails_per_second` fail. Failed jobs are kept, or removed at once; `counted`: its workers
    count them.
    """

    name: str
    waiting: float = 3.0
    per_second: float = 0.0
    gap: Unmeasured | None = None
    taken: tuple[int, float] | None = None
    moves: bool = True
    active: int = 0
    is_paused: bool = False
    oldest: float | None = None
    fails_per_second: float = 0.0
    removes_failed: bool = False
    counted: bool = False
    failed: float = 0.0
    _said: float = 0.0
    _at: float = 0.0
    _failures: list[tuple[float, float]] = field(default_factory=list)
    _lived: float = 0.0
    _as_told: Told = field(default_factory=Told)

    def advance(self, seconds: float) -> None:
        self.waiting = max(0.0, self.waiting + self.per_second * seconds)
        self._at += seconds
        if self.fails_per_second:
            self.fails(self.fails_per_second * seconds)
        if self.taken is not None:
            count, every = self.taken
            self._lived += seconds
            while self._lived >= every:
                self._lived -= every
                self.waiting = max(0.0, self.waiting - count)

    def fails(self, count: float) -> None:
        """So many jobs fail."""
        self.failed += count
        self._failures = [(at, many) for at, many in self._failures if at > self._at - 3600] + [(self._at, count)]

    def samples(self) -> tuple[Sample, ...]:
        waiting, failed = math.floor(self.waiting), math.floor(self.failed)
        recent = math.floor(sum(many for at, many in self._failures if at > self._at - 3600))
        new = failed - math.floor(self._said)
        self._said = self.failed
        oldest = round(self.oldest, 3) if self.waiting >= 1 and self.oldest is not None else None
        state = (self.active, self.is_paused, self.moves, self.removes_failed, self.counted)
        of = (waiting, failed, recent, new, oldest, state)
        return self._as_told.while_as(of, lambda: self._samples(waiting, recent, new, oldest))

    def _samples(self, waiting: int, recent: int, new: int, oldest: float | None) -> Iterator[Sample]:
        kept = 0 if self.removes_failed else math.floor(self.failed)
        parts = {"waiting": waiting, "wait": waiting, "active": self.active, "failed": kept}
        for part in ("waiting", "wait", "paused", "prioritized", "active", "delayed", "failed"):
            yield sample(f"queue_{part}", parts.get(part, 0), queue=self.name)
        yield sample("queue_is_paused", int(self.is_paused), queue=self.name)
        yield sample("queue_moved", int(self.moves), queue=self.name)
        yield sample("queue_failed_recently", 0 if self.removes_failed else recent, queue=self.name)
        yield sample("queue_failed_since", 0 if self.removes_failed else new, queue=self.name)
        if self.counted:
            yield sample("queue_failures_total", math.floor(self.failed), queue=self.name)
        if oldest is not None:
            yield sample("queue_oldest", oldest, "seconds", queue=self.name)


@dataclass
class Keyspace:
    """What Redis holds: how many keys in how much memory, how much it may use (0: any), and what it gave up."""

    keys: int = 125
    memory: float = 3 * MB
    limit: float = 0.0
    policy: str = "noeviction"
    evicted: int = 0
    _as_told: Told = field(default_factory=Told)

    def samples(self) -> tuple[Sample, ...]:
        of = (self.keys, self.memory, self.limit, self.policy, self.evicted)
        return self._as_told.while_as(of, self._samples)

    def _samples(self) -> Iterator[Sample]:
        yield sample("redis_keys", self.keys)
        yield sample("redis_memory", self.memory, "bytes")
        yield sample("redis_memory_limit", self.limit, "bytes")
        yield sample("redis_policy", self.policy, "")
        yield sample("redis_evicted", self.evicted)


@dataclass
class Check:
    """A check of the operator's own: what its endpoint does, or the number that it measures.

    `value` is in milliseconds for an endpoint, `problem` the word and the sentence for what is wrong with it. `expires`
    is when its certificate does (Unix seconds); with `gap` it cannot be taken. `samples` are what a type has beside
    that, by their names.
    """

    name: str
    every: float = 0.0
    value: float | None = 40.0
    unit: str = "ms"
    problem: tuple[str, str] | None = None
    status: int | None = 200
    expires: float | None = None
    gap: Unmeasured | None = None
    samples: dict[str, Value] = field(default_factory=dict)
    _taken_at: float | None = None
    _kept: tuple[tuple[Sample, ...], Unmeasured | None] = ((), None)

    def taken(self, now: float, *, is_awaited: bool, whole: bool) -> tuple[tuple[Sample, ...], Unmeasured | None]:
        """What a reading tells of it; where it is not due, what came of it when it was."""
        is_due = self._taken_at is None or is_awaited or (whole and now - self._taken_at >= self.every)
        if is_due:
            self._taken_at, self._kept = now, (tuple(self._measured()), self.gap)
        samples, gap = self._kept
        kept = sample("check_kept", None if is_due else self._taken_at, "timestamp", check=self.name)
        return (*samples, kept), gap

    def answers(self, status: int) -> None:
        self.status, self.problem = status, None
        if not 200 <= status < 300:
            self.problem = ("status", f"{self.name}:443 answers {status}, not 2xx")

    def is_down(self, kind: str, what: str) -> None:
        self.status, self.problem = None, (kind, f"{self.name}:443 {what}")

    def _measured(self) -> Iterator[Sample]:
        if self.gap is not None:
            yield sample("check_value", None, check=self.name)
            return
        is_answered = self.problem is None or self.status is not None
        yield sample("check_value", self.value if is_answered else None, check=self.name)
        yield sample("check_unit", self.unit, "", check=self.name)
        kind, what = self.problem or (None, None)
        yield sample("check_problem", kind, "", check=self.name)
        yield sample("check_error", what, "", check=self.name)
        yield sample("check_status", self.status, check=self.name)
        is_seen = kind not in ("tls", "refused", "timeout", "dns")
        yield sample("check_certificate", self.expires if is_seen else None, "timestamp", check=self.name)
        for name, value in self.samples.items():
            yield sample(name, value, check=self.name)


_of_host = operator.attrgetter(
    "available",
    "disk_used",
    "disk_gap",
    "inodes_used",
    "data_used",
    "data_mounted",
    "boot_at",
    "cpu",
    "load",
    "swap",
)


@dataclass
class Host:
    """The machine: its memory, its processors and one disk."""

    available: float | None = 6_000.0 * MB
    disk_used: float = 24.0
    disk_per_hour: float = 0.0
    disk_gap: Unmeasured | None = None
    inodes_used: float | None = 3.0
    # A second disk at /data, where there is one: how full it is, and whether it is mounted.
    data_used: float | None = None
    data_mounted: bool = True
    boot_at: float = 0.0
    cpu: float = 12.0
    load: float = 0.5
    swap: float = 0.0
    _as_told: Told = field(default_factory=Told)

    def samples(self) -> tuple[Sample, ...]:
        return self._as_told.while_as(_of_host(self), self._samples)

    def _samples(self) -> Iterator[Sample]:
        yield sample("memory_available", self.available, "bytes")
        yield sample("memory_total", 16_000 * MB, "bytes")
        yield sample("swap", self.swap, "percent")
        yield sample("cpu", self.cpu, "percent")
        yield sample("cores", 8)
        for minutes in (1, 5, 15):
            yield sample(f"load{minutes}", self.load)
        yield sample("boot_at", self.boot_at, "timestamp")
        if self.disk_gap is None:
            yield sample("disk_used", self.disk_used, "percent", path="/")
            yield sample("disk_free", round(621e9 * (1 - self.disk_used / 100)), "bytes", path="/")
            yield sample("disk_inodes_used", self.inodes_used, "percent", path="/")
            yield from self._place("/", "/")
        if self.data_used is not None:
            # What is unmounted is answered for by its parent.
            used = self.data_used if self.data_mounted else self.disk_used
            yield sample("disk_used", used, "percent", path="/data")
            yield sample("disk_free", round(100e9 * (1 - used / 100)), "bytes", path="/data")
            yield from self._place("/data", "/data" if self.data_mounted else "/")

    def _place(self, path: str, point: str) -> Iterator[Sample]:
        yield sample("disk_mount", point, "", path=path)
        yield sample("disk_device", {"/": "8:1", "/data": "8:17"}[point], "", path=path)


@dataclass
class Server:
    """What a probe talks to; while `failure` is set the probe cannot measure. Each of `hiccups` spoils one reading."""

    failure: Failure | None = None
    hiccups: list[Failure] = field(default_factory=list)

    def fails(self, kind: Kind = "refused", error: str = "connection refused") -> None:
        self.failure = Failure(kind, error)

    def hiccups_once(self, kind: Kind = "timeout", error: str = "no answer within 5 s") -> None:
        self.hiccups.append(Failure(kind, error))

    def recovers(self) -> None:
        self.failure = None

    def trouble(self) -> Failure | None:
        """What the next reading meets."""
        return self.hiccups.pop() if self.hiccups else self.failure


def reading(probe: str, server: Server, samples: Iterable[Sample], gaps: tuple[Unmeasured, ...] = ()) -> Reading:
    """A probe's reading of a server: its samples, or the failure in their place."""
    if (failure := server.trouble()) is not None:
        return Reading(probe, failure=failure, duration_ms=5000.0)
    return Reading(probe, samples=tuple(samples), gaps=gaps, duration_ms=1.5)
