"""Every rule, in the order of causation, and how one speaks in place of another."""

from __future__ import annotations

from collections.abc import Mapping

from monitord.core.model import Finding
from monitord.core.subjects import (
    epochs,
    host,
    monitord,
    participation,
    pm2,
    postgres,
    redis,
    sealing,
    services,
    tables,
)
from monitord.core.subjects.base import Rule
from monitord.core.subjects.database import DATABASE_CHANGED
from monitord.core.subjects.registry import added
from monitord.core.subjects.replica import REPLICA_LAGGING

# What explains comes before what it may explain: the host, servers, services, then what services do.
RULES: tuple[Rule, ...] = (
    *host.RULES,
    *pm2.RULES,
    postgres.POSTGRES_FULL,
    redis.REDIS_NOT_WRITABLE,
    postgres.POSTGRES_UNREACHABLE,
    REPLICA_LAGGING,
    DATABASE_CHANGED,
    redis.REDIS_UNREACHABLE,
    *services.RULES,
    *tables.RULES,
    *sealing.RULES,
    *participation.RULES,
    redis.REDIS_QUEUE_BACKLOG,
    postgres.UNMEASURED,
    redis.UNMEASURED,
    epochs.UNMEASURED,
    host.UNMEASURED,
    monitord.MONITOR_DEGRADED,
)

# Of a rule that judges several probes' readings, the first: what is said of it is the same for all.
BY_NAME: Mapping[str, Rule] = {rule.name: rule for rule in reversed(RULES)}
_BY_PLACE: Mapping[tuple[str, str], Rule] = {(rule.name, rule.probe): rule for rule in RULES}


def rules() -> tuple[Rule, ...]:
    """Every rule there is: monitord's own, then those of the subjects that were added."""
    return (*RULES, *more) if (more := _added()) else RULES


def rule_names() -> tuple[str, ...]:
    """The name of each rule once, in the order of the alphabet."""
    return tuple(sorted({rule.name for rule in rules()}))


def _added() -> tuple[Rule, ...]:
    return tuple(rule for subject in added() for rule in subject.rules)


def declared(name: str, probe: str = "") -> Rule:
    """The rule of this name, as it judges this probe's readings.

    One of which nothing is known where a snapshot holds alerts of a rule that is no more.
    """
    found = _BY_PLACE.get((name, probe))
    if found is None:
        more = [rule for rule in _added() if rule.name == name]
        found = next((rule for rule in more if rule.probe == probe), None) or next(iter(more), BY_NAME.get(name))
    return found or Rule(name, probe, ())


# The first says all that the second would say of the same subject, where `replaces` does not know better.
REPLACES = tuple((rule.name, weaker.rule.name) for rule in RULES for weaker in rule.replaces)

# Where the second is found no more because the first is, it is not over: the first takes its place.
SUCCEEDS = tuple((rule.name, weaker.name) for rule in RULES for weaker in rule.succeeds)

# Of these the first is the second's alert that goes on: it keeps its id and its beginning, and nothing ends.
CONTINUES = frozenset((rule.name, weaker.rule.name) for rule in RULES for weaker in rule.replaces if weaker.continues)

_WHEN = {(rule.name, weaker.rule.name): weaker.when for rule in RULES for weaker in rule.replaces}


def replaces(stronger: Finding, weaker: Finding) -> bool:
    """Whether the first of two findings, whose rules REPLACES has in this order, leaves the second nothing to say."""
    return _WHEN[stronger.rule, weaker.rule](stronger, weaker)
