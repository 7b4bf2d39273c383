"""Nights of a watched table: growing too fast, not at all, or only by its counters."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitord.core.engine import decide
from monitord.core.model import Unmeasured, sample
from monitord.core.orders import StandingOrders

from . import nights
from .nights import EVERY, Night

SIGNALS = "user_signals"


def orders(**changes: object) -> StandingOrders:
    """The baseline's, of which Postgres alone is watched."""
    return nights.orders(probes=frozenset({"postgres"}), **changes)


def watched(every: float = EVERY) -> Night:
    return Night(orders(), every=every)


def growth(night: Night) -> dict[str, float | None]:
    told = night.report.as_fields()["growth"][SIGNALS]
    assert isinstance(told, dict)
    return told


def steady(per_window: float) -> float:
    """Rows per second that make so many in two hours."""
    return per_window / 7200


def test_a_million_rows_in_two_hours_is_the_limit_and_silent() -> None:
    night = watched(every=120)
    night.table.per_second = steady(1_000_000)
    night.passes(hours=5)
    night.is_silent()
    assert growth(night)["window_rows"] == 1_000_000


def test_more_than_a_million_rows_in_two_hours_is_a_warning_until_it_slows_down() -> None:
    night = watched(every=60)
    night.table.per_second = steady(1_010_000)
    night.passes(hours=2, minutes=1)
    alert = night.fired_once("table_growth_high", SIGNALS)
    assert alert.severity == "warning"
    assert isinstance(alert.finding.value, int)
    assert 1_000_000 < alert.finding.value < 1_010_000
    assert (alert.finding.limit, alert.finding.unit) == (1_000_000, "rows")
    assert alert.finding.evidence["counted"] == "exactly"
    night.table.per_second = steady(84_000)
    night.passes(hours=2)
    night.resolved_once("table_growth_high", SIGNALS)


def test_a_real_flood_fires_at_the_second_reading_once_it_has_been_counted() -> None:
    night = watched()
    night.passes(minutes=30)
    counted = night.table.counted
    night.table.floods(1_200_000)
    night.passes(seconds=36)
    alert = night.fired_once("table_growth_high", SIGNALS)
    assert alert.fired_at is not None
    assert alert.fired_at - alert.since == timedelta(seconds=5)
    assert night.table.counted > counted


@pytest.mark.parametrize("told", [True, False])
def test_a_flood_that_is_rolled_back_never_fires(told: bool) -> None:
    night = watched(every=120)
    night.table.tells_commits = told
    night.passes(minutes=30)
    for _ in range(20):
        night.table.rolls_back(1_200_000)
        night.passes(minutes=10)
    assert night.said() == []
    # Counters that tell of commits raise no suspicion; the others do, and the exact count refutes it.
    assert bool(night.of("pending", "table_growth_high", SIGNALS)) is not told
    rows = growth(night)["window_rows"]
    assert rows is not None
    assert rows < 1_000_000


@pytest.mark.parametrize("minute", [58, 59, 0, 1])
def test_a_flood_that_is_rolled_back_at_the_turn_of_an_hour_never_fires(minute: int) -> None:
    night = watched(every=120)
    night.passes(hours=3)
    night.until(7 if minute > 30 else 8, minute)
    night.table.rolls_back(3_000_000)
    night.passes(minutes=20)
    assert night.said() == []


def test_a_flood_that_is_rolled_back_while_monitord_was_away_never_fires() -> None:
    night = watched(every=120)
    night.passes(hours=3)
    night.table.rolls_back(9_000_000)
    night.monitord_is_away(hours=8)
    night.passes(hours=3)
    assert night.said() == []


@pytest.mark.parametrize("confirmations", [1, 2, 3])
def test_a_flood_is_confirmed_by_as_many_readings_as_ordered_the_first_and_the_count_included(
    confirmations: int,
) -> None:
    night = Night(orders(confirmations=confirmations))
    night.passes(minutes=30)
    night.table.floods(1_200_000)
    night.passes(minutes=1)
    alert = night.fired_once("table_growth_high", SIGNALS)
    assert alert.fired_at is not None
    # The first reading is by the counters alone; at least one more has to count.
    assert alert.fired_at - alert.since == timedelta(seconds=5 * max(1, confirmations - 1))


