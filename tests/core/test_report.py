"""The morning after: what a night comes to, told by what was recorded of it."""

from __future__ import annotations

import functools

import pytest

from monitord.core.copying import replace
from monitord.core.model import Failure, Observation, Reading
from monitord.core.report.builder import RecordedCycle, build_report
from monitord.core.report.model import Criterion, ServiceReport
from monitord.core.report.model import Report as Report
from monitord.core.subjects.epochs_report import SEALING_REPORT
from monitord.core.subjects.pm2_report import SERVICE_REPORTS
from monitord.core.subjects.postgres_report import TABLE_REPORTS
from tests.nights.playing import through_frames

from .nights import LONG, MEMORY, ORDERS, Night, orders


def morning(night: Night, hours: float = 12.0) -> Report:
    """The report of the night's last hours."""
    until = night.looks[-1].observation.now.timestamp()
    recorded = RecordedCycle([look.observation for look in night.looks], night.transitions, night.state)
    return build_report(recorded, night.orders, until - hours * 3600, until)


def criterion(report: Report, name: str) -> Criterion:
    return next(c for c in report.criteria if c.name == name)


def service(report: Report, name: str) -> ServiceReport:
    return next(s for s in report.of(SERVICE_REPORTS) if s.name == name)


# What is asked of one part of the fleet is asked of a night in which that part alone is watched.
ALL = ORDERS.probes
PM2 = frozenset({"pm2"})
TABLES = frozenset({"postgres"})
SEALS = frozenset({"postgres", "epochs"})


def quiet(hours: float = 3.0, every: float = 240.0, probes: frozenset[str] = ALL, **changes: object) -> Night:
    """So many hours of a night in which nothing happens."""
    if changes:
        night = Night(orders(late_after=LONG.late_after, probes=probes, **changes), every=every)
        night.passes(hours=hours)
        return night
    return _quiet(hours, every, probes).branch()


@functools.cache
def _quiet(hours: float, every: float, probes: frozenset[str]) -> Night:
    if 1 < hours <= 4:
        night = quiet(hours - 1, every, probes)
        night.passes(hours=1)
    else:
        night = Night(orders(late_after=LONG.late_after, probes=probes), every=every)
        night.passes(hours=hours)
    return night


def test_a_healthy_night_is_a_go_with_evidence_for_every_criterion() -> None:
    report = morning(quiet(12, every=600), 12)
    assert report.verdict == "GO"
    assert [c.met for c in report.criteria] == [True] * 8
    assert all(c.evidence for c in report.criteria)
    assert report.blind_minutes == 0
    assert (report.incidents, report.blind, report.notes) == ((), (), ())
    assert "24 due seals" in criterion(report, "epochs_sealed").evidence
    assert "42,0" in " ".join(criterion(report, "growth_steady").evidence.split())
    assert "cls-discovery may come and go" in criterion(report, "services_online").evidence


def test_what_an_older_version_did_not_ask_spoils_no_verdict_and_what_was_asked_in_vain_does() -> None:
    night = quiet(2)
    until = night.looks[-1].observation.now.timestamp()
    asked = replace(night.orders, probes=night.orders.probes | {"pipeline"})
    observations = [look.observation for look in night.looks]

    def report(of: list[Observation]) -> Report:
        recorded = RecordedCycle(of, night.transitions, night.state)
        return build_report(recorded, asked, until - 3600, until)

    then = report(observations)
    assert then.verdict == "GO"
    assert "pipeline_true" not in [c.name for c in then.criteria]
    failed = Reading("pipeline", failure=Failure("timeout", "it took too long"))
    in_vain = report([replace(one, readings={**one.readings, "pipeline": failed}) for one in observations])
    assert criterion(in_vain, "pipeline_true").met is None
    assert in_vain.verdict == "UNKNOWN"


def test_a_service_that_was_down_for_a_while_is_a_no_go_though_it_is_well_again() -> None:
    night = quiet(2, probes=PM2)
    night["gateway"].stops()
    night.passes(minutes=20)
    night["gateway"].starts()
    night.passes(hours=1)
    report = morning(night, 3)
    assert report.verdict == "NO-GO"
    assert criterion(report, "services_online").met is False
    assert "gateway" in criterion(report, "services_online").evidence
    assert [incident.cause.rule for incident in report.incidents] == ["service_down"]
    assert report.escalations[report.incidents[0].id].startswith("Severity: critical")
    (down,) = [s for s in service(report, "gateway").stretches if s.state == "wrong"]
    assert (down.word, round((down.end - down.start) / 60)) == ("stopped", 20)
    assert service(report, "gateway").ok is True


