"""Judgement of what Redis holds: it gives keys up for want of memory, will soon be full, or holds none any more."""

from functools import partial
from typing import Final

from monitord.core import humanize
from monitord.core.history.measures import risen, update_counter, update_fall
from monitord.core.history.model import History
from monitord.core.model import Alert, Finding, Observation, Reading
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import NOT_JUDGED, Answer, Impact, RecoveryContext, Rule, of_one
from monitord.core.subjects.redis_status import EVICTED, STATUS, WINDOW

KEYS: Final = "redis/keys"
# From so many keys at least to this share of them, from one reading to the next: caches that expire fall slower.
LEAST_KEYS: Final = 20
FELL_TO: Final = 0.01
UNTOLD: Final = "the server does not report it"


def update_memory(history: History, reading: Reading, now: float) -> History:
    history = update_counter(history, EVICTED, reading.number("redis_evicted"), now, WINDOW)
    return update_fall(history, KEYS, reading.number("redis_keys"), now, LEAST_KEYS, FELL_TO)


@of_one("redis")
def redis_evicting(observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """Keys were given up for want of memory where queues are watched: what is evicted may be a job.

    A Redis in which no queue is watched may be a cache, which evicts all day: its evictions are shown, and not judged.
    """
    if not orders.queues:
        return NOT_JUDGED
    now = observation.now.timestamp()
    evicted, reading = risen(history, EVICTED, now, WINDOW), observation.readings["redis"]
    if reading.number("redis_evicted") is None:
        return UNTOLD
    if not evicted:
        return None
    policy = reading.word("redis_policy")
    summary = (
        f"Redis gave up {humanize.plural(evicted, 'key')} within {humanize.duration(WINDOW)} for want of memory: "
        "jobs may be among them."
    )
    evidence = {"policy": policy, "memory_limit_bytes": reading.number("redis_memory_limit")}
    advice = (
        "Queues need maxmemory-policy noeviction: set it, give Redis more memory, and keep caches in another Redis."
    )
    return Finding("redis_evicting", "redis", "warning", evicted, 0, "keys", summary, evidence, advice)


@of_one("redis")
def redis_memory_high(observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """Memory near maxmemory, where that means refused writes or lost jobs: a cache is meant to be full."""
    reading = observation.readings["redis"]
    used, limit = reading.number("redis_memory"), reading.number("redis_memory_limit")
    if used is None or limit is None:
        return UNTOLD
    percent = round(100 * used / limit, 2) if limit else 0.0
    is_cache = reading.word("redis_policy") != "noeviction" and not orders.queues
    if is_cache or percent <= orders.redis_memory:
        return None
    summary = (
        f"Redis uses {humanize.size(used)} of the {humanize.size(limit)} of memory that it may ({percent:.1f}%), "
        f"past {orders.redis_memory:g}%."
    )
    evidence = {"memory_bytes": used, "memory_limit_bytes": limit, "policy": reading.word("redis_policy")}
    advice = (
        "Find what grows (redis-cli --memkeys on a replica, jobs that are kept once done) or raise "
        "maxmemory: past it writes are refused, or keys are given up."
    )
    return Finding(
        "redis_memory_high", "redis", "warning", percent, orders.redis_memory, "percent", summary, evidence, advice
    )


@of_one("redis")
def redis_emptied(observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """All keys, or all but one in a hundred, were gone from one reading to the next; reported for an hour at most."""
    now, keys = observation.now.timestamp(), observation.readings["redis"].number("redis_keys")
    measure = history.measures.get(KEYS)
    if keys is None or measure is None:
        return UNTOLD
    if not measure.points or now - measure.points[0][0] > WINDOW:
        return None
    at, before = measure.points[0]
    summary = (
        f"Redis held {humanize.count(before)} keys and lost them at once at {humanize.moment(at, now)}: "
        f"there are {humanize.count(keys)} now."
    )
    evidence = {"keys_before": int(before), "lost_at": humanize.clock(at)}
    advice = (
        "Find out what took them: FLUSHALL or FLUSHDB, a restart without a dump to load, or another "
        "server or database number. Jobs that waited are gone with them."
    )
    return Finding("redis_emptied", "redis", "warning", int(keys), None, "keys", summary, evidence, advice)


def _used_now(alert: Alert, at: RecoveryContext) -> str | None:
    used, limit = at.report.of(STATUS).memory_bytes, at.report.of(STATUS).memory_limit_bytes
    if used is None or not limit:
        return None
    return f"Redis uses {humanize.size(used)} of the {humanize.size(limit)} of memory that it may now."


def _keys_now(alert: Alert, at: RecoveryContext) -> str | None:
    keys = at.report.of(STATUS).keys
    return None if keys is None else f"Redis holds {humanize.plural(keys, 'key')} now."


_RUNBOOK: Final = ("{redis} info memory", "{redis} info keyspace", "{redis} config get maxmemory-policy")
_LOST: Final = "jobs and what else is kept in Redis may be lost"

_rule = partial(Rule, probe="redis")
REDIS_EVICTING = _rule(
    evaluate=redis_evicting,
    runbook=_RUNBOOK,
    impact=Impact(_LOST),
    recovered=lambda *_: f"Redis has given up no key within the last {humanize.duration(WINDOW)}.",
)
REDIS_MEMORY_HIGH = _rule(
    evaluate=redis_memory_high,
    runbook=_RUNBOOK,
    impact=Impact("what is written to Redis will be refused, or take the place of what is there"),
    recovered=_used_now,
)
REDIS_EMPTIED = _rule(
    evaluate=redis_emptied,
    inhibits_missing=True,
    runbook=("{redis} info server", "{redis} info persistence", "{redis} dbsize"),
    impact=Impact(_LOST),
    recovered=_keys_now,
)
RULES: Final = (REDIS_EMPTIED, REDIS_EVICTING, REDIS_MEMORY_HIGH)
