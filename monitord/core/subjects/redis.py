"""Judgement of Redis: away, refusing writes; and of its queues: too deep, or risen and not drained."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.copying import replace, with_these
from monitord.core.dependencies import logs_of
from monitord.core.history.measures import update_jobs
from monitord.core.history.model import History, QueueHistory
from monitord.core.model import Alert, Finding, Observation, Reading
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import SERVERS, Level, LevelFamily
from monitord.core.subjects import base, queues, redis_memory, redis_status
from monitord.core.subjects.redis_memory import update_memory
from monitord.core.subjects.refusals import refusing, update_refusals
from monitord.core.subjects.servers import unmeasured, unreachable

# A queue that rose and never fell is not drained; it must have risen by this share of the limit to be worth a word.
RISE_SHARE = 0.1
# One that stands still, job for job, is not worked off; it must be this deep to be worth a word, since a few jobs may
# stand for long (those of a worker that is paused by day).
DEEP_SHARE = 0.5
# Of one that rises through dips the lowest readings count, of stretches as long as a stall, compared in thirds. Each
# must lie above the one before by this share of the limit, STRETCHES of them in a row, and the last above all of the
# first: readings of a queue that is filled and drained again and again drift by chance, within its swings.
STEP_SHARE = 0.01
THIRDS, STRETCHES, THIRDS_KEPT = 3, 3, 36

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts


_followed: Final = with_these(QueueHistory, "since", "first", "last", "deep_since", "third_at", "thirds")


def update_queues(history: History, reading: Reading, now: float, orders: StandingOrders) -> History:
    """The history after one good reading of the redis probe: each queue's rise, and its lowest and highest readings."""
    found = {}
    width = orders.flow_stall.total_seconds() / THIRDS
    for name, depth in reading.values("queue_waiting", "queue").items():
        if not isinstance(depth, int | float):
            continue
        run, deep = history.queues.get(name), depth > orders.queue_limit(name) * DEEP_SHARE
        if run is None:
            found[name] = QueueHistory(now, float(depth), float(depth), now if deep else None, now, ((depth, depth),))
            continue
        fell = depth < run.last
        begins = fell or depth <= run.first  # it fell, or has not begun to rise
        began, thirds = _thirds(run, float(depth), now, width)
        found[name] = _followed(
            run,
            now if begins else run.since,
            float(depth) if begins else run.first,
            float(depth),
            None if not deep else now if fell or run.deep_since is None else run.deep_since,
            began,
            thirds,
        )
    return replace(history, queues={**{n: q for n, q in history.queues.items() if n not in found}, **found})


def _thirds(run: QueueHistory, depth: float, now: float, width: float) -> tuple[float, tuple[tuple[float, float], ...]]:
    """When the open third of a stall began, and the lowest and highest reading of each, the open one last.

    They begin anew where there was no reading for one of them.
    """
    passed = now - run.third_at
    if not run.thirds or not 0 <= passed < 2 * width:
        return now, ((depth, depth),)
    if passed >= width:
        return run.third_at + width, (*run.thirds[-THIRDS_KEPT:], (depth, depth))
    low, high = run.thirds[-1]
    return run.third_at, (*run.thirds[:-1], (min(low, depth), max(high, depth)))


def _net_rise(run: QueueHistory, limit: float) -> tuple[int, float]:
    """Over how many stretches as long as a stall a queue has risen net, and by how much; (0, 0.0) where it has not.

    One that was filled at once and is worked off since has not: of its last stretch the beginning is the highest.
    """
    closed = run.thirds[:-1]
    newest: tuple[tuple[float, float], ...] = ()
    stretch = newest
    lows: list[float] = []
    for end in range(len(closed), THIRDS - 1, -THIRDS):  # the newest first
        before = closed[end - THIRDS : end]
        low = min([low for low, _ in before])
        if lows and not lows[-1] - low > limit * STEP_SHARE:
            break
        lows.append(low)
        newest, stretch = newest or before, before
    if len(lows) < STRETCHES or run.last < lows[0] or max(high for _, high in newest[1:]) <= newest[0][1]:
        return 0, 0.0
    if lows[0] <= max(high for _, high in stretch):
        return 0, 0.0
    return len(lows) - 1, lows[0] - lows[-1]


