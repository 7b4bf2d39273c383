"""Judgement of whether a server that answers would serve the fleet's next client: its next write, its next connection.

A probe reports each reason that it knows of, as `<probe>_refusal`: half a sentence where it holds, "" where it does
not, None where that is unknown.
"""

from __future__ import annotations

from typing import Final

from monitord.core.copying import replace
from monitord.core.history.model import History
from monitord.core.model import Finding, Observation, Reading
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import SERVERS
from monitord.core.subjects.base import Answer, Replaces, Role, Rule, of_one

STANDBY: Final = "standby"
_FULL: Final = "connections"
_ADVICE: Final = {
    "misconf": "Check the disk that it saves to and its log; it accepts writes again once a save has succeeded.",
    "oom": "Free memory, raise maxmemory, or find what fills it.",
    "replica": "Point the fleet at the primary, or promote this replica.",
    "noreplicas": "Check its replicas, or lower min-replicas-to-write.",
    "readonly": "Find who set default_transaction_read_only, and why: a provider does when the disk is nearly full.",
    STANDBY: "Point the fleet and monitord at the primary, or promote this server.",
    _FULL: "See who holds the connections; close idle ones, or raise the limit.",
}


def update_refusals(history: History, reading: Reading) -> History:
    """The history after one good reading of a server: why it refuses what, and whether it was ever a primary."""
    probe = reading.probe
    reported = reading.values(f"{probe}_refusal", "why")
    if (replica := reading.number("replica")) is not None:
        # One that was a standby from the first is meant to be watched as that.
        reported[STANDBY] = bool(replica) and probe in history.primaries
    primaries = history.primaries | {probe} if replica == 0 and probe not in history.primaries else history.primaries
    if not any(reported.values()) and not history.refused and primaries is history.primaries:  # nearly always
        return history
    holding = [why for why, is_so in reported.items() if is_so]
    unclear = [why for why in history.refused.get(probe, ()) if reported.get(why) is None]
    refused = {**history.refused, probe: tuple(dict.fromkeys((*holding, *unclear)))}
    refused = {name: whys for name, whys in refused.items() if whys}
    if refused == history.refused and primaries == history.primaries:
        return history
    return replace(history, refused=refused, primaries=primaries)


def refusing(
    rule: str,
    title: str,
    unreachable: Rule,
    *,
    inhibits: frozenset[Role],
    runbook: tuple[str, str, str],
    replaces: tuple[Replaces, ...] = (),
) -> Rule:
    """The rule that a server is alive and refuses the fleet's next write or connection: it is not unreachable then."""
    probe = unreachable.probe

    @of_one(probe, rule)
    def evaluate(observation: Observation, history: History, orders: StandingOrders) -> Answer:
        reading = observation.readings[probe]
        failure = reading.failure
        if failure is not None and not failure.full:
            return "its probe cannot measure"
        reasons = {why: str(text) for why, text in reading.values(f"{probe}_refusal", "why").items() if text}
        if failure is not None:
            reasons = {_FULL: f"it accepts no further client: {failure.error.rstrip('.')}"}
        held = history.refused.get(probe, ())
        if STANDBY in held and reading.number("replica"):
            reasons[STANDBY] = "it is a standby now, and was a primary before"
        if not reasons:
            return "it is not known any more" if held else None
        what = "connection" if reasons.keys() == {_FULL} else "write"
        summary = f"{title} is alive and refuses the fleet's next {what}: {', and '.join(reasons.values())}."
        advice = " ".join(_ADVICE[why] for why in reasons if why in _ADVICE)
        return Finding(rule, probe, "critical", next(iter(reasons)), None, "", summary, dict(reasons), advice)

    return Rule(
        rule,
        probe,
        ("critical",),
        evaluate,
        judges_failure=True,
        of_server=True,
        succeeds=(unreachable,),
        roles=frozenset({"refusal"}),
        inhibits=inhibits,
        replaces=replaces,
        runbook=runbook,
        recovered=lambda *_: f"{title} accepts writes and connections again.",
        criterion=SERVERS,
    )
