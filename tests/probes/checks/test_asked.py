"""Checks that ask Postgres, run a plugin or read reports, as they are configured: taken, judged and explained."""

from __future__ import annotations

import asyncio
import gc
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from monitord.config.loader import SettingsError, load, standing_orders
from monitord.core.engine import Decision, State, decide
from monitord.core.model import Failure, Observation, Reading
from monitord.core.orders import StandingOrders
from monitord.core.recording import Recorder, replay
from monitord.core.subjects.check_rules import PROBE
from monitord.failures import FailureError
from monitord.probes import Probes
from monitord.probes.base import Request, take
from monitord.probes.checks.checkin import Reports
from monitord.reporting.metric_families import Facts
from monitord.reporting.metrics import exposition
from monitord.reporting.nagios import nagios
from monitord.storage.inbox import keep
from monitord.storage.schema import FILE
from monitord.storage.store import Store

AT = datetime(2025, 11, 5, 3, 57, tzinfo=UTC)


def settings_of(directory: Path, checks: dict[str, Any], dsn: str = "", **more: str) -> Any:
    environ = {
        "MONITORD_STATE_DIR": str(directory / "state"),
        "MONITORD_PM2__HOME": "",
        "MONITORD_CHECKS": json.dumps(checks),
        **({"MONITORD_POSTGRES__DSN": dsn} if dsn else {}),
        **more,
    }
    return load(environ, directory)


async def readings(directory: Path, checks: dict[str, Any], dsn: str = "") -> tuple[Reading, StandingOrders]:
    """What the probe of these checks tells once, and what they are judged by."""
    settings = settings_of(directory, checks, dsn)
    orders = standing_orders(settings)
    probes = Probes(settings, orders, frozenset)
    try:
        (probe,) = (one for one in probes.all if one.name == PROBE)
        return await take(probe, Request(AT.timestamp(), 10.0)), orders
    finally:
        await probes.close()


def decided(orders: StandingOrders, times: int = 3, **readings: Reading) -> list[Decision]:
    """What is decided of the same readings, again and again."""
    found: list[Decision] = []
    for number in range(times):
        observation = Observation(AT + timedelta(seconds=30 * number), readings)
        found.append(decide(found[-1].state if found else State(), observation, orders))
    return found


def said(decisions: list[Decision], edge: str = "firing") -> dict[str, str]:
    """`rule/subject` of what was said, and the sentence."""
    return {
        f"{one.alert.rule}/{one.alert.subject}": one.alert.finding.summary
        for decision in decisions
        for one in decision.transitions
        if one.edge == edge
    }


async def test_what_postgres_is_asked_is_judged_and_what_it_cannot_tell_is_unknown(
    tmp_path: Path, empty_database: str
) -> None:
    connection = await asyncpg.connect(empty_database, timeout=10)
    await connection.execute("CREATE TABLE orders (at timestamptz); INSERT INTO orders VALUES (now() - interval '3h')")
    await connection.close(timeout=5)
    checks = {
        "waiting": {"type": "sql", "query": "SELECT 600;", "warning": "> 50", "critical": "> 500", "unit": "orders"},
        "tills": {"type": "sql", "query": "SELECT 12", "critical": "outside 10..20"},
        "writes": {"type": "sql", "query": "INSERT INTO orders VALUES (now()) RETURNING 1", "critical": "> 0"},
        "old": {"type": "freshness", "table": "orders", "column": "at", "warning": "2h", "critical": "6h"},
        "of dbt": {
            "type": "freshness",
            "table": "public.orders",
            "loaded_at_field": "at",
            "warn_after": {"count": 12, "period": "hour"},
            "error_after": {"count": 1, "period": "day"},
        },
        "gone": {"type": "freshness", "table": "ordres", "column": "at", "warning": "2h"},
    }
    reading, orders = await readings(tmp_path, checks, empty_database)
    assert reading.failure is None
    gaps = {gap.subject: (gap.kind, gap.error) for gap in reading.gaps}
    assert gaps == {
        "writes": ("protocol", "the statement of writes would write, and monitord only reads"),
        "gone": ("missing", "there is no table ordres in this database"),
    }
    decisions = decided(orders, checks=reading)
    found = said(decisions)
    assert found.keys() == {
        "value_out_of_range/waiting",
        "data_stale/old",
        "subject_unmeasured/writes",
        "subject_unmeasured/gone",
    }
    assert found["value_out_of_range/waiting"] == "waiting is 600 orders; it is critical when > 500."
    assert found["data_stale/old"] == "The newest data of old is 3 h old; the limit is 2 h."
    status = decisions[-1].report.as_fields()["checks"]
    assert {name: one and one["status"] for name, one in status.items()} == {
        "waiting": "critical",
        "tills": "ok",
        "writes": None,
        "old": "warning",
        "of dbt": "ok",
        "gone": None,
    }
    assert status["of dbt"]["value"] == pytest.approx(3 * 3600, abs=30)
    assert (status["of dbt"]["warning"], status["of dbt"]["critical"]) == ("> 43200", "> 86400")


