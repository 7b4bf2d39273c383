"""Quiet on purpose: what a silence keeps from being told, and that it keeps nothing from being watched."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitord.core.alerting.incidents import incidents
from monitord.core.alerting.silences import covers, quiet_until, silence_id, uncovered
from monitord.core.backtest import backtest
from monitord.core.engine import State, decide
from monitord.core.model import Alert, Silence, Transition
from monitord.core.names import any_means, means
from monitord.core.report.builder import RecordedCycle, build_report

from .nights import BASELINE, LONG, MEMORY, ORDERS, Night, watching
from .test_night_properties import happens, stories


def silenced(night: Night, subject: str, rule: str = "", every: str = "", **lasts: float) -> str:
    """An operator silences a subject for so long. Returns the silence's id."""
    at, length = datetime.fromtimestamp(night.now, UTC), timedelta(**lasts)
    name = silence_id(subject, rule, every, at)
    until, window = (None, length.total_seconds()) if every else (at + length, 0.0)
    night.asks("silence", silence=Silence(name, subject, at, until, rule, "", every, window))
    return name


def paged(night: Night) -> list[str]:
    return [f"{t.alert.rule}/{t.alert.subject}" for t in night.transitions if t.edge == "firing"]


def listed(night: Night, state: str) -> list[tuple[str, str]]:
    return [(alert["subject"], alert.get("suppressed_by", "")) for alert in night.report.as_fields()["alerts"][state]]


def named(night: Night) -> list[str]:
    return [outcomes.kind for look in night.looks for outcomes in look.decision.outcomes]


# Before, during, after


def test_a_silence_keeps_the_page_away_and_nothing_else() -> None:
    night = Night()
    night.passes(minutes=5)
    name = silenced(night, "gateway", hours=1)
    night["gateway"].stops()
    night.passes(minutes=5)
    assert paged(night) == []
    assert night.status == "ok"
    assert night.actions == []
    assert listed(night, "suppressed") == [("gateway", name)]
    (edge,) = night.of("suppressed", "service_down", "gateway")
    assert (edge.suppressed_by, edge.alert.silenced_by, edge.alert.fired_at) == (name, name, None)
    assert night.report.as_fields()["services"]["gateway"]["ok"] is False


def test_what_is_over_while_it_is_silenced_was_never_told() -> None:
    night = Night()
    silenced(night, "gateway", hours=1)
    night["gateway"].stops()
    night.passes(minutes=5)
    night["gateway"].starts()
    night.every = 80.0
    night.passes(hours=2)
    assert paged(night) == []
    ended = night.resolved_once("service_down", "gateway")
    assert (ended.fired_at, ended.state) == (None, "suppressed")
    assert (dict(night.state.alerts), dict(night.state.silences)) == ({}, {})
    assert named(night) == ["silence_added", "silence_ended"]


def test_what_still_stands_when_the_silence_ends_fires_with_the_id_it_always_had() -> None:
    night = Night()
    silenced(night, "gateway", minutes=30)
    night["gateway"].stops()
    night.passes(minutes=31)
    (quiet,) = night.of("suppressed", "service_down", "gateway")
    (loud,) = night.of("firing", "service_down", "gateway")
    assert (loud.alert.id, loud.alert.since) == (quiet.alert.id, quiet.alert.since)
    assert (loud.reason, loud.alert.fired_at, loud.alert.silenced_by) == ("silence_ended", loud.at, "")
    assert [action.target for action in night.actions] == ["gateway"]
    assert night.status == "critical"


def test_what_fires_when_the_silence_comes_is_put_down_at_once_and_comes_back_when_it_is_taken_away() -> None:
    night = Night()
    night["gateway"].stops()
    night.passes(minutes=5)
    fired = night.fired_once("service_down", "gateway")
    name = silenced(night, "gate*", hours=2)
    night.look({"host"})  # a look at something else is enough
    assert night.status == "ok"
    (edge,) = night.of("suppressed", "service_down", "gateway")
    assert edge.alert.fired_at == fired.fired_at
    night.passes(minutes=10)
    night.asks("unsilence", name)
    night.look({"host"})
    assert [t.reason for t in night.of("firing", "service_down", "gateway")] == ["", "silence_ended"]
    assert night.of("firing", "service_down", "gateway")[1].alert.fired_at == fired.fired_at
    assert night.status == "critical"
    assert [action.target for action in night.actions] == ["gateway"]  # recommended once, before it was silenced


