"""The servers and the host on the page: growth, the database, Redis and its queues, disks, and monitord itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from monitord import __version__
from monitord.core import humanize
from monitord.core.blocks import Grid, Style
from monitord.core.subjects.registry import hint_of, not_watched, readings_of
from monitord.reporting.charts.axes import TimeSpan, percent
from monitord.reporting.charts.plots import growth_bars
from monitord.reporting.charts.svg import tag
from monitord.reporting.html import Figure
from monitord.reporting.wording import said, sentence
from monitord.web.context import UNKNOWN, PageContext

_BAR_HEIGHT: Final = 10


@dataclass(frozen=True, slots=True)
class Panel:
    """A section's heading, what its probe could not measure, and that it is not watched ("" if it is)."""

    key: str
    title: str
    troubles: tuple[str, ...] = ()
    unwatched: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and what it comes to; the style is that of an alert about it."""

    name: str
    words: str
    style: Style | None = None


@dataclass(frozen=True, slots=True)
class ServerPanel:
    """A server, the host or the monitor itself: a table, plots, and facts."""

    panel: Panel
    table: Grid
    facts: tuple[Fact, ...]
    figures: tuple[Figure, ...] = ()


def panel(view: PageContext, key: str, title: str, probe: str) -> Panel:
    """What a section says before its content."""
    state: dict[str, Any] = view.seen.report.probes[probe]
    troubles = [f"Unknown: {gap['error']}" for gap in (state.get("unmeasured") or {}).values()]
    if state["status"] == "failed":
        kind = f" ({state['kind']})" if state.get("kind") else ""
        troubles.insert(0, f"Unknown{kind}: {state.get('error') or 'it could not be measured'}")
    unwatched = not_watched(probe) if state["status"] == "off" else ""
    return Panel(key, title, tuple(map(sentence, troubles)), unwatched)


def growth(view: PageContext) -> ServerPanel:
    """The watched tables, and the database around them."""
    report, orders = view.seen.report, view.seen.decision.orders
    known = report.probes["postgres"]["status"] == "ok"
    windows = {orders.growth_window_of(name) for name in report.growth}
    common = windows.pop() if len(windows) == 1 else None
    rows: list[tuple[Style | None, tuple[str, ...]]] = []
    for name, found in report.growth.items():
        measured = known and found["total_bytes"] is not None
        otherwise = "not yet" if measured else UNKNOWN
        rows.append(
            (
                view.severity("growth", name) or ("ok" if measured else "unknown"),
                (
                    name,
                    said(humanize.count if found["exact"] else _about, found["rows"]),
                    said(humanize.count, found["rows_per_hour"], otherwise),
                    said(humanize.count, found["window_rows"], otherwise)
                    + ("" if common else f" in {humanize.duration(orders.growth_window_of(name))}"),
                    said(humanize.size, found["total_bytes"]),
                ),
            )
        )
    header = ("Table", "Rows", "An hour", f"In {humanize.duration(common)}" if common else "In its window", "Size")
    table = Grid("Rows, and what came in", header, tuple(rows), frozenset({1, 2, 3, 4}))
    shown = panel(view, "growth", "Growth", "postgres")
    return ServerPanel(shown, table, tuple(_database(view)), tuple(_bars(view)))


def _bars(view: PageContext) -> Iterator[Figure]:
    if view.night is not None and view.night.value is not None:
        night = view.night.value.night
        for n, found in enumerate(night.tables, 1):
            bars = growth_bars(f"growth-{n}", found, TimeSpan(night.since, night.until))
            yield Figure(f"{found.name}: rows an hour", bars)


def _database(view: PageContext) -> Iterator[Fact]:
    found = view.seen.report.database
    yield Fact("Database", said(humanize.size, found["bytes"]))
    yield Fact("Connections", said(humanize.count, found["connections"]))
    yield Fact("Answered in", said(_ms, found["response_ms"]))
    if largest := found["largest_tables"]:
        yield Fact("Largest", ", ".join(f"{one['table']} {said(humanize.size, one['bytes'])}" for one in largest))


def redis(view: PageContext) -> ServerPanel:
    """Redis and its queues."""
    found = view.seen.report.redis
    parts = ("waiting", "active", "delayed", "failed")
    rows: list[tuple[Style | None, tuple[str, ...]]] = [
        (
            view.severity("redis", name) or ("unknown" if queue["waiting"] is None else "ok"),
            (name, *(said(humanize.count, queue[part]) for part in parts)),
        )
        for name, queue in found["queues"].items()
    ]
    header = ("Queue", *(part.capitalize() for part in parts))
    queues = Grid("Jobs in each queue", header, tuple(rows), frozenset({1, 2, 3, 4}))
    facts = (
        Fact("Keys", said(humanize.count, found["keys"])),
        Fact("Memory", said(humanize.size, found["memory_bytes"])),
        Fact("Evicted", said(humanize.count, found["evicted"])),
        Fact("Answered in", said(_ms, found["latency_ms"])),
    )
    return ServerPanel(panel(view, "redis", "Redis and queues", "redis"), queues, facts)


def host(view: PageContext) -> ServerPanel:
    """Disks against their limits, memory, swap and load."""
    found = view.seen.report.host
    rows: list[tuple[Style | None, tuple[str, ...]]] = []
    for path, disk in found["disks"].items():
        used = disk["used_percent"]
        rows.append(
            (
                view.severity("host", path) or ("unknown" if used is None else "ok"),
                (
                    path,
                    said(lambda value: f"{value:.1f}%", used),
                    _bar(path, used, view) if used is not None else UNKNOWN,
                    said(humanize.size, disk["free_bytes"]),
                    said(lambda value: f"{value:.1f}%", disk.get("inodes_used_percent")),
                ),
            )
        )
    heads = ("Disk", "Used", "Of it", "Free", "Inodes used")
    disks = Grid("Disks; the ticks are the limits", heads, tuple(rows), frozenset({1, 3, 4}))
    load = found["load"]
    of_group = " (in the container)" if found.get("memory_available_of") == "cgroup" else ""
    low = view.severity("host", "host")
    facts = (
        Fact("Memory available" + of_group, said(humanize.size, found["memory_available_bytes"]), low),
        Fact("Swap used", said(lambda value: f"{value:.0f}%", found["swap_percent"])),
        Fact("Load", UNKNOWN if load is None else " ".join(f"{value:.2f}" for value in load)),
    )
    return ServerPanel(panel(view, "host", "Host", "host"), disks, facts)


def _bar(path: str, used: float, view: PageContext) -> Markup:
    ticks = [
        tag("line", x1=percent(limit), x2=percent(limit), y1=0, y2=_BAR_HEIGHT, class_="tick")
        for limit in view.seen.decision.orders.disk_limits(path)
    ]
    track = tag("rect", width="100%", height=_BAR_HEIGHT, rx=2, class_="track")
    full = tag("rect", width=percent(min(100.0, max(0.0, used))), height=_BAR_HEIGHT, rx=2, class_="full")
    return tag("svg", track, full, *ticks, class_="usage", height=_BAR_HEIGHT, aria_hidden="true")


def watch(view: PageContext) -> ServerPanel:
    """The monitor itself: its probes, and how long each took."""
    rows: list[tuple[Style | None, tuple[str, ...]]] = []
    for name, found in view.seen.report.probes.items():
        state = found["status"]
        if state == "off" and not hint_of(name):  # there is none here: off is off
            continue
        style: Style | None = {"ok": "ok", "failed": "unknown"}.get(state)  # type: ignore[assignment]
        rows.append(
            (
                style,
                (readings_of(name), "measured" if state == "ok" else state, said(_ms, found["duration_ms"], "–")),
            )
        )
    every = humanize.duration(view.settings.check_interval.total_seconds())
    facts = (Fact("Checks every", every), Fact("Took", _ms(view.seen.duration_ms)), Fact("Version", __version__))
    table = Grid("Probes of the last check", ("Probe", "State", "Took"), tuple(rows), frozenset({2}))
    return ServerPanel(Panel("watch", "Monitoring"), table, facts)


def _about(value: float) -> str:
    return f"~{humanize.count(value)}"


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < 1000 else humanize.duration(value / 1000)
