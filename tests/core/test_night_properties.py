"""What holds for any night: judged in one go or in pieces it ends the same, and a healthy one says nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitord.core.copying import replace
from monitord.core.engine import State
from monitord.core.history.model import History
from monitord.core.history.update import update
from monitord.core.recording import Recorder, replay

from .nights import LONG, MEMORY, Night, fold, restored

ONLINE = [name for name in MEMORY if name != "cls-discovery"]
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# What may happen between two checks, by name: the story reads well where an example fails.
MISHAPS = (
    "nothing",
    "a service stops",
    "a service crashes",
    "an operator restarts one",
    "a service is frozen",
    "a service vanishes",
    "all is well again",
    "PM2 fails",
    "Postgres fails",
    "Redis fails",
    "rows flood in",
    "rows are rolled back",
    "no rows come",
    "statistics are reset",
    "a group stops sealing",
    "the queue rises",
    "the disk fills",
    "the clock is set back",
    "the clock is set forward",
    "monitord is away",
)


def happens(night: Night, mishap: str, service: str) -> None:
    """One mishap of a night."""
    here = service in {s.name for s in night.services}
    match mishap:
        case "a service stops" if here:
            night[service].stops()
        case "a service crashes" if here:
            night[service].crashes(7)
        case "an operator restarts one" if here:
            night[service].is_restarted()
        case "a service is frozen" if here:
            night[service].is_frozen()
        case "a service vanishes" if here:
            night.vanishes(service)
        case "all is well again":
            mend(night)
        case "PM2 fails":
            night.pm2.fails()
        case "Postgres fails":
            night.postgres.fails()
            night.epochs.fails()
        case "Redis fails":
            night.redis.fails("timeout", "no answer")
        case "rows flood in":
            night.table.floods(1_500_000)
        case "rows are rolled back":
            night.table.rolls_back(1_500_000)
        case "no rows come":
            night.table.per_second = 0
        case "statistics are reset":
            night.table.forgets_statistics()
        case "a group stops sealing":
            night.groups["CLS"].sealing = False
        case "the queue rises":
            night.queues["tree-builder"].per_second = 3
        case "the disk fills":
            night.host.disk_used += 15
        case "the clock is set back":
            night.clock_steps(minutes=-50)
        case "the clock is set forward":
            night.clock_steps(minutes=50)
        case "monitord is away":
            night.monitord_is_away(minutes=45)


def mend(night: Night) -> None:
    for server in (night.pm2, night.postgres, night.epochs, night.redis):
        server.recovers()
    for name in ONLINE:
        if name not in {s.name for s in night.services}:
            night.appears(name)
        night[name].starts()
    night.table.per_second, night.table.rolled_back_per_second = 10, 0
    night.groups["CLS"].sealing = True
    night.queues["tree-builder"].waiting, night.queues["tree-builder"].per_second = 3, 0
    night.host.disk_used = 24.0


stories = st.lists(
    st.tuples(st.sampled_from(MISHAPS), st.sampled_from(ONLINE), st.sampled_from([1, 4, 17, 40])),
    min_size=1,
    max_size=8,
)


def told(story: list[tuple[str, str, int]]) -> Night:
    """The night of a story, looked at every four minutes and whenever a recheck is asked for."""
    night = Night(LONG, every=240)
    for mishap, service, minutes in story:
        happens(night, mishap, service)
        night.passes(minutes=minutes)
    return night


@QUICK
@given(stories, st.sets(st.integers(0, 60)))
def test_a_night_is_judged_the_same_in_one_go_and_across_any_restarts(
    story: list[tuple[str, str, int]], cuts: set[int]
) -> None:
    night = told(story)
    state, edges = fold([look.observation for look in night.looks], night.orders, cuts=cuts)
    assert [transition for _, transition in edges] == night.transitions
    assert state == night.state
    assert restored(state) == state


@QUICK
@given(stories)
def test_of_whatever_happens_is_said_what_is_so_and_each_thing_once(story: list[tuple[str, str, int]]) -> None:
    night = told(story)
    edges_of_an_alert_alternate_and_an_id_names_one_incident(night)
    one_subject_has_one_alert_of_a_kind_at_a_time(night)
    what_is_published_as_past_its_limit_is_past_it(night)
    a_replayed_night_is_judged_as_it_was(night)


def edges_of_an_alert_alternate_and_an_id_names_one_incident(night: Night) -> None:
    living: dict[tuple[str, str], str] = {}
    unsaid: dict[tuple[str, str], str] = {}
    ended: set[str] = set()
    for transition in night.transitions:
        alert, place = transition.alert, (transition.alert.rule, transition.alert.subject)
        if transition.edge == "firing":
            assert living.get(place, alert.id) == alert.id
            assert (place in living) == (transition.reason == "severity")
            assert alert.id not in ended
            assert unsaid.pop(place, alert.id) == alert.id
            living[place] = alert.id
        elif transition.edge == "suppressed":
            assert place not in living
            assert place not in unsaid
            unsaid[place] = alert.id
        elif transition.edge == "resolved":
            assert (living.pop(place, None) or unsaid.pop(place)) == alert.id
            ended.add(alert.id)
    assert living.keys() == night.firing()


def one_subject_has_one_alert_of_a_kind_at_a_time(night: Night) -> None:
    for look in night.looks:
        firing = {(alert["rule"], alert["subject"]) for alert in look.decision.report.as_fields()["alerts"]["firing"]}
        for name in ("MILO", "CLS"):
            assert not {("sealing_late", name), ("sealing_stuck", name)} <= firing
        for name in ONLINE:
            assert not {("service_down", name), ("service_missing", name)} <= firing


def what_is_published_as_past_its_limit_is_past_it(night: Night) -> None:
    for transition in night.transitions:
        finding = transition.alert.finding
        if isinstance(finding.value, int | float) and isinstance(finding.limit, int | float):
            if finding.rule == "host_memory_low":
                assert finding.value < finding.limit
            else:
                assert finding.value > finding.limit


@QUICK
@given(stories)
def test_a_night_that_is_mended_is_quiet_in_the_end(story: list[tuple[str, str, int]]) -> None:
    night = told(story)
    mend(night)
    night.clock_error, night.every = 0.0, 480
    night.passes(
        hours=4
    )  # a growth window and a restarts window, and what may have been missed while a clock was wrong
    assert night.firing() == set(), night.said()
    assert night.status == "ok"


@QUICK
@given(
    start=st.datetimes(datetime(2025, 11, 1), datetime(2026, 3, 1)),  # noqa: DTZ001 - made aware below
    rows_per_hour=st.integers(4_000, 490_000),
    delay=st.floats(0, 880),
    memory=st.floats(0, 500e6),
    used=st.floats(0, 70),
    waiting=st.integers(0, 2500),
    every=st.sampled_from([7, 30, 90]),
    looks=st.integers(1, 80),
    roster=st.booleans(),
)
def test_a_healthy_night_never_fires(
    start: datetime,
    rows_per_hour: int,
    delay: float,
    memory: float,
    used: float,
    waiting: int,
    every: int,
    looks: int,
    roster: bool,
) -> None:
    orders = LONG if roster else LONG.__class__(late_after=LONG.late_after)
    night = Night(orders, start=start.replace(tzinfo=UTC, microsecond=0), every=every)
    for group in night.groups.values():
        group.delay = delay
    night.table.per_second = rows_per_hour / 3600
    night.host.disk_used = used
    for name in ONLINE:
        night[name].memory = memory
    for queue in night.queues.values():
        queue.waiting = waiting
    night.passes(seconds=every * looks)
    night.is_silent()
    assert {look.decision.report.status for look in night.looks} == {"ok"}


@QUICK
@given(stories, st.sets(st.integers(1, 40), max_size=6), st.integers(0, 40))
def test_a_recorded_night_replays_exactly_from_any_whole_frame_on(
    story: list[tuple[str, str, int]], wholes: set[int], begin: int
) -> None:
    observations = [look.observation for look in told(story).looks]
    recorder = Recorder()
    frames: list[dict[str, Any]] = []
    for number, observation in enumerate(observations):
        frames.append(json.loads(json.dumps(recorder.frame(observation, whole=number == 0 or number in wholes))))
    first = max(number for number, frame in enumerate(frames[: begin + 1]) if frame.get("whole"))
    assert list(replay(frames[first:])) == observations[first:]


def a_replayed_night_is_judged_as_it_was(night: Night) -> None:
    recorder = Recorder()
    frames = [recorder.frame(look.observation, whole=number == 0) for number, look in enumerate(night.looks)]
    state, edges = fold(replay(frames), night.orders)
    assert [transition for _, transition in edges] == night.transitions
    assert state == night.state


def test_a_fold_of_nothing_changes_nothing() -> None:
    assert fold([], LONG) == (State(), [])
    assert LONG.late_after == timedelta(minutes=15)


# What the report of a window asks the history for, and in two of them what it does not.
OF_REPORTS = (
    "services",
    "roster",
    "fleet_restart",
    "errors",
    "tables",
    "blind",
    "readings",
    "taken_at",
    "seen",
    "jobs",
)
NOT_OF_TABLES: dict[str, Any] = {"doubling": False, "peaks": ()}


def test_a_report_has_of_a_night_what_its_rules_had_though_it_is_folded_without_what_they_alone_ask_for() -> None:
    night = told([(mishap, ONLINE[number % len(ONLINE)], 4) for number, mishap in enumerate(MISHAPS)])
    judged, reported = History(), History()
    for look in night.looks:
        judged, *happened, _ = update(judged, look.observation, night.orders)
        reported, *told_of, _ = update(reported, look.observation, night.orders, for_rules=False)
        assert told_of[0] == happened[0]
        for name in OF_REPORTS:
            mine, its = getattr(reported, name), getattr(judged, name)
            if name == "tables":
                its = {table: replace(kept, **NOT_OF_TABLES) for table, kept in its.items()}
            assert mine == its, name
    assert judged.trends
    assert judged.learned
    assert not reported.trends
    assert not reported.learned
