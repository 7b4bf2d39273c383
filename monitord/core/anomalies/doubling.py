"""Growth that doubles from window to window, the orders' "exponential": reported long before it is past the limit.

A window is held against the two before it, each of them in halves. A single step up, a burst, or a wave of traffic that
rises fourfold within hours does not pass for it: each window is twice the one before, and each half of one has well
more rows than the same half of the one before. Nor does what a table has done before: it must be past its own peaks.
"""

import math
import operator
from bisect import bisect_left
from itertools import pairwise

from monitord.core.anomalies.regression import value_at
from monitord.core.copying import replace
from monitord.core.history.model import TableHistory
from monitord.core.orders import StandingOrders

WINDOWS = 3
# A window has so many times the rows of the one before it; past the most it is a beginning or a burst.
TWICE, MOST = 1.95, 4.5
# So many times the rows of the same half of the window before: else it is one step up, and not growth that goes on.
HALF = 1.5
# Growth that was reported stays so until a window brings less than this much more than the one before it.
GOES_ON = 1.2
# A past peak must be passed by so much.
PAST_PEAK = 1.5
# Of what a table did before, the highest window of every six hours (or three windows) of some 7 days is kept.
KEEP_PEAKS = 28
PEAK_SECONDS = 6 * 3600.0


def followed(name: str, table: TableHistory, now: float, orders: StandingOrders) -> TableHistory:
    window = orders.growth_window_of(name)
    floor = orders.growth_steady_of(name) * window / 3600.0
    if not _may_change(table, now, window, floor):  # nearly always
        return table
    halves = half_windows(table, now, window)
    if halves is None:
        return table
    _, before, last = whole_windows(halves)
    past = max((rows for at, rows in table.peaks if at <= now - 2 * window), default=0.0)
    if table.doubling:
        is_doubling = last > floor and last >= GOES_ON * before
    else:
        is_doubling = last > floor and last > PAST_PEAK * past and _doubles(halves)
    if is_doubling != table.doubling:
        table = replace(table, doubling=is_doubling)
    return table if is_doubling or last > orders.growth_limit_of(name) else _with_peak(table, now, last, window)


def _may_change(table: TableHistory, now: float, window: float, floor: float) -> bool:
    """Whether the last window is more than steady, or of more rows than its part of the day has had."""
    points, peaks = table.points, table.peaks
    if not points or points[0][0] > now - WINDOWS * window:
        return False  # it has not been watched for so long
    if table.doubling or not peaks or peaks[-1][0] // _part(window) != now // _part(window):
        return True
    half, whole = value_at(points, now - window / 2), value_at(points, now - window)
    last = max(0.0, value_at(points, now) - half) + max(0.0, half - whole)
    return last > floor or last > peaks[-1][1]


def half_windows(table: TableHistory, now: float, window: float) -> tuple[float, ...] | None:
    """Rows of each half of the last three windows, oldest first; None where they have not all been watched."""
    half, points = window / 2, table.points
    start = now - WINDOWS * window
    if not points or points[0][0] > start or points[-1][0] < now - half:
        return None
    times = [at for at, _ in points[max(0, bisect_left(points, (start, math.inf)) - 1) :]]
    if max(map(operator.sub, times[1:], times), default=0.0) > half:
        return None
    gained = [value_at(points, start + part * half) for part in range(2 * WINDOWS + 1)]
    return tuple(max(0.0, b - a) for a, b in pairwise(gained))


def whole_windows(halves: tuple[float, ...]) -> tuple[float, float, float]:
    return halves[0] + halves[1], halves[2] + halves[3], halves[4] + halves[5]


def _doubles(halves: tuple[float, ...]) -> bool:
    first, second, third = whole_windows(halves)
    if first <= 0 or second <= 0:
        return False
    return (
        TWICE <= second / first <= MOST
        and TWICE <= third / second <= MOST
        and all(after >= HALF * before for before, after in zip(halves, halves[2:], strict=False))
    )


def _part(window: float) -> float:
    """Of how many seconds the highest window is kept."""
    return max(PEAK_SECONDS, WINDOWS * window)


def _with_peak(table: TableHistory, now: float, rows: float, window: float) -> TableHistory:
    """The table with this window among its peaks, where it is the highest of its part of the day."""
    part, peaks = _part(window), table.peaks
    if peaks and peaks[-1][0] // part == now // part:
        if rows <= peaks[-1][1]:
            return table
        peaks = peaks[:-1]
    return replace(table, peaks=(*peaks, (now, rows))[-KEEP_PEAKS:])