def test_a_silence_of_one_rule_leaves_the_others_loud() -> None:
    night = watching("pm2")
    silenced(night, "gateway", rule="service_memory_high", hours=2)
    night["gateway"].memory = 600e6
    night.passes(minutes=5)
    assert paged(night) == []
    night["gateway"].stops()
    night.passes(minutes=5)
    assert paged(night) == ["service_down/gateway"]


def test_the_whole_host_is_quiet_under_a_star_and_the_monitor_itself_too() -> None:
    night = Night()
    silenced(night, "*", hours=2)
    night["gateway"].stops()
    night.cycles_begin_late(minutes=5)
    night.passes(minutes=5)
    assert paged(night) == []
    assert {subject for subject, _ in listed(night, "suppressed")} == {"gateway", "monitord"}


def test_a_pattern_names_by_case_and_a_name_may_hold_brackets() -> None:
    silence = Silence("s", "gate[1]", BASELINE, None)
    assert covers(silence, "service_down", "gate[1]")
    assert covers(silence, "service_down", "gate1")
    assert not covers(silence, "service_down", "Gate1")
    exact = replace(silence, exact=True)
    assert covers(exact, "service_down", "gate[1]")
    assert not covers(exact, "service_down", "gate1")


def _two_workers() -> Night:
    night = Night(replace(ORDERS, services={}), services=(*MEMORY, "worker[1]", "worker1"))
    night.passes(minutes=5)
    return night


def test_a_silence_over_a_name_that_is_there_leaves_its_neighbour_loud() -> None:
    night = _two_workers()
    silenced(night, "worker[1]", hours=2)
    night["worker[1]"].stops()
    night["worker1"].stops()
    night.passes(minutes=5)
    assert paged(night) == ["service_down/worker1"]


def test_a_name_meant_exactly_stays_so_when_what_it_names_is_gone() -> None:
    night = _two_workers()
    silenced(night, "worker[1]", hours=2)
    night.passes(minutes=1)
    night.vanishes("worker[1]")
    night.asks("forget", "worker[1]")
    night.passes(minutes=5)
    night["worker1"].stops()
    night.passes(minutes=5)
    assert "service_down/worker1" in paged(night)


def test_a_pattern_becomes_a_name_once_something_is_called_so() -> None:
    night = watching("pm2", orders=replace(ORDERS, services={}), services=(*MEMORY, "worker1"))
    night.passes(minutes=5)
    silenced(night, "worker[1]", hours=2)
    night["worker1"].stops()
    night.passes(minutes=5)
    assert paged(night) == []  # it was a pattern, and nothing was called so
    night.appears("worker[1]")
    night.passes(minutes=5)
    assert paged(night) == ["service_down/worker1"]
    night["worker[1]"].stops()
    night.passes(minutes=5)
    assert paged(night) == ["service_down/worker1"]


def test_the_star_is_the_whole_host_whatever_is_called_so() -> None:
    assert means("*", "gateway", {"*"})
    assert not means("gate*", "gateway", {"gate*"})
    assert means("gate*", "gateway", {"gatekeeper"})
    assert any_means(("queue?", "gate*"), "gateway", {"queue?"})
    assert not any_means(("queue?", "gate*"), "queue1", {"queue?"})


def test_growing_worse_under_a_silence_is_recorded_and_not_told() -> None:
    night = Night()
    silenced(night, "/", hours=2)
    night.host.disk_used = 75.0
    night.passes(minutes=5)
    night.host.disk_used = 85.0
    night.passes(minutes=5)
    assert paged(night) == []
    assert [(t.reason, t.alert.severity) for t in night.of("suppressed", "disk_high", "/")] == [
        ("", "warning"),
        ("severity", "critical"),
    ]
    assert night.actions == []


# When a silence ends


def test_what_nobody_can_see_when_the_silence_ends_waits_for_a_reading() -> None:
    night = watching("pm2", "redis")
    silenced(night, "tree-builder", minutes=30)
    night.queues["tree-builder"].waiting = 9000
    night.passes(minutes=20)
    night.redis.fails()
    night.passes(minutes=20)
    assert paged(night) == ["redis_unreachable/redis"]  # one page, not two
    night.redis.recovers()
    night.passes(minutes=2)
    assert [t.reason for t in night.of("firing", "redis_queue_backlog", "tree-builder")] == ["silence_ended"]


