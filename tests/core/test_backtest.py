"""A recorded night judged again: under the same orders it says the same, under others what they would have said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from monitord.core.backtest import Backtest, backtest, blind_seconds, warm_up
from monitord.core.backtest.fired import Fired
from monitord.core.history.model import BlindSpan, History
from monitord.core.model import Failure, Observation, Reading
from monitord.core.orders import StandingOrders

from .fleet import MB
from .nights import BASELINE, ORDERS, Night

WATCHED = replace(ORDERS, probes=frozenset({"pm2", "postgres", "epochs"}))
TABLES = replace(ORDERS, probes=frozenset({"postgres"}))


def again(night: Night, orders: StandingOrders | None = None, minutes: float = 0, begin: int = 0) -> Backtest:
    """The night judged again, told from so many minutes after its start, its recording beginning at a look."""
    observations = [look.observation for look in night.looks[begin:]]
    since = BASELINE + timedelta(minutes=minutes)
    found = backtest(observations, orders or night.orders, night.transitions, since, night.orders)
    assert found is not None
    return found


def called(alerts: tuple[Fired, ...]) -> list[tuple[str, str]]:
    return [(alert.rule, alert.subject) for alert in alerts]


@pytest.fixture(scope="module")
def eventful() -> Night:
    """Two hours and more: a crash loop, a fat gateway, a flood, Postgres away, a service stopped."""
    night = Night(WATCHED, every=60)
    night.passes(minutes=20)
    night["gateway"].memory = 350.0 * MB
    night.passes(minutes=10)
    night["gateway"].memory = 99.0 * MB
    night["tree-builder"].crashes(8)
    night.passes(minutes=30)
    night.table.floods(1_200_000)
    night.passes(minutes=20)
    night.postgres.fails()
    night.epochs.fails()
    night.passes(minutes=5)
    night.postgres.recovers()
    night.epochs.recovers()
    night.passes(minutes=35)
    night["cls-worker"].stops()
    night.passes(minutes=20)
    return night


def test_under_the_same_orders_nothing_is_new_and_nothing_gone(eventful: Night) -> None:
    found = again(eventful)
    assert called(found.compared.only_found) == called(found.compared.only_recorded) == []
    assert {pair.found.rule for pair in found.compared.same} == {
        "service_restart_loop",
        "table_growth_high",
        "postgres_unreachable",
        "service_down",
    }
    for pair in found.compared.same:
        assert pair.later_seconds == 0
        assert pair.found.resolved_at == pair.recorded.resolved_at
        assert pair.found.alert_id == pair.recorded.alert_id
    assert found.cycles == len(eventful.looks)
    assert found.blind_seconds == pytest.approx(300, abs=31)


def test_a_lower_limit_fires_when_it_was_passed_and_for_so_long(eventful: Night) -> None:
    found = again(eventful, replace(WATCHED, service_memory=300 * MB))
    (alert,) = found.compared.only_found
    assert (alert.rule, alert.subject, alert.value) == ("service_memory_high", "gateway", 350 * MB)
    assert timedelta(minutes=20) <= alert.since - BASELINE <= timedelta(minutes=21)
    # Nobody looked again within seconds then: the next cycle confirms it.
    assert alert.fired_at - alert.since == timedelta(seconds=60)
    assert alert.resolved_at is not None
    assert timedelta(minutes=30) < alert.resolved_at - BASELINE <= timedelta(minutes=32)
    assert (alert.counted, alert.at_start) == (None, False)
    assert any("confirmed a cycle later" in caveat for caveat in found.caveats)


def test_a_higher_limit_does_not_fire_what_did(eventful: Night) -> None:
    found = again(eventful, replace(WATCHED, growth_limit=5_000_000, restarts_warning=30, restarts_critical=40))
    assert called(found.compared.only_found) == []
    assert set(called(found.compared.only_recorded)) == {
        ("table_growth_high", "user_signals"),
        ("service_restart_loop", "tree-builder"),
    }


def test_more_confirmations_fire_later(eventful: Night) -> None:
    found = again(eventful, replace(WATCHED, confirmations=4))
    later = {pair.found.rule: pair.later_seconds for pair in found.compared.same}
    assert later["service_down"] is not None
    assert later["service_down"] >= 30


def test_only_the_time_that_is_asked_about_is_told_though_all_is_judged(eventful: Night) -> None:
    found = again(eventful, minutes=110)
    # What fires then, though it began before; not the loop and the failing Postgres of the first hour.
    assert called(found.alerts) == [("table_growth_high", "user_signals"), ("service_down", "cls-worker")]
    assert [pair.later_seconds for pair in found.compared.same] == [0, 0]
    assert found.since == BASELINE + timedelta(minutes=110)
    assert found.cycles < len(eventful.looks)


def test_what_was_so_when_the_recording_begins_is_told_as_that() -> None:
    night = Night()
    night["gateway"].memory = 600.0 * MB
    night.passes(minutes=10)
    found = again(night, begin=5)
    (pair,) = found.compared.same
    assert (pair.found.rule, pair.found.at_start, pair.later_seconds) == ("service_memory_high", True, None)
    assert any(caveat.startswith("The recording begins at Nov 5, 03:5") for caveat in found.caveats)


def test_without_a_roster_a_service_that_went_before_the_recording_is_still_missed() -> None:
    night = Night(replace(ORDERS, services={}, probes=frozenset({"pm2"})))
    night.passes(minutes=5)
    night.vanishes("gateway")
    night.passes(minutes=20)
    found = again(night, begin=20)
    assert called(found.compared.only_recorded) == []
    assert [pair.found.rule for pair in found.compared.same] == ["service_missing"]
    assert any("There is no roster" in caveat for caveat in found.caveats)


def test_an_alert_that_waits_for_a_count_that_was_not_taken_is_fired_by_the_counters_and_said() -> None:
    night = Night(TABLES)
    night.table.counts = False
    night.passes(minutes=10)
    night.table.floods(400_000)
    night.passes(minutes=20)
    night.is_silent()
    found = again(night, replace(TABLES, growth_limit=300_000))
    (alert,) = found.compared.only_found
    assert (alert.rule, alert.counted) == ("table_growth_high", "by the counters")
    assert timedelta(minutes=10) < alert.fired_at - BASELINE <= timedelta(minutes=11)
    assert any("by the counters" in caveat and "not counted exactly then" in caveat for caveat in found.caveats)


def test_what_waits_for_a_count_and_is_explained_by_another_alert_is_not_fired_by_the_counters_either() -> None:
    night = Night(WATCHED)
    night.table.counts = False
    night.passes(minutes=10)
    night["stream-listener"].stops()
    night.table.per_second = 0.0
    night.passes(minutes=30)
    found = again(night, replace(WATCHED, flow_stall=timedelta(minutes=5)))
    assert called(found.alerts) == [("service_down", "stream-listener")]
    alone = again(night, replace(WATCHED, flow_stall=timedelta(minutes=5), fed_by={}))
    assert called(alone.compared.only_found) == [("table_flow_stalled", "user_signals")]


def test_a_count_that_comes_while_it_fires_confirms_it() -> None:
    night = Night(TABLES)
    night.passes(minutes=10)
    night.table.floods(400_000)
    night.passes(minutes=20)
    night.is_silent()
    (alert,) = again(night, replace(TABLES, growth_limit=300_000)).compared.only_found
    assert alert.counted == "exactly"
    assert timedelta(minutes=10) < alert.fired_at - BASELINE <= timedelta(minutes=11)


def test_a_count_of_then_that_refutes_the_counters_takes_the_alert_back_and_that_is_said() -> None:
    night = Night(TABLES)
    night.table.tells_commits = False
    night.passes(minutes=11, seconds=40)  # just after a count: the next is five minutes away
    night.table.rolls_back(400_000)
    night.passes(minutes=20)
    night.is_silent()
    found = again(night, replace(TABLES, growth_limit=300_000))
    assert found.alerts == ()
    assert any(caveat.startswith("Once the counters alone would have fired") for caveat in found.caveats)


def test_what_only_the_new_orders_name_is_not_judged_and_said() -> None:
    night = Night()
    night.passes(minutes=10)
    changed = replace(
        ORDERS, groups=("MILO", "CLS", "GOLD"), tables=("user_signals", "claims"), queues=("tree-builder", "mail")
    )
    found = again(night, changed)
    assert found.alerts == ()
    said = " ".join(found.caveats)
    assert "GOLD (of the groups) is not in the recording" in said
    assert "claims (of the tables) is not in the recording" in said
    assert "mail (of the queues) is not in the recording" in said


def test_a_probe_that_is_configured_now_and_was_not_then_is_not_judged_and_said() -> None:
    night = Night(replace(ORDERS, probes=frozenset({"pm2", "host"})))
    night.passes(minutes=10)
    found = backtest(
        [look.observation for look in night.looks], ORDERS, night.transitions, BASELINE, as_recorded=ORDERS
    )
    assert found is not None
    assert found.alerts == ()
    assert "Redis: never measured in the recording, so nothing of it is judged." in found.caveats


def test_longer_windows_than_were_recorded_are_said() -> None:
    night = Night()
    night.passes(minutes=10)
    found = again(night, replace(ORDERS, growth_window=timedelta(hours=6), seal_critical=timedelta(hours=30)))
    said = " ".join(found.caveats)
    assert "counted exactly over 2 h only" in said
    assert "Seals were read 1 d back only" in said


def test_what_is_not_confirmed_when_the_recording_ends_is_said() -> None:
    night = Night()
    night.passes(minutes=10)
    night["gateway"].stops()
    night.passes(seconds=31)
    cut = [look.observation for look in night.looks if look.observation.now <= BASELINE + timedelta(minutes=10.5)]
    found = backtest(cut[:22], ORDERS, (), BASELINE)
    assert found is not None
    assert found.alerts == ()
    assert "Not confirmed yet when the recording ends: service_down gateway." in found.caveats


def test_of_a_time_with_no_recording_there_is_nothing_to_say() -> None:
    night = Night()
    night.passes(minutes=10)
    observations = [look.observation for look in night.looks]
    assert backtest(observations, ORDERS, (), BASELINE + timedelta(hours=1)) is None
    assert backtest([], ORDERS, (), BASELINE) is None


def test_the_warm_up_fills_the_longest_window() -> None:
    assert warm_up(ORDERS) == 2 * ORDERS.fill_span
    assert warm_up(replace(ORDERS, growth_window=timedelta(hours=40))) == timedelta(hours=40)


def test_blind_time_of_several_probes_counts_once() -> None:
    spans = {
        "pm2": (BlindSpan(100, 200, "failed"), BlindSpan(400, None, "failed")),
        "redis": (BlindSpan(150, 260, "away"),),
        "host": (BlindSpan(0, 50, "away"), BlindSpan(410, 420, "failed")),
    }
    assert blind_seconds(History(blind=spans), 40, 500) == 10 + 160 + 100


def test_a_recording_in_which_nothing_could_be_measured_is_judged_as_that() -> None:
    failed = {"redis": Reading("redis", failure=Failure("refused", "nobody"))}
    looks = [Observation(BASELINE + timedelta(seconds=30 * number), failed) for number in range(10)]
    found = backtest(looks, StandingOrders(probes=frozenset({"redis"})), (), BASELINE)
    assert found is not None
    assert [(alert.rule, alert.at_start) for alert in found.alerts] == [("redis_unreachable", True)]
    assert found.blind_seconds == 270
