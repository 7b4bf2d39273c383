"""What jobs that report by themselves have reported, and when a report of theirs may have been lost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from monitord.core.copying import replace
from monitord.core.model import Reading
from monitord.core.moments import Moment

# The samples of a job's check: its last reports (Unix seconds), the exit code and the length of its last run.
STARTED, SUCCEEDED, FAILED = "job_started", "job_succeeded", "job_failed"
CODE, TOOK = "job_code", "job_took"
KEEP_LOST: Final = 20
_TIMES: Final = (STARTED, SUCCEEDED, FAILED)


@dataclass(frozen=True, slots=True)
class Job:
    """A job by its reports (Unix seconds, None: never), waited for since `since`.

    `told` are the times as read: what was reported before the wall clock was set keeps its age. `lost` are the last
    times in which reports could not be received, from and until.
    """

    since: Moment
    started: Moment | None = None
    succeeded: Moment | None = None
    failed: Moment | None = None
    code: int | None = None
    took: float | None = None
    told: tuple[float | None, ...] = ()
    lost: tuple[tuple[Moment, Moment], ...] = ()

    @property
    def ended(self) -> float | None:
        """When a run of it last ended, well or not."""
        return max((at for at in (self.succeeded, self.failed) if at is not None), default=None)

    @property
    def is_failed(self) -> bool:
        return self.failed is not None and (self.succeeded is None or self.succeeded < self.failed)

    @property
    def runs_since(self) -> float | None:
        """Since when it runs, as far as it has reported; None while it does not."""
        is_over = self.started is None or (self.ended is not None and self.ended >= self.started)
        return None if is_over else self.started

    def lost_until(self, begin: float, end: float) -> float | None:
        """Until when a report between these could not have been received; None where it would have been."""
        return max((until for since, until in self.lost if since < end and until > begin), default=None)


def update_jobs(
    jobs: Mapping[str, Job], names: Iterable[str], reading: Reading, now: float, away: tuple[float, float] | None
) -> Mapping[str, Job]:
    """The jobs of these names after one more reading; `away` is when monitord last did not run."""
    return {name: _job(jobs.get(name), name, reading, now, away) for name in names}


def _is_told(name: str, reading: Reading) -> bool:
    """Whether a reading holds a job at all: a failed one does not."""
    return any(one.label("check") == name for sample in _TIMES for one in reading.named(sample))


def _job(job: Job | None, name: str, reading: Reading, now: float, away: tuple[float, float] | None) -> Job:
    job = job or Job(now)
    if away is not None and away[1] > job.since and (not job.lost or away[1] > job.lost[-1][1]):
        job = replace(job, lost=(*job.lost, away)[-KEEP_LOST:])
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
