"""`monitord init` on a terminal, where it asks, and into a file; and the rhythm of tables, schedules and ports."""

import os
import pty
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import psutil
import pytest

from monitord.config.loader import load
from monitord.discovery.choices import chosen
from monitord.discovery.dotenv import Discovered, DiscoveredDatabase, DiscoveredFleet, DiscoveredQueues, dotenv
from monitord.discovery.endpoints import DiscoveredEndpoint
from monitord.discovery.rhythms import stall_of
from monitord.discovery.scan import is_in_utc
from monitord.discovery.toml import as_toml
from monitord.testing.servers.pm2 import Pm2Server
from tests.support import forked

from .program import PATIENCE, Eventually, environment, monitord

FOUND = Discovered(
    DiscoveredFleet(
        "/home/of pm2/it's",
        {"gateway": "online", "scout": "periodic", 'say "hi"': "online"},
        schedules={"scout": "0 */2 * * *"},
    ),
    DiscoveredDatabase("# given", ("orders", "reports"), ("old",), 3600, {"MILO": 24}, 24, stalls={"reports": 7200.0}),
    DiscoveredQueues("# MONITORD_REDIS__URL=redis://:...@h/0  (fill in the password)", ("emails",)),
    ("/", "/data"),
    (DiscoveredEndpoint("gateway", "127.0.0.1", 8080, True), DiscoveredEndpoint("gateway", "::1", 9, False)),
)


