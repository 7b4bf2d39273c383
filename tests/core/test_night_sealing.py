"""Nights of sealing: late, stuck, with gaps, out of step; judged by the seal's age and never by the label's."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitord.core.model import Finding

from . import nights
from .habits import looked_at_again
from .nights import BASELINE, EVERY, Night, watching

PROBES = frozenset({"postgres", "epochs"})  # the others have nothing to say of seals
ORDERS, LONG = replace(nights.ORDERS, probes=PROBES), replace(nights.LONG, probes=PROBES)
TWO_O_CLOCK = 1762308000  # 02:00 UTC, the newest label of the baseline


def stop_after(night: Night, label: int) -> None:
    """Both groups seal up to `label` and no further."""
    for group in night.groups.values():
        group.skips |= set(range(label + group.length, label + 100 * group.length, group.length))


def at(night: Night, seconds: float) -> None:
    """Time goes by until so many seconds after the baseline's newest label has ended."""
    night.passes(seconds=TWO_O_CLOCK + 3600 + seconds - night.clock.now)


def nearly(night: Night, seconds: float) -> None:
    """The same but for the last ten minutes, and looked at every five; from then on every 30 seconds again."""
    night.every, night.orders = 300, LONG
    at(night, seconds - 600)
    looked_at_again(night, EVERY, ORDERS.late_after)


def test_a_healthy_seal_is_never_late_at_any_minute_of_the_hour() -> None:
    night = watching("epochs", orders=LONG, every=300)
    for group in night.groups.values():
        group.delay = 1574  # a bad night's
    night.passes(hours=24)
    assert {said for said in night.said() if "sealing" in said} == set()


def test_a_seal_age_of_two_hours_is_silent_and_past_it_is_a_warning() -> None:
    night = watching("epochs")
    stop_after(night, TWO_O_CLOCK)
    nearly(night, 7200)
    at(night, 7200)
    assert night.said() == []
    at(night, 7200 + 36)
    alert = night.fired_once("sealing_late", "MILO", alone=False)
    assert alert.severity == "warning"
    assert isinstance(alert.finding.value, float)
    assert 7200 < alert.finding.value <= 7236
    assert (alert.finding.limit, alert.finding.unit) == (7200, "seconds")
    night.fired_once("sealing_late", "CLS", alone=False)
    for group in night.groups.values():
        group.skips.clear()
    night.passes(minutes=1)
    night.resolved_once("sealing_late", "MILO")
    night.resolved_once("sealing_late", "CLS")
    assert night.firing() == set()


def test_a_seal_age_past_four_hours_is_stuck_and_replaces_late() -> None:
    night = watching("epochs")
    stop_after(night, TWO_O_CLOCK)
    nearly(night, 4 * 3600)
    at(night, 4 * 3600)
    assert {rule for rule, _ in night.firing()} == {"sealing_late"}
    at(night, 4 * 3600 + 36)
    alert = night.fired_once("sealing_stuck", "MILO", alone=False)
    assert (alert.severity, alert.finding.limit, alert.finding.unit) == ("critical", 14_400, "seconds")
    night.resolved_once("sealing_late", "MILO", reason="replaced_by sealing_stuck")
    assert {rule for rule, _ in night.firing()} == {"sealing_stuck"}
    nearly(night, 7 * 3600)
    assert len(night.of("firing", "sealing_late", "MILO")) == 1
    assert len(night.of("pending", "sealing_late", "MILO")) == 1


def test_a_stuck_group_that_catches_up_by_half_is_late() -> None:
    night = watching("epochs")
    stop_after(night, TWO_O_CLOCK)
    nearly(night, 5 * 3600)
    at(night, 5 * 3600)
    for group in night.groups.values():
        group.skips.discard(TWO_O_CLOCK + 3600)
        group.skips.discard(TWO_O_CLOCK + 7200)
        group.sealed |= {TWO_O_CLOCK + 3600: 9, TWO_O_CLOCK + 7200: 9}
    night.passes(minutes=1)
    assert {rule for rule, _ in night.firing()} == {"sealing_late"}
    night.resolved_once("sealing_stuck", "MILO")
    assert len(night.of("pending", "sealing_late", "MILO")) == 2  # before it was stuck, and once it no longer is