async def test_while_postgres_is_away_what_is_asked_of_it_is_explained_by_that(tmp_path: Path) -> None:
    checks = {
        "waiting": {"type": "sql", "query": "SELECT 600", "critical": "> 500"},
        "old": {"type": "freshness", "table": "orders", "column": "at", "critical": "6h"},
    }
    reading, orders = await readings(tmp_path, checks, "postgresql://a:b@127.0.0.1:1/shop")
    assert {gap.subject: gap.kind for gap in reading.gaps} == {"waiting": "refused", "old": "refused"}
    away = Reading("postgres", failure=Failure("refused", "Postgres at 127.0.0.1:1 refused the connection"))
    decisions = decided(orders, 5, postgres=away, checks=reading)
    assert said(decisions).keys() == {"postgres_unreachable/postgres"}
    assert all(one is None for one in decisions[-1].report.as_fields()["checks"].values())


async def test_a_plugins_state_and_numbers_are_everywhere(tmp_path: Path) -> None:
    plugin = tmp_path / "check_it"
    plugin.write_text("#!/bin/sh\necho \"IT $1 | 'time to first'=0.25s;1;2 jobs=7 cache=4KB\"\nexit $2\n")
    plugin.chmod(0o755)
    checks = {
        "well": {"type": "command", "command": [str(plugin), "OK", "0"]},
        "worse": {"type": "command", "command": [str(plugin), "CRITICAL - token=abc", "2"], "contact": "the office"},
        "lost": {"type": "command", "command": [str(plugin), "UNKNOWN", "3"]},
        "away": {"type": "command", "command": ["check_nothing_of_the_kind"]},
    }
    reading, orders = await readings(tmp_path, checks)
    told = Observation(AT, {"checks": reading})
    assert list(replay([json.loads(json.dumps(Recorder().frame(told, whole=True)))])) == [told]
    decisions = decided(orders, checks=reading)
    found = said(decisions)
    assert found["command_failed/worse"] == "worse is critical: IT CRITICAL - token=***."
    assert found.keys() == {"command_failed/worse", "subject_unmeasured/lost", "subject_unmeasured/away"}
    well = decisions[-1].report.as_fields()["checks"]["well"]
    assert (well["value"], well["unit"], well["text"]) == (0.25, "seconds", "IT OK")
    assert well["perfdata"] == {
        "time to first": {"value": 0.25, "unit": "seconds"},
        "jobs": {"value": 7.0, "unit": "1"},
        "cache": {"value": 4.0, "unit": "KB"},
    }
    assert "'well cache'=4KB" in nagios(decisions[-1].report, orders, 1.0)
    exposed = exposition(decisions[-1].report, Facts("1", "box", ""))
    assert exposed is not None
    lines = [line for line in exposed[0].decode().splitlines() if line.startswith("monitord_check_perfdata{")]
    assert [line.rpartition(" ")[2] for line in lines if 'check="well"' in line and 'label="jobs"' in line] == ["7.0"]


