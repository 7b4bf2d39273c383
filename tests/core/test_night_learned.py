"""Nights judged by the past: unusually slow or incomplete, a channel silent; and the many that are none of it."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import timedelta

import pytest

from monitord.core.orders import StandingOrders

from .habits import CLS, HOUR, MILO, all_but, has_habits, looked_at_again, looked_at_seldom, some, varied
from .nights import ORDERS, Night, restored

WARN = replace(ORDERS, learned_warnings=True, probes=frozenset({"epochs"}))


def experienced(orders: StandingOrders = WARN, *, days: float = 5, counted: bool = True) -> Night:
    """A night after some days, looked at every few hours until now and every 30 seconds from here on."""
    if (orders, days, counted) == (WARN, 5, True):
        return _experienced().branch()
    return _after(orders, days, counted=counted)


@functools.cache
def _experienced() -> Night:
    return _after(WARN, 5, counted=True)


def _after(orders: StandingOrders, days: float, *, counted: bool) -> Night:
    night = Night(orders)
    varied(night)
    if counted:
        has_habits(night)
    looked_at_seldom(night)
    night.passes(days=days)
    night.until(3, 57)
    night.is_silent()
    looked_at_again(night, 30, orders.late_after)
    night.passes(seconds=1)
    return night


def both_take(night: Night, label: int, seconds: float) -> None:
    """Both groups seal a label so late: in step, so that no other rule has anything to say."""
    for group in night.groups.values():
        group.delays[label] = seconds


def next_label(night: Night) -> int:
    """The label of the epoch that lasts now: the next to be sealed."""
    return int(night.now) // HOUR * HOUR


@pytest.mark.parametrize("every", [600.0, 3600.0])
def test_a_healthy_fleet_that_varies_is_silent(every: float) -> None:
    night = Night(replace(WARN, late_after=timedelta(hours=2)), every=every)
    varied(night)
    night.groups["MILO"].takes_part = some(MILO, 8, 10)
    night.groups["CLS"].takes_part = some(CLS, 50, 160)
    night.passes(days=2 if every < HOUR else 10)
    night.is_silent()
    assert night.state.history.learned["CLS"].completeness.participating.numbers[-1] is not None


def test_a_seal_within_a_quarter_of_an_epoch_is_not_slow_however_fast_they_were_before() -> None:
    night = experienced()
    for group in night.groups.values():
        group.delay, group.delays = 60.0, {}
    looked_at_seldom(night)
    night.passes(days=8)  # so that the habit is of a minute, and not of thirteen
    looked_at_again(night, 1800, timedelta(hours=2))
    both_take(night, next_label(night), 890)
    night.passes(hours=2)
    night.is_silent()
    both_take(night, next_label(night), 1000)
    night.passes(hours=2)
    assert {subject for rule, subject in {(t.alert.rule, t.alert.subject) for t in night.transitions}} == {
        "MILO",
        "CLS",
    }


def test_a_seal_later_than_all_before_is_slow_from_the_moment_it_is_until_one_is_in_time() -> None:
    night = experienced()
    label = next_label(night)
    both_take(night, label, 3000)
    night.until(4, 17)
    night.is_silent()
    night.until(4, 30)
    alert = night.fired_once("sealing_slow", "MILO", alone=False)
    assert (alert.severity, alert.finding.unit, alert.finding.limit) == ("warning", "seconds", 1095)
    assert isinstance(alert.finding.value, int)
    assert 1095 < alert.finding.value < 1130
    assert "has not sealed" in alert.finding.summary
    assert "later than 99% of its 142 seals of the last 5 d 22 h." in alert.finding.summary
    assert (alert.finding.evidence["label"], alert.finding.evidence["sealed"]) == (label, False)
    night.until(5, 1)
    still = night.state.alerts["sealing_slow/MILO"]
    assert "MILO took 50 min to seal" in still.finding.summary
    assert (still.finding.value, still.finding.evidence["label"]) == (3000, label)
    night.until(5, 20)
    night.resolved_once("sealing_slow", "MILO")
    assert {said.split("/")[0] for said in night.said()} == {"firing sealing_slow", "resolved sealing_slow"}


def test_a_group_that_seals_nothing_is_slow_then_late_then_stuck_and_one_at_a_time() -> None:
    night = experienced()
    night.every = 300
    night.groups["MILO"].sealing = night.groups["CLS"].sealing = False
    night.passes(hours=5)
    for group in ("MILO", "CLS"):
        night.resolved_once("sealing_slow", group, reason="replaced_by sealing_late")
        assert len(night.of("firing", "sealing_slow", group)) == 1
    assert {rule for rule, _ in night.firing()} == {"sealing_stuck"}


@pytest.mark.parametrize("name", ["MILO", "CLS"])
def test_one_group_that_stops_is_one_incident_from_out_of_step_to_stuck(name: str) -> None:
    night = experienced()
    looked_at_again(night, 120, timedelta(minutes=6))
    night.groups[name].sealing = False
    night.passes(hours=5)
    fired = [edge.alert for edge in night.transitions if edge.edge == "firing"]
    assert [alert.rule for alert in fired] == ["groups_out_of_sync", "sealing_late", "sealing_stuck"]
    assert len({alert.incident_id for alert in fired}) == 1


@pytest.mark.parametrize("minutes", [75, 90, 130])
def test_what_waited_behind_a_label_that_was_told_as_late_is_no_news_of_its_own(minutes: int) -> None:
    night = experienced()
    looked_at_again(night, 120, timedelta(minutes=6))
    night.groups["MILO"].sealing = False
    night.passes(minutes=minutes)
    night.groups["MILO"].sealing = True
    night.passes(hours=3)
    assert night.of("firing", "sealing_slow", "MILO") == []
    assert night.firing() == set()


def test_nothing_is_said_of_it_unless_the_operator_turns_it_on() -> None:
    night = experienced(replace(WARN, learned_warnings=False, late_after=timedelta(minutes=15)))
    night.every = 300
    label = next_label(night)
    both_take(night, label, 3000)
    night.groups["CLS"].left_out[label] = set(CLS[:300])
    night.groups["MILO"].takes_part = all_but("milo03", label)
    night.passes(hours=5)
    night.is_silent()


def test_what_was_warned_of_is_no_longer_watched_once_it_is_turned_off() -> None:
    night = experienced()
    both_take(night, next_label(night), 3000)
    night.until(4, 40)
    night.fired_once("sealing_slow", "MILO", alone=False)
    night.orders = replace(WARN, learned_warnings=False)
    night.passes(minutes=1)
    night.resolved_once("sealing_slow", "MILO", reason="not_watched")


def test_of_a_young_watch_nothing_is_unusual() -> None:
    night = Night(WARN)
    for group in night.groups.values():
        group.delays = {next_label(night): 3000}
    night.groups["CLS"].takes_part = some(CLS, 50, 160)
    night.groups["CLS"].left_out[next_label(night)] = set(CLS[:300])
    night.passes(hours=2)
    assert [said for said in night.said() if "slow" in said or "incomplete" in said] == []


def test_an_outage_of_postgres_makes_no_seal_slow() -> None:
    night = experienced(replace(WARN, probes=WARN.probes | {"postgres"}))
    label = next_label(night)
    night.until(4, 1)
    night.postgres.fails()
    night.epochs.fails()
    both_take(night, label, 3300)
    night.until(4, 50)
    night.postgres.recovers()
    night.epochs.recovers()
    night.until(5, 30)
    assert [said for said in night.said() if "slow" in said] == []


def test_channels_left_out_of_an_epoch_are_named_until_they_are_sealed() -> None:
    night = experienced()
    label = next_label(night)
    group = night.groups["CLS"]
    assert group.takes_part is not None
    took = sorted(group.takes_part(label))
    group.left_out[label] = set(took[:7])
    night.until(4, 14, 50)
    night.is_silent()
    night.until(4, 16)
    alert = night.fired_once("sealing_incomplete", "CLS")
    assert (alert.severity, alert.finding.value, alert.finding.unit) == ("warning", 7, "channels")
    assert f"without 7 of the {len(took)} channels that took part: {', '.join(took[:5])} and 2 more." in (
        alert.finding.summary
    )
    assert alert.finding.evidence["label"] == label
    assert alert.finding.evidence["participating"] == len(took)
    group.left_out[label] = set()
    night.passes(minutes=1)
    night.resolved_once("sealing_incomplete", "CLS")
    (edge,) = night.of("resolved", "sealing_incomplete", "CLS")
    assert edge.now.startswith(f"CLS has sealed {len(took)} of the {len(took)} channels of {label} (")


def test_a_group_that_always_leaves_some_out_is_warned_of_when_it_leaves_out_many_more() -> None:
    night = Night(replace(WARN, late_after=timedelta(hours=2)), every=HOUR)
    group = night.groups["MILO"]
    group.takes_part = all_but("", float("inf"))
    start = next_label(night)
    for n in range(100):
        group.left_out[start + n * HOUR] = {MILO[n % 12]}
    group.left_out[start + 60 * HOUR] = set(MILO[:2])
    group.left_out[start + 80 * HOUR] = set(MILO[:6])
    night.passes(hours=80)
    night.is_silent()
    night.passes(hours=2)
    assert night.fired_once("sealing_incomplete", "MILO").finding.value == 6


def test_an_epoch_that_is_not_sealed_at_all_is_late_and_not_incomplete() -> None:
    night = experienced()
    night.groups["CLS"].delays[next_label(night)] = 3000
    night.until(4, 45)
    assert night.firing() == {("groups_out_of_sync", "epochs")}
    assert len(night.of("suppressed", "sealing_slow", "CLS")) == 1
    assert [said for said in night.said() if "incomplete" in said] == []


def test_a_cemented_channel_that_falls_silent_is_missed_until_it_is_back() -> None:
    night = experienced()
    gone, back = next_label(night), next_label(night) + 5 * HOUR
    night.groups["MILO"].takes_part = all_but("milo03", gone, back)
    night.every = 300
    night.until(6, 10)
    night.is_silent()
    night.until(6, 30)
    alert = night.fired_once("channel_silent", "MILO/milo03")
    assert (alert.severity, alert.finding.value, alert.finding.unit) == ("warning", 3, "labels")
    assert "milo03 of MILO has taken part in none of the last 3 epochs" in alert.finding.summary
    assert alert.finding.evidence["label"] == gone + 2 * HOUR
    night.state = restored(night.state)
    night.until(9, 10)
    assert night.firing() == {("channel_silent", "MILO/milo03")}
    night.until(9, 30)
    night.resolved_once("channel_silent", "MILO/milo03")
    (edge,) = night.of("resolved", "channel_silent", "MILO/milo03")
    assert edge.now.startswith("milo03 of MILO takes part again, in ")


def test_a_channel_that_never_comes_back_is_forgotten_and_not_called_well() -> None:
    night = experienced()
    night.groups["MILO"].takes_part = all_but("milo03", next_label(night))
    night.every, night.orders = HOUR, replace(WARN, late_after=timedelta(hours=2))
    night.passes(hours=80)
    night.resolved_once("channel_silent", "MILO/milo03", reason="not_watched")


def test_channels_are_not_missed_while_their_whole_group_is_silent() -> None:
    night = experienced()
    gone = next_label(night)
    night.groups["MILO"].takes_part = lambda label: frozenset() if label >= gone else frozenset(MILO)
    night.every = 300
    night.passes(hours=8)
    assert [said for said in night.said() if "silent" in said] == []


def test_participation_that_is_no_longer_told_freezes_what_was_said_of_it() -> None:
    night = experienced()
    group, label = night.groups["CLS"], next_label(night)
    assert group.takes_part is not None
    group.left_out[label] = set(sorted(group.takes_part(label))[:7])
    night.until(4, 16)
    night.fired_once("sealing_incomplete", "CLS")
    group.takes_part = None
    night.every = 300
    night.passes(hours=3)
    assert night.firing() == {("sealing_incomplete", "CLS")}
    assert night.status == "warning"


def test_a_database_that_does_not_tell_who_takes_part_is_neither_alarmed_at_nor_unknown() -> None:
    night = experienced(counted=False)
    night.every = 60
    night.passes(hours=2)
    night.is_silent()
    assert night.status == "ok"


def test_a_clock_that_is_set_back_and_forth_invents_nothing() -> None:
    night = experienced()
    night.every = 60
    night.clock_steps(hours=-3)
    night.passes(minutes=30)
    night.clock_steps(hours=3)
    night.passes(hours=2)
    assert [said for said in night.said() if "slow" in said or "incomplete" in said or "silent" in said] == []
