"""`monitord status` beside a lock and a snapshot as the daemon leaves them, and beside a daemon."""

import asyncio
import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from os import getpid
from pathlib import Path
from typing import Any

import pytest

from monitord.core.codec import encode
from monitord.core.engine import State, decide
from monitord.core.model import Observation, Reading, sample
from monitord.core.orders import StandingOrders
from monitord.jsonable import moment
from monitord.storage.lock import DirectoryLock
from monitord.storage.reader import CheckRun, read_snapshot
from monitord.storage.store import CycleRecord, Store
from tests.core.nights import Night

from .program import PATIENCE, Eventually, monitord, start
from .recorded import leave

ORDERS = StandingOrders(confirmations=1, probes=frozenset({"host"}))


def host(used: float) -> Reading:
    return Reading(
        "host",
        (
            sample("disk_used", used, "percent", path="/"),
            sample("disk_free", 10**9, "bytes", path="/"),
            sample("memory_available", 10**10, "bytes"),
        ),
        duration_ms=1.5,
    )


async def leave_report(directory: Path, *, age: timedelta, used: float = 24.0) -> None:
    """What a daemon's cycle of `age` ago leaves in its state directory."""
    observation = Observation(datetime.now(UTC) - age, {"host": host(used)})
    decision = decide(State(), observation, ORDERS)
    store = Store(directory)
    check = CheckRun("schedule", observation.now, 1.0, decision.orders)
    await store.save(CycleRecord(decision.state, observation, check, decision.transitions), PATIENCE)
    assert store.problem is None
    await store.close(PATIENCE)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir()
    return directory


@pytest.fixture
def held(state: Path) -> Iterator[Path]:
    """A state directory that a daemon holds: this process, as far as anybody can tell."""
    lock = DirectoryLock(state)
    lock.acquire()
    yield state
    lock.release()


def status(state: Path, *arguments: str, **settings: str) -> tuple[int, str, str]:
    done = monitord(
        "status", *arguments, directory=state.parent, settings={"MONITORD_STATE_DIR": str(state), **settings}
    )
    return done.returncode, done.stdout, done.stderr


def as_json(state: Path) -> tuple[int, dict[str, Any]]:
    code, out, err = status(state, "--format", "json")
    assert err == ""
    parsed: dict[str, Any] = json.loads(out)
    return code, parsed


def test_without_a_daemon_it_says_so_in_one_line_and_is_unknown(tmp_path: Path) -> None:
    code, out, _ = status(tmp_path / "state")
    assert code == 3
    assert out == f"UNKNOWN: no monitord runs on {tmp_path / 'state'}.\n"


def test_without_a_daemon_json_is_still_a_document(tmp_path: Path) -> None:
    code, fields = as_json(tmp_path / "state")
    assert code == 3
    assert (fields["status"], fields["pid"], fields["at"], fields["services"]) == ("unknown", None, None, None)


async def test_a_dead_daemons_good_report_is_not_the_present(state: Path) -> None:
    await leave_report(state, age=timedelta(0))
    code, out, _ = status(state)
    assert code == 3
    assert out.startswith("UNKNOWN: no monitord runs")
    assert len(out.splitlines()) == 1


async def test_it_shows_what_the_daemon_saw_last(held: Path) -> None:
    await leave_report(held, age=timedelta(seconds=1))
    code, fields = as_json(held)
    assert code == 0
    assert fields["pid"] == getpid()
    assert fields["status"] == "ok"
    assert fields["at"].endswith("Z")
    assert fields["age_seconds"] >= 1
    assert fields["host"]["disks"]["/"]["used_percent"] == 24.0
    assert fields["probes"]["redis"]["status"] == "off"
    code, out, _ = status(held)
    assert code == 0
    assert f"pid {getpid()}" in out
    assert out.splitlines()[-1].startswith("OK: ")


