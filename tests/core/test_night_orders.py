"""The standing orders, line by line: the baseline, when to take action, and when not to."""

from datetime import timedelta

import pytest

from .fleet import MB
from .nights import BASELINE, LONG, Night, orders, watching

TWO_O_CLOCK = 1762308000


def test_the_baseline_at_03_57_is_on_schedule_and_ok() -> None:
    night = Night(every=120)
    night.passes(seconds=0)
    night.is_silent()
    report = night.report
    assert report.status == "ok"
    assert report.as_fields()["growth"]["user_signals"]["rows"] == 4_096_837
    assert report.as_fields()["redis"]["keys"] == 125
    for group in ("MILO", "CLS"):
        told = report.as_fields()["epochs"][group]
        assert (told["latest"], told["expected"], told["missed"]) == (TWO_O_CLOCK, TWO_O_CLOCK, [])
        assert told["seal_age_seconds"] == 57 * 60
    assert report.as_fields()["current_epoch"] == {"epoch": 1762311600, "next": 1762315200, "seconds_until_next": 180.0}
    scout = report.as_fields()["services"]["cls-discovery"]
    assert (scout["state"], scout["expected"], scout["ok"]) == ("stopped", "periodic", True)
    gateway = report.as_fields()["services"]["gateway"]
    assert (gateway["uptime_seconds"], gateway["memory_bytes"]) == (14 * 3600, 99 * MB)


@pytest.mark.parametrize("roster", ["ordered", "learned"])
def test_a_whole_night_like_the_baseline_says_nothing(roster: str) -> None:
    night = Night(LONG if roster == "ordered" else orders(services={}, late_after=LONG.late_after), every=600)
    night.passes(hours=26)
    night.is_silent()
    assert {look.decision.report.status for look in night.looks} == {"ok"}
    assert night.actions == []
    assert night.events == []


def test_action_1_a_service_that_crashes_and_whose_automatic_restart_fails_is_to_be_restarted() -> None:
    night = watching("pm2", every=120)
    night.passes(minutes=10)
    night["gateway"].is_given_up(after=4)
    night.passes(minutes=10)
    night.fired_once("service_down", "gateway")
    (action,) = night.actions
    assert (action.action, action.target, action.blocking) == ("restart_service", "gateway", "users")
    assert action.confirmations == 2
    assert action.alert_id == night.state.alerts["service_down/gateway"].id


def test_action_1_a_service_that_pm2_restarts_with_success_is_not_to_be_restarted() -> None:
    night = watching("pm2", every=120)
    night.passes(minutes=10)
    night["gateway"].crashes(30)
    night.passes(minutes=10)
    assert [action.action for action in night.actions] == ["investigate"]


def test_action_2_memory_past_500_mb_is_a_reason_to_restart_and_not_an_emergency() -> None:
    night = watching("pm2", every=60)
    night["milo-aggregator"].memory = 501.0 * MB
    night.passes(minutes=10)
    alert = night.fired_once("service_memory_high", "milo-aggregator")
    assert alert.severity == "warning"
    assert night.actions == []  # it may pass by itself
    night.passes(minutes=6)
    (action,) = night.actions
    assert (action.action, action.target, action.confirmations) == ("restart_service", "milo-aggregator", 2)


def test_action_3_no_epoch_sealed_for_four_hours_is_stuck_and_blocks_sealing() -> None:
    night = watching("epochs", orders=LONG, every=120)
    for group in night.groups.values():
        group.sealing = False
    night.passes(hours=3, minutes=2)
    assert night.actions == []
    night.passes(minutes=3)
    assert [(action.action, action.target, action.blocking) for action in night.actions] == [
        ("restart_service", "MILO", "epoch sealing"),
        ("restart_service", "CLS", "epoch sealing"),
    ]


def test_action_4_a_disk_past_80_percent_is_to_be_freed() -> None:
    night = watching("host", every=120)
    night.passes(minutes=1)
    night.host.disk_used = 81.0
    night.passes(minutes=10)
    assert [(action.action, action.target) for action in night.actions] == [("free_disk", "/")]
    assert "now" in night.actions[0].reason


def test_nothing_is_recommended_unless_several_readings_confirm_it() -> None:
    night = watching("pm2", every=120)
    night.passes(minutes=1)
    for _ in range(10):
        night["gateway"].is_given_up(after=0)
        night.look()
        night["gateway"].starts()
        night.passes(minutes=1)
    assert night.actions == []


def test_what_blocks_neither_sealing_nor_users_says_so() -> None:
    night = watching("pm2", "epochs")
    night.passes(minutes=1)
    night["cls-worker"].stops()
    night.passes(minutes=1)
    (action,) = night.actions
    assert (action.action, action.blocking) == ("investigate", "")


def test_postgres_down_blocks_sealing_and_is_recommended_once() -> None:
    night = watching("postgres", "epochs", every=120)
    night.passes(minutes=1)
    night.postgres.fails()
    night.epochs.fails()
    night.passes(hours=2)
    assert [(action.action, action.target, action.blocking) for action in night.actions] == [
        ("investigate", "postgres", "epoch sealing")
    ]


def test_the_orders_two_hours_of_no_new_epochs_are_reckoned_from_when_the_newest_one_ended() -> None:
    night = watching("postgres", "epochs", every=120)
    for group in night.groups.values():
        group.sealing = False
    night.until(4, 59)
    assert night.clock.now - TWO_O_CLOCK > 2 * 3600  # the label is older than two hours, as it is every hour
    assert night.said() == []
    night.until(5, 2)
    assert {rule for rule, _ in night.firing()} == {"sealing_late"}
    assert night.looks[0].observation.now == BASELINE + timedelta(0)