def test_what_went_wrong_before_the_night_began_is_not_of_the_night() -> None:
    night = quiet(1, probes=PM2)
    night["gateway"].stops()
    night.passes(minutes=20)
    night["gateway"].starts()
    night.passes(hours=3)
    report = morning(night, 2)
    assert report.verdict == "GO"
    assert report.incidents == ()


def test_a_skipped_epoch_is_named_by_its_label_and_group() -> None:
    night = quiet(1, probes=SEALS)
    night.groups["CLS"].skips.add(1762318800)
    night.passes(hours=5)
    report = morning(night, 5)
    found = criterion(report, "epochs_sealed")
    assert found.met is False
    assert any("CLS has no seal of 1762318800 (05:00 UTC)" in detail for detail in found.details)
    cls = next(group for group in report.of(SEALING_REPORT).groups if group.group == "CLS")
    assert [seal.label for seal in cls.seals if seal.state == "missed"] == [1762318800]
    milo = next(group for group in report.of(SEALING_REPORT).groups if group.group == "MILO")
    assert {seal.state for seal in milo.seals} == {"sealed"}


def test_a_seal_after_the_grace_is_named_and_forgiven() -> None:
    night = quiet(1, probes=SEALS)
    night.groups["MILO"].delay = 1574
    night.passes(hours=4)
    found = criterion(morning(night, 4), "epochs_sealed")
    assert found.met is True
    assert any("MILO sealed late: " in detail and "26 min" in detail for detail in found.details)


def test_a_recording_in_which_readings_are_as_those_before_tells_the_same_seals() -> None:
    night = quiet(1, every=300, probes=SEALS)
    night.groups["CLS"].skips.add(1762318800)
    night.groups["MILO"].delay = 1574
    night.passes(hours=5)
    once = [look.observation for look in night.looks]
    until, groups = once[-1].now.timestamp(), []
    for observations in (once, list(through_frames(once))):
        recorded = RecordedCycle(observations, night.transitions, night.state)
        groups.append(build_report(recorded, night.orders, until - 5 * 3600, until).of(SEALING_REPORT).groups)
    told, again = groups
    assert {seal.state for group in told for seal in group.seals} >= {"sealed", "late", "missed"}
    assert told == again


def test_growth_past_the_steady_rate_is_a_no_go_by_its_busiest_hour() -> None:
    night = quiet(2, probes=TABLES)
    night.table.per_second = 133_000 / 3600
    night.passes(hours=2)
    report = morning(night, 4)
    found = criterion(report, "growth_steady")
    assert found.met is False
    (table,) = report.of(TABLE_REPORTS)
    assert table.most == pytest.approx(133_000, rel=0.01)
    assert table.per_hour == pytest.approx(87_500, rel=0.02)
    raised = build_report(
        RecordedCycle([look.observation for look in night.looks], night.transitions, night.state),
        replace(night.orders, growth_steady=150_000),
        night.clock.now - 4 * 3600,
        night.clock.now,
    )
    assert criterion(raised, "growth_steady").met is True


def test_no_growth_at_all_is_not_steady() -> None:
    night = quiet(1, probes=TABLES)
    night.table.per_second = 0
    night.passes(hours=1)
    night.table.per_second = 12
    night.passes(hours=1)
    assert criterion(morning(night, 3), "growth_steady").met is False


def test_a_peak_between_two_looks_at_the_report_is_kept_with_its_time() -> None:
    night = quiet(2, probes=PM2)
    night["cls-worker"].memory = 480e6
    night.is_due()
    night.passes(seconds=1)
    peak_at = night.looks[-1].observation.now.timestamp()
    night["cls-worker"].memory = 90e6
    night.passes(hours=1)
    report = morning(night, 3)
    found = service(report, "cls-worker")
    assert (found.memory_peak, found.memory_peak_at) == (480e6, peak_at)
    assert max(value for _, value in found.memory if value is not None) == 480e6
    assert criterion(report, "memory_stable").met is True


