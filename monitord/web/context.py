"""What one page is made of, gathered before it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from markupsafe import Markup

from monitord.config.loader import Settings
from monitord.core.alerting.incidents import Incident
from monitord.core.blocks import Member, Plot, Style
from monitord.core.model import RANK, Alert, Severity, Silence
from monitord.core.report.model import Report
from monitord.core.subjects.base import Subject
from monitord.reporting.sections import confirmed
from monitord.reporting.status import stale_after
from monitord.web.async_cache import CacheEntry
from monitord.web.backend import PublishedCycle


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A report and what draws its plots; the small ones were drawn beside the loop."""

    night: Report
    plot: Callable[[Plot], Markup | None]


@dataclass(frozen=True, slots=True)
class PageContext:
    """Everything one page shows. `night` and `incidents` are None where they are still being read.

    `acts`: whoever asks has shown the token; `has_token`: there is one to show.
    """

    now: datetime
    seen: PublishedCycle
    settings: Settings
    silences: tuple[Silence, ...] = ()
    night: CacheEntry[RenderedPage] | None = None
    incidents: CacheEntry[tuple[Incident, ...]] | None = None
    acts: bool = False
    has_token: bool = False

    @property
    def until(self) -> float:
        """As of when everything is shown, in Unix seconds."""
        return self.now.timestamp()

    @property
    def is_stale(self) -> bool:
        """Whether the last cycle is no longer of the present."""
        return self.seen.age_seconds > stale_after(self.settings).total_seconds()

    @property
    def status(self) -> Style:
        """The status as a page shows it: what is stale is unknown, unless it was critical."""
        found: Style = self.seen.report.status
        return "unknown" if self.is_stale and found != "critical" else found

    def alerts(self, state: str) -> list[Alert]:
        """The alerts in one state, the worst and oldest first."""
        chosen = [alert for alert in self.seen.decision.state.alerts.values() if alert.state == state]
        return sorted(chosen, key=lambda a: (-RANK[a.severity], a.since, a.rule, a.subject))

    def severity(self, subject: Subject, member: str) -> Severity | None:
        """The worst that is confirmed of a member: what another alert explains is no better for it."""
        return confirmed(self.seen.report).get((subject.name, member))


def member_address(member: Member) -> str:
    """Where a member's own page is."""
    return f"/{member.page}/{quote(member.name, safe='')}"
