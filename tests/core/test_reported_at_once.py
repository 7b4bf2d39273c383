"""Nights in which PM2's bus is heard: an end is said as it comes and not again, and judgement is the same."""

import functools
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from monitord.core.history.process_events import action_event, crash_event, repeated_crashes
from monitord.core.history.process_model import Process
from monitord.core.history.process_model import ServiceHistory as Known
from monitord.core.model import OperatorAction, ProcessExit, ServiceEvent

from .nights import Night

Said = list[tuple[str, str]]


class Heard:
    """A night whose exits are said as they come; `said` is what a reader of the log has read of services."""

    def __init__(self, night: Night) -> None:
        self.night = night
        self.at_once: list[ServiceEvent] = []

    def ends(self, service: str, code: int | None = 0, signal: str = "SIGKILL", *, after: float = 0.0) -> None:
        """The bus tells of an end, `after` seconds from now."""
        process = self.night[service]
        at = self.night.clock.now + after
        told = ProcessExit(service, str(process.pm_id), at, code, signal, restarts=process.restarts, began=at - 3.1)
        event = crash_event(told, self.night.state.history.services.get(service))
        if event is not None:
            self.at_once.append(event)
        self.night.exits.append(replace(told, said=0 if event is None else 1))

    def said(self, service: str) -> Said:
        seen = [event for event in self.night.events if not event.said]
        return [(e.change, e.detail) for e in (*self.at_once, *seen) if e.service == service]


def begun() -> Heard:
    return Heard(_begun().branch())


@functools.cache
def _begun() -> Night:
    night = Night()
    night.passes(minutes=1)
    return night


def restarts(night: Night, service: str) -> int:
    return sum(event.restarts for event in night.events if event.service == service and event.kind == "automatic")


def test_a_kill_is_said_at_once_and_never_again() -> None:
    heard = begun()
    heard.ends("gateway")
    heard.night["gateway"].crashes()
    assert heard.said("gateway") == [("crashed", "ended by SIGKILL after 3.1 s")]
    heard.night.passes(minutes=5)
    assert heard.said("gateway") == [("crashed", "ended by SIGKILL after 3.1 s")]
    assert restarts(heard.night, "gateway") == 1


def test_what_was_said_is_judged_as_what_was_not() -> None:
    loops = []
    for is_said in (True, False):
        night = Night()
        night.passes(minutes=1)
        for _ in range(9):
            process = night["gateway"]
            process.is_killed("SIGSEGV", night.clock.now)
            process.exits = [replace(told, said=int(is_said)) for told in process.exits]
            night.passes(seconds=20)
        night.passes(minutes=10)
        services = {
            name: replace(service, said=0, said_at=0.0) for name, service in night.state.history.services.items()
        }
        loops.append(
            (
                [(t.edge, t.at, t.alert.finding) for look in night.looks for t in look.decision.transitions],
                replace(night.state.history, services=services),
                restarts(night, "gateway"),
            )
        )
    assert loops[0] == loops[1]
    assert any(edge == "firing" for edge, _, _ in loops[0][0])


def test_deaths_the_bus_did_not_tell_of_are_said_by_the_next_reading_and_only_those() -> None:
    heard = begun()
    heard.ends("gateway", 1, "")
    heard.night["gateway"].crashes(4)
    heard.night.passes(minutes=2)
    first, later = heard.said("gateway")
    assert first == ("crashed", "ended with exit code 1 after 3.1 s")
    assert later[0] == "crashed"
    assert "restarted by PM2 3 times" in later[1]
    assert restarts(heard.night, "gateway") == 4


def test_a_death_after_the_list_was_read_is_not_said_again_by_the_list_that_counts_it() -> None:
    heard = begun()
    heard.ends("gateway", after=24.0)  # while the cycle that begins below waits for a server that does not answer
    heard.night.look()
    assert heard.night.state.history.services["gateway"].said == 1
    heard.night.passes(seconds=24)
    heard.night["gateway"].crashes()
    heard.night.passes(minutes=2)
    assert [change for change, _ in heard.said("gateway")] == ["crashed"]
    assert restarts(heard.night, "gateway") == 1


def test_what_was_said_and_never_counted_hides_no_later_death() -> None:
    heard = begun()
    heard.ends("gateway")  # an operator's restart came first, and the counter moved for that
    heard.night["gateway"].is_restarted()
    heard.night.passes(minutes=1)
    heard.night["gateway"].crashes()  # the bus is not heard
    heard.night.passes(minutes=1)
    assert [change for change, _ in heard.said("gateway")] == ["crashed", "restarted", "crashed"]


def test_that_pm2_gives_up_is_news_after_its_last_death_too() -> None:
    heard = begun()
    heard.ends("gateway", 1, "")
    heard.night["gateway"].is_given_up(after=0)
    heard.night.passes(minutes=2)
    crashed, given_up = heard.said("gateway")
    assert crashed == ("crashed", "ended with exit code 1 after 3.1 s")
    assert "PM2 has given up" in given_up[1]
    heard.night.fired_once("service_down", "gateway")


def test_a_death_that_pm2_waits_to_mend_is_said_once_and_then_that_it_is_mended() -> None:
    heard = begun()
    heard.ends("gateway", 1, "")
    heard.night["gateway"].stops(exit_code=1)
    heard.night["gateway"].state = "waiting restart"
    heard.night.passes(seconds=30)
    heard.night["gateway"].crashes()
    heard.night["gateway"].state = "online"
    heard.night.passes(minutes=1)
    assert [change for change, _ in heard.said("gateway")] == ["crashed", "restarted"]
    assert restarts(heard.night, "gateway") == 1


