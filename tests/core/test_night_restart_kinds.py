"""Nights of restarts of every kind: who began it anew is told, and a loop is told with its rhythm and its ends."""

from monitord.core.history.process_model import Process, ProcessEnd
from monitord.core.history.restarts import change
from monitord.core.model import ProcessExit

from .nights import MEMORY, Night, watching

FLEET = [name for name in MEMORY if name != "cls-discovery"]


def kinds(night: Night) -> list[tuple[str, str, str | None]]:
    return [(event.service, event.by, event.kind) for event in night.events if event.kind is not None]


def begins_anew(night: Night, *, without: tuple[str, ...] = ()) -> None:
    """PM2 comes up with its saved list: every process is made anew, numbered from 0."""
    for name in without:
        night.vanishes(name)
    for number, service in enumerate(night.services):
        service.pm_id, service.restarts = number, 0
        if service.name in FLEET:
            service.starts()


def crash(night: Night, service: str, *, after: float, signal: str = "", code: int | None = 1) -> None:
    """It dies by itself, PM2's bus says how, and PM2 starts it again."""
    night.passes(seconds=after)
    process = night[service]
    night.exits.append(ProcessExit(service, str(process.pm_id), night.clock.now, code, signal))
    process.crashes()


def test_a_restart_by_the_clock_is_its_schedules_and_no_operators() -> None:
    night = watching("pm2", "host")
    night["gateway"].cron = "0 4 * * *"
    night.until(4, 0, 1)
    night["gateway"].is_restarted()
    night.passes(minutes=2)
    assert kinds(night) == [("gateway", "pm2", "schedule")]
    night.is_silent()


def test_an_operators_restart_of_a_scheduled_service_is_still_the_operators() -> None:
    night = watching("pm2", "host")
    night["gateway"].cron = "0 4 * * *"
    night.until(4, 10, 33)
    night["gateway"].is_restarted()
    night.passes(minutes=2)
    assert kinds(night) == [("gateway", "operator", "operator")]


def test_a_restart_past_max_memory_restart_is_pm2s_and_said_as_that() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10, seconds=3)
    night.exits.append(ProcessExit("gateway", str(night["gateway"].pm_id), night.clock.now, 0, "SIGINT", True, True))
    night["gateway"].is_restarted()
    night.passes(minutes=2)
    assert kinds(night) == [("gateway", "pm2", "memory")]
    batches = night.state.history.services["gateway"].batches
    assert [(batch.count, batch.kind) for batch in batches] == [(1, "memory")]  # PM2's own doing counts as automatic
    night.is_silent()


def test_a_restart_by_a_rule_that_is_caught_half_way_is_the_rules_once() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10)
    gateway = night["gateway"]
    gateway.state, gateway.created_at = "stopping", night.clock.now  # PM2 sets it first, and the old process lingers
    night.passes(seconds=31)
    assert kinds(night) == []
    night.exits.append(ProcessExit("gateway", str(gateway.pm_id), night.clock.now, 0, memory=True))
    gateway.restarts += 1
    gateway.state, gateway.started_at = "online", night.clock.now
    night.passes(minutes=2)
    assert kinds(night) == [("gateway", "pm2", "memory")]
    assert [batch.count for batch in night.state.history.services["gateway"].batches] == [1]


def test_a_loop_by_a_rule_that_is_read_on_its_way_down_and_again_on_its_way_up_is_the_rules() -> None:
    # PM2 says no start of a process it is ending or starting, only when its last run began.
    was = Process("stopping", restarts=4, created_at=124.7, last_started_at=126.3)
    now = Process("launching", restarts=10, created_at=127.7, last_started_at=127.3)
    deaths = [ProcessEnd(125.2 + at * 0.5, "0", 0, "", 0.5, memory=True) for at in range(6)]
    changed = change({"0": was}, {"0": now}, deaths)
    assert (changed.crashes, changed.ruled) == (0, (("memory", 6),))


