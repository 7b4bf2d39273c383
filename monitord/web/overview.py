"""The first page: how it stands in a word, what to do, and then everything that is watched at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from monitord import __version__
from monitord.core import humanize
from monitord.core.blocks import Block, Grid, Plot, Section, Style, Timeline
from monitord.core.humanize import milliseconds, sentence
from monitord.core.status import verdict
from monitord.reporting.html import Picture, Pictures, drawn
from monitord.reporting.sections import StatusView, subject_sections
from monitord.web import alerts, silences
from monitord.web.alerts import AlertLine, FiringAlerts, RecentIncidents
from monitord.web.context import PageContext, RenderedPage, member_address
from monitord.web.silences import SilenceRow


@dataclass(frozen=True, slots=True)
class Panel:
    """A watched thing: its heading, and what is shown of it."""

    key: str
    title: str
    blocks: tuple[Block | Picture, ...]


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The whole of it. `wide` panels stand one under the other, `narrow` ones in two columns.

    `plots_at`: as of when the plots are; None where `night_note` says why there are none.
    """

    done: str
    style: Style
    word: str
    sentence: str
    seen_at: datetime
    plots_at: float | None
    night_note: str
    has_token: bool
    firing: FiringAlerts
    waiting: tuple[AlertLine, ...]
    wide: tuple[Panel, ...]
    narrow: tuple[tuple[Panel, ...], tuple[Panel, ...]]
    silences: tuple[SilenceRow, ...]
    incidents: RecentIncidents


def overview(view: PageContext, done: str = "") -> OverviewPage:
    """What the overview shows."""
    night = view.night.value.night if view.night is not None and view.night.value is not None else None
    found = list(subject_sections(_shown(view)))
    narrow = tuple(_panel(section, view) for section in found if not _is_wide(section))
    return OverviewPage(
        done=done,
        style=view.status,
        word=str(view.status).upper(),
        sentence=_sentence(view),
        seen_at=view.seen.at,
        plots_at=night.until if night is not None else None,
        night_note=_night_note(view),
        has_token=view.has_token,
        firing=alerts.firing(view),
        waiting=alerts.waiting(view),
        wide=tuple(_panel(section, view) for section in found if _is_wide(section)),
        narrow=(narrow[: -(-len(narrow) // 2)], narrow[-(-len(narrow) // 2) :]),
        silences=silences.silence_rows(view),
        incidents=alerts.recent(view),
    )


def _shown(view: PageContext) -> StatusView:
    seen = view.seen
    monitor = (
        ("Checks every", humanize.duration(view.settings.check_interval.total_seconds())),
        ("Took", milliseconds(seen.duration_ms)),
        ("Version", __version__),
    )
    history = seen.decision.state.history
    return StatusView(seen.report, seen.decision.orders, seen.at.timestamp(), history, monitor)


def _panel(section: Section, view: PageContext) -> Panel:
    night = view.night.value if view.night is not None else None
    pictures = Pictures(_no_plots if night is None else night.plot, _span_words(night), member_address)
    return Panel(section.key, section.title, tuple(drawn(section.blocks, pictures)))


def _no_plots(plot: Plot) -> None:
    """What is recorded is still being read, or cannot be."""


def _span_words(night: RenderedPage | None) -> str:
    if night is None:
        return "Last 12 h"
    return f"Last {humanize.duration(round((night.night.until - night.night.since) / 60) * 60)}"


def _is_wide(section: Section) -> bool:
    """Whether a section draws what it says in its table, or beside it, as a line of time."""
    return any(isinstance(it, Timeline) or (isinstance(it, Grid) and it.has_plots) for it in section.blocks)


def _sentence(view: PageContext) -> str:
    if view.is_stale:
        return f"monitord has not looked for {humanize.duration(view.seen.age_seconds)}; what follows is of then."
    firing = view.seen.report.alerts.firing
    if len(firing) > 1:
        critical = sum(1 for alert in firing if alert.severity == "critical")
        told = f"{len(firing)} alerts fire: {critical} critical, {humanize.plural(len(firing) - critical, 'warning')}."
        return f"{told} The worst: {sentence(firing[0].summary)}"
    told = sentence(verdict(view.seen.report))
    return told if firing else told[:1].upper() + told[1:]  # what fires may begin with a name


def _night_note(view: PageContext) -> str:
    kept = view.night
    if kept is None:
        return "The last 12 h are being read: the plots come in a moment."
    return f"The last 12 h are unknown: {kept.trouble}." if kept.value is None else ""
