"""Nights of restarts: the ones PM2 makes by itself count, the ones an operator makes do not."""

import pytest

from monitord.core import humanize
from monitord.core.alerting.incidents import incidents
from monitord.core.model import Finding, ProcessExit, Severity, Value
from monitord.core.subjects import replaces

from .nights import LONG, MEMORY, ORDERS, Night, orders, watching


def restarts(night: Night, service: str) -> int:
    recent = night.report.as_fields()["services"][service]["restarts_recent"]
    assert isinstance(recent, int)
    return recent


def changes(night: Night, service: str) -> list[tuple[str, str]]:
    return [(event.change, event.by) for event in night.events if event.service == service]


def test_five_automatic_restarts_an_hour_are_silent_and_six_are_a_warning() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["cls-worker"].crashes(5)
    night.passes(minutes=10)
    night.is_silent()
    night["cls-worker"].crashes()
    night.passes(minutes=1)
    alert = night.fired_once("service_restart_loop", "cls-worker")
    assert (alert.severity, alert.finding.value, alert.finding.limit, alert.finding.unit) == (
        "warning",
        6,
        5,
        "restarts",
    )
    night.passes(minutes=62)
    night.resolved_once("service_restart_loop", "cls-worker")


def test_twenty_restarts_stay_a_warning_and_twenty_one_are_critical_under_the_same_id() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["cls-worker"].crashes(20)
    night.passes(minutes=10)
    warning = night.fired_once("service_restart_loop", "cls-worker")
    night["cls-worker"].crashes()
    night.passes(minutes=10)
    critical = night.of("firing", "service_restart_loop", "cls-worker")[-1].alert
    assert (warning.severity, critical.severity, critical.finding.limit) == ("warning", "critical", 20)
    assert critical.id == warning.id


def test_a_service_that_dies_every_three_seconds_is_found_though_pm2_calls_it_online_all_the_time() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    for _ in range(10):
        night["gateway"].crashes(10)
        night.passes(seconds=30)
    assert night.of("firing", "service_restart_loop", "gateway")[-1].alert.severity == "critical"
    assert not night.of("firing", "service_down", "gateway")


def test_a_loop_that_wavers_about_its_critical_limit_is_recommended_upon_once() -> None:
    night = watching("pm2", orders=orders(restarts_window=ORDERS.restarts_window / 4))
    night.passes(minutes=1)
    for _ in range(3):
        night["cls-worker"].crashes(12)
        night.passes(minutes=8)
        night["cls-worker"].crashes(12)
        night.passes(minutes=8)  # the first twelve are forgotten
    fired = night.of("firing", "service_restart_loop", "cls-worker")
    assert len({t.alert.id for t in fired}) == 1
    assert len(fired) > 2
    assert [action.action for action in night.actions] == ["investigate"]


@pytest.mark.parametrize("heard", [6, 4])
def test_a_loop_began_with_its_first_death_where_the_bus_told_of_each(heard: int) -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    before = night.clock.now
    for death in range(6):
        night.clock.now += 1
        if death >= 6 - heard:
            night["cls-worker"].is_killed("SIGSEGV", night.clock.now)
        else:
            night["cls-worker"].crashes()
    night.passes(minutes=1)
    summary = night.fired_once("service_restart_loop", "cls-worker").finding.summary
    assert (f"since {humanize.clock(before + 1)}" in summary) is (heard == 6)


def test_a_lifetime_counter_of_567_says_nothing() -> None:
    night = watching("pm2", every=120)
    night["gateway"].restarts = 567
    night.passes(hours=2)
    night.is_silent()
    assert restarts(night, "gateway") == 0


def test_an_operators_restarts_do_not_count() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    for _ in range(30):
        night["gateway"].is_restarted()
        night.passes(seconds=30)
    night.is_silent()
    assert restarts(night, "gateway") == 0
    assert changes(night, "gateway") == [("restarted", "operator")] * 30


def test_an_operators_restart_seen_half_way_does_not_count_either() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    gateway = night["gateway"]
    for _ in range(10):
        gateway.is_stopping()
        night.look(["pm2"])
        gateway.is_restarted()
        night.passes(seconds=30)
    assert restarts(night, "gateway") == 0
    assert not night.of("firing", "service_restart_loop", "gateway")


def test_an_operators_restart_whose_counter_moves_before_created_at_does_not_count() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    gateway = night["gateway"]
    gateway.is_stopping()
    night.look(["pm2"])
    gateway.restarts, gateway.state = gateway.restarts + 1, "launching"
    night.look(["pm2"])
    gateway.starts()
    night.passes(minutes=1)
    assert restarts(night, "gateway") == 0


