"""Nights of monitord itself: late cycles, its own troubles, restarts, absences, and a wall clock that jumps."""

from datetime import UTC, datetime

from monitord.core.blocks import FactTable, Paragraph
from monitord.core.engine import State, decide
from monitord.core.model import Observation, Unmeasured
from monitord.reporting.sections import StatusView, subject_sections

from .nights import LONG, Night, orders, restored, watching

NOW = datetime(2025, 11, 5, 4, 0, tzinfo=UTC)


def test_a_cycle_at_the_limit_is_in_time_and_past_it_monitord_is_degraded() -> None:
    night = Night()
    night.cycles_begin_late(seconds=90)
    night.passes(minutes=10)
    night.is_silent()
    night.cycles_begin_late(seconds=90.5)
    night.passes(minutes=1)
    alert = night.fired_once("monitor_degraded", "monitord")
    assert (alert.severity, alert.finding.value, alert.finding.limit, alert.finding.unit) == (
        "warning",
        90.5,
        90,
        "seconds",
    )
    night.cycles_begin_late(seconds=0)
    night.passes(minutes=1)
    night.resolved_once("monitor_degraded", "monitord")


def test_a_snapshot_that_cannot_be_written_is_degraded_and_the_watch_goes_on() -> None:
    night = Night()
    night.passes(minutes=1)
    night.own_gaps = (Unmeasured("snapshot", "internal", "its snapshot cannot be written: disk full"),)
    night["gateway"].stops()
    night.passes(minutes=1)
    assert "disk full" in night.fired_once("monitor_degraded", "monitord", alone=False).finding.summary
    night.fired_once("service_down", "gateway", alone=False)
    night.own_gaps = ()
    night["gateway"].starts()
    night.passes(minutes=1)
    assert night.firing() == set()


def test_of_a_way_out_that_fails_it_says_to_try_the_ways_out_and_not_to_look_at_the_disk() -> None:
    night = Night()
    night.own_gaps = (Unmeasured("notify webhook", "refused", "delivery to webhook fails: refused"),)
    night.passes(minutes=2)
    alert = night.fired_once("monitor_degraded", "monitord")
    assert alert.finding.recommendation == "Test the channels: monitord notify test."


def test_what_is_known_of_its_own_work_is_in_the_status_and_shown() -> None:
    night = Night()
    night.own_gaps = (Unmeasured("notify webhook", "refused", "delivery to webhook fails: refused"),)
    night.cycles_begin_late(seconds=1.5)
    night.passes(minutes=1)
    own = night.report.as_fields()["monitord"]
    assert own == {
        "cycle_late_seconds": 1.5,
        "cycle_seconds": 0.05,
        "memory_bytes": 60 << 20,
        "probes_failing": 0,
        "failing": {"notify webhook": "delivery to webhook fails: refused"},
    }
    (section,) = [
        one for one in subject_sections(StatusView(night.report, night.orders, night.now)) if one.key == "monitord"
    ]
    (facts,) = [block for block in section.blocks if isinstance(block, FactTable)]
    assert dict(facts.pairs) == {"Began late": "1.5 s", "Whole cycle took": "50 ms", "Memory of monitord": "63 MB"}
    assert Paragraph("monitord is degraded: delivery to webhook fails: refused.", "warning") in section.blocks


def test_where_no_monitord_has_said_anything_of_itself_it_is_unknown() -> None:
    own = decide(State(), Observation(NOW, {}), orders()).report.as_fields()["monitord"]
    assert (own["cycle_late_seconds"], own["memory_bytes"], own["failing"]) == (None, None, None)


def test_across_a_restart_a_firing_alert_keeps_its_id_and_is_not_said_again() -> None:
    night = watching("pm2")
    night["gateway"].stops()
    night.passes(minutes=1)
    alert = night.fired_once("service_down", "gateway")
    night.monitord_restarts()
    night.passes(minutes=10)
    night.fired_once("service_down", "gateway")
    assert night.state.alerts["service_down/gateway"].id == alert.id


def test_across_a_restart_a_pending_alert_keeps_its_count() -> None:
    night = watching("pm2")
    night.passes(seconds=10)
    night["gateway"].stops()
    night.look()
    pending = night.state.alerts["service_down/gateway"]
    assert (pending.state, pending.count) == ("pending", 1)
    night.monitord_is_away(seconds=6)
    night.look()
    assert night.fired_once("service_down", "gateway").id == pending.id


