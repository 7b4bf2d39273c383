"""What to recommend to a person, by the standing orders' "When to Take Action". Nothing is ever done here.

Restarting is recommended only of what several readings confirm, and only when PM2's own restart has failed, memory has
been past its limit for as long as FLOW_STALL, or sealing is stuck; space is to be freed on a disk past its critical
limit; everything else that is critical is to be investigated, beginning with three things to check.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from shlex import quote
from typing import Final

from monitord.core import humanize
from monitord.core.alerting.escalation import escalation
from monitord.core.model import Action, Alert, Transition
from monitord.core.orders import StandingOrders
from monitord.core.subjects import declared
from monitord.core.subjects.base import ActionKind
from monitord.core.subjects.registry import registered

# Of two recommendations about one target at once, the one that does more is the one to follow.
_RANK: Final[dict[ActionKind, int]] = {"restart_service": 2, "free_disk": 1, "investigate": 0}


def advise(
    transitions: Iterable[Transition],
    book: Mapping[str, Alert],
    advised: Mapping[str, tuple[str, ...]],
    orders: StandingOrders,
    now: datetime,
) -> tuple[tuple[Action, ...], dict[str, tuple[str, ...]]]:
    """The recommendations due now, one an incident and target and one a target at once; and all made by now."""
    living = {alert.incident_id for alert in book.values()}
    known = {incident: targets for incident, targets in advised.items() if incident in living}
    chosen: dict[str, Action] = {}
    firing = [edge.alert for edge in transitions if edge.edge == "firing" and not declared(edge.alert.rule).lasting]
    lasting = [alert for alert in book.values() if declared(alert.rule).lasting and has_lasted(alert, orders, now)]
    for alert in (*firing, *lasting):
        what = declared(alert.rule).recommend(alert)
        if what is None or alert.subject in known.get(alert.incident_id, ()):
            continue
        known[alert.incident_id] = (*known.get(alert.incident_id, ()), alert.subject)
        earlier = chosen.get(alert.subject)
        if earlier is None or _RANK[what] > _RANK[earlier.action]:
            chosen[alert.subject] = _action(what, alert, orders, now)
    return tuple(chosen.values()), known


def has_lasted(alert: Alert, orders: StandingOrders, now: datetime) -> bool:
    """Whether what this alert is about is found now, and has been seen to go on for as long as FLOW_STALL."""
    return alert.state == "firing" and alert.found_at == now and alert.lasted >= orders.flow_stall.total_seconds()


def blocking(alert: Alert, orders: StandingOrders) -> str:
    """What an issue holds up: sealing and users, the standing orders' reasons to restart, or trees; "": not known."""
    return humanize.listed(list(declared(alert.rule).blocking(alert, orders)))


def _action(what: ActionKind, alert: Alert, orders: StandingOrders, now: datetime) -> Action:
    return Action(
        action=what,
        target=alert.subject,
        reason=f"{alert.finding.summary} {alert.finding.recommendation}".strip(),
        confirmations=max(alert.count, orders.confirmations),
        blocking=blocking(alert, orders),
        alert_id=alert.id,
        rule=alert.rule,
        incident_id=alert.incident_id,
        look_at=look_at(alert, orders),
        escalation=escalation(alert, orders, now),
    )


def look_at(alert: Alert, orders: StandingOrders) -> tuple[str, ...]:
    words = {"name": quote(alert.subject)}
    for subject in registered():
        words = {**subject.runbook_words(alert, orders), **words}
    return tuple(_command(form, words) for form in declared(alert.rule).runbook)


def _command(form: str, words: Mapping[str, str]) -> str:
    # In one pass: what stands in a name is not replaced again.
    filled = re.sub(r"\{(\w+)\}", lambda match: words.get(match[1], match[0]), form)
    return f"{words['sql']} {quote(filled)}" if form.startswith("SELECT ") else filled
