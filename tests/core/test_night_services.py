"""Nights of services: in their state or not, there or not, frozen, hungry; one subject per name."""

from datetime import timedelta

import pytest

from monitord.core.model import Severity

from .fleet import MB
from .nights import MEMORY, ROSTER, Night, orders, watching


def test_a_service_that_stops_fires_at_the_second_reading_and_resolves_when_it_is_back() -> None:
    night = Night()
    night.passes(minutes=10)
    night["milo-aggregator"].stops()
    night.passes(seconds=36)
    alert = night.fired_once("service_down", "milo-aggregator")
    assert (alert.severity, alert.finding.value, alert.finding.limit) == ("critical", "stopped", "online")
    assert alert.fired_at is not None
    assert alert.fired_at - alert.since == timedelta(seconds=5)
    night["milo-aggregator"].starts()
    night.passes(minutes=1)
    assert night.resolved_once("service_down", "milo-aggregator").id == alert.id
    assert night.status == "ok"


@pytest.mark.parametrize("state", ["online", "stopped", "launching", "stopping"])
def test_the_scout_is_right_in_any_state_of_a_periodic_run(state: str) -> None:
    night = watching("pm2")
    night["cls-discovery"].state = state
    night.passes(minutes=10)
    night.is_silent()
    assert night.report.as_fields()["services"]["cls-discovery"]["ok"] is True


def test_the_scout_that_pm2_has_given_up_on_is_down() -> None:
    night = watching("pm2")
    night["cls-discovery"].is_given_up(after=1)
    night.passes(minutes=10)
    assert night.fired_once("service_down", "cls-discovery").finding.value == "errored"


def test_a_service_that_is_ordered_to_be_stopped_and_runs_is_critical_since_no_other_instance_is_right() -> None:
    night = watching("pm2", orders=orders(services=dict(ROSTER) | {"cls-discovery": "stopped"}))
    night["cls-discovery"].starts()
    night.passes(minutes=1)
    alert = night.fired_once("service_down", "cls-discovery")
    assert (alert.severity, alert.finding.value, alert.finding.limit) == ("critical", "online", "stopped")
    assert "before stopping it again" in alert.finding.recommendation


@pytest.mark.parametrize(
    ("name", "severity"), [("cls-worker", "warning"), ("gateway", "critical")], ids=["a worker", "user-facing"]
)
def test_one_of_two_instances_down_is_a_warning_unless_users_see_it(name: str, severity: Severity) -> None:
    night = watching("pm2")
    second = night.appears(name)
    night.passes(minutes=1)
    second.stops()
    night.passes(minutes=1)
    assert night.fired_once("service_down", name).severity == severity
    assert night.report.as_fields()["services"][name]["ok"] is False
    assert night.report.as_fields()["services"][name]["instances"] == 2


def test_the_last_instance_going_down_too_fires_again_as_critical_with_the_same_id() -> None:
    night = watching("pm2")
    second = night.appears("cls-worker")
    night.passes(minutes=1)
    second.stops()
    night.passes(minutes=1)
    night["cls-worker"].stops()
    night.passes(minutes=1)
    warning, critical = night.of("firing", "service_down", "cls-worker")
    assert (warning.alert.severity, critical.alert.severity) == ("warning", "critical")
    assert warning.alert.id == critical.alert.id
    assert critical.reason == "severity"


def test_a_service_that_vanishes_from_pm2_is_missing_and_not_also_down() -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    night.vanishes("cls-worker")
    night.passes(minutes=10)
    alert = night.fired_once("service_missing", "cls-worker")
    assert (alert.severity, alert.finding.value) == ("critical", "missing")
    assert ("cls-worker", "deleted") in {(event.service, event.change) for event in night.events}
    night.appears("cls-worker")
    night.passes(minutes=1)
    night.resolved_once("service_missing", "cls-worker")


def test_missing_replaces_a_down_that_fires_already() -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    night["cls-worker"].stops()
    night.passes(minutes=10)
    night.vanishes("cls-worker")
    night.passes(minutes=10)
    assert night.said() == [
        "firing service_down/cls-worker",
        "firing service_missing/cls-worker",
        "resolved service_down/cls-worker (replaced_by service_missing)",
    ]


def test_a_service_of_the_orders_that_was_never_there_is_missing_from_the_first_readings_on() -> None:
    night = watching("pm2", services=[name for name in MEMORY if name != "tree-builder"])
    night.passes(seconds=5)
    night.fired_once("service_missing", "tree-builder")


def test_a_renamed_service_is_news_twice() -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    night.vanishes("cls-worker")
    night.appears("cls-worker-s0")
    night.passes(minutes=10)
    night.fired_once("service_missing", "cls-worker", alone=False)
    unexpected = night.fired_once("service_unexpected", "cls-worker-s0", alone=False)
    assert unexpected.severity == "warning"
    night.vanishes("cls-worker-s0")
    night.passes(minutes=1)
    night.resolved_once("service_unexpected", "cls-worker-s0")


def test_without_a_roster_nobody_is_unexpected() -> None:
    night = watching("pm2", orders=orders(services={}))
    night.passes(minutes=10)
    night.appears("cls-worker-s0")
    night.passes(minutes=10)
    night.is_silent()


