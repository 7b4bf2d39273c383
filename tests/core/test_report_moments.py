"""The report's moments: as PM2 and its bus gave them; and what was never confirmed is not told as confirmed."""

from __future__ import annotations

from monitord.core.blocks import Bullets
from monitord.core.model import OperatorAction, ProcessExit
from monitord.core.subjects.pm2_report import services

from .nights import Night
from .test_report import PM2, criterion, morning, quiet, service


def said(night: Night) -> list[tuple[str | None, str]]:
    """What the report says of services that were not as expected, with how bad it is."""
    report = morning(night, 2)
    return [
        item
        for section in services(report)
        for block in section.blocks
        if isinstance(block, Bullets)
        for item in block.items
    ]


def test_a_restart_is_told_at_its_own_moment_and_not_at_the_reading_before_it() -> None:
    night = quiet(1, every=30, probes=PM2)
    night.passes(seconds=17)
    moment = night.clock.now
    night["gateway"].is_restarted()
    night.passes(minutes=10)
    (restarted,) = [part for part in service(morning(night, 2), "gateway").stretches if part.state == "restarted"]
    assert restarted.start == moment
    (event,) = [event for event in night.events if event.service == "gateway"]
    assert event.at == moment


def test_a_crash_is_told_at_the_moment_the_bus_gave_it() -> None:
    night = quiet(1, every=30, probes=PM2)
    night.passes(seconds=11)
    gateway = night["gateway"]
    night.exits.append(ProcessExit("gateway", str(gateway.pm_id), night.clock.now, 1))
    died = night.clock.now
    night.passes(seconds=5)
    gateway.crashes()
    night.passes(minutes=10)
    (restarted,) = [part for part in service(morning(night, 2), "gateway").stretches if part.state == "restarted"]
    assert restarted.start == died


def test_a_stop_is_one_moment_in_the_event_the_alert_and_the_report() -> None:
    night = quiet(1, every=30, probes=PM2)
    night.passes(seconds=13)
    stopped = night.clock.now
    night["gateway"].is_stopped_by_hand()
    night.passes(minutes=10)
    (event,) = [event for event in night.events if event.service == "gateway"]
    (down,) = [part for part in service(morning(night, 2), "gateway").stretches if part.state == "wrong"]
    alert = night.state.alerts["service_down/gateway"]
    assert [event.at, down.start, alert.since.timestamp()] == [stopped] * 3
    assert morning(night, 2).incidents[0].first_sign.timestamp() == stopped


def test_where_nobody_gave_the_moment_it_is_that_of_the_reading_that_saw_it() -> None:
    night = quiet(1, every=30, probes=PM2)
    night.passes(seconds=13)
    night["gateway"].stops()
    night.passes(minutes=10)
    (event,) = [event for event in night.events if event.service == "gateway"]
    assert event.at is None
    assert night.state.alerts["service_down/gateway"].since > night.looks[-1].observation.now.replace(
        year=2025, month=1
    )


def test_a_state_of_one_look_is_told_as_not_confirmed_and_is_no_reason_for_a_no_go() -> None:
    night = quiet(3, every=120, probes=PM2)
    night.passes(seconds=1)
    night["gateway"].stops()
    night.look(["pm2"])
    night.clock.now += 1.1
    night["gateway"].starts()
    night.passes(minutes=30)
    report = morning(night, 2)
    assert report.incidents == ()
    assert criterion(report, "services_online").met is True
    (short,) = [part for part in service(report, "gateway").stretches if part.word == "stopped"]
    assert short.state == "unconfirmed"
    assert {style for style, text in said(night) if "gateway" in text} <= {"warning"}
    assert any("not confirmed by a second check" in text for _, text in said(night))


def test_a_new_service_was_not_missing_before_it_was_first_there() -> None:
    night = quiet(1, probes=PM2, services={})
    night.appears("exporter")
    night.passes(minutes=30)
    report = morning(night, 2)
    assert {part.state for part in service(report, "exporter").stretches if part.word == "missing"} == set()
    assert not any("exporter" in text for _, text in said(night))
    night.vanishes("gateway")
    night.passes(minutes=10)
    night.appears("gateway")
    night.passes(minutes=20)
    (missed,) = [part for part in service(morning(night, 2), "gateway").stretches if part.word == "missing"]
    assert missed.state == "wrong"


def test_a_service_that_was_missed_before_the_window_was_missing_in_it() -> None:
    night = quiet(1, probes=PM2, services={})
    night.vanishes("gateway")
    night.passes(hours=2)
    night.appears("gateway")
    night.passes(minutes=30)
    (missed,) = [part for part in service(morning(night, 1), "gateway").stretches if part.word == "missing"]
    assert missed.state == "wrong"


def test_a_start_of_a_second_is_nothing_to_tell() -> None:
    night = quiet(3, every=120, probes=PM2)
    night.passes(seconds=1)
    night["gateway"].is_launching()
    night.look(["pm2"])
    night.clock.now += 1.1
    night["gateway"].state = "online"
    night.passes(minutes=30)
    report = morning(night, 2)
    assert criterion(report, "services_online").met is True
    assert not any("launching" in text for _, text in said(night))


def test_what_the_last_look_saw_first_is_unknown_and_not_a_no_go() -> None:
    night = quiet(1, every=30, probes=PM2)
    night.passes(seconds=1)
    night["gateway"].stops()
    night.look(["pm2"])
    night.clock.now += 1
    report = morning(night, 1)
    found = criterion(report, "services_online")
    assert found.met is None
    assert "gateway (stopped)" in found.evidence
    assert service(report, "gateway").ok is None


def test_an_act_that_the_bus_told_is_said_once_and_gone_after_the_reading_that_shows_it() -> None:
    night = quiet(1, every=30, probes=PM2)
    gateway = night["gateway"]
    gateway.acts.append(OperatorAction("gateway", str(gateway.pm_id), night.clock.now + 1, "restart", said=True))
    night.passes(seconds=2)
    gateway.is_restarted()
    night.passes(minutes=5)
    (event,) = [event for event in night.events if event.service == "gateway"]
    assert event.said
    assert night.state.history.services["gateway"].acts == ()
