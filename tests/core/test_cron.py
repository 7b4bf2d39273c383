"""Cron schedules mean here what APScheduler, which runs the reports, means by them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monitord.core.cron import normal, schedule

NOON = datetime(2025, 11, 5, 12, tzinfo=UTC)  # a Wednesday


def field(least: int, most: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    number = st.integers(least, most).map(str)
    one = st.one_of(number, st.sampled_from(names)) if names else number
    span = st.tuples(st.integers(least, most), st.integers(least, most)).map(lambda two: "{}-{}".format(*sorted(two)))
    stepped = st.tuples(st.one_of(st.just("*"), span, number), st.integers(1, 9)).map(lambda two: f"{two[0]}/{two[1]}")
    part = st.one_of(one, span, stepped)
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join))


schedules = st.tuples(
    field(0, 59),
    field(0, 23),
    field(1, 31),
    field(1, 12, ("jan", "feb", "Dec")),
    field(0, 7, ("sun", "MON", "fri-mon")),
).map(" ".join)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1)).map(  # noqa: DTZ001 - made aware here
    lambda at: at.replace(tzinfo=UTC)
)


@settings(max_examples=70, deadline=None, derandomize=True)
@given(schedules, moments)
def test_a_schedule_comes_when_apscheduler_says_so(written: str, at: datetime) -> None:
    try:
        crontab = normal(written)
    except ValueError:
        assume(False)
    found = schedule(written).following(at)
    wanted = CronTrigger.from_crontab(crontab, timezone=UTC).get_next_fire_time(None, at + timedelta(microseconds=1))
    assert found == wanted


@settings(max_examples=70, deadline=None, derandomize=True)
@given(schedules, moments, st.floats(1, 40 * 86400))
def test_the_latest_is_the_last_that_does_not_lie_ahead(written: str, at: datetime, back: float) -> None:
    try:
        plan = schedule(written)
    except ValueError:
        assume(False)
    length = timedelta(seconds=back)
    found = plan.latest(at, length)
    if found is None:
        ahead = plan.following(at - length)
        assert ahead is None or ahead > at
    else:
        assert at - length < found <= at
        ahead = plan.following(found)
        assert ahead is None or ahead > at
        assert plan.following(found - timedelta(microseconds=1)) == found


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("0 2 * * *", datetime(2025, 11, 6, 2, tzinfo=UTC)),
        ("*/30 12 * * *", datetime(2025, 11, 5, 12, 30, tzinfo=UTC)),
        ("0 2 * * 0", datetime(2025, 11, 9, 2, tzinfo=UTC)),
        ("0 2 * * 7", datetime(2025, 11, 9, 2, tzinfo=UTC)),
        ("0 2 * * Sun", datetime(2025, 11, 9, 2, tzinfo=UTC)),
        ("0 4 1-7 * mon", datetime(2025, 12, 1, 4, tzinfo=UTC)),
        ("0 0 29 feb *", datetime(2028, 2, 29, tzinfo=UTC)),
        ("0 0 31 4 *", None),
    ],
)
def test_when_a_schedule_comes_next(written: str, at: datetime | None) -> None:
    assert schedule(written).following(NOON) == at


@pytest.mark.parametrize(
    "written",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "x * * * *",
        "1, * * * *",
        "-1 * * * *",
        "* * * * sun-x",
        "* * * * */8",
        "² * * * *",
        "9" * 9999 + " * * * *",
    ],
)
def test_what_is_no_schedule_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"it has|is no|ends before"):
        schedule(written)