def test_without_a_roster_what_was_seen_online_must_stay_so_even_across_a_restart_of_monitord() -> None:
    night = watching("pm2", orders=orders(services={}))
    night.passes(minutes=10)
    assert "cls-discovery" not in night.state.history.roster  # it was never seen online
    night.vanishes("tree-builder")
    night["gateway"].stops()
    night.monitord_is_away(minutes=1)
    night.passes(minutes=1)
    night.fired_once("service_missing", "tree-builder", alone=False)
    night.fired_once("service_down", "gateway", alone=False)


def test_without_a_roster_what_pm2_runs_by_the_clock_may_stop() -> None:
    night = watching("pm2", orders=orders(services={}))
    night["cls-discovery"].starts()
    night["cls-discovery"].schedule = "*/10 * * * *"
    night.passes(minutes=10)
    night["cls-discovery"].stops()
    night.passes(minutes=10)
    night.is_silent()


def test_modules_of_pm2_and_monitord_itself_are_not_services() -> None:
    night = watching("pm2")
    night.appears("pm2-logrotate", module=True)
    night.appears("monitord", own=True)
    night.passes(minutes=10)
    night.is_silent()
    assert set(night.report.as_fields()["services"]) == set(ROSTER)


@pytest.mark.parametrize("process", ["stopped", "zombie"])
def test_a_frozen_process_is_critical_though_pm2_calls_it_online(process: str) -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    night["stream-listener"].is_frozen(process)
    night.passes(minutes=1)
    alert = night.fired_once("service_frozen", "stream-listener")
    assert (alert.severity, alert.finding.value, alert.finding.limit) == ("critical", process, "running")
    assert night.report.as_fields()["services"]["stream-listener"]["ok"] is False
    night["stream-listener"].thaws()
    night.passes(minutes=1)
    night.resolved_once("service_frozen", "stream-listener")


def test_a_process_the_kernel_does_not_tell_of_is_neither_frozen_nor_thawed() -> None:
    night = watching("pm2")
    night["stream-listener"].process = None
    night.passes(minutes=10)
    night.is_silent()
    night["stream-listener"].is_frozen()
    night.passes(minutes=1)
    night["stream-listener"].process = None
    night.passes(minutes=10)
    assert night.said() == ["firing service_frozen/stream-listener"]


@pytest.mark.parametrize("service", ["milo-aggregator", "cls-worker", "tree-builder"])
def test_memory_at_its_limit_is_silent_and_past_it_is_a_warning(service: str) -> None:
    night = watching("pm2")
    night[service].memory = 500.0 * MB
    night.passes(minutes=10)
    night.is_silent()
    night[service].memory = 500.0 * MB + 1
    night.passes(minutes=1)
    alert = night.fired_once("service_memory_high", service)
    assert (alert.severity, alert.finding.value, alert.finding.limit, alert.finding.unit) == (
        "warning",
        500_000_001,
        500_000_000,
        "bytes",
    )
    night[service].memory = 400.0 * MB
    night.passes(minutes=1)
    night.resolved_once("service_memory_high", service)


def test_a_service_may_have_a_memory_limit_of_its_own() -> None:
    night = watching("pm2", orders=orders(service_memory_by_name={"milo-aggregator": 900 * MB, "gateway": 50 * MB}))
    night["milo-aggregator"].memory = 899.0 * MB
    night.passes(minutes=10)
    assert night.fired_once("service_memory_high", "gateway").finding.limit == 50 * MB


def test_of_several_instances_memory_is_the_largest_and_restarts_are_the_sum() -> None:
    night = watching("pm2")
    second = night.appears("cls-worker")
    second.memory = 300.0 * MB
    night.passes(minutes=1)
    night["cls-worker"].crashes(2)
    second.crashes(3)
    night.passes(minutes=1)
    told = night.report.as_fields()["services"]["cls-worker"]
    assert (told["memory_bytes"], told["restarts_recent"], told["ok"]) == (300 * MB, 5, True)
    night.is_silent()


def test_memory_that_pm2_does_not_tell_is_unknown_and_not_zero() -> None:
    night = watching("pm2")
    night["gateway"].memory = 600.0 * MB
    night.passes(minutes=1)
    night["gateway"].memory = None
    night.passes(minutes=10)
    assert night.said() == ["firing service_memory_high/gateway"]
    assert night.report.as_fields()["services"]["gateway"]["memory_bytes"] is None


def test_after_a_deployment_service_down_waits_for_the_startup_grace_and_no_longer() -> None:
    night = watching("pm2", orders=orders(startup_grace=timedelta(minutes=2)))
    night.passes(minutes=10)
    night["gateway"].is_restarted()
    night["gateway"].state = "launching"
    night.passes(minutes=1, seconds=50)
    assert night.said() == []
    night.passes(minutes=1)
    night.fired_once("service_down", "gateway")


def test_without_a_startup_grace_a_service_that_is_long_in_launching_is_down() -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    night["gateway"].is_restarted()
    night["gateway"].state = "launching"
    night.passes(minutes=1)
    assert night.fired_once("service_down", "gateway").finding.value == "launching"


def test_without_a_roster_a_service_that_pm2_gave_up_on_before_the_watch_began_is_down_all_the_same() -> None:
    night = watching("pm2", orders=orders(services={}))
    night["gateway"].is_given_up(after=3)
    night.passes(minutes=1)
    alert = night.fired_once("service_down", "gateway")
    assert (alert.finding.value, alert.finding.limit) == ("errored", "online")
    night["gateway"].starts()
    night.passes(minutes=1)
    assert night.resolved_once("service_down", "gateway").id == alert.id
