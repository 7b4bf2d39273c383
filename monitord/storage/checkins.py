"""What jobs have reported: one row a job, written before it is answered, and read by the daemon's checks.

It is a table of the snapshot that is written beside the daemon's own cycle, like operators' commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from monitord.storage.schema import left_in, opened

BUSY_SECONDS: Final = 2.0
# The form of the snapshot that has the table.
_WITH_CHECKINS: Final = 4
_COLUMNS: Final = "started, succeeded, failed, code, took"

JobReport = Literal["start", "success", "failure"]


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
        SnapshotUnavailable: no daemon has run there yet, or one of another version.
        sqlite3.Error: the file cannot be written.
    """
    with left_in(directory, BUSY_SECONDS) as connection:
        row = connection.execute(f"SELECT {_COLUMNS} FROM checkins WHERE job = ?", (job,)).fetchone()  # noqa: S608
        after = _after(JobReports() if row is None else JobReports(*row), report, at, code)
        connection.execute(
            f"INSERT OR REPLACE INTO checkins (job, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            (job, after.started, after.succeeded, after.failed, after.code, after.took),
        )


def read_reports(directory: Path) -> dict[str, JobReports]:
    """What each job has reported to the daemon on `directory`; nothing where none has run there. Writes nothing.

    Raises:
        UnusableSnapshot: there is a file and it cannot be read.
    """
    with opened(directory, "snapshot", _WITH_CHECKINS) as connection:
        if connection is None:
            return {}
        return {job: JobReports(*row) for job, *row in connection.execute(f"SELECT job, {_COLUMNS} FROM checkins")}  # noqa: S608


def _after(before: JobReports, report: JobReport, at: float, code: int | None) -> JobReports:
    if report == "start":
        return JobReports(at, before.succeeded, before.failed, before.code, before.took)
    ended = max(before.succeeded or 0.0, before.failed or 0.0)
    took = at - before.started if before.started is not None and ended <= before.started <= at else None
    if report == "success":
        return JobReports(before.started, at, before.failed, 0, took)
    return JobReports(before.started, before.succeeded, at, code, took)
