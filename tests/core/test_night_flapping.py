"""Nights in which something comes and goes: it is one flapping alert, said once, and it ends once."""

from .nights import Night, orders, watching


def flaps(night: Night, times: int, *, down: float = 60, up: float = 240) -> None:
    for _ in range(times):
        night["gateway"].stops()
        night.passes(seconds=down)
        night["gateway"].starts()
        night.passes(seconds=up)


def test_the_third_time_within_the_hour_is_the_last_that_is_said() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    flaps(night, 10)
    fired = night.of("firing", "service_down", "gateway")
    assert [t.reason for t in fired] == ["", "", "flapping"]
    assert len(night.of("resolved", "service_down", "gateway")) == 2
    alert = night.state.alerts["service_down/gateway"]
    assert (alert.state, alert.flaps) == ("firing", 10)
    (told,) = night.report.as_fields()["alerts"]["firing"]
    assert told["flapping"]["times"] == 10


def test_it_ends_once_it_has_been_calm_for_longer_than_it_used_to_be() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    flaps(night, 6)
    night.passes(minutes=4)
    assert night.firing() == {("service_down", "gateway")}
    night.passes(minutes=4)
    assert len(night.of("resolved", "service_down", "gateway")) == 3
    assert night.firing() == set()
    assert dict(night.state.alerts) == {}


def test_after_it_has_ended_the_next_time_is_a_first_time() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    flaps(night, 5)
    night.passes(minutes=15)
    flaps(night, 1)
    last = night.of("firing", "service_down", "gateway")[-1]
    assert last.reason == ""
    assert last.alert.flaps == 0


def test_two_times_an_hour_are_two_incidents() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    flaps(night, 4, up=31 * 60)
    assert [t.reason for t in night.of("firing", "service_down", "gateway")] == ["", "", "", ""]
    assert len(night.of("resolved", "service_down", "gateway")) == 4


def test_a_slower_rhythm_needs_a_longer_calm_and_never_more_than_the_window() -> None:
    night = watching("pm2", every=60)
    night.passes(minutes=1)
    flaps(night, 3, down=120, up=20 * 60)
    alert = night.state.alerts["service_down/gateway"]
    assert alert.flaps == 3
    assert 43 * 60 <= alert.calm_for <= 45 * 60
    night.passes(minutes=50)
    assert night.firing() == set()


def test_what_others_do_at_the_same_time_is_not_its_flapping() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    for name in ("gateway", "cls-worker", "tree-builder", "stream-listener"):
        night[name].stops()
        night.passes(minutes=1)
        night[name].starts()
        night.passes(minutes=4)
    assert {t.reason for t in night.transitions if t.edge == "firing"} == {""}


def test_how_often_and_within_what_is_the_operators_to_say() -> None:
    night = watching("pm2", orders=orders(flapping_times=5))
    night.passes(minutes=1)
    flaps(night, 6)
    assert [t.reason for t in night.of("firing", "service_down", "gateway")] == ["", "", "", "", "flapping"]


def test_a_flapping_alert_goes_on_flapping_across_a_restart_of_monitord() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    flaps(night, 4)
    night.monitord_restarts()
    flaps(night, 3)
    assert len(night.of("firing", "service_down", "gateway")) == 3
    night.passes(minutes=15)
    assert night.firing() == set()


def test_calm_that_nobody_could_see_is_no_calm() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    flaps(night, 4)
    night.pm2.fails()
    night.passes(minutes=20)
    night.pm2.recovers()
    night.passes(minutes=2)
    assert ("service_down", "gateway") in night.firing()
    night.passes(minutes=15)
    assert ("service_down", "gateway") not in night.firing()


def test_one_reading_that_says_otherwise_is_no_round() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=1)
    flaps(night, 2)
    night["gateway"].stops()
    night.passes(minutes=1)
    for _ in range(5):
        night["gateway"].starts()
        night.look(["pm2"])
        night.clock.now += 1
        night["gateway"].stops()
        night.passes(minutes=1)
    assert night.state.alerts["service_down/gateway"].flaps == 3


def swings(night: Night, times: int) -> None:
    """The disk goes from critical to a warning and back."""
    for _ in range(times):
        night.host.disk_used = 80.5
        night.passes(minutes=2)
        night.host.disk_used = 79.5
        night.passes(minutes=2)


def test_what_grows_worse_again_and_again_is_one_flapping_alert() -> None:
    night = watching("host")
    night.host.disk_used = 79.5
    night.passes(minutes=2)
    swings(night, 10)
    fired = night.of("firing", "disk_high", "/")
    assert [t.reason for t in fired] == ["", "severity", "severity", "flapping"]
    assert len({t.alert.id for t in fired}) == 1
    assert night.state.alerts["disk_high//"].severity == "critical"
    assert night.state.alerts["disk_high//"].flaps == 10


def test_once_it_has_been_better_for_a_while_growing_worse_is_said_again() -> None:
    night = watching("host", every=60)
    night.host.disk_used = 79.5
    night.passes(minutes=2)
    swings(night, 6)
    night.passes(minutes=15)
    alert = night.state.alerts["disk_high//"]
    assert (alert.severity, alert.flaps) == ("warning", 0)
    night.passes(hours=2)
    night.host.disk_used = 85
    night.passes(minutes=2)
    assert [t.reason for t in night.of("firing", "disk_high", "/")][-1] == "severity"
    night.host.disk_used = 24
    night.passes(minutes=2)
    assert night.firing() == set()


def test_one_that_flaps_between_bad_and_worse_ends_once_it_is_well_and_stays_so() -> None:
    night = watching("host")
    night.host.disk_used = 79.5
    night.passes(minutes=2)
    swings(night, 6)
    night.host.disk_used = 24
    night.passes(minutes=15)
    assert len(night.of("resolved", "disk_high", "/")) == 1
    assert dict(night.state.alerts) == {}


def test_warned_of_once_and_then_critical_once_is_no_flapping() -> None:
    night = watching("host")
    for _ in range(2):
        for used in (75, 85, 24):
            night.host.disk_used = used
            night.passes(minutes=5)
    assert [t.reason for t in night.of("firing", "disk_high", "/")] == ["", "severity", "", "severity"]
