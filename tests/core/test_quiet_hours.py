"""Hours in which a table is quiet by its own past: learned from a week, and no blindness to a stall."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitord.core.anomalies.quiet_hours import DAY, HOUR, LEAST_LIVED, Gap, QuietHours, learned, learned_from, lived_on
from monitord.core.hours import HourlyLimit
from monitord.core.orders import StandingOrders, TableOrders
from monitord.core.subjects.postgres import POSTGRES

from .nights import Night, restored

MONDAY = datetime(2025, 11, 3, 1, 0, tzinfo=UTC)
# How often monitord looks while it matters, and else: a week is long.
EVERY, SELDOM = 180.0, 1800.0
SHOP = StandingOrders(
    tables=("orders",),
    groups=(),
    cemented=(),
    probes=frozenset({"postgres"}),
    late_after=timedelta(seconds=3 * SELDOM),
)
STALL, ORDERS = "table_flow_stalled", "orders"


def shop(orders: StandingOrders = SHOP) -> Night:
    night = Night(orders, start=MONDAY, every=SELDOM, services=(), keep=1)
    night.table.per_second = 1.0
    return night


def quiet_hour(night: Night, minutes: float) -> set[str]:
    """The next hour from three to four: one row every so many minutes. What fired in it."""
    looked_at(night, EVERY, 3)
    night.table.per_second = 0.0
    fired: set[str] = set()
    for _ in range(int(60 // minutes)):
        night.passes(minutes=minutes)
        fired |= {f"{alert.rule}/{alert.subject}" for alert in night.state.alerts.values() if is_firing(alert)}
        night.table.floods(1)
    night.table.per_second = 1.0
    night.passes(minutes=30)
    night.every = SELDOM
    return fired


def looked_at(night: Night, every: float, hour: int, minute: int = 0) -> None:
    """From then on monitord looks so often."""
    night.until(hour, minute)
    night.every = every
    night.is_due()


def is_firing(alert: object) -> bool:
    return getattr(alert, "state", "") == "firing"


def after_a_week(minutes: float = 12.0, orders: StandingOrders = SHOP) -> Night:
    night = shop(orders)
    for _ in range(8):
        assert quiet_hour(night, minutes) == set()
    return night


@pytest.fixture(scope="module")
def week() -> Night:
    """Eight nights in which from three to four a row comes every twelve minutes; a quarter of an hour may pass."""
    return after_a_week()


def again(week: Night) -> Night:
    """A night of its own that goes on from the end of the week."""
    night = shop()
    night.clock.now = week.clock.now
    night.state, night._due = restored(week.state), week.clock.now
    night.table.inserted, night.table.live, night.table.changed = 9e7, 9e7, 9e7
    night.passes(minutes=20)
    return night


def test_a_quiet_night_hour_is_borne_after_a_week_and_was_alerted_before(week: Night) -> None:
    assert quiet_hour(shop(), 21) == {f"{STALL}/{ORDERS}"}
    assert quiet_hour(again(week), 21) == set()


def test_what_was_learned_is_shown(week: Night) -> None:
    found = week.report.as_fields()["growth"][ORDERS]
    assert found["flow_stall_learned"].endswith("at 03–04 h")
    assert found["flow_stall_seconds"] == 900.0
    (limit,) = POSTGRES.learned(week.report, SHOP)
    assert (limit.member, limit.value) == (ORDERS, found["flow_stall_learned"])
    night = again(week)
    night.until(3, 10)
    assert night.report.as_fields()["growth"][ORDERS]["flow_stall_seconds"] > 900.0


def found_after(night: Night, hour: int, minute: int = 1) -> tuple[float, str]:
    """After how many minutes of a stall from then on it is told, and how."""
    looked_at(night, EVERY, hour, minute)
    night.table.per_second, began = 0.0, night.clock.now
    while not (firing := [alert for alert in night.state.alerts.values() if is_firing(alert)]):
        night.passes(seconds=EVERY)
        assert night.clock.now < began + 5 * HOUR
    return (night.clock.now - began) / 60, firing[0].finding.summary


def test_a_stall_in_a_quiet_hour_is_found_past_twice_what_is_usual_there_and_says_so(week: Night) -> None:
    minutes, said = found_after(again(week), 3)
    limit = max(learned(week.state.history.tables[ORDERS].quiet, SHOP.flow_stall_of(ORDERS)).values()) / 60
    assert limit == pytest.approx(20, abs=5)
    assert limit < minutes < limit + 10
    assert "at this hour (UTC) the limit is" in said
    assert said.endswith("as learned from this hour of its last days.")


def test_a_stall_at_a_busy_hour_is_found_as_soon_as_before(week: Night) -> None:
    before, _ = found_after(shop(), 15)
    after, said = found_after(again(week), 15)
    assert after == pytest.approx(before, abs=EVERY / 60)
    assert "learned" not in said


def test_a_stall_that_begins_late_in_the_quiet_hour_is_found_by_the_limit_of_the_day(week: Night) -> None:
    minutes, _ = found_after(again(week), 3, 55)
    assert minutes < 30


def test_a_stall_that_was_alerted_is_never_learned_from_however_often_it_comes() -> None:
    night = shop()
    for _ in range(9):
        assert quiet_hour(night, 20) == {f"{STALL}/{ORDERS}"}
    assert night.state.history.tables[ORDERS].quiet.gaps == ()


def test_time_in_which_nobody_looked_is_not_learned_from() -> None:
    night = shop()
    for _ in range(9):
        night.until(3, 0)
        night.table.per_second = 0.0
        night.monitord_is_away(minutes=50)
        night.table.floods(1)
        night.table.per_second = 1.0
        night.passes(minutes=5)
    assert night.state.history.tables[ORDERS].quiet.gaps == ()


@pytest.mark.parametrize(
    "orders",
    [
        replace(SHOP, learned_quiet_hours=False),
        replace(SHOP, table_by_name={ORDERS: TableOrders(flow_stall={"*": timedelta(minutes=15)})}),
    ],
    ids=["turned off", "a limit of its own"],
)
def test_the_operators_own_limit_holds_and_learning_may_be_turned_off(orders: StandingOrders) -> None:
    night = after_a_week(orders=orders)
    assert night.state.history.tables[ORDERS].quiet == QuietHours()
    assert quiet_hour(night, 21) == {f"{STALL}/{ORDERS}"}


BASE = HourlyLimit((900.0,) * 24)
WATCHED = QuietHours(lived=LEAST_LIVED)


def days_of(seconds: float, days: int, quiet: QuietHours = WATCHED, hour: int = 3) -> QuietHours:
    for day in range(days):
        began = (20_000 + day) * DAY + hour * HOUR + 60
        quiet = learned_from(quiet, began, began + seconds, BASE)
    return quiet


def test_an_hour_is_quiet_once_it_was_on_three_days_and_by_the_least_of_the_three_longest() -> None:
    assert learned(days_of(700, 2), BASE) == {}
    assert learned(days_of(700, 3), BASE) == {3: 1400.0}
    assert learned(days_of(850, 2, days_of(700, 9)), BASE) == {3: 1400.0}
    assert learned(replace(days_of(700, 3), lived=LEAST_LIVED - 1), BASE) == {}


def test_a_limit_is_never_learned_past_twelve_times_what_is_set() -> None:
    assert learned(days_of(9 * HOUR, 3), BASE)[5] == 12 * 900.0


def test_of_a_busy_table_nothing_is_kept_and_of_a_quiet_one_a_few_numbers_an_hour() -> None:
    assert days_of(449, 30) is WATCHED
    quiet = WATCHED
    for hour in range(24):
        quiet = days_of(800, 40, quiet, hour)
    assert len(quiet.gaps) == 24 * 4


def test_what_is_two_weeks_old_is_forgotten() -> None:
    quiet = QuietHours(LEAST_LIVED, (Gap(3, 100, 700.0), Gap(3, 114, 700.0)))
    assert lived_on(quiet, 30, 114.5 * DAY).gaps == quiet.gaps
    assert lived_on(quiet, 30, 115.5 * DAY).gaps == quiet.gaps[1:]
