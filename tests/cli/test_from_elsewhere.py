"""Commands that are run where the daemon's settings are not: cron's and NRPE's directory, somebody else's shell."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monitord.config.record import FILE, read_record
from monitord.testing.servers.postgres import PostgresServer
from monitord.testing.servers.valkey import ValkeyServer
from tests.support import forked, inside

from .program import PATIENCE

FAST = "MONITORD_CHECK_INTERVAL=1s\nMONITORD_ORDERS__CONFIRM_EVERY=0s\nMONITORD_HTTP__LISTEN=\nMONITORD_PM2__HOME=\n"


def environment(home: Path, more: Mapping[str, str] = {}) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), **more}


def monitord(
    *arguments: str, home: Path, directory: Path, more: Mapping[str, str] = {}
) -> subprocess.CompletedProcess[str]:
    """A command as cron runs it: in another directory, with next to no environment."""
    return inside.run(arguments, cwd=directory, env=environment(home, more), timeout=PATIENCE)


@asynccontextmanager
async def watched(home: Path, directory: Path, more: Mapping[str, str] = {}) -> AsyncIterator[None]:
    """`monitord run` in `directory`, from its first check on."""
    process = await forked.start(["run"], cwd=directory, env=environment(home, more), limit=1_000_000)
    try:
        async with asyncio.timeout(PATIENCE):
            while json.loads(await process.stdout.readline())["event"] != "monitord_ready":
                pass
        drained = asyncio.create_task(process.stdout.read())
        yield
    finally:
        process.terminate()
        await process.wait()
    await drained


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A home, where the daemon runs, and elsewhere."""
    made = (tmp_path / "home", tmp_path / "srv", tmp_path / "elsewhere")
    for place in made:
        place.mkdir()
    return made


async def test_check_from_another_directory_asks_what_the_daemon_watches(
    places: tuple[Path, Path, Path], valkey: ValkeyServer
) -> None:
    home, there, elsewhere = places
    (there / ".env").write_text(
        f'{FAST}MONITORD_REDIS__URL={valkey.url()}\nMONITORD_REDIS__QUEUES=["nobody-made-it"]\n'
    )
    async with watched(home, there):
        found = monitord("check", "--format", "json", home=home, directory=elsewhere)
        text = monitord("check", home=home, directory=elsewhere)
        plugin = monitord("check", "--format", "nagios", home=home, directory=elsewhere)
    fields = json.loads(found.stdout)
    assert fields["probes"]["redis"]["status"] == "ok"
    assert fields["settings"] == {"files": [str(there / ".env")], "of_daemon": True}
    assert "nobody-made-it" in fields["redis"]["queues"]
    assert found.returncode != 0
    assert str(there / ".env") in "".join(text.stdout.split())
    assert str(there / ".env") in plugin.stdout
    assert "services" not in plugin.stdout


async def test_a_shell_with_a_part_of_the_settings_never_says_ok(
    places: tuple[Path, Path, Path], valkey: ValkeyServer, postgres: PostgresServer
) -> None:
    home, there, elsewhere = places
    # A database without the tables of the defaults: what of them is off is not missed here either.
    (there / ".env").write_text(f"{FAST}MONITORD_REDIS__URL={valkey.url()}\nMONITORD_POSTGRES__DSN={postgres.dsn()}\n")
    async with watched(home, there):
        part = {"MONITORD_CHECK_INTERVAL": "1s"}
        found = monitord("check", "--format", "json", home=home, directory=elsewhere, more=part)
        plugin = monitord("check", "--format", "nagios", home=home, directory=elsewhere, more=part)
        # An address that is there for others is no setting of monitord's.
        alias = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
        borrowed = monitord("check", "--format", "json", home=home, directory=elsewhere, more=alias)
    fields = json.loads(found.stdout)
    assert (found.returncode, fields["status"]) == (3, "unknown")
    assert fields["unasked"] == "this check does not ask about Postgres and Redis, which the daemon watches"
    assert plugin.stdout.startswith("MONITORD UNKNOWN - this check does not ask about Postgres and Redis")
    fields = json.loads(borrowed.stdout)
    assert fields["settings"]["of_daemon"] is True
    assert (borrowed.returncode, fields["status"]) == (0, "ok")
    assert fields["probes"]["postgres"]["status"] == "ok"


async def test_a_secret_of_the_daemons_own_environment_is_not_written_and_its_probe_is_missed(
    places: tuple[Path, Path, Path], valkey: ValkeyServer
) -> None:
    home, there, elsewhere = places
    (there / ".env").write_text(FAST)
    secret = {"MONITORD_REDIS__URL": valkey.url(), "MONITORD_INSTANCE": "shop-1"}
    async with watched(home, there, secret):
        found = monitord("check", "--format", "json", home=home, directory=elsewhere)
    left = home / ".local/state/monitord" / FILE
    assert left.stat().st_mode & 0o077 == 0
    assert valkey.url().split(":")[2].split("@")[0] not in left.read_text()
    record = read_record(left.parent)
    assert record is not None
    assert record.environment["MONITORD_INSTANCE"] == "shop-1"
    fields = json.loads(found.stdout)
    assert found.returncode == 3
    assert "MONITORD_REDIS__URL stood in its environment" in fields["unasked"]