def test_a_whole_fleet_that_is_killed_was_not_deployed() -> None:
    heard = begun()
    fleet = [service.name for service in heard.night.services if service.state == "online"]
    for name in fleet:
        heard.ends(name)
        heard.night[name].crashes()
    heard.night.passes(minutes=2)
    assert {change for name in fleet for change, _ in heard.said(name)} == {"crashed"}
    assert all(len(heard.said(name)) == 1 for name in fleet)


def test_what_runs_by_the_clock_ends_well_without_a_word_of_a_crash() -> None:
    heard = begun()
    scout = heard.night["cls-discovery"]
    scout.schedule = scout.cron = "*/15 * * * *"
    heard.night.passes(minutes=1)
    scout.starts()
    heard.night.passes(minutes=1)
    heard.ends("cls-discovery", 0, "")
    scout.stops(exit_code=0)
    heard.night.passes(minutes=1)
    assert [change for change, _ in heard.said("cls-discovery")] == ["started", "stopped"]


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from(["heard", "unheard", "heard late", "looks", "waits"]), st.integers(1, 40)),
        max_size=25,
    )
)
def test_every_death_is_said_once_in_whatever_order_the_bus_and_the_list_tell_of_it(
    steps: list[tuple[str, int]],
) -> None:
    heard = begun()
    night, died = heard.night, 0
    for step, number in steps:
        if step in {"heard", "unheard"}:
            if step == "heard":
                heard.ends("gateway")
            night["gateway"].crashes()
            died += 1
            night.passes(seconds=0.1)
        elif step == "heard late":  # while a cycle is under way that has read the list before
            heard.ends("gateway", after=0.5)
            night.look()
            night.passes(seconds=0.5)
            night["gateway"].crashes()
            died += 1
            night.passes(seconds=0.1)
        elif step == "looks":
            night.look()
            night.passes(seconds=0.1)
        else:
            night.passes(seconds=number)
    night.passes(minutes=2)
    news = [event for event in night.events if not event.said and event.kind == "automatic"]
    assert sum(event.restarts for event in (*heard.at_once, *news) if event.service == "gateway") == died
    assert restarts(night, "gateway") == died


# One exit

KEPT = Night()
KEPT.passes(minutes=1)
GATEWAY = KEPT.state.history.services["gateway"]
LIFE = next(iter(GATEWAY.lives.items()))
KILLED = ProcessExit("gateway", LIFE[0], 1_762_315_020.0, 0, "SIGKILL", began=1_762_315_000.0)


def known(**facts: object) -> Known:
    return replace(GATEWAY, lives={LIFE[0]: replace(LIFE[1], **facts)})  # type: ignore[arg-type] # its own fields


def test_whatever_somebody_ordered_is_no_crash() -> None:
    assert crash_event(replace(KILLED, manually=True), GATEWAY) is None
    assert crash_event(replace(KILLED, memory=True), GATEWAY) is None


def test_who_is_not_known_yet_and_monitord_itself_are_not_spoken_of() -> None:
    assert crash_event(KILLED, None) is None
    assert crash_event(KILLED, Known()) is None
    assert crash_event(KILLED, known(own=True)) is None


def test_an_end_that_the_list_has_counted_before_it_is_heard_is_not_said_twice() -> None:
    counted = LIFE[1].restarts
    assert counted is not None
    assert crash_event(replace(KILLED, restarts=counted - 1), GATEWAY) is None
    assert crash_event(replace(KILLED, restarts=counted), GATEWAY) is not None
    assert crash_event(replace(KILLED, restarts=counted - 1, instance="99"), GATEWAY) is not None  # not known yet


def test_what_pm2_is_told_to_let_end_has_crashed_only_where_it_did_not_end_well() -> None:
    once = known(autorestart=False)
    assert crash_event(replace(KILLED, signal=""), once) is None
    assert crash_event(replace(KILLED, signal="", code=None), once) is None
    assert crash_event(replace(KILLED, signal="", code=3), once) is not None
    assert crash_event(KILLED, once) is not None
    assert crash_event(replace(KILLED, signal=""), GATEWAY) is not None  # what is to be kept going has no good end


def test_an_end_of_which_nothing_is_known_is_said_in_words_that_claim_nothing() -> None:
    event = crash_event(replace(KILLED, signal="", code=None, began=None), GATEWAY)
    assert event is not None
    assert (event.change, event.by, event.detail) == ("crashed", "pm2", "ended by itself")
    later = crash_event(replace(KILLED, began=KILLED.at + 60), GATEWAY)
    assert later is not None
    assert later.detail == "ended by SIGKILL"


def test_ends_that_followed_are_one_sentence() -> None:
    assert repeated_crashes(KILLED, 1).detail == "ended once more by SIGKILL after 20 s"
    assert repeated_crashes(KILLED, 37).detail == "ended 37 times more, the last time by SIGKILL after 20 s"
    assert repeated_crashes(KILLED, 37).restarts == 37


def test_a_stop_after_a_start_that_no_list_has_shown_is_news() -> None:
    stopped = Known(lives={"3": Process("stopped", restarts=1, created_at=100.0)})
    assert (
        action_event(OperatorAction("gateway", "3", 130.0, "stop", 1, 100.0), stopped) is None
    )  # the list has shown this one
    again = action_event(OperatorAction("gateway", "3", 140.0, "stop", 1, 135.0), stopped)
    assert again is not None
    assert (again.change, again.by, again.at) == ("stopped", "operator", 140.0)
