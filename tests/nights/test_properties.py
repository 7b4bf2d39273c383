"""What holds for any night that is drawn: healthy it is silent; a fault that lasts is said once, and ends once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bench.faults import FAULTS as MEASURED
from monitord.core.alerting.lifecycle import key
from monitord.core.model import Unmeasured
from monitord.core.subjects import RULES
from tests.core.fleet import Group
from tests.core.habits import has_habits, looked_at_again, looked_at_seldom, took
from tests.core.nights import MEMORY, Night

from .lasting_faults import EVERY, HOUR, HOURS_LONG, LASTING, PATIENT, Fault, queue, to_set
from .playing import comes_back
from .probes import judging
from .vocabulary import happens

# The same examples each time: the suite is stable, and what it finds is found by everybody.
DRAWN = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    # Not `explain`: tracing a whole night takes minutes.
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
# Of each fault by itself.
OF_EACH = settings(DRAWN, max_examples=2)
ONLINE = [name for name in MEMORY if name != "cls-discovery"]
# What may be noticed late: a look, the recheck that confirms it, and a moment more.
NOTICED = EVERY + 10
QUIET_BEFORE = EVERY


def _everything(night: Night) -> None:
    for name in ONLINE:
        night[name].is_restarted()


def _scout(night: Night) -> None:
    scout = night["cls-discovery"]
    scout.stops(0) if scout.state == "online" else scout.starts()


def _lone_crash(night: Night, name: str) -> None:
    if night[name].restarts < 5:  # five an hour are no loop
        night[name].crashes()


def _blip(night: Night, name: str) -> None:
    """One reading sees it launching; the one that would confirm it does not."""
    night[name].state = "launching"
    night.look()
    night.passes(seconds=2)
    night[name].state = "online"
    night.passes(seconds=30)


def _lost(night: Night, which: int) -> None:
    servers = (night.pm2, night.postgres, night.epochs, night.redis, night.machine)
    servers[which % len(servers)].hiccups_once()


# What happens in a healthy night, by name: the story reads well where an example fails.
HEALTHY: dict[str, Callable[[Night, str, int], object]] = {
    "nothing": lambda night, name, n: None,
    "an operator restarts one": lambda night, name, n: night[name].is_restarted(),
    "one crashes": lambda night, name, n: _lone_crash(night, name),
    "everything is deployed": lambda night, name, n: _everything(night),
    "the Scout runs or rests": lambda night, name, n: _scout(night),
    "memory moves": lambda night, name, n: setattr(night[name], "memory", n * 4_900_000.0),
    "rows come faster or slower": lambda night, name, n: setattr(night.table, "per_second", 1 + n / 2),
    "rows are rolled back": lambda night, name, n: night.table.rolls_back(n * 30_000),
    "old rows are deleted": lambda night, name, n: night.table.is_pruned(night.clock.now - 10_000),
    "statistics are reset": lambda night, name, n: night.table.forgets_statistics(),
    "the table is truncated": lambda night, name, n: night.table.is_truncated(),
    "seals take longer or shorter": lambda night, name, n: setattr(night.groups["CLS"], "delay", n * 8.8),
    "the queue fills and drains": lambda night, name, n: setattr(night.queues["tree-builder"], "waiting", n * 4.0),
    "the disk is used": lambda night, name, n: setattr(night.host, "disk_used", n * 0.7),
    "memory is taken": lambda night, name, n: setattr(night.host, "available", 200e6 + n * 1e6),
    "a blip": lambda night, name, n: _blip(night, name),
    "a reading is lost": lambda night, name, n: _lost(night, n),
    "monitord restarts": lambda night, name, n: night.monitord_restarts(),
    "monitord is away": lambda night, name, n: night.monitord_is_away(minutes=n),
    "a small step of the clock": lambda night, name, n: night.clock_steps(seconds=(n - 50) / 100),
}

healthy_stories = st.lists(
    st.tuples(
        st.sampled_from(sorted(HEALTHY)), st.sampled_from(ONLINE), st.integers(0, 100), st.sampled_from([3, 11, 29, 64])
    ),
    min_size=1,
    max_size=9,
)
starts = st.datetimes(datetime(2025, 11, 1), datetime(2026, 3, 1)).map(  # noqa: DTZ001 - made aware here
    lambda at: at.replace(tzinfo=UTC, microsecond=0)
)
cuts = st.sets(st.integers(0, 150), max_size=12)


def _comes_back(night: Night, places: set[int]) -> None:
    # What a snapshot gives back as it was, in the same order, is judged on as it would have been.
    for place in places:
        if place < len(night.looks):
            comes_back(night.looks[place].decision.state)


@DRAWN
@given(healthy_stories, starts, cuts)
def test_a_night_drawn_healthy_never_fires(
    story: list[tuple[str, str, int, int]], start: datetime, places: set[int]
) -> None:
    night = Night(PATIENT, start=start, every=EVERY)
    night.passes(seconds=QUIET_BEFORE)
    for what, name, amount, minutes in story:
        HEALTHY[what](night, name, amount)
        night.passes(minutes=minutes)
    assert night.said() == []
    _comes_back(night, places)


def _pm2_list(night: Night, *, lost: bool) -> None:
    """PM2 is another one from here on, without a list; or has its list again."""
    if lost:
        night.daemon = night.daemon or "1"
        night.look(["pm2"])
        night.daemon += "'"
        night.unlisted, night.services = night.services, []
    else:
        night.services, night.unlisted = [*night.unlisted, *night.services], []


def _postgres(night: Night, *, up: bool) -> None:
    for server in (night.postgres, night.epochs):
        server.recovers() if up else server.fails()


def _sealing(night: Night, *names: str, on: bool) -> None:
    for name in names:
        night.groups[name].sealing = on


def _catches_up(night: Night) -> None:
    for group in night.groups.values():
        for label in group.skips:
            group.seals(label, night.clock.now)


def _is_begun_anew(night: Night) -> None:
    gateway = night["gateway"]
    gateway.memory, gateway.memory_per_hour = 99e6, 0.0
    gateway.is_restarted()


def _lasting(now: float) -> int:
    """The label of the epoch that lasts now."""
    return int(now) // 3600 * 3600


def _next_seal_takes(night: Night, seconds: float) -> None:
    """Both groups, that they stay in step."""
    for group in night.groups.values():
        group.delays[max(group.sealed) + group.length] = seconds


def _leaves_out(group: Group, count: int, now: float) -> None:
    group.left_out[_lasting(now)] = set(sorted(took(group, _lasting(now)))[:count])


def _hears(group: Group, now: float, changed: Callable[[frozenset[str]], frozenset[str]]) -> None:
    before, since = group.takes_part, _lasting(now)
    assert before is not None
    group.takes_part = lambda label: changed(frozenset(before(label))) if label >= since else before(label)


def _is_server(night: Night, system: str) -> None:
    night.system = system


def _refuses(night: Night, server: str, why: str, said: str = "") -> None:
    night.instead[(f"{server}_refusal", (("why", why),))] = said


WINDOW = 2 * HOUR
LOCKED = Unmeasured("user_signals", "timeout", "user_signals is locked")

# Every rule that is about the fleet, broken and mended. Sealing has a calendar of its own below.
FAULTS = (
    Fault("service_down", "gateway", lambda n: n["gateway"].stops(), lambda n: n["gateway"].starts()),
    Fault("service_missing", "cls-worker", lambda n: n.vanishes("cls-worker"), lambda n: n.appears("cls-worker")),
    Fault("service_unexpected", "test", lambda n: n.appears("test"), lambda n: n.vanishes("test")),
    Fault(
        "service_overdue",
        "cls-discovery",
        to_set(lambda n: n["cls-discovery"], schedule="*/15 * * * *", autorestart=False),
        lambda n: n["cls-discovery"].begins(),
        limit=7200.0,
    ),
    Fault("service_frozen", "gateway", lambda n: n["gateway"].is_frozen(), lambda n: n["gateway"].thaws()),
    Fault(
        "service_memory_high",
        "gateway",
        to_set(lambda n: n["gateway"], memory=501e6),
        to_set(lambda n: n["gateway"], memory=99e6),
    ),
    Fault(
        "service_restart_loop",
        "tree-builder",
        lambda n: n["tree-builder"].crashes_every(20.0),
        to_set(lambda n: n["tree-builder"], crash_every=None),
        limit=120.0,
        over=HOUR,
    ),
    Fault("pm2_empty", "pm2", lambda n: _pm2_list(n, lost=True), lambda n: _pm2_list(n, lost=False)),
    Fault("pm2_unreachable", "pm2", lambda n: n.pm2.fails("missing", "no socket"), lambda n: n.pm2.recovers()),
    Fault("postgres_unreachable", "postgres", lambda n: _postgres(n, up=False), lambda n: _postgres(n, up=True)),
    Fault("database_changed", "postgres", lambda n: _is_server(n, "7302"), lambda n: _is_server(n, "7301")),
    Fault(
        "replica_lagging",
        "postgres",
        lambda n: happens(n, "the replica replays nothing more"),
        lambda n: happens(n, "the replica has caught up"),
        limit=450.0,
        standby=True,
    ),
    Fault(
        "postgres_full",
        "postgres",
        lambda n: _refuses(n, "postgres", "readonly", "it is read-only for all"),
        lambda n: _refuses(n, "postgres", "readonly"),
    ),
    Fault(
        "redis_not_writable",
        "redis",
        lambda n: _refuses(n, "redis", "misconf", "its last save failed"),
        lambda n: _refuses(n, "redis", "misconf"),
    ),
    Fault("redis_unreachable", "redis", lambda n: n.redis.fails("auth", "no"), lambda n: n.redis.recovers()),
    Fault("subject_unmeasured", "epochs", lambda n: n.epochs.fails("permission", "no"), lambda n: n.epochs.recovers()),
    Fault("subject_unmeasured", "host", lambda n: n.machine.fails("internal", "no"), lambda n: n.machine.recovers()),
    Fault(
        "subject_unmeasured",
        "user_signals",
        to_set(lambda n: n.table, gap=LOCKED),
        to_set(lambda n: n.table, gap=None),
    ),
    Fault(
        "table_growth_high",
        "user_signals",
        lambda n: n.table.floods(1_500_000),
        lambda n: None,
        over=WINDOW + EVERY,
        counts=True,
    ),
    Fault(
        "table_flow_stalled",
        "user_signals",
        to_set(lambda n: n.table, per_second=0.0),
        to_set(lambda n: n.table, per_second=12.0),
        limit=900.0 + EVERY,
    ),
    Fault(
        "labels_unaligned",
        "CLS",
        lambda n: n.groups["CLS"].odd.update({int(n.clock.now) // 3600 * 3600 - 1800: 9}),
        lambda n: n.groups["CLS"].odd.clear(),
    ),
    Fault("redis_queue_backlog", "tree-builder", to_set(queue, waiting=9e3), to_set(queue, waiting=3.0)),
    Fault("disk_high", "/", to_set(lambda n: n.host, disk_used=75.0), to_set(lambda n: n.host, disk_used=24.0)),
    Fault("host_memory_low", "host", to_set(lambda n: n.host, available=9e7), to_set(lambda n: n.host, available=6e9)),
    Fault(
        "monitor_degraded",
        "monitord",
        lambda n: n.cycles_begin_late(seconds=3 * EVERY + 1),
        lambda n: n.cycles_begin_late(seconds=0),
        # monitord is not taken again by itself: the next cycle confirms.
        limit=EVERY,
        over=EVERY,
    ),
    *LASTING,
)
# Faults that take hours, by the calendar or by their nature: past the limit at the latest so long after they begin.
SLOW = (
    Fault(
        "service_memory_leak",
        "gateway",
        to_set(lambda n: n["gateway"], memory_per_hour=40e6),
        _is_begun_anew,
        limit=6.5 * HOUR,
    ),
    Fault(
        "disk_filling",
        "/",
        to_set(lambda n: n.host, disk_per_hour=3.0),
        to_set(lambda n: n.host, disk_per_hour=0.0, disk_used=24.0),
        limit=10 * HOUR,
    ),
    Fault(
        "service_unstable",
        "tree-builder",
        lambda n: n["tree-builder"].crashes_every(800.0),
        to_set(lambda n: n["tree-builder"], crash_every=None),
        limit=31 * 800.0,
        over=6 * HOUR,
    ),
    Fault(
        "sealing_late",
        "MILO",
        lambda n: _sealing(n, "MILO", "CLS", on=False),
        lambda n: _sealing(n, "MILO", "CLS", on=True),
        limit=2 * HOUR + 200,
        also=frozenset({"sealing_late/CLS", "sealing_stuck/MILO", "sealing_stuck/CLS"}),
    ),
    Fault(
        "sealing_stuck",
        "CLS",
        lambda n: _sealing(n, "CLS", on=False),
        lambda n: _sealing(n, "CLS", on=True),
        limit=4 * HOUR + 200,
        also=frozenset({"sealing_late/CLS", "groups_out_of_sync/epochs"}),
    ),
    Fault(
        "groups_out_of_sync",
        "epochs",
        lambda n: _sealing(n, "MILO", on=False),
        lambda n: _sealing(n, "MILO", on=True),
        limit=HOUR + 900,
        also=frozenset({"sealing_late/MILO", "sealing_stuck/MILO"}),
    ),
    Fault(
        "sealing_gap",
        "CLS",
        lambda n: n.groups["CLS"].skips.add(int(n.clock.now) // 3600 * 3600),
        _catches_up,
        limit=2 * HOUR + 200,
        also=frozenset({"sealing_late/CLS", "groups_out_of_sync/epochs"}),
    ),
    Fault(
        "sealing_slow",
        "MILO",
        lambda n: _next_seal_takes(n, 3000.0),
        lambda n: _next_seal_takes(n, 182.0),
        limit=HOUR + 1200,
        over=HOUR + 1200,
        also=frozenset({"sealing_slow/CLS"}),
        habits=True,
    ),
    Fault(
        "sealing_incomplete",
        "CLS",
        lambda n: _leaves_out(n.groups["CLS"], 20, n.clock.now),
        lambda n: n.groups["CLS"].left_out.clear(),
        limit=HOUR + 900,
        habits=True,
    ),
    Fault(
        "channel_silent",
        "MILO/milo03",
        lambda n: _hears(n.groups["MILO"], n.clock.now, lambda took: took - {"milo03"}),
        lambda n: _hears(n.groups["MILO"], n.clock.now, lambda took: took | {"milo03"}),
        limit=3 * HOUR + 900,
        over=HOUR + 900,
        habits=True,
    ),
    *HOURS_LONG,
)


def _begins(fault: Fault, start: datetime, *, whole: bool = False) -> Night:
    """A quiet night, before this fault; after some days where it is to be judged by them.

    Only what its rule is judged by is measured, or (whole) all that there is.
    """
    probes = fault.orders.probes if whole else fault.orders.probes & judging(fault.rule)
    if not fault.habits:
        night = Night(replace(fault.orders, probes=probes), start=start, every=EVERY)
        night.replica = fault.standby
    else:
        night = _with_habits(start, probes).branch()
    night.passes(seconds=QUIET_BEFORE)
    return night


@functools.lru_cache(maxsize=4)
def _with_habits(start: datetime, probes: frozenset[str]) -> Night:
    night = Night(replace(PATIENT, learned_warnings=True, probes=probes), start=start)
    has_habits(night)
    looked_at_seldom(night)
    night.passes(days=5)
    looked_at_again(night, EVERY, night.orders.late_after)  # it is folded again under one set of orders
    return night


def _lives_through(fault: Fault, start: datetime, lasts: float, restart: bool, *, whole: bool = False) -> Night:
    """A night with this one fault in it, of so many seconds, and time enough after it."""
    night = _begins(fault, start, whole=whole)
    fault.breaks(night)
    night.passes(seconds=lasts / 2)
    if restart:
        night.monitord_restarts()
    night.passes(seconds=lasts / 2)
    fault.mends(night)
    night.passes(seconds=fault.over + 3 * NOTICED)
    return night


def _said_once(night: Night, fault: Fault) -> None:
    said = [(t.edge, key(t.alert.rule, t.alert.subject), t.reason) for t in night.transitions if t.edge != "pending"]
    own = [(edge, reason) for edge, place, reason in said if place == f"{fault}"]
    assert [edge for edge, reason in own if reason != "severity"] == ["firing", "resolved"], night.said()
    assert {place for _, place, _ in said} <= {f"{fault}"} | fault.also, night.said()
    assert night.firing() == set()


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
@OF_EACH
@given(starts, st.floats(0, HOUR / 3), st.booleans(), cuts)
def test_a_fault_past_its_limit_and_its_confirmation_fires_once_and_resolves_once(
    fault: Fault, start: datetime, longer: float, restart: bool, places: set[int]
) -> None:
    night = _lives_through(fault, start, fault.limit + NOTICED + longer, restart, whole=True)
    _said_once(night, fault)
    _comes_back(night, places)


@pytest.mark.parametrize("fault", SLOW, ids=repr)
@OF_EACH
@given(starts, st.floats(0, HOUR / 3), st.booleans(), cuts)
def test_a_fault_of_hours_past_its_limit_fires_once_and_resolves_once(
    fault: Fault, start: datetime, longer: float, restart: bool, places: set[int]
) -> None:
    night = _lives_through(fault, start, fault.limit + NOTICED + longer, restart)
    _said_once(night, fault)
    _comes_back(night, places)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if not fault.counts], ids=repr)
@OF_EACH
@given(starts, st.floats(0, 4.9), cuts)
def test_a_fault_that_is_over_before_it_is_confirmed_is_silent(
    fault: Fault, start: datetime, lasts: float, places: set[int]
) -> None:
    night = _begins(fault, start)
    fault.breaks(night)
    night.look()
    night.passes(seconds=lasts)
    fault.mends(night)
    night.passes(minutes=20)
    assert night.said() == []
    _comes_back(night, places)


@pytest.mark.parametrize("fault", SLOW, ids=repr)
@OF_EACH
@given(starts, st.floats(0, 0.95), cuts)
def test_a_fault_of_hours_that_is_mended_within_minutes_is_silent(
    fault: Fault, start: datetime, share: float, places: set[int]
) -> None:
    night = _begins(fault, start)
    # What falls due next must be sealed within the grace of fifteen minutes; it is broken just before.
    night.passes(seconds=HOUR - night.clock.now % HOUR - 1)
    fault.breaks(night)
    night.passes(seconds=900 * share)
    fault.mends(night)
    night.passes(hours=2)
    assert night.said() == []
    _comes_back(night, places)


def test_every_rule_has_a_fault_here_or_one_that_is_measured() -> None:
    assert {rule.name for rule in RULES} == {fault.rule for fault in (*FAULTS, *SLOW)} | {
        fault.rule for fault in MEASURED
    }
