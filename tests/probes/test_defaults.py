"""Defaults against a real Postgres: off while they are not there, watched once they are, missed when they vanish."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from monitord.core.engine import Decision, State, decide
from monitord.core.history.defaults import defaults
from monitord.core.model import Observation
from monitord.core.orders import StandingOrders
from monitord.postgres.session import Session
from monitord.probes.base import Request, take
from monitord.probes.epochs import EpochsProbe
from monitord.probes.postgres import PostgresProbe

ORDERS = StandingOrders(
    confirmations=1,
    probes=frozenset({"postgres", "epochs"}),
    unnamed=frozenset({"tables", "groups", "cemented", "user_facing", "fed_by", "sealed_by"}),
)
SIGNALS = "CREATE TABLE user_signals (epoch bigint, channel text)"
SEALS = (
    "CREATE TABLE sealed_epochs (epoch bigint, channel text, root text, sealed_at bigint, token_group text);"
    "CREATE TABLE channel_participation (epoch bigint, channel text, user_hash text, token_group text)"
)


class Looking:
    """Both probes over one session, and what their readings come to."""

    def __init__(self, dsn: str) -> None:
        self.session = Session(dsn)
        self.state = State()
        self._at = datetime.now(UTC)
        self._probes = (
            PostgresProbe(self.session, ORDERS.tables, 3600, defaults=defaults(ORDERS)),
            EpochsProbe(self.session, ORDERS.groups, 3600, 86_400.0, by_default=True),
        )

    async def look(self) -> Decision:
        self._at += timedelta(seconds=30)
        readings = {probe.name: await take(probe, Request(time.time(), 20.0)) for probe in self._probes}
        decision = decide(self.state, Observation(self._at, readings), ORDERS)
        self.state = decision.state
        return decision


@pytest.fixture
async def looking(empty_database: str) -> AsyncIterator[Looking]:
    looking = Looking(empty_database)
    yield looking
    await looking.session.close()


@pytest.fixture
async def admin(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_database, timeout=10)
    yield connection
    await connection.close(timeout=5)


def firing(decision: Decision) -> set[tuple[str, str]]:
    return {(alert.rule, alert.subject) for alert in decision.state.alerts.values() if alert.state == "firing"}


async def test_what_is_not_there_is_off_and_its_absence_is_no_edge(looking: Looking) -> None:
    for _ in range(3):
        decision = await looking.look()
        report = decision.report
        assert (report.status, report.as_fields()["probes"]["epochs"]["status"]) == ("ok", "off")
        assert (report.as_fields()["growth"], report.as_fields()["epochs"], report.as_fields()["current_epoch"]) == (
            {},
            {},
            None,
        )
        assert "unmeasured" not in report.as_fields()["probes"]["postgres"]
        assert decision.probe_edges == ()


async def test_what_appears_is_watched_and_what_then_vanishes_is_missed(
    looking: Looking, admin: asyncpg.Connection
) -> None:
    await looking.look()
    await admin.execute(SIGNALS)
    report = (await looking.look()).report
    assert (set(report.as_fields()["growth"]), report.as_fields()["epochs"]) == ({"user_signals"}, {})
    await admin.execute(SEALS)
    report = (await looking.look()).report
    assert report.as_fields()["probes"]["epochs"]["status"] == "ok"
    assert set(report.as_fields()["epochs"]) == {"MILO", "CLS"}
    await admin.execute("DROP TABLE user_signals; DROP TABLE sealed_epochs")
    decision = await looking.look()
    assert {("subject_unmeasured", "user_signals"), ("subject_unmeasured", "epochs")} <= firing(decision)
    assert decision.report.status != "ok"


async def test_a_table_that_is_there_and_may_not_be_read_is_a_finding_and_not_off(
    looking: Looking, admin: asyncpg.Connection
) -> None:
    # Another table of the same name: not what the seals are read from, and still there.
    await admin.execute("CREATE TABLE sealed_epochs (n int)")
    decision = await looking.look()
    assert decision.report.as_fields()["probes"]["epochs"]["status"] == "failed"
    assert ("subject_unmeasured", "epochs") in firing(decision)