def test_a_table_that_cannot_be_counted_fires_by_its_statistics_and_says_so() -> None:
    night = watched()
    night.table.countable = False
    night.passes(minutes=30)
    night.table.rolls_back(1_200_000)
    night.passes(minutes=1)
    night.is_silent()
    night.table.floods(1_200_000)
    night.passes(minutes=1)
    alert = night.fired_once("table_growth_high", SIGNALS)
    assert alert.finding.evidence["counted"] == "by statistics only"
    assert night.table.counted == 0


def test_a_count_that_stops_at_its_cap_refutes_nothing() -> None:
    night = watched()
    night.table.cap = 50_000
    night.passes(hours=2)
    night.is_silent()  # in particular, rows that do come are not taken for rolled back
    night.table.floods(3_000_000)
    night.passes(minutes=1)
    alert = night.fired_once("table_growth_high", SIGNALS)
    assert isinstance(alert.finding.value, int)
    assert alert.finding.value > 3_000_000
    assert alert.finding.evidence["counted"] == "by statistics only"


def test_a_count_that_never_comes_holds_up_no_alert_and_is_not_asked_for_every_five_seconds() -> None:
    night = watched(every=120)
    night.passes(minutes=30)
    night.table.counts = False
    night.table.floods(1_200_000)
    looks = len(night.looks)
    night.passes(minutes=30)
    assert night.said() == ["firing table_growth_high/user_signals"]
    assert len(night.looks) - looks <= 60 + 4


def test_a_night_of_42_000_rows_an_hour_is_counted_exactly_only_now_and_then() -> None:
    night = watched(every=120)
    night.passes(hours=4)
    assert night.table.counted <= 4 * 12 + 1


def test_a_rate_needs_two_readings() -> None:
    night = watched(every=120)
    night.look()
    assert (growth(night)["rows_per_hour"], growth(night)["window_rows"]) == (None, None)
    assert night.status == "ok"
    night.passes(hours=1)
    rate = growth(night)["rows_per_hour"]
    assert rate is not None
    assert round(rate, -1) == 42_000
    assert growth(night)["rows"] == night.table.rows


def test_a_burst_seen_over_less_than_a_quarter_of_the_window_is_not_blown_up_to_a_whole_one() -> None:
    night = watched(every=120)
    night.passes(minutes=1)
    night.table.floods(900_000)
    night.passes(minutes=20)
    night.is_silent()


def test_what_came_in_while_monitord_was_away_is_scaled_down_to_the_window() -> None:
    night = watched(every=120)
    night.passes(hours=1)
    night.table.per_second = steady(450_000)
    night.monitord_is_away(hours=8)  # 1.8 million rows
    night.passes(minutes=10)
    night.is_silent()
    rows = growth(night)["window_rows"]
    assert rows is not None
    assert abs(rows - 450_000) < 10_000


def test_a_flood_soon_after_an_absence_is_not_thinned_out_by_it() -> None:
    night = watched()
    night.passes(hours=1)
    night.monitord_is_away(hours=8)
    night.passes(minutes=30)
    night.table.floods(1_000_000)
    night.passes(minutes=1)
    night.fired_once("table_growth_high", SIGNALS)


def test_a_flood_that_is_over_is_forgotten_after_the_window() -> None:
    night = watched(every=60)
    night.passes(minutes=30)
    night.table.floods(1_200_000)
    night.passes(hours=1, minutes=58)
    assert night.firing() == {("table_growth_high", SIGNALS)}
    night.passes(minutes=4)
    night.resolved_once("table_growth_high", SIGNALS)


def test_counters_that_fall_are_followed_from_there_and_said() -> None:
    night = watched(every=120)
    night.passes(hours=1)
    night.table.forgets_statistics()
    night.passes(hours=3)
    night.is_silent()
    assert len(night.notes) == 1
    assert "fell from" in night.notes[0]
    rate = growth(night)["rows_per_hour"]
    assert rate is not None
    assert round(rate, -3) == 42_000


def test_counters_that_jump_as_those_of_another_server_do_are_refuted_by_the_count() -> None:
    night = watched(every=120)
    night.passes(hours=1)
    night.counters_jump(50_000_000)
    night.passes(hours=1)
    assert night.said() == []


