"""`monitord init` beside real servers; and what it makes of what it finds, one finding at a time."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from monitord.config.loader import Settings, load
from monitord.core.orders import DiskOrders, TableOrders
from monitord.demo.seed import seed_window
from monitord.discovery import scan
from monitord.discovery.dotenv import Discovered, DiscoveredDatabase, DiscoveredFleet, DiscoveredQueues, dotenv
from monitord.pm2.process_list import ListedProcess
from monitord.redis.scan import SCAN_ROUNDS
from monitord.testing.servers.pm2 import Pm2Server
from monitord.testing.servers.postgres import PostgresServer

from .program import Eventually, monitord

NOTHING = Discovered(None, None, None, ("/",))
HOUR = 3600


def loaded(text: str, directory: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """What the settings make of a .env; raises for a mistake in it."""
    (directory / ".env").write_text(text, encoding="utf-8")
    return load(environment or {}, directory)


def init(directory: Path, *arguments: str, **settings: str) -> tuple[str, str]:
    done = monitord("init", *arguments, directory=directory, settings=settings)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_beside_nothing_it_prints_a_env_that_watches_the_host(tmp_path: Path) -> None:
    out, err = init(tmp_path)
    assert loaded(out, tmp_path).host.disks == {"/": DiskOrders()}
    for variable in ("MONITORD_PM2__HOME", "MONITORD_POSTGRES__DSN", "MONITORD_REDIS__URL"):
        assert variable in out
    assert "monitord check" in err
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_what_cannot_be_reached_is_a_comment_that_says_why(tmp_path: Path) -> None:
    out, err = init(
        tmp_path,
        *("--dsn", "postgresql://watcher:hunter2@127.0.0.1:1/fleet"),
        *("--redis", "redis://:hunter2@127.0.0.1:1"),
        *("--pm2-home", str(tmp_path / "none")),
    )
    assert all(f"# {name} could not be scanned (" in out for name in ("PM2", "Postgres", "Redis"))
    assert "# Postgres could not be scanned (refused): " in out
    assert "hunter2" not in out + err
    assert "# MONITORD_POSTGRES__DSN=postgresql://watcher:...@127.0.0.1:1/fleet  (fill in the password)\n" in out
    loaded(out, tmp_path)


def test_a_mistake_in_the_settings_is_said_and_nothing_is_printed(tmp_path: Path) -> None:
    done = monitord("init", directory=tmp_path, settings={"MONITORD_PROBE_TIMEOUT": "soon"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("MONITORD_PROBE_TIMEOUT")


async def test_it_finds_the_services_of_pm2(empty_pm2: Pm2Server, tmp_path: Path, eventually: Eventually) -> None:
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import time\nwhile True: time.sleep(60)\n")
    brief = tmp_path / "brief.py"
    brief.write_text("")
    common = {"interpreter": "/usr/bin/env", "interpreter_args": "python3", "cwd": str(tmp_path)}
    await empty_pm2.start_apps(
        {
            "apps": [
                common | {"name": "gateway", "script": str(sleeper), "env": {"TOKEN": "hunter2-of-another"}},
                common | {"name": "retired", "script": str(sleeper)},
                common | {"name": "scout", "script": str(brief), "autorestart": False, "cron_restart": "0 0 1 1 *"},
            ]
        }
    )
    await empty_pm2("stop", "retired")

    async def found() -> bool:
        out, _ = init(tmp_path, MONITORD_PM2__HOME=str(empty_pm2.home))
        services = loaded(out, tmp_path).orders.services
        (tmp_path / ".env").unlink()
        assert "hunter2" not in out
        return dict(services) == {"gateway": "online", "retired": "stopped", "scout": "periodic:0 0 1 1 *"}

    await eventually(found)
    explained = monitord(
        *("check", "--explain", "--format", "json"), directory=tmp_path, settings={"PM2_HOME": str(empty_pm2.home)}
    )
    (services,) = [one for one in json.loads(explained.stdout)["subjects"] if one["name"] == "pm2"]
    assert {"name": "gateway", "source": "learned"} in services["members"]
    learned = {limit["member"]: limit["value"] for limit in services["limits"] if limit["source"] == "learned"}
    assert learned["gateway"] == "online"
    out, err = init(tmp_path, PM2_HOME=str(empty_pm2.home))
    assert loaded(out, tmp_path).pm2.home == empty_pm2.home
    assert "3 services" in err


async def test_it_finds_the_table_the_groups_and_the_length_of_an_epoch(
    fleet_database: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=60)
    try:
        await seed_window(connection, HOUR)
        await connection.execute(
            "INSERT INTO sealed_epochs (epoch, channel, root, token_group) VALUES (9999999999, 'test', '', 'FUTURE')"
        )
    finally:
        await connection.close(timeout=10)
    out, err = init(tmp_path, DATABASE_URL=fleet_database)
    settings = loaded(out, tmp_path)
    assert tuple(settings.postgres.tables or ()) == ("user_signals",)
    assert sorted(settings.epochs.groups or ()) == ["CLS", "MILO"]
    assert settings.epochs.length.total_seconds() == HOUR
    assert "FUTURE" not in out
    assert postgres.password not in out + err
    done = monitord("config", directory=tmp_path, settings={"DATABASE_URL": fleet_database})
    assert (done.returncode, done.stderr) == (0, "")
    assert postgres.password not in done.stdout


async def test_it_finds_a_table_to_watch_where_there_is_no_user_signals(empty_database: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(empty_database, timeout=10, command_timeout=60)
    try:
        await connection.execute('CREATE TABLE "its $HOME" (epoch bigint, note text); CREATE TABLE plain (n int)')
    finally:
        await connection.close(timeout=10)
    out, _ = init(tmp_path, "--dsn", empty_database)
    assert loaded(out, tmp_path).postgres.tables == {"its $HOME": TableOrders()}
    assert "# Also there: plain\n" in out
    assert not [word for word in ("epoch", "seal", "user_signals", "milo") if word in out.lower()]


def test_what_explains_what_is_proposed_from_what_is_there(tmp_path: Path) -> None:
    seeds = DiscoveredFleet(
        "/home/pm2",
        dict.fromkeys(("stream-listener", "cls-worker-s0", "milo-aggregator", "tree-builder", "mail-worker"), "online"),
    )
    theirs = DiscoveredDatabase("# given", ("user_signals",), sealed={"CLS": 24}, labels=24)
    out = dotenv(replace(NOTHING, fleet=seeds, database=theirs), "headline")
    orders = loaded(out, tmp_path).orders
    assert orders.fed_by == {
        "user_signals": ("stream-listener", "cls-worker-s0"),
        "CLS": ("stream-listener", "cls-worker-s0"),
    }
    assert orders.sealed_by == {"CLS": ("milo-aggregator",)}  # it seals; trees come after


def test_in_a_fleet_that_shows_no_causes_none_is_set_and_a_choice_is_a_comment(tmp_path: Path) -> None:
    shop = DiscoveredFleet("/home/pm2", {"shop-api": "online", "mail-worker": "online", "import": "periodic"})
    out = dotenv(replace(NOTHING, fleet=shop, database=DiscoveredDatabase("# given", ("orders",))), "headline")
    assert loaded(out, tmp_path).orders.fed_by is None
    assert '# MONITORD_ORDERS__FED_BY=\'{"orders": ["shop-api", "mail-worker"]}\'\n' in out
    assert "SEALED_BY" not in out


async def test_it_finds_queues_without_asking_for_all_keys(empty_valkey: str, tmp_path: Path) -> None:
    async with Redis.from_url(empty_valkey, socket_timeout=10) as redis:
        await redis.hset("bull:tree-builder:meta", "version", "bullmq")
        await redis.lpush("bull:a:b:wait", "1")
        await redis.hset("bull:tree-builder:17", "name", "job")
        await redis.set("bull", "no queue")
        out, _ = init(tmp_path, "--redis", empty_valkey)
        statistics = await redis.info("commandstats")
    assert set(loaded(out, tmp_path).redis.queues) == {"tree-builder", "a:b"}
    assert "cmdstat_scan" in statistics
    assert "cmdstat_keys" not in statistics


async def test_it_finds_a_queue_of_any_prefix_among_its_jobs_and_not_what_only_looks_like_one(
    empty_valkey: str, tmp_path: Path
) -> None:
    async with Redis.from_url(empty_valkey, socket_timeout=10) as redis:
        await redis.hset("myapp:emails:meta", "opts.maxLenEvents", "10000")
        await redis.mset({f"myapp:emails:{number}": "" for number in range(9000)})
        await redis.rpush("shop:{eu}:orders:wait", *range(3))
        await redis.set("old:drained:id", "3")
        await redis.zadd("old:drained:completed", {"1": 1.0})
        await redis.hset("user:42:meta", "name", "somebody")
        await redis.set("user:42:id", "42")
        out, _ = init(tmp_path, "--redis", empty_valkey)
    queues = loaded(out, tmp_path).redis.queues
    assert {name: queue.prefix for name, queue in queues.items()} == {
        "emails": "myapp",
        "orders": "shop:{eu}",
        "drained": "old",
    }


async def test_where_another_database_holds_the_keys_it_says_which(empty_valkey: str, tmp_path: Path) -> None:
    async with Redis.from_url(empty_valkey, socket_timeout=10) as redis:
        await redis.rpush("bull:emails:wait", "1")
    out, _ = init(tmp_path, "--redis", empty_valkey.rstrip("/0").rstrip("/") + "/3")
    assert "# Database 0 of this server holds 1 keys: is the number in the URL the right one?\n" in out


def test_a_service_that_bears_a_queues_name_is_proposed_as_its_worker() -> None:
    fleet = DiscoveredFleet("/home/pm2", dict.fromkeys(("mail_worker 2", "emails-worker", "emailsender"), "online"))
    queues = DiscoveredQueues("# given", ("emails", "orders"), prefixes={"orders": "myapp"})
    out = dotenv(replace(NOTHING, fleet=fleet, queues=queues), "headline")
    assert 'MONITORD_REDIS__QUEUES=\'{"emails": {"worker": "emails-worker"}, "orders": {"prefix": "myapp"}}\'' in out


async def test_among_too_many_keys_it_stops_and_says_so(empty_valkey: str, tmp_path: Path) -> None:
    async with Redis.from_url(empty_valkey, socket_timeout=10) as redis:
        await redis.mset({f"key-{number}": "" for number in range(120_000)})
        before = (await redis.info("commandstats")).get("cmdstat_scan", {}).get("calls", 0)
        out, _ = init(tmp_path, "--redis", empty_valkey)
        after = (await redis.info("commandstats"))["cmdstat_scan"]["calls"]
    assert "more keys than were read" in out
    assert after - before == SCAN_ROUNDS


PROCESS = ListedProcess(
    name="service",
    pm_id=0,
    pid=None,
    status="online",
    memory_bytes=None,
    cpu_percent=None,
    restarts=0,
    created_at=None,
    started_at=None,
    exit_code=None,
    autorestart=True,
    cron_restart=None,
    memory_limit_bytes=None,
    module=False,
    watch=False,
    backoff=False,
    kill_timeout=None,
    listen_timeout=None,
    last_started_at=None,
    restart_delay=None,
    may_end=False,
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"status": "online"}, "online"),
        ({"status": "errored", "exit_code": 1}, "online"),
        ({"status": "stopped", "exit_code": 0}, "stopped"),
        ({"status": "stopped", "exit_code": 0, "autorestart": False}, "periodic"),
        ({"status": "stopped", "exit_code": 1, "autorestart": False}, "stopped"),
        ({"status": "stopped", "exit_code": 1, "autorestart": False, "cron_restart": "* * * * *"}, "periodic"),
        ({"status": "online", "autorestart": False, "cron_restart": "* * * * *"}, "periodic"),
        ({"status": "online", "cron_restart": "0 4 * * *"}, "online"),
    ],
)
def test_what_is_expected_follows_from_how_pm2_keeps_it(found: dict[str, Any], expected: str) -> None:
    assert scan.expectations([replace(PROCESS, **found)]) == {"service": expected}


def test_of_several_instances_one_that_runs_is_enough_to_expect_it_online() -> None:
    stopped, running = replace(PROCESS, status="stopped"), replace(PROCESS, pm_id=1)
    assert scan.expectations([stopped, running]) == {"service": "online"}


@pytest.mark.parametrize(
    ("labels", "seconds"),
    [
        ([], None),
        ([HOUR], None),
        ([n * HOUR for n in range(24)], HOUR),
        ([n * HOUR for n in range(24) if n not in (3, 4, 11)], HOUR),
        ([n * 5 for n in range(24)], 5),
        ([*(n * HOUR for n in range(100, 123)), 100 * HOUR + 17], HOUR),
        ([n * HOUR + 17 for n in range(24)], None),
        ([1, 10, 100, 1000, 10_000], None),
    ],
)
def test_the_length_of_an_epoch_is_told_by_labels_or_not_at_all(labels: list[int], seconds: int | None) -> None:
    assert scan.epoch_seconds(labels) == seconds


HOSTILE = [
    "it's",
    'say "hi"',
    "back\\slash",
    "ends in \\",
    "$HOME ${HOME} `id` $(id)",
    "#no comment",
    "日本",
]


def test_names_come_back_from_the_env_as_they_were_whatever_they_are(tmp_path: Path) -> None:
    found = replace(
        NOTHING,
        fleet=DiscoveredFleet("/home/of pm2/it's", dict.fromkeys(HOSTILE, "online")),
        database=DiscoveredDatabase("# given", tuple(HOSTILE), tuple(HOSTILE), 5, dict.fromkeys(HOSTILE, 1), 24),
        queues=DiscoveredQueues("# given", tuple(HOSTILE)),
        disks=("/", *(f"/{name}" for name in HOSTILE)),
    )
    text = dotenv(found, "headline")
    assert all(line.isprintable() for line in text.splitlines())
    settings = loaded(text, tmp_path)
    assert dict(settings.orders.services) == dict.fromkeys(HOSTILE, "online")
    assert list(settings.postgres.tables or ()) == list(HOSTILE)
    assert settings.epochs.groups == tuple(HOSTILE)
    assert tuple(settings.redis.queues) == tuple(HOSTILE)
    assert settings.pm2.home == Path("/home/of pm2/it's")


def test_a_name_that_no_setting_takes_is_left_out_and_said(tmp_path: Path) -> None:
    database = DiscoveredDatabase("# given", ("user_signals", "a\nMONITORD_LOG_LEVEL=debug", "\x1b[31m"))
    text = dotenv(replace(NOTHING, database=database), "headline")
    assert all(line.isprintable() for line in text.splitlines())
    settings = loaded(text, tmp_path)
    assert (list(settings.postgres.tables or ()), settings.log_level) == (["user_signals"], "info")
    assert "# Left out of MONITORD_POSTGRES__TABLES: 2 " in text


def test_windows_follow_the_length_of_an_epoch(tmp_path: Path) -> None:
    database = DiscoveredDatabase("# given", ("user_signals",), epoch_seconds=60, sealed={"MILO": 24}, labels=24)
    settings = loaded(dotenv(replace(NOTHING, database=database), "headline"), tmp_path)
    assert settings.epochs.length.total_seconds() == 60
    assert settings.epochs.grace.total_seconds() == 15
    assert settings.orders.seal_warning.total_seconds() == 120
    assert settings.orders.seal_critical.total_seconds() == 240


def test_a_group_that_seldom_seals_is_pointed_out() -> None:
    database = DiscoveredDatabase(
        "# given", ("user_signals",), epoch_seconds=HOUR, sealed={"MILO": 24, "OTHER": 3}, labels=24
    )
    text = dotenv(replace(NOTHING, database=database), "headline")
    assert json.dumps(["MILO", "OTHER"]) in text
    assert "# OTHER has seals in only 3 of them" in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "MONITORD_REDIS__URL='redis://127.0.0.1:6379/0'"),
        ("redis://:hunter2@127.0.0.1:1/0", "# MONITORD_REDIS__URL=redis://:...@127.0.0.1:1/0  (fill in the password)"),
        ("rediss://u:hunter2@127.0.0.1:1", "# MONITORD_REDIS__URL=rediss://u:...@127.0.0.1:1  (fill in the password)"),
        ("redis://127.0.0.1:1?password=hunter2", "# MONITORD_REDIS__URL=redis://...  (fill in the password)"),
        ("redis://u:hunter2@x@127.0.0.1:1", "# MONITORD_REDIS__URL=redis://...  (fill in the password)"),
    ],
)
async def test_an_address_is_printed_only_where_it_holds_no_secret(url: str, shown: str) -> None:
    queues = await scan.queues(url, None, 0.5)
    assert queues is not None
    assert queues.line == shown


async def test_an_address_that_was_not_given_here_is_not_repeated() -> None:
    queues = await scan.queues(None, "redis://:hunter2@127.0.0.1:1", 0.5)
    assert queues is not None
    assert queues.line.startswith("# MONITORD_REDIS__URL or REDIS_URL is taken from where it is set already")
    assert "127.0.0.1" not in queues.line


def test_a_watched_path_that_is_no_mount_point_is_said(tmp_path: Path) -> None:
    done = monitord("init", directory=tmp_path, settings={"MONITORD_HOST__DISKS": f'["{tmp_path}"]'})
    assert done.returncode == 0
    assert f"Disks: {tmp_path} is not a mount point: what is measured there is the file system at /" in done.stderr
    checked = monitord("check", directory=tmp_path, settings={"MONITORD_HOST__DISKS": f'["{tmp_path}"]'})
    assert "is not a mount point" in " ".join(checked.stdout.split())
