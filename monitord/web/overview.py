"""The first page: how it stands in a word, what to do, and then everything that is watched at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from monitord.core import humanize
from monitord.core.blocks import Block, Style
from monitord.core.status import verdict
from monitord.reporting.status import added_sections
from monitord.reporting.wording import sentence
from monitord.web import alerts, epochs, panels, services, silences
from monitord.web.alerts import AlertLine, FiringAlerts, RecentIncidents
from monitord.web.context import PageContext
from monitord.web.epochs import EpochsPanel
from monitord.web.panels import Panel, ServerPanel
from monitord.web.services import FleetPanel
from monitord.web.silences import SilenceRow


@dataclass(frozen=True, slots=True)
class AddedPanel:
    """A watched thing that has no panel of its own, as blocks."""

    panel: Panel
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The whole of it. `plots_at`: as of when the plots are; None where `night_note` says why there are none."""

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
    fleet: FleetPanel
    epochs: EpochsPanel | None
    added: tuple[AddedPanel, ...]
    growth: ServerPanel
    redis: ServerPanel
    host: ServerPanel
    watch: ServerPanel
    silences: tuple[SilenceRow, ...]
    incidents: RecentIncidents


def overview(view: PageContext, done: str = "") -> OverviewPage:
    """What the overview shows."""
    night = view.night.value.night if view.night is not None and view.night.value is not None else None
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
        fleet=services.fleet(view),
        epochs=epochs.epochs(view) if view.seen.report.epochs else None,
        added=tuple(
            AddedPanel(panels.panel(view, subject.name, subject.heading, subject.name), tuple(blocks))
            for subject, blocks in added_sections(view.seen.report.as_fields())
        ),
        growth=panels.growth(view),
        redis=panels.redis(view),
        host=panels.host(view),
        watch=panels.watch(view),
        silences=silences.silence_rows(view),
        incidents=alerts.recent(view),
    )


def _sentence(view: PageContext) -> str:
    if view.is_stale:
        return f"monitord has not looked for {humanize.duration(view.seen.age_seconds)}; what follows is of then."
    firing = view.seen.report.alerts["firing"]
    if len(firing) > 1:
        critical = sum(1 for alert in firing if alert["severity"] == "critical")
        told = f"{len(firing)} alerts fire: {critical} critical, {humanize.plural(len(firing) - critical, 'warning')}."
        return f"{told} The worst: {sentence(str(firing[0]['summary']))}"
    told = sentence(verdict(view.seen.report.as_fields()))
    return told if firing else told[:1].upper() + told[1:]  # what fires may begin with a name


def _night_note(view: PageContext) -> str:
    kept = view.night
    if kept is None:
        return "The last 12 h are being read: the plots come in a moment."
    return f"The last 12 h are unknown: {kept.trouble}." if kept.value is None else ""
