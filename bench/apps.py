"""What it costs to read what a thousand apps tell of themselves, and to count what they write to stderr."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

from bench.figures import Figure, of
from bench.measure import milliseconds
from monitord.core.engine import State, decide
from monitord.core.folding import announces, context_of
from monitord.core.orders import NumberOrders, StandingOrders
from monitord.core.rollups import RunningHour
from monitord.core.thresholds import threshold
from monitord.pm2 import wire
from monitord.pm2.bus_frames import BusDecoder
from monitord.pm2.error_lines import ErrorLines
from monitord.probes.pm2 import Pm2Probe
from monitord.runtime.cycle import CycleRequest, observe
from monitord.storage.reader import CheckRun
from monitord.storage.store import CycleRecord, Store
from tests.support.counting import answering_pm2

APPS = 1_000
VARIABLES = {f"VARIABLE_{number}": "x" * 100 for number in range(20)}
LINES_A_SECOND = 10_000
TIMEOUT_SECONDS = 30.0
STARTED_SECONDS = 60.0
# As many replies by turns, so that every number moves.
REPLIES = 4
LIMITS = {"*": {"HTTP P95 Latency": NumberOrders(threshold("> 500"), threshold("> 2000"))}}


@dataclass(slots=True)
class Apps:
    """CPU seconds: of each cycle by what the apps do, and of reading a second of a storm, by what reads it.

    `parts` are those of the cycles: what asking and reading PM2 took, judging, and saving.
    """

    cycles: dict[str, list[float]] = field(default_factory=dict)
    parts: dict[str, list[float]] = field(default_factory=dict)
    storm: dict[str, list[float]] = field(default_factory=dict)


async def measure(cycles: int) -> Apps:
    """So many cycles of each kind, by turns, so that whatever else the machine does burdens all alike."""
    found = Apps()
    orders = StandingOrders(probes=frozenset({"pm2"}))
    kinds = {
        "tell nothing": (False, orders),
        "tell 10 numbers each": (True, orders),
        "the same, one of them with limits": (True, replace(orders, number_limits=LIMITS)),
    }
    with tempfile.TemporaryDirectory(prefix="monitord-") as place, ExitStack() as started:
        runs = []
        for number, (what, (tells, given)) in enumerate(kinds.items()):
            home = Path(place) / str(number)
            (home / "state").mkdir(parents=True)
            started.enter_context(_beside(_served, home, tells))
            _until((home / "rpc.sock").exists, "the made-up PM2 does not start")
            runs.append((what, started.enter_context(_beside(_watched, home, given))))
        for turn in range(cycles + 2):
            for what, run in runs:
                parts = _cycle_of(run)
                if turn >= 2:  # the first of each fill the caches
                    found.cycles.setdefault(what, []).append(sum(parts))
                    for part, seconds in zip(("asked", "judged", "saved"), parts, strict=True):
                        found.parts.setdefault(f"{what}: {part}", []).append(seconds)
    frames = b"".join(error_frame(number) for number in range(LINES_A_SECOND))
    chunks = [frames[at : at + 65_536] for at in range(0, len(frames), 65_536)]
    for _ in range(max(5, cycles // 4)):
        for what, spent in (("frames only", _frames(chunks)), ("frames, and lines counted", _counted(chunks))):
            found.storm.setdefault(what, []).append(spent)
    return found


class _Run:
    """A monitord of its own over a made-up PM2: PM2 is asked, the answer judged and saved."""

    def __init__(self, home: Path, orders: StandingOrders) -> None:
        self._store = Store(home / "state")
        self._probe = Pm2Probe(home, frozenset, limited=orders.limits_of_numbers)
        self._orders = orders
        self._state: State | None = None
        self._hour = RunningHour()

    async def cycle(self) -> tuple[float, float, float]:
        """CPU seconds of asking PM2, of judging its answer, and of saving that."""
        if self._state is None:
            snapshot, _ = await self._store.load(TIMEOUT_SECONDS)
            self._state = snapshot.state
        began = time.process_time()
        observation = await observe([self._probe], CycleRequest(), TIMEOUT_SECONDS)
        asked = time.process_time()
        before, decision = self._state, decide(self._state, observation, self._orders)
        over = self._hour.saw(context_of(decision, before), observation.now.timestamp(), whole=True)
        judged = time.process_time()
        record = CycleRecord(
            decision.state,
            observation,
            CheckRun("schedule", observation.now, 0.0, decision.orders),
            decision.transitions,
            hour=self._hour.fields,
            rollups=over,
            before=before,
            orders=self._orders,
            announces=announces(decision),
        )
        await self._store.save(record, TIMEOUT_SECONDS)
        saved = time.process_time()
        if (failure := observation.readings["pm2"].failure) is not None:
            raise RuntimeError(f"the made-up PM2: {failure.error}")
        self._state = decision.state
        return asked - began, judged - asked, saved - judged


@contextmanager
def _beside(work: Callable[..., None], *given: object) -> Iterator[Connection]:
    """Work in a process of its own, and how to talk to it: what one does is not counted, nor cached, for another."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, *given), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def _until(is_so: Callable[[], bool], problem: str) -> None:
    give_up = time.monotonic() + STARTED_SECONDS
    while not is_so():
        if time.monotonic() > give_up:
            raise RuntimeError(problem)
        time.sleep(0.02)


def _served(_: Connection, home: Path, tells: bool) -> None:
    """A made-up PM2, as long as nobody ends it."""

    async def serve() -> None:
        async with answering_pm2(home, [reply(number, tells=tells) for number in range(REPLIES)]):
            await asyncio.Event().wait()

    asyncio.run(serve())


