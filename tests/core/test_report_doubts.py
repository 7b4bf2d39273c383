"""Mornings after nights that nearly passed for good ones: what nobody measured, a clock set back, what lay hidden."""

from __future__ import annotations

from dataclasses import replace

from monitord.core.model import Unmeasured, sample
from monitord.core.subjects.epochs_report import SEALING_REPORT
from monitord.core.subjects.pm2_report import SERVICE_REPORTS
from monitord.core.subjects.postgres_report import TABLE_REPORTS

from .test_report import PM2, SEALS, TABLES, criterion, morning, quiet, service


def test_labels_that_no_reading_reached_back_to_are_unknown_and_not_missed() -> None:
    night = quiet(3, every=300, probes=SEALS)
    night.monitord_is_away(hours=40)
    night.passes(hours=3)
    report = morning(night, 46)
    found = criterion(report, "epochs_sealed")
    states = {seal.state for group in report.of(SEALING_REPORT).groups for seal in group.seals}
    assert "missed" not in states
    assert found.met is None


def test_a_seal_without_a_time_is_not_said_to_have_come_at_once() -> None:
    night = quiet(1, every=60, probes=SEALS)
    group = night.groups["MILO"]
    group.delay = 3000.0
    night.passes(hours=3)
    looks = []
    for look in night.looks:
        reading = look.observation.readings.get("epochs")
        if reading is not None:
            told = tuple(
                sample("seal_at", None, "timestamp", **dict(s.labels)) if s.name == "seal_at" else s
                for s in reading.samples
            )
            observation = replace(
                look.observation, readings={**look.observation.readings, "epochs": replace(reading, samples=told)}
            )
            look = replace(look, observation=observation)
        looks.append(look)
    night.looks = looks
    found = criterion(morning(night, 3), "epochs_sealed")
    assert found.met is True
    (late,) = [detail for detail in found.details if detail.startswith("MILO sealed late")]
    assert late.count("after 50 min") == 3


def test_a_crash_of_one_instance_is_not_hidden_by_an_operators_restart_of_another() -> None:
    night = quiet(1, probes=PM2)
    second = night.appears("gateway")
    night.passes(minutes=10)
    night["gateway"].crashes()
    second.is_restarted()
    night.passes(minutes=10)
    report = morning(night, 1 / 3)
    assert criterion(report, "no_restarts").met is False
    assert service(report, "gateway").restarts == {"automatic": 1, "operator": 1}


def test_memory_that_pm2_does_not_tell_is_not_within_its_limit() -> None:
    night = quiet(1, probes=PM2)
    night["gateway"].memory = None
    night.passes(hours=2)
    report = morning(night, 3)
    assert criterion(report, "memory_stable").met is None
    assert "gateway" in criterion(report, "memory_stable").evidence


def test_what_happens_after_the_clock_was_set_back_is_of_the_night() -> None:
    night = quiet(4, probes=PM2)
    night.clock_steps(hours=-1)
    night.passes(minutes=10)
    night["tree-builder"].crashes()
    night.passes(minutes=10)
    report = morning(night, 3)
    assert service(report, "tree-builder").restarts == {"automatic": 1}
    assert report.verdict == "NO-GO"


def test_an_incident_that_began_by_a_clock_that_was_ahead_is_still_open() -> None:
    night = quiet(2, probes=frozenset({"host"}))
    night.clock_steps(hours=3)
    night.passes(minutes=5)
    night.host.available = 50e6
    night.passes(minutes=5)
    night.clock_steps(hours=-3)
    night.passes(hours=1)
    report = morning(night, 3)
    assert criterion(report, "nothing_critical").met is False


def test_nothing_of_a_night_with_a_clock_set_back_has_a_negative_length_or_overlaps() -> None:
    night = quiet(3)
    night.clock_steps(hours=-1, minutes=-7)
    night.passes(hours=3)
    report = morning(night, 5)
    for found in report.of(SERVICE_REPORTS):
        edges = [edge for stretch in found.stretches for edge in (stretch.start, stretch.end)]
        assert edges == sorted(edges)
        times = [at for at, _ in found.memory]
        assert times == sorted(times)
    for table in report.of(TABLE_REPORTS):
        assert all(hour.rows is None or hour.rows >= 0 for hour in table.hours)
    assert all(spell.end >= spell.start for spell in report.blind)


def test_what_fell_due_by_a_clock_that_was_ahead_is_not_missed() -> None:
    night = quiet(2, probes=SEALS)
    night.clock_steps(hours=3)
    night.passes(minutes=5)
    night.clock_steps(hours=-3)
    night.until(7, 1)
    report = morning(night, 3)
    states = {seal.label: seal.state for group in report.of(SEALING_REPORT).groups for seal in group.seals}
    assert set(states.values()) == {"sealed", "open"}
    assert criterion(report, "epochs_sealed").met is True


def test_a_critical_alert_that_outlived_its_lesser_cause_is_an_open_critical_incident() -> None:
    night = quiet(1, probes=PM2 | SEALS)
    for group in night.groups.values():
        group.sealing = False
    for _ in range(24):
        night["tree-builder"].crashes(2)
        night.passes(minutes=15)
    assert night.of("firing", "sealing_stuck", "MILO")
    report = morning(night, 3)
    assert criterion(report, "nothing_critical").met is False


