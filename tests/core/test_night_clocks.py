"""A wall clock that is set: what is remembered keeps its age, and what happens meanwhile is judged as ever."""

import pytest

from .nights import Night, watching

STEPS = pytest.mark.parametrize("hours", [1, -1, 24, -24])


@STEPS
def test_a_real_stall_is_found_when_it_is_due_though_the_clock_was_set(hours: int) -> None:
    night = watching("postgres")
    night.passes(minutes=10)
    night.table.per_second = 0
    night.passes(minutes=5)
    night.clock_steps(hours=hours)
    night.passes(minutes=8)
    assert night.of("firing", "table_flow_stalled", "user_signals") == []
    night.passes(minutes=9)  # the limit, and an exact count every five minutes
    assert len(night.of("firing", "table_flow_stalled", "user_signals")) == 1


@STEPS
def test_no_blind_time_comes_of_a_step(hours: int) -> None:
    night = Night()
    night.passes(minutes=10)
    night.clock_steps(hours=hours)
    night.passes(minutes=10)
    assert {probe: spans for probe, spans in night.state.history.blind.items() if spans} == {}


def test_a_suspended_machine_is_blind_time_and_no_step() -> None:
    night = Night()
    night.passes(minutes=10)
    night.monitord_is_away(hours=1)
    night.passes(minutes=10)
    assert all(spans for probe, spans in night.state.history.blind.items() if probe != "monitord")
    night.is_silent()
    assert night.notes == []


def test_a_loop_of_restarts_is_counted_over_a_step_of_the_clock() -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    for hours in (0, 1, -1, 0, 1, -1):
        night["gateway"].crashes(1)
        night.clock_steps(hours=hours)
        night.passes(minutes=1)
    assert len(night.of("firing", "service_restart_loop", "gateway")) == 1
