"""Incidents: what belongs together is one, with its first sign, its cause, its end."""

from datetime import timedelta

from monitord.core.alerting.incidents import Incident, incidents

from .nights import LONG, Night, watching


def of(night: Night) -> tuple[Incident, ...]:
    return incidents(night.transitions, night.state.alerts.values())


def stuck_behind(night: Night, sealer: str = "milo-aggregator") -> None:
    night.passes(minutes=10)
    night[sealer].stops()
    for group in night.groups.values():
        group.sealing = False


def test_a_quiet_night_has_none() -> None:
    night = Night()
    night.passes(minutes=20)
    assert of(night) == ()


def test_what_was_only_pending_is_none() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["gateway"].stops()
    night.look()
    night["gateway"].starts()
    night.passes(minutes=5)
    assert of(night) == ()


def test_an_alert_by_itself_is_one_from_its_first_sign_to_its_end() -> None:
    night = watching("pm2")
    night.passes(minutes=1)
    night["gateway"].stops()
    night.passes(minutes=10)
    night["gateway"].starts()
    night.passes(minutes=10)
    (incident,) = of(night)
    fired = night.of("firing", "service_down", "gateway")[0]
    resolved = night.of("resolved", "service_down", "gateway")[0]
    assert (incident.id, incident.severity, incident.explained) == (fired.alert.id, "critical", ())
    assert (incident.first_sign, incident.fired_at, incident.ended_at) == (fired.alert.since, fired.at, resolved.at)
    assert incident.duration_seconds(resolved.at + timedelta(hours=9)) == (resolved.at - fired.alert.since).seconds


def test_a_root_and_what_it_explains_are_one_and_last_until_the_last_of_them_ends() -> None:
    night = watching("pm2", "postgres", "epochs", orders=LONG, every=300)
    stuck_behind(night)
    night.passes(hours=3)
    (incident,) = of(night)
    assert incident.cause.rule == "service_down"
    assert {(part.alert.rule, part.alert.subject) for part in incident.explained} == {
        ("sealing_late", "MILO"),
        ("sealing_late", "CLS"),
    }
    assert incident.ended_at is None
    night["milo-aggregator"].starts()
    night.passes(seconds=20)
    assert of(night)[0].ended_at is None
    for group in night.groups.values():
        group.sealing = True
    night.passes(minutes=10)
    (incident,) = of(night)
    ends = [t.at for t in night.transitions if t.edge == "resolved"]
    assert incident.ended_at == max(ends)
    assert incident.first_sign == night.of("firing", "service_down", "milo-aggregator")[0].alert.since


def test_late_that_becomes_stuck_is_one_incident_that_is_told_by_the_stronger_word() -> None:
    night = watching("postgres", "epochs", orders=LONG, every=300)
    night.passes(minutes=10)
    night.groups["MILO"].sealing = False
    night.passes(hours=6)
    of_milo = [incident for incident in of(night) if incident.root.alert.subject == "MILO"]
    assert [incident.root.alert.rule for incident in of_milo] == ["sealing_late"]
    assert of_milo[0].cause.rule == "sealing_stuck"
    assert of_milo[0].severity == "critical"
    assert of_milo[0].ended_at is None


def test_two_faults_that_have_nothing_to_do_with_each_other_are_two() -> None:
    night = watching("pm2", "redis")
    night.passes(minutes=1)
    night["gateway"].stops()
    night.passes(minutes=1)
    night.redis.fails()
    night.passes(minutes=1)
    assert [incident.cause.rule for incident in of(night)] == ["service_down", "redis_unreachable"]


def test_an_incident_whose_first_edges_are_forgotten_still_stands() -> None:
    night = watching("pm2", "postgres", "epochs", orders=LONG, every=300)
    stuck_behind(night)
    night.passes(hours=3)
    late = [t for t in night.transitions if t.alert.rule == "sealing_late"]
    (incident,) = incidents(late)
    assert len(incident.parts) == 2
    assert incident.id == night.of("firing", "service_down", "milo-aggregator")[0].alert.id


def test_an_open_incident_shows_its_alerts_as_they_are_now() -> None:
    night = watching("pm2", orders=LONG, every=300)
    night.passes(minutes=10)
    night["gateway"].memory = 600e6
    night.passes(minutes=10)
    night["gateway"].memory = 700e6
    night.passes(minutes=10)
    (incident,) = of(night)
    assert incident.cause.finding.value == 700_000_000


def test_what_is_over_is_remembered_by_how_bad_it_was() -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    night["gateway"].crashes(9)
    night.passes(minutes=30)
    night["gateway"].crashes(6)
    night.every = 80.0
    night.passes(hours=2)
    (incident,) = of(night)
    assert incident.ended_at is not None
    assert incident.cause.finding.value == 15
    assert "15 times" in incident.cause.finding.summary


def test_of_what_runs_out_the_least_was_the_worst() -> None:
    night = watching("host")
    night.passes(minutes=10)
    for available in (150e6, 40e6, 180e6, 6e9):
        night.host.available = available
        night.passes(minutes=5)
    (incident,) = of(night)
    assert incident.cause.finding.value == 40_000_000
