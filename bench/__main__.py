"""`python -m bench`: measures, and prints the tables. No figure is asserted: machines differ, and so do their days.

What a healthy month says is: nothing, or the bench fails.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import (
    apps,
    baseline,
    bus_latency,
    detection,
    figures,
    headline,
    month,
    nights,
    pipeline,
    postgres_cost,
    signs,
    trends,
    written,
)
from bench.faults import FAULTS
from bench.footprint import Footprint, measure_footprint
from bench.measure import Run, milliseconds, seconds, size, spread, table
from bench.planted import Found, planted
from monitord import __version__
from monitord.demo.stack import Stack
from monitord.testing.sandbox import StackError

KEPT: Final = Path(".cache/bench")


def main() -> int:
    """Measure everything. Returns 1 when the servers could not be started or something under test failed or cried."""
    parser = argparse.ArgumentParser(prog="bench", description="What monitord costs beside the script it replaces.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows in user_signals (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few runs and a short night: minutes become seconds")
    parser.add_argument(
        "--seconds",
        type=float,
        default=300.0,
        help="how long all are measured beside each other (default: %(default)s)",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="beside Prometheus with its exporters and Monit, too, where they are installed",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help=f"where the table is kept (default: {KEPT}/DATE.json)"
    )
    parser.add_argument(
        "--only",
        choices=["table", "trends", "bus", "detection", "apps", "pipeline", "postgres", "signs", "written"],
        help="this part alone; trends, detection, apps and written need no server",
    )
    parser.add_argument("--markdown", action="store_true", help="with --only detection: into docs/reference.md")
    parser.add_argument("--rule", help="with --only detection: this rule alone")
    arguments = parser.parse_args()
    if arguments.only == "detection":
        faults = [one for one in FAULTS if arguments.rule in (None, one.rule)]
        found = detection.detected(faults, 6 if arguments.quick else detection.PHASES)
        print(detection.text(found))
        if arguments.markdown:
            detection.written(found)
        return 0
    if arguments.only == "trends":
        print(_trends(quick=arguments.quick))
        return 0
    if arguments.only == "apps":
        print(asyncio.run(_apps(quick=arguments.quick)))
        return 0
    if arguments.only == "written":
        print(asyncio.run(_written(quick=arguments.quick)))
        return 0
    try:
        if arguments.only == "table":
            size = headline.sizes(arguments.rows, arguments.seconds, quick=arguments.quick)
            whole = asyncio.run(headline.measure(size, full=arguments.full, say=_say))
            print(_table(whole, size, arguments.json))
            return 0
        if arguments.only == "pipeline":
            print(asyncio.run(pipeline.measured()))
            return 0
        if arguments.only == "postgres":
            sizes = (postgres_cost.SMALL, postgres_cost.WIDE) if arguments.quick else postgres_cost.SIZES
            costs = asyncio.run(postgres_cost.measure(sizes, 60 if arguments.quick else 240, _say))
            print(postgres_cost.tables(costs))
            return 0
        if arguments.only == "bus":
            print(asyncio.run(_bus(quick=arguments.quick)))
            return 0
        if arguments.only == "signs":
            print(asyncio.run(_signs(quick=arguments.quick)))
            return 0
        healthy = asyncio.run(_bench(arguments))
    except (StackError, RuntimeError, TimeoutError) as error:
        print(f"bench: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    for said in healthy.said:
        print(f"bench: a healthy month said: {said}", file=sys.stderr)
    return 1 if healthy.said else 0


async def _bench(arguments: argparse.Namespace) -> month.Month:
    rows, quick = arguments.rows, arguments.quick
    runs, cycles, hours, parts = (3, 8, 4, 1) if quick else (11, 40, nights.KEPT_HOURS, 4)
    began = time.monotonic()
    async with Stack(seed_rows=rows, progress=_say) as stack:
        watched = await measure_footprint(stack, runs=runs, cycles=cycles, say=_say)
    _say("the history of 7 and of 50 services")
    histories = [await nights.history(services, parts) for services in (7, 50)]
    _say(f"a recording of {hours} h judged again")
    observations, orders = nights.judged_night(hours)
    fold = nights.fold(observations, orders)
    reading, judging = await nights.replayed(observations, orders)
    days = 1 if quick else 30
    _say(f"{days} healthy days")
    healthy = month.healthy(days)
    _say("a month with faults planted in it")
    found, beside = planted(600.0 if quick else 60.0, 20251101)
    _say("how soon each fault is reported")
    soon = detection.text(detection.detected(count=2 if quick else 6))
    told = _trends(quick=quick)
    size = headline.sizes(rows, arguments.seconds, quick=quick)
    whole = await headline.measure(size, full=arguments.full, say=_say)
    print()
    print(
        f"monitord {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} CPUs; {rows:,} rows in user_signals, 7 services; load {os.getloadavg()[0]:.1f}"
    )
    for text in (
        _table(whole, size, arguments.json),
        _times(watched),
        _memory(watched, cycles),
        _history(histories),
        _fold(fold, reading, judging, hours),
        _month(healthy, days),
        _planted(found, beside),
        soon,
        told,
        postgres_cost.tables(whole.postgres),
        _bus_table(whole.bus),
        _signs_table(whole.signs),
        _apps_table(whole.apps),
        _written_table(whole.written),
    ):
        print(f"\n{text}")
    print(f"\nThe whole took {time.monotonic() - began:.0f} s.")
    return healthy


def _trends(*, quick: bool) -> str:
    count = 20 if quick else trends.COURSES_OF_A_KIND
    _say(f"trends of {count} courses of each kind")
    return trends.tables(count)


def _table(found: headline.Measured, size: headline.Sizes, path: Path | None) -> str:
    """The table of the whole; it is kept as well."""
    rows = found.figures
    path = path or KEPT / f"{datetime.now(UTC):%Y-%m-%d}.json"
    figures.kept(path, rows, rows=size.rows, seconds=size.seconds, missing=found.beside.missing)
    lines = [figures.text("What it costs, and how soon it tells", rows)]
    if found.beside.missing:
        lines.append(f"Not beside it, since they are not installed: apt install {' '.join(found.beside.missing)}")
    load = os.getloadavg()[0]
    lines.append(
        f"The load of the machine was {load:.1f} on {os.cpu_count()} processors: quote the ratios. Kept in {path}."
    )
    return "\n\n".join(lines)


async def _bus(*, quick: bool) -> str:
    return _bus_table(await bus_latency.measure_bus(kills=4 if quick else 20, seconds=3 if quick else 10, say=_say))


def _bus_table(found: bus_latency.BusLatency) -> str:
    title = f"PM2's bus: an end is logged; then {found.ends:,} deaths at 1,000 a second, in {found.lines} lines"
    return table(title, ["what", "median", "min .. max"], bus_latency.summary(found))


async def _signs(*, quick: bool) -> str:
    _say("how soon a fault is notified, with the settings as they are by default")
    return _signs_table(await signs.measure_signs(rounds=2 if quick else 7, say=_say))


def _signs_table(found: dict[str, list[float]]) -> str:
    title = "From a fault to its webhook, with the settings as they are by default, at any moment of the cycle"
    return table(title, ["what", "median", "min .. max"], signs.summary(found))


async def _apps(*, quick: bool) -> str:
    _say(f"cycles of {apps.APPS:,} apps")
    return _apps_table(await apps.measure(4 if quick else 40))


def _apps_table(found: apps.Apps) -> str:
    heads = ["CPU", "median", "min .. max", "of the first"]
    cycle = table(
        f"A cycle of {apps.APPS:,} apps under PM2: asked, judged, saved", heads, list(apps.rows(found.cycles))
    )
    parts = table("The parts of these cycles", heads, list(apps.rows(found.parts)))
    storm = f"A second of {apps.LINES_A_SECOND:,} error lines, each in a frame of PM2's bus"
    return f"{cycle}\n\n{parts}\n\n{table(storm, heads, list(apps.rows(found.storm)))}"


async def _written(*, quick: bool) -> str:
    _say(f"what cycles of 7 and of {apps.APPS:,} services write")
    found = [
        await written.measure(services, cycles)
        for services, cycles in ((7, 120 if quick else written.CYCLES), (apps.APPS, 24 if quick else 240))
    ]
    return _written_table(found)


def _written_table(found: list[written.Written]) -> str:
    title = (
        "Written by a cycle: as handed to the system, SQLite's log and its copying included; and to the disk, in\n"
        "whole blocks, where each cycle is flushed before the next"
    )
    heads = ["what", "written a cycle", "to the disk", "files grow", "CPU of saving", "CPU of reading the state"]
    return table(title, heads, written.rows(found))


def _say(what: str) -> None:
    print(f"  .. {what}", file=sys.stderr)


def _times(watched: Footprint) -> str:
    wall = statistics.median(run.wall for run in watched.old)
    cpu = statistics.median(run.cpu for run in watched.old)

    def row(what: str, runs: list[Run]) -> list[str]:
        used = statistics.median(run.cpu for run in runs)
        walls = [run.wall for run in runs]
        middle, between = spread(walls)
        return [what, middle, between, seconds(used), _ratio(statistics.median(walls), wall), _ratio(used, cpu)]

    middle, between = spread(watched.cycles, "milliseconds")
    inside = statistics.median(watched.cycles)
    rows = [
        row(f"the old script ({len(watched.old)} runs)", watched.old),
        row(f"monitord check --format json ({len(watched.checks)} runs)", watched.checks),
        [
            f"a cycle inside the daemon ({len(watched.cycles)} cycles)",
            middle,
            between,
            milliseconds(watched.cycle_cpu),
            _ratio(inside, wall),
            _ratio(watched.cycle_cpu, cpu),
        ],
    ]
    title = (
        f"One check of all. The old script is bash with pm2 jlist x{baseline.PM2_CALLS}, psql x{baseline.QUERIES} "
        "(one of them count(*)),\nRedis by /dev/tcp (a redis-cli process would cost it more), grep (as would jq), df, "
        "free. CPU is the programs'\nown and their children's, not the servers'; the daemon's is the mean over "
        f"{watched.cycles_of_cpu} cycles at 1 s, idling included."
    )
    return table(title, ["what", "median", "min .. max", "CPU", "time of old", "CPU of old"], rows)


def _ratio(value: float, of: float) -> str:
    return f"{value / of:.4f}" if value / of < 0.1 else f"{value / of:.2f}"


def _memory(watched: Footprint, cycles: int) -> str:
    rows = [
        [what, size(memory.rss), size(memory.pss), size(memory.whole), f"{memory.rss / watched.bare.rss:.2f}"]
        for what, memory in (
            ("a bare Python with asyncio and sqlite3", watched.bare),
            (f"the daemon after {cycles} cycles", watched.daemon),
        )
    ]
    return table("Memory", ["what", "RSS", "PSS", "PSS, Python's files whole", "RSS of bare"], rows)


def _history(histories: list[nights.History]) -> str:
    rows = [
        [
            f"{found.services} services",
            size(found.frame),
            size(found.file),
            size(found.file * nights.KEPT_CYCLES),
            f"{found.file / histories[0].file:.2f}",
        ]
        for found in histories
    ]
    title = f"History: every reading of every cycle, kept {nights.KEPT_HOURS} h at {nights.EVERY_SECONDS} s"
    return table(title, ["what", "frame a cycle", "file a cycle", "48 h in the file", "of 7"], rows)


def _fold(fold: nights.Fold, reading: nights.Fold, judging: nights.Fold, hours: int) -> str:
    rows = [
        [
            what,
            seconds(found.seconds),
            milliseconds(found.seconds / found.cycles),
            f"{hours * 3600 / found.seconds:,.0f} x",
            f"{found.seconds / fold.seconds:.2f}",
        ]
        for what, found in (
            ("judged, from memory", fold),
            ("replayed from the file", reading),
            ("replayed and judged, as `backtest` does", judging),
        )
    ]
    title = f"A healthy recording of 7 services again: {hours} h, {fold.cycles:,} cycles; {fold.edges} edges"
    return table(title, ["what", "time", "a cycle", "faster than life", "of judging"], rows)


def _month(healthy: month.Month, days: int) -> str:
    rows = [
        [
            f"{days} d, {healthy.looks:,} cycles",
            seconds(healthy.judging),
            milliseconds(healthy.judging / healthy.looks),
            seconds(healthy.making),
            str(healthy.suspected),
            str(len(healthy.said)),
        ]
    ]
    lived = ", ".join(f"{times} {what}" for what, times in healthy.lived.items())
    title = f"A healthy life of 7 services, checked every 30 s: {lived}"
    return table(title, ["what", "judging", "a cycle", "making it up", "suspected", "alerts"], rows)


def _planted(found: list[Found], beside: list[str]) -> str:
    rows = [
        [
            one.planted.rule,
            seconds(one.planted.within),
            "not found" if one.seconds is None else seconds(one.seconds),
            "yes" if one.is_in_time else "NO",
        ]
        for one in found
    ]
    title = f"The same life with {len(found)} faults planted in it; {len(beside)} alerts beside theirs"
    return table(title, ["rule", "must last", "told after", "in time"], rows)


if __name__ == "__main__":
    sys.exit(main())
