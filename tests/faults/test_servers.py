"""One fault at a time of the real fleet's servers: one alert fires, and what rests on them is unknown."""

from __future__ import annotations

import asyncio

from monitord.demo.stack import Stack
from tests.faults.watched import PATIENCE, Watched


async def test_a_fleet_that_pm2_takes_down_and_brings_back_is_one_page(watched: Watched, stack: Stack) -> None:
    await stack.pm2("save")
    mark = len(watched.lines)
    await stack.pm2("kill")
    try:
        await watched.until("alert_firing", mark, rule="pm2_unreachable")
    finally:
        await stack.pm2("resurrect")
    await watched.until("alert_resolved", mark, rule="pm2_unreachable")
    assert (await watched.check())["status"] == "ok"
    assert watched.fired(mark) == {("pm2_unreachable", "pm2")}


async def test_a_frozen_postgres_is_one_alert_and_what_rests_on_it_is_unknown(watched: Watched, stack: Stack) -> None:
    mark = len(watched.lines)
    stack.postgres.pause()
    try:
        firing = await watched.until("alert_firing", mark, rule="postgres_unreachable")
        assert (firing["subject"], firing["severity"], firing["value"]) == ("postgres", "critical", "timeout")
        check = await watched.check()
        assert check["status"] == "critical"
        assert check["probes"]["epochs"]["status"] == "failed"
        assert check["growth"]["user_signals"]["rows"] is None
        assert check["epochs"]["MILO"]["latest"] is None
    finally:
        stack.postgres.resume()
    await watched.until("alert_resolved", mark, rule="postgres_unreachable")
    assert watched.fired(mark) == {("postgres_unreachable", "postgres")}
    assert len(watched.said("probe_failed", mark, probe="postgres")) == 1


async def test_a_killed_redis_is_told_with_its_kind(watched: Watched, stack: Stack) -> None:
    mark = len(watched.lines)
    await stack.valkey.kill()
    try:
        firing = await watched.until("alert_firing", mark, rule="redis_unreachable")
        assert firing["evidence"]["kind"] == "refused"
    finally:
        await stack.valkey.start()
    await watched.until("alert_resolved", mark, rule="redis_unreachable")
    assert watched.fired(mark) == {("redis_unreachable", "redis")}
    # It kept nothing: the queue is there again with the first job of the next epoch.
    async with asyncio.timeout(PATIENCE):
        while (await watched.check())["status"] != "ok":
            pass


async def test_a_frozen_pm2_is_one_alert_and_its_services_are_unknown(watched: Watched, stack: Stack) -> None:
    mark = len(watched.lines)
    stack.pm2.pause()
    try:
        await watched.until("alert_firing", mark, rule="pm2_unreachable")
        check = await watched.check()
        assert {service["state"] for service in check["services"].values()} == {None}
        assert {service["ok"] for service in check["services"].values()} == {None}
    finally:
        stack.pm2.resume()
    await watched.until("alert_resolved", mark, rule="pm2_unreachable")
    assert watched.fired(mark) == {("pm2_unreachable", "pm2")}
