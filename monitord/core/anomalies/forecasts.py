"""Series whose steady rise is forecast: the memory of each process towards its limit, each disk until it is full."""

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache

from monitord.core import humanize
from monitord.core.anomalies import trends
from monitord.core.anomalies.trend_detection import BUCKETS_PER_SPAN, Terms
from monitord.core.anomalies.trends import Outlook, TrendSeries
from monitord.core.copying import replace
from monitord.core.history.model import History
from monitord.core.history.process_model import Process
from monitord.core.latest import latest_by
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders

# With the default spans (3 h and 6 h) a limit is reported a day ahead; shorter spans shorten that alike.
LEAK_HORIZON_SPANS, FILL_HORIZON_SPANS = 8.0, 4.0
# How far ahead, in times of what was watched. Less than 1: more than half of the way must have been seen, since a cache
# that fills evenly looks like a leak until it stops. Disks have no such habit.
LEAK_AHEAD, FILL_AHEAD = 0.85, 2.0
# A cache that fills ever more slowly rises evenly for long: much of its slowing is hidden in its scatter.
LEAK_TRUST, FILL_TRUST = 0.75, 0.9
# A process that began so recently (this part of the span) is still warming up.
WARM_UP = 1 / 6
# A disk full within this part of the horizon (4 h of 24) is critical, once it has taken half of what was free.
SOON = 1 / 6
# A disk that fills fast is reported before its span is over: the same rise, in buckets so much shorter.
FAST = 1 / 12
# It has to go further before it is reported: two fifths of what was free, since a dump that is moved away rises alike.
FAST_AHEAD = 1.5
# Over so many of its newest buckets (12 min) it must go on: a dump that has just ended is no trend.
FAST_LATELY = 4
# Each of those holds this many readings at least, as often as they come.
FAST_READINGS = 6
# A cycle is late after so many intervals: that is how often readings come.
LATE_CYCLES = 3
# What was as high at about this time of yesterday (seconds ago), and came down by itself, is a nightly job.
YESTERDAY = 22 * 3600.0, 26 * 3600.0
# It is not exactly as high each night (points).
AS_HIGH = 2.0
FULL = 100.0
# What was foretold has come: it ends as the rule that says so takes its place, and is not over before.
PAST = "it is past the limit that it rose to"
MEMORY = "memory/"
MEMORY_GRAIN, DISK_GRAIN = 100_000.0, 0.01
_OF_MEMORY = Terms(0.0, 0.0, 1.0, LEAK_HORIZON_SPANS, LEAK_AHEAD, LEAK_TRUST, MEMORY_GRAIN, 0.0)
_OF_DISKS = Terms(0.0, 0.0, 1.0, FILL_HORIZON_SPANS, FILL_AHEAD, FILL_TRUST, DISK_GRAIN, 0.0)


def update_memory(history: History, now: float, orders: StandingOrders) -> History:
    """The history after a reading of PM2: each process's series of memory, which begins with it, once it is warm."""
    before = history.trends
    following = {key: series for key, series in before.items() if not key.startswith(MEMORY)}
    for service, known in history.services.items():
        terms = memory_terms(orders, service)
        for instance, process in known.lives.items():
            key = memory_key(service, instance)
            series = _of_life(before.get(key), process, now, terms)
            if series is not None:
                following[key] = series
    return replace(history, trends=following)


def update_disks(history: History, reading: Reading, now: float, orders: StandingOrders) -> History:
    before, disks = history.trends, {path: _of_disk(orders, path) for path in orders.disks}
    kept = {key for series in disks.values() for key in series}
    following = {key: series for key, series in before.items() if key in kept or key.startswith(MEMORY)}
    for path, series in disks.items():
        if (used := reading.number("disk_used", path=path)) is not None:
            for key, terms in series.items():
                following[key] = _with(before.get(key), used, now, terms)
    return replace(history, trends=following)


@latest_by
def _of_disk(orders: StandingOrders, path: str) -> Mapping[str, Terms]:
    """The series of a disk, and what each is judged by."""
    slow, fast = disk_terms(orders, path), fast_disk_terms(orders, path)
    return {disk_key(path): slow} | ({} if fast is None else {fast_disk_key(path): fast})


def memory_key(service: str, instance: str) -> str:
    return f"{MEMORY}{service}/{instance}"


def disk_key(path: str) -> str:
    return f"disk/{path}"


def fast_disk_key(path: str) -> str:
    return f"disk-fast/{path}"


