"""What rises steadily, and when it will have reached its limit: a series of troughs, and the trend in it.

Of each stretch of time only the lowest reading is kept (and how far the highest lay above it): what comes and goes
within the stretch, the teeth of a garbage collector or a nightly backup, leaves no trace in it. A trend is said only of
what rises in every part of the time looked at, to where it has not been before, and no further ahead than twice as long
as it was watched. So a step, a warm-up, and a cache that fills and stays are none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import NamedTuple

from monitord.core.slopes import Points, Slope, median, share, slope, troughs

# A bucket is this part of the least span, and so many buckets are remembered: ten spans.
BUCKETS_PER_SPAN = 10
BUCKETS_KEPT = 100
# How many of the newest buckets are looked at for a trend, the longest look first.
LOOKS = (100, 80, 56, 40, 28, 20, 14, 10)
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
# What has been said is held to less, so that it is not unsaid at the next breath.
HELD_AGREEMENT, HELD_PART, HELD_RISE, HELD_REACH = 0.7, 0.3, 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a series is judged by: its limit (in the unit of its values) and times in seconds.

    Past `spoken` another rule speaks. `span` is the least time a trend must have been watched, `horizon` how far off
    the limit may be and still be told, `ahead` how far in times of what was watched. `trust` is the part of the later
    half's slope that is believed where the question is whether the rise slows. `grain` is the unit that values are
    rounded to, `blind_after` the silence after which nobody watched.
    """

    limit: float
    spoken: float
    span: float
    horizon: float
    ahead: float
    trust: float
    grain: float
    blind_after: float

    @property
    def width(self) -> float:
        """Seconds in a bucket."""
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


@dataclass(frozen=True, slots=True)
class Series:
    """The closed buckets of what one process or disk told, oldest first, and the open one.

    `troughs` and `swings` are whole grains, None where nobody watched for half of a bucket. `begun` is the start of
    the oldest bucket, `at` of the last reading; `low`, `high` and `watched` (seconds) are the open bucket's.
    """

    begun: float
    width: float
    at: float
    low: float
    high: float
    watched: float = 0.0
    troughs: tuple[int | None, ...] = ()
    swings: tuple[int | None, ...] = ()
    trend: Trend | None = None
    started_at: float | None = None
    restarts: int | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """When the limit will be reached if nothing changes: seconds from now, at the soonest and latest (None: open).

    `per_hour` is the rise, `span` the seconds it was watched, `confidence` the share of pairs of troughs that rise.
    """

    per_hour: float
    span: float
    confidence: float
    seconds: float
    soonest: float
    latest: float | None


def begin(
    value: float, now: float, terms: Terms, started_at: float | None = None, restarts: int | None = None
) -> Series:
    """A series with its first reading."""
    return Series(now, terms.width, now, value, value, started_at=started_at, restarts=restarts)


def absorb(series: Series, value: float, now: float, terms: Terms) -> Series:
    """The series with one more reading. Whenever a bucket closes, the trend is looked for anew."""
    since = now - series.at
    watched = since if since <= terms.blind_after else 0.0
    open_from = series.begun + len(series.troughs) * series.width
    if now < open_from + series.width:
        return Series(
            series.begun,
            series.width,
            now,
            min(series.low, value),
            max(series.high, value),
            series.watched + watched,
            series.troughs,
            series.swings,
            series.trend,
            series.started_at,
            series.restarts,
        )
    skipped = math.floor((now - open_from) / series.width) - 1
    before = min(watched, open_from + series.width - series.at)
    closed = replace(_closed(series, series.watched + before, skipped, terms), at=now)
    within = min(watched - before, (now - closed.begun) % series.width)
    following = replace(closed, low=value, high=value, watched=within)
    return replace(following, trend=_trend(following, terms))


def outlook(series: Series, now: float, terms: Terms) -> Outlook | None:
    """What there is to say of the series now: None without a trend, or once the rise is given back.

    Past the limit there is nothing to foretell: not within a bucket of a reading that was.
    """
    trend = series.trend
    if trend is None or series.low < trend.origin or _topped(series, terms) > terms.spoken:
        return None
    room, gone = terms.limit - trend.level, now - trend.at

    def left(room: float, slope: float) -> float:
        return max(0.0, room / slope - gone)

    return Outlook(
        per_hour=trend.slope * 3600,
        span=trend.span,
        confidence=trend.agreement,
        seconds=left(room, trend.slope),
        soonest=left(room - trend.slack, trend.fastest),
        latest=left(room + trend.slack, trend.slowest) if trend.slowest > 0 else None,
    )


def shifted(series: Series, seconds: float) -> Series:
    """The series as a wall clock tells it that was set back by so much: what was lived through stays in order."""
    trend = None if series.trend is None else replace(series.trend, at=series.trend.at - seconds)
    return replace(series, begun=series.begun - seconds, at=series.at - seconds, trend=trend)


def _topped(series: Series, terms: Terms) -> float:
    """The highest reading of the open bucket and the one before it."""
    if not series.troughs or series.troughs[-1] is None:
        return series.high
    return max(series.high, (series.troughs[-1] + (series.swings[-1] or 0)) * terms.grain)


