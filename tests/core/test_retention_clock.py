"""The time by which anything is deleted, from what the wall clock says and what was lived through."""

from __future__ import annotations

import pytest

from monitord.core.retention_clock import RetentionClock, newest_lived

HOUR, DAY, BEGIN = 3600.0, 86400.0, 1_762_300_800.0


def test_a_clock_that_goes_as_time_does_is_taken_as_it_is() -> None:
    clock = RetentionClock(None)
    assert [clock.verified(BEGIN + n * HOUR, n * HOUR) for n in range(4)] == [BEGIN + n * HOUR for n in range(4)]


def test_a_clock_that_jumps_ahead_counts_after_an_hour_lived_with_it() -> None:
    clock = RetentionClock(None)
    clock.verified(BEGIN, 0)
    for minute in range(1, 61):
        assert clock.verified(BEGIN + 3 * DAY + minute * 60, minute * 60) == BEGIN + minute * 60
    assert clock.verified(BEGIN + 3 * DAY + 61 * 60, 61 * 60) == BEGIN + 3 * DAY + 61 * 60


def test_a_clock_that_jumps_again_and_again_never_counts() -> None:
    clock = RetentionClock(None)
    clock.verified(BEGIN, 0)
    found = [clock.verified(BEGIN + n * DAY, n * 600) for n in range(1, 40)]
    assert found == [BEGIN + n * 600 for n in range(1, 40)]


def test_a_clock_that_is_set_back_is_taken_as_it_is_and_has_to_earn_its_way_ahead() -> None:
    clock = RetentionClock(BEGIN)
    assert clock.verified(BEGIN - DAY, 10) == BEGIN - DAY
    assert clock.verified(BEGIN, 20) == BEGIN - DAY + 10


@pytest.mark.parametrize(
    ("hours", "found"),
    [
        ((), None),
        ((5,), 5),
        ((0, 1, 2, 3), 3),
        ((0, 1, 2, 75), 2),  # three days ahead for a moment
        ((0, 75), 0),
        ((0, 1, 2, 75, 76, 77), 77),  # lived with
    ],
)
def test_a_start_goes_by_the_newest_stretch_that_was_lived_through(hours: tuple[int, ...], found: int | None) -> None:
    newest = newest_lived((BEGIN + hour * HOUR for hour in hours), HOUR, 2 * HOUR)
    assert newest == (None if found is None else BEGIN + found * HOUR)
