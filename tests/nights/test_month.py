"""A healthy month is silent, though a great deal happens in it."""

from __future__ import annotations

from bench.month import Living, healthy
from bench.planted import PLANTED, planted
from monitord.core.subjects import apps, busy, queues, redis_memory, sessions


def test_thirty_healthy_days_say_nothing() -> None:
    # `make bench` lives through one at full cadence; a check every hour sees the same month. In this one a channel is
    # silent for longer than ever before, by chance: on its last day. Its first twenty days are checked every four
    # hours: the database remembers, and the ten days after, with a deployment and two Sundays, are like them.
    month = healthy(30, every=3600, seed=52006, seldom=20)
    assert month.said == ()
    assert month.looks >= 10 * 24 + 20 * 6
    # It was no still life: all of this happened, and readings that failed were suspected.
    assert month.lived["bulk deletes"] == 30
    assert month.lived["runs of the Scout"] == 120
    assert month.lived["deployments"] == 4
    assert month.lived["failed jobs"] > 100
    assert month.lived["backups"] == month.lived["batches"] == 30
    assert month.lived["overlaps"] == month.lived["migrations"] == 4
    assert month.lived["freezes"] > 3
    assert month.lived["open sessions"] > 10
    assert month.lived["restarts by hand"] > 0
    assert month.lived["lone crashes"] > 0
    assert month.suspected > 0


def test_hours_of_a_healthy_day_looked_at_every_thirty_seconds_say_nothing() -> None:
    day = healthy(0.1, seed=20251105)
    assert day.said == ()
    assert day.looks >= 288


def test_a_month_is_the_same_from_the_same_seed_and_another_from_another() -> None:
    first, again, other = (healthy(0.5, every=3600, seed=seed).lived for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_month_in_which_something_is_wrong_says_so() -> None:
    month = Living(30, seed=1)
    month.goes_on()
    month.passes(minutes=5)
    month["gateway"].stops()
    month.passes(minutes=5)
    assert len(month.fired) == 1
    assert "service_down" in month.fired[0]
    assert len(month.looks) == 1


def test_each_fault_planted_in_a_month_is_found_in_time_and_nothing_else_is_said() -> None:
    # What is sealed has no part in these faults, nor they in it.
    found, beside = planted(every=900, seed=11, apart=0, probes=frozenset({"pm2", "postgres", "redis", "host"}))
    late = [f"{one.planted.rule}: {one.seconds}" for one in found if not one.is_in_time]
    assert late == []
    assert beside == []


def test_every_rule_of_sessions_memory_jobs_processors_and_apps_is_planted() -> None:
    rules = (*sessions.RULES, *redis_memory.RULES, *queues.RULES, *busy.MACHINE, busy.SERVICE_CPU_HIGH, *apps.RULES)
    assert {rule.name for rule in rules} == {fault.rule for fault in PLANTED}
