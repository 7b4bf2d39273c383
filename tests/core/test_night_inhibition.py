"""Nights with a root cause: it is said once, what it explains waits, and outlives it or ends with it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitord.core.alerting.incidents import incidents
from monitord.core.alerting.inhibition import roles
from monitord.core.orders import QueueOrders

from .nights import LONG, ORDERS, Night, orders, watching


def stop_sealing(night: Night) -> None:
    for group in night.groups.values():
        group.sealing = False


def test_a_dead_sealer_explains_that_nothing_is_sealed() -> None:
    sealer = "milo-aggregator"
    night = Night(LONG, every=300)
    night.passes(minutes=10)
    night[sealer].stops()
    stop_sealing(night)
    night.passes(hours=3)
    down = night.fired_once("service_down", sealer)
    for group in ("MILO", "CLS"):
        (unsaid,) = night.of("suppressed", "sealing_late", group)
        assert unsaid.suppressed_by == down.id
        assert unsaid.alert.incident_id == down.id
    assert [(alert["rule"], alert["suppressed_by"]) for alert in night.report.as_fields()["alerts"]["suppressed"]] == [
        ("sealing_late", down.id),
        ("sealing_late", down.id),
    ]


def test_another_database_explains_what_is_judged_on_it() -> None:
    night = watching("postgres", "epochs", orders=LONG, every=300)
    night.passes(minutes=10)
    night.system = "7302"
    stop_sealing(night)
    night.passes(hours=6)
    changed = night.fired_once("database_changed", "postgres")
    for group in ("MILO", "CLS"):
        assert {unsaid.suppressed_by for unsaid in night.of("suppressed", "sealing_stuck", group)} == {changed.id}


@pytest.mark.parametrize("began_before", [True, False])
def test_a_database_that_takes_no_writes_explains_what_stops_after_and_not_what_had_stopped_before(
    began_before: bool,
) -> None:
    night = watching("postgres", orders=LONG, every=300)
    night.passes(minutes=10)
    refusal = ("postgres_refusal", (("why", "readonly"),))
    if not began_before:
        night.instead[refusal] = "it is read-only for all"
    night.table.per_second = 0
    night.passes(minutes=40)
    night.instead[refusal] = "it is read-only for all"
    night.passes(minutes=10)
    full = night.of("firing", "postgres_full", "postgres")[0].alert
    if began_before:
        assert night.of("firing", "table_flow_stalled", "user_signals")
    else:
        (unsaid,) = night.of("suppressed", "table_flow_stalled", "user_signals")
        assert unsaid.suppressed_by == full.id


def test_a_redis_that_takes_no_writes_explains_its_queues_backlog() -> None:
    night = watching("pm2", "redis", orders=orders(queues=("emails",)))
    night.passes(minutes=2)
    night.instead[("redis_refusal", (("why", "oom"),))] = "its memory is full"
    night.passes(minutes=2)
    night.queues["emails"].waiting = 9000
    night.passes(minutes=2)
    full = night.fired_once("redis_not_writable", "redis")
    (unsaid,) = night.of("suppressed", "redis_queue_backlog", "emails")
    assert unsaid.suppressed_by == full.id


def test_what_becomes_critical_is_not_explained_by_a_warning_and_is_by_what_is_critical() -> None:
    night = watching("pm2", "epochs", orders=LONG, every=300)
    night.passes(minutes=10)
    night["milo-aggregator"].stops()
    stop_sealing(night)
    night.passes(hours=6)
    night.fired_once("service_down", "milo-aggregator")
    assert len(night.of("suppressed", "sealing_stuck", "MILO")) == 1


def test_a_looping_sealer_that_is_only_a_warning_does_not_hide_that_sealing_is_stuck() -> None:
    night = watching("pm2", "epochs", orders=LONG, every=300)
    night.passes(minutes=10)
    stop_sealing(night)
    for _ in range(24):  # eight automatic restarts an hour
        night["milo-aggregator"].crashes(2)
        night.passes(minutes=15)
    assert night.of("suppressed", "sealing_late", "MILO")
    assert night.of("firing", "sealing_stuck", "MILO")


def test_what_outlives_its_cause_fires_then_with_its_own_since() -> None:
    night = watching("pm2", "epochs", orders=LONG, every=120)
    night.passes(minutes=10)
    night["milo-aggregator"].stops()
    stop_sealing(night)
    night.passes(hours=2, minutes=30)
    (unsaid,) = night.of("suppressed", "sealing_late", "MILO")
    night["milo-aggregator"].starts()  # and still nothing is sealed
    night.passes(minutes=5)
    night.resolved_once("service_down", "milo-aggregator")
    (fired,) = night.of("firing", "sealing_late", "MILO")
    assert fired.reason == "outlived_cause"
    assert (fired.alert.id, fired.alert.since) == (unsaid.alert.id, unsaid.alert.since)
    assert fired.alert.fired_at == fired.at > unsaid.at
    for group in night.groups.values():
        group.sealing = True
    night.passes(minutes=5)
    night.resolved_once("sealing_late", "MILO")


def test_what_ends_with_its_cause_never_fires_and_its_end_is_said() -> None:
    night = watching("pm2", "epochs", orders=LONG, every=120)
    night.passes(minutes=10)
    night["milo-aggregator"].stops()
    stop_sealing(night)
    night.passes(hours=2, minutes=30)
    for group in night.groups.values():
        group.sealing = True
    night.passes(minutes=5)
    night["milo-aggregator"].starts()
    night.passes(minutes=5)
    assert not night.of("firing", "sealing_late", "MILO")
    assert night.resolved_once("sealing_late", "MILO").fired_at is None
    assert night.firing() == set()
    assert dict(night.state.alerts) == {}


def test_a_dead_listener_explains_that_no_rows_come() -> None:
    night = watching("pm2", "postgres")
    night.passes(minutes=10)
    night["stream-listener"].is_frozen()
    night.table.per_second = 0
    night.passes(minutes=30)
    frozen = night.fired_once("service_frozen", "stream-listener")
    (unsaid,) = night.of("suppressed", "table_flow_stalled", "user_signals")
    assert unsaid.suppressed_by == frozen.id


def test_a_dead_gateway_explains_nothing_of_the_flow() -> None:
    night = watching("pm2", "postgres")
    night.passes(minutes=10)
    night["gateway"].stops()
    night.table.per_second = 0
    night.passes(minutes=30)
    assert night.firing() == {("service_down", "gateway"), ("table_flow_stalled", "user_signals")}


def test_which_services_feed_and_seal_is_the_operators_to_say() -> None:
    night = watching("pm2", "postgres", orders=orders(fed_by={"user_signals": ("gate*",)}))
    night.passes(minutes=10)
    night["gateway"].stops()
    night.table.per_second = 0
    night.passes(minutes=30)
    night.fired_once("service_down", "gateway")


def test_a_host_without_memory_explains_what_dies_next() -> None:
    night = Night()
    night.passes(minutes=10)
    night.host.available = 50e6
    night.passes(minutes=2)
    night["cls-worker"].crashes(8)
    night.redis.fails("refused", "connection refused")
    night.passes(minutes=5)
    low = night.fired_once("host_memory_low", "host")
    for rule, subject in (("service_restart_loop", "cls-worker"), ("redis_unreachable", "redis")):
        (unsaid,) = night.of("suppressed", rule, subject)
        assert unsaid.suppressed_by == low.id
    assert night.status == "critical"


def test_a_host_without_memory_does_not_explain_what_somebody_stopped() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10)
    night.host.available = 50e6
    night.passes(minutes=2)
    night["gateway"].stops()
    night.passes(minutes=5)
    assert ("service_down", "gateway") in night.firing()


def test_a_host_without_memory_does_not_explain_what_dies_hours_later() -> None:
    night = watching("pm2", "host", orders=LONG, every=120)
    night.passes(minutes=10)
    night.host.available = 50e6
    night.passes(hours=3)
    night["cls-worker"].crashes(8)
    night.passes(minutes=5)
    assert ("service_restart_loop", "cls-worker") in night.firing()


def test_an_explanation_by_the_host_lapses_and_what_still_dies_is_said() -> None:
    night = watching("pm2", "host", every=120)
    night.passes(minutes=10)
    night.host.available = 50e6
    night.passes(minutes=2)
    for _ in range(9):
        night["cls-worker"].crashes(8)
        night.passes(minutes=10)
    assert night.of("suppressed", "service_restart_loop", "cls-worker")
    assert ("service_restart_loop", "cls-worker") in night.firing()


def test_a_disk_past_its_limit_explains_nothing_and_a_full_one_does() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10)
    night.host.disk_used = 85.0
    night.passes(minutes=2)
    night["cls-worker"].crashes(8)
    night.passes(minutes=2)
    assert ("service_restart_loop", "cls-worker") in night.firing()
    night.host.disk_used = 99.5
    night.passes(minutes=2)
    night["milo-worker-v2"].crashes(8)
    night.passes(minutes=2)
    assert night.of("suppressed", "service_restart_loop", "milo-worker-v2")


def test_a_cause_and_its_effect_found_in_one_reading_are_one_page() -> None:
    night = watching("pm2", "host")
    night.passes(minutes=10)
    night.host.available = 50e6
    night["cls-worker"].crashes(8)
    night.passes(minutes=5)
    night.fired_once("host_memory_low", "host")


def test_a_chain_of_causes_is_one_incident() -> None:
    night = watching("pm2", "epochs", "host", orders=LONG, every=300)
    night.passes(minutes=10)
    night.host.available = 50e6
    night["milo-aggregator"].is_given_up()
    stop_sealing(night)
    night.passes(hours=3)
    low = night.of("firing", "host_memory_low", "host")[0].alert
    (down,) = night.of("suppressed", "service_down", "milo-aggregator")
    assert down.alert.incident_id == low.id


def test_an_unknown_reading_keeps_what_is_suppressed_as_it_is() -> None:
    night = watching("pm2", "postgres", "epochs", orders=LONG, every=300)
    night.passes(minutes=10)
    night["milo-aggregator"].stops()
    stop_sealing(night)
    night.passes(hours=2, minutes=30)
    before = night.state.alerts["sealing_late/MILO"]
    night.epochs.fails()
    night.postgres.fails()
    night.passes(minutes=30)
    after = night.state.alerts["sealing_late/MILO"]
    assert (after.state, after.since, after.id) == ("suppressed", before.since, before.id)


def test_suppression_survives_a_restart_of_monitord() -> None:
    night = watching("pm2", "epochs", orders=LONG, every=300)
    night.passes(minutes=10)
    night["milo-aggregator"].stops()
    stop_sealing(night)
    night.passes(hours=2, minutes=30)
    night.monitord_restarts()
    night.passes(hours=1)
    night.fired_once("service_down", "milo-aggregator")
    assert len(night.of("suppressed", "sealing_late", "MILO")) == 1


def test_a_suppressed_alert_is_recommended_upon_only_when_it_fires() -> None:
    night = watching("pm2", "epochs", orders=LONG, every=120)
    night.passes(minutes=10)
    night["milo-aggregator"].stops()
    stop_sealing(night)
    night.passes(hours=5)
    assert [action.target for action in night.actions] == ["milo-aggregator"]
    night["milo-aggregator"].starts()
    night.passes(minutes=5)
    assert [action.target for action in night.actions] == ["milo-aggregator", "MILO", "CLS"]
    assert len({action.incident_id for action in night.actions}) == 1


def test_a_cause_that_flaps_and_is_calm_just_now_explains_nothing() -> None:
    night = watching("pm2", "epochs", orders=LONG, every=120)
    night.passes(minutes=10)
    for group in night.groups.values():
        group.sealing = False
    night.passes(hours=2, minutes=20)
    for _ in range(3):
        night["milo-aggregator"].stops()
        night.passes(minutes=3)
        night["milo-aggregator"].starts()
        night.passes(minutes=10)
    night["milo-aggregator"].stops()
    night.until(7, 57)
    night["milo-aggregator"].starts()
    night.until(8, 6)
    assert night.of("suppressed", "sealing_stuck", "MILO") == []
    assert ("service_down", "milo-aggregator") in night.firing()  # it flaps, and is not over yet
    assert ("sealing_stuck", "MILO") in night.firing()


def test_a_queues_declared_worker_explains_its_backlog_and_no_other_service_does() -> None:
    declared = {"mail": QueueOrders(worker=("milo-worker-v2",)), "jobs": QueueOrders(worker=())}
    night = watching(
        "pm2", "redis", orders=orders(queues=("mail", "jobs", "milo", "tree-builder"), queue_by_name=declared)
    )
    night.passes(minutes=10)
    night["milo-worker-v2"].stops()
    for queue in night.queues.values():
        queue.waiting = 9000
    night.passes(minutes=5)
    assert night.of("suppressed", "redis_queue_backlog", "mail")
    # `milo` is a word of the dead service's name, and nobody said that it works that queue off.
    loud = {subject for rule, subject in night.firing() if rule == "redis_queue_backlog"}
    assert loud == {"jobs", "milo", "tree-builder"}


def test_the_queue_of_the_orders_has_its_worker_unless_another_is_declared() -> None:
    for declared, told in (({}, "suppressed"), ({"tree-builder": QueueOrders(worker=("gateway",))}, "firing")):
        night = watching("pm2", "redis", orders=orders(queue_by_name=declared))
        night.passes(minutes=10)
        night["tree-builder"].stops()
        night.queues["tree-builder"].waiting = 9000
        night.passes(minutes=5)
        assert night.of(told, "redis_queue_backlog", "tree-builder")


def test_a_declared_name_that_a_service_bears_is_no_pattern() -> None:
    bears_it = replace(ORDERS, services={}, fed_by={"user_signals": ("feed[1]",)})
    night = watching("pm2", "postgres", orders=bears_it, services=("feed[1]", "feed1"), every=60)
    night.passes(minutes=5)
    night["feed1"].stops()  # the neighbour that the pattern would mean
    night.table.per_second = 0.0
    night.passes(minutes=20)
    night.fired_once("table_flow_stalled", "user_signals", alone=False)

    explained = watching("pm2", "postgres", orders=bears_it, services=("feed[1]", "feed1"), every=60)
    explained.passes(minutes=5)
    explained["feed[1]"].stops()
    explained.table.per_second = 0.0
    explained.passes(minutes=20)
    assert explained.of("firing", "table_flow_stalled", "user_signals") == []


def test_a_pattern_that_no_service_bears_means_what_it_matches() -> None:
    night = watching(
        "pm2",
        "postgres",
        orders=replace(ORDERS, services={}, fed_by={"user_signals": ("feed[1]",)}),
        services=("feed1",),
    )
    night.passes(minutes=5)
    night["feed1"].stops()
    night.table.per_second = 0.0
    night.passes(minutes=20)
    assert night.of("firing", "table_flow_stalled", "user_signals") == []


def test_a_dead_tree_builder_holds_up_trees_and_no_sealing() -> None:
    night = watching("pm2", "epochs")
    night.passes(minutes=5)
    night["tree-builder"].stops()
    night.passes(minutes=2)
    (action,) = night.actions
    assert action.blocking == "trees and publishing"
    assert "Impact on sealing: none known" in action.escalation
    assert "trees are not built" in action.escalation


def with_a_mail_queue() -> Night:
    """A fleet of one service, whose worker is declared to be that of the one queue."""
    declared = {"mail": QueueOrders(worker=("mail-worker",))}
    return watching(
        "pm2",
        "postgres",
        "epochs",
        "redis",
        orders=orders(services={}, groups=(), tables=(), queues=("mail",), queue_by_name=declared),
        services=("mail-worker",),
    )


def test_a_dead_worker_of_a_fleet_without_groups_holds_up_its_queue() -> None:
    night = with_a_mail_queue()
    night.passes(minutes=5)
    night["mail-worker"].stops()
    night.passes(minutes=2)
    (action,) = night.actions
    assert "jobs of mail wait" in action.escalation
    assert "tree" not in f"{action.blocking} {action.escalation}"


@pytest.mark.parametrize("how", ["stops", "is_frozen", "is_given_up"])
def test_an_instance_of_a_queues_worker_explains_no_backlog_and_all_of_them_do(how: str) -> None:
    for dead, told in ((1, "firing"), (2, "suppressed")):
        night = with_a_mail_queue()
        night.appears("mail-worker")
        night.passes(minutes=5)
        for instance in night.services[:dead]:
            getattr(instance, how)()
        night.queues["mail"].waiting = 9000
        night.passes(minutes=5)
        assert night.of(told, "redis_queue_backlog", "mail"), (how, dead)


def test_of_several_instances_one_that_keeps_dying_explains_nothing_while_the_others_live() -> None:
    for dying, told in ((1, "firing"), (2, "suppressed")):
        night = watching("pm2", "postgres", every=60)
        night.appears("cls-worker")
        night.passes(minutes=30)
        for instance in [s for s in night.services if s.name == "cls-worker"][:dying]:
            instance.crashes_every(40.0)
        night.table.per_second = 0
        night.passes(minutes=20)
        assert night.of("firing", "service_restart_loop", "cls-worker")
        assert night.of(told, "table_flow_stalled", "user_signals"), dying


def test_names_that_differ_in_a_number_only_are_one_role_and_others_are_each_their_own() -> None:
    assert list(roles(("sealer-1", "stream-*", "sealer-2", "cls-worker-s0"))) == [
        ("sealer-1", "sealer-2"),
        ("stream-*",),
        ("cls-worker-s0",),
    ]


def test_an_impact_of_one_instance_of_several_is_no_impact_of_all() -> None:
    night = Night(orders(user_facing=("cls-worker",)))
    night.appears("cls-worker")
    night.passes(minutes=5)
    night.services[-1].stops()
    night.passes(minutes=2)
    (action,) = night.actions
    assert "Impact on collection: at most slower" in action.escalation


def test_a_stall_is_critical_after_an_epoch_and_after_four_limits_where_there_is_none() -> None:
    shop = orders(services={}, tables=("orders",), groups=(), flow_stall=timedelta(minutes=10), fed_by={})
    for ordered, after in ((orders(), 60), (shop, 40)):
        night = watching("pm2", "postgres", "epochs", orders=ordered, every=60)
        night.passes(minutes=10)
        began = night.clock.now
        night.table.per_second = 0
        night.passes(minutes=90)
        first, second = night.of("firing", "table_flow_stalled", night.table.name)
        assert (first.alert.severity, second.alert.severity, second.reason) == ("warning", "critical", "severity")
        assert first.alert.id == second.alert.id
        assert after * 60 < second.at.timestamp() - began < after * 60 + 150


def test_the_stalls_advice_names_who_brings_the_rows_and_begins_with_who_is_down() -> None:
    night = watching(
        "pm2",
        "postgres",
        orders=orders(fed_by={"user_signals": ("stream-listener*", "cls-worker*", "gone-*")}),
        every=60,
    )
    night.passes(minutes=10)
    night.table.per_second = 0
    night.passes(minutes=30)
    (stall,) = night.of("firing", "table_flow_stalled", "user_signals")
    advice = stall.alert.finding.recommendation
    assert "come in by stream-listener (online) and cls-worker (online). Begin with stream-listener" in advice
    night["cls-worker"].stops()
    night.passes(minutes=2)
    assert (
        "cls-worker (stopped). Begin with cls-worker"
        in night.state.alerts["table_flow_stalled/user_signals"].finding.recommendation
    )


def test_what_a_stall_explains_after_its_end_is_kept_in_the_snapshot() -> None:
    night = watching("pm2", "postgres", "epochs", orders=LONG, every=300)
    night.until(4, 10)
    night.table.per_second = 0
    stop_sealing(night)
    night.until(6, 30)
    assert night.of("suppressed", "sealing_late", "MILO")
    night.table.per_second = 12
    night.until(6, 35)
    night.resolved_once("table_flow_stalled", "user_signals")
    night.monitord_restarts()
    night.until(7, 14)
    assert not night.of("firing", "sealing_late", "MILO")
    night.until(7, 20)
    assert [t.reason for t in night.of("firing", "sealing_late", "MILO")] == ["outlived_cause"]
    assert not night.state.aftermaths


def test_a_full_disk_that_is_found_after_what_it_stops_is_the_root_of_one_incident() -> None:
    night = watching("pm2", "postgres", "host", orders=LONG, every=60)
    night.passes(minutes=10)
    night.machine.fails()  # nobody can tell how full the disk is
    night.host.disk_used = 99.5
    night.passes(minutes=2)
    night.table.per_second = 0
    night["gateway"].crashes_every(20.0)
    night.passes(minutes=30)
    stall = night.of("firing", "table_flow_stalled", "user_signals")[0].alert
    loop = night.of("firing", "service_restart_loop", "gateway")[0].alert
    night.machine.recovers()
    night.passes(minutes=2)
    disk = night.of("firing", "disk_high", "/")[0].alert
    assert [night.state.alerts[f"{a.rule}/{a.subject}"].incident_id for a in (stall, loop)] == [disk.id] * 2
    night.passes(hours=2)
    assert len(night.of("firing", "table_flow_stalled", "user_signals")) == 1, "worse is no page of its own"
    (found,) = [i for i in incidents(night.transitions, night.state.alerts.values()) if i.id == disk.id]
    assert found.root.alert.rule == "disk_high"
    assert "free_disk" in {action.action for action in night.actions if action.incident_id == disk.id}


@pytest.mark.parametrize("rule", ["space", "inodes"])
def test_a_disk_without_room_or_inodes_explains_a_stall_that_begins_after_it(rule: str) -> None:
    for before in (False, True):
        night = watching("pm2", "postgres", "host", every=60)
        night.passes(minutes=10)
        if before:
            night.table.per_second = 0
            night.passes(minutes=8)
        if rule == "space":
            night.host.disk_used = 99.0
        else:
            night.instead[("disk_inodes_used", (("path", "/"),))] = 100.0
        if not before:
            night.table.per_second = 0
        night.passes(minutes=20)
        assert night.of("firing" if before else "suppressed", "table_flow_stalled", "user_signals"), before


def test_a_disk_at_85_percent_and_one_that_still_takes_rows_explain_no_missing_seal() -> None:
    for used in (85.0, 99.0):
        night = Night(LONG, every=300)
        night.until(4, 10)
        night.host.disk_used = used
        stop_sealing(night)
        night.until(6, 15)
        assert night.of("firing", "sealing_late", "MILO"), used