def test_across_a_restart_a_count_towards_resolved_goes_on() -> None:
    night = watching("pm2")
    night["gateway"].stops()
    night.passes(seconds=10)
    night["gateway"].starts()
    night.clock.now += 20
    night.look()
    night.monitord_is_away(seconds=6)
    night.look()
    night.resolved_once("service_down", "gateway")


def test_a_state_survives_its_text_exactly_in_the_middle_of_a_bad_night() -> None:
    night = Night(every=60)
    night.passes(minutes=10)
    night["gateway"].stops()
    night.table.rolls_back(2_000_000)
    night.redis.fails()
    night.groups["CLS"].sealing = False
    night.passes(hours=2)
    assert restored(night.state) == night.state


def test_what_happened_to_services_while_monitord_was_away_is_said_on_its_return() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["gateway"].crashes(2)
    night["cls-worker"].is_restarted()
    night.vanishes("tree-builder")
    night.monitord_is_away(hours=1)
    night.look()
    assert {(event.service, event.change, event.by) for event in night.events} == {
        ("gateway", "crashed", "pm2"),
        ("cls-worker", "restarted", "unknown"),
        ("tree-builder", "deleted", "operator"),
    }


def test_a_wall_clock_set_back_by_an_hour_raises_nothing_and_is_noted() -> None:
    night = Night(LONG, every=300)
    night.tells_no_clock()
    night.passes(hours=2, minutes=30)
    night.clock_steps(hours=-1)
    night.passes(hours=3)
    night.is_silent()
    assert len(night.notes) == 1
    assert "set back" in night.notes[0]


def test_a_wall_clock_set_back_by_an_hour_does_not_stop_alerts_from_firing_and_resolving() -> None:
    night = watching("pm2")
    night.tells_no_clock()
    night.passes(minutes=30)
    night["gateway"].stops()
    night.look()
    night.clock_steps(hours=-1)
    night.passes(minutes=1)
    night.fired_once("service_down", "gateway")
    night.clock_steps(hours=-1)
    night["gateway"].starts()
    night.passes(minutes=1)
    night.resolved_once("service_down", "gateway")


def test_after_the_wall_clock_was_set_back_growth_starts_anew_and_still_fires() -> None:
    night = watching("postgres")
    night.tells_no_clock()
    night.passes(hours=3)
    night.clock_steps(hours=-1)
    night.passes(minutes=1)
    night.table.floods(1_200_000)
    night.passes(minutes=1)
    night.fired_once("table_growth_high", "user_signals")


def test_a_wall_clock_set_forward_by_an_hour_is_no_growth_no_stall_and_no_restart_loop() -> None:
    night = watching("pm2", "postgres", "epochs", orders=LONG, every=300)
    night.tells_no_clock()
    night.passes(hours=2, minutes=30)
    night["gateway"].crashes(3)
    night.clock_steps(hours=1)
    night.passes(hours=3)
    assert [said for said in night.said() if "sealing" not in said and "groups" not in said] == []


def test_a_small_step_of_the_clock_changes_nothing() -> None:
    night = Night(LONG, every=300)
    for _ in range(20):
        night.passes(minutes=5)
        night.clock_steps(seconds=-0.4)
        night.passes(minutes=5)
        night.clock_steps(seconds=0.4)
    night.is_silent()


def test_the_turn_of_an_hour_is_no_event() -> None:
    night = Night()
    night.until(3, 59, 55)
    for _ in range(10):
        night.look()
        night.passes(seconds=1)
    night.is_silent()
    assert night.report.as_fields()["current_epoch"] == {
        "epoch": 1762315200,
        "next": 1762318800,
        "seconds_until_next": 3596.0,
    }


def test_after_the_wall_clock_was_set_back_a_stall_is_not_found_an_hour_late() -> None:
    night = watching("postgres")
    night.tells_no_clock()
    night.passes(minutes=10)
    night.clock_steps(hours=-1)
    night.table.per_second = 0
    night.passes(minutes=22)  # the limit, and an exact count every five minutes
    night.fired_once("table_flow_stalled", "user_signals")


def test_a_bug_in_one_rule_is_told_and_blinds_no_other() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=1)
    night.orders = orders(host_memory=None)  # as a bug would have it
    night["gateway"].stops()
    night.passes(minutes=1)
    assert any("host_memory_low" in fault for fault in night.look().faults)
    night.fired_once("service_down", "gateway")
