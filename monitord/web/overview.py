"""The first page: how it stands in a word, what to do, and then everything that is watched at a glance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from markupsafe import Markup

from monitord import __version__
from monitord.core import humanize
from monitord.core.blocks import (
    Block,
    FactTable,
    Grid,
    Member,
    Paragraph,
    Plot,
    Section,
    Style,
    Timeline,
    without_plots,
)
from monitord.core.humanize import NOTHING, milliseconds, sentence
from monitord.core.status import verdict
from monitord.reporting.fleet import Tile, TileGroup, rank, span_words, tile_groups
from monitord.reporting.html import Picture, Pictures, drawn
from monitord.reporting.sections import StatusView, subject_sections
from monitord.web import alerts, silences
from monitord.web.alerts import AlertLine, FiringAlerts, RecentIncidents
from monitord.web.async_cache import value_of
from monitord.web.context import PageContext, Range, RenderedPage, member_address, ranges
from monitord.web.silences import SilenceRow

MARKED: Final = frozenset({"ok", "warning", "unknown", "critical"})
# A table of more rows than these stays folded until somebody opens it.
_LONG: Final = 30


@dataclass(frozen=True, slots=True)
class Panel:
    """It can be folded, and is where there is little room; a `long` one is everywhere."""

    key: str
    title: str
    style: Style | None
    long: bool
    blocks: tuple[Block | Picture, ...]


@dataclass(frozen=True, slots=True)
class DrawnTile:
    """`plot` is None where nothing is drawn of it; `words` repeats no mark."""

    tile: Tile
    words: str
    address: str
    plot: Markup | None


@dataclass(frozen=True, slots=True)
class DrawnGroup:
    group: TileGroup
    tiles: tuple[DrawnTile, ...]
    folded: tuple[DrawnTile, ...]


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The whole of it. `wide` panels stand one under the other, `narrow` ones in two columns.

    `worst` names the worst alert that fires ("": none does), `more` is how many others do. `plots_at`: as of when the
    plots are; None where `plots_note` says why there are none. `day` says of what time the uptimes are ("": unknown).
    """

    done: str
    style: Style
    word: str
    worst: str
    more: int
    sentence: str
    seen_at: datetime
    plots_at: float | None
    plots_note: str
    day: str
    has_token: bool
    fleet: tuple[DrawnGroup, ...]
    ranges: tuple[Range, ...]
    firing: FiringAlerts
    waiting: tuple[AlertLine, ...]
    wide: tuple[Panel, ...]
    narrow: tuple[tuple[Panel, ...], tuple[Panel, ...]]
    silences: tuple[SilenceRow, ...]
    incidents: RecentIncidents

    @property
    def title(self) -> str:
        if not self.worst:
            return f"{self.word}: Overview"
        return f"{self.word} {self.worst}" + (f", {self.more} more" if self.more else "")