def past_its_limit(**spell: float) -> Night:
    night = quiet(1, every=60, probes=PM2)
    night["cls-worker"].memory = 501e6
    night.passes(**spell)
    night["cls-worker"].memory = 90e6
    night.every = 240.0
    night.passes(hours=1)
    return night


def test_memory_past_its_limit_for_two_minutes_is_named_and_is_no_reason_for_a_no_go() -> None:
    report = morning(past_its_limit(minutes=2), 2)
    found = criterion(report, "memory_stable")
    assert (found.met, criterion(report, "no_restarts").met, report.verdict) == (True, True, "GO")
    assert any("cls-worker peaked at 501 MB of 500 MB" in line and "past it for" in line for line in found.details)


def test_memory_past_its_limit_for_the_time_of_a_stall_is_not_stable_and_calls_for_a_restart() -> None:
    report = morning(past_its_limit(minutes=16), 2)
    assert (criterion(report, "memory_stable").met, criterion(report, "no_restarts").met) == (False, False)


def test_memory_past_its_limit_in_many_short_spells_is_not_stable() -> None:
    night = quiet(1, probes=PM2)
    for _ in range(6):
        night["cls-worker"].memory = 501e6
        night.passes(minutes=5)
        night["cls-worker"].memory = 90e6
        night.passes(minutes=5)
    assert criterion(morning(night, 2), "memory_stable").met is False


def test_a_crash_is_a_restart_that_was_required_and_an_operators_is_told_and_forgiven() -> None:
    night = quiet(1, probes=PM2)
    night["gateway"].is_restarted()
    night.passes(minutes=10)
    report = morning(night, 1)
    assert criterion(report, "no_restarts").met is True
    assert service(report, "gateway").restarts == {"operator": 1}
    night["tree-builder"].crashes(2)
    night.passes(minutes=10)
    report = morning(night, 1)
    assert criterion(report, "no_restarts").met is False
    assert service(report, "tree-builder").restarts == {"automatic": 2}
    assert "restarted" in {stretch.state for stretch in service(report, "tree-builder").stretches}


def test_a_deployment_is_told_by_its_kind_and_does_not_spoil_the_night() -> None:
    night = quiet(1, probes=PM2)
    for name in MEMORY:
        if night[name].state == "online":
            night[name].is_restarted()
    night.passes(hours=1)
    report = morning(night, 2)
    assert report.verdict == "GO"
    assert service(report, "gateway").restarts == {"deployment": 1}


def test_a_critical_alert_that_is_still_open_is_a_no_go_whatever_the_criteria_say() -> None:
    night = quiet(1, probes=PM2 | {"redis"})
    night.redis.fails()
    night.passes(minutes=10)
    report = morning(night, 1)
    assert report.verdict == "NO-GO"
    assert [c.name for c in report.criteria if c.met is False] == ["servers_reachable", "nothing_critical"]


def test_a_pm2_away_for_an_hour_and_back_is_a_no_go_and_what_it_hid_is_unknown() -> None:
    night = quiet(2, probes=PM2 | SEALS)
    night.pm2.fails("timeout", "no answer within 5 s")
    night.passes(hours=1)
    night.pm2.recovers()
    night.passes(hours=1)
    report = morning(night, 4)
    assert [c.name for c in report.criteria if c.met is False] == ["servers_reachable", "nothing_critical"]
    assert 59 <= report.blind_minutes <= 61
    assert criterion(report, "services_online").met is None
    assert criterion(report, "epochs_sealed").met is True
    (spell,) = report.blind
    assert (spell.probe, spell.why, spell.error) == ("pm2", "failed", "no answer within 5 s")
    assert "unknown" in {stretch.state for stretch in service(report, "gateway").stretches}


def test_not_met_beats_not_known() -> None:
    night = quiet(2, probes=PM2)
    night["gateway"].stops()
    night.passes(minutes=10)
    night.pm2.fails()
    night.passes(hours=2)
    assert morning(night, 4).verdict == "NO-GO"


