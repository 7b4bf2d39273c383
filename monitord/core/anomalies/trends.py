"""What rises, and when it will have reached its limit: a series of troughs, and what can be foretold from it.

Of each stretch of time only the lowest reading is kept (and how far the highest lay above it): what comes and goes
within the stretch, the teeth of a garbage collector or a short backup, leaves no trace in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from monitord.core.anomalies.trend_detection import Bucket, Terms, Trend, steady_rise
from monitord.core.copying import replace, slot_by_slot, with_these

# So many buckets are remembered: ten least spans.
BUCKETS_KEPT = 100


@slot_by_slot
@dataclass(frozen=True, slots=True)
class TrendSeries:
    """The closed buckets of one process or disk, oldest first, and the open one.

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


_read: Final = with_these(TrendSeries, "at", "low", "high", "watched")


@dataclass(frozen=True, slots=True)
class Outlook:
    """When the limit will be reached if nothing changes: seconds from now, at the soonest and latest (None: open).

    `per_hour` is the rise, `span` the seconds it was watched, `lowest` the lowest reading since twice as long
    ago, `confidence` the share of pairs of troughs that rise.
    """

    per_hour: float
    span: float
    confidence: float
    seconds: float
    soonest: float
    latest: float | None
    lowest: float


def begin(
    value: float, now: float, terms: Terms, started_at: float | None = None, restarts: int | None = None
) -> TrendSeries:
    return TrendSeries(now, terms.width, now, value, value, started_at=started_at, restarts=restarts)


def update(series: TrendSeries, value: float, now: float, terms: Terms) -> TrendSeries:
    """The series with one more reading. Whenever a bucket closes, the trend is computed anew."""
    since = now - series.at
    watched = since if since <= terms.blind_after else 0.0
    open_from = series.begun + len(series.troughs) * series.width
    if now < open_from + series.width:
        low, high = series.low, series.high
        return _read(series, now, min(low, value), max(high, value), series.watched + watched)
    skipped = math.floor((now - open_from) / series.width) - 1
    before = min(watched, open_from + series.width - series.at)
    closed = replace(_closed(series, series.watched + before, skipped, terms), at=now)
    within = min(watched - before, (now - closed.begun) % series.width)
    following = replace(closed, low=value, high=value, watched=within)
    return replace(following, trend=_trend(following, terms))


def outlook(series: TrendSeries, now: float, terms: Terms) -> Outlook | None:
    """What there is to say of the series now: None without a trend, or once the rise is given back.

    Past the limit there is nothing to foretell: not within a bucket of a reading that was.
    """
    trend = series.trend
    if trend is None or series.low < trend.origin or _topped(series, terms) > terms.superseded_above:
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
        lowest=_lowest(series, round(2 * trend.span / series.width), terms),
    )


def highest(series: TrendSeries, now: float, ago: tuple[float, float], grain: float) -> float | None:
    """The highest reading between so many seconds ago, from the nearer to the farther; None where nobody watched."""
    nearer, farther = ago
    return max(
        (
            (low + swing) * grain
            for number, (low, swing) in enumerate(zip(series.troughs, series.swings, strict=True))
            if low is not None
            and swing is not None
            and now - farther <= series.begun + number * series.width <= now - nearer
        ),
        default=None,
    )


def is_past(series: TrendSeries, terms: Terms) -> bool:
    """Whether the forecast has come true: the rise goes on past its limit, where another rule fires."""
    has_risen = series.trend is not None and series.low >= series.trend.origin
    return has_risen and _topped(series, terms) > terms.superseded_above


def shifted(series: TrendSeries, seconds: float) -> TrendSeries:
    """The series after the wall clock was set back by so much: the times that passed stay in order."""
    trend = None if series.trend is None else replace(series.trend, at=series.trend.at - seconds)
    return replace(series, begun=series.begun - seconds, at=series.at - seconds, trend=trend)


def _topped(series: TrendSeries, terms: Terms) -> float:
    if not series.troughs or series.troughs[-1] is None:
        return series.high
    return max(series.high, (series.troughs[-1] + (series.swings[-1] or 0)) * terms.grain)


def _lowest(series: TrendSeries, count: int, terms: Terms) -> float:
    lows = [low * terms.grain for low in series.troughs[-count:] if low is not None]
    return min([series.low, *lows])


def _closed(series: TrendSeries, watched: float, skipped: int, terms: Terms) -> TrendSeries:
    """The series with its open bucket closed, and those in which nobody watched behind it; the oldest go."""
    trough = swing = None
    if watched >= series.width / 2:
        trough = round(series.low / terms.grain)
        swing = round(series.high / terms.grain) - trough
    blind = (None,) * min(skipped, BUCKETS_KEPT)
    lows, swings = (*series.troughs, trough, *blind), (*series.swings, swing, *blind)
    gone = len(series.troughs) + 1 + skipped - min(len(lows), BUCKETS_KEPT)
    return replace(
        series, begun=series.begun + gone * series.width, troughs=lows[-BUCKETS_KEPT:], swings=swings[-BUCKETS_KEPT:]
    )


def _trend(series: TrendSeries, terms: Terms) -> Trend | None:
    buckets = [
        Bucket(series.begun + number * series.width, low * terms.grain, (low + swing) * terms.grain)
        for number, (low, swing) in enumerate(zip(series.troughs, series.swings, strict=True))
        if low is not None and swing is not None
    ]
    return steady_rise(buckets, series.at, terms, held=series.trend is not None)