def overview(view: PageContext, done: str = "") -> OverviewPage:
    recorded, kept = value_of(view.recorded), value_of(view.day)
    found = list(subject_sections(_shown(view)))
    groups = tile_groups(found, kept)
    tiled = {group.subject for group in groups}
    narrow = tuple(_panel(section, view, section.key in tiled) for section in found if not _is_wide(section))
    firing = view.seen.report.alerts.firing
    return OverviewPage(
        done=done,
        style=view.status,
        word=str(view.status).upper(),
        worst=f"{firing[0].rule}: {firing[0].subject}" if firing else "",
        more=max(0, len(firing) - 1),
        sentence=_sentence(view),
        seen_at=view.seen.at,
        plots_at=None if recorded is None else recorded.report.until,
        plots_note=_plots_note(view),
        day=span_words(kept),
        has_token=view.has_token,
        fleet=tuple(_drawn_group(group, view) for group in groups),
        ranges=ranges(view, "/"),
        firing=alerts.firing(view),
        waiting=alerts.waiting(view),
        wide=tuple(_panel(section, view, section.key in tiled) for section in found if _is_wide(section)),
        narrow=(narrow[: -(-len(narrow) // 2)], narrow[-(-len(narrow) // 2) :]),
        silences=silences.silence_rows(view),
        incidents=alerts.recent(view),
    )


def _drawn_group(group: TileGroup, view: PageContext) -> DrawnGroup:
    recorded = value_of(view.recorded)

    def drawn(tile: Tile) -> DrawnTile:
        plot = None if recorded is None or tile.plot is None else recorded.plot(tile.plot)
        address = member_address(tile.name, view.span) if isinstance(tile.name, Member) else f"#p-{group.subject}"
        words = " · ".join(word for word in tile.words if word != tile.style)
        return DrawnTile(tile, words, address, None if plot == NOTHING else plot)

    return DrawnGroup(group, tuple(map(drawn, group.tiles)), tuple(map(drawn, group.folded)))


def _shown(view: PageContext) -> StatusView:
    seen = view.seen
    monitor = (
        ("Checks every", humanize.duration(view.settings.check_interval.total_seconds())),
        ("Took", milliseconds(seen.duration_ms)),
        ("Version", __version__),
    )
    history = seen.decision.state.history
    return StatusView(seen.report, seen.decision.orders, seen.at.timestamp(), history, monitor)


def _panel(section: Section, view: PageContext, tiled: bool) -> Panel:
    """A section; what its members' tiles draw is not drawn again."""
    recorded = value_of(view.recorded)
    address = partial(member_address, span=view.span)
    pictures = Pictures(_no_plots if recorded is None else recorded.plot, _span_words(view, recorded), address)
    blocks = tuple(without_plots(section.blocks)) if tiled else section.blocks
    long = any(isinstance(block, Grid) and len(block.rows) > _LONG for block in blocks)
    title = f"{section.title} in detail" if tiled else section.title
    return Panel(section.key, title, _worst(section.blocks), long, tuple(drawn(blocks, pictures)))


def _worst(blocks: Iterable[Block]) -> Style | None:
    """None where nothing shown has a mark."""
    found: list[Style | None] = []
    for block in blocks:
        match block:
            case Paragraph(style=style):
                found.append(style)
            case Grid(rows=rows):
                found += [style for style, _ in rows]
            case FactTable(styles=styles):
                found += styles.values()
            case Timeline(lines=lines):
                found += [style for style, _, _ in lines]
    return max((style for style in found if style in MARKED), key=rank, default=None)


def _no_plots(plot: Plot) -> None:
    """What is recorded is still being read, or cannot be."""


def _span_words(view: PageContext, recorded: RenderedPage | None) -> str:
    if recorded is None:
        return f"Last {view.span_words}"
    return f"Last {humanize.duration(round((recorded.report.until - recorded.report.since) / 60) * 60)}"


def _is_wide(section: Section) -> bool:
    return any(isinstance(it, Timeline) or (isinstance(it, Grid) and it.has_plots) for it in section.blocks)


def _sentence(view: PageContext) -> str:
    if view.is_stale:
        return f"monitord has not looked for {humanize.duration(view.seen.age_seconds)}; what follows is of then."
    firing = view.seen.report.alerts.firing
    if len(firing) > 1:
        critical = sum(1 for alert in firing if alert.severity == "critical")
        many = f"{len(firing)} alerts fire: {critical} critical, {humanize.plural(len(firing) - critical, 'warning')}."
        return f"{many} The worst: {sentence(firing[0].summary)}"
    found = sentence(verdict(view.seen.report))
    return found if firing else humanize.capital(found)  # what fires may begin with a name


def _plots_note(view: PageContext) -> str:
    kept = view.recorded
    if kept is None:
        return f"The last {view.span_words} are being read: the plots come in a moment."
    return f"The last {view.span_words} are unknown: {kept.trouble}." if kept.value is None else ""
