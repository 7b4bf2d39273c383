"""What a report takes from the roll-ups: a window in all, blind time apart, and what it is compared with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from monitord.core.report.kept import earlier, families, together, uptime, whole_hours, window
from monitord.core.series import HOUR, Rollup

DAY = 24 * HOUR
MIDNIGHT = datetime(2025, 11, 5, tzinfo=UTC).timestamp()


def day(number: int, member: str = "gateway", *, hours: int = 24, up: float | None = None, down: float = 0) -> Rollup:
    seen = hours * HOUR - down if up is None else up
    blind = hours * HOUR - seen - down
    return Rollup(
        int(MIDNIGHT) + number * DAY, "pm2/as_expected", member, hours, None, None, None, seen, down, blind, None, hours
    )


def test_days_add_up_and_uptime_is_of_the_time_that_was_seen() -> None:
    found = window("", MIDNIGHT, MIDNIGHT + 2 * DAY, [day(0, down=HOUR), day(1, up=12 * HOUR)])
    (total,) = found.totals
    assert (total.up, total.down, total.blind) == (35 * HOUR, HOUR, 12 * HOUR)
    assert uptime(total) == pytest.approx(35 / 36)


def test_time_that_nobody_saw_has_no_uptime() -> None:
    assert uptime(day(0, up=0)) is None


def test_hours_in_which_monitord_did_not_run_are_blind() -> None:
    found = window("", MIDNIGHT, MIDNIGHT + 4 * DAY, [day(0), day(1, hours=20), day(3)])
    (total,) = found.totals
    assert total.blind == (4 + 24) * HOUR


def test_a_service_that_came_later_is_not_blind_before() -> None:
    found = window("", MIDNIGHT, MIDNIGHT + 3 * DAY, [day(0), day(1), day(2), day(2, "new", hours=5)])
    assert [total.blind for total in found.totals if total.member == "new"] == [0]


def test_a_window_in_which_nothing_is_kept_is_empty() -> None:
    found = window("", MIDNIGHT, MIDNIGHT + DAY, [])
    assert found.totals == ()
    assert found.of("pm2/memory", "gateway") is None


def test_means_count_by_their_readings() -> None:
    one = Rollup(0, "pm2/memory", "gateway", 10, 5.0, 10.0, 20.0, 0, 0, 0, None)
    other = replace(one, start=HOUR, readings=30, least=1.0, mean=30.0, most=40.0)
    both = together(one, other)
    assert (both.readings, both.least, both.mean, both.most, both.hours) == (40, 1.0, 25.0, 40.0, 2)
    unmeasured = replace(one, least=None, mean=None, most=None, readings=0, gained=3.0)
    assert together(one, unmeasured).mean == 10.0
    assert together(one, unmeasured).gained == 3.0


@pytest.mark.parametrize(
    ("length", "names"),
    [
        (12 * HOUR, ["a day before", "a week before"]),
        (DAY, ["a day before", "a week before"]),
        (3 * DAY - HOUR, ["as long before", "a week before"]),
        (7 * DAY - HOUR, ["a week before"]),
        (30 * DAY, ["as long before", "a week before"]),
    ],
)
def test_a_window_is_compared_with_the_same_hours_of_earlier_days(length: float, names: list[str]) -> None:
    found = earlier(MIDNIGHT, MIDNIGHT + length)
    assert [name for name, _ in found] == names
    assert all(by % DAY == 0 for _, by in found)


def test_only_whole_hours_are_told() -> None:
    assert whole_hours(MIDNIGHT + 60, MIDNIGHT + 3 * HOUR - 1) == (MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR)
    assert whole_hours(MIDNIGHT, MIDNIGHT + HOUR) == (MIDNIGHT, MIDNIGHT + HOUR)


def test_series_of_a_package_that_is_gone_are_passed_over() -> None:
    rows = [day(0), replace(day(0), series="gone/number")]
    assert [(subject.name, list(found)) for subject, found in families(rows)] == [("pm2", ["pm2/as_expected"])]
