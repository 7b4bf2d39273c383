"""silence, silences, unsilence, ack and forget: beside a snapshot, and beside a daemon that hears them."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import finish
from tests.core.nights import ORDERS, Night, orders
from tests.faults.watched import Watched

from .program import monitord
from .recorded import SETTINGS, leave

# A Redis that refuses fires at once, and needs no server.
REFUSED = {
    "MONITORD_CHECK_INTERVAL": "100ms",
    "MONITORD_ORDERS__CONFIRM_EVERY": "50ms",
    "MONITORD_REDIS__URL": "redis://127.0.0.1:1/0",
    "MONITORD_HTTP__LISTEN": "",
}


def run(directory: Path, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """A command on the state directory in `directory`. What is said on one line each, unwrapped."""
    environment = {"MONITORD_STATE_DIR": str(directory / "state"), "COLUMNS": "200", **settings}
    done = monitord(*arguments, directory=directory, settings=environment)
    return done.returncode, done.stdout, done.stderr


def as_json(directory: Path, *arguments: str) -> dict[str, Any]:
    _, out, err = run(directory, *arguments, "--format", "json")
    assert err == ""
    parsed: dict[str, Any] = json.loads(out)
    return parsed


@pytest.fixture(scope="module")
def left_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    night = Night(orders(services={}))
    night.passes(minutes=2)
    night["gateway"].stops()
    night.passes(minutes=2)
    state = tmp_path_factory.mktemp("left") / "state"
    finish(leave(state, night))
    return state


@pytest.fixture
def left(left_once: Path, tmp_path: Path) -> Path:
    """What a daemon left that is gone now: the gateway is down, and learned."""
    shutil.copytree(left_once, tmp_path / "state")
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [("silence", "gateway"), ("silences",), ("unsilence", "s1"), ("ack", "abcd"), ("forget", "gateway")],
    ids=lambda command: str(command[0]),
)
def test_where_no_daemon_has_run_it_is_said_in_a_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    code, out, err = run(tmp_path, *command)
    assert (code, out) == (2, "")
    assert err == f"monitord {command[0]}: no monitord has run on {tmp_path / 'state'} yet\n"
    assert not (tmp_path / "state").exists()


def test_a_silence_waits_for_a_daemon_and_is_listed_meanwhile(left: Path) -> None:
    code, out, err = run(left, "silence", "gate*", "--for", "3h", "--reason", "new cable")
    assert (code, err) == (0, "")
    first, covered, when = out.splitlines()
    assert " gate* is quiet until " in first
    assert covered == "It covers service_down gateway now."
    assert when == f"No monitord runs on {left / 'state'}: it takes effect when one does."
    (listed,) = as_json(left, "silences")["silences"]
    assert first.startswith(f"{listed['silence_id']}: ")
    assert (listed["subject"], listed["heard"], listed["in_force"], listed["reason"]) == (
        "gate*",
        False,
        True,
        "new cable",
    )
    assert len(listed["covers"]) == 1
    _, out, _ = run(left, "silences")
    assert "Not applied by the daemon yet." in out
    assert "new cable." in out
    code, out, _ = run(left, "unsilence", listed["silence_id"][:4])
    assert code == 0
    assert "gate* is not quiet any more." in out
    assert run(left, "silences")[1] == "No silences: everything is notified.\n"


def test_a_window_is_told_by_when_it_comes_next(left: Path) -> None:
    code, out, _ = run(left, "silence", "*", "--every", "0 0 29 2 *", "--for", "90m")
    assert code == 0
    assert "everything on this host is quiet from Feb 29, 00:00 UTC for 1 h 30 min (every 0 0 29 2 *)." in out
    assert "It covers service_down gateway when it begins, if it stands." in out
    (listed,) = as_json(left, "silences")["silences"]
    assert (listed["until"], listed["lasts_seconds"], listed["in_force"]) == (None, 5400.0, False)
    assert listed["next"].endswith("-02-29T00:00:00.000Z")


def test_what_nothing_is_called_is_silenced_and_said(left: Path) -> None:
    code, out, _ = run(left, "silence", "gatewy")
    assert code == 0
    assert "Nothing that is watched now is called so." in out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("silence", "gateway", "--rule", "service_dwn"), "the nearest is service_down"),
        (("silence", "gateway", "--for", "9"), "--for: '9' has no unit"),
        (("silence", "gateway", "--every", "never"), "--every: 'never' is no cron schedule"),
        (("unsilence", "s123"), "there is no silence with the id 's123'"),
        (("ack", "ffffffff"), "there is no alert that lives with the id 'ffffffff'"),
        (("forget", "gatewy"), "the nearest is gateway"),
        (("forget", "user_signals"), "MONITORD_POSTGRES__TABLES names it"),
    ],
)
def test_a_mistake_is_a_line_and_nothing_is_asked(left: Path, command: tuple[str, ...], said: str) -> None:
    code, out, err = run(left, *command)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert as_json(left, "silences")["silences"] == []


def test_what_the_orders_name_cannot_be_forgotten(left: Path) -> None:
    code, _, err = run(left, "forget", "gateway", **SETTINGS)
    assert code == 2
    assert "MONITORD_ORDERS__SERVICES names it" in err
    assert "gateway" in ORDERS.services


def test_what_is_forgotten_is_told_with_what_ends(left: Path) -> None:
    code, out, _ = run(left, "forget", "gateway")
    assert code == 0
    assert "gateway is not expected any more.\nservice_down ends." in out
    code, out, _ = run(left, "forget", "cls-worker")
    assert "It was online when monitord last checked" in out


async def test_a_snapshot_that_cannot_be_read_is_said_in_a_line(left: Path) -> None:
    (left / "state" / "snapshot.db").write_bytes(b"no database " * 1000)
    code, out, err = run(left, "silence", "gateway")
    assert (code, out, len(err.splitlines())) == (3, "", 1)


async def test_a_daemon_hears_of_a_silence_of_its_end_and_of_an_ack(tmp_path: Path) -> None:
    async with Watched(REFUSED | {"MONITORD_STATE_DIR": str(tmp_path / "state")}, tmp_path / "cwd") as watched:
        firing = await watched.until("alert_firing", rule="redis_unreachable")
        mark = len(watched.lines)
        code, out, _ = run(tmp_path, "silence", "redis", "--reason", "moving it")
        assert code == 0
        assert "It covers redis_unreachable redis now." in out
        assert "monitord applies it within a cycle" in out
        added = await watched.until("silence_added", mark, subject="redis", reason="moving it")
        quiet = await watched.until("alert_suppressed", mark, suppressed_by=added["silence_id"])
        assert (quiet["alert_id"], quiet["silenced_by"]) == (firing["alert_id"], added["silence_id"])
        code, out, _ = run(tmp_path, "status", **REFUSED)
        assert code == 3  # it cannot be measured, silenced or not
        assert "Silenced: redis until " in out
        assert f"Silenced by {added['silence_id']}, and not notified: Redis cannot be measured" in out
        _, checked, _ = run(tmp_path, "check", "--format", "json", **REFUSED)
        assert json.loads(checked)["alerts"]["firing"] == []
        mark = len(watched.lines)
        assert run(tmp_path, "unsilence", added["silence_id"])[0] == 0
        again = await watched.until("alert_firing", mark, reason="silence_ended")
        assert (again["alert_id"], again["since"]) == (firing["alert_id"], firing["since"])
        await watched.until("silence_ended", mark, reason="removed")
        assert run(tmp_path, "ack", firing["alert_id"][:5])[0] == 0
        await watched.until("alert_acknowledged", mark, alert_id=firing["alert_id"])
        check = await watched.check()
        assert check["status"] == "critical"
        assert check["alerts"]["firing"][0]["acked_at"] is not None
        _, out, _ = run(tmp_path, "status", **REFUSED)
        assert "Acknowledged at " in out
        (incident,) = as_json(tmp_path, "alerts")["incidents"]
        assert (incident["open"], incident["silenced_by"]) == (True, added["silence_id"])


async def test_what_a_killed_daemon_has_not_heard_its_successor_hears_once(tmp_path: Path) -> None:
    # Intervals so long that the first daemon cannot hear of it before it is killed.
    settings = REFUSED | {"MONITORD_STATE_DIR": str(tmp_path / "state"), "MONITORD_CHECK_INTERVAL": "10m"}
    async with Watched(settings, tmp_path / "cwd") as watched:
        await watched.until("alert_firing", rule="redis_unreachable")
        await watched.check()  # saved, and no recheck is due any more
        assert run(tmp_path, "silence", "*")[0] == 0
        watched.process.send_signal(signal.SIGKILL)
        await watched.process.wait()
    async with Watched(settings, tmp_path / "cwd") as watched:
        added = await watched.until("silence_added", subject="*")
        await watched.until("alert_suppressed", suppressed_by=added["silence_id"])
        await watched.check()
        assert len(watched.said("silence_added")) == 1
        assert watched.fired() == set()
    (listed,) = as_json(tmp_path, "silences")["silences"]
    assert (listed["silence_id"], listed["heard"]) == (added["silence_id"], True)


async def test_a_name_that_is_there_is_silenced_and_shown_without_its_neighbour(tmp_path: Path) -> None:
    night = Night(orders(services={}), services=("worker[1]", "worker1"))
    night.passes(minutes=2)
    night["worker1"].stops()
    night.passes(minutes=2)
    await leave(tmp_path / "state", night)
    code, out, _ = run(tmp_path, "silence", "worker[1]")
    assert (code, "It covers" in out, "Nothing that is watched" in out) == (0, False, False)
    code, out, _ = run(tmp_path, "silence", "worker?")  # nothing is called so: a pattern
    assert (code, "It covers service_down worker1 now." in out) == (0, True)


async def test_the_known_database_is_forgotten_by_its_name(tmp_path: Path) -> None:
    night = Night()
    night.passes(minutes=2)
    night.system = "7302"
    night.passes(minutes=2)
    assert night.firing() == {("database_changed", "postgres")}
    await leave(tmp_path / "state", night)
    code, out, err = run(tmp_path, "forget", "postgres")
    assert (code, err) == (0, "")
    assert "the known one" in out


async def test_a_service_that_is_called_as_the_database_is_forgotten_with_it_and_both_are_said(tmp_path: Path) -> None:
    night = Night(orders(services={}), services=("postgres", "web"))
    night.passes(minutes=2)
    night.vanishes("postgres")
    night.system = "7302"
    night.passes(minutes=2)
    await leave(tmp_path / "state", night)
    code, out, err = run(tmp_path, "forget", "postgres")
    assert (code, err) == (0, "")
    assert "The service postgres is not expected any more." in out
    assert "The known database was forgotten: the one that is read next is the known one." in out
    assert "database_changed and service_missing end." in out
