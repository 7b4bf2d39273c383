"""What jobs that report by themselves have reported, and when a report of theirs may have been lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from monitord.core.copying import replace
from monitord.core.model import Reading
from monitord.core.moments import Moment

# What the check of a job tells: its last reports (Unix seconds), the exit code and the length of its last run.
STARTED, SUCCEEDED, FAILED, CODE, TOOK = (
    "job_started",
    "job_succeeded",
    "job_failed",
    "job_code",
    "job_took",
)
_TIMES: Final = (STARTED, SUCCEEDED, FAILED)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its reports tell of it (Unix seconds, None: never).

    `since` is when its reports were first waited for. `told` are the times as they were read: what was told before the
    wall clock was set keeps its age. `lost_from` to `lost_until` was the last time in which nobody heard reports.
    """

    since: Moment
    started: Moment | None = None
    succeeded: Moment | None = None
    failed: Moment | None = None
    code: int | None = None
    took: float | None = None
    told: tuple[float | None, ...] = ()
    lost_from: Moment | None = None
    lost_until: Moment | None = None

    @property
    def ended(self) -> float | None:
        """When a run of it last ended, well or not."""
        return max((at for at in (self.succeeded, self.failed) if at is not None), default=None)

    @property
    def is_failed(self) -> bool:
        """Whether its last run failed."""
        return self.failed is not None and (self.succeeded is None or self.succeeded < self.failed)

    @property
    def runs_since(self) -> float | None:
        """Since when it runs, as far as it has told; None while it does not."""
        is_over = self.started is None or (self.ended is not None and self.ended >= self.started)
        return None if is_over else self.started

    def may_be_lost(self, begin: float, end: float) -> bool:
        """Whether a report between these may have come while nobody heard it."""
        if self.lost_from is None or self.lost_until is None:
            return False
        return self.lost_from < end and self.lost_until > begin


def update_jobs(
    jobs: Mapping[str, Job], names: Iterable[str], reading: Reading, now: float, away: tuple[float, float] | None
) -> Mapping[str, Job]:
    """The jobs of these names after one more reading; `away` is when monitord last did not run."""
    return {name: _job(jobs.get(name), name, reading, now, away) for name in names}


def _is_told(name: str, reading: Reading) -> bool:
    """Whether a reading tells of a job at all: one that could not be taken tells nothing."""
    return any(one.label("check") == name for sample in _TIMES for one in reading.named(sample))


def _job(job: Job | None, name: str, reading: Reading, now: float, away: tuple[float, float] | None) -> Job:
    job = job or Job(now)
    if away is not None and away[1] > job.since and away[1] > (job.lost_until or 0.0):
        job = replace(job, lost_from=away[0], lost_until=away[1])
    told = tuple(reading.number(sample, check=name) for sample in _TIMES)
    if told == job.told or (told == (None, None, None) and not _is_told(name, reading)):
        return job
    code, took = reading.number(CODE, check=name), reading.number(TOOK, check=name)
    before = (job.started, job.succeeded, job.failed)
    known = job.told or (None, None, None)
    started, succeeded, failed = (
        kept if new == old else (None if new is None else min(new, now))
        for new, old, kept in zip(told, known, before, strict=True)
    )
    return replace(
        job,
        started=started,
        succeeded=succeeded,
        failed=failed,
        code=None if code is None else int(code),
        took=took,
        told=told,
    )
