"""`monitord report` beyond the recorded cycles, and held against earlier days."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitord.core.series import HOUR, Rollup
from monitord.storage.go_windows import GO_WINDOWS, last_go, remember_go
from monitord.storage.rollups import put_rollups
from monitord.storage.schema import FILE

from .program import monitord
from .recorded import SETTINGS, leave
from .test_report import WATCHED, fields_of, healthy, run


def _rolled_up(directory: Path, days: int, until: datetime) -> None:
    """So many days of roll-ups up to now: the gateway uses 158 MB in the last week, and 100 before."""
    end = int(until.timestamp()) // HOUR
    rows = []
    for hour in range(end - days * 24, end):
        memory = 158_000_000.0 if end - hour <= 7 * 24 else 100_000_000.0
        start = hour * HOUR
        rows += [
            Rollup(start, "pm2/memory", "gateway", 120, memory, memory, memory, 0, 0, 0, None),
            Rollup(start, "pm2/as_expected", "gateway", 120, None, None, None, 3000, 0, 600, None),
            Rollup(start, "pm2/restarts", "gateway", 120, None, None, None, 0, 0, 0, 1.0),
            Rollup(start, "postgres/rows", "user_signals", 120, None, None, None, 0, 0, 0, 42_000.0),
        ]
    with closing(sqlite3.connect(directory / FILE)) as connection, connection:
        put_rollups(connection, rows)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("left") / "state"
    asyncio.run(leave(directory, healthy()))
    return directory


@pytest.fixture
def recorded(left: Path, tmp_path: Path) -> Path:
    """A healthy night, whose state directory is the test's own."""
    shutil.copytree(left, tmp_path / "state")
    return tmp_path


@pytest.fixture
def rolled_up(recorded: Path) -> Path:
    _rolled_up(recorded / "state", 20, datetime.now(UTC))
    return recorded


def test_beyond_the_recorded_cycles_the_report_tells_what_was_kept_by_the_hour(rolled_up: Path) -> None:
    code, told = fields_of(rolled_up, "report", "--since", "7d")
    assert (code, told["verdict"]) == (3, "UNKNOWN")
    totals = {(row["series"], row["member"]): row for row in told["kept"]["window"]["totals"]}
    uptime, restarts = totals["pm2/as_expected", "gateway"], totals["pm2/restarts", "gateway"]
    assert uptime["up"] == 5 * uptime["blind"]
    assert uptime["down"] == 0
    assert restarts["gained"] == restarts["hours"]
    assert 6 * 24 < restarts["hours"] <= 7 * 24
    assert {row["mean"] for row in told["kept"]["window"]["days"] if row["series"] == "pm2/memory"} == {158_000_000}
    assert told["kept"]["compared"] == []


def test_a_window_is_held_against_earlier_ones(rolled_up: Path) -> None:
    _, out, _ = run(rolled_up, "report", "--since", "3d", "--compare")
    (row,) = [line.split() for line in out.splitlines() if "gateway  memory" in line]
    assert row[-6:] == ["158", "MB", "158", "MB", "100", "MB"]


def test_what_is_not_kept_is_unknown_and_no_zero(recorded: Path) -> None:
    code, out, _ = run(recorded, "report", "--since", "7d")
    assert code == 3
    assert "Unknown: nothing is kept of the hours" in " ".join(out.split())


def test_a_night_within_the_recorded_cycles_reads_no_roll_ups(rolled_up: Path) -> None:
    assert fields_of(rolled_up, "report", "--since", "2h")[1]["kept"] is None


def test_memory_and_rows_now_stand_beside_those_of_the_last_go(rolled_up: Path) -> None:
    now = datetime.now(UTC).timestamp()
    remember_go(rolled_up / "state", now - 12 * 24 * HOUR, now - 11 * 24 * HOUR)
    _, out, _ = run(rolled_up, "report", "--since", "2h")
    rows = {tuple(line.split()[:2]): line.split()[2:] for line in out.splitlines()}
    assert rows["gateway", "memory"] == ["100", "MB", "158", "MB"]
    assert rows["user_signals", "rows"] == ["42,000", "an", "hour", "42,000", "an", "hour"]


def test_a_go_is_remembered_and_a_report_of_the_same_night_is_not_held_against_it(recorded: Path) -> None:
    settings = SETTINGS | WATCHED | {"MONITORD_STATE_DIR": str(recorded / "state"), "MONITORD_PIPELINE__WATCH": "no"}
    settings["MONITORD_PM2__HOME"] = str(recorded)
    for _ in range(2):
        done = monitord("report", "--since", "110m", "--format", "json", directory=recorded, settings=settings)
        assert (done.returncode, json.loads(done.stdout)["kept"]) == (0, None)
    now = datetime.now(UTC).timestamp()
    found = last_go(recorded / "state", now, now + 2 * HOUR)
    assert found is not None
    assert found[1] - found[0] == 110 * 60


def test_what_is_no_go_is_not_remembered(recorded: Path) -> None:
    assert run(recorded, "report", "--since", "30h")[0] == 3
    assert not (recorded / "state" / GO_WINDOWS).exists()
