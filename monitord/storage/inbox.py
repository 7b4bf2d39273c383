"""What others than the daemon leave in the snapshot: operators' commands until they are applied, and jobs' reports.

A job has one row, written before it is answered. What is given a directory raises UnusableSnapshot where it reads and
the file cannot be read, SnapshotUnavailable where it writes and no daemon of this version has run there yet, and
sqlite3.Error where the file cannot be written.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from monitord.core.codec import decode, encode
from monitord.core.model import Command
from monitord.storage.schema import SnapshotUnavailable, left_in, opened

COMMANDS_BUSY_SECONDS: Final = 5.0
REPORTS_BUSY_SECONDS: Final = 2.0
# So many that wait are a daemon that does not run, and somebody who asks in a loop.
MOST_WAITING: Final = 1000
# The forms of the snapshot that have the tables.
_WITH_COMMANDS, _WITH_CHECKINS = 3, 4
_COLUMNS: Final = "started, succeeded, failed, code, took"

JobReport = Literal["start", "success", "failure"]


@dataclass(frozen=True, slots=True)
class WaitingCommand:
    """The waiting commands, in the order they were made, and the number of the last of them."""

    commands: tuple[Command, ...] = ()
    through: int = 0


@dataclass(frozen=True, slots=True)
class JobReports:
    """When a job last reported what (Unix seconds, None: never); the exit code and the length of its last run."""

    started: float | None = None
    succeeded: float | None = None
    failed: float | None = None
    code: int | None = None
    took: float | None = None


def ask(directory: Path, command: Command) -> None:
    """Leave a command for the daemon, which applies it in its next cycle. May block for COMMANDS_BUSY_SECONDS."""
    with left_in(directory, COMMANDS_BUSY_SECONDS) as connection:
        (many,) = connection.execute("SELECT count(*) FROM commands").fetchone()
        if many >= MOST_WAITING:
            raise SnapshotUnavailable(f"{many} commands wait on {directory} already, and no monitord applies them")
        body = json.dumps(encode(command), ensure_ascii=False, separators=(",", ":"))
        connection.execute("INSERT INTO commands (body) VALUES (?)", (body,))


def read_waiting(directory: Path) -> tuple[Command, ...]:
    """The commands on `directory` that no daemon has applied yet. Writes nothing."""
    with opened(directory, "snapshot", _WITH_COMMANDS) as connection:
        return () if connection is None else waiting(connection).commands


def waiting(connection: sqlite3.Connection, after: int = 0) -> WaitingCommand:
    """The commands past the number `after`. What is no command of this version counts as applied."""
    commands: list[Command] = []
    through = after
    for number, body in connection.execute("SELECT seq, body FROM commands WHERE seq > ? ORDER BY seq", (after,)):
        through = number
        try:
            commands.append(decode(Command, json.loads(body)))
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return WaitingCommand(tuple(commands), through)


def strike(connection: sqlite3.Connection, through: int) -> None:
    """Deletes the applied commands, in the transaction of the state that has them."""
    if through:
        connection.execute("DELETE FROM commands WHERE seq <= ?", (through,))


def keep(directory: Path, job: str, report: JobReport, at: float, code: int | None = None) -> None:
    """Keep what a job reports at `at`, on the disk before this returns. May block for REPORTS_BUSY_SECONDS."""
    with left_in(directory, REPORTS_BUSY_SECONDS) as connection:
        row = connection.execute(f"SELECT {_COLUMNS} FROM checkins WHERE job = ?", (job,)).fetchone()  # noqa: S608
        after = _after(JobReports() if row is None else JobReports(*row), report, at, code)
        connection.execute(
            f"INSERT OR REPLACE INTO checkins (job, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            (job, after.started, after.succeeded, after.failed, after.code, after.took),
        )


def read_reports(directory: Path) -> dict[str, JobReports]:
    """What each job has reported to the daemon on `directory`; nothing where none has run there. Writes nothing."""
    with opened(directory, "snapshot", _WITH_CHECKINS) as connection:
        if connection is None:
            return {}
        return {job: JobReports(*row) for job, *row in connection.execute(f"SELECT job, {_COLUMNS} FROM checkins")}  # noqa: S608


def _after(before: JobReports, report: JobReport, at: float, code: int | None) -> JobReports:
    if report == "start":
        return replace(before, started=at)
    ended = max(before.succeeded or 0.0, before.failed or 0.0)
    took = at - before.started if before.started is not None and ended <= before.started <= at else None
    if report == "success":
        return replace(before, succeeded=at, code=0, took=took)
    return replace(before, failed=at, code=code, took=took)
