"""Reads what a job has reported to the page: its reports are kept in the state directory as they come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from monitord.core.history import checkins
from monitord.core.model import sample
from monitord.failures import FailureError
from monitord.probes.checks.base import CheckResult, result
from monitord.storage.checkins import read_reports
from monitord.storage.schema import UnusableSnapshot
from monitord.threads import WorkerBusy, WorkerThread


@dataclass(frozen=True, slots=True)
class CheckinCheck:
    """A job that reports; its number is how long ago it last reported the end of a run."""

    name: str
    directory: Path
    worker: WorkerThread
    timeout: float

    async def run(self) -> CheckResult:
        try:
            found = await self.worker.run(read_reports, self.directory, self.name, timeout=self.timeout)
        except (TimeoutError, WorkerBusy) as error:
            raise FailureError("timeout", "the state directory does not answer") from error
        except (UnusableSnapshot, OSError) as error:
            raise FailureError("internal", f"the reports of {self.name} cannot be read: {error}") from error
        ended = max((at for at in (found.succeeded, found.failed) if at is not None), default=None)
        told = (
            (checkins.STARTED, found.started, "timestamp"),
            (checkins.SUCCEEDED, found.succeeded, "timestamp"),
            (checkins.FAILED, found.failed, "timestamp"),
            (checkins.CODE, found.code, "1"),
            (checkins.TOOK, found.took, "seconds"),
        )
        return result(
            self.name,
            None if ended is None else round(max(0.0, time.time() - ended), 3),
            "seconds",
            *(sample(name, value, unit, check=self.name) for name, value, unit in told),
        )

    async def close(self) -> None:
        self.worker.close()
