"""What passes for growth that doubles from window to window, and what does not."""

import functools
import math
from collections.abc import Callable

import pytest

from monitord.core.anomalies.doubling import followed, half_windows, whole_windows
from monitord.core.codec import decode, encode
from monitord.core.history.model import TableHistory
from monitord.core.orders import StandingOrders

ORDERS = StandingOrders()
HOUR = 3600.0
EVERY = 360.0


def told(
    rate: Callable[[float], float], hours: float, table: TableHistory | None = None, begin: float = 0.0
) -> list[float]:
    """The hours at which growth counts as doubling, for rows that come at so many an hour."""
    table = table or TableHistory()
    gained, points, found = 0.0, [(begin * HOUR, 0.0)], []
    at = begin * HOUR
    while at < (begin + hours) * HOUR:
        gained += rate((at + EVERY / 2) / HOUR) * EVERY / HOUR
        at += EVERY
        points.append((at, gained))
        table = followed(
            "user_signals",
            TableHistory(points=tuple(points[-70:]), doubling=table.doubling, peaks=table.peaks),
            at,
            ORDERS,
        )
        if table.doubling:
            found.append(at / HOUR)
    return found


def stepwise(hour: float) -> float:
    return 42_000 * 2 ** max(0, (hour - 8) // 2)


def test_what_doubles_with_each_window_is_told_once_it_has_doubled_twice() -> None:
    assert told(stepwise, 16)[0] <= 14.1  # 42,000 until ten o'clock, 84,000 until noon, then 168,000
    assert told(lambda hour: 42_000 * 2 ** max(0.0, (hour - 8) / 2), 16)[0] <= 14.1
    assert told(lambda hour: 42_000 * 3 ** max(0.0, (hour - 8) / 2), 16)[0] <= 13.1


@pytest.mark.parametrize("ramp", [0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
@pytest.mark.parametrize("phase", [0.0, 0.3, 0.7, 1.1, 1.6])
def test_traffic_that_rises_fourfold_at_any_pace_is_no_doubling(ramp: float, phase: float) -> None:
    def rate(hour: float) -> float:
        share = min(1.0, max(0.0, (hour - 8 - phase) / ramp)) if ramp else float(hour > 8 + phase)
        return 60_000 * (1 + 3 * share)

    assert told(rate, 24) == []
    assert (
        told(lambda hour: 60_000 * (1 + 3 * math.sin(min(1.0, max(0.0, hour - 8 - phase) / 12) * math.pi / 2)), 24)
        == []
    )


def test_thirty_days_of_day_and_night_are_silent() -> None:
    assert told(lambda hour: 150_000 - 90_000 * math.cos((hour - 4) / 12 * math.pi), 30 * 24) == []


def test_a_step_up_and_a_burst_are_no_doubling() -> None:
    def step(hour: float, times: int, end: float) -> float:
        return 60_000.0 * (times if 9.2 < hour < end else 1)

    for times in (4, 5, 6, 8):
        assert told(functools.partial(step, times=times, end=99.0), 24) == []
        assert told(functools.partial(step, times=times, end=10.7), 24) == []


def test_a_bulk_every_hour_or_two_hours_or_six_is_no_doubling() -> None:
    def bulk(hour: float, every: int) -> float:
        return 42_000.0 + (3_000_000 if hour % every < 0.1 else 0)

    for every in (1, 2, 3, 6):
        assert told(functools.partial(bulk, every=every), 48) == []


def test_a_table_that_begins_or_stays_small_is_no_doubling() -> None:
    assert told(lambda hour: 500 * 2 ** min(5.0, hour / 2), 24) == []
    assert told(lambda hour: 0 if hour < 9 else 150_000, 24) == []
    assert told(lambda hour: 0 if hour < 9 else min(150_000.0, 30_000 * (hour - 9)), 24) == []


def test_what_a_table_did_the_day_before_is_its_habit() -> None:
    def wave(hour: float) -> float:
        """Sevenfold within four hours of each morning."""
        return 40_000 * (1 + 6 * min(1.0, max(0.0, (hour % 24 - 8) / 4)))

    first = told(wave, 30)
    assert first
    assert all(hour < 24 for hour in first)
    assert [hour for hour in told(wave, 7 * 24) if hour > 24] == []
    # What doubles beyond the habit is told on any day.
    assert told(lambda hour: wave(hour) if hour < 80 else 40_000 * 2 ** ((hour - 72) / 2), 90)[-1] > 80


def test_it_stays_told_while_it_goes_on_more_slowly_and_no_longer() -> None:
    def rate(hour: float) -> float:
        first, then = min(6.0, max(0.0, hour - 8)), min(4.0, max(0.0, hour - 14))
        return 42_000 * math.pow(2, first / 2) * math.pow(1.3, then / 2)

    found = told(rate, 30)
    assert found[-1] == pytest.approx(19.0, abs=1.0)
    assert len(found) == round((found[-1] - found[0]) * HOUR / EVERY) + 1  # without a break


def test_windows_that_were_not_all_watched_are_not_judged() -> None:
    points = tuple((at * 600.0, at * 10.0) for at in range(40))
    now = points[-1][0]
    halves = half_windows(TableHistory(points=points), now, 7200.0)
    assert halves is not None
    assert whole_windows(halves) == (120.0, 120.0, 120.0)
    assert half_windows(TableHistory(points=points[10:]), now, 7200.0) is None
    assert half_windows(TableHistory(points=points[:20] + points[27:]), now, 7200.0) is None


def test_it_is_kept_across_restarts_and_an_older_snapshot_loads() -> None:
    table = TableHistory(points=((0.0, 1.0),), doubling=True, peaks=((5.0, 7.0),))
    assert decode(TableHistory, encode(table)) == table
    assert decode(TableHistory, {"gained": 5.0, "points": [[0.0, 1.0]], "flow_at": 3.0}) == TableHistory(
        gained=5.0, points=((0.0, 1.0),), flow_at=3.0
    )
