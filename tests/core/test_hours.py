"""How long something may last, by the hour of the day: what a quiet night counts for, and what it does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from monitord.core.hours import HourlyLimit, Overrun, hourly, hours_of

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
QUIET_NIGHTS = hourly({"00-06": timedelta(hours=3), "*": timedelta(minutes=15)}, timedelta(minutes=1))


def watched(began: float, ended: float) -> float:
    return ended - began


def at(hours: float, minutes: float = 0) -> float:
    """A moment of the tenth of January 1970, or of a later day from 24 hours on."""
    return 9 * DAY + hours * HOUR + minutes * MINUTE


def past(since: float, now: float, limit: HourlyLimit = QUIET_NIGHTS) -> Overrun | None:
    return limit.overrun(since, now, watched)


def test_each_hour_has_the_limit_of_the_span_that_names_it() -> None:
    assert [QUIET_NIGHTS.at(at(hour)) for hour in (0, 5.99, 6, 23.99)] == [10800, 10800, 900, 900]
    over_midnight = hourly({"22-02": timedelta(hours=1)}, timedelta(minutes=5))
    assert [over_midnight.at(at(hour)) for hour in (21.9, 22, 1.9, 2)] == [300, 3600, 3600, 300]


def test_an_equal_limit_all_day_is_a_plain_one() -> None:
    plain = hourly({"*": timedelta(minutes=15)}, timedelta(0))
    assert not plain.varies
    assert past(at(3), at(3, 15), plain) is None
    assert past(at(3), at(3, 16), plain) == Overrun(16 * MINUTE, 15 * MINUTE)


def test_a_quiet_night_counts_for_nothing_by_day() -> None:
    assert past(at(4), at(6, 15)) is None
    assert past(at(4), at(6, 16)) == Overrun(16 * MINUTE, 15 * MINUTE)


def test_what_began_in_the_evening_is_told_past_the_nights_limit() -> None:
    assert past(at(23, 50), at(26, 50)) is None
    assert past(at(23, 50), at(26, 51)) == Overrun(3 * HOUR + MINUTE, 3 * HOUR)


def test_what_was_past_its_limit_by_day_is_not_over_because_the_night_begins() -> None:
    assert past(at(23, 30), at(24, 1)) == Overrun(31 * MINUTE, 15 * MINUTE)


def test_what_was_past_the_nights_limit_stays_past_it_by_day() -> None:
    assert past(at(1), at(7)) == Overrun(6 * HOUR, 3 * HOUR)


def test_time_that_nobody_watched_counts_for_nothing() -> None:
    blind_from, blind_until = at(1), at(4)

    def seen(began: float, ended: float) -> float:
        return ended - began - max(0.0, min(ended, blind_until) - max(began, blind_from))

    assert QUIET_NIGHTS.overrun(at(0, 30), at(6), seen) is None
    assert QUIET_NIGHTS.overrun(at(0, 30), at(6, 16), seen) is not None


def test_a_share_of_the_limit_is_reached_sooner() -> None:
    assert QUIET_NIGHTS.overrun(at(12), at(12, 8), watched, share=0.5) is not None
    assert QUIET_NIGHTS.overrun(at(12), at(12, 7), watched, share=0.5) is None


def test_what_has_lasted_for_years_is_told_all_the_same() -> None:
    assert past(0.0, 50 * 365 * DAY) is not None


@pytest.mark.parametrize("span", ["06", "6-6", "00-24", "25-3", "a-b", "-", "", "1-2-3", "٣-٥"])
def test_what_is_no_span_of_hours_is_named(span: str) -> None:
    with pytest.raises(ValueError, match="names no hours of the day"):
        hours_of(span)
