"""Reads what a job has reported to the page: its reports are kept in the state directory as they come."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from monitord.core.history import checkins
from monitord.core.model import sample
from monitord.failures import FailureError
from monitord.probes.checks.base import CheckResult, result
from monitord.storage.inbox import JobReports, read_reports
from monitord.storage.schema import UnusableSnapshot
from monitord.threads import WorkerBusy, WorkerThread


class Reports:
    """What jobs have reported: read once for all checks that ask at the same time, on a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._worker = WorkerThread("what jobs report")
        self._reading: asyncio.Task[dict[str, JobReports]] | None = None

    async def of(self, job: str, timeout: float) -> JobReports:
        """What one has reported. FailureError: it could not be read."""
        if self._reading is None or self._reading.done():
            reading = self._worker.run(read_reports, self._directory, timeout=timeout)
            self._reading = asyncio.get_running_loop().create_task(reading, name="what jobs report")
            # Where all who wait for it have given up, its failure is nobody's.
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            async with asyncio.timeout(timeout):
                found = await asyncio.shield(self._reading)
        except (TimeoutError, WorkerBusy) as error:
            raise FailureError("timeout", "the state directory does not answer") from error
        except (UnusableSnapshot, OSError) as error:
            raise FailureError("internal", f"the reports of {job} cannot be read: {error}") from error
        return found.get(job, JobReports())

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._worker.close()


@dataclass(frozen=True, slots=True)
class CheckinCheck:
    """A job that reports; its number is how long ago it last reported the end of a run."""

    name: str
    reports: Reports
    timeout: float

    async def run(self) -> CheckResult:
        found = await self.reports.of(self.name, self.timeout)
        ended = max((at for at in (found.succeeded, found.failed) if at is not None), default=None)
        reported = (
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
            *(sample(name, value, unit, check=self.name) for name, value, unit in reported),
        )
