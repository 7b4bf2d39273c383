"""The pages' templates with what they all show: the frame, the bar with the ways to the others, and times."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from monitord import __version__
from monitord.core import humanize
from monitord.core.alerting.incidents import Incident
from monitord.core.blocks import Style
from monitord.web.auth import VARIABLE

if TYPE_CHECKING:
    from jinja2 import Environment

PAGES: Final = (("/", "Overview"), ("/alerts", "Alerts"), ("/report", "Report"), ("/silences", "Silences"))
# So often a page without a script asks again by itself.
REFRESH_SECONDS: Final = 30
# The spans that the report's page offers, in hours.
SPANS: Final = (2, 12, 24, 48)
NO_TOKEN: Final = f"To silence and to acknowledge from here, set {VARIABLE} and reload; the commands can do it without."
_TONES: Final[dict[str, str]] = {"ok": "156a34", "warning": "b87400", "critical": "c4162f", "unknown": "6d3fc0"}
_ICONS: Final[dict[str, str]] = {
    "ok": "<circle cx='8' cy='8' r='7'/>",
    "warning": "<path d='M8 1L15.5 15H.5Z'/>",
    "critical": "<path d='M5 .5H11L15.5 5V11L11 15.5H5L.5 11V5Z'/>",
    "unknown": "<path d='M8 0L16 8L8 16L0 8Z'/>",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a page's content.

    `place` is which of PAGES it belongs to ("": none), `style` the status that the bar and the tab's icon show (None:
    none is known), `who` the instance that is watched. A `live` page follows monitord; one with a form in it does not.
    `acts`: whoever asks may silence and acknowledge, and may want to stop.
    """

    title: str
    place: str = ""
    style: Style | None = None
    who: str = "monitord"
    live: bool = False
    acts: bool = False
    at: float = field(default_factory=time.time)

    @property
    def icon(self) -> str:
        style = self.style or "unknown"
        drawing = (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='#{_TONES[style]}'>{_ICONS[style]}</svg>"
        )
        return f"data:image/svg+xml,{quote(drawing)}"


def rendered(template: str, frame: Frame, **shown: object) -> str:
    return _templates().get_template(template).render(frame=frame, **shown)


def load() -> None:
    """Tens of milliseconds, better spent beside the event loop."""
    templates = _templates()
    for name in templates.list_templates():
        templates.get_template(name)


@cache
def _templates() -> Environment:
    from monitord.reporting.templating import environment

    made = environment("monitord.web", "monitord.reporting")
    made.globals.update(
        PAGES=PAGES,
        REFRESH_SECONDS=REFRESH_SECONDS,
        SPANS=SPANS,
        VERSION=__version__,
        NO_TOKEN=NO_TOKEN,
        TOKEN_VARIABLE=VARIABLE,
    )
    made.filters.update(
        stamp=stamp,
        moment=lambda at, now: humanize.moment(_seconds(at), now),
        since=_since,
        lasted=_lasted,
        named=lambda alert: f"{alert.rule}: {alert.subject}",
        sentence=humanize.sentence,
    )
    return made


def stamp(at: datetime | float) -> str:
    """As machines write it."""
    return datetime.fromtimestamp(_seconds(at), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _since(at: datetime | float, now: float) -> str:
    return humanize.duration(max(0, round(now - _seconds(at))))


def _lasted(incident: Incident, now: float) -> str:
    return humanize.duration(round(incident.duration_seconds(datetime.fromtimestamp(now, UTC))))


def _seconds(at: datetime | float) -> float:
    return at.timestamp() if isinstance(at, datetime) else at