def test_a_table_that_is_truncated_is_no_alert_while_rows_come_in() -> None:
    night = watched(every=120)
    night.passes(hours=1)
    night.table.is_truncated()
    night.passes(hours=3)
    assert night.said() == []


def test_no_new_row_for_fifteen_minutes_is_silent_and_for_longer_is_a_warning() -> None:
    night = watched()
    night.passes(minutes=30)
    night.table.per_second = 0
    night.passes(minutes=15)
    assert night.said() == []
    night.passes(minutes=1)
    alert = night.fired_once("table_flow_stalled", SIGNALS)
    assert alert.severity == "warning"
    assert isinstance(alert.finding.value, float)
    assert 900 < alert.finding.value <= 940
    assert (alert.finding.limit, alert.finding.unit) == (900, "seconds")
    assert alert.finding.evidence["counted"] == "exactly"
    night.table.per_second = 10
    night.passes(minutes=1)
    night.resolved_once("table_flow_stalled", SIGNALS)


def test_inserts_that_are_all_rolled_back_are_a_stalled_flow() -> None:
    night = watched()
    night.passes(hours=1)
    night.table.per_second, night.table.rolled_back_per_second = 0, 12
    night.passes(minutes=25)
    alert = night.fired_once("table_flow_stalled", SIGNALS)
    assert alert.finding.evidence["rolled_back"] is True
    assert "rolled back" in alert.finding.summary
    assert alert.fired_at is not None
    night.table.per_second = 12
    night.passes(minutes=1)
    night.resolved_once("table_flow_stalled", SIGNALS)


def test_a_stall_is_not_ended_by_inserts_that_are_rolled_back() -> None:
    night = watched(every=60)
    night.passes(hours=1)
    night.table.per_second = 0
    night.passes(minutes=20)
    night.table.rolled_back_per_second = 12
    night.passes(minutes=20)
    night.fired_once("table_flow_stalled", SIGNALS)
    assert night.firing() == {("table_flow_stalled", SIGNALS)}


def test_rows_all_of_one_hour_do_not_stall_when_the_growth_window_is_shorter_than_an_epoch() -> None:
    night = Night(orders(growth_window=timedelta(minutes=10)), every=120)
    night.passes(hours=3)
    night.is_silent()


def test_a_table_that_can_no_longer_be_counted_is_not_held_to_an_old_count() -> None:
    night = watched(every=120)
    night.table.tells_commits = False
    night.passes(hours=1)
    night.table.per_second, night.table.rolled_back_per_second = 0, 12
    night.passes(minutes=7)
    night.table.countable = False
    night.passes(hours=1)
    night.is_silent()  # by statistics alone rows come in


def test_a_stall_of_a_table_that_cannot_be_counted_fires_by_its_statistics() -> None:
    night = watched()
    night.table.countable = False
    night.passes(hours=1)
    night.table.per_second = 0
    night.passes(minutes=16)
    assert night.fired_once("table_flow_stalled", SIGNALS).finding.evidence["counted"] == "by statistics only"


def test_time_in_which_postgres_could_not_be_read_counts_towards_no_stall() -> None:
    night = watched(every=60)
    night.passes(minutes=30)
    night.table.per_second = 0
    night.passes(minutes=10)
    night.postgres.fails()
    night.passes(hours=3)
    night.postgres.recovers()
    night.passes(minutes=4)
    night.fired_once("postgres_unreachable", "postgres")
    night.passes(minutes=3)
    night.fired_once("table_flow_stalled", SIGNALS, alone=False)


def test_time_in_which_monitord_was_away_counts_towards_no_stall() -> None:
    night = watched(every=60)
    night.passes(minutes=30)
    night.table.per_second = 0
    night.passes(minutes=10)
    night.monitord_is_away(hours=3)
    night.passes(minutes=4)
    assert night.said() == []
    night.passes(minutes=3)
    night.fired_once("table_flow_stalled", SIGNALS)


def test_rows_that_came_in_while_monitord_was_away_are_a_flow() -> None:
    night = watched(every=120)
    night.passes(minutes=30)
    night.table.per_second = 0
    night.passes(minutes=14)
    night.table.floods(10)
    night.monitord_is_away(minutes=5)
    night.passes(minutes=10)
    assert night.said() == []