def _watched(asked: Connection, home: Path, orders: StandingOrders) -> None:
    """A monitord, which does a cycle when it is asked to, and answers what its parts took."""

    async def watch() -> None:
        run = _Run(home, orders)
        while True:
            asked.recv()
            asked.send(await run.cycle())

    asyncio.run(watch())


def _cycle_of(run: Connection) -> tuple[float, float, float]:
    run.send("a cycle")
    if not run.poll(STARTED_SECONDS):
        raise RuntimeError("a cycle does not end")
    parts: tuple[float, float, float] = run.recv()
    return parts


@asynccontextmanager
async def kept_pm2(home: Path, apps: int) -> AsyncIterator[None]:
    """A PM2 that says nothing on its bus, and of so many apps that tell nothing always the same."""
    bus = await asyncio.start_unix_server(lambda *_: None, home / "pub.sock")
    try:
        async with answering_pm2(home, [reply(0, tells=False, apps=apps)]):
            yield
    finally:
        bus.close()


def reply(number: int, *, tells: bool, apps: int = APPS) -> bytes:
    """PM2's list, a little other for each number."""
    listed = [_listed(app, number, tells=tells) for app in range(apps)]
    return b"j:" + json.dumps({"args": [listed]}, separators=(",", ":")).encode()


def _listed(app: int, number: int, *, tells: bool) -> dict[str, object]:
    env = {
        **VARIABLES,
        "name": f"app-{app}",
        "status": "online",
        "restart_time": 3,
        "created_at": 1_762_300_000_000,
        "pm_uptime": 1_762_300_000_000 + app,
        "axm_monitor": _numbers(app + number) if tells else {},
    }
    monit = {"memory": 80_000_000 + 1000 * (app + number), "cpu": 0.1 * number}
    return {"pid": 1, "name": f"app-{app}", "pm_id": app, "pm2_env": env, "monit": monit}


def _numbers(moved: int) -> dict[str, object]:
    """As @pm2/io has them of an app that answers HTTP: half of them as texts, half as numbers."""
    whole, decimal = ("Active handles", "Active requests", "HTTP P95 Latency"), ("Heap Usage", "HTTP")
    units = {
        "Used Heap Size": "MiB",
        "Heap Size": "MiB",
        "Heap Usage": "%",
        "Event Loop Latency": "ms",
        "Event Loop Latency p95": "ms",
        "Active handles": "",
        "Active requests": "",
        "HTTP": "req/min",
        "HTTP Mean Latency": "ms",
        "HTTP P95 Latency": "ms",
    }
    found: dict[str, object] = {}
    for place, (name, unit) in enumerate(units.items(), 1):
        number = place + moved % 97 / 10
        value: object = f"{number:.2f}"
        if name in whole or (name in decimal and round(number, 2).is_integer()):  # as JavaScript has them: 8, not 8.0
            value = round(number * 10) if name in whole else round(number)
        elif name in decimal:
            value = round(number, 2)
        found[name] = {"historic": True, "unit": unit, "type": f"internal/{name}", "value": value}
    return found


def error_frame(number: int) -> bytes:
    """A line that one of seven apps writes to stderr, as PM2's bus passes it on."""
    text = f"2025-11-05T03:57:00.000Z ERROR request {number} failed: connection to 10.0.0.7:5432 refused, retrying\n"
    process = {"pm_id": number % 7, "name": f"worker-{number % 7}", "rev": None, "namespace": "default"}
    return wire.encode(["log:err", {"process": process, "at": 1_762_300_000_000 + number, "data": text}])


def _frames(chunks: list[bytes]) -> float:
    """As all frames of PM2's sockets are taken apart, without a look into them."""
    decoder = wire.Decoder()
    began = time.process_time()
    for chunk in chunks:
        decoder.feed(chunk)
    return time.process_time() - began


def _counted(chunks: list[bytes]) -> float:
    """As the bus is read: within a second's budget, and past it."""
    decoder = BusDecoder(2**24, ErrorLines())
    began = time.process_time()
    for chunk in chunks:
        decoder.feed(chunk, 0.0)
    return time.process_time() - began


def rows(found: dict[str, list[float]]) -> Iterator[list[str]]:
    """The rows of a table, by the first of them."""
    first = statistics.median(next(iter(found.values())))
    for what, spent in found.items():
        middle = statistics.median(spent)
        yield [
            what,
            milliseconds(middle),
            f"{milliseconds(min(spent))} .. {milliseconds(max(spent))}",
            f"{middle / first:.2f}",
        ]


def figures(found: Apps) -> list[Figure]:
    """The rows of the table of the whole."""
    how = f"asked of a made-up PM2 in a process of its own, judged and saved; monitord's CPU; {APPS:,} apps that %s"
    told = [
        of(
            f"apps_{name}",
            f"CPU a cycle, {APPS:,} apps{more}",
            [one * 1000 for one in found.cycles[what]],
            "ms",
            target,
            how % what,
        )
        for name, more, what, target in (
            ("1000", "", "tell nothing", 60.0),
            ("1000_numbers", " with 10 numbers each", "tell 10 numbers each", None),
        )
    ]
    storm = of(
        "error_lines",
        f"{LINES_A_SECOND:,} error lines counted, CPU",
        [one * 1000 for one in found.storm["frames, and lines counted"]],
        "ms",
        how="a second of a storm, each line in a frame of PM2's bus, taken apart and counted by service",
    )
    return [*told, storm]