@pytest.mark.parametrize(("used", "code", "word"), [(75.0, 1, "WARNING"), (85.0, 2, "CRITICAL")])
async def test_it_exits_by_the_alerts_that_fire(held: Path, used: float, code: int, word: str) -> None:
    await leave_report(held, age=timedelta(seconds=1), used=used)
    exited, out, _ = status(held)
    assert exited == code
    assert f"\n{word}: The disk at / is {used}% full" in out
    exited, fields = as_json(held)
    assert exited == code
    (alert,) = fields["alerts"]["firing"]
    assert alert["rule"] == "disk_high"
    assert alert["since"].endswith("Z")


async def test_a_stale_report_is_said_to_be_stale_and_is_unknown(held: Path) -> None:
    await leave_report(held, age=timedelta(hours=3))
    code, out, _ = status(held)
    assert code == 3
    assert "STALE: the last report is 3 h old, and one is due every 30 s." in out
    assert "\nUNKNOWN: " in out
    assert as_json(held)[1]["status"] == "unknown"


async def test_a_stale_report_that_was_critical_stays_critical(held: Path) -> None:
    await leave_report(held, age=timedelta(hours=3), used=95)
    code, out, _ = status(held)
    assert code == 2
    assert "STALE: " in out


async def test_how_old_is_stale_follows_the_interval(held: Path) -> None:
    await leave_report(held, age=timedelta(hours=3))
    assert status(held, MONITORD_CHECK_INTERVAL="2h")[0] == 0


def test_a_daemon_that_has_saved_nothing_yet_is_unknown(held: Path) -> None:
    code, out, _ = status(held)
    assert code == 3
    assert out == "UNKNOWN: monitord runs and has not saved a report yet.\n"


def test_a_snapshot_that_is_none_is_said_and_left_as_it_is(held: Path) -> None:
    (held / "snapshot.db").write_bytes(b"not a database, and rather long for a joke" * 100)
    code, out, err = status(held)
    assert code == 3
    assert out.startswith("UNKNOWN: ")
    assert "cannot be read" in out
    assert "Traceback" not in err
    assert (held / "snapshot.db").read_bytes().startswith(b"not a database")


async def test_a_damaged_snapshot_is_said_where_no_daemon_runs(state: Path) -> None:
    await leave_report(state, age=timedelta(minutes=1))
    path = state / "snapshot.db"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for style in ("text", "json"):
        code, out, _ = status(state, "--format", style)
        assert code == 3
        assert f"no monitord runs on {state}; the snapshot at {path} cannot be read: " in out
        assert "it is damaged: monitord, when it is started, keeps it and goes on with what can be read of it" in out


async def test_it_shows_a_real_daemon_and_notices_its_end(state: Path, eventually: Eventually) -> None:
    settings = {"MONITORD_STATE_DIR": str(state), "MONITORD_CHECK_INTERVAL": "200ms", "MONITORD_HTTP__LISTEN": ""}
    daemon = start("run", directory=state.parent, settings=settings)
    try:

        async def watches() -> bool:
            assert daemon.poll() is None
            return status(state)[0] != 3

        await eventually(watches)
        assert as_json(state)[1]["pid"] == daemon.pid
    finally:
        daemon.send_signal(signal.SIGKILL)
        daemon.communicate(timeout=PATIENCE)
    assert status(state)[0] == 3


def test_the_status_made_of_what_is_saved_is_the_one_that_was_made_of_what_was_known(tmp_path: Path) -> None:
    night = Night()
    night.passes(minutes=20)
    night["gateway"].stops()
    night.passes(minutes=2)
    asyncio.run(leave(tmp_path, night))
    snapshot = read_snapshot(tmp_path)
    assert snapshot is not None
    kept = snapshot.report()
    assert kept is not None
    decision = night.looks[-1].decision
    known = json.loads(json.dumps(decision.report.as_fields(), default=encode))
    assert {name: kept[name] for name in known} == known
    assert known["services"]["gateway"]["state"] == "stopped"
    assert known["alerts"]["firing"]
    assert moment(kept["at"]) == decision.at