async def test_reports_reach_judgement_as_a_reading(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    await store.load(timeout=10.0)
    await store.close(timeout=10.0)
    checks = {
        "backup": {"type": "checkin", "period": "1h", "grace": "10m"},
        "audit": {"type": "checkin", "schedule": "0 3 * * *", "severity": "critical"},
        "new": {"type": "checkin", "period": "1d"},
    }
    now = AT.timestamp()
    keep(tmp_path / "state", "backup", "success", now - 5400)
    keep(tmp_path / "state", "audit", "start", now - 3000)
    keep(tmp_path / "state", "audit", "failure", now - 2940, 7)
    reading, orders = await readings(tmp_path, checks)
    decisions = decided(orders, checks=reading)
    found = said(decisions)
    assert found == {
        "checkin_missed/backup": "backup has not reported: it was due at 03:27 UTC; its last report came at 02:27 UTC.",
        "checkin_failed/audit": "audit failed with exit code 7 at 03:08 UTC after 1 min, as it reports itself.",
    }
    status = decisions[-1].report.as_fields()["checks"]
    assert {name: one["status"] for name, one in status.items()} == {
        "backup": "warning",
        "audit": "critical",
        "new": "unknown",
    }


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"type": "sql", "query": "SELECT 1", "warning": "50"}, "does not say which side of it is wrong"),
        ({"type": "sql", "query": "SELECT 1"}, "it asks Postgres, so MONITORD_POSTGRES__DSN must be set"),
        ({"type": "freshness", "table": "a", "column": "b"}, "it asks Postgres, so MONITORD_POSTGRES__DSN must be set"),
        (
            {"type": "freshness", "table": "a", "column": "b", "loaded_at_field": "c"},
            "loaded_at_field and column are the",
        ),
        ({"type": "freshness", "table": "a", "loaded_at_field": "b", "warn_after": {"count": 1}}, "not written like"),
        ({"type": "freshness", "table": "a"}, "it needs either table and column, or query"),
        ({"type": "checkin"}, "it needs either period or schedule"),
        ({"type": "checkin", "schedule": "0 25 * * *"}, "'25' is no hour"),
        ({"type": "checkin", "period": "1h"}, "it is reported over HTTP, and MONITORD_HTTP__LISTEN is empty"),
        ({"type": "command", "command": "check_load -w 5"}, "no list of a command and its arguments"),
    ],
)
def test_a_mistake_in_a_check_is_one_line_that_names_it(tmp_path: Path, check: dict[str, Any], said: str) -> None:
    listen = {"MONITORD_HTTP__LISTEN": ""} if check["type"] == "checkin" else {}
    with pytest.raises(SettingsError) as caught:
        settings_of(tmp_path, {"mine": check}, **listen)
    (mistake,) = caught.value.mistakes
    assert "mine" in mistake
    assert said in mistake


async def test_reports_that_cannot_be_read_are_unknown_and_nobodys_failure_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_bytes(b"no database at all" * 100)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    reading, orders = await readings(tmp_path, {name: {"type": "checkin", "period": "1h"} for name in ("a", "b")})
    assert {gap.subject: gap.kind for gap in reading.gaps} == {"a": "internal", "b": "internal"}
    assert said(decided(orders, checks=reading)).keys() == {"subject_unmeasured/a", "subject_unmeasured/b"}
    reports = Reports(tmp_path / "state")
    asked = [asyncio.create_task(reports.of(name, 5.0)) for name in ("a", "b")]
    await asyncio.sleep(0)
    for one in asked:
        one.cancel()
    await asyncio.wait(asked)
    with pytest.raises(FailureError):
        await reports.of("a", 5.0)
    await reports.close()
    gc.collect()
    assert complaints == []
