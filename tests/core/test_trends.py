"""Series of troughs and the trend in them, and lines through points that do not lie on one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from monitord.core.anomalies import trends
from monitord.core.anomalies.regression import slope, troughs
from monitord.core.anomalies.trend_detection import Terms
from monitord.core.anomalies.trends import BUCKETS_KEPT, Outlook, TrendSeries
from monitord.core.codec import decode, encode

HOUR = 3600.0
BEGIN = 1_762_315_020.0
TERMS = Terms(
    limit=500.0,
    superseded_above=500.0,
    span=3 * HOUR,
    horizon=24 * HOUR,
    ahead=2.0,
    trust=0.9,
    grain=0.1,
    blind_after=90.0,
)


def lived(
    course: Callable[[float], float], hours: float, *, series: TrendSeries | None = None, skips: Iterable[float] = ()
) -> TrendSeries:
    """A series that read `course` (of the hours since it began) each minute; in the hours of `skips` nobody looked."""
    skipped = set(skips)
    first = 0 if series is None else round((series.at - BEGIN) / 60) + 1
    for minute in range(first, round(hours * 60)):
        if minute // 60 in skipped:
            continue
        now = BEGIN + minute * 60
        value = course(minute / 60)
        series = trends.begin(value, now, TERMS) if series is None else trends.update(series, value, now, TERMS)
    assert series is not None
    return series


def foretold(series: TrendSeries) -> Outlook | None:
    return trends.outlook(series, series.at, TERMS)


def rising(hour: float) -> float:
    return 100 + 40 * hour


def test_a_bucket_keeps_its_lowest_and_how_far_the_highest_was_above_it() -> None:
    series = lived(lambda hour: 100 + (hour * 60) % 9, 0.5)
    assert (series.troughs, series.swings) == ((1000,), (80,))
    assert (series.low, series.high) == (100, 108)


def test_a_series_keeps_no_more_than_its_buckets_and_its_times_move_on() -> None:
    series = lived(lambda _: 100.0, 40)
    assert len(series.troughs) == len(series.swings) == BUCKETS_KEPT
    opened = series.begun + BUCKETS_KEPT * series.width
    assert opened <= series.at < opened + series.width


def test_a_bucket_of_which_less_than_half_was_watched_is_none() -> None:
    series = lived(lambda _: 100.0, 3, skips=[1])
    width = TERMS.width / HOUR
    for number, low in enumerate(series.troughs):
        begins, ends = number * width, (number + 1) * width
        inside = max(0.0, min(ends, 2.0) - max(begins, 1.0))
        assert (low is None) == (inside > width / 2), number


def test_a_gap_longer_than_all_that_is_kept_leaves_nothing_to_join() -> None:
    series = lived(rising, 1)
    later = trends.update(series, 100.0, series.at + 400 * HOUR, TERMS)
    assert set(later.troughs) == {None}
    assert len(later.troughs) == BUCKETS_KEPT
    assert 0 <= later.at - (later.begun + BUCKETS_KEPT * later.width) < later.width


def test_a_steady_rise_is_foretold_truly() -> None:
    series = lived(rising, 5)
    outlook = foretold(series)
    assert outlook is not None
    assert outlook.per_hour == pytest.approx(40, rel=0.01)
    assert outlook.confidence == 1.0
    assert 3 * HOUR <= outlook.span <= 5 * HOUR
    left = BEGIN + 10 * HOUR - series.at
    assert outlook.seconds == pytest.approx(left, rel=0.03)
    assert outlook.latest is not None
    assert outlook.soonest <= left <= outlook.latest


def test_what_is_foretold_comes_nearer_while_nobody_looks() -> None:
    series = lived(rising, 5)
    soon, later = foretold(series), trends.outlook(series, series.at + HOUR, TERMS)
    assert soon is not None
    assert later is not None
    assert later.seconds == pytest.approx(soon.seconds - HOUR)


def test_nothing_is_foretold_before_the_least_span_has_been_watched() -> None:
    assert foretold(lived(lambda hour: 100 + 60 * hour, 3)) is None
    assert foretold(lived(lambda hour: 100 + 60 * hour, 3.1)) is not None
    assert foretold(lived(lambda hour: 100 + 60 * hour, 3.9, skips=[1])) is None
    assert foretold(lived(lambda hour: 100 + 60 * hour, 4.5, skips=[1])) is not None


def test_nothing_is_foretold_further_ahead_than_it_was_watched_twice_over() -> None:
    course = lambda hour: 100 + 25 * hour  # noqa: E731 - 16 hours to the limit
    assert foretold(lived(course, 4)) is None
    assert foretold(lived(course, 6.5)) is not None


def test_nothing_is_foretold_beyond_the_horizon() -> None:
    course = lambda hour: 100 + 8 * hour  # noqa: E731 - 50 hours to the limit
    assert foretold(lived(course, 24)) is None
    assert foretold(lived(course, 29)) is not None


def test_a_rise_that_slows_towards_a_level_under_the_limit_is_none() -> None:
    slowing = lived(lambda hour: 100 + 300 * (1 - 0.8**hour), 5)
    assert foretold(slowing) is None


def test_what_was_said_is_held_to_less_so_that_it_is_not_unsaid_at_once() -> None:
    series = lived(rising, 6)
    assert foretold(series) is not None
    faltering = lived(lambda hour: rising(min(hour, 6)), 7, series=series)
    assert foretold(faltering) is not None
    assert foretold(lived(lambda hour: rising(min(hour, 6)), 10, series=faltering)) is None


def test_a_rise_that_is_given_back_is_none_from_that_reading_on() -> None:
    series = lived(rising, 6)
    assert foretold(trends.update(series, 99.0, series.at + 30, TERMS)) is None


def test_past_the_limit_nothing_is_foretold_for_a_bucket() -> None:
    series = lived(rising, 6)
    past = trends.update(series, 501.0, series.at + 30, TERMS)
    assert foretold(past) is None
    assert foretold(trends.update(past, 340.0, past.at + 30, TERMS)) is None


def test_a_level_that_it_came_down_from_before_is_no_news_until_the_limit_is_near() -> None:
    up_and_down = lambda hour: 100 + (25 * (hour % 12) if hour % 24 < 12 else 300 - 25 * (hour % 12))  # noqa: E731
    before = lived(up_and_down, 23)
    assert foretold(lived(up_and_down, 33, series=before)) is None


def test_a_series_told_by_a_clock_that_was_set_back_foretells_the_same() -> None:
    series = lived(rising, 5)
    back = trends.shifted(series, 3000.0)
    assert back.at == series.at - 3000
    assert foretold(back) == foretold(series)
    assert (
        trends.update(back, 300.0, back.at + 60, TERMS).low == trends.update(series, 300.0, series.at + 60, TERMS).low
    )


def test_a_series_survives_its_text_exactly() -> None:
    series = replace(lived(rising, 6, skips=[2]), started_at=BEGIN - 5000.25, restarts=3)
    assert series.trend is not None
    assert decode(TrendSeries, json.loads(json.dumps(encode(series)))) == series


@pytest.mark.parametrize("outliers", [0, 2, 4])
def test_outliers_do_not_bend_a_slope(outliers: int) -> None:
    points = [(float(at), 5.0 * at) for at in range(20)]
    for number in range(outliers):
        points[3 + 4 * number] = (points[3 + 4 * number][0], 1000.0)
    assert slope(points).middle == pytest.approx(5.0)


def test_a_slope_lies_within_its_bounds_and_they_widen_with_noise() -> None:
    chance = random.Random(1)  # noqa: S311 - the same noise each time
    quiet, loud = (slope([(float(at), 3.0 * at + chance.gauss(0, noise)) for at in range(20)]) for noise in (0.1, 20.0))
    for found in (quiet, loud):
        assert found.low <= found.middle <= found.high
    assert loud.high - loud.low > quiet.high - quiet.low
    assert quiet.agreement == 1.0 > loud.agreement


def test_a_slope_takes_two_points() -> None:
    with pytest.raises(ValueError, match="two points"):
        slope([(1.0, 1.0)])


def test_troughs_are_the_lowest_of_each_run_and_the_newest_run_is_whole() -> None:
    points = [(float(at), value) for at, value in enumerate([9.0, 5.0, 7.0, 3.0, 4.0, 8.0, 6.0])]
    assert troughs(points, 4) == [(1.0, 5.0), (3.0, 3.0), (6.0, 6.0)]
    assert troughs(points, 7) == points