def test_what_is_about_to_be_over_when_the_silence_ends_is_not_told() -> None:
    night = Night()
    name = silenced(night, "gateway", hours=2)
    night["gateway"].stops()
    night.passes(minutes=5)
    night["gateway"].starts()
    night.asks("unsilence", name)
    night.look()  # the first of two readings that say that it is over
    night.passes(minutes=5)
    assert paged(night) == []
    night.resolved_once("service_down", "gateway")


def test_one_silence_may_take_over_from_another() -> None:
    night = Night()
    first = silenced(night, "gateway", minutes=10)
    night["gateway"].stops()
    night.passes(minutes=5)
    second = silenced(night, "*", hours=1)
    night.passes(minutes=2)
    assert listed(night, "suppressed") == [("gateway", first)]  # the one that covers it already
    night.passes(minutes=10)
    assert listed(night, "suppressed") == [("gateway", second)]
    assert paged(night) == []


def test_a_silenced_cause_explains_and_what_outlives_it_is_told() -> None:
    night = Night(LONG, every=240)
    name = silenced(night, "milo-aggregator", hours=9)
    night["milo-aggregator"].stops()
    for group in night.groups.values():
        group.sealing = False
    night.passes(hours=2, minutes=30)
    cause = next(a for a in night.state.alerts.values() if a.subject == "milo-aggregator")
    assert dict(listed(night, "suppressed")) == {"milo-aggregator": name, "MILO": cause.id, "CLS": cause.id}
    assert paged(night) == []
    night["milo-aggregator"].starts()
    night.passes(minutes=10)
    assert {(t.alert.subject, t.reason) for t in night.transitions if t.edge == "firing"} == {
        ("MILO", "outlived_cause"),
        ("CLS", "outlived_cause"),
    }


# By the clock


def test_a_window_is_in_force_from_each_of_its_times_on_for_so_long() -> None:
    silence = Silence("s", "*", BASELINE, None, every="0 2 * * sun", lasts=5400.0)
    sunday = datetime(2025, 11, 9, 2, tzinfo=UTC)
    end = sunday + timedelta(minutes=90)
    assert quiet_until(silence, sunday - timedelta(seconds=1)) is None
    assert quiet_until(silence, sunday) == end
    assert quiet_until(silence, end - timedelta(seconds=1)) == end
    assert quiet_until(silence, end) is None


def test_a_window_may_last_for_days_and_over_the_next_of_its_times() -> None:
    silence = Silence("s", "*", BASELINE, None, every="0 2 * * mon,tue", lasts=3 * 86400.0)
    over = datetime(2025, 11, 7, 2, tzinfo=UTC)
    assert quiet_until(silence, BASELINE) == over
    assert quiet_until(silence, datetime(2025, 11, 3, 3, tzinfo=UTC)) == over, "the next window begins within this one"


def test_a_window_that_no_longer_parses_keeps_nothing_quiet() -> None:
    assert quiet_until(Silence("s", "*", BASELINE, None, every="whenever", lasts=60.0), BASELINE) is None


def test_a_window_comes_again_the_next_night() -> None:
    night = watching("pm2", orders=LONG, every=480)
    silenced(night, "gateway", every="0 5 * * *", minutes=60)
    for _ in range(2):
        night.until(5, 20)
        night["gateway"].stops()
        night.passes(minutes=20)
        night["gateway"].starts()
        night.passes(minutes=10)
    assert paged(night) == []
    assert len(night.of("suppressed", "service_down", "gateway")) == 2
    night["gateway"].stops()
    night.until(6, 10)
    assert [t.reason for t in night.of("firing", "service_down", "gateway")] == ["silence_ended"]


# The clock, and restarts


def test_two_hours_of_quiet_stay_two_hours_when_the_clock_is_set_back() -> None:
    night = watching("pm2", every=80)
    night.tells_no_clock()
    silenced(night, "gateway", hours=2)
    night.passes(minutes=30)
    night.clock_steps(hours=-1)
    night["gateway"].stops()
    night.passes(minutes=80)
    assert paged(night) == []
    night.passes(minutes=15)
    assert paged(night) == ["service_down/gateway"]


