"""Judgement of what is measured at all: servers that cannot be reached, and subjects that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from monitord.core import words
from monitord.core.history import History
from monitord.core.model import Clear, Finding, Judgement, Kind, Observation, Reading, Unknown
from monitord.core.orders import StandingOrders

NAMES = {"pm2": "PM2", "postgres": "Postgres", "redis": "Redis", "epochs": "the epochs", "host": "the host"}
BLOCKS = {
    "pm2": "whether the services run cannot be told",
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

# What is not there where a server should be: a socket, or a database of a server that answers.
NOT_THERE = {
    "pm2": "There is no PM2 in the home that is watched: does it run, as the same user, is MONITORD_PM2__HOME right? "
    "Do not ask it by pm2 ls, which would start an empty one.",
    "postgres": "The server answers, and has no such database: correct its name in MONITORD_POSTGRES__DSN, or find out "
    "who dropped it.",
}
# What is not there, by whose probe missed it. A part of a server that answers is not at a wrong address.
MISSING = {
    "postgres": "There is no such table in the database and schema that are watched: create it, or correct its name in "
    "MONITORD_POSTGRES__TABLES.",
    "epochs": "There is no such table in the database and schema that are watched: is it the right database?",
    "redis": "There is no such key in the Redis database that is watched: correct its name in MONITORD_REDIS__QUEUES, "
    "or the database's number or the prefix.",
    "host": "There is no such path: is the file system mounted, is the name in MONITORD_HOST__DISKS right?",
}
PARTS = {
    "refused": "It is refused though the server answers: the server's log says why.",
    "missing": "It is not there: is its name right in the settings?",
    "timeout": "It takes too long though the rest is measured: look for a lock, a slow query or a disk that hangs.",
    "auth": "The server refuses monitord's user for this.",
    "permission": "monitord's user may not read it: grant it the right to (for a table: GRANT SELECT).",
    "tls": ADVICE["tls"],
    "dns": ADVICE["dns"],
    "protocol": "It is of another kind than expected: a queue that is no list, a table that is a view.",
    "internal": ADVICE["internal"],
}
MOST_NAMED = 20

Rule = Callable[[Observation, History, StandingOrders], Iterator[Judgement]]


def _blocks(probe: str, orders: StandingOrders) -> str:
    """What cannot be told while a server cannot be measured, by what is watched of it."""
    parts = (("growth", orders.tables), ("sealing", orders.groups))
    watched = [what for what, subjects in parts if subjects]
    return BLOCKS.get(probe) or f"{' and '.join(watched) or 'what it holds'} cannot be told"


def unreachable(probe: str) -> Rule:
    """The rule `<probe>_unreachable`: a server that cannot be measured."""
    rule = f"{probe}_unreachable"

    def judge(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
        failure = observation.readings[probe].failure
        if failure is None or failure.full:  # that it is full another rule says: it is there, and answers
            last = history.fleet_restart
            if probe == "pm2" and last is not None and last.is_empty:
                yield Unknown(rule, probe, "it answers, and has lost its list")
            else:
                yield Clear(rule, probe)
            return
        yield Finding(
            rule=rule,
            subject=probe,
            severity="critical",
            value=failure.kind,
            limit=None,
            unit="",
            summary=f"{NAMES[probe]} cannot be measured: {failure.error.rstrip('.')}; {_blocks(probe, orders)}.",
            evidence={"kind": failure.kind, "error": failure.error},
            recommendation=NOT_THERE.get(probe, ADVICE["missing"])
            if failure.kind == "missing"
            else ADVICE[failure.kind],
        )

    return judge


def pm2_empty(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """PM2 itself was restarted and nothing of the fleet is in its list."""
    last = history.fleet_restart
    if last is None or not last.is_empty or not last.left_behind:
        yield Clear("pm2_empty", "pm2")
        return
    names = words.listed(list(last.left_behind), most=8)
    what, when = words.plural(len(last.left_behind), "service"), words.clock(last.at)
    lost = f"it runs none of the {what} it is expected to run ({names})"
    is_deleted = last.kind == "deleted"
    yield Finding(
        rule="pm2_empty",
        subject="pm2",
        severity="critical",
        value="empty",
        limit=None,
        unit="",
        summary=(
            f"Everything was deleted from PM2's list, by {when}: {lost}."
            if is_deleted
            else f"PM2 was restarted with an empty list, at {when}: {lost}. Nobody deleted them."
        ),
        began=last.at,
        evidence={"left_behind": list(last.left_behind), "at": when, "kind": last.kind},
        recommendation=(
            "If that was a mistake, run pm2 resurrect, or start the services from their ecosystem file."
            if is_deleted
            else "Run pm2 resurrect, and pm2 save once all is back. Where PM2 was killed, the processes of before may "
            "still run without it: end those first, or they run twice."
        ),
    )


def troubled(reading: Reading) -> list[tuple[str, Kind, str]]:
    """What could not be measured though the server answered, one entry a cause: subject, kind, sentence.

    What is missing is missed each for itself. Several refusals are the privileges of one user, and one
    finding, of the server.
    """
    refused = [gap for gap in reading.gaps if gap.kind == "permission"]
    found = [(gap.subject, gap.kind, gap.error) for gap in reading.gaps if len(refused) < 2 or gap.kind != "permission"]
    if len(refused) > 1:
        said = "; ".join(dict.fromkeys(gap.error.rstrip(".") for gap in refused[:MOST_NAMED]))
        more = f"; and {len(refused) - MOST_NAMED} more" if len(refused) > MOST_NAMED else ""
        found.append((reading.probe, "permission", f"monitord's user lacks privileges: {said}{more}"))
    return found


def _seals_unknown(history: History, now: float) -> float:
    """For how long the seals could not be read; while Postgres itself was away that was said by another rule."""
    since = history.taken_at.get("epochs", 0.0)
    return max(0.0, history.failed_seconds("epochs", now) - history.absent_seconds("postgres", since, now))


def unmeasured(probe: str) -> Rule:
    """The rule `subject_unmeasured` for what `probe` looks at: unreadable although its server answers.

    A probe with a rule of its own for failing answers here only for its parts (a table, a queue). Seals that could not
    be read for as long as a group may go without one are as bad as a group that is stuck: it may be.
    """

    def judge(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
        reading = observation.readings[probe]
        parts = {**PARTS, "missing": MISSING.get(probe, PARTS["missing"])}
        troubles = troubled(reading)
        unsure: float | None = None
        if reading.failure is not None:
            troubles = [(probe, reading.failure.kind, reading.failure.error)]
            unsure = _seals_unknown(history, observation.now.timestamp()) if probe == "epochs" else None
        is_critical = unsure is not None and unsure > orders.seal_critical.total_seconds()
        lasting = (
            f"; whether anything is sealed has not been known for {words.duration(unsure)}"
            if unsure is not None and is_critical
            else ""
        )
        told = {subject for subject, _, _ in troubles}
        for gap in reading.gaps:
            if gap.subject not in told and reading.failure is None:  # one of several that are said together now
                yield Unknown("subject_unmeasured", gap.subject, "it cannot be measured, like others of its server")
        for subject, kind, error in troubles:
            yield Finding(
                rule="subject_unmeasured",
                subject=subject,
                severity="critical" if is_critical else "warning",
                value=kind,
                limit=None,
                unit="",
                summary=f"{NAMES.get(subject, subject)} cannot be measured: {error.rstrip('.')}{lasting}.",
                evidence={"probe": probe, "kind": kind, "error": error}
                | ({} if unsure is None else {"unknown_seconds": round(unsure)}),
                recommendation=parts[kind],
            )

    return judge