def test_a_service_that_pm2_gives_up_on_is_down_and_its_last_attempts_count() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["cls-worker"].is_given_up(after=16)
    night.passes(minutes=1)
    assert night["cls-worker"].created_at is None
    assert restarts(night, "cls-worker") == 16
    down = night.fired_once("service_down", "cls-worker")
    assert down.finding.value == "errored"
    assert "given up" in down.finding.summary
    assert ("crashed", "pm2") in changes(night, "cls-worker")


def test_a_loop_that_ends_in_giving_up_is_one_incident_with_one_recommendation() -> None:
    night = watching("pm2", every=60)
    night.passes(minutes=1)
    night["cls-worker"].crashes(8)
    night.passes(minutes=5)
    loop = night.fired_once("service_restart_loop", "cls-worker")
    night["cls-worker"].is_given_up(after=8)
    night.passes(minutes=5)
    down = night.fired_once("service_down", "cls-worker", alone=False)
    assert night.resolved_once("service_restart_loop", "cls-worker", "replaced_by service_down").id == loop.id
    assert down.incident_id == loop.id
    assert [(action.action, action.incident_id) for action in night.actions] == [("restart_service", loop.id)]
    night["cls-worker"].is_restarted()
    night.passes(minutes=90)
    night.resolved_once("service_down", "cls-worker")
    assert len(night.of("firing", "service_restart_loop", "cls-worker")) == 1
    assert [incident.cause.rule for incident in incidents(night.transitions)] == ["service_down"]


def test_what_somebody_has_taken_up_again_may_loop_anew_and_what_went_before_stays_counted() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["cls-worker"].is_given_up(after=16)
    night.passes(minutes=5)
    night["cls-worker"].is_restarted()
    night["cls-worker"].crashes(5)
    night.passes(minutes=5)
    night["cls-worker"].crashes(5)
    night.passes(minutes=5)
    assert not night.of("firing", "service_restart_loop", "cls-worker")
    night["cls-worker"].crashes()
    night.passes(minutes=5)
    loop = night.fired_once("service_restart_loop", "cls-worker", alone=False)
    assert loop.finding.value == 6
    assert restarts(night, "cls-worker") >= 16 + 6


def test_giving_up_on_one_of_two_is_a_warning_and_leaves_a_critical_loop_its_own() -> None:
    def finding(rule: str, severity: Severity, value: Value) -> Finding:
        return Finding(rule, "cls-worker", severity, value, None, "", "It is so.")

    loop = finding("service_restart_loop", "critical", 30)
    assert replaces(finding("service_down", "critical", "errored"), loop)
    assert not replaces(finding("service_down", "warning", "errored"), loop)
    assert not replaces(finding("service_down", "critical", "waiting restart"), loop)
    assert replaces(finding("service_down", "warning", "errored"), finding("service_restart_loop", "warning", 6))


def test_the_restart_that_brings_back_what_pm2_gave_up_on_is_an_operators() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["cls-worker"].is_given_up(after=3)
    night.passes(minutes=1)
    night["cls-worker"].is_restarted()
    night.passes(minutes=1)
    assert restarts(night, "cls-worker") == 3
    assert changes(night, "cls-worker")[-1] == ("started", "operator")


def test_pm2_reset_is_no_restart() -> None:
    night = watching("pm2")
    night["gateway"].restarts = 567
    night.passes(minutes=1)
    night["gateway"].is_reset()
    night.passes(minutes=1)
    assert restarts(night, "gateway") == 0
    assert night.events == []
    night["gateway"].crashes(6)
    night.passes(minutes=1)
    assert night.fired_once("service_restart_loop", "gateway").finding.value == 6


def test_the_start_of_a_stopped_service_is_an_operators_and_no_restart() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["cls-discovery"].starts()
    night.passes(minutes=1)
    night["cls-discovery"].stops(exit_code=0)
    night.passes(minutes=1)
    assert changes(night, "cls-discovery") == [("started", "operator"), ("stopped", "operator")]
    night.is_silent()


def test_a_whole_fleet_restarted_at_once_is_a_deployment_and_no_crash() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=1)
    for _ in range(7):
        for name in MEMORY:
            if night[name].state == "online":
                night[name].is_restarted()
        night.passes(minutes=1)
    night.is_silent()
    assert {event.by for event in night.events} == {"operator"}


def test_a_whole_fleet_that_dies_once_together_is_not_seven_crashes() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=1)
    for name in MEMORY:
        if night[name].state == "online":
            night[name].crashes()
    night.passes(minutes=1)
    assert all(restarts(night, name) == 0 for name in MEMORY)
    assert {event.change for event in night.events} == {"restarted"}


def test_a_whole_fleet_that_keeps_dying_together_is_crashing() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=1)
    for _ in range(8):
        for name in MEMORY:
            if night[name].state == "online":
                night[name].crashes()
        night.passes(seconds=30)
    fired = {alert.subject for alert in night.state.alerts.values() if alert.rule == "service_restart_loop"}
    assert fired == {name for name in MEMORY if name != "cls-discovery"}


