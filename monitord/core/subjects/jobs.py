"""Judgement of jobs that report by themselves: no report in time, failed, or running for too long."""

from datetime import UTC, datetime, timedelta
from typing import Final

from monitord.core import humanize
from monitord.core.cron import schedule
from monitord.core.history.checkins import Job
from monitord.core.model import Alert, Finding, Severity, Unknown
from monitord.core.orders import CheckOrder
from monitord.core.subjects.base import Impact, RecoveryContext
from monitord.core.subjects.check_rules import JudgedCheck, blocks_users, check_rule

TYPES: Final = ("checkin",)
# A report that comes so shortly before its moment is the report of that moment: clocks differ.
EARLY_SECONDS: Final = 60.0
# What a schedule brings once in so many days or more seldom is not searched for further back.
_LONGEST: Final = timedelta(days=1500)
_RUNBOOK: Final = ("crontab -l; systemctl list-timers --all", "monitord check", "journalctl -n 50 --no-pager")


def due(order: CheckOrder, job: Job, now: float) -> float | None:
    """The last moment at which a job was to have reported, once its grace is over; None where it has, or may still."""
    grace, heard = order.grace.total_seconds(), job.ended
    if order.period is not None:
        at = (job.since if heard is None else heard) + order.period.total_seconds()
        return at if now > at + grace else None
    until = datetime.fromtimestamp(now - grace, UTC)
    latest = schedule(order.schedule).latest(until, min(_LONGEST, timedelta(seconds=max(0.0, now - job.since) + 60)))
    at = job.since if latest is None else latest.timestamp()
    return at if at > job.since and (heard is None or heard < at - EARLY_SECONDS) else None


def checkin_missed(check: JudgedCheck) -> Finding | Unknown | None:
    """A job that has not reported the end of a run by when it should have."""
    job, order = check.history.jobs.get(check.name), check.order
    if job is None:
        return Unknown("checkin_missed", check.name, "its reports have not been read yet")
    at, grace = due(order, job, check.now), order.grace.total_seconds()
    if at is None:
        return None if job.ended is not None else Unknown("checkin_missed", check.name, "it has not reported yet")
    if (running := job.runs_since) is not None and (
        order.max_runtime is not None or check.now <= running + grace
    ):  # it is waited for; how long is judged by another rule
        return None
    period = order.period.total_seconds() if order.period is not None else None
    before = EARLY_SECONDS if period is None else period / 2
    while (until := job.lost_until(at - before, at + grace)) is not None:
        # It may have reported until then; by its period it is due again so long after.
        again = check.now if period is None else until + period
        if check.now <= again + grace:
            return Unknown("checkin_missed", check.name, "it may have reported while monitord was down")
        at = again
    last = "no report of it has ever come"
    if job.ended is not None:
        last = f"its last report came at {humanize.moment(job.ended, check.now)}"
    began = f", though it began at {humanize.moment(running, check.now)}" if running is not None else ""
    summary = f"{check.name} has not reported: it was due at {humanize.moment(at, check.now)}; {last}{began}."
    evidence = {"due_at": humanize.clock(at), "last_report_at": job.ended and humanize.clock(job.ended)}
    advice = f"Find out whether {check.name} runs at all, and whether its report reaches monitord."
    value = int(check.now - at)
    return check.finding(
        "checkin_missed", _severity(check), value, int(grace), "seconds", summary, evidence, advice, began=at + grace
    )


def checkin_failed(check: JudgedCheck) -> Finding | Unknown | None:
    """A job whose last run failed, as it has reported itself."""
    job = check.history.jobs.get(check.name)
    if job is None:
        return Unknown("checkin_failed", check.name, "its reports have not been read yet")
    if not job.is_failed or job.failed is None:
        return None
    code = f" with exit code {job.code}" if job.code is not None else ""
    took = f" after {humanize.duration(job.took)}" if job.took is not None else ""
    summary = f"{check.name} failed{code} at {humanize.moment(job.failed, check.now)}{took}, as it reports itself."
    evidence = {"succeeded_at": job.succeeded and humanize.clock(job.succeeded)}
    advice = f"Read what {check.name} has logged, and run it again once what stopped it is mended."
    value, limit = ("failed", None) if job.code is None else (job.code, 0)
    return check.finding(
        "checkin_failed", _severity(check), value, limit, "", summary, evidence, advice, began=job.failed
    )


def checkin_overran(check: JudgedCheck) -> Finding | Unknown | None:
    """A job that runs for longer than it may, as far as it has reported."""
    job, most = check.history.jobs.get(check.name), check.order.max_runtime
    if job is None:
        return Unknown("checkin_overran", check.name, "its reports have not been read yet")
    if (running := job.runs_since) is None or most is None:
        return None
    limit, lasts = most.total_seconds(), check.now - running
    if lasts <= limit:
        return None
    if job.lost_until(running, check.now) is not None:
        return Unknown("checkin_overran", check.name, "it may have reported its end while monitord was down")
    summary = (
        f"{check.name} has been running for {humanize.duration(lasts)}, since {humanize.moment(running, check.now)}; "
        f"it may take {humanize.duration(limit)}."
    )
    advice, began = f"Find out what {check.name} waits for, or whether it died without a report.", running + limit
    return check.finding(
        "checkin_overran", _severity(check), int(lasts), int(limit), "seconds", summary, None, advice, began
    )


def is_new(check: JudgedCheck) -> bool:
    """Whether nothing is known of a job yet, as it has never reported."""
    job = check.history.jobs.get(check.name)
    return job is None or (job.ended is None and job.runs_since is None)


def _severity(check: JudgedCheck) -> Severity:
    return "critical" if check.order.user_facing or check.order.severity == "critical" else "warning"


def _reported_now(alert: Alert, at: RecoveryContext) -> str | None:
    job = at.history.jobs.get(alert.subject)
    if job is None or job.ended is None:
        return None
    how = "that it failed" if job.is_failed else "that all went well"
    return f"{alert.subject} has reported {how} at {humanize.moment(job.ended, at.now)}."


RULES: Final = tuple(
    check_rule(
        judge,
        *TYPES,
        runbook=_RUNBOOK,
        impact=Impact(lambda alert, _: f"what {alert.subject} does in its runs may not be done"),
        blocking=blocks_users,
        recovered=_reported_now,
    )
    for judge in (checkin_missed, checkin_failed, checkin_overran)
)
