"""Both groups' epochs as a strip of labels: sealed and how soon, late, missed, due, and the one that is running."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from monitord.core import humanize
from monitord.core.anomalies.sealing_habits import NOTHING_LEARNED
from monitord.core.blocks import Style
from monitord.core.history.epochs import calendar
from monitord.reporting.wording import dated, said
from monitord.web.context import UNKNOWN, PageContext
from monitord.web.panels import Panel, panel

LABELS: Final = 24
_HOUR_EVERY: Final = 4

Fate = Literal["soon", "slow", "late", "sealed", "missed", "due", "nothing", "unknown", "running"]
_GLYPHS: Final[dict[Fate, str]] = {
    "sealed": "✓",
    "missed": "✕",
    "due": "…",
    "nothing": "–",
    "unknown": "?",
    "running": "now",
}


@dataclass(frozen=True, slots=True)
class EpochLabel:
    """One label of one group. `soon`, `slow` and `late` are sealed: within half the grace, within it, after it."""

    label: int
    fate: Fate
    delay: float | None = None
    channels: int | None = None


@dataclass(frozen=True, slots=True)
class EpochBox:
    """A label as it is drawn: its glyph, the hour under it or "", and in words what the glyph says."""

    fate: Fate
    words: str
    glyph: str
    hour: str


@dataclass(frozen=True, slots=True)
class EpochGroup:
    """One group's strip."""

    name: str
    style: Style
    summary: str
    boxes: tuple[EpochBox, ...]


@dataclass(frozen=True, slots=True)
class EpochsPanel:
    """All strips. `running`: a sentence on the epoch that is running, or ""."""

    panel: Panel
    running: str
    groups: tuple[EpochGroup, ...]
    grace: str


def labels(view: PageContext, group: str) -> list[EpochLabel]:
    """The last labels of one group, the oldest first; the last is the epoch that is running."""
    history, orders = view.seen.decision.state.history, view.seen.decision.orders
    days = calendar(orders)
    at = view.seen.at.timestamp()
    current, expected = days.current(at), days.expected(at)
    is_known = history.reading("epochs") is not None
    known = dict(history.sealed.get(group, ()))
    past = history.learned.get(group, NOTHING_LEARNED)
    first = min(known, default=None)
    found: list[EpochLabel] = []
    for label in range(current - (LABELS - 1) * days.length, current + 1, days.length):
        channels = known.get(label, past.channels.get(label))
        delay = past.delays.get(label) if past.delays.length == days.length else None
        fate: Fate
        if label in known or delay is not None:
            fate = "sealed" if delay is None else _fate(delay, days.grace)
        elif label == current:
            fate = "running"
        elif is_known and label in history.empty.get(group, ()):
            fate = "nothing"
        elif not is_known or (first is not None and label < first):
            fate = "unknown"
        else:
            fate = "missed" if label <= expected else "due"
        found.append(EpochLabel(label, fate, delay, channels))
    return found


def _fate(delay: float, grace: float) -> Fate:
    if delay > grace:
        return "late"
    return "soon" if delay <= grace / 2 else "slow"


def epochs(view: PageContext) -> EpochsPanel:
    """A strip for each group."""
    report, orders = view.seen.report, view.seen.decision.orders
    current = report.current_epoch
    running = current and (
        f"The epoch of {dated(current['epoch'])} is running; the next begins in "
        f"{humanize.duration(max(0, round(current['next'] - view.until)))}."
    )
    return EpochsPanel(
        panel(view, "epochs", "Epochs", "epochs"),
        running or "",
        tuple(_group(group, found, view) for group, found in report.epochs.items()),
        humanize.duration(orders.epoch_grace.total_seconds()),
    )


def _group(group: str, found: dict[str, object], view: PageContext) -> EpochGroup:
    missed, latest, age, channels = (
        found[name] for name in ("missed", "latest", "seal_age_seconds", "channels_sealed")
    )
    parts = [
        f"sealed to {dated(latest)}" if isinstance(latest, int) else "nothing sealed is known",
        f"seal age {said(humanize.duration, round(age) if isinstance(age, float) else None)}",
        f"{said(humanize.count, channels if isinstance(channels, int) else None, UNKNOWN)} channels",
    ]
    if isinstance(missed, list) and missed:
        parts.append(f"{len(missed)} missed")
    return EpochGroup(group, style_of(view, group), ", ".join(parts), tuple(_boxes(labels(view, group))))


def style_of(view: PageContext, group: str) -> Style:
    """How one group is marked."""
    known = view.seen.report.probes["epochs"]["status"] == "ok"
    return view.severity("epochs", group) or view.severity("epochs", "epochs") or ("ok" if known else "unknown")


def _boxes(found: list[EpochLabel]) -> Iterator[EpochBox]:
    for n, one in enumerate(found):
        glyph = _GLYPHS.get(one.fate) or short(one.delay or 0.0)
        hour = dated(one.label).partition(", ")[2].removesuffix(" UTC")
        yield EpochBox(one.fate, _words(one), glyph, hour if n % _HOUR_EVERY == 0 else "")


def _words(one: EpochLabel) -> str:
    told = {
        "missed": "missed",
        "due": "due, not sealed yet",
        "nothing": "nobody took part, nothing to seal",
        "unknown": UNKNOWN,
        "running": "running",
        "sealed": "sealed",
    }.get(one.fate)
    if told is None:
        told = f"sealed after {humanize.duration(one.delay or 0.0)}" + (", late" if one.fate == "late" else "")
    channels = f", {humanize.plural(one.channels, 'channel')}" if one.channels is not None else ""
    return f"{dated(one.label)}: {told}{channels}"


def short(seconds: float) -> str:
    """A delay in a box: `45s`, `3m`, `2h`."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"