def _closed(series: Series, watched: float, skipped: int, terms: Terms) -> Series:
    """The series with its open bucket closed, and those in which nobody watched behind it; the oldest go."""
    trough = swing = None
    if watched >= series.width / 2:
        trough = round(series.low / terms.grain)
        swing = round(series.high / terms.grain) - trough
    blind = (None,) * min(skipped, BUCKETS_KEPT)
    lows, swings = (*series.troughs, trough, *blind), (*series.swings, swing, *blind)
    gone = len(series.troughs) + 1 + skipped - min(len(lows), BUCKETS_KEPT)
    return replace(
        series,
        begun=series.begun + gone * series.width,
        troughs=lows[-BUCKETS_KEPT:],
        swings=swings[-BUCKETS_KEPT:],
    )


class _Bucket(NamedTuple):
    """A closed bucket as the trend is looked for in it: when it began, and its lowest and highest reading."""

    at: float
    low: float
    high: float


def _trend(series: Series, terms: Terms) -> Trend | None:
    """The longest steady rise up to now that will reach the limit soon enough to be told."""
    buckets = [
        _Bucket(series.begun + number * series.width, low * terms.grain, (low + swing) * terms.grain)
        for number, (low, swing) in enumerate(zip(series.troughs, series.swings, strict=True))
        if low is not None and swing is not None
    ]
    for look in LOOKS:
        if look <= len(buckets):
            trend = _rise(buckets[-look:], buckets[:-look], series, terms)
            if trend is not None:
                return trend
    return None


def _rise(buckets: list[_Bucket], past: list[_Bucket], series: Series, terms: Terms) -> Trend | None:
    """The rise through all of these buckets, if it is one."""
    held = series.trend is not None
    span = len(buckets) * series.width
    reach = min(terms.horizon, terms.ahead * span) * (HELD_REACH if held else 1.0)
    third = len(buckets) // 3
    first, last = _level(buckets[:third]), _level(buckets[-third:])
    between = buckets[-1 - third // 2].at - buckets[third // 2].at
    # Cheap and rough: most of what is healthy ends here.
    if last <= first or (terms.limit - buckets[-1].high) * between > 2 * reach * (last - first):
        return None
    points = troughs([(bucket.at, bucket.low) for bucket in buckets], POINTS_PER_LOOK)
    whole = slope(points)
    half = (len(points) + 1) // 2
    halves = slope(points[:half]).middle, slope(points[-half:]).middle
    if not _steady(whole, halves, slope(points[-max(len(points) // 3, LAST_POINTS) :]).middle, held=held):
        return None
    base = median([low - whole.middle * at for at, low in points])
    origin, ends = base + whole.middle * points[0][0], base + whole.middle * points[-1][0]
    scatter = 1.4826 * median([abs(low - base - whole.middle * at) for at, low in points])
    rise = max(RISE_OF_LIMIT * terms.limit, RISE_OF_SCATTER * scatter) * (HELD_RISE if held else 1.0)
    if ends - origin < rise or points[-1][1] < (origin + ends) / 2:
        return None
    top = share([bucket.high - base - whole.middle * (bucket.at + series.width) for bucket in buckets], TOP)
    level = base + whole.middle * series.at + max(0.0, top)
    slowest, fastest = min(whole.low, *halves), max(whole.high, *halves)
    slack = CAUTION * (scatter + terms.grain) + whole.middle * series.width / 2
    room = max(0.0, terms.limit - level)
    left = _longest(room, slack, slowest) if not held else room / whole.middle
    if left > reach:
        return None
    if not held and (
        _jumps(points) > JUMPS * (ends - origin)
        or level + _still_to_come(halves[0], terms.trust * halves[1], points[-1][0] - points[0][0]) < terms.limit
        or (_is_known(last - NEW_GROUND * (last - first), past) and left > terms.span)
    ):
        return None
    return Trend(
        at=series.at,
        level=level,
        origin=origin,
        slope=whole.middle,
        slowest=whole.middle - CAUTION * (whole.middle - slowest),
        fastest=whole.middle + CAUTION * (fastest - whole.middle),
        slack=slack,
        span=span,
        agreement=round(whole.agreement, 3),
    )


def _level(buckets: list[_Bucket]) -> float:
    return median([bucket.low for bucket in buckets])


def _longest(room: float, slack: float, slowest: float) -> float:
    """Seconds to the limit even at its slowest."""
    return (room + slack) / slowest if slowest > 0 else math.inf


def _is_known(level: float, past: list[_Bucket]) -> bool:
    """Whether it was at this level before this rise, and came down by itself: it is watched until the end is near."""
    return len(past) >= BUCKETS_PER_SPAN and level <= share([bucket.low for bucket in past], KNOWN)


def _jumps(points: Points) -> float:
    """What the two largest rises between neighbours come to, of what has stayed: a burst that is gone is no jump."""
    stayed = list(accumulate((low for _, low in reversed(points)), min))
    rises = sorted(later - earlier for later, earlier in pairwise(stayed))
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
