"""What jobs have reported: one row a job, written before it is answered, and read by the daemon's checks.

It is a table of the snapshot that is written beside the daemon's own cycle, like operators' commands.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from monitord.storage.schema import FILE, MIGRATIONS, UnusableSnapshot, version

BUSY_SECONDS: Final = 2.0
# The form of the snapshot that has the table.
_WITH_CHECKINS: Final = 4
_COLUMNS: Final = "started, succeeded, failed, code, took"

JobReport = Literal["start", "success", "failure"]


class CheckinUnavailable(Exception):  # noqa: N818 - it names what cannot be done
    """There is no snapshot to keep a report in, or not one of this monitord: a sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class JobReports:
    """When a job last reported what (Unix seconds, None: never); the exit code and the length of its last run."""

    started: float | None = None
    succeeded: float | None = None
    failed: float | None = None
    code: int | None = None
    took: float | None = None


def keep(directory: Path, job: str, report: JobReport, at: float, code: int | None = None) -> None:
    """Keep what a job reports at `at`, on the disk before this returns. May block for BUSY_SECONDS.

    Raises:
        CheckinUnavailable: no daemon has run there yet, or one of another version.
        sqlite3.Error: the file cannot be written.
    """
    path = directory / FILE
    if not path.exists():
        raise CheckinUnavailable(f"there is no snapshot in {directory} yet")
    uri = path.absolute().as_uri() + "?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        if version(connection) != len(MIGRATIONS):
            raise CheckinUnavailable(f"the snapshot at {path} is of another version of monitord")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")  # ended by COMMIT, or by the connection's end
        before = _reports(connection.execute(f"SELECT {_COLUMNS} FROM checkins WHERE job = ?", (job,)).fetchone())  # noqa: S608
        after = _after(before, report, at, code)
        connection.execute(
            f"INSERT OR REPLACE INTO checkins (job, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            (job, after.started, after.succeeded, after.failed, after.code, after.took),
        )
        connection.execute("COMMIT")


def read_reports(directory: Path) -> dict[str, JobReports]:
    """What each job has reported to the daemon on `directory`; nothing where none has run there. Writes nothing.

    Raises:
        UnusableSnapshot: there is a file and it cannot be read.
    """
    path = directory / FILE
    if not path.exists():
        return {}
    try:
        with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=BUSY_SECONDS)) as found:
            if version(found) < _WITH_CHECKINS:
                return {}
            return {job: JobReports(*row) for job, *row in found.execute(f"SELECT job, {_COLUMNS} FROM checkins")}  # noqa: S608
    except sqlite3.Error as error:
        raise UnusableSnapshot(f"the snapshot at {path} cannot be read: {error}") from None


def _reports(row: tuple[float | None, float | None, float | None, int | None, float | None] | None) -> JobReports:
    return JobReports() if row is None else JobReports(*row)


def _after(before: JobReports, report: JobReport, at: float, code: int | None) -> JobReports:
    if report == "start":
        return JobReports(at, before.succeeded, before.failed, before.code, before.took)
    ended = max(before.succeeded or 0.0, before.failed or 0.0)
    took = at - before.started if before.started is not None and ended <= before.started <= at else None
    if report == "success":
        return JobReports(before.started, at, before.failed, 0, took)
    return JobReports(before.started, before.succeeded, at, code, took)