def test_nothing_sealed_in_the_whole_window_is_stuck() -> None:
    night = watching("epochs", every=120)
    for group in night.groups.values():
        group.sealing, group.sealed = False, {}
    night.passes(minutes=1)
    alert = night.fired_once("sealing_stuck", "CLS", alone=False)
    assert alert.finding.value is None
    assert {rule for rule, _ in night.firing()} == {"sealing_stuck"}
    assert night.report.as_fields()["epochs"]["CLS"]["latest"] is None
    assert night.report.as_fields()["epochs"]["CLS"]["seal_age_seconds"] is None


def test_one_dead_group_is_not_hidden_by_the_other() -> None:
    night = watching("epochs", orders=LONG, every=300)
    night.groups["MILO"].sealing = False
    night.passes(hours=6)
    assert {subject for rule, subject in night.firing() if rule == "sealing_stuck"} == {"MILO"}
    assert ("groups_out_of_sync", "epochs") in night.firing()


def test_groups_may_differ_within_the_grace_and_not_after_it() -> None:
    night = watching("epochs", orders=ORDERS, every=60)
    night.groups["CLS"].sealing = False
    night.until(4, 15)
    assert night.said() == []
    night.passes(seconds=36)
    alert = night.fired_once("groups_out_of_sync", "epochs")
    assert (alert.severity, alert.finding.value, alert.finding.unit) == ("warning", 1, "labels")
    assert "CLS is behind MILO by 1 epoch" in alert.finding.summary
    night.groups["CLS"].sealing = True
    night.passes(minutes=1)
    night.resolved_once("groups_out_of_sync", "epochs")


def test_two_dead_groups_are_stuck_and_not_out_of_sync() -> None:
    night = watching("epochs", orders=LONG, every=300)
    stop_after(night, TWO_O_CLOCK)
    night.passes(hours=6)
    assert {rule for rule, _ in night.firing()} == {"sealing_stuck"}


def test_one_group_alone_cannot_be_out_of_sync() -> None:
    night = watching("epochs", orders=replace(LONG, groups=("MILO",)), every=300)
    night.passes(hours=3)
    night.is_silent()
    night.groups["MILO"].sealing = False
    night.passes(hours=3)
    assert night.firing() == {("sealing_late", "MILO")}


def test_a_label_left_out_is_a_gap_once_a_later_one_is_sealed() -> None:
    night = watching("epochs")
    skipped = TWO_O_CLOCK + 3600
    for group in night.groups.values():
        group.skips = {skipped}
    night.until(4, 59)
    assert night.said() == []
    night.until(5, 5)
    alert = night.fired_once("sealing_gap", "MILO", alone=False)
    assert (alert.severity, alert.finding.value) == ("warning", 1)
    assert alert.finding.evidence["labels"] == [skipped]
    assert night.report.as_fields()["epochs"]["MILO"]["missed"] == [skipped]
    night.groups["MILO"].sealed[skipped] = 9
    night.passes(minutes=1)
    night.resolved_once("sealing_gap", "MILO")


def test_a_gap_that_was_never_filled_is_over_when_it_leaves_the_window() -> None:
    night = watching("epochs", orders=LONG, every=300)
    night.groups["MILO"].skips = night.groups["CLS"].skips = {TWO_O_CLOCK + 3600}
    night.passes(hours=27)
    night.fired_once("sealing_gap", "MILO", alone=False)
    assert [t.reason for t in night.of("resolved", "sealing_gap", "MILO")] == ["left_window"]
    assert night.firing() == set()


def test_what_is_missed_begins_after_the_oldest_seal_in_the_window() -> None:
    night = watching("epochs", every=120)
    for group in night.groups.values():
        group.sealing, group.sealed = False, {TWO_O_CLOCK: 9}
    night.passes(minutes=1)
    assert night.report.as_fields()["epochs"]["MILO"]["missed"] == []
    night.until(4, 16)
    assert night.report.as_fields()["epochs"]["MILO"]["missed"] == [TWO_O_CLOCK + 3600]
    night.is_silent()  # missed, but no later label is sealed: late at the most


