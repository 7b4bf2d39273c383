"""What one page is made of, gathered before it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from markupsafe import Markup

from monitord.config.settings import Settings
from monitord.core.alerting.incidents import Incident
from monitord.core.blocks import Member, Plot, Style
from monitord.core.model import Alert, Severity, Silence
from monitord.core.report.model import KeptWindow, Report
from monitord.core.status import worst_first
from monitord.core.subjects.base import Subject
from monitord.reporting.sections import confirmed
from monitord.reporting.status import stale_after
from monitord.web.async_cache import CacheEntry
from monitord.web.backend import PublishedCycle
from monitord.web.params import DEFAULT_SPAN, RANGES


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A report and what draws its plots; the small ones were drawn beside the loop."""

    report: Report
    plot: Callable[[Plot], Markup | None]


@dataclass(frozen=True, slots=True)
class PageContext:
    """Everything one page shows. `recorded`, `incidents` and `day` are None where they are still being read.

    `span` is the time range of the plots, `day` what is kept of the last 24 h.
    `acts`: whoever asks has shown the token; `has_token`: there is one to show.
    """

    now: datetime
    seen: PublishedCycle
    settings: Settings
    silences: tuple[Silence, ...] = ()
    recorded: CacheEntry[RenderedPage] | None = None
    incidents: CacheEntry[tuple[Incident, ...]] | None = None
    day: CacheEntry[KeptWindow] | None = None
    span: timedelta = DEFAULT_SPAN
    acts: bool = False
    has_token: bool = False

    @property
    def until(self) -> float:
        """In Unix seconds."""
        return self.now.timestamp()

    @property
    def is_stale(self) -> bool:
        return self.seen.age_seconds > stale_after(self.settings).total_seconds()

    @property
    def status(self) -> Style:
        """What is stale is unknown, unless it was critical."""
        found: Style = self.seen.report.status
        return "unknown" if self.is_stale and found != "critical" else found

    @property
    def span_words(self) -> str:
        return f"{round(self.span.total_seconds() / 3600)} h"

    def alerts(self, state: str) -> list[Alert]:
        """The worst and oldest first."""
        return worst_first(alert for alert in self.seen.decision.state.alerts.values() if alert.state == state)

    def severity(self, subject: Subject, member: str) -> Severity | None:
        """What another alert explains is no better for it."""
        return confirmed(self.seen.report).get((subject.name, member))


def member_address(member: Member, span: timedelta = DEFAULT_SPAN) -> str:
    """Of the same time range."""
    return f"/{member.page}/{quote(member.name, safe='')}" + asked(span)


def asked(span: timedelta) -> str:
    return "" if span == DEFAULT_SPAN else f"?since={round(span.total_seconds() / 3600)}h"


@dataclass(frozen=True, slots=True)
class Range:
    words: str
    address: str
    is_chosen: bool


def ranges(view: PageContext, place: str) -> tuple[Range, ...]:
    return tuple(
        Range(f"{round(span.total_seconds() / 3600)} h", place + asked(span), span == view.span)
        for span in RANGES.values()
    )