@latest_by
def memory_terms(orders: StandingOrders, service: str) -> Terms:
    limit = float(orders.memory_limit(service))
    return _in_spans(_OF_MEMORY, limit, limit, orders.leak_span, orders.late_after)


@latest_by
def disk_terms(orders: StandingOrders, path: str) -> Terms:
    return _in_spans(_OF_DISKS, FULL, orders.disk_limits(path)[1], orders.fill_span, orders.late_after)


@lru_cache(maxsize=80, typed=True)
def _in_spans(terms: Terms, limit: float, superseded_above: float, least: timedelta, late_after: timedelta) -> Terms:
    """Terms of which the span is 1, for these limits and this span."""
    span = least.total_seconds()
    horizon, blind_after = terms.horizon * span, late_after.total_seconds()
    return replace(
        terms, limit=limit, superseded_above=superseded_above, span=span, horizon=horizon, blind_after=blind_after
    )


@latest_by
def fast_disk_terms(orders: StandingOrders, path: str) -> Terms | None:
    """What a disk that fills fast is judged by; None where readings come too seldom for anything faster."""
    terms, often = disk_terms(orders, path), orders.late_after.total_seconds() / LATE_CYCLES
    span = max(FAST * terms.span, FAST_READINGS * often * BUCKETS_PER_SPAN)
    return replace(terms, span=span, ahead=FAST_AHEAD, lately=FAST_LATELY) if span < terms.span else None


def _of_life(series: TrendSeries | None, process: Process, now: float, terms: Terms) -> TrendSeries | None:
    """A process's series after one reading of it; None while it is not online or not warm yet."""
    if process.state != "online":
        return None
    if series is not None and _is_another(series, process):
        series = None
    if process.memory is None:
        return series
    if series is None and process.started_at is not None and 0 <= now - process.started_at < WARM_UP * terms.span:
        return None
    return _with(series, process.memory, now, terms, process.started_at, process.restarts)


def _is_another(series: TrendSeries, process: Process) -> bool:
    """Whether this process is not the one that the series is of. PM2's counter falls when an operator resets it."""
    if series.started_at != process.started_at:
        return True
    return series.restarts is not None and process.restarts is not None and process.restarts > series.restarts


def _with(
    series: TrendSeries | None,
    value: float,
    now: float,
    terms: Terms,
    started_at: float | None = None,
    restarts: int | None = None,
) -> TrendSeries:
    if series is None or series.width != terms.width:
        return trends.begin(value, now, terms, started_at, restarts)
    return trends.update(series, value, now, terms)


def disk_outlook(
    path: str, slow: TrendSeries, fast: TrendSeries | None, used: float, now: float, orders: StandingOrders
) -> Outlook | None:
    slowly = trends.outlook(slow, now, disk_terms(orders, path))
    terms = fast_disk_terms(orders, path)
    soon = None if fast is None or terms is None else trends.outlook(fast, now, terms)
    if soon is None or terms is None or (slowly is not None and slowly.seconds <= soon.seconds):
        return slowly
    yesterday = trends.highest(slow, now, YESTERDAY, DISK_GRAIN)
    is_nightly = yesterday is not None and used <= yesterday + AS_HIGH and soon.seconds > terms.span
    return slowly if is_nightly else soon


def seen_for(outlook: Outlook) -> str:
    return f"seen for {humanize.duration(outlook.span)}, confidence {outlook.confidence:.0%}"


def reached(outlook: Outlook) -> str:
    return f"in about {_roughly(outlook.seconds)}" if outlook.seconds >= 1 else "about now"


def deadline(outlook: Outlook) -> str:
    return f"within {_roughly(outlook.soonest)}" if outlook.soonest >= 1 else "now"


def _roughly(seconds: float) -> str:
    """A duration to no more than it is known: whole hours from ten on, quarters of an hour from one on."""
    step = 3600 if seconds >= 36_000 else 900 if seconds >= 3600 else 60 if seconds >= 120 else 1
    return humanize.duration(round(seconds / step) * step)


def outlook_evidence(outlook: Outlook) -> dict[str, object]:
    return {
        "span_seconds": round(outlook.span),
        "confidence": outlook.confidence,
        "seconds_to_limit": round(outlook.seconds),
        "seconds_to_limit_low": round(outlook.soonest),
        "seconds_to_limit_high": None if outlook.latest is None else round(outlook.latest),
    }