def test_a_replica_has_no_counters_and_is_judged_by_its_exact_counts() -> None:
    night = watched()
    night.replica = True
    night.passes(hours=1)
    night.is_silent()
    rate = growth(night)["rows_per_hour"]
    assert rate is not None
    assert round(rate, -3) == 42_000
    night.table.floods(1_200_000)
    night.passes(minutes=1)
    night.fired_once("table_growth_high", SIGNALS)
    night.table.per_second = 0
    night.passes(minutes=20)
    night.fired_once("table_flow_stalled", SIGNALS, alone=False)


def test_a_table_that_cannot_be_read_is_unknown_and_said() -> None:
    night = watched()
    night.passes(hours=1)
    night.table.gap = Unmeasured(SIGNALS, "permission", "this role has no SELECT privilege on user_signals")
    night.look()
    assert night.status == "unknown"
    assert growth(night)["rows_per_hour"] is None
    night.passes(hours=1)
    assert night.fired_once("subject_unmeasured", SIGNALS).severity == "warning"
    night.table.gap = None
    night.passes(minutes=1)
    night.resolved_once("subject_unmeasured", SIGNALS)
    assert night.status == "ok"


def test_a_stall_stays_a_stall_while_its_table_cannot_be_read() -> None:
    night = watched(every=60)
    night.passes(hours=1)
    night.table.per_second = 0
    night.passes(minutes=20)
    night.table.gap = Unmeasured(SIGNALS, "timeout", "the size of user_signals waits behind another session's lock")
    night.passes(minutes=20)
    assert ("table_flow_stalled", SIGNALS) in night.firing()
    assert night.of("resolved", "table_flow_stalled", SIGNALS) == []


def test_each_watched_table_is_judged_by_itself() -> None:
    night = Night(orders(tables=(SIGNALS, "channel_participation")))
    night.passes(hours=1)
    night.tables["channel_participation"].floods(1_200_000)
    night.passes(minutes=1)
    night.fired_once("table_growth_high", "channel_participation")


def test_a_table_that_is_no_longer_watched_ends_its_alert() -> None:
    night = Night(orders(tables=(SIGNALS, "channel_participation")))
    night.passes(hours=1)
    night.tables["channel_participation"].floods(1_200_000)
    night.passes(minutes=1)
    night.orders = replace(night.orders, tables=(SIGNALS,))
    night.passes(seconds=30)
    night.resolved_once("table_growth_high", "channel_participation", reason="not_watched")


def test_statistics_that_stand_still_while_rows_come_in_are_no_stall() -> None:
    night = watched(every=120)
    night.passes(minutes=10)
    night.table.rolled_back_per_second = -night.table.per_second
    night.passes(hours=2)
    night.is_silent()


def test_the_time_a_table_could_not_be_read_counts_towards_no_stall() -> None:
    night = watched()
    night.passes(minutes=30)
    night.table.gap = Unmeasured("user_signals", "missing", "there is no table user_signals in this database")
    night.passes(minutes=40)
    night.table.gap = None
    night.table.per_second = 0
    night.passes(minutes=14)
    assert not night.of("firing", "table_flow_stalled", "user_signals")
    night.passes(minutes=3)
    assert night.of("firing", "table_flow_stalled", "user_signals")


def test_rows_that_no_counter_sees_are_known_as_soon_as_two_counts_can_be_compared() -> None:
    night = watched(every=60)
    night.table.seen = False
    night.look()
    assert growth(night)["rows_per_hour"] is None
    night.passes(seconds=29)
    assert growth(night)["rows_per_hour"] is None  # counters that have not moved yet tell of nothing
    night.passes(hours=1)
    rate = growth(night)["rows_per_hour"]
    assert rate is not None
    assert abs(rate - 42_000) < 1_000
    night.is_silent()


def test_counters_that_stop_seeing_in_mid_night_are_outvoted_and_believed_again_later() -> None:
    night = watched(every=120)
    night.passes(hours=3)
    for sees in (False, True):
        night.table.seen = sees
        night.passes(hours=4)
        rate = growth(night)["rows_per_hour"]
        assert rate is not None
        assert abs(rate - 42_000) < 1_500, sees
    night.is_silent()
    counted = night.table.counted
    night.passes(hours=1)
    assert night.table.counted - counted <= 13  # now and then, as with counters that see