def test_a_silence_and_an_ack_are_still_there_after_a_restart() -> None:
    night = Night()
    night["cls-worker"].stops()
    night["gateway"].stops()
    night.passes(minutes=5)
    silenced(night, "gateway", hours=2)
    acked = next(a for a in night.state.alerts.values() if a.subject == "cls-worker")
    night.asks("ack", acked.id)
    night.passes(minutes=1)
    night.monitord_restarts()
    night.passes(minutes=5)
    assert listed(night, "firing") == [("cls-worker", "")]
    assert night.report.as_fields()["alerts"]["firing"][0]["acked_at"] is not None
    assert len(paged(night)) == 2


def test_a_command_that_is_heard_twice_is_done_once() -> None:
    night = watching("pm2")
    night["gateway"].stops()
    night.passes(minutes=5)
    (alert,) = night.state.alerts.values()
    silenced(night, "*", hours=2)
    night.asks("ack", alert.id)
    night.commands *= 2
    night.passes(minutes=1)
    night.asks("ack", alert.id)
    night.asks("unsilence", "s00000000")
    night.passes(minutes=1)
    assert named(night) == ["silence_added", "alert_acknowledged"]


# Acknowledged


def test_an_ack_stays_until_it_grows_worse_and_ends_with_the_alert() -> None:
    night = Night()
    night.host.disk_used = 75.0
    night.passes(minutes=5)
    (alert,) = night.state.alerts.values()
    night.asks("ack", alert.id)
    night.passes(minutes=5)
    assert night.status == "warning"
    (known,) = night.state.alerts.values()
    assert known.acked_at is not None
    night.host.disk_used = 85.0
    night.passes(minutes=5)
    (_, worse) = night.of("firing", "disk_high", "/")
    assert (worse.reason, worse.alert.acked_at) == ("severity", None)
    night.asks("ack", alert.id)
    night.host.disk_used = 20.0
    night.passes(minutes=5)
    night.host.disk_used = 75.0
    night.passes(minutes=5)
    (again,) = night.state.alerts.values()
    assert (again.state, again.acked_at) == ("firing", None)


def test_what_is_not_confirmed_cannot_be_acknowledged() -> None:
    night = watching("pm2")
    night["gateway"].stops()
    night.look()
    (alert,) = night.state.alerts.values()
    night.asks("ack", alert.id)
    night.passes(minutes=5)
    assert named(night) == []
    night.fired_once("service_down", "gateway")


# Forgotten


def test_a_service_that_was_learned_and_is_gone_is_not_missed_once_it_is_forgotten() -> None:
    night = Night(replace(ORDERS, services={}))
    night.passes(minutes=5)
    night.vanishes("tree-builder")
    night.passes(minutes=5)
    night.fired_once("service_missing", "tree-builder")
    night.asks("forget", "tree-builder")
    night.passes(minutes=5)
    night.resolved_once("service_missing", "tree-builder", "forgotten")
    assert "tree-builder" not in night.report.as_fields()["services"]
    assert named(night) == ["subject_forgotten"]
    assert night.status == "ok"


def test_a_service_that_still_runs_is_learned_again() -> None:
    night = watching("pm2", orders=replace(ORDERS, services={}))
    night.passes(minutes=5)
    night.asks("forget", "gateway")
    night.passes(minutes=5)
    assert night.state.history.roster["gateway"] == "online"
    night.vanishes("gateway")
    night.passes(minutes=5)
    night.fired_once("service_missing", "gateway")


def test_what_the_orders_name_is_not_forgotten() -> None:
    night = watching("pm2")
    night.vanishes("gateway")
    night.passes(minutes=5)
    night.asks("forget", "gateway")
    night.passes(minutes=5)
    night.fired_once("service_missing", "gateway")
    assert night.firing() == {("service_missing", "gateway")}


# Looked back on


def mended_under_a_silence() -> Night:
    return _mended_under_a_silence().branch()


@functools.cache
def _mended_under_a_silence() -> Night:
    night = Night(LONG, every=240)
    night.passes(hours=1)
    silenced(night, "gateway", hours=3)
    night["gateway"].stops()
    night.passes(hours=1)
    return night


