"""A name's own limits hold wherever its limit is used: in what is said, shown, graphed, reported and tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from monitord.core.anomalies.forecasts import disk_terms
from monitord.core.backtest import backtest, warm_up
from monitord.core.codec import decode, encode
from monitord.core.history.model import History, TableHistory
from monitord.core.orders import DiskOrders, QueueOrders, ServiceOrders, StandingOrders, TableOrders
from monitord.core.subjects import database
from monitord.core.subjects.postgres_report import TABLE_REPORTS
from monitord.core.subjects.registry import registered
from monitord.core.subjects.tables import wants_exact

from .nights import ORDERS, Night
from .test_report import criterion, morning

ANY = ServiceOrders()
HOURLY = replace(
    ORDERS,
    tables=("user_signals", "invoices"),
    table_by_name={
        "invoices": TableOrders(
            growth_limit=10,
            growth_window=timedelta(hours=4),
            growth_steady=5,
            flow_stall={"*": timedelta(hours=2)},
        )
    },
    queues=("tree-builder", "mails"),
    queue_by_name={"mails": QueueOrders(waiting=50)},
    disk_by_name={"/": DiskOrders(warning=85.0, critical=92.0)},
    service_by_name={"gateway": ServiceOrders(memory=150_000_000, restarts_warning=1, restarts_critical=3)},
)


@pytest.fixture(scope="module")
def night() -> Night:
    """Two hours of the fleet: an invoice now and then, and more of them at once in the end."""
    night = Night(HOURLY, every=60)
    night.tables["invoices"].per_second = 0.0
    night.passes(minutes=50)
    night.tables["invoices"].floods(3)
    night.passes(minutes=50)
    night.tables["invoices"].floods(9)
    night.queues["mails"].waiting = 51
    night.host.disk_used = 81.0
    night.passes(minutes=20)
    return night


def test_what_is_said_and_its_evidence_name_the_limit_of_the_name(night: Night) -> None:
    firing = {(alert.rule, alert.subject): alert.finding for alert in night.state.alerts.values()}
    assert set(firing) == {("table_growth_high", "invoices"), ("redis_queue_backlog", "mails")}
    growth, backlog = firing["table_growth_high", "invoices"], firing["redis_queue_backlog", "mails"]
    assert (growth.value, growth.limit, growth.evidence["window_seconds"]) == (12, 10, 14_400.0)
    assert "12 rows within 4 h, past the limit of 10" in growth.summary
    assert (backlog.value, backlog.limit) == (51, 50)


def test_the_status_counts_the_rows_of_each_tables_own_window(night: Night) -> None:
    growth = night.report.as_fields()["growth"]
    assert growth["invoices"]["window_rows"] == 12
    assert growth["user_signals"]["window_rows"] == pytest.approx(84_000, rel=0.02)


def test_graphs_have_the_limits_of_each_name(night: Night) -> None:
    found = (datum for subject in registered() for datum in subject.perfdata(night.report, HOURLY))
    limits = {datum.label: datum.limits for datum in found}
    assert (limits["invoices window_rows"], limits["user_signals window_rows"]) == ("10;", "1000000;")
    assert (limits["mails waiting"], limits["tree-builder waiting"]) == ("50;", "5000;")
    assert limits["/ used"] == "85;92"
    assert (limits["gateway memory"], limits["gateway restarts"]) == ("150000000;", "1;3")
    assert (limits["cls-worker memory"], limits["cls-worker restarts"]) == ("500000000;", "5;20")


def test_the_report_judges_each_table_by_its_own_rate(night: Night) -> None:
    report = morning(night, 2)
    assert {table.name: table.limit for table in report.of(TABLE_REPORTS)} == {"user_signals": 100_000, "invoices": 5}
    assert "<5 and <100,000 rows/hour" in criterion(report, "growth_steady").title
    assert criterion(report, "growth_steady").evidence == "Not steady: invoices."
    assert "<150 MB and <500 MB per service" in criterion(report, "memory_stable").title
    assert "disks up to 92%" in criterion(report, "host_healthy").title


def test_a_recording_is_judged_again_by_limits_of_each_name(night: Night) -> None:
    began = night.looks[0].observation.now

    def again(orders: StandingOrders) -> set[tuple[str, str]]:
        found = backtest((look.observation for look in night.looks), orders, night.transitions, began, HOURLY)
        assert found is not None
        return {(alert.rule, alert.subject) for alert in found.alerts}

    assert again(HOURLY) == {("table_growth_high", "invoices"), ("redis_queue_backlog", "mails")}
    assert again(replace(HOURLY, table_by_name={}, queue_by_name={}, disk_by_name={})) == {
        ("table_flow_stalled", "invoices"),
        ("disk_high", "/"),
    }
    slow = {"invoices": TableOrders(growth_window=timedelta(hours=40), flow_stall={"*": timedelta(hours=50)})}
    assert warm_up(replace(HOURLY, table_by_name=slow)) == timedelta(hours=50)


def test_a_forecast_speaks_of_the_disks_own_limit() -> None:
    assert (disk_terms(HOURLY, "/").superseded_above, disk_terms(HOURLY, "/data").superseded_above) == (92.0, 80.0)


def test_a_standby_may_lag_by_half_of_the_shortest_stall_of_a_table() -> None:
    assert database.lag_limit(HOURLY) == 450.0
    only_slow = replace(HOURLY, tables=("invoices",))
    assert database.lag_limit(only_slow) == 3600.0


def test_a_table_is_audited_as_often_as_its_own_stall_asks_for() -> None:
    counted = TableHistory(inserted=1.0, flow_at=1000.0, verified_at=1000.0, exact_at=1000.0, proven_at=1000.0)
    history = History(tables=dict.fromkeys(HOURLY.tables, counted))
    assert wants_exact(history, HOURLY, 1000.0 + 299) == frozenset()
    assert wants_exact(history, HOURLY, 1000.0 + 301) == {"user_signals"}
    assert wants_exact(history, HOURLY, 1000.0 + 2401) == {"user_signals", "invoices"}


def test_a_recording_is_judged_again_by_limits_of_each_service() -> None:
    night = Night(ORDERS, every=60)
    night.passes(minutes=10)
    night["gateway"].crashes(2)
    night["cls-worker"].crashes(2)
    night.passes(minutes=10)

    def again(own: ServiceOrders) -> set[tuple[str, str]]:
        tried = replace(ORDERS, service_by_name={"gateway": own})
        found = backtest(
            (look.observation for look in night.looks), tried, night.transitions, night.looks[0].observation.now, ORDERS
        )
        assert found is not None
        return {(alert.rule, alert.subject) for alert in found.alerts}

    assert again(ServiceOrders()) == set()
    assert again(ServiceOrders(restarts_warning=1)) == {("service_restart_loop", "gateway")}
    assert again(ServiceOrders(memory=10_000_000)) == {("service_memory_high", "gateway")}
    assert warm_up(replace(ORDERS, service_by_name={"x": ServiceOrders(startup_grace=timedelta(days=2))})) == timedelta(
        2
    )


def test_limits_of_each_name_come_back_from_a_snapshot_as_they_were() -> None:
    assert decode(StandingOrders, encode(HOURLY)) == HOURLY


def test_limits_of_a_service_that_nobody_has_are_a_finding_until_it_is_there_or_they_are_gone() -> None:
    orders = replace(ORDERS, services={}, service_by_name={"gatewy": ServiceOrders(memory=1), "cls-worker": ANY})
    night = Night(orders)
    night.passes(minutes=5)
    alert = night.fired_once("subject_unmeasured", "gatewy")
    assert alert.finding.summary == (
        "gatewy cannot be measured: MONITORD_PM2__SERVICES sets limits for it, and PM2 has no service of that name."
    )
    assert alert.finding.recommendation.endswith("or take it out there; the nearest is gateway.")
    assert night.status == "warning"
    night.orders = replace(ORDERS, services={})
    night.passes(minutes=5)
    night.resolved_once("subject_unmeasured", "gatewy")
    assert night.status == "ok"


def test_a_service_that_is_missed_is_one_finding_though_it_has_limits_of_its_own() -> None:
    night = Night(replace(ORDERS, services={}, service_memory_by_name={"tree-builder": 400_000_000}))
    night.passes(minutes=5)
    night.vanishes("tree-builder")
    night.passes(minutes=5)
    assert night.firing() == {("service_missing", "tree-builder")}