def test_expected_moves_when_the_grace_is_over_and_latest_may_be_newer() -> None:
    night = watching("epochs", every=120)
    night.until(4, 14, 59)
    assert night.report.as_fields()["epochs"]["MILO"]["expected"] == TWO_O_CLOCK
    assert night.report.as_fields()["epochs"]["MILO"]["latest"] == TWO_O_CLOCK + 3600
    night.until(4, 15, 1)
    night.look()
    assert night.report.as_fields()["epochs"]["MILO"]["expected"] == TWO_O_CLOCK + 3600


def test_channels_are_those_of_the_latest_label() -> None:
    night = watching("epochs", every=120)
    night.groups["CLS"].sealed[TWO_O_CLOCK] = 61
    night.look()
    assert night.report.as_fields()["epochs"]["CLS"]["channels_sealed"] == 61


def test_the_seal_age_knows_no_grace() -> None:
    night = watching("epochs", every=120)
    night.look()
    assert night.report.as_fields()["epochs"]["MILO"]["seal_age_seconds"] == 57 * 60


def test_labels_of_the_far_future_blind_nothing() -> None:
    night = watching("epochs", every=120)
    for group in night.groups.values():
        group.careless = True
        group.sealed[9_999_997_200] = 1
    stop_after(night, TWO_O_CLOCK)
    nearly(night, 7200)
    at(night, 7300)
    night.fired_once("sealing_late", "MILO", alone=False)
    assert night.report.as_fields()["epochs"]["MILO"]["latest"] == TWO_O_CLOCK


def test_looking_at_seals_again_looks_at_postgres_too_since_it_may_explain_them() -> None:
    night = watching("postgres", "epochs")
    stop_after(night, TWO_O_CLOCK)
    nearly(night, 7200)
    at(night, 7230)
    assert night.of("pending", "sealing_late", "MILO")
    assert {recheck.probe for recheck in night.looks[-1].decision.rechecks} == {"epochs", "postgres"}


@pytest.mark.parametrize("length", [10, 60])
def test_a_night_in_seconds_is_judged_like_a_night_in_hours(length: int) -> None:
    scale = length / 3600
    small = replace(
        ORDERS,
        epoch_length=timedelta(seconds=length),
        epoch_grace=ORDERS.epoch_grace * scale,
        seal_warning=ORDERS.seal_warning * scale,
        seal_critical=ORDERS.seal_critical * scale,
        growth_window=ORDERS.growth_window * scale,
        confirm_every=timedelta(seconds=length / 60),
    )
    night = watching("postgres", "epochs", orders=small, start=datetime(2025, 11, 5, 4, tzinfo=UTC), every=length / 20)
    night.passes(seconds=12 * length)
    night.is_silent()
    for group in night.groups.values():
        group.sealing = False
    night.passes(seconds=2.5 * length)
    assert night.firing() == {("sealing_late", "MILO"), ("sealing_late", "CLS")}
    night.passes(seconds=2 * length)
    assert night.firing() == {("sealing_stuck", "MILO"), ("sealing_stuck", "CLS")}


def test_time_in_which_postgres_could_not_be_read_counts_towards_no_seal_age_limit() -> None:
    night = watching("postgres", "epochs", orders=LONG, every=300)
    night.passes(minutes=5)
    for server in (night.postgres, night.epochs):
        server.fails()
    for group in night.groups.values():
        group.sealing = False  # nobody can reach it
    night.passes(hours=5)
    for server in (night.postgres, night.epochs):
        server.recovers()
    night.passes(minutes=5)
    night.fired_once("postgres_unreachable", "postgres")
    for group in night.groups.values():
        group.sealing = True
    night.passes(minutes=10)
    assert night.firing() == set()
    assert night.said() == ["firing postgres_unreachable/postgres", "resolved postgres_unreachable/postgres"]


def test_a_pending_seal_alert_tells_all_that_a_person_needs() -> None:
    night = watching("epochs")
    stop_after(night, TWO_O_CLOCK)
    nearly(night, 7200)
    at(night, 7200 + 36)
    finding: Finding = night.fired_once("sealing_late", "CLS", alone=False).finding
    assert finding.recommendation
    assert finding.evidence["latest"] == TWO_O_CLOCK
    assert "02:00 UTC" in finding.summary
    assert night.clock.now > BASELINE.timestamp()