def test_half_of_the_rows_seen_is_not_half_of_the_growth() -> None:
    night = watched(every=120)
    night.passes(minutes=10)
    night.table.per_second, night.table.rolled_back_per_second = 160, -80
    night.passes(hours=2)
    alert = night.fired_once("table_growth_high", SIGNALS)
    assert isinstance(alert.finding.value, int)
    night.passes(hours=2)
    rate = growth(night)["rows_per_hour"]
    assert rate is not None
    assert abs(rate - 576_000) < 10_000


def test_counters_that_tell_late_are_not_counted_twice() -> None:
    night = watched(every=60)
    night.passes(hours=1)
    for _ in range(12):
        night.table.seen = False
        night.passes(seconds=330)
        night.table.seen = True
        night.table.tells_late(night.table.per_second * 330)
        night.passes(seconds=330)
    rate = growth(night)["rows_per_hour"]
    assert rate is not None
    assert abs(rate - 42_000) < 1_500


def test_rows_that_are_deleted_as_they_come_are_not_rolled_back() -> None:
    night = watched(every=120)
    night.passes(hours=1)
    night.table.per_second, night.table.fleeting_per_second = 0, 12
    night.passes(minutes=40)
    night.is_silent()


def test_a_table_that_nothing_counts_is_unknown_and_never_still() -> None:
    night = watched(every=60)
    night.table.countable, night.table.counting = False, False
    night.passes(hours=3)
    assert (growth(night)["rows_per_hour"], growth(night)["window_rows"]) == (None, None)
    assert night.said() == []


def test_a_table_that_grows_on_disk_while_no_counter_moves_is_unknown_and_never_still() -> None:
    night = watched(every=60)
    night.table.countable, night.table.seen = False, False
    night.table.heap_per_row = 0.02
    night.passes(hours=3)
    assert growth(night)["rows_per_hour"] is None
    assert night.said() == []
    night.table.per_second = 0
    night.table.countable = True
    night.passes(minutes=30)
    night.fired_once("table_flow_stalled", SIGNALS)


def test_a_blind_table_makes_the_mornings_growth_unknown() -> None:
    night = watched(every=60)
    night.table.countable, night.table.counting = False, False
    night.passes(hours=2)
    assert all(not table.known for table in night.state.history.tables.values())


def test_rows_with_old_labels_are_growth_of_the_window_they_arrive_in() -> None:
    night = watched(every=60)
    night.passes(hours=1)
    night.table.late_by = 3 * 3600
    night.passes(hours=3)
    night.is_silent()
    told = growth(night)
    assert told["window_rows"] == pytest.approx(84_000, rel=0.01)
    assert told["rows_per_hour"] == pytest.approx(42_000, rel=0.01)
    assert told["late_rows"] == pytest.approx(84_000, rel=0.1)
    night.table.floods(5_000_000, late_by=7 * 86400)
    night.passes(minutes=2)
    evidence = night.fired_once("table_growth_high", SIGNALS).finding.evidence
    assert evidence["late_rows"] == pytest.approx(5_084_000, rel=0.01)
    assert growth(night)["window_rows"] == pytest.approx(5_084_000, rel=0.01)


def test_rows_of_the_present_carry_no_old_labels() -> None:
    night = watched(every=120)
    night.passes(hours=3)
    assert growth(night)["late_rows"] == 0
    night.table.countable = False
    night.passes(hours=3)
    assert growth(night)["late_rows"] is None


@pytest.mark.parametrize("labels", [{}, {"table": SIGNALS, "partition": "p1"}], ids=["nothing", "a part of a table"])
def test_what_is_told_of_anything_but_a_whole_table_hinders_no_growth(labels: dict[str, str]) -> None:
    night = watched()
    night.passes(minutes=5)
    observation = night.looks[-1].observation
    reading, known = observation.readings["postgres"], night.state.history.tables[SIGNALS]
    told = replace(reading, samples=(*reading.samples, sample("table_live", 7, **labels)))
    again = replace(observation, now=observation.now + timedelta(seconds=EVERY), readings={"postgres": told})
    decision = decide(night.state, again, night.orders)
    assert decision.faults == ()
    assert decision.state.history.tables[SIGNALS].counters == known.counters
