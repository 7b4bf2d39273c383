"""A group's epochs as a line of boxes: sealed and how soon, late, missed, due, and the one that is running."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from monitord.core import humanize
from monitord.core.anomalies.sealing_habits import NOTHING_LEARNED
from monitord.core.blocks import Box
from monitord.core.history.epochs import calendar
from monitord.core.history.model import History
from monitord.core.humanize import UNKNOWN, dated
from monitord.core.orders import StandingOrders

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


def labels(group: str, history: History, orders: StandingOrders, at: float) -> list[EpochLabel]:
    """The last labels of one group, the oldest first; the last is the epoch that is running at `at`."""
    days = calendar(orders)
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


def boxes(found: list[EpochLabel]) -> Iterator[Box]:
    """The labels as they are drawn."""
    for n, one in enumerate(found):
        glyph = _GLYPHS.get(one.fate) or short(one.delay or 0.0)
        hour = dated(one.label).partition(", ")[2].removesuffix(" UTC")
        yield Box(one.fate, _words(one), glyph, hour if n % _HOUR_EVERY == 0 else "")


def _words(one: EpochLabel) -> str:
    fate = {
        "missed": "missed",
        "due": "due, not sealed yet",
        "nothing": "nobody took part, nothing to seal",
        "unknown": UNKNOWN,
        "running": "running",
        "sealed": "sealed",
    }.get(one.fate)
    if fate is None:
        fate = f"sealed after {humanize.duration(one.delay or 0.0)}" + (", late" if one.fate == "late" else "")
    channels = f", {humanize.plural(one.channels, 'channel')}" if one.channels is not None else ""
    return f"{dated(one.label)}: {fate}{channels}"


def short(seconds: float) -> str:
    """A delay in a box: `45s`, `3m`, `2h`."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"
