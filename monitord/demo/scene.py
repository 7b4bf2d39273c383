"""What the demonstration shows at one moment, as data: the views render it, the tour makes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from monitord.core import humanize
from monitord.core.blocks import Style

Fields = Mapping[str, Any]
Kind = Literal["note", "broke", "said", "beside", "mended", "cleared", "trouble"]

# What stands before a line of the story, and how it looks.
MARKS: dict[Kind, tuple[str, Style]] = {
    "note": ("·", "dim"),
    "broke": ("✗", "critical"),
    "said": ("!", "warning"),
    "beside": ("?", "unknown"),
    "mended": ("+", "bold"),
    "cleared": ("✔", "ok"),
    "trouble": ("✗", "critical"),
}


@dataclass(frozen=True, slots=True)
class SceneEntry:
    """One line of what happened; `at` is aware, in UTC."""

    at: datetime
    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {MARKS[self.kind][0]} {self.text}"

    @property
    def style(self) -> Style:
        return MARKS[self.kind][1]


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment (Unix seconds). `report`: the last cycle's fields; `stage`: half a sentence; `story`: oldest first."""

    now: float
    stage: str = ""
    report: Fields | None = None
    pending: Sequence[Fields] = ()
    story: Sequence[SceneEntry] = field(default_factory=tuple)
    growth_window: str = "the window"

    @property
    def status(self) -> str:
        return str(self.report["status"]) if self.report is not None else "unknown"

    @property
    def has_epochs(self) -> bool:
        return self.report is not None and bool(self.report["epochs"])

    @property
    def next_seal(self) -> str:
        if self.report is None or (at := (self.report["current_epoch"] or {}).get("next")) is None:
            return "unknown"
        return humanize.duration(max(0, round(at - self.now)))


def status_line(scene: Scene) -> str:
    report = scene.report
    if report is None:
        return f"{scene.stage}; monitord has not reported yet"
    services = report["services"].values()
    parts = [scene.status.upper(), f"{sum(1 for service in services if service['ok'])}/{len(services)} services"]
    for name, table in report["growth"].items():
        gained = "unknown" if table["window_rows"] is None else f"+{humanize.count(table['window_rows'])}"
        parts.append(f"{name} {gained} in {scene.growth_window}")
    for group, seals in report["epochs"].items():
        age = seals["seal_age_seconds"]
        parts.append(f"{group} sealed {'unknown' if age is None else humanize.duration(round(age)) + ' ago'}")
    keys = report["redis"]["keys"]
    parts.append(f"Redis {'unknown' if keys is None else humanize.count(keys) + ' keys'}")
    if scene.has_epochs:
        parts.append(f"next seal in {scene.next_seal}")
    if firing := report["alerts"]["firing"]:
        parts.append("firing: " + humanize.listed([f"{alert['rule']} {alert['subject']}" for alert in firing]))
    return ", ".join(parts)
