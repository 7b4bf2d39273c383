"""What rises, and when it will have reached its limit: a series of troughs, and what can be foretold from it.

Of each stretch of time only the lowest reading is kept (and how far the highest lay above it): what comes and goes
within the stretch, the teeth of a garbage collector or a short backup, leaves no trace in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from monitord.core.anomalies.trend_detection import LEAST_BUCKETS, Buckets, Terms, Trend, steady_rise
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
_opened: Final = with_these(TrendSeries, "begun", "at", "low", "high", "watched", "troughs", "swings", "trend")


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
        low, high = min(series.low, value), max(series.high, value)
        return _read(series, now, low, high, series.watched + watched)
    skipped = math.floor((now - open_from) / series.width) - 1
    before = min(watched, open_from + series.width - series.at)
    begun, troughs, swings = _closed(series, series.watched + before, skipped, terms)
    within = min(watched - before, (now - begun) % series.width)
    trend = None
    if len(troughs) >= LEAST_BUCKETS:
        buckets = _buckets(begun, series.width, troughs, swings, terms.grain)
        trend = steady_rise(buckets, now, terms, held=series.trend is not None)
    return _opened(series, begun, now, value, value, within, troughs, swings, trend)


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


Grains = tuple[int | None, ...]


def _closed(series: TrendSeries, watched: float, skipped: int, terms: Terms) -> tuple[float, Grains, Grains]:
    """When the first bucket begins, the troughs and the swings, with the open bucket closed; the oldest go.

    Behind it come those in which nobody watched.
    """
    trough = swing = None
    if watched >= series.width / 2:
        trough = round(series.low / terms.grain)
        swing = round(series.high / terms.grain) - trough
    blind = (None,) * min(skipped, BUCKETS_KEPT)
    lows, swings = (*series.troughs, trough, *blind), (*series.swings, swing, *blind)
    gone = len(series.troughs) + 1 + skipped - min(len(lows), BUCKETS_KEPT)
    return series.begun + gone * series.width, lows[-BUCKETS_KEPT:], swings[-BUCKETS_KEPT:]


def _buckets(begun: float, width: float, troughs: Grains, swings: Grains, grain: float) -> Buckets:
    """The buckets in which somebody watched."""
    return Buckets(
        [begun + number * width for number, low in enumerate(troughs) if low is not None],
        [low * grain for low in troughs if low is not None],
        [
            (low + swing) * grain
            for low, swing in zip(troughs, swings, strict=True)
            if low is not None and swing is not None
        ],
    )
