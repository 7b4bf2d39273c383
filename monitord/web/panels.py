"""The servers and the host on the page: growth, the database, Redis and its queues, disks, and monitord itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from monitord import __version__
from monitord.core import humanize
from monitord.core.blocks import Grid, Style
from monitord.core.subjects.registry import hint_of, not_watched, readings_of
from monitord.reporting.charts.axes import TimeSpan, percent
from monitord.reporting.charts.plots import growth_bars
from monitord.reporting.charts.svg import Markup, joined, tag
from monitord.reporting.components import figure, grid, mark
from monitord.reporting.wording import said, sentence
from monitord.web.context import UNKNOWN, PageContext

_BAR_HEIGHT: Final = 10


def room(view: PageContext, key: str, title: str, probe: str | None, *content: Markup | None) -> Markup:
    """A section that says when its probe cannot measure, and that what is not watched is not."""
    state: dict[str, Any] = view.seen.report.probes[probe] if probe else {"status": "ok"}
    said_first: list[Markup] = []
    if state["status"] == "off":
        content = (tag("p", not_watched(probe or ""), class_="quietly"),)
    elif state["status"] == "failed":
        kind = f" ({state['kind']})" if state.get("kind") else ""
        said_first.append(_unknown(f"Unknown{kind}: {state.get('error') or 'it could not be measured'}"))
    said_first += [_unknown(f"Unknown: {gap['error']}") for gap in (state.get("unmeasured") or {}).values()]
    return tag(
        "section",
        tag("h2", title, id=f"h-{key}"),
        *said_first,
        *content,
        aria_labelledby=f"h-{key}",
        class_=f"room {key}",
    )


def _unknown(text: str) -> Markup:
    return tag("p", mark("unknown", word=False), tag("span", sentence(text)), class_="is-unknown said")


def growth(view: PageContext) -> Markup:
    """The watched tables, and the database around them."""
    report, orders = view.seen.report, view.seen.decision.orders
    known = report.probes["postgres"]["status"] == "ok"
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
                    said(humanize.count, found["window_rows"], otherwise),
                    said(humanize.size, found["total_bytes"]),
                ),
            )
        )
    window = humanize.duration(orders.growth_window.total_seconds())
    header = ("Table", "Rows", "An hour", f"In {window}", "Size")
    table = grid(Grid("Rows, and what came in", header, tuple(rows), frozenset({1, 2, 3, 4}))) if rows else None
    return room(view, "growth", "Growth", "postgres", table, *_bars(view), _facts(_database(view)))


def _bars(view: PageContext) -> Iterator[Markup]:
    if view.night is not None and view.night.value is not None:
        night = view.night.value.night
        for n, found in enumerate(night.tables, 1):
            bars = growth_bars(f"growth-{n}", found, TimeSpan(night.since, night.until))
            yield figure(f"{found.name}: rows an hour", bars)


def _database(view: PageContext) -> Iterator[tuple[str, str]]:
    found = view.seen.report.database
    yield "Database", said(humanize.size, found["bytes"])
    yield "Connections", said(humanize.count, found["connections"])
    yield "Answered in", said(_ms, found["response_ms"])
    if largest := found["largest_tables"]:
        yield "Largest", ", ".join(f"{one['table']} {said(humanize.size, one['bytes'])}" for one in largest)


def redis(view: PageContext) -> Markup:
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
    queues = grid(Grid("Jobs in each queue", header, tuple(rows), frozenset({1, 2, 3, 4}))) if rows else None
    facts = (
        ("Keys", said(humanize.count, found["keys"])),
        ("Memory", said(humanize.size, found["memory_bytes"])),
        ("Evicted", said(humanize.count, found["evicted"])),
        ("Answered in", said(_ms, found["latency_ms"])),
    )
    return room(view, "redis", "Redis and queues", "redis", queues, _facts(iter(facts)))


def host(view: PageContext) -> Markup:
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
                    _bar(used, view) if used is not None else Markup(UNKNOWN),
                    said(humanize.size, disk["free_bytes"]),
                    said(lambda value: f"{value:.1f}%", disk.get("inodes_used_percent")),
                ),
            )
        )
    heads = ("Disk", "Used", "Of it", "Free", "Inodes used")
    disks = grid(Grid("Disks; the ticks are the limits", heads, tuple(rows), frozenset({1, 3, 4})))
    load = found["load"]
    low = view.severity("host", "host")
    memory = said(humanize.size, found["memory_available_bytes"])
    of_group = " (in the container)" if found.get("memory_available_of") == "cgroup" else ""
    facts = (
        ("Memory available" + of_group, joined(memory, " ", mark(low)) if low else memory),
        ("Swap used", said(lambda value: f"{value:.0f}%", found["swap_percent"])),
        ("Load", UNKNOWN if load is None else " ".join(f"{value:.2f}" for value in load)),
    )
    return room(view, "host", "Host", "host", disks if rows else None, _facts(iter(facts)))


def _bar(used: float, view: PageContext) -> Markup:
    orders = view.seen.decision.orders
    ticks = [
        tag("line", x1=percent(limit), x2=percent(limit), y1=0, y2=_BAR_HEIGHT, class_="tick")
        for limit in (orders.disk_warning, orders.disk_critical)
    ]
    track = tag("rect", width="100%", height=_BAR_HEIGHT, rx=2, class_="track")
    full = tag("rect", width=percent(min(100.0, max(0.0, used))), height=_BAR_HEIGHT, rx=2, class_="full")
    return tag("svg", track, full, *ticks, class_="usage", height=_BAR_HEIGHT, aria_hidden="true")


def watch(view: PageContext) -> Markup:
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
    facts = (("Checks every", every), ("Took", _ms(view.seen.duration_ms)), ("Version", __version__))
    table = grid(Grid("Probes of the last check", ("Probe", "State", "Took"), tuple(rows), frozenset({2})))
    return room(view, "watch", "Monitoring", None, table, _facts(iter(facts)))


def _facts(pairs: Iterator[tuple[str, str]]) -> Markup:
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_="facts")


def _about(value: float) -> str:
    return f"~{humanize.count(value)}"


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < 1000 else humanize.duration(value / 1000)
