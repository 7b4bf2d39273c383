"""Judgement of a queue's jobs beside how many wait: they fail, none finishes, or one waits for long."""

from functools import partial
from typing import Final

from monitord.core import humanize
from monitord.core.history.measures import failures
from monitord.core.history.model import History
from monitord.core.model import Alert, Finding, Observation
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import NONE, NOT_JUDGED, Answer, Impact, RecoveryContext, Replaces, Rule, of_each
from monitord.core.subjects.redis_status import STATUS, QueueStatus

UNTOLD: Final = "nothing shows its jobs"


def is_paused(observation: Observation, name: str) -> bool:
    """Whether somebody has paused a queue, as far as its Redis says."""
    return observation.readings["redis"].number("queue_is_paused", queue=name) == 1


def resume(name: str) -> str:
    return f"{name} is paused, so that no worker takes its jobs: find out who paused it, and resume it."


@of_each(lambda orders: orders.queues)
def queue_failing(name: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """More jobs failed for good within the window than the limit allows."""
    now, window = observation.now.timestamp(), orders.queue_window.total_seconds()
    reading = observation.readings["redis"]
    run, limit = history.queues.get(name), orders.failed_limit(name)
    failed = None if run is None else failures(run, reading, name, now, window)
    if failed is None or reading.number("queue_waiting", queue=name) is None:
        return UNTOLD
    if failed <= limit:
        return None
    summary = (
        f"{humanize.count(failed)} jobs of the queue {name} failed within {humanize.duration(window)}, "
        f"past the limit of {humanize.count(limit)}."
    )
    evidence = {"window_seconds": window, "failed_kept": reading.number("queue_failed", queue=name)}
    advice = (
        f"Read the log of the worker of {name}, and the reason (failedReason) of its newest "
        "failed jobs: what they have in common is usually a service or an address that does not answer."
    )
    return Finding("queue_failing", name, "warning", failed, limit, "jobs", summary, evidence, advice)


@of_each(lambda orders: orders.queues)
def queue_stalled(name: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """Jobs wait or are active, and for long none was started or finished; a queue that somebody paused is none."""
    now, reading = observation.now.timestamp(), observation.readings["redis"]
    run = history.queues.get(name)
    counts = [reading.number("queue_waiting", queue=name), reading.number("queue_active", queue=name)]
    if run is None or None in counts:
        return UNTOLD
    if run.still_since is None:
        return None
    still, limit = round(history.watched_seconds("redis", run.still_since, now), 3), orders.stall_limit(name)
    if still <= limit:
        return None
    waiting, active = (int(count or 0) for count in counts)
    summary = (
        f"No job of the queue {name} was started or finished for {humanize.duration(still)}: "
        f"{humanize.count(waiting)} wait, {humanize.count(active)} {'is' if active == 1 else 'are'} active."
    )
    evidence = {"waiting": waiting, "active": active}
    advice = (
        f"Check the worker of {name}: does it run, is it connected to this Redis, does it hang in the job "
        "that is active? Where jobs may take this long, set `stall` of the queue."
    )
    return Finding("queue_stalled", name, "warning", still, limit, "seconds", summary, evidence, advice)


@of_each(lambda orders: orders.queues)
def queue_job_old(name: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """The job that is next has waited longer than somebody allowed; where nobody did, nothing is judged."""
    if (limit := orders.oldest_limit(name)) is None:
        return NOT_JUDGED
    reading = observation.readings["redis"]
    age = reading.number("queue_oldest", queue=name)
    if reading.number("queue_waiting", queue=name) is None:
        return UNTOLD
    if age is None or age <= limit:
        is_untold = age is None and bool(reading.number("queue_waiting", queue=name))
        return UNTOLD if is_untold else None
    summary = (
        f"The next job of the queue {name} has waited for {humanize.duration(age)}, "
        f"past the limit of {humanize.duration(limit)}."
    )
    evidence = {"waiting": reading.number("queue_waiting", queue=name)}
    advice = (
        resume(name)
        if is_paused(observation, name)
        else f"Check the worker of {name}: is it alive, and are there enough of it?"
    )
    return Finding("queue_job_old", name, "warning", age, limit, "seconds", summary, evidence, advice)


def _of(alert: Alert, at: RecoveryContext) -> QueueStatus | None:
    return at.report.of(STATUS).queues.get(alert.subject)


def _failed_now(alert: Alert, at: RecoveryContext) -> str | None:
    queue = _of(alert, at)
    if queue is None or queue.failed_recently is None:
        return None
    failed = queue.failed_recently
    window = humanize.duration(at.orders.queue_window.total_seconds())
    limit = humanize.count(at.orders.failed_limit(alert.subject))
    return f"{humanize.plural(failed, 'job')} of {alert.subject} failed within the last {window}; the limit is {limit}."


def _moves_now(alert: Alert, at: RecoveryContext) -> str | None:
    queue = _of(alert, at)
    if queue is None or queue.waiting is None or queue.active is None:
        return None
    waiting, active = queue.waiting, queue.active
    if not waiting and not active:
        return f"No job waits in {alert.subject} any more."
    wait = f"{humanize.plural(waiting, 'job')} wait{'s' if waiting == 1 else ''}"
    return f"The jobs of {alert.subject} move again: {wait}, {humanize.count(active)} active."


def _oldest_now(alert: Alert, at: RecoveryContext) -> str | None:
    queue = _of(alert, at)
    if queue is None or queue.oldest_seconds is None:
        return None
    return f"The next job of {alert.subject} has waited for {humanize.duration(queue.oldest_seconds)} now."


_WORKER_LOG: Final = "{pm2} logs {worker} --lines 50 --nostream"
_WAITS: Final = Impact("jobs wait", (NONE, "trees are built late", "claims of the newest epochs wait"))

of_queue = partial(
    Rule,
    probe="redis",
    roles=frozenset({"backlog"}),
    workers=lambda finding, orders: (orders.workers_of(finding.subject),),
)
QUEUE_JOB_OLD = of_queue(
    evaluate=queue_job_old,
    runbook=(_WORKER_LOG, "{redis} lindex {waiting} -1", "{pm2} status"),
    impact=_WAITS,
    recovered=_oldest_now,
)
QUEUE_FAILING = of_queue(
    evaluate=queue_failing,
    runbook=(_WORKER_LOG, "{redis} zrevrange {failed} 0 4 withscores", "{pm2} status"),
    impact=Impact("jobs are not done", (NONE, "trees are not built", "claims of the newest epochs wait")),
    recovered=_failed_now,
)
QUEUE_STALLED = of_queue(
    evaluate=queue_stalled,
    replaces=(Replaces(QUEUE_JOB_OLD),),
    runbook=(_WORKER_LOG, "{redis} lrange {active} -5 -1", "{pm2} status"),
    impact=_WAITS,
    recovered=_moves_now,
)
RULES: Final = (QUEUE_STALLED, QUEUE_FAILING, QUEUE_JOB_OLD)