def test_restarts_during_a_long_absence_are_shared_out_over_it() -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    night["gateway"].crashes(40)  # five an hour, for eight hours
    night.monitord_is_away(hours=8)
    night.passes(minutes=10)
    assert restarts(night, "gateway") == 5
    assert night.said() == ["firing service_unstable/gateway"]  # forty in a day, and no loop


def test_restarts_while_pm2_could_not_be_read_are_shared_out_over_that_time() -> None:
    night = watching("pm2", every=120)
    night.passes(minutes=10)
    night.pm2.fails("timeout", "no answer within 5 s")
    night["gateway"].crashes(40)
    night.passes(hours=8)
    night.pm2.recovers()
    night.passes(minutes=10)
    assert restarts(night, "gateway") in (4, 5)
    assert night.firing() == {("service_unstable", "gateway")}
    night.fired_once("pm2_unreachable", "pm2", alone=False)


@pytest.mark.parametrize("away", [0, 20])
def test_a_loop_goes_on_firing_across_a_restart_of_monitord(away: int) -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["gateway"].crashes(10)
    night.passes(minutes=1)
    night.monitord_is_away(minutes=away)
    night.passes(minutes=1)
    night.fired_once("service_restart_loop", "gateway")
    assert night.firing() == {("service_restart_loop", "gateway")}


def test_a_death_seen_in_the_moment_before_pm2_calls_it_online_again_is_told_once() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["gateway"].crashes()
    night["gateway"].state = "stopped"  # counted already, and not launched yet
    night.passes(seconds=30)
    night["gateway"].state = "online"
    night.passes(minutes=1)
    assert changes(night, "gateway") == [("crashed", "pm2")]
    night.is_silent()


def test_a_death_seen_before_pm2_has_counted_it_is_told_once_and_the_restart_is_pm2s() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["gateway"].stops(exit_code=1)
    night.exits.append(ProcessExit("gateway", str(night["gateway"].pm_id), night.clock.now + 29, 1))
    night.passes(seconds=30)
    night["gateway"].crashes()
    night["gateway"].state = "online"
    night.passes(minutes=1)
    assert changes(night, "gateway") == [("crashed", "pm2"), ("restarted", "pm2")]
    assert restarts(night, "gateway") == 1


def test_a_service_that_pm2_lets_wait_before_its_restart_has_crashed_and_nobody_stopped_it() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["gateway"].stops(exit_code=1)
    night["gateway"].state = "waiting restart"
    night.passes(seconds=30)
    night["gateway"].crashes()
    night["gateway"].state = "online"
    night.passes(minutes=1)
    crashed, restarted = [event for event in night.events if event.service == "gateway"]
    assert (crashed.change, crashed.by) == ("crashed", "pm2")
    assert "waits before it restarts it" in crashed.detail
    assert (restarted.change, restarted.by, restarted.kind) == ("restarted", "pm2", "automatic")


def test_a_restart_seen_while_it_launches_is_one_event() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["cls-worker"].is_restarted()
    night["cls-worker"].state = "launching"
    night.passes(seconds=30)
    night["cls-worker"].state = "online"
    night.passes(minutes=1)
    assert changes(night, "cls-worker") == [("restarted", "operator")]


def test_a_restart_seen_while_the_old_process_is_stopping_is_one_event() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["cls-worker"].is_stopping()
    night.passes(seconds=30)
    night["cls-worker"].is_restarted()
    night.passes(minutes=1)
    assert changes(night, "cls-worker") == [("restarted", "operator")]


def test_a_service_that_an_operator_stops_has_not_crashed_whatever_code_it_ends_with() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["gateway"].stops(exit_code=130)
    night.passes(minutes=1)
    assert changes(night, "gateway") == [("stopped", "operator")]


def test_a_service_that_is_gone_from_pm2_keeps_dying_no_more() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["cls-worker"].crashes(9)
    night.passes(minutes=5)
    night.fired_once("service_restart_loop", "cls-worker")
    night.vanishes("cls-worker")
    night.passes(minutes=5)
    (ended,) = night.of("resolved", "service_restart_loop", "cls-worker")
    assert ended.reason == "replaced_by service_missing"
    (gone,) = night.of("firing", "service_missing", "cls-worker")
    assert gone.alert.incident_id == ended.alert.incident_id


def test_what_dies_now_and_then_for_two_days_is_said_once_and_reminded_of_once_a_day() -> None:
    night = watching("pm2", orders=LONG, every=600)
    night["gateway"].crashes_every(720.0)
    night.passes(hours=52)
    assert night.said() == ["firing service_unstable/gateway"]
    reminded = [alert.rule for look in night.looks for alert in look.decision.reminders]
    assert reminded == ["service_unstable"]