def test_a_blip_of_the_watch_is_told_and_forgiven_where_the_same_processes_run_after_it() -> None:
    night = quiet(3, probes=PM2)
    night.pm2.fails()
    night.look(["pm2"])
    night.pm2.recovers()
    night.passes(hours=3)
    report = morning(night, 6)
    assert report.verdict == "GO"
    assert 0 < report.blind_minutes <= 2
    assert "PM2 could not be measured for " in " ".join(criterion(report, "servers_reachable").details)


def test_a_watch_that_began_late_does_not_vouch_for_the_time_before() -> None:
    report = morning(quiet(2), 12)
    assert report.verdict == "UNKNOWN"
    assert report.blind_minutes == 0  # what was not yet recorded is not blind time
    assert {(spell.why, round(spell.end - spell.start, -2)) for spell in report.blind} == {("unrecorded", 36_000)}
    assert criterion(report, "services_online").evidence == "Of 12 h, 10 h are not recorded."
    assert criterion(report, "epochs_sealed").met is True  # the database remembers
    assert report.notes[0].startswith("The recording begins at ")


def test_nothing_recorded_is_unknown() -> None:
    night = quiet(1)
    report = build_report(RecordedCycle([], [], night.state), night.orders, night.clock.now, night.clock.now + 3600)
    assert report.verdict == "UNKNOWN"
    assert {c.met for c in report.criteria} == {None}
    assert report.notes == ("Nothing is recorded of this time: was monitord running?",)


def test_monitord_away_for_an_hour_is_blind_time_and_counters_bridge_it() -> None:
    night = quiet(2, every=60, probes=PM2 | TABLES)
    night.orders = replace(night.orders, late_after=ORDERS.late_after)
    night.monitord_is_away(hours=1)
    night.passes(hours=1)
    report = morning(night, 4)
    assert report.verdict == "UNKNOWN"
    assert criterion(report, "growth_steady").met is True
    assert 59 <= report.blind_minutes <= 62
    assert {spell.why for spell in report.blind} == {"away"}


def test_a_night_replayed_in_a_minute_has_its_verdict_too() -> None:
    from datetime import timedelta

    second = timedelta(seconds=1)
    fast = orders(
        epoch_length=5 * second,
        epoch_grace=2 * second,
        late_after=3 * second,
        confirm_every=second,
        growth_window=12 * second,
        flow_stall=10 * second,
        seal_warning=30 * second,
        seal_critical=60 * second,
    )
    night = Night(fast, every=1)
    night.passes(minutes=1)
    report = morning(night, 1 / 60)
    assert report.verdict == "GO", report.criteria
    assert len(report.of(SEALING_REPORT).groups[0].seals) >= 11
    assert criterion(report, "epochs_sealed").title == "New epochs sealed every 5 s"


def test_a_fleet_without_a_database_is_not_judged_by_one_and_the_report_says_so() -> None:
    report = morning(quiet(2, probes=frozenset({"pm2", "host"})), 2)
    assert {c.name for c in report.criteria} == {
        "services_online",
        "memory_stable",
        "no_restarts",
        "servers_reachable",
        "host_healthy",
        "nothing_critical",
    }
    assert report.verdict == "GO"
    assert report.notes == ("Not watched, and so not judged: Postgres and Redis.",)


def test_without_pm2_there_is_nothing_to_vouch_for() -> None:
    report = morning(quiet(2, probes=frozenset({"host"})), 2)
    assert report.verdict == "UNKNOWN"
    assert criterion(report, "services_online").met is None


def test_the_text_to_hand_on_tells_the_worst_it_came_to_and_not_how_it_eased() -> None:
    night = quiet(1, probes=PM2)
    night["cls-worker"].crashes(25)
    night.passes(minutes=10)
    night["cls-worker"].crashes(7)
    night.passes(minutes=55)  # the 25 are forgotten
    report = morning(night, 2)
    (found,) = report.incidents
    assert (found.cause.severity, found.severity) == ("warning", "critical")
    assert report.escalations[found.id].startswith("Severity: critical")


def test_what_is_not_known_is_not_told_as_unsealed() -> None:
    night = quiet(1)
    report = build_report(RecordedCycle([], [], night.state), night.orders, night.clock.now, night.clock.now + 3 * 3600)
    assert "MILO: 0 of 3 due epochs are known to be sealed." in criterion(report, "epochs_sealed").details
