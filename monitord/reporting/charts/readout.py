"""What a plot says at each point, in words: the page's script shows it under the pointer and to the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from monitord.core.humanize import UNKNOWN
from monitord.reporting.charts.downsample import Point

# More points than these are taken together, each group from its least to its most.
_GROUPS: Final = 60

Said = tuple[float, str]


def spoken(points: Sequence[Point], say: Callable[[float], str], otherwise: Callable[[float], str]) -> list[Said]:
    """A series in words from each moment on; `otherwise` says what was at one of which no value is known."""
    per = max(1, -(-len(points) // _GROUPS))
    found: list[Said] = []
    for start in range(0, len(points), per):
        group = points[start : start + per]
        known = [value for _, value in group if value is not None]
        least, most = (say(min(known)), say(max(known))) if known else ("", "")
        words = otherwise(group[0][0]) if not known else least if least == most else f"{least} to {most}"
        if not found or found[-1][1] != words:
            found.append((group[0][0], words))
    return found


def unknown(_: float) -> str:
    return UNKNOWN


def readout(said: Iterable[Said], since: float, until: float, *, of_time: bool = True) -> dict[str, object]:
    """The attributes that carry it: `data-points` has seconds after `since`, or a place (not `of_time`), and words."""
    found = "|".join(f"{at - since:.0f} {words.replace('|', '/')}" for at, words in said)
    if not found:
        return {}
    return {
        "data_points": found,
        "data_since": f"{since:.0f}" if of_time else None,
        "data_span": f"{until - since:.0f}",
        "tabindex": 0,
    }
