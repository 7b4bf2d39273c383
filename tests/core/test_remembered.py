"""What judgement remembers from cycle to cycle saves work and changes nothing: each cycle says what a fresh one would.

What is remembered is bound to objects: the history's, the orders', the readings'. A fresh judge is given others that
are equal, as a restart does, in every cycle of a night.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitord.core.engine import Decision, State, decide
from monitord.core.model import Observation, ProcessExit
from monitord.core.orders import NumberOrders, ServiceOrders, StandingOrders
from monitord.core.series import RollupContext
from monitord.core.subjects.registry import registered
from monitord.core.thresholds import threshold

from .fleet import MB
from .nights import ORDERS, Night, restored
from .test_night_properties import MISHAPS, ONLINE, happens

LIMITS = {
    "gateway": {"HTTP P95": NumberOrders(threshold("> 500"), threshold("> 2000")), "free slots": NumberOrders()},
    "*": {"Jobs": NumberOrders(threshold("outside 2..9"))},
}
OWN = {
    "gateway": ServiceOrders(event_loop_latency=ORDERS.confirm_every / 100, cpu=50.0, errors=30.0),
    "cls-worker": ServiceOrders(memory=90 * MB, startup_grace=ORDERS.confirm_every * 10),
}
KINDS: tuple[StandingOrders, ...] = (
    ORDERS,
    replace(ORDERS, number_limits=LIMITS, service_by_name=OWN),
    replace(ORDERS, services={}, number_limits=LIMITS),
    replace(ORDERS, services={}, runbooks={"service_*": "read its log"}, number_limits={"*": LIMITS["*"]}),
)
APPS = (
    "an app tells other numbers",
    "an app tells no more",
    "an app blocks its loop",
    "a heap is nearly full",
    "a service is busy",
    "memory is past its limit",
    "a second instance appears",
    "a module appears",
    "error lines rise",
    "somebody forgets one",
    "PM2's bus is lost",
)


class Compared(Night):
    """A night that is judged again in the end, each cycle by one that has just been started."""

    def __init__(self, orders: StandingOrders, *, every: float) -> None:
        super().__init__(orders, every=every)
        self.judged: list[tuple[State, Observation, StandingOrders, Decision, Shown]] = []

    def judge(self, observation: Observation) -> Decision:
        before, decision = self.state, super().judge(observation)
        self.judged.append((before, observation, self.orders, decision, shown(before, decision)))
        return decision

    def is_judged_so_by_others(self) -> None:
        for before, observation, orders, decision, told in self.judged:
            readings = {
                name: replace(reading, samples=tuple(map(replace, reading.samples)))
                for name, reading in observation.readings.items()
            }
            state = restored(before)
            fresh = decide(state, replace(observation, readings=readings), replace(orders))
            assert decision.transitions == fresh.transitions
            assert decision.events == fresh.events
            assert decision.actions == fresh.actions
            assert decision.reminders == fresh.reminders
            assert decision.rechecks == fresh.rechecks
            assert decision.notes == fresh.notes
            assert decision.state == fresh.state
            assert told == shown(state, fresh)


Shown = tuple[Mapping[str, object], Mapping[str, object]]


def shown(before: State, decision: Decision) -> Shown:
    return decision.report.as_fields(), rolled_up(before, decision)


def rolled_up(before: State, decision: Decision) -> dict[str, object]:
    context = RollupContext(decision.report, before.history, decision.state.history, decision.events, decision.orders)
    return {
        f"{subject.name}/{family.name}": family.values(context)
        for subject in registered()
        if subject.name in decision.orders.probes
        for family in subject.rollups
    }


def befalls(night: Night, mishap: str, service: str) -> None:
    """A mishap of a night, or of an app."""
    if mishap in MISHAPS:
        happens(night, mishap, service)
    elif mishap == "a second instance appears":
        night.appears(service)
    elif mishap == "a module appears":
        night.appears("pm2-logrotate", module=True)
    elif mishap == "somebody forgets one":
        night.asks("forget", service)
    elif mishap == "PM2's bus is lost":
        night.bus_is_lost()
    elif service in {one.name for one in night.services}:
        app = night[service]
        match mishap:
            case "an app tells other numbers":
                app.numbers = {"HTTP P95 Latency": "812 ms", "Jobs": "12", "free slots": "1"}
            case "an app tells no more":
                app.loop_ms, app.told = None, ""
            case "an app blocks its loop":
                app.blocked = True
            case "a heap is nearly full":
                app.heap, app.heap_limit = 99.0, 100.0 * 2**20
            case "a service is busy":
                app.cpu = 97.0
            case "memory is past its limit":
                app.memory = 612.0 * MB
            case "error lines rise":
                app.error_rate = 900.0


stories = st.lists(
    st.tuples(st.sampled_from(MISHAPS + 2 * APPS), st.sampled_from(ONLINE), st.sampled_from([1, 2, 5])),
    min_size=2,
    max_size=6,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KINDS), stories)
def test_each_cycle_says_what_one_that_remembers_nothing_would(
    orders: StandingOrders, story: list[tuple[str, str, int]]
) -> None:
    night = Compared(orders, every=45)
    if orders.number_limits:
        night["gateway"].loop_ms = night["tree-builder"].loop_ms = 2.5
        night["gateway"].numbers["free slots"] = "4"
    night.passes(minutes=2)
    for mishap, service, minutes in story:
        befalls(night, mishap, service)
        night.passes(minutes=minutes)
    night.is_judged_so_by_others()


def test_a_fleet_that_tells_nothing_new_is_judged_by_what_else_is_told_of_it() -> None:
    night = Compared(ORDERS, every=45)
    night.passes(minutes=2)
    night.daemon = "411 since 7"
    night.passes(minutes=2)
    night.orders = replace(ORDERS, services={**ORDERS.services, "gateway": "stopped"})
    night.passes(minutes=2)
    night.orders = replace(ORDERS, services={})
    night.passes(minutes=2)
    night["gateway"].stops()
    night.passes(minutes=2)
    night.asks("forget", "gateway")
    night.passes(minutes=2)
    worker = str(night["cls-worker"].pm_id)
    night.exits.append(ProcessExit("cls-worker", worker, night.clock.now, code=1, said=1))  # the list does not show it
    night.passes(minutes=2)
    night.is_judged_so_by_others()