async def test_the_daemons_settings_that_cannot_be_read_are_never_ok(places: tuple[Path, Path, Path]) -> None:
    home, there, elsewhere = places
    (there / ".env").write_text(FAST)
    async with watched(home, there):
        (there / ".env").rename(there / "moved.env")
        found = monitord("check", "--format", "nagios", home=home, directory=elsewhere)
        named = monitord("check", "--format", "json", "--env-file", "../srv/moved.env", home=home, directory=elsewhere)
    assert found.returncode == 3
    assert "cannot be read" in found.stdout
    assert json.loads(named.stdout)["settings"]["files"] == [str(elsewhere / "../srv/moved.env")]


async def test_looking_back_and_status_go_by_the_daemons_orders(places: tuple[Path, Path, Path]) -> None:
    home, there, elsewhere = places
    (there / "monitord.toml").write_text(
        'check_interval = "1s"\n[http]\nlisten = ""\n[pm2]\nhome = ""\n[host]\ndisks = ["/", "/proc"]\n'
    )
    async with watched(home, there):
        report = monitord("report", "--since", "1m", "--format", "json", home=home, directory=elsewhere)
        status = monitord("status", home=home, directory=elsewhere)
        config = monitord("config", home=home, directory=elsewhere)
        alerts = monitord("alerts", home=home, directory=elsewhere)
    for each in (report, config, alerts):
        assert str(there / "monitord.toml") in each.stderr
    assert str(there / "monitord.toml") in "".join(status.stdout.split())
    assert '["/", "/proc"]' in config.stdout
    assert json.loads(report.stdout)["verdict"] in ("GO", "NO-GO", "UNKNOWN")


def test_where_nothing_is_configured_nothing_is_ok(places: tuple[Path, Path, Path]) -> None:
    home, _, elsewhere = places
    found = monitord("check", home=home, directory=elsewhere)
    plugin = monitord("check", "--format", "nagios", home=home, directory=elsewhere)
    assert (found.returncode, plugin.returncode) == (3, 3)
    assert "nothing is configured to be watched" in plugin.stdout
    assert "services are" not in found.stdout


def test_a_host_that_alone_is_asked_for_is_watched(places: tuple[Path, Path, Path]) -> None:
    home, _, elsewhere = places
    host = {"MONITORD_HOST__DISKS": '["/"]', "MONITORD_ORDERS__DISK_WARNING": "100%"}
    host |= {"MONITORD_ORDERS__DISK_CRITICAL": "100%", "MONITORD_ORDERS__HOST_MEMORY": "0MB"}
    assert monitord("check", home=home, directory=elsewhere, more=host).returncode == 0


@pytest.mark.parametrize("command", [("check",), ("status",), ("config",), ("notify", "test"), ("run",)])
def test_a_file_that_is_named_and_not_there_is_a_mistake(
    places: tuple[Path, Path, Path], command: tuple[str, ...]
) -> None:
    home, _, elsewhere = places
    found = monitord(*command, "--env-file", "nowhere.env", home=home, directory=elsewhere)
    assert found.returncode == 2
    assert "MONITORD_ENV_FILE: there is no file nowhere.env" in found.stderr


async def test_a_daemon_whose_state_directory_only_its_own_settings_name_is_found_all_the_same(
    places: tuple[Path, Path, Path],
) -> None:
    home, there, elsewhere = places
    authority = there / "ca.pem"
    authority.write_text("")
    (there / ".env").write_text(f"{FAST}MONITORD_STATE_DIR=../state\nMONITORD_POSTGRES__CA_FILE=ca.pem\n")
    async with watched(home, there):
        status = monitord("status", "--format", "json", home=home, directory=elsewhere)
        config = monitord("config", "--format", "json", home=home, directory=elsewhere)
    assert json.loads(status.stdout)["pid"]
    assert json.loads(config.stdout)["MONITORD_POSTGRES__CA_FILE"]["value"] == str(authority)


async def test_of_several_daemons_none_is_guessed(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    home, there, elsewhere = places
    (there / ".env").write_text(FAST)
    async with (
        watched(home, there, {"MONITORD_STATE_DIR": str(tmp_path / "one")}),
        watched(home, there, {"MONITORD_STATE_DIR": str(tmp_path / "two")}),
    ):
        guessed = monitord("check", "--format", "nagios", home=home, directory=elsewhere)
        named = monitord(
            "status", "--format", "json", home=home, directory=elsewhere,
            more={"MONITORD_STATE_DIR": str(tmp_path / "two")},
        )  # fmt: skip
    assert guessed.returncode == 3
    assert str(tmp_path / "one") in guessed.stdout
    assert json.loads(named.stdout)["pid"]


@pytest.mark.parametrize("left", ["", "{", '{"directory": 7}'])
def test_what_the_daemon_has_left_and_nobody_can_read_is_never_ok(places: tuple[Path, Path, Path], left: str) -> None:
    home, _, elsewhere = places
    state = home / ".local/state/monitord"
    state.mkdir(parents=True)
    (state / FILE).write_text(left)
    host = {"MONITORD_HOST__DISKS": '["/"]', "MONITORD_ORDERS__DISK_WARNING": "100%"}
    host |= {"MONITORD_ORDERS__DISK_CRITICAL": "100%", "MONITORD_ORDERS__HOST_MEMORY": "0MB"}
    found = monitord("check", "--format", "nagios", home=home, directory=elsewhere, more=host)
    assert found.returncode == 3
    assert f"{FILE} cannot be read" in found.stdout