def test_a_crash_an_operators_restart_and_one_by_a_rule_between_two_readings_are_one_of_each() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10)
    gateway = night["gateway"]
    pm_id = str(gateway.pm_id)
    night.exits += [
        ProcessExit("gateway", pm_id, night.clock.now + 1, 1),
        ProcessExit("gateway", pm_id, night.clock.now + 2, 0, watch=True),
        ProcessExit("gateway", pm_id, night.clock.now + 3, 0, manually=True),
    ]
    night.clock.now += 5
    gateway.crashes()
    gateway.is_restarted()
    gateway.is_restarted()
    night.passes(minutes=2)
    assert sorted(kinds(night)) == [
        ("gateway", "operator", "operator"),
        ("gateway", "pm2", "automatic"),
        ("gateway", "pm2", "watch"),
    ]
    assert sum(batch.count for batch in night.state.history.services["gateway"].batches) == 2


def test_three_services_past_their_limits_at_once_are_no_deployment() -> None:
    night = watching("pm2")
    night.passes(minutes=10, seconds=1)
    for name in FLEET:
        night[name].is_too_big()
    night.passes(minutes=2)
    assert {kind for _, _, kind in kinds(night)} == {"memory"}


def test_without_the_bus_what_was_past_its_limit_was_restarted_for_that() -> None:
    night = watching("pm2", "host")
    night["gateway"].memory_limit = 90 * 1_000_000
    night.passes(minutes=10)
    night["gateway"].is_restarted()
    night["tree-builder"].is_restarted()
    night.passes(minutes=2)
    assert kinds(night) == [("gateway", "pm2", "memory"), ("tree-builder", "operator", "operator")]


def test_what_an_operator_restarts_past_its_limit_is_the_operators_where_the_bus_says_so() -> None:
    night = watching("pm2", "host")
    night["gateway"].memory_limit = 90 * 1_000_000
    night.passes(minutes=10, seconds=1)
    night.exits.append(ProcessExit("gateway", str(night["gateway"].pm_id), night.clock.now, 0, manually=True))
    night["gateway"].is_restarted()
    night.passes(minutes=2)
    assert kinds(night) == [("gateway", "operator", "operator")]


def test_three_services_restarted_at_once_are_a_deployment() -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    for name in FLEET[:3]:
        night[name].is_restarted()
    night.passes(minutes=2)
    assert kinds(night) == [(name, "operator", "deployment") for name in sorted(FLEET[:3])]


def test_the_whole_fleet_after_a_boot_is_a_reboot() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10)
    night.host.boot_at = night.clock.now + 5
    night.clock.now += 40
    begins_anew(night)
    night.passes(minutes=2)
    assert {kind for _, _, kind in kinds(night)} == {"reboot"}
    assert {by for _, by, _ in kinds(night)} == {"pm2"}
    night.is_silent()


def test_the_whole_fleet_after_pm2_was_away_is_resurrected() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10)
    night.pm2.fails("missing", "no socket")
    night.passes(minutes=2)
    night.pm2.recovers()
    begins_anew(night)
    night.passes(minutes=2)
    assert {kind for _, _, kind in kinds(night)} == {"resurrected"}
    assert len(kinds(night)) == len(FLEET)
    night.fired_once("pm2_unreachable", "pm2")


def test_a_fleet_last_seen_stopping_as_pm2_went_is_resurrected_all_the_same() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10)
    for name in FLEET:
        night[name].is_stopping()
    night.passes(seconds=30)
    night.pm2.fails("missing", "no socket")
    night.passes(minutes=2)
    night.pm2.recovers()
    begins_anew(night, without=("tree-builder",))
    night.passes(minutes=2)
    assert {kind for _, _, kind in kinds(night)} == {"resurrected"}
    assert [(e.change, e.by) for e in night.events if e.service == "tree-builder"] == [("deleted", "pm2")]


def test_pm2_that_comes_back_with_an_incomplete_list_is_said_of_what_is_left_behind() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10)
    night.pm2.fails("missing", "no socket")
    night.passes(minutes=2)
    night.pm2.recovers()
    begins_anew(night, without=("tree-builder",))
    night.passes(minutes=2)
    alert = night.fired_once("service_missing", "tree-builder", alone=False)
    assert "saved list is incomplete" in alert.finding.summary
    assert "pm2 save" in alert.finding.recommendation
    assert [(e.change, e.by) for e in night.events if e.service == "tree-builder"] == [("deleted", "pm2")]
    assert not night.of("firing", "service_restart_loop", "gateway")
    night.appears("tree-builder")
    night.passes(minutes=2)
    night.resolved_once("service_missing", "tree-builder")
    assert night.state.history.fleet_restart is not None
    assert night.state.history.fleet_restart.left_behind == ()