@base.of_each(lambda orders: orders.queues)
def redis_queue_backlog(name: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """A queue deeper than ordered, or one that rose and has not been drained for as long as a stall lasts."""
    now = observation.now.timestamp()
    depth = observation.readings["redis"].number("queue_waiting", queue=name)
    limit, run = orders.queue_limit(name), history.queues.get(name)
    if depth is None or run is None:
        return "it cannot be read"
    if run.deep_since is None and max(depth, run.last) <= limit * RISE_SHARE:  # nearly always
        return None
    risen = run.last - run.first
    lasting = history.watched_seconds("redis", run.since, now)
    stall, net = orders.flow_stall.total_seconds(), 0.0
    undrained = lasting > stall and risen > limit * RISE_SHARE
    still = None if run.deep_since is None else history.watched_seconds("redis", run.deep_since, now)
    if depth > limit:
        how = f"past the limit of {humanize.count(limit)}"
    elif undrained:
        how = f"which rose by {humanize.count(risen)} and has not been drained for {humanize.duration(lasting)}"
    elif still is not None and still > stall:
        how, risen, lasting = f"and none was started for {humanize.duration(still)}", 0.0, still
    else:
        stretches, net = _net_rise(run, limit)
        if net <= limit * RISE_SHARE:
            return None
        risen, lasting = net, stretches * stall
        how = f"{humanize.count(net)} more than {humanize.duration(lasting)} ago, though some were taken meanwhile"
    summary = f"{humanize.count(depth)} jobs wait in the queue {name}, {how}."
    evidence = {"risen": int(risen), "undrained_seconds": round(lasting, 3)}
    advice = (
        queues.resume(name)
        if queues.is_paused(observation, name)
        else f"Check the worker of {name}: is it alive, and does it finish what it takes?"
    )
    past = limit if depth > limit else None  # of a rise there is no depth to be past
    return Finding("redis_queue_backlog", name, "warning", int(depth), past, "jobs", summary, evidence, advice)


def _waiting_now(alert: Alert, at: base.RecoveryContext) -> str | None:
    queue = at.report.of(redis_status.STATUS).queues.get(alert.subject)
    if queue is None or queue.waiting is None:
        return None
    waiting, limit = queue.waiting, humanize.count(at.orders.queue_limit(alert.subject))
    wait = f"{humanize.plural(waiting, 'job')} wait{'s' if waiting == 1 else ''}"
    return f"{wait} in {alert.subject} now; the limit is {limit}."


REDIS_UNREACHABLE = unreachable(
    "redis_unreachable",
    "redis",
    "Redis",
    blocks=lambda _: "the queues",
    response=lambda report: report.of(redis_status.STATUS).latency_ms,
    runbook=("{redis} ping", "{redis} info memory", "free -m"),
    impact=base.Impact("nothing can be queued", (base.NONE, "trees cannot be queued", base.UNKNOWN)),
)
REDIS_NOT_WRITABLE = refusing(
    "redis_not_writable",
    "Redis",
    REDIS_UNREACHABLE,
    inhibits=frozenset({"backlog", "errors"}),
    replaces=(base.Replaces(redis_memory.REDIS_MEMORY_HIGH),),
    runbook=("{redis} info persistence", "{redis} info memory", "{redis} info replication"),
)
REDIS_QUEUE_BACKLOG = queues.of_queue(
    evaluate=redis_queue_backlog,
    replaces=(base.Replaces(queues.QUEUE_STALLED), base.Replaces(queues.QUEUE_JOB_OLD)),
    runbook=("{pm2} logs {worker} --lines 50 --nostream", "{redis} llen {waiting}", "{pm2} status"),
    impact=base.Impact("jobs wait", (base.NONE, "trees are built late", "claims of the newest epochs wait")),
    recovered=_waiting_now,
)
UNMEASURED = unmeasured(
    "redis",
    "Redis",
    "There is no such key in the Redis database that is watched: correct its name in MONITORD_REDIS__QUEUES, "
    "or the database's number or the prefix.",
)


def _update(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> base.Updated:
    history = update_queues(update_refusals(history, reading), reading, now, orders)
    return base.Updated(update_memory(update_jobs(history, reading, before, now, orders), reading, now))


def _waited(level: Level, facts: ReportFacts) -> str:
    limit = humanize.count(facts.orders.queue_limit(level.name))
    most = f"{humanize.plural(level.most or 0, 'job')} waiting at most, of {limit}"
    return f"The queue {level.name} had {most}, at {humanize.moment(level.most_at, facts.until)}."


def _runbook_words(alert: Alert, orders: StandingOrders) -> Mapping[str, str]:
    key = f"{orders.prefix_of(alert.subject)}:{alert.subject}"
    return {
        "redis": orders.places.get("redis", "redis-cli"),
        "worker": logs_of(orders.workers_of(alert.subject) or (alert.subject,)),
        "waiting": quote(f"{key}:wait"),
        "active": quote(f"{key}:active"),
        "failed": quote(f"{key}:failed"),
    }


WAITING = LevelFamily(
    SERVERS,
    lambda reading: reading.numbers("queue_waiting", "queue"),
    _waited,
    unmeasured="Not measured of Redis's queues: {}.",
)
REDIS = base.Subject(
    "redis",
    "Redis",
    server="redis",
    rules=(REDIS_NOT_WRITABLE, REDIS_UNREACHABLE, *redis_memory.RULES, REDIS_QUEUE_BACKLOG, *queues.RULES, UNMEASURED),
    update_for_rules=_update,
    members="queues",
    member="queue",
    in_fleet=False,
    member_sample=("queue_waiting", "queue"),
    status=(redis_status.STATUS,),
    metrics=redis_status.METRICS,
    perfdata=redis_status.perfdata,
    limits={
        "redis_memory": "how much of maxmemory may be used",
        "queue_waiting": "the most jobs that may wait in a queue",
        "queue_failed": "the most jobs that may fail within the window",
        "queue_window": "the window in which failed jobs are counted",
        "queue_stall": "how long no job may finish while there are any",
        "queue_oldest": "how long a job may wait",
    },
    hint="Not watched. MONITORD_REDIS__URL (or REDIS_URL) would add it.",
    section=redis_status.section,
    heading="Redis and queues",
    runbook_words=_runbook_words,
    levels=(WAITING,),
    rollups=redis_status.ROLLUPS,
)
