"""Nights of servers that cannot be reached: unknown is neither right nor wrong, and the root cause is said once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitord.core.model import Kind, Unmeasured

from .nights import LONG, MEMORY, Night, orders, watching


def break_postgres(night: Night) -> None:
    night.postgres.fails()
    night.epochs.fails()


def mend_postgres(night: Night) -> None:
    night.postgres.recovers()
    night.epochs.recovers()


@pytest.mark.parametrize("server", ["pm2", "postgres", "redis"])
def test_a_server_that_cannot_be_measured_is_critical_from_the_second_reading_on(server: str) -> None:
    night = Night()
    night.passes(minutes=10)
    getattr(night, server).fails("timeout", "no answer within 5 s")
    night.passes(seconds=41)
    alert = night.fired_once(f"{server}_unreachable", server)
    assert (alert.severity, alert.finding.value) == ("critical", "timeout")
    assert alert.fired_at is not None
    # Each reading hangs for its 5 s, and the second begins CONFIRM_EVERY after the first was given up.
    assert alert.fired_at - alert.since == timedelta(seconds=10)
    getattr(night, server).recovers()
    night.passes(minutes=1)
    night.resolved_once(f"{server}_unreachable", server)
    assert night.status == "ok"


def test_postgres_down_all_night_is_one_alert() -> None:
    night = watching("postgres", "epochs", orders=LONG, every=300)
    night.passes(minutes=10)
    break_postgres(night)
    night.table.per_second = 0
    night.passes(hours=6)
    night.fired_once("postgres_unreachable", "postgres")
    assert night.firing() == {("postgres_unreachable", "postgres")}


def test_pm2_down_is_one_alert_and_not_one_per_service() -> None:
    night = Night(every=60)
    night.passes(minutes=10)
    night.pm2.fails("missing", "no socket")
    night.passes(hours=1)
    night.fired_once("pm2_unreachable", "pm2")
    assert night.report.as_fields()["services"]["gateway"]["state"] is None
    assert night.report.as_fields()["services"]["gateway"]["ok"] is None


@pytest.mark.parametrize("roster", ["ordered", "learned"])
def test_the_empty_fleet_that_pm2_shows_before_its_socket_dies_is_not_seven_alerts(roster: str) -> None:
    night = watching("pm2") if roster == "ordered" else watching("pm2", orders=orders(services={}))
    night.passes(minutes=10)
    fleet, night.services = night.services, []
    night.look()
    night.pm2.fails("missing", "no socket")
    night.passes(minutes=10)
    night.fired_once("pm2_unreachable", "pm2")
    night.pm2.recovers()
    night.services = fleet
    for service in fleet:
        if service.state == "online":
            service.starts()
    night.passes(minutes=10)
    night.fired_once("pm2_unreachable", "pm2")
    assert night.firing() == set()
    assert dict(night.state.alerts) == {}


def test_a_fleet_that_is_really_empty_is_said_service_by_service() -> None:
    night = watching("pm2")
    night.passes(minutes=10)
    night.services = []
    night.passes(minutes=1)
    assert night.firing() == {("service_missing", name) for name in MEMORY}


def test_what_fires_when_its_server_goes_away_neither_resolves_nor_fires_anew() -> None:
    night = watching("pm2", "postgres", "epochs", orders=LONG, every=60)
    night.passes(minutes=10)
    skipped = 1762315200
    night.groups["CLS"].skips.add(skipped)
    night["gateway"].memory = 600e6
    night.until(6, 30)
    before = night.firing()
    assert ("sealing_gap", "CLS") in before
    since = {key: alert.since for key, alert in night.state.alerts.items()}
    break_postgres(night)
    night.pm2.fails()
    night.groups["CLS"].sealed[skipped] = 54  # mended while nobody could see it
    night["gateway"].memory = 90e6
    night.passes(hours=2)
    assert night.firing() == before | {("postgres_unreachable", "postgres"), ("pm2_unreachable", "pm2")}
    assert {key: night.state.alerts[key].since for key in since} == since
    mend_postgres(night)
    night.pm2.recovers()
    night.passes(minutes=3)
    assert night.firing() == set()
    assert len(night.of("firing", "sealing_gap", "CLS")) == 1


def test_a_failed_reading_resets_what_was_counted_and_keeps_since() -> None:
    night = watching("pm2")
    night.passes(seconds=10)
    night["gateway"].stops()
    night.look(["pm2"])
    since = night.state.alerts["service_down/gateway"].since
    night.clock.now += 5
    night.pm2.fails()
    night.look(["pm2"])
    night.clock.now += 5
    night.pm2.recovers()
    night.look(["pm2"])
    pending = night.state.alerts["service_down/gateway"]
    assert (pending.state, pending.count, pending.since) == ("pending", 1, since)
    night.clock.now += 5
    night.look(["pm2"])
    assert night.fired_once("service_down", "gateway").since == since


def test_a_failed_reading_resets_a_count_towards_resolved_too() -> None:
    night = watching("pm2")
    night["gateway"].stops()
    night.passes(seconds=10)
    night["gateway"].starts()
    night.clock.now += 20
    night.look(["pm2"])
    assert night.state.alerts["service_down/gateway"].toward == "resolve"
    night.clock.now += 5
    night.pm2.fails()
    night.look(["pm2"])
    night.clock.now += 5
    night.pm2.recovers()
    night.look(["pm2"])
    assert ("service_down", "gateway") in night.firing()
    night.clock.now += 5
    night.look(["pm2"])
    night.resolved_once("service_down", "gateway")


def test_a_probe_that_is_not_taken_changes_nothing() -> None:
    night = Night()
    night["gateway"].stops()
    night.passes(seconds=10)
    night["gateway"].starts()
    before = night.state.alerts["service_down/gateway"]
    for _ in range(5):
        night.clock.now += 10
        night.look(["redis", "host", "postgres", "epochs"])
    assert night.state.alerts["service_down/gateway"] == before
    assert night.report.as_fields()["services"]["gateway"]["state"] == "stopped"


def test_readings_closer_together_than_confirm_every_count_once() -> None:
    night = watching("pm2")
    night.passes(seconds=10)
    night["gateway"].stops()
    for _ in range(20):
        night.look(["pm2"])
        night.clock.now += 0.2
    assert night.said() == []
    night.clock.now += 1
    night.look(["pm2"])
    night.fired_once("service_down", "gateway")


@pytest.mark.parametrize(("confirmations", "seconds"), [(1, 0), (2, 5), (3, 10)])
def test_an_alert_fires_and_resolves_after_as_many_readings_as_ordered(confirmations: int, seconds: int) -> None:
    night = watching("pm2", orders=orders(confirmations=confirmations))
    night.passes(seconds=10)
    night["gateway"].stops()
    night.passes(minutes=1)
    alert = night.fired_once("service_down", "gateway")
    assert alert.fired_at == alert.since + timedelta(seconds=seconds)
    night["gateway"].starts()
    night.passes(minutes=1)
    night.resolved_once("service_down", "gateway")
    (resolved,) = night.of("resolved", "service_down", "gateway")
    assert (resolved.at - alert.since).total_seconds() % 30 == seconds


def test_a_blip_of_one_reading_is_pending_and_forgotten() -> None:
    night = watching("pm2")
    night.passes(seconds=10)
    night["gateway"].stops()
    night.look()
    night["gateway"].starts()
    night.passes(minutes=10)
    assert night.said() == []
    assert [t.alert.rule for t in night.transitions] == ["service_down"]
    assert dict(night.state.alerts) == {}


def test_a_clear_that_does_not_last_resolves_nothing() -> None:
    night = watching("pm2")
    night["gateway"].stops()
    night.passes(minutes=1)
    night["gateway"].starts()
    night.look()
    night["gateway"].stops()
    night.passes(minutes=10)
    assert night.said() == ["firing service_down/gateway"]


def test_status_is_unknown_until_something_fires_for_the_probe_that_failed() -> None:
    night = Night()
    night.passes(minutes=1)
    assert night.status == "ok"
    night.postgres.fails()
    night.look()
    assert night.status == "unknown"
    night.passes(minutes=1)
    assert night.status == "critical"


def test_unknown_outranks_a_warning_and_a_critical_alert_outranks_unknown() -> None:
    night = Night()
    night["cls-worker"].memory = 600e6
    night.passes(minutes=1)
    assert night.status == "warning"
    night.machine.fails("internal", "no answer from the kernel")
    night.look()
    assert night.status == "unknown"
    night["gateway"].stops()
    night.passes(minutes=1)
    assert night.status == "critical"


def test_a_probe_that_is_not_configured_is_off_and_unknown_to_nobody() -> None:
    night = Night(orders(probes=frozenset({"pm2", "host"})))
    night.passes(minutes=10)
    night.is_silent()
    assert night.status == "ok"
    assert {name: told["status"] for name, told in night.report.as_fields()["probes"].items()} == {
        "pm2": "ok",
        "postgres": "off",
        "epochs": "off",
        "pipeline": "off",
        "redis": "off",
        "host": "ok",
        "checks": "off",
        "chain": "off",
    }


def test_what_is_no_longer_configured_ends_its_alerts_as_not_watched() -> None:
    night = Night()
    night.passes(minutes=1)
    night.redis.fails()
    night.passes(minutes=1)
    night.orders = replace(night.orders, probes=night.orders.probes - {"redis"})
    night.passes(minutes=1)
    night.resolved_once("redis_unreachable", "redis", reason="not_watched")
    assert night.status == "ok"


def test_a_service_taken_off_the_roster_ends_its_alert_as_not_watched() -> None:
    night = watching("pm2")
    night.vanishes("tree-builder")
    night.passes(minutes=1)
    night.orders = replace(
        night.orders, services={n: e for n, e in night.orders.services.items() if n != "tree-builder"}
    )
    night.passes(minutes=1)
    night.resolved_once("service_missing", "tree-builder", reason="not_watched")


@pytest.mark.parametrize(
    "kind", ["refused", "timeout", "auth", "tls", "dns", "protocol", "permission", "missing", "internal"]
)
def test_every_kind_of_failure_has_its_advice(kind: Kind) -> None:
    night = watching("pm2", "postgres")
    night.postgres.fails(kind, "it says so")
    night.passes(seconds=10)
    alert = night.fired_once("postgres_unreachable", "postgres")
    assert alert.finding.value == kind
    assert "it says so" in alert.finding.summary
    assert alert.finding.recommendation


def test_a_probe_failing_and_measuring_again_are_edges_said_once_each() -> None:
    night = Night()
    night.passes(minutes=10)
    night.redis.fails("auth", "NOAUTH")
    night.passes(minutes=10)
    night.redis.fails("timeout", "no answer within 5 s")
    night.passes(minutes=10)
    night.redis.recovers()
    night.passes(minutes=10)
    assert [(edge.probe, edge.kind) for edge in night.probe_edges] == [
        ("redis", "auth"),
        ("redis", "timeout"),
        ("redis", ""),
    ]


def test_seals_that_cannot_be_read_though_postgres_answers_are_said() -> None:
    night = Night()
    night.passes(minutes=10)
    night.epochs.fails("permission", "permission denied for table sealed_epochs")
    night.passes(minutes=10)
    assert night.fired_once("subject_unmeasured", "epochs").finding.value == "permission"
    assert night.status == "unknown"
    night.epochs.recovers()
    night.passes(minutes=1)
    night.resolved_once("subject_unmeasured", "epochs")


def test_seals_that_failed_before_postgres_did_are_explained_by_it() -> None:
    night = watching("postgres", "epochs")
    night.passes(minutes=10)
    night.epochs.fails()
    night.look()
    night.postgres.fails()
    night.passes(minutes=10)
    night.fired_once("postgres_unreachable", "postgres")
    mend_postgres(night)
    night.passes(minutes=10)
    assert dict(night.state.alerts) == {}


def test_every_alert_says_what_to_do() -> None:
    night = Night(LONG, every=300)
    night.passes(minutes=10)
    night["gateway"].stops()
    night["cls-worker"].is_frozen()
    night["tree-builder"].memory = 600e6
    night["milo-worker-v2"].crashes(30)
    night.vanishes("stream-listener")
    night.appears("stranger")
    night.table.floods(2_000_000)
    night.groups["CLS"].sealing = False
    night.redis.fails()
    night.host.disk_used, night.host.available = 85.0, 100e6
    night.passes(hours=6)
    fired = [t.alert for t in night.transitions if t.edge == "firing"]
    assert len({alert.rule for alert in fired}) >= 12
    assert all(alert.finding.recommendation and alert.finding.summary for alert in fired)


def test_nothing_is_judged_through_a_server_before_it_is_confirmed_to_be_back() -> None:
    night = watching("pm2")
    night["gateway"].stops()
    night.passes(minutes=10)
    night.pm2.fails()
    night.passes(minutes=10)
    night.pm2.recovers()
    night["gateway"].starts()
    night.passes(minutes=2)
    (server,) = night.of("resolved", "pm2_unreachable", "pm2")
    (service,) = night.of("resolved", "service_down", "gateway")
    assert server.at < service.at


def test_advice_fits_what_is_missing() -> None:
    night = watching("pm2", "postgres", "redis", "host")
    night.passes(minutes=2)
    night.table.gap = Unmeasured("user_signals", "missing", "there is no table user_signals in this database")
    night.queues["tree-builder"].gap = Unmeasured("tree-builder", "missing", "there is no queue tree-builder")
    night.host.disk_gap = Unmeasured("/", "missing", "/ does not exist")
    night.passes(minutes=2)
    said = {t.alert.subject: t.alert.finding.recommendation for t in night.transitions if t.edge == "firing"}
    assert "MONITORD_POSTGRES__TABLES" in said["user_signals"]
    assert "MONITORD_REDIS__QUEUES" in said["tree-builder"]
    assert "MONITORD_HOST__DISKS" in said["/"]
    assert not [advice for advice in said.values() if "address" in advice]


@pytest.mark.parametrize(("server", "named"), [("postgres", "MONITORD_POSTGRES__DSN"), ("pm2", "MONITORD_PM2__HOME")])
def test_a_server_whose_database_or_home_is_missing_is_not_told_to_be_started(server: str, named: str) -> None:
    night = watching("pm2", "postgres")
    night.passes(minutes=2)
    getattr(night, server).fails("missing", "it has no such thing")
    night.passes(minutes=2)
    advice = night.fired_once(f"{server}_unreachable", server).finding.recommendation
    assert named in advice
    assert "address" not in advice
