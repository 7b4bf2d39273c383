"""`monitord check` against real servers, absent ones and silent ones."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from monitord.demo.stack import Stack
from monitord.storage.reader import read_snapshot
from monitord.storage.schema import UnusableSnapshot
from monitord.testing.servers.postgres import PostgresServer

from .program import PATIENCE, Eventually, monitord, start

# However full the disk of the machine that runs the tests is.
ROOMY = {"MONITORD_ORDERS__DISK_WARNING": "100%", "MONITORD_ORDERS__DISK_CRITICAL": "100%"}
HOST_ALONE = ROOMY | {"MONITORD_HOST__DISKS": '["/"]'}


def check(directory: Path, settings: dict[str, str], style: str = "json") -> tuple[int, str, str]:
    state = {"MONITORD_STATE_DIR": str(directory / "state")}
    done = monitord("check", "--format", style, directory=directory, settings=state | settings)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def fields_of(directory: Path, settings: dict[str, str]) -> dict[str, Any]:
    code, out, err = check(directory, settings)
    assert err == ""
    fields: dict[str, Any] = json.loads(out)
    assert code == {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}[fields["status"]]
    return fields


def firing(fields: dict[str, Any]) -> set[tuple[str, str]]:
    return {(alert["rule"], alert["subject"]) for alert in fields["alerts"]["firing"]}


def test_with_nothing_configured_it_checks_the_host_says_how_to_add_the_rest_and_is_not_ok(tmp_path: Path) -> None:
    code, out, err = check(tmp_path, ROOMY, "text")
    assert (code, err) == (3, "")
    for variable in ("MONITORD_PM2__HOME", "MONITORD_POSTGRES__DSN", "MONITORD_REDIS__URL"):
        assert out.count(variable) == 1
    assert "\x1b" not in out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "UNKNOWN: nothing is configured to be watched" in out


def test_mistakes_are_one_line_each_and_nothing_is_checked(tmp_path: Path) -> None:
    wrong = {"MONITORD_CHECK_INTERVAL": "soon", "MONITORD_PROBE_TIMEOUT": "-1s"}
    code, out, err = check(tmp_path, wrong, "text")
    assert (code, out) == (2, "")
    assert sorted(line.partition(":")[0].split()[0] for line in err.splitlines()) == sorted(wrong)


def test_an_address_only_a_driver_can_refuse_is_a_mistake_too(tmp_path: Path) -> None:
    code, out, err = check(tmp_path, {"MONITORD_POSTGRES__DSN": "postgresql://u:hunter2@db/x?sslmode=maybe"}, "json")
    assert (code, out) == (2, "")
    assert err.startswith("MONITORD_POSTGRES__DSN (or DATABASE_URL): ")
    assert "hunter2" not in err


def test_what_cannot_be_reached_is_critical_and_every_number_of_it_null(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        fields = fields_of(
            tmp_path,
            {
                "MONITORD_PM2__HOME": str(tmp_path / "no-pm2"),
                "MONITORD_POSTGRES__DSN": f"postgresql://watcher:hunter2@127.0.0.1:{port}/fleet",
                "MONITORD_REDIS__URL": f"redis://:hunter2@127.0.0.1:{port}",
                "MONITORD_POSTGRES__TABLES": '["user_signals"]',
                "MONITORD_EPOCHS__GROUPS": '["MILO"]',
                "MONITORD_REDIS__QUEUES": '["tree-builder"]',
                "MONITORD_ORDERS__SERVICES": '{"gateway": "online"}',
            },
        )
    assert fields["status"] == "critical"
    assert fields["trigger"] == "cli"
    assert fields["duration_ms"] > 0
    assert {(name, "pm2") for name in ("pm2_unreachable",)} <= firing(fields)
    assert {("postgres_unreachable", "postgres"), ("redis_unreachable", "redis")} <= firing(fields)
    assert {name: probe["status"] for name, probe in fields["probes"].items()} == {
        **dict.fromkeys(("pm2", "postgres", "epochs", "pipeline", "redis"), "failed"),
        "host": "ok",
        "checks": "off",
        "chain": "off",
    }
    measured = {name: value for name, value in fields["growth"]["user_signals"].items() if "flow_stall" not in name}
    assert set(measured.values()) <= {None, False}
    assert set(fields["redis"]["queues"]["tree-builder"].values()) == {None}
    assert fields["services"]["gateway"]["ok"] is None
    assert fields["epochs"]["MILO"]["missed"] is None
    assert "hunter2" not in json.dumps(fields)


@pytest.fixture
def silent() -> Iterator[tuple[int, threading.Event]]:
    """The port of a server that takes connections and never says a word, and whether one has come."""
    came = threading.Event()
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                while True:
                    taken.append(server.accept()[0])
                    came.set()
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)
    for connection in taken:
        connection.close()


def test_servers_that_never_answer_are_given_up_on(tmp_path: Path, silent: tuple[int, threading.Event]) -> None:
    port, _ = silent
    fields = fields_of(
        tmp_path,
        {
            "MONITORD_PROBE_TIMEOUT": "100ms",
            "MONITORD_POSTGRES__DSN": f"postgresql://watcher@127.0.0.1:{port}/fleet?sslmode=disable",
            "MONITORD_REDIS__URL": f"redis://127.0.0.1:{port}",
        },
    )
    assert {fields["probes"][name]["kind"] for name in ("postgres", "epochs", "redis")} == {"timeout"}


def test_ctrl_c_ends_it_at_once_and_quietly(tmp_path: Path, silent: tuple[int, threading.Event]) -> None:
    port, came = silent
    settings = {
        "MONITORD_STATE_DIR": str(tmp_path / "state"),
        "MONITORD_PROBE_TIMEOUT": "1h",
        "MONITORD_POSTGRES__DSN": f"postgresql://watcher@127.0.0.1:{port}/fleet?sslmode=disable",
    }
    process = start("check", directory=tmp_path, settings=settings)
    try:
        assert came.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (130, b"", b"")


def test_plugin_output_and_exit_code_agree(tmp_path: Path) -> None:
    full = {"MONITORD_ORDERS__DISK_WARNING": "0%", "MONITORD_ORDERS__DISK_CRITICAL": "100%"}
    code, out, err = check(tmp_path, HOST_ALONE | full, "nagios")
    assert (code, err) == (1, "")
    assert out.startswith("MONITORD WARNING - The disk at / is ")
    assert " | " in out.splitlines()[0]


def test_it_leaves_no_trace(tmp_path: Path) -> None:
    fields_of(tmp_path, HOST_ALONE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_snapshot_that_cannot_be_read_is_passed_over(tmp_path: Path, style: str) -> None:
    snapshot = tmp_path / "state" / "snapshot.db"
    snapshot.parent.mkdir()
    snapshot.write_bytes(b"not a database" * 1000)
    code, out, err = check(tmp_path, HOST_ALONE, style)
    assert code == 0
    assert ("cannot be read" in err) == (style == "text")
    assert out
    assert snapshot.read_bytes() == b"not a database" * 1000
    assert [path.name for path in snapshot.parent.iterdir()] == ["snapshot.db"]


async def test_it_sees_a_real_fleet_and_what_happens_to_it(
    stack: Stack, tmp_path: Path, eventually: Eventually
) -> None:
    settings = stack.environment() | ROOMY | {"MONITORD_STATE_DIR": str(tmp_path / "state")}

    async def well() -> bool:
        return firing(fields_of(tmp_path, settings)) == set()

    await eventually(well)
    fields = fields_of(tmp_path, settings)
    assert fields["services"]["gateway"]["state"] == "online"
    assert fields["services"]["gateway"]["memory_bytes"] > 1_000_000
    assert fields["growth"]["user_signals"]["rows"] > 0
    assert fields["epochs"]["CLS"]["channels_sealed"] > 0
    assert fields["redis"]["keys"] > 0
    await stack.pm2("stop", "gateway")
    try:
        fields = fields_of(tmp_path, settings)
        assert fields["status"] == "critical"
        assert ("service_down", "gateway") in firing(fields)
    finally:
        await stack.pm2("start", "gateway")
    assert stack.postgres.password not in json.dumps(fields)


async def write_signals(dsn: str, rows: int, *, commit: bool) -> None:
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=30)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO user_signals SELECT extract(epoch FROM now())::bigint / 3600 * 3600, 'channel', "
            "gen_random_uuid()::text, 'chat', 1, i FROM generate_series(1, $1::int) AS i",
            rows,
        )
        await (transaction.commit() if commit else transaction.rollback())
    finally:
        await connection.close(timeout=10)  # and so its counters are there for others to see


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "rolled back"])
async def test_a_flood_is_counted_before_it_is_called_one(
    commit: bool, fleet_database: str, postgres: PostgresServer, tmp_path: Path, eventually: Eventually
) -> None:
    settings = {
        "MONITORD_STATE_DIR": str(tmp_path / "state"),
        "MONITORD_CHECK_INTERVAL": "1h",
        "MONITORD_HTTP__LISTEN": "",
        "MONITORD_POSTGRES__DSN": fleet_database,
        "MONITORD_ORDERS__GROWTH_LIMIT": "1000",
    }
    daemon = start("run", directory=tmp_path, settings=settings)
    try:

        async def saved() -> bool:
            assert daemon.poll() is None
            try:
                snapshot = read_snapshot(tmp_path / "state")
            except UnusableSnapshot:  # it is being made
                return False
            return snapshot is not None and bool(snapshot.state.history.tables)

        await eventually(saved)
    finally:
        daemon.terminate()
        daemon.communicate(timeout=PATIENCE)
    await write_signals(fleet_database, 5000, commit=commit)

    async def counted() -> bool:
        connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=30)
        try:
            inserted = await connection.fetchval(
                "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'user_signals'"
            )
        finally:
            await connection.close(timeout=10)
        return int(inserted) >= 5000

    await eventually(counted)
    before = (tmp_path / "state" / "snapshot.db").read_bytes()
    fields = fields_of(tmp_path, settings)
    assert (("table_growth_high", "user_signals") in firing(fields)) is commit
    assert fields["growth"]["user_signals"]["window_rows"] == (5000 if commit else 0)
    assert (tmp_path / "state" / "snapshot.db").read_bytes() == before
