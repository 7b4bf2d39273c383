"""Nights of what rises steadily, and of what only looks like it: memory towards its limit, a disk until it is full."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from monitord.core.codec import encode
from monitord.core.model import Alert, Unmeasured

from .fleet import MB
from .nights import LONG, MEMORY, Night, watching

LEAK, FILLING = "service_memory_leak", "disk_filling"
Course = Callable[[float], float]


def watched(*probes: str, every: float = 600) -> Night:
    """A night so long that a look every few minutes must do, at processes alone unless it is said at what."""
    return watching(*(probes or ("pm2",)), orders=LONG, every=every)


def wobble(hour: float) -> float:
    """What is never quite the same, between -1 and 1."""
    return math.sin(hour * 97) * 0.6 + math.sin(hour * 31 + 1) * 0.4


def teeth(height: float, period: float) -> Course:
    """Up steadily and down at once, every `period` hours."""
    return lambda hour: height * (hour / period % 1.0)


def told_truly(alert: Alert, seconds: float) -> None:
    """What it foretold when it fired comes true within its own range."""
    evidence = alert.finding.evidence
    low, high = evidence["seconds_to_limit_low"], evidence["seconds_to_limit_high"]
    assert isinstance(low, int)
    assert isinstance(high, int)
    assert low <= seconds <= high
    assert evidence["seconds_to_limit"] == pytest.approx(seconds, rel=0.1)


# Memory: what is healthy

HEALTHY: dict[str, Course] = {
    "noise": lambda hour: (150 + 8 * wobble(hour)) * MB,
    "a sawtooth": lambda hour: (90 + 2 * wobble(hour)) * MB + teeth(120 * MB, 0.3)(hour),
    "a sawtooth with teeth of hours": lambda hour: 90 * MB + teeth(100 * MB, 5)(hour),
    "a step": lambda hour: (100 + 2 * wobble(hour) + (150 if hour > 4 else 0)) * MB,
    "two steps": lambda hour: (100 + 2 * wobble(hour) + (90 if hour > 4 else 0) + (90 if hour > 6 else 0)) * MB,
    "a cache that fills and stays": lambda hour: (100 + 2 * wobble(hour) - 220 * math.expm1(-hour / 3)) * MB,
    "a cache that fills evenly and stays": lambda hour: (100 + 2 * wobble(hour) + min(150, 30 * hour)) * MB,
    "a day's rhythm": lambda hour: (100 + 2 * wobble(hour) + 60 * (1 - math.cos(hour * math.pi / 12))) * MB,
    "a rise that ends far under the limit": lambda hour: (100 + 3 * hour) * MB,
    "a fall": lambda hour: (450 - 15 * hour) * MB,
}


def test_memory_that_is_healthy_is_silent() -> None:
    # Each is the course of a service that is called so.
    night = watching("pm2", orders=replace(LONG, services={}), every=600, services=HEALTHY)
    for name, course in HEALTHY.items():
        night.memory_goes(name, course)
    night.passes(hours=26)
    night.is_silent()


def test_a_new_process_may_warm_up() -> None:
    night = watched()
    night.passes(minutes=30)
    for name in ("gateway", "stream-listener"):
        night[name].is_restarted()
        night.memory_goes(name, lambda hour: (60 - 300 * math.expm1(-hour / 0.8)) * MB)
    night.passes(hours=8)
    night.is_silent()


def test_a_rise_that_a_restart_ends_again_and_again_is_no_trend_across_the_restarts() -> None:
    night = watched()
    for _ in range(4):
        night.memory_goes("gateway", lambda hour: (99 + 60 * hour) * MB)
        night.passes(hours=2.5)
        night["gateway"].is_restarted()
    night.is_silent()


def test_a_healthy_night_stays_silent_when_the_clock_is_set_back_and_forth() -> None:
    night = watched("pm2", "host")
    night.memory_goes("gateway", HEALTHY["a sawtooth"])
    night.disk_goes(lambda hour: 40 + teeth(6, 5)(hour))
    for minutes in (-50, 50, -7, 90):
        night.passes(hours=4)
        night.clock_steps(minutes=minutes)
    night.passes(hours=4)
    assert [said for said in night.said() if LEAK in said or FILLING in said] == []


# Memory: what is not


def test_a_leak_is_a_warning_long_before_its_limit_and_says_what_it_rests_on() -> None:
    night = watched()
    night.memory_goes("gateway", lambda hour: (99 + 30 * hour + 2 * wobble(hour)) * MB)
    night.passes(hours=9)
    alert = night.fired_once(LEAK, "gateway")
    finding, evidence = alert.finding, alert.finding.evidence
    assert (alert.severity, finding.limit, finding.unit) == ("warning", None, "bytes/h")
    assert finding.value == pytest.approx(30 * MB, rel=0.05)
    assert evidence["limit_bytes"] == 500 * MB
    assert evidence["confidence"] == pytest.approx(1.0, abs=0.1)
    assert evidence["span_seconds"] >= 3 * 3600  # type: ignore[operator]
    assert finding.summary.startswith("gateway's memory rises by 30 MB an hour (seen for ")
    assert "would reach its limit of 500 MB in about " in finding.summary
    assert "log" in finding.recommendation
    assert alert.fired_at is not None
    told_truly(alert, night.looks[0].observation.now.timestamp() + 401 / 30 * 3600 - alert.fired_at.timestamp())


def test_three_hours_must_be_seen_before_a_leak_is_told_and_the_warm_up_is_none_of_them() -> None:
    night = watched()
    night.passes(minutes=4)
    night["gateway"].is_restarted()
    night.memory_goes("gateway", lambda hour: (99 + 75 * hour) * MB)
    night.passes(hours=3.4)
    assert night.said() == []
    night.passes(hours=0.6)
    night.fired_once(LEAK, "gateway")


def test_a_leak_under_a_sawtooth_is_seen_and_its_teeth_are_reckoned_with() -> None:
    night = watched(every=120)
    night.memory_goes("gateway", lambda hour: (99 + 30 * hour) * MB + teeth(100 * MB, 0.17)(hour))
    night.passes(hours=7)
    alert = night.fired_once(LEAK, "gateway")
    assert alert.fired_at is not None
    # The teeth touch the limit long before the troughs do.
    told_truly(alert, night.looks[0].observation.now.timestamp() + 301 / 30 * 3600 - alert.fired_at.timestamp())


def test_a_leak_that_begins_after_hours_of_health_is_seen() -> None:
    night = watched()
    night.memory_goes("gateway", lambda hour: (99 + 2 * wobble(hour) + 45 * max(0.0, hour - 12)) * MB)
    night.passes(hours=12)
    night.is_silent()
    night.passes(hours=8)
    night.fired_once(LEAK, "gateway")


def test_a_leak_is_seen_across_restarts_of_monitord_and_said_once() -> None:
    night = watched()
    night.memory_goes("gateway", lambda hour: (99 + 30 * hour) * MB)
    for _ in range(5):
        night.passes(hours=1.8)
        night.monitord_restarts()
    night.fired_once(LEAK, "gateway")


def test_time_in_which_pm2_is_blind_or_monitord_away_joins_a_leak_and_is_not_counted() -> None:
    night = watched()
    night.memory_goes("gateway", lambda hour: (99 + 70 * hour) * MB)
    night.passes(hours=1.5)
    night.pm2.fails()
    night.passes(minutes=40)
    night.pm2.recovers()
    night.passes(minutes=30)
    night.monitord_is_away(minutes=40)
    night.passes(minutes=30)
    assert (LEAK, "gateway") not in night.firing()
    night.passes(hours=1.5)
    alert = night.fired_once(LEAK, "gateway", alone=False)
    assert alert.finding.value == pytest.approx(70 * MB, rel=0.05)


def test_a_leak_is_seen_though_the_clock_is_set_back_in_the_middle() -> None:
    night = watched()
    night.tells_no_clock()
    night.memory_goes("gateway", lambda hour: (99 + 30 * hour) * MB)
    night.passes(hours=4)
    night.clock_steps(minutes=-50)
    night.passes(hours=5)
    alert = night.fired_once(LEAK, "gateway")
    assert alert.finding.value == pytest.approx(30 * MB, rel=0.05)


def test_a_restart_ends_a_leak_and_the_next_life_is_judged_by_itself() -> None:
    night = watched(every=360)
    leak: Course = lambda hour: (99 + 30 * hour) * MB  # noqa: E731 - a course, as the others are
    night.memory_goes("gateway", leak)
    night.passes(hours=9)
    first = night.fired_once(LEAK, "gateway")
    night["gateway"].is_restarted()
    night.memory_goes("gateway", leak)
    night.passes(minutes=10)
    assert night.resolved_once(LEAK, "gateway").id == first.id
    night.passes(hours=9)
    assert len(night.of("firing", LEAK, "gateway")) == 2


def test_a_leak_that_stops_is_over_once_that_has_been_seen() -> None:
    night = watched()
    night.memory_goes("gateway", lambda hour: (99 + 30 * min(hour, 9)) * MB)
    night.passes(hours=9)
    night.fired_once(LEAK, "gateway")
    night.passes(hours=7)
    night.fired_once(LEAK, "gateway")
    night.resolved_once(LEAK, "gateway")


def test_memory_that_is_given_back_ends_a_leak_at_once() -> None:
    night = watched()
    night.memory_goes("gateway", lambda hour: (99 + 30 * hour if hour < 9 else 95) * MB)
    night.passes(hours=8.9)
    night.fired_once(LEAK, "gateway")
    night.passes(minutes=20)
    night.resolved_once(LEAK, "gateway")


def test_past_the_limit_another_rule_speaks() -> None:
    night = watched()
    night.memory_goes("gateway", lambda hour: (99 + 30 * hour) * MB)
    night.passes(hours=14)
    assert night.firing() == {("service_memory_high", "gateway")}
    assert [t.reason for t in night.of("resolved", LEAK, "gateway")] == ["replaced_by service_memory_high"]


def test_a_leak_freezes_while_its_memory_is_not_told() -> None:
    night = watched()
    night.memory_goes("gateway", lambda hour: (99 + 30 * hour) * MB)
    night.passes(hours=9)
    night.pm2.fails()
    night.passes(minutes=20)
    assert (LEAK, "gateway") in night.firing()
    night.pm2.recovers()
    night.passes(minutes=20)
    assert len(night.of("firing", LEAK, "gateway")) == 1
    assert night.of("resolved", LEAK, "gateway") == []


def test_of_several_instances_the_one_that_leaks_speaks_for_the_service() -> None:
    night = watched()
    other = night.appears("gateway", started_at=0.0)
    night.memory_goes("gateway", lambda hour: (99 + 30 * hour) * MB)
    night.passes(hours=9)
    assert other.memory == 99 * MB
    night.fired_once(LEAK, "gateway")


def test_a_service_that_is_gone_leaks_no_more() -> None:
    night = watched(every=360)
    night.memory_goes("gateway", lambda hour: (99 + 30 * hour) * MB)
    night.passes(hours=9)
    night.vanishes("gateway")
    night.passes(minutes=10)
    assert [t.reason for t in night.of("resolved", LEAK, "gateway")] == ["replaced_by service_missing"]
    assert not [key for key in night.state.history.trends if key.startswith("memory/gateway/")]


def test_a_leak_is_told_in_a_minute_where_the_span_is_a_minute() -> None:
    night = watching("pm2", orders=replace(LONG, leak_span=timedelta(seconds=60)), every=1)
    night.memory_goes("gateway", lambda hour: 99 * MB + hour * 3600 * 4 * MB)
    night.passes(seconds=59)
    night.is_silent()
    night.passes(seconds=15)
    night.fired_once(LEAK, "gateway")


# The disk


HEALTHY_DISKS: dict[str, Course] = {
    "a little noise": lambda hour: 69 + 0.4 * wobble(hour),
    "a nightly backup": lambda hour: 50 + 0.05 * wobble(hour) + (15 if 3 < hour % 24 < 5 else 0),
    "a backup that takes hours": lambda hour: 45 + (min(15, 5 * (hour % 24 - 3)) if 3 < hour % 24 < 8 else 0),
    "log rotation": lambda hour: 40 + teeth(10, 6)(hour),
    "daily log rotation": lambda hour: 40 + teeth(12, 24)(hour),
    "a step": lambda hour: 40 + (20 if hour > 7 else 0),
    "a step each night": lambda hour: 40 + 6 * (hour // 12),
    "a day's rhythm": lambda hour: 40 + 5 * (1 - math.cos(hour * math.pi / 12)),
    "a disk that would take days": lambda hour: 30 + 0.5 * hour,
}


@pytest.mark.parametrize("course", HEALTHY_DISKS.values(), ids=HEALTHY_DISKS.keys())
def test_a_disk_that_is_healthy_is_silent(course: Course) -> None:
    night = watched("host", every=720)
    night.disk_goes(course)
    night.passes(hours=32)
    night.is_silent()


def test_a_disk_that_fills_is_a_warning_and_says_what_it_rests_on() -> None:
    night = watched("host", every=360)
    night.disk_goes(lambda hour: 30 + 4 * hour)
    night.passes(hours=5.9)
    night.is_silent()
    night.passes(hours=1)
    alert = night.fired_once(FILLING, "/")
    finding = alert.finding
    assert (alert.severity, finding.limit, finding.unit) == ("warning", None, "percent/h")
    assert finding.value == pytest.approx(4, rel=0.02)
    assert finding.summary.startswith("The disk at / fills by 4% an hour (seen for 6 h, confidence 100%)")
    assert "du -x" in finding.recommendation
    assert alert.fired_at is not None
    told_truly(alert, night.looks[0].observation.now.timestamp() + 70 / 4 * 3600 - alert.fired_at.timestamp())


def test_a_disk_that_will_be_full_within_four_hours_is_critical_under_the_same_id() -> None:
    night = watching("host", orders=replace(LONG, disk_warning=95.0, disk_critical=95.0), every=240)
    night.disk_goes(lambda hour: 40 + 5 * hour)
    night.passes(hours=10)
    warning, critical = night.of("firing", FILLING, "/")
    assert (warning.alert.severity, critical.alert.severity) == ("warning", "critical")
    assert warning.alert.id == critical.alert.id
    assert critical.at.timestamp() - night.looks[0].observation.now.timestamp() == pytest.approx(8 * 3600, abs=1200)


def test_a_disk_that_fills_under_nightly_bursts_is_seen() -> None:
    night = watched("host")
    night.disk_goes(lambda hour: 30 + 1.8 * hour + (10 if 3 < hour % 24 < 4.5 else 0))
    night.passes(hours=20)
    night.fired_once(FILLING, "/")


def test_past_the_limit_of_disks_another_rule_speaks_of_them() -> None:
    night = watched("host")
    night.disk_goes(lambda hour: 40 + 4 * hour)
    night.passes(hours=10.5)
    assert night.firing() == {("disk_high", "/")}
    assert [t.reason for t in night.of("resolved", FILLING, "/")] == ["replaced_by disk_high"]


def test_space_that_is_freed_ends_it_at_once() -> None:
    night = watched("host")
    night.disk_goes(lambda hour: 30 + 4 * hour if hour < 8 else 29)
    night.passes(hours=7.9)
    night.fired_once(FILLING, "/")
    night.passes(minutes=20)
    night.resolved_once(FILLING, "/")


def test_a_disk_that_cannot_be_measured_neither_fills_nor_does_not() -> None:
    night = watched("host")
    night.disk_goes(lambda hour: 30 + 4 * hour)
    night.passes(hours=7)
    night.host.disk_gap = Unmeasured("/", "timeout", "statvfs did not answer within 2 s")
    night.passes(hours=1)
    assert (FILLING, "/") in night.firing()
    night.host.disk_gap = None
    night.passes(minutes=30)
    assert len(night.of("firing", FILLING, "/")) == 1
    assert night.of("resolved", FILLING, "/") == []


# What is kept


def test_what_is_kept_of_a_long_night_is_small() -> None:
    night = watched("pm2", "host")
    for name in MEMORY:
        night.memory_goes(name, lambda hour: (220 + 20 * wobble(hour)) * MB)
    night["cls-discovery"].starts()
    night.passes(hours=40)
    assert len(night.state.history.trends) == len(MEMORY) + 2  # of a disk two: slow and fast
    assert len(json.dumps(encode(night.state.history.trends), separators=(",", ":"))) < 10_000
