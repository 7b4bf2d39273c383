"""What makes a run of troughs a steady rise: it rises in every part of the window, and does not slow.

So a step, a warm-up, a cache that fills and stays, teeth and bursts are none. What is reported is where the rise will
have reached its limit soon enough, reckoned from no more than it has shown.
"""

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from monitord.core.anomalies.regression import Points, Slope, median, share, slope, troughs

# A bucket is this part of the least span.
BUCKETS_PER_SPAN = 10
# How many of the newest buckets are searched for a trend, the longest window first.
LOOKS = (100, 80, 56, 40, 28, 20, 14, 10)
LEAST_BUCKETS: Final = min(LOOKS)
POINTS_PER_LOOK = 20
LAST_POINTS = 4
# The least that a rise must amount to: this share of the limit, and so many times the scatter about its line.
RISE_OF_LIMIT = 0.01
RISE_OF_SCATTER = 3.0
# The share of pairs that must rise, and the least slope of any part beside that of the whole.
AGREEMENT = 0.85
PART_SLOPE = 0.6
LAST_SLOPE = 0.8
# Where readings usually top out: this share of them lie no higher above their troughs' line.
TOP = 0.8
# The most that the two largest rises between neighbours may make of the whole.
JUMPS = 0.5
# What is published as the range is so many times as wide: the noise of memory and disks remembers itself.
CAUTION = 2.0
# A level this share of the past was below has been known, and come down from.
KNOWN = 0.9
# The part of a rise that must lie above what is known.
NEW_GROUND = 0.25
# The least slope, beside that of the whole, over the newest buckets where they are judged by themselves.
LATELY_SLOPE = 0.3
# What was reported is held to less, so that it does not clear at the next reading.
HELD_AGREEMENT, HELD_PART, HELD_RISE, HELD_REACH = 0.7, 0.3, 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a series is judged by: its limit (in the unit of its values) and times in seconds.

    Past `superseded_above` another rule fires. `span` is the least time a trend must have been observed, `horizon` how
    far off the limit may be and still be reported, `ahead` how far in times of what was observed. `trust` is the part
    of the later half's slope that is believed where the question is whether the rise slows. `grain` is the unit that
    values are rounded to, `blind_after` the silence after which nobody watched. `lately`: over so many of the newest
    buckets it must still rise when it is first reported (0: no matter), since what has just ended is no trend.
    """

    limit: float
    superseded_above: float
    span: float
    horizon: float
    ahead: float
    trust: float
    grain: float
    blind_after: float
    lately: int = 0

    @property
    def width(self) -> float:
        return self.span / BUCKETS_PER_SPAN


@dataclass(frozen=True, slots=True)
class Trend:
    """A steady rise, as of `at`: slopes per second, the level that readings reach, and the level it rose from.

    The level is true within `slack`. `span` is the time (seconds) that the rise was watched, `agreement` the share of
    pairs of troughs that rise.
    """

    at: float
    level: float
    origin: float
    slope: float
    slowest: float
    fastest: float
    slack: float
    span: float
    agreement: float


class Buckets(NamedTuple):
    """Closed buckets, oldest first: when each began, and its lowest and highest reading."""

    at: list[float]
    low: list[float]
    high: list[float]


def steady_rise(buckets: Buckets, now: float, terms: Terms, *, held: bool) -> Trend | None:
    """The longest steady rise that will soon reach the limit; one that is `held` is kept until clearly over."""
    for look in LOOKS:
        if look <= len(buckets.low) and _has_risen(buckets.low[-look:]):
            trend = _rise(Buckets(*(each[-look:] for each in buckets)), buckets.low[:-look], now, terms, held=held)
            if trend is not None:
                return trend
    return None


def _has_risen(lows: list[float]) -> bool:
    """Whether the last third lies above the first: what is healthy ends here half of the time."""
    third = len(lows) // 3
    return median(lows[-third:]) > median(lows[:third])


def _rise(buckets: Buckets, past: list[float], now: float, terms: Terms, *, held: bool) -> Trend | None:
    """The rise of these buckets; `past` are the lowest readings of those before them."""
    ats, lows, highs = buckets
    span = len(lows) * terms.width
    reach = min(terms.horizon, terms.ahead * span) * (HELD_REACH if held else 1.0)
    third = len(lows) // 3
    first, last = median(lows[:third]), median(lows[-third:])
    between = ats[-1 - third // 2] - ats[third // 2]
    # Cheap and rough: most of what is healthy ends here.
    if (terms.limit - highs[-1]) * between > 2 * reach * (last - first):
        return None
    points = troughs(list(zip(ats, lows, strict=True)), POINTS_PER_LOOK)
    whole = slope(points)
    half = (len(points) + 1) // 2
    # A burst that is gone does not clear what was reported.
    parts = _stayed(points) if held else points
    halves = slope(parts[:half]).middle, slope(parts[-half:]).middle
    if not _steady(whole, halves, slope(parts[-max(len(parts) // 3, LAST_POINTS) :]).middle, held=held):
        return None
    base = median([low - whole.middle * at for at, low in points])
    origin, ends = base + whole.middle * points[0][0], base + whole.middle * points[-1][0]
    scatter = 1.4826 * median([abs(low - base - whole.middle * at) for at, low in points])
    rise = max(RISE_OF_LIMIT * terms.limit, RISE_OF_SCATTER * scatter) * (HELD_RISE if held else 1.0)
    if ends - origin < rise or points[-1][1] < (origin + ends) / 2:
        return None
    tops = [high - base - whole.middle * (at + terms.width) for at, high in zip(ats, highs, strict=True)]
    top = share(tops, TOP)
    level = base + whole.middle * now + max(0.0, top)
    slowest, fastest = min(whole.low, *halves), max(whole.high, *halves)
    slack = CAUTION * (scatter + terms.grain) + whole.middle * terms.width / 2
    room = max(0.0, terms.limit - level)
    left = _longest(room, slack, slowest) if not held else room / whole.middle
    if left > reach:
        return None
    if not held and (
        _has_ended(buckets, whole.middle, terms)
        or _jumps(points) > JUMPS * (ends - origin)
        or level + _still_to_come(halves[0], terms.trust * halves[1], points[-1][0] - points[0][0]) < terms.limit
        or (_is_known(last - NEW_GROUND * (last - first), past) and left > terms.span)
    ):
        return None
    return Trend(
        at=now,
        level=level,
        origin=origin,
        slope=whole.middle,
        slowest=whole.middle - CAUTION * (whole.middle - slowest),
        fastest=whole.middle + CAUTION * (fastest - whole.middle),
        slack=slack,
        span=span,
        agreement=round(whole.agreement, 3),
    )


def _has_ended(buckets: Buckets, slope: float, terms: Terms) -> bool:
    ats, lows, _ = buckets
    if not terms.lately or len(lows) <= terms.lately:
        return False
    before = -1 - terms.lately
    return lows[-1] - lows[before] < LATELY_SLOPE * slope * (ats[-1] - ats[before])


def _longest(room: float, slack: float, slowest: float) -> float:
    return (room + slack) / slowest if slowest > 0 else math.inf


def _is_known(level: float, past: list[float]) -> bool:
    """Whether it was at this level before this rise, and came down by itself: it is watched until the end is near."""
    return len(past) >= BUCKETS_PER_SPAN and level <= share(past, KNOWN)


def _stayed(points: Points) -> Points:
    """The points without what was given back later: each as high as the lowest from there on."""
    lows = list(accumulate((low for _, low in reversed(points)), min))
    return [(at, low) for (at, _), low in zip(points, reversed(lows), strict=True)]


def _jumps(points: Points) -> float:
    """What the two largest rises between neighbours come to: a burst that is gone is no jump."""
    rises = sorted(later[1] - earlier[1] for earlier, later in pairwise(_stayed(points)))
    return rises[-1] + rises[-2]


def _still_to_come(earlier: float, later: float, seconds: float) -> float:
    """How much a rise that slows from half to half of these seconds will still rise, in all the future."""
    if later >= earlier:
        return math.inf
    slowing = math.log(earlier / later) * 2 / seconds
    return later * math.exp(-slowing * seconds / 4) / slowing


def _steady(whole: Slope, halves: tuple[float, float], last: float, *, held: bool) -> bool:
    """Whether all parts rise, and none so much less than the whole that the rise is a step, or is ending."""
    part = HELD_PART if held else 1.0
    return (
        whole.middle > 0
        and whole.agreement >= (HELD_AGREEMENT if held else AGREEMENT)
        and min(halves) >= PART_SLOPE * part * whole.middle
        and last >= LAST_SLOPE * part * whole.middle
    )
