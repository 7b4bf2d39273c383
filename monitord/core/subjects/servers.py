"""Judgement of what is measured at all: servers that cannot be reached, and subjects that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from monitord.core import humanize
from monitord.core.history.model import History
from monitord.core.model import Alert, Finding, Judgement, Kind, NotTaken, Observation, Reading, Severity, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import SERVERS
from monitord.core.subjects.base import NOT_KNOWN, Answer, Impact, RecoveryContext, Rule, always, nothing, of_one

if TYPE_CHECKING:
    from monitord.core.status import FleetStatus

ADVICE = {
    "refused": "Is it running? Start it, or correct the address it is watched at.",
    "missing": "Nothing is at the address it is watched at: is it running, is the setting right?",
    "timeout": "Something is there and does not answer: check for a frozen process, a full disk or a lock.",
    "auth": "It refuses the credentials monitord was given.",
    "permission": "monitord's user may not read it.",
    "tls": "The encrypted connection fails: check the certificate and the CA file.",
    "dns": "Its host name cannot be resolved.",
    "protocol": "What answers there is not what it should be.",
    "internal": "monitord itself failed at it; its log says more.",
}

PARTS = {
    "refused": "It is refused though the server answers: the server's log says why.",
    "missing": "It is not there: is its name right in the settings?",
    "timeout": "It takes too long though the rest is measured: check for a lock, a slow query or a disk that hangs.",
    "auth": "The server refuses monitord's user for this.",
    "permission": "monitord's user may not read it: grant it the right to (for a table: GRANT SELECT).",
    "tls": ADVICE["tls"],
    "dns": ADVICE["dns"],
    "protocol": "It is there, and of another kind than it should be: a view for a table, a key of another type.",
    "internal": ADVICE["internal"],
}
MOST_NAMED = 20
UNMEASURED_RULE = "subject_unmeasured"


def unreachable(
    name: str,
    probe: str,
    title: str,
    blocks: Callable[[StandingOrders], str],
    not_there: str | None = None,
    is_lost: Callable[[History], str] = lambda _: "",
    response: Callable[[FleetStatus], object] = lambda _: None,
    recovered: Callable[[Alert, RecoveryContext], str | None] | None = None,
    *,
    severity: Severity = "critical",
    runbook: tuple[str, str, str],
    impact: Impact = NOT_KNOWN,
    blocking: Callable[[Alert, StandingOrders], tuple[str, ...]] = nothing,
) -> Rule:
    """The rule that a server cannot be measured.

    `blocks` is what cannot be judged meanwhile, `not_there` what to do where nothing is at its address, `is_lost` why
    an answer of it is no sign that all is well ("": it is), `response` in how many milliseconds it answers. `severity`
    is less than critical where nothing of the fleet's own work goes through what is asked there.
    """

    @of_one(probe, name)
    def evaluate(observation: Observation, history: History, orders: StandingOrders) -> Answer:
        """It cannot be measured."""
        failure = observation.readings[probe].failure
        if failure is None or failure.full:  # that it is full another rule says: it is there, and answers
            return is_lost(history) or None
        summary = f"{title} cannot be measured: {failure.error.rstrip('.')}; {blocks(orders)} cannot be judged."
        evidence = {"kind": failure.kind, "error": failure.error}
        advice = not_there if not_there and failure.kind == "missing" else ADVICE[failure.kind]
        return Finding(name, probe, severity, failure.kind, None, "", summary, evidence, advice)

    def answers_now(alert: Alert, at: RecoveryContext) -> str:
        took = response(at.report)
        quick = f", within {humanize.duration(took / 1000.0)}" if isinstance(took, int | float) and took >= 1 else ""
        return f"{title} answers again{quick}."

    return Rule(
        name,
        probe,
        (severity,),
        evaluate,
        judges_failure=True,
        of_server=True,
        roles=frozenset({"unreachable"}),
        inhibits=frozenset({"errors"}),
        host_may_cause=always,
        runbook=runbook,
        impact=impact,
        blocking=blocking,
        recovered=recovered or answers_now,
        criterion=SERVERS,
    )


def troubled(reading: Reading) -> list[tuple[str, Kind, str]]:
    """What could not be measured though the server answered, one entry a cause: subject, kind, sentence.

    What is missing is missed each for itself. Several refusals are the privileges of one user, and one
    finding, of the server.
    """
    if not reading.gaps:  # nearly always
        return []
    refused = [gap for gap in reading.gaps if gap.kind == "permission" and not gap.alone]
    found = [
        (gap.subject, gap.kind, gap.error)
        for gap in reading.gaps
        if len(refused) < 2 or gap.kind != "permission" or gap.alone
    ]
    if len(refused) > 1:
        reasons = "; ".join(dict.fromkeys(gap.error.rstrip(".") for gap in refused[:MOST_NAMED]))
        more = f"; and {len(refused) - MOST_NAMED} more" if len(refused) > MOST_NAMED else ""
        found.append((reading.probe, "permission", f"monitord's user lacks privileges: {reasons}{more}"))
    return found


def unmeasured(
    probe: str,
    title: str,
    missing: str,
    *,
    noun: str = "",
    judges_failure: bool = False,
    unknown_for: Callable[[History, float], float] | None = None,
    is_fresh: Callable[[Reading, str], bool] = always,
    internal: str = PARTS["internal"],
    advise: Callable[[StandingOrders, str, Kind], str] = lambda *_: "",
) -> Rule:
    """The rule `subject_unmeasured` for what `probe` measures: unreadable although its server answers.

    A probe with a rule of its own for failing answers here only for its parts (a table, a queue). `unknown_for` is for
    how many seconds what it measures has been unknown: as long as a group may go without a seal is as bad as one that
    is stuck, since it may be. `is_fresh`: whether a reading has measured a part again, or tried to. `missing` and
    `internal` are what to do about what is not there, and about what failed inside; `advise` what to do about one part
    where that is not the same for all of them ("": it is).
    """
    called, advice = noun or title, {**PARTS, "missing": missing, "internal": internal}

    def evaluate(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
        reading = observation.readings[probe]
        if not reading.gaps and reading.failure is None:
            return
        troubles = troubled(reading)
        unsure: float | None = None
        if reading.failure is not None:
            troubles = [(probe, reading.failure.kind, reading.failure.error)]
            unsure = None if unknown_for is None else unknown_for(history, observation.now.timestamp())
        is_critical = unsure is not None and unsure > orders.seal_critical.total_seconds()
        lasting = (
            f"; whether anything is sealed has not been known for {humanize.duration(unsure)}"
            if unsure is not None and is_critical
            else ""
        )
        named = {subject for subject, _, _ in troubles}
        for gap in reading.gaps:
            if gap.subject not in named and reading.failure is None:  # one of several that are reported together now
                yield Unknown(UNMEASURED_RULE, gap.subject, "it cannot be measured, like others of its server")
        for subject, kind, error in troubles:
            if not is_fresh(reading, subject):
                yield NotTaken(UNMEASURED_RULE, subject)
                continue
            summary = f"{called if subject == probe else subject} cannot be measured: {error.rstrip('.')}{lasting}."
            evidence = {"probe": probe, "kind": kind, "error": error} | (
                {} if unsure is None else {"unknown_seconds": round(unsure)}
            )
            recommended = advise(orders, subject, kind) or advice[kind]
            severity: Severity = "critical" if is_critical else "warning"
            yield Finding(UNMEASURED_RULE, subject, severity, kind, None, "", summary, evidence, recommended)

    severities: tuple[Severity, ...] = ("warning",) if unknown_for is None else ("warning", "critical")

    def measured_now(alert: Alert, at: RecoveryContext) -> str:
        name = title if alert.subject == probe else alert.subject
        return f"{humanize.capital(name) if alert.subject == probe else name} can be measured again."

    return Rule(
        UNMEASURED_RULE,
        probe,
        severities,
        evaluate,
        judges_failure=judges_failure,
        absent="clear",
        roles=frozenset({"unmeasured"}),
        recovered=measured_now,
    )
