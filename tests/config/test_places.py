"""Commands that a person can paste: where what is watched is, and no secret."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from monitord.config.loader import load, places, standing_orders
from monitord.core.alerting.recommendations import look_at
from monitord.core.orders import StandingOrders
from monitord.core.subjects import RULES
from tests.core.nights import Night

SECRET = "planted-5f0c"


@pytest.mark.parametrize(
    ("dsn", "command"),
    [
        (
            f"postgresql://me:{SECRET}@db:6432/fleet?sslmode=require",
            "psql 'postgresql://me@db:6432/fleet?sslmode=require'",
        ),
        (f"postgresql://db/fleet?user=me&password={SECRET}", "psql 'postgresql://db/fleet?user=me'"),
        (f"postgres://me:{SECRET}@a:1,b:2/fleet", "psql postgres://me@a:1,b:2/fleet"),
        ("postgresql:///fleet?host=/run/pg", "psql 'postgresql:///fleet?host=%2Frun%2Fpg'"),
    ],
)
def test_psql_finds_the_database_and_asks_for_the_password(tmp_path: Path, dsn: str, command: str) -> None:
    assert places(load({"MONITORD_POSTGRES__DSN": dsn}, tmp_path))["postgres"] == command


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("redis://cache:6379/0", "redis-cli -u redis://cache:6379/0"),
        (f"rediss://me:{SECRET}@cache:6380", "redis-cli -u rediss://cache:6380 --user me --askpass"),
        (f"redis://:{SECRET}@cache/2", "redis-cli -u redis://cache/2 --askpass"),
        (f"unix://:{SECRET}@/run/a b.sock?db=3".replace(" ", "%20"), "redis-cli -s '/run/a b.sock' -n 3 --askpass"),
    ],
)
def test_redis_cli_finds_the_server_and_asks_for_the_password(tmp_path: Path, url: str, command: str) -> None:
    assert places(load({"MONITORD_REDIS__URL": url}, tmp_path))["redis"] == command


def test_every_command_to_look_at_uses_only_what_is_set_and_quotes_names(tmp_path: Path) -> None:
    home = tmp_path / "its pm2"
    home.mkdir()
    environ = {
        "MONITORD_PM2__HOME": str(home),
        "MONITORD_POSTGRES__DSN": f"postgresql://me:{SECRET}@db/fleet",
        "MONITORD_REDIS__URL": f"redis://:{SECRET}@cache/2",
    }
    orders = standing_orders(load(environ, tmp_path))
    night = Night()
    night["gateway"].stops()
    night.passes(minutes=5)
    alert = night.fired_once("service_down", "gateway")
    for rule in RULES:
        for watched in (orders, StandingOrders()):
            for command in look_at(replace(alert, rule=rule.name, subject="my app"), watched):
                assert "$" not in command.replace("$(", "")
                assert SECRET not in command
            for command in look_at(replace(alert, rule=rule.name, subject="x; touch y"), watched):
                assert "touch" not in shlex.split(command)
    (first, *_) = look_at(replace(alert, subject="my app"), orders)
    assert first == f"PM2_HOME='{home}' pm2 logs 'my app' --err --lines 50 --nostream"
