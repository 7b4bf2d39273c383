"""The life of an alert: pending, firing, resolved. Readings must agree before any edge is crossed.

One alert goes through `step` at each judgement of its subject:

    nothing    + finding  -> pending, one reading counted
    pending    + finding  -> one more counted if CONFIRM_EVERY has passed; firing once CONFIRMATIONS agree,
                             or suppressed where another alert explains it
    pending    + clear    -> forgotten
    firing     + clear    -> counted the same way towards resolved; one that flaps must also stay calm for a while
    firing     + finding  -> a change of severity is counted the same way; one that flaps must stay better for a while
    suppressed + finding  -> firing, counted the same way, once nothing explains it any more
    suppressed + clear    -> counted towards resolved
    anything   + unknown  -> frozen: what was counted starts again, nothing else moves
    anything   + not taken -> as it was
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

from monitord.core.copying import replace
from monitord.core.model import Alert, Clear, Finding, Judgement, NotTaken, Severity, Transition, Unknown
from monitord.core.orders import StandingOrders

Book = Mapping[str, Alert]
# A flapping alert has ended when it has been calm for so many times the longest of its rounds.
CALM_ROUNDS = 2
# For so many times CONFIRMATIONS readings a finding waits for what may explain it: that may take its deadline to fail.
WAITED_TIMES = 2


def key(rule: str, subject: str) -> str:
    """Where an alert stands in the book: one per rule and subject."""
    return f"{rule}/{subject}"


def holds(alert: Alert | None, orders: StandingOrders) -> bool:
    """Whether a confirmed alert is about something that is wrong now, as far as readings say.

    One that flaps goes on firing through its calm. What it is about has ended when CONFIRMATIONS readings say so, like
    that of any other alert, and from there on it hides, freezes and explains nothing.
    """
    if alert is None or not alert.is_confirmed:
        return False
    return alert.calm_since is None or alert.toward != "resolve" or alert.count < orders.confirmations


def severity_now(alert: Alert, orders: StandingOrders) -> Severity:
    """How bad it is by confirmed readings. One that flaps keeps its severity through its calm."""
    is_better = alert.calm_since is not None and alert.toward == "step" and alert.count >= orders.confirmations
    return alert.finding.severity if is_better else alert.severity


def moved(alert: Alert, by: timedelta) -> Alert:
    """The alert after the wall clock was set: it waits for as long as before. What was reported stays."""
    return replace(
        alert,
        counted_at=alert.counted_at and alert.counted_at + by,
        calm_since=alert.calm_since and alert.calm_since + by,
        back_at=alert.back_at and alert.back_at + by,
        found_at=alert.found_at and alert.found_at + by,
    )


def alert_id(rule: str, subject: str, since: datetime, turn: int = 0) -> str:
    """The same for one incident, another for the next; `turn` counts how often the clock was set back."""
    again = f"|{turn}" if turn else ""
    return hashlib.sha256(f"{rule}|{subject}|{since.isoformat()}{again}".encode()).hexdigest()[:12]


def step(
    alert: Alert | None,
    judgement: Judgement,
    probe: str,
    now: datetime,
    orders: StandingOrders,
    inhibited_by: Alert | None = None,
    turn: int = 0,
    *,
    waits: bool = False,
) -> tuple[Alert | None, Transition | None]:
    """One judgement of one subject: the alert as it then stands (None: none), and the edge it crossed, if any.

    `inhibited_by` is the alert that explains a finding: while there is one, the finding does not fire. `turn` is of
    the alert's id. `waits`: what may explain it is about to be confirmed, for which it waits a few readings.
    """
    match judgement:
        case NotTaken():
            return alert, None
        case Unknown():
            if alert is None:
                return None, None
            toward: Literal["", "fire"] = "fire" if alert.state == "pending" else ""
            return replace(alert, toward=toward, count=0, counted_at=None, calm_since=None, found_at=None), None
        case Clear():
            if alert is None or alert.state == "pending":
                return None, None
            return _clearing(replace(alert, found_at=None), now, orders)
        case Finding():
            if alert is None:
                began = None if judgement.began is None else datetime.fromtimestamp(judgement.began, UTC)
                is_before = began is not None and began < now
                alert = Alert(
                    id=alert_id(judgement.rule, judgement.subject, now, turn),
                    rule=judgement.rule,
                    subject=judgement.subject,
                    probe=probe,
                    state="pending",
                    severity=judgement.severity,
                    since=began if began is not None and is_before else now,
                    finding=judgement,
                    seen_at=now if is_before else None,
                    found_at=now,
                )
                return _pending(alert, judgement, now, orders, inhibited_by, began=True, waits=waits)
            alert = _found(alert, now, orders)
            if alert.state == "pending":
                return _pending(alert, judgement, now, orders, inhibited_by, began=False, waits=waits)
            if alert.state == "suppressed":
                return _suppressed(alert, judgement, now, orders, inhibited_by)
            return _firing(_back(alert, judgement, now, orders), judgement, now, orders, inhibited_by)


def _found(alert: Alert, now: datetime, orders: StandingOrders) -> Alert:
    """The alert found once more: what lies between two such readings has lasted, unless they are too far apart."""
    since = timedelta(0) if alert.found_at is None else now - alert.found_at
    seen = since.total_seconds() if timedelta(0) <= since <= orders.late_after else 0.0
    return replace(alert, found_at=now, lasted=alert.lasted + seen)


def _pending(
    alert: Alert,
    finding: Finding,
    now: datetime,
    orders: StandingOrders,
    inhibited_by: Alert | None,
    *,
    began: bool,
    waits: bool,
) -> tuple[Alert, Transition | None]:
    counted = _counted(replace(alert, finding=finding, severity=finding.severity), "fire", now, orders)
    waits = waits and inhibited_by is None and counted.count <= orders.confirmations * WAITED_TIMES
    if counted.count < orders.confirmations or finding.needs_exact or waits:
        return counted, Transition("pending", counted, now) if began else None
    if inhibited_by is None:
        return _fired(counted, now)
    quiet = _settled(replace(counted, state="suppressed", toward="", incident=inhibited_by.incident_id))
    return quiet, Transition("suppressed", quiet, now, suppressed_by=inhibited_by.id)


def _suppressed(
    alert: Alert, finding: Finding, now: datetime, orders: StandingOrders, inhibited_by: Alert | None
) -> tuple[Alert, Transition | None]:
    current = replace(alert, finding=finding, severity=finding.severity)
    if inhibited_by is not None:
        return replace(current, toward="", count=0, counted_at=None), None
    counted = _counted(current, "fire", now, orders)
    if counted.count < orders.confirmations or finding.needs_exact:
        return counted, None
    return _fired(counted, now, reason="outlived_cause")


def _fired(counted: Alert, now: datetime, reason: str = "") -> tuple[Alert, Transition]:
    # What it was while another alert explained it was not reported of it.
    fired = replace(counted, state="firing", fired_at=now, confirmed_at=now, toward="", was_critical=False)
    return _settled(fired), Transition("firing", fired, now, reason=reason)


def _firing(
    alert: Alert, finding: Finding, now: datetime, orders: StandingOrders, inhibited_by: Alert | None
) -> tuple[Alert, Transition | None]:
    worst = _worse(alert.worst or alert.finding, finding)
    if finding.severity == alert.severity:
        return replace(alert, finding=finding, worst=worst, toward="", count=0, counted_at=None), None
    alert = replace(alert, worst=worst)
    counted = _counted(replace(alert, finding=finding), "step", now, orders)
    if is_calmer := _is_calmer(alert, finding):
        counted = _calmer(counted, now)
        if not _is_calm(counted, now):
            return counted, None
    if counted.count < orders.confirmations:
        return counted, None
    stepped = replace(counted, severity=finding.severity, toward="")
    if is_calmer:
        stepped = replace(stepped, flaps=0, flapping_since=None, back_at=None, calm_since=None, calm_for=0.0)
    if finding.severity != "critical":
        return _settled(replace(stepped, eased_at=now)), None  # better is no news, until it is well
    if inhibited_by is not None:
        return _settled(stepped), None  # it was notified before its cause was known: that is the page
    worse = replace(stepped, acked_at=None, eased_at=None)  # whoever knew of it did not know of this
    return _settled(worse), Transition("firing", worse, now, reason="severity")


def _worse(before: Finding, now: Finding) -> Finding:
    """The worse of two findings of one subject: the one further past its limit, or the newer of two in words."""
    then, value, limit = before.value, now.value, now.limit
    if not isinstance(then, int | float) or not isinstance(value, int | float):
        return now
    if isinstance(limit, int | float) and value < limit:  # of what may run out less is worse
        return now if value <= then else before
    return now if value >= then else before


def _clearing(alert: Alert, now: datetime, orders: StandingOrders) -> tuple[Alert | None, Transition | None]:
    counted = _counted(alert, "resolve", now, orders)
    if alert.flaps:
        counted = _calmer(counted, now)
        if not _is_calm(counted, now):
            return counted, None
    if counted.count >= orders.confirmations:
        return None, Transition("resolved", counted, now)
    return counted, None


def flapping(alert: Alert, fired: Sequence[float], orders: StandingOrders) -> Alert:
    """The alert that has fired at each of these moments (Unix seconds, the last of them now), as one that flaps."""
    rounds = [later - earlier for earlier, later in pairwise(fired)]
    return replace(
        alert,
        flaps=len(fired),
        flapping_since=datetime.fromtimestamp(fired[0], UTC),
        back_at=datetime.fromtimestamp(fired[-1], UTC),
        calm_for=_calm(max(rounds), orders),
    )


def _is_calmer(alert: Alert, finding: Finding) -> bool:
    """Whether an alert that flaps is found less severe than it is reported: that may be for a moment only."""
    return alert.flaps > 0 and alert.severity == "critical" and finding.severity == "warning"


def _calmer(alert: Alert, now: datetime) -> Alert:
    return replace(alert, calm_since=min(alert.calm_since or now, now))  # min: the clock may have been set back


def _is_calm(alert: Alert, now: datetime) -> bool:
    return alert.calm_since is not None and (now - alert.calm_since).total_seconds() >= alert.calm_for


def _back(alert: Alert, finding: Finding, now: datetime, orders: StandingOrders) -> Alert:
    """The alert found again: one that flaps and had been calm has come back once more."""
    if not alert.flaps or alert.calm_since is None or _is_calmer(alert, finding):
        return alert
    if alert.count < orders.confirmations:  # that was no end, only a reading that differed
        return replace(alert, calm_since=None)
    this_round = (now - alert.back_at).total_seconds() if alert.back_at is not None else 0.0
    calm_for = max(alert.calm_for, _calm(this_round, orders))
    return replace(alert, flaps=alert.flaps + 1, back_at=now, calm_since=None, calm_for=calm_for, lasted=0.0)


def _calm(longest_round: float, orders: StandingOrders) -> float:
    """How long an alert that comes back every so many seconds must stay away to have ended."""
    at_least = orders.confirm_every.total_seconds() * orders.confirmations
    return min(orders.flapping_window.total_seconds(), max(at_least, longest_round * CALM_ROUNDS))


def _settled(alert: Alert) -> Alert:
    """The alert after an edge: nothing counted towards the next one."""
    return replace(alert, count=0, counted_at=None, was_critical=alert.was_critical or alert.severity == "critical")


def _counted(alert: Alert, toward: Literal["fire", "resolve", "step"], now: datetime, orders: StandingOrders) -> Alert:
    """The alert with this reading counted towards an edge, unless it comes too soon after the last one counted."""
    if alert.toward != toward or alert.count == 0 or alert.counted_at is None:
        return replace(alert, toward=toward, count=1, counted_at=now)
    if now < alert.counted_at:  # the clock was set back: wait from here
        return replace(alert, counted_at=now)
    if now - alert.counted_at < orders.confirm_every:
        return alert
    return replace(alert, count=alert.count + 1, counted_at=now)


def not_watched(alert: Alert, now: datetime, reason: str = "not_watched") -> Transition | None:
    """The edge of an alert that ends without being cleared: its subject is gone from the orders, or it was replaced."""
    return Transition("resolved", alert, now, reason=reason) if alert.is_confirmed else None


def waiting_seconds(alert: Alert, now: datetime, orders: StandingOrders) -> float | None:
    """How long until another reading of its probe could count (0: at once); None where none is awaited."""
    confirmed, waits = alert.count >= orders.confirmations, alert.state == "pending"
    if alert.toward == "" or (confirmed and not alert.finding.needs_exact and not waits):
        return None
    if alert.count > orders.confirmations and alert.finding.needs_exact:
        return None  # an exact count is asked for and does not come: trying at every cycle is enough
    if alert.count == 0 or alert.counted_at is None:
        return None  # its probe fails: the next cycle is soon enough
    return max(0.0, (alert.counted_at + orders.confirm_every - now).total_seconds())


def remind(
    book: dict[str, Alert], transitions: Iterable[Transition], orders: StandingOrders, now: datetime
) -> tuple[Alert, ...]:
    """The firing alerts that are due a reminder, marked so: none acknowledged, explained or silenced."""
    announced = {edge.alert.id for edge in transitions if edge.edge == "firing"}
    again = []
    for alert in list(book.values()):
        if alert.state != "firing":
            continue
        place, at_least = key(alert.rule, alert.subject), timedelta(seconds=alert.finding.remind_every)
        since = alert.said_at or alert.fired_at or now
        if alert.id in announced or now < since:  # just now; or the clock was set back, and the wait begins here
            book[place] = replace(alert, said_at=now)
        elif alert.acked_at is None and now - since >= max(orders.remind_every, at_least):
            book[place] = replace(alert, said_at=now)
            again.append(book[place])
    return tuple(again)