def verdict(night: Night) -> tuple[str, tuple[str, ...], str]:
    until = night.looks[-1].observation.now.timestamp()
    recorded = RecordedCycle([look.observation for look in night.looks], night.transitions, night.state)
    report = build_report(recorded, night.orders, until - 2 * 3600, until)
    return report.verdict, report.notes, next(c for c in report.criteria if c.name == "nothing_critical").evidence


def test_a_silenced_incident_weighs_in_the_verdict_and_is_said_to_have_been_silenced() -> None:
    night = mended_under_a_silence()
    (name,) = night.state.silences
    word, notes, evidence = verdict(night)
    assert word == "NO-GO"
    assert notes == ("1 incident silenced on purpose, and judged all the same: service_down gateway.",)
    assert evidence.endswith(f", silenced by {name}).")
    (incident,) = incidents(night.transitions, night.state.alerts.values())
    assert (incident.severity, incident.silenced_by, incident.fired_at) == ("critical", name, None)
    night["gateway"].starts()
    night.passes(minutes=10)
    (incident,) = incidents(night.transitions, night.state.alerts.values())
    assert (incident.severity, incident.silenced_by) == ("critical", name)
    assert incident.ended_at is not None
    assert verdict(night)[0] == "NO-GO"


def test_a_backtest_is_of_the_watch_and_not_of_its_silences() -> None:
    night = mended_under_a_silence()
    night.every = 240.0
    night.passes(hours=4)
    night["gateway"].starts()
    night.passes(minutes=10)
    found = backtest([look.observation for look in night.looks], LONG, night.transitions, BASELINE, LONG)
    assert found is not None
    assert found.compared.only_found == found.compared.only_recorded == ()
    (pair,) = found.compared.same
    assert (pair.found.rule, pair.found.severity, pair.later_seconds) == ("service_down", "critical", 0)
    assert pair.found.resolved_at == pair.recorded.resolved_at


# Whatever happens

QUIET = ("nothing", "silenced", "all silenced", "a window", "taken away", "acknowledged")
asked = st.lists(st.tuples(st.sampled_from(QUIET), st.integers(1, 200)), min_size=8, max_size=8)


def asks(night: Night, what: str, minutes: int, service: str) -> None:
    match what:
        case "silenced":
            silenced(night, service, minutes=minutes)
        case "all silenced":
            silenced(night, "*", minutes=minutes)
        case "a window":
            silenced(night, "*", every=f"{minutes % 60} * * * *", minutes=minutes / 4)
        case "taken away":
            for name in night.state.silences:
                night.asks("unsilence", name)
        case "acknowledged":
            for alert in night.state.alerts.values():
                night.asks("ack", alert.id)


def bare(alerts: Iterable[Alert]) -> list[Alert]:
    """Alerts without what quiet adds to them."""
    return [replace(a, fired_at=None, said_at=None, acked_at=None, silenced_by="") for a in alerts]


def shape(transitions: Iterable[Transition], living: Iterable[Alert]) -> list[object]:
    """The incidents: what they are made of, how bad, from when to when."""
    return [
        (one.id, one.severity, one.first_sign, one.ended_at, sorted((p.alert.id, p.reason) for p in one.parts))
        for one in incidents(transitions, living)
    ]


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(stories, asked)
def test_silences_never_change_which_incidents_there_are_only_whether_they_are_told(
    story: list[tuple[str, str, int]], quiet: list[tuple[str, int]]
) -> None:
    night = Night(LONG, every=240)
    for (mishap, service, minutes), (what, length) in zip(story, quiet, strict=False):
        asks(night, what, length, service)
        happens(night, mishap, service)
        night.passes(minutes=minutes)
    loud = State()
    edges: list[Transition] = []
    for look in night.looks:
        decision = decide(loud, replace(look.observation, commands=()), night.orders)
        loud = decision.state
        edges += decision.transitions
        under = look.decision.state
        assert under.history == loud.history
        assert bare(uncovered(under.alerts).values()) == bare(loud.alerts.values())
        assert look.decision.rechecks == decision.rechecks
    assert shape(night.transitions, night.state.alerts.values()) == shape(edges, loud.alerts.values())
    told = {t.alert.id for t in night.transitions if t.edge == "firing"}
    assert told <= {t.alert.id for t in edges if t.edge == "firing"}
