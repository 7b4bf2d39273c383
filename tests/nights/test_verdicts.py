"""The verdict is over the whole night, and each probe is judged by a criterion."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from monitord.core.model import Unmeasured
from monitord.core.orders import CheckOrder
from monitord.core.report.model import Report as Report
from monitord.core.subjects.registry import measured
from tests.core.nights import LONG, Night, watching

from .mornings import morning

HOST = {"disk_used": 99.0, "available": 50e6}
WELL = {"disk_used": 24.0, "available": 6e9}
# Probes whose failure is critical by itself; and the criterion of those that are more than a part of a server.
SERVERS = {"pm2", "postgres", "redis"}
CRITERION = {"host": "host_healthy", "checks": "checks_met", "chain": "on_chain"}


def unmet(report: Report) -> set[str]:
    return {criterion.name for criterion in report.criteria if criterion.met is False}


def untold(report: Report) -> set[str]:
    return {criterion.name for criterion in report.criteria if criterion.met is None}


def beside_pm2(*probes: str, every: float = 240) -> Night:
    """A night of PM2, without which nothing is a GO, and of what is asked about. Whole mornings are the library's."""
    return watching("pm2", *probes, orders=LONG, every=every)


def away(*names: str, minutes: float) -> Report:
    """The report of a night in which these servers are away for so long, and back long before it ends."""
    night = beside_pm2(*names)
    night.passes(hours=2)
    for name in names:
        getattr(night, name).fails()
    night.passes(minutes=minutes)
    for name in names:
        getattr(night, name).recovers()
    night.passes(hours=2)
    return morning(night)


@pytest.mark.parametrize("names", [("redis",), ("pm2",), ("postgres", "epochs")])
def test_a_server_that_was_away_is_a_no_go_though_it_is_back(names: tuple[str, ...]) -> None:
    report = away(*names, minutes=34)
    assert report.verdict == "NO-GO"
    assert unmet(report) == {"servers_reachable", "nothing_critical"}


def test_a_server_that_did_not_answer_one_reading_is_named_and_forgiven() -> None:
    night = beside_pm2("redis")
    night.passes(hours=2)
    night.redis.fails()
    night.look()
    night.redis.recovers()
    night.passes(hours=2)
    report = morning(night)
    assert report.verdict == "GO"
    (found,) = [criterion for criterion in report.criteria if criterion.name == "servers_reachable"]
    assert "but for moments" in found.evidence


def test_a_full_disk_and_no_memory_are_a_no_go_though_they_are_over() -> None:
    night = beside_pm2("host", every=300)
    night.passes(minutes=30)
    for name, value in HOST.items():
        setattr(night.host, name, value)
    night.passes(hours=3)
    for name, value in WELL.items():
        setattr(night.host, name, value)
    night.passes(minutes=30)
    report = morning(night)
    assert (report.verdict, unmet(report)) == ("NO-GO", {"host_healthy", "nothing_critical"})


def test_a_warning_that_fires_at_the_end_is_named_beside_the_go_and_one_that_is_over_is_not() -> None:
    night = beside_pm2("redis")
    night.passes(hours=2)
    night.queues["tree-builder"].waiting = 50_000
    night.passes(minutes=30)
    open_ = morning(night)
    assert (open_.verdict, open_.headline) == ("GO", "GO, with 1 warning open")
    assert [(warning.rule, warning.subject) for warning in open_.open_warnings] == [
        ("redis_queue_backlog", "tree-builder")
    ]
    assert "redis_queue_backlog tree-builder" in open_.sentence
    night.queues["tree-builder"].waiting = 3
    night.passes(minutes=30)
    assert morning(night).headline == "GO"


def test_a_critical_alert_that_was_over_before_the_night_began_is_not_of_the_night() -> None:
    night = beside_pm2()
    night.passes(hours=1)
    night["gateway"].stops()
    night.passes(minutes=10)
    night["gateway"].starts()
    night.passes(hours=3)
    assert morning(night).verdict == "NO-GO"
    assert morning(night, hours=2).verdict == "GO"


@pytest.mark.parametrize("name", [subject.name for subject in measured()])
def test_each_probe_has_a_criterion_of_its_own_that_cannot_be_told_without_it(name: str) -> None:
    checks = {"shop": CheckOrder("tcp")} if name == "checks" else {}
    (subject,) = (subject for subject in measured() if subject.name == name)
    probes = frozenset(filter(None, ("pm2", name, subject.server, subject.beside)))
    night = Night(replace(LONG, probes=probes, checks=checks), every=240)
    places = {
        "host": night.machine,
        "checks": night.checking,
        "pipeline": night.pipeline_server,
        "chain": night.chain_server,
    }
    place = places.get(name) or getattr(night, name)
    night.passes(hours=2)
    assert morning(night).verdict == "GO"
    place.fails("internal", "the probe broke")
    night.passes(minutes=40)
    place.recovers()
    night.passes(hours=2)
    report = morning(night)
    assert report.verdict == ("NO-GO" if name in SERVERS else "UNKNOWN")
    assert CRITERION.get(name, "servers_reachable") in (unmet(report) if name in SERVERS else untold(report))


def test_a_probe_that_was_blind_for_less_than_a_twentieth_is_borne() -> None:
    night = beside_pm2("host")
    night.passes(hours=4)
    night.machine.fails("internal", "the probe broke")
    night.passes(minutes=10)
    night.machine.recovers()
    night.passes(hours=3)
    assert morning(night).verdict == "GO"


def test_slow_is_not_missed_at_any_minute_of_the_hour() -> None:
    night = beside_pm2("epochs")
    for group in night.groups.values():
        group.delay = 1574.0
    night.passes(hours=5)
    now = night.clock.now
    found = Counter(morning(night, hours=3, until=now - minute * 60 + 1).verdict for minute in range(0, 60, 4))
    assert found == {"GO": 15}


def test_a_label_that_is_absent_when_the_next_is_due_is_missed() -> None:
    night = beside_pm2("epochs", every=300)
    night.passes(hours=3)
    night.groups["MILO"].sealing = False
    night.passes(hours=2)
    assert "epochs_sealed" in unmet(morning(night))


@pytest.mark.parametrize(("minutes", "verdict"), [(50, "UNKNOWN"), (6, "GO")])
def test_a_table_that_could_not_be_measured_for_long_is_not_known_to_have_grown_steadily(
    minutes: float, verdict: str
) -> None:
    night = beside_pm2("postgres")
    night.passes(hours=3)
    night.table.gap = Unmeasured("user_signals", "timeout", "its size waits behind another session's lock")
    night.passes(minutes=minutes)
    night.table.gap = None
    night.passes(hours=3)
    report = morning(night)
    assert report.verdict == verdict
    assert untold(report) == (set() if verdict == "GO" else {"growth_steady"})