def test_a_cause_that_is_over_is_told_as_over_and_what_outlived_it_as_open() -> None:
    night = quiet(1, every=60, probes=PM2 | SEALS)
    night["tree-builder"].stops()
    for group in night.groups.values():
        group.sealing = False
    night.passes(hours=2, minutes=30)
    night["tree-builder"].starts()
    night.passes(minutes=5)
    assert night.of("firing", "sealing_late", "MILO")
    report = morning(night, 4)
    found = criterion(report, "nothing_critical")
    assert found.met is False
    assert "tree-builder is stopped" in found.evidence
    assert "(from 04:58 UTC to 07:28:05 UTC, 2 h 30 min)" in found.evidence
    open_ = {(warning.rule, warning.subject) for warning in report.open_warnings}
    assert open_ == {("sealing_late", "MILO"), ("sealing_late", "CLS")}


def test_what_ended_is_told_with_its_end() -> None:
    night = quiet(1, every=60, probes=PM2)
    night["gateway"].stops()
    night.passes(minutes=20)
    night["gateway"].starts()
    night.passes(hours=1)
    (detail, *_) = criterion(morning(night, 2), "services_online").details
    assert "(from 04:58 UTC to 05:1" in detail


def test_an_alert_of_a_long_incident_that_ended_before_the_night_is_not_of_the_night() -> None:
    night = quiet(1, probes=PM2 | SEALS)
    night["tree-builder"].stops()
    for group in night.groups.values():
        group.sealing = False
    night.passes(hours=2, minutes=30)
    night["tree-builder"].starts()
    night.passes(minutes=10)
    night.passes(hours=1)
    assert criterion(morning(night, 1), "services_online").met is True


def test_one_is_said_as_one() -> None:
    night = quiet(1, probes=PM2, services={"gateway": "online"})
    night.services = [night["gateway"]]
    night.passes(minutes=30)
    night["gateway"].is_restarted()
    night.passes(minutes=45)
    report = morning(night, 1)
    assert criterion(report, "services_online").evidence == "1 service was online throughout."
    assert criterion(report, "no_restarts").evidence == "1 restart, on purpose."
    night["gateway"].crashes()
    night.passes(minutes=5)
    report = morning(night, 1 / 6)
    assert criterion(report, "no_restarts").evidence == "PM2 restarted services once by itself."


def test_a_reboot_is_not_on_purpose_for_all_that_anybody_knows() -> None:
    night = quiet(2, probes=PM2 | {"host"})
    night.host.boot_at = night.clock.now + 10
    night.passes(seconds=15)
    for process in night.services:
        if process.state == "online":
            process.starts()
    night.every = 240.0
    night.passes(hours=1)
    report = morning(night, 3)
    assert service(report, "gateway").restarts == {"reboot": 1}
    found = criterion(report, "no_restarts")
    assert found.met is None
    assert "purpose" not in found.evidence or "whether" in found.evidence


def test_a_service_that_is_away_for_half_of_the_night_in_pieces_is_not_online() -> None:
    night = quiet(0.5, every=120, probes=PM2, confirmations=10)
    for _ in range(15):
        night["gateway"].stops()
        night.passes(seconds=40)
        night["gateway"].starts()
        night.passes(seconds=61)
    assert not night.said()
    found = criterion(morning(night, 0.5), "services_online")
    assert found.met is False
    assert any("gateway" in detail for detail in found.details)


def test_a_flood_in_the_last_minutes_is_not_steady_growth() -> None:
    night = quiet(3, every=120, probes=TABLES)
    night.passes(minutes=13)  # to ten past the hour
    night.table.floods(300_000)
    night.passes(minutes=2)
    found = criterion(morning(night, 3), "growth_steady")
    assert found.met is False


def test_an_absence_that_ends_with_a_failing_pm2_vouches_for_nothing() -> None:
    night = quiet(2, every=30, probes=PM2)
    night.monitord_is_away(hours=1)
    night.pm2.fails()
    night.passes(minutes=2)
    night.pm2.recovers()
    night.every = 240.0
    night.passes(hours=1)
    stretches = service(morning(night, 4), "gateway").stretches
    assert sum(one.end - one.start for one in stretches if one.state == "unknown") >= 3600


def test_a_group_that_was_never_seen_is_a_finding_and_the_report_does_not_call_its_epochs_sealed() -> None:
    night = quiet(1, probes=SEALS)
    night.epochs_gaps = (Unmeasured("MILO", "missing", "nothing was ever sealed of MILO", alone=True),)
    night.passes(hours=1)
    alert = night.fired_once("subject_unmeasured", "MILO")
    assert alert.finding.summary == "MILO cannot be measured: nothing was ever sealed of MILO."
    assert "MONITORD_EPOCHS__GROUPS" in alert.finding.recommendation
    found = criterion(morning(night, 2), "epochs_sealed")
    assert found.met is None
    assert "Nothing was ever sealed of MILO" in found.evidence
