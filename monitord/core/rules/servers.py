"""Judgement of what is measured at all: servers that cannot be reached, and subjects that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from monitord.core.history import History
from monitord.core.model import Clear, Finding, Judgement, Observation
from monitord.core.orders import StandingOrders

NAMES = {"pm2": "PM2", "postgres": "Postgres", "redis": "Redis", "epochs": "the epochs", "host": "the host"}
BLOCKS = {
    "pm2": "whether the services run cannot be told",
    "postgres": "growth and sealing cannot be told",
    "redis": "the queues cannot be told",
}
ADVICE = {
    "refused": "Is it running? Start it, or correct the address it is watched at.",
    "missing": "Nothing is at the address it is watched at: is it running, is the setting right?",
    "timeout": "Something is there and does not answer: look for a frozen process, a full disk or a lock.",
    "auth": "It refuses the credentials monitord was given.",
    "permission": "monitord's user may not look at it.",
    "tls": "The encrypted connection fails: check the certificate and the CA file.",
    "dns": "Its host name cannot be resolved.",
    "protocol": "What answers there is not what it should be.",
    "internal": "monitord itself failed at it; its log says more.",
}

Rule = Callable[[Observation, History, StandingOrders], Iterator[Judgement]]


def unreachable(probe: str) -> Rule:
    """The rule `<probe>_unreachable`: a server that cannot be measured."""
    rule = f"{probe}_unreachable"

    def judge(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
        failure = observation.readings[probe].failure
        if failure is None:
            yield Clear(rule, probe)
            return
        yield Finding(
            rule=rule,
            subject=probe,
            severity="critical",
            value=failure.kind,
            limit=None,
            unit="",
            summary=f"{NAMES[probe]} cannot be measured: {failure.error.rstrip('.')}; {BLOCKS[probe]}.",
            evidence={"kind": failure.kind, "error": failure.error},
            recommendation=ADVICE[failure.kind],
        )

    return judge


def unmeasured(probe: str) -> Rule:
    """The rule `subject_unmeasured` for what `probe` looks at: unreadable although its server answers.

    A probe with a rule of its own for failing answers here only for its parts (a table, a queue).
    """

    def judge(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
        reading = observation.readings[probe]
        troubles = [(gap.subject, gap.kind, gap.error) for gap in reading.gaps]
        if reading.failure is not None:
            troubles = [(probe, reading.failure.kind, reading.failure.error)]
        for subject, kind, error in troubles:
            yield Finding(
                rule="subject_unmeasured",
                subject=subject,
                severity="warning",
                value=kind,
                limit=None,
                unit="",
                summary=f"{NAMES.get(subject, subject)} cannot be measured: {error.rstrip('.')}.",
                evidence={"probe": probe, "kind": kind, "error": error},
                recommendation=ADVICE[kind],
            )

    return judge
