"""What jobs report is on the disk before they are answered, and is read as it was reported."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from monitord.storage.inbox import JobReports, keep, read_reports
from monitord.storage.schema import FILE, MIGRATIONS, SnapshotUnavailable
from monitord.storage.store import Store


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    store = Store(tmp_path)
    await store.load(timeout=10.0)
    await store.close(timeout=10.0)
    return tmp_path


def of(directory: Path, job: str = "backup") -> JobReports:
    return read_reports(directory).get(job, JobReports())


def test_a_run_is_what_was_reported_of_it(directory: Path) -> None:
    assert of(directory) == JobReports()
    keep(directory, "backup", "start", 1000.0)
    assert of(directory) == JobReports(started=1000.0)
    keep(directory, "backup", "success", 1060.5)
    assert of(directory) == JobReports(1000.0, 1060.5, None, 0, 60.5)
    keep(directory, "backup", "failure", 2000.0, 3)  # of a run whose start it did not report
    assert of(directory) == JobReports(1000.0, 1060.5, 2000.0, 3, None)
    assert of(directory, "export") == JobReports()


def test_a_report_before_the_first_cycle_or_to_another_version_is_not_kept_and_said(tmp_path: Path) -> None:
    with pytest.raises(SnapshotUnavailable, match="no monitord has run"):
        keep(tmp_path, "backup", "success", 1.0)
    assert of(tmp_path) == JobReports()
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        for script in MIGRATIONS[:3]:
            other.executescript(script)
        other.execute("PRAGMA user_version = 3")
    with pytest.raises(SnapshotUnavailable, match="an older monitord's"):
        keep(tmp_path, "backup", "success", 1.0)
    assert of(tmp_path) == JobReports()


def test_what_was_kept_outlives_a_kill_at_that_moment(directory: Path) -> None:
    dies = (
        "import os, signal, sys; from pathlib import Path; from monitord.storage.inbox import keep\n"
        "keep(Path(sys.argv[1]), 'backup', 'failure', 1000.0, 7); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", dies, str(directory)], check=False, timeout=30, env=os.environ)
    assert ended.returncode == -signal.SIGKILL
    assert of(directory) == JobReports(failed=1000.0, code=7)
