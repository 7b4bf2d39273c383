"""When what comes and goes is overdue: by a named rhythm, PM2's, or the one that was seen."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from monitord.core.history.rhythms import DAY, Runs, rhythm, seen

HOUR = 3600.0
MONDAY = 20_000 * 7 * DAY + 4 * DAY


def learned(starts: Iterable[float], *, lasts: float = 60.0) -> Runs:
    """The runs as a watch that looked at each beginning and each end has seen them."""
    runs: Runs | None = None
    for at in starts:
        found = rhythm(runs)
        limit = None if found is None else found.limit
        runs = seen(runs, [at], is_up=True, now=at + 1, dark=0.0, limit=limit)
        runs = seen(runs, [], is_up=False, now=at + lasts, dark=0.0, limit=limit)
    assert runs is not None
    return runs


def limit(runs: Runs) -> float | None:
    found = rhythm(runs)
    return None if found is None else found.limit


@pytest.mark.parametrize(
    ("written", "hours"),
    [("*/15 * * * *", 0.25), ("0 3 * * *", 24), ("30 0 3 * * *", 24), ("0 9-17 * * 1-5", 64), ("0 0 1 * *", 31 * 24)],
)
def test_a_schedule_is_as_far_apart_as_its_longest_time(written: str, hours: float) -> None:
    found = rhythm(None, None, [written], None)
    assert found is not None
    assert (found.every, found.limit) == (hours * HOUR, max(2 * HOUR, 2 * hours * HOUR))


def test_what_is_named_holds_and_a_schedule_that_cannot_be_read_is_learned_instead() -> None:
    named = rhythm(None, 1800.0, ["0 3 * * *"], 60.0)
    assert named is not None
    assert (named.every, named.limit) == (1800.0, 3600.0)
    assert rhythm(None, None, ["whenever"], None) is None


def test_four_times_between_runs_make_a_rhythm_and_before_a_day_is_over_it_is_not_finer_than_a_day() -> None:
    assert limit(learned(MONDAY + n * HOUR for n in range(4))) is None
    assert limit(learned(MONDAY + n * HOUR for n in range(5))) == DAY
    assert limit(learned(MONDAY + n * HOUR for n in range(26))) == 3 * HOUR


def test_what_runs_by_day_is_not_overdue_by_night_once_a_night_was_seen() -> None:
    runs = learned(MONDAY + day * DAY + hour * HOUR for day in range(2) for hour in range(9, 18))
    assert limit(runs) == 3 * 16 * HOUR


def test_twice_a_day_at_uneven_hours_is_its_longest_time() -> None:
    runs = learned(MONDAY + day * DAY + hour * HOUR for day in range(6) for hour in (6, 10))
    assert limit(runs) == 3 * 20 * HOUR


def test_one_time_that_was_overdue_is_no_habit_and_two_are() -> None:
    hourly = [MONDAY + n * HOUR for n in range(40)]
    outage = [at + 12 * HOUR for at in (*hourly[39:], *(hourly[39] + n * HOUR for n in range(1, 10)))]
    assert limit(learned([*hourly, *outage])) == 3 * HOUR
    another = [outage[-1] + 12 * HOUR + n * HOUR for n in range(30)]
    assert limit(learned([*hourly, *outage, *another])) == 3 * 12 * HOUR


def test_what_nobody_looked_at_is_neither_rest_nor_a_time_between_runs() -> None:
    runs = learned(MONDAY + n * HOUR for n in range(30))
    last = MONDAY + 29 * HOUR
    away = seen(runs, [], is_up=False, now=last + 50 * HOUR, dark=49 * HOUR, limit=None)
    assert away.rested(last + 50 * HOUR) == pytest.approx(HOUR, abs=120)
    begun = seen(away, [last + 51 * HOUR], is_up=True, now=last + 51 * HOUR, dark=0.0, limit=None)
    assert limit(begun) == 3 * HOUR


def test_a_long_run_counts_as_rest_only_when_it_is_over() -> None:
    runs = seen(learned([MONDAY]), [], is_up=True, now=MONDAY + 9 * HOUR, dark=0.0, limit=None)
    assert runs.rested(MONDAY + 10 * HOUR) == HOUR


def test_what_nobody_called_periodic_has_a_rhythm_only_where_it_is_regular() -> None:
    daily = learned(MONDAY + n * DAY for n in range(6))
    assert rhythm(daily, declared=False) == rhythm(daily)
    assert rhythm(learned(MONDAY + n * HOUR for n in range(40)), declared=False) is None  # not two days yet
    deployments = learned(MONDAY + at * HOUR for at in (0, 1, 1.2, 50, 51, 170, 171, 172))
    assert rhythm(deployments, declared=False) is None
    assert rhythm(deployments) is not None


def overdue_at(runs: Runs, written: str) -> float:
    """When it is overdue by a schedule of the orders, from the Monday on, in hours."""
    found = rhythm(runs, 1800.0, ["0 3 * * *"], ordered=written)
    assert found is not None
    return (runs.rests_since + runs.blind + found.limit - MONDAY) / HOUR


def test_what_never_ran_is_overdue_by_its_schedule_after_the_first_run_that_was_due() -> None:
    never = seen(None, [], is_up=False, now=MONDAY + 600, dark=0.0, limit=None)
    assert overdue_at(never, "0 */2 * * *") == 3.0  # due at two, and an hour for it
    assert overdue_at(never, "*/10 * * * *") == pytest.approx(20 / 60 + 5 / 60)  # half the time to the next


def test_a_run_that_came_is_not_missed_and_the_next_one_is() -> None:
    runs = seen(None, [MONDAY + 2 * HOUR + 1], is_up=True, now=MONDAY + 2 * HOUR + 20, dark=0.0, limit=None)
    assert overdue_at(runs, "0 */2 * * *") == 5.0
    early = seen(None, [MONDAY + 2 * HOUR - 30], is_up=True, now=MONDAY + 2 * HOUR - 20, dark=0.0, limit=None)
    assert overdue_at(early, "0 */2 * * *") == 5.0


def test_what_runs_on_weekdays_is_not_overdue_on_a_sunday() -> None:
    friday = MONDAY + 4 * DAY + 9 * HOUR
    runs = seen(None, [friday], is_up=True, now=friday + 60, dark=0.0, limit=None)
    assert overdue_at(runs, "0 9 * * mon-fri") == 7 * 24 + 9 + 1


def test_a_run_that_was_due_while_nobody_looked_is_not_missed() -> None:
    never = seen(None, [], is_up=False, now=MONDAY + 600, dark=0.0, limit=None)
    blind = seen(never, [], is_up=False, now=MONDAY + 4 * HOUR, dark=3.5 * HOUR, limit=None)
    assert overdue_at(blind, "0 */2 * * *") > 4.5