def test_a_loop_says_since_when_how_long_each_life_lasted_and_the_signal_that_ended_it() -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    for _ in range(8):
        crash(night, "gateway", after=3, signal="SIGKILL", code=0)
    night.passes(minutes=1)
    alert = night.fired_once("service_restart_loop", "gateway")
    summary, evidence = alert.finding.summary, alert.finding.evidence
    assert "since 04:07" in summary
    assert "each life lasted 3 s or so, ended by SIGKILL" in summary
    assert evidence["signals"] == ["SIGKILL"]
    assert evidence["exit_codes"] == []
    assert evidence["lives_seconds"] == {"shortest": 3.0, "median": 3.0, "longest": 3.0}


def test_a_loop_without_a_bus_says_what_the_counters_tell_and_doubts_a_code_of_0() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10)
    for _ in range(4):
        night["gateway"].crashes(5)
        night["gateway"].exit_code = 0
        night.passes(seconds=30)
    alert = night.of("firing", "service_restart_loop", "gateway")[-1].alert
    assert "each life lasted" in alert.finding.summary
    assert "exit code 0 (which PM2 also says of a kill)" in alert.finding.summary
    assert alert.finding.evidence["from_the_bus"] is False


def test_a_crash_is_told_with_its_signal_and_the_length_of_its_life_once() -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    crash(night, "gateway", after=4, signal="SIGSEGV", code=0)
    crash(night, "gateway", after=2, signal="SIGSEGV", code=0)
    night.passes(minutes=2)
    (event,) = [event for event in night.events if event.service == "gateway"]
    assert (event.change, event.by, event.restarts, event.kind) == ("crashed", "pm2", 2, "automatic")
    assert "by SIGSEGV after 2 s" in event.detail


def test_what_the_bus_tells_of_a_stranger_or_of_an_operators_stop_is_no_death() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=1)
    night.exits.append(ProcessExit("nobody", "99", night.clock.now, 1))
    night.exits.append(ProcessExit("gateway", str(night["gateway"].pm_id), night.clock.now, 0, "SIGINT", True))
    night.passes(minutes=1)
    assert night.state.history.services["gateway"].deaths == ()
    assert "nobody" not in night.state.history.services


def test_the_bus_cannot_make_the_state_grow() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=1)
    for number in range(500):
        night.exits.append(ProcessExit("gateway", str(night["gateway"].pm_id), night.clock.now + number / 100, 1))
    night.passes(minutes=1)
    assert len(night.state.history.services["gateway"].deaths) == 20


def test_a_crash_just_before_an_operators_restart_is_still_a_crash() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10)
    crash(night, "gateway", after=3)
    night.passes(seconds=2)
    night["gateway"].is_restarted()
    night.passes(minutes=2)
    assert kinds(night) == [("gateway", "pm2", "automatic"), ("gateway", "operator", "operator")]
    assert [batch.count for batch in night.state.history.services["gateway"].batches] == [1]


def test_of_two_restarts_without_the_bus_the_last_is_somebodys_and_the_first_nobody_knows_whose() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10, seconds=3)
    night["gateway"].is_restarted()
    night["gateway"].is_restarted()
    night.passes(minutes=2)
    assert kinds(night) == [("gateway", "unknown", "unknown")]
    night.is_silent()


def test_a_fleet_that_dies_together_is_no_deployment_where_the_bus_tells_that_it_died() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10, seconds=3)
    for name in FLEET:
        night.exits.append(ProcessExit(name, str(night[name].pm_id), night.clock.now, None, "SIGKILL"))
        night[name].crashes()
    night.passes(minutes=2)
    assert kinds(night) == [(name, "pm2", "automatic") for name in sorted(FLEET)]
    assert all("SIGKILL" in event.detail for event in night.events)
    assert all(night.report.as_fields()["services"][name]["restarts_recent"] == 1 for name in FLEET)
    night.is_silent()


def test_a_fleet_of_which_an_operator_had_most_ended_is_a_deployment_whatever_one_of_them_died_of() -> None:
    night = watching("pm2")
    night.passes(minutes=10, seconds=3)
    for name in FLEET:
        night.exits.append(
            ProcessExit(name, str(night[name].pm_id), night.clock.now, 0, "SIGINT", manually=name != "gateway")
        )
        night[name].crashes()
    night.passes(minutes=2)
    assert kinds(night) == [(name, "operator", "deployment") for name in sorted(FLEET)]