def test_what_was_found_is_set_whole(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(dotenv(FOUND, "headline"))
    settings = load({}, tmp_path)
    assert settings.orders.services["scout"].startswith("periodic:0 */2 * * ")
    assert settings.postgres.tables is not None
    (stall,) = (settings.postgres.tables["reports"].flow_stall or {}).values()
    assert stall.total_seconds() == 7200
    assert settings.postgres.tables["orders"].flow_stall is None
    assert set(settings.checks) == {"gateway-8080", "gateway-9"}


def test_the_toml_says_the_same_as_the_env(tmp_path: Path) -> None:
    env, toml = tmp_path / "env", tmp_path / "toml"
    env.mkdir()
    toml.mkdir()
    text = dotenv(FOUND, "headline")
    (env / ".env").write_text(text)
    (toml / "monitord.toml").write_text(as_toml(text))
    assert load({"MONITORD_STATE_DIR": "/"}, toml).differences(load({"MONITORD_STATE_DIR": "/"}, env)) == ()
    assert '# url = "redis://:...@h/0' in as_toml(text)


def test_in_toml_a_comment_stays_in_the_section_that_it_is_about() -> None:
    text = as_toml(
        "# headline\n\nMONITORD_POSTGRES__TABLES=[]\n# Also there: a\n\n# The cache.\nMONITORD_REDIS__PREFIX=b\n"
    )
    assert text == '# headline\n\n[postgres]\n\ntables = []\n# Also there: a\n\n[redis]\n\n# The cache.\nprefix = "b"\n'


def test_each_no_leaves_out_what_it_is_about_and_turns_it_off(tmp_path: Path) -> None:
    noes = ("Watch PM2", "  Watch the table orders", "  Watch the epochs", "Watch Redis", "Watch the disk of /data")
    kept = chosen(FOUND, lambda question, _: not question.startswith(noes))
    (tmp_path / ".env").write_text(dotenv(kept, "headline"))
    settings = load({"PM2_HOME": "/elsewhere", "REDIS_URL": "redis://h/0"}, tmp_path)
    assert (settings.pm2.home, settings.redis.url, settings.epochs.groups) == (None, None, ())
    assert list(settings.postgres.tables or ()) == ["reports"]
    assert list(settings.host.disks) == ["/"]
    assert len(settings.checks) == 2


def test_yes_to_all_changes_nothing() -> None:
    assert replace(chosen(FOUND, lambda *_: True), off=()) == replace(FOUND, database=FOUND.database)


HOUR, MINUTE = 3600.0, 60.0


@pytest.mark.parametrize(
    ("ages", "stall"),
    [
        ([n * MINUTE for n in range(25)], 0.0),
        ([5 * MINUTE + n * HOUR for n in range(25)], 2 * HOUR),
        ([n * 20 * MINUTE for n in range(25)], 40 * MINUTE),
        ([5 * HOUR + n * HOUR for n in range(25)], None),
        ([0.0, HOUR, 2 * HOUR], None),
        ([n * 3 * 24 * HOUR for n in range(25)], None),
        ([], None),
    ],
)
def test_a_stall_is_twice_the_longest_gap_between_rows_that_still_come(ages: list[float], stall: float | None) -> None:
    assert stall_of(ages) == stall


@pytest.mark.parametrize(
    ("written", "offset", "fits"),
    [
        ("0 */2 * * *", 0, True),
        ("0 */2 * * *", 7200, False),
        ("*/5 * * * *", 7200, True),
        ("*/7 * * * *", 19_800, False),
        ("0 0 0 * * *", 0, False),
        ("@daily", 0, False),
    ],
)
def test_a_schedule_is_named_only_where_it_is_the_same_in_utc(written: str, offset: int, fits: bool) -> None:
    assert is_in_utc(written, offset) is fits


async def test_a_table_that_is_written_hourly_gets_a_stall_of_its_own(empty_database: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(empty_database, timeout=10, command_timeout=60)
    try:
        await connection.execute(
            """
            CREATE TABLE orders (id int, created_at timestamptz);
            CREATE TABLE reports (id int, created_at timestamptz);
            CREATE TABLE legacy (id int, created_at timestamptz);
            INSERT INTO orders SELECT n, now() - n * interval '10 seconds' FROM generate_series(1, 2000) n;
            INSERT INTO reports SELECT n, now() - n / 5 * interval '1 hour' FROM generate_series(1, 200) n;
            INSERT INTO legacy SELECT n, now() - (n + 2000) * interval '1 hour' FROM generate_series(1, 99) n;
            """
        )
    finally:
        await connection.close(timeout=10)
    done = monitord("init", "--dsn", empty_database, directory=tmp_path)
    (tmp_path / ".env").write_text(done.stdout)
    tables = load({}, tmp_path).postgres.tables or {}
    assert {name: table.flow_stall is not None for name, table in tables.items()} == {"orders": False, "reports": True}
    assert '"reports": {"flow_stall": "2h"}' in done.stdout
    assert "# Also there: legacy\n" in done.stdout


SERVER = """
import http.server, socket, sys, threading
mute = socket.create_server(("127.0.0.1", int(sys.argv[2])))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as one:
        port: int = one.getsockname()[1]
    return port


async def test_the_ports_that_services_listen_on_are_checked(
    empty_pm2: Pm2Server, tmp_path: Path, eventually: Eventually
) -> None:
    web, mute = free_port(), free_port()
    (tmp_path / "server.py").write_text(SERVER)
    common = {"interpreter": "/usr/bin/env", "interpreter_args": "python3", "cwd": str(tmp_path)}
    app = {"name": "web", "script": str(tmp_path / "server.py"), "args": [str(web), str(mute)]}
    await empty_pm2.start_apps({"apps": [common | app]})

    async def found() -> bool:
        done = monitord("init", directory=tmp_path, settings={"PM2_HOME": str(empty_pm2.home)})
        (tmp_path / ".env").write_text(done.stdout)
        kinds = {name: check.order().type for name, check in load({}, tmp_path).checks.items()}
        (tmp_path / ".env").unlink()
        return kinds == {f"web-{web}": "http", f"web-{mute}": "tcp"}

    await eventually(found)


def test_into_a_file_it_never_writes_over_one_unless_forced(tmp_path: Path) -> None:
    target = tmp_path / "made.env"
    assert monitord("init", "--output", "made.env", directory=tmp_path).returncode == 0
    assert target.stat().st_mode & 0o777 == 0o600
    target.write_text("mine")
    done = monitord("init", "--output", "made.env", directory=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "made.env is there already; --force writes over it\n"
    assert target.read_text() == "mine"
    assert monitord("init", "--output", "made.env", "--force", directory=tmp_path).returncode == 0
    assert "MONITORD_HOST__DISKS" in target.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.env", "made.env.before"]
    assert (tmp_path / "made.env.before").read_text() == "mine"


@contextmanager
def at_a_terminal(directory: Path, *arguments: str) -> Iterator[tuple[forked.Popen, int]]:
    ours, theirs = pty.openpty()
    process = forked.Popen(
        ["init", *arguments], cwd=directory, env=environment(directory), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait(PATIENCE)
        os.close(ours)


def until(terminal: int, wanted: str, again: Callable[[], None] = lambda: None) -> str:
    """What the terminal shows, until it shows this; `again` is done whenever it shows nothing new for long."""
    shown, deadline = "", time.monotonic() + PATIENCE
    while wanted not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 1.0)[0]:
            shown += os.read(terminal, 4096).decode()
        else:
            again()
    return shown


def test_on_a_terminal_it_asks_and_writes_the_file(tmp_path: Path) -> None:
    with at_a_terminal(tmp_path) as (process, terminal):
        until(terminal, "Watch the disk of /? [Y/n] ")
        os.write(terminal, b"maybe\n")
        until(terminal, "Watch the disk of /? [Y/n] ")
        os.write(terminal, b"\n")
        until(terminal, "Write .env? [Y/n] ")
        os.write(terminal, b"y\n")
        until(terminal, ".env was written.")
        assert process.wait(PATIENCE) == 0
    assert list(load({}, tmp_path).host.disks) == ["/"]


def test_where_there_is_a_env_it_adds_to_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MONITORD_FLEET=mine")
    with at_a_terminal(tmp_path) as (process, terminal):
        until(terminal, "Watch the disk of /? [Y/n] ")
        os.write(terminal, b"\n")
        until(terminal, "Add it to .env? [Y/n] ")
        os.write(terminal, b"\n")
        until(terminal, ".env was written.")
        assert process.wait(PATIENCE) == 0
    assert (tmp_path / ".env").read_text().startswith("MONITORD_FLEET=mine\n\n# What monitord found")
    assert load({}, tmp_path).fleet == "mine"


def test_ctrl_c_while_it_asks_leaves_nothing_behind(tmp_path: Path) -> None:
    with at_a_terminal(tmp_path) as (process, terminal):
        until(terminal, "Watch the disk of /? [Y/n] ")
        while psutil.Process(process.pid).status() != psutil.STATUS_SLEEPING:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        # One that comes between the question and the wait for its answer is heeded with the next.
        until(terminal, "nothing was written", lambda: process.send_signal(signal.SIGINT))
        assert process.wait(PATIENCE) == 130
    assert list(tmp_path.iterdir()) == []
