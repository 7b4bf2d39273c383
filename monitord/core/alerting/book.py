"""The alert book: what a rule's answers do to it. One alert replaces or explains another, or comes back again."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from monitord.core.alerting import escalation, inhibition, lifecycle
from monitord.core.copying import replace
from monitord.core.history.model import History
from monitord.core.model import Aftermath, Alert, Clear, Finding, Judgement, Observation, Transition, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects import catalogue, declared, replaces
from monitord.core.subjects.base import Rule


def of_rule(book: Mapping[str, Alert], rule: Rule) -> list[Alert]:
    if not book:  # nearly always
        return []
    return [alert for alert in book.values() if alert.rule == rule.name and alert.probe == rule.probe]


def finds(judgements: Iterable[Judgement]) -> bool:
    for judgement in judgements:  # noqa: SIM110 - at half the cost, of each rule in each cycle
        if judgement.__class__ is Finding:
            return True
    return False


def unknown(rule: Rule, book: Mapping[str, Alert]) -> dict[str, Judgement]:
    """The answer of a rule that cannot judge: its alerts stay as they are."""
    return {a.subject: Unknown(rule.name, a.subject, "it could not be judged") for a in of_rule(book, rule)}


def frozen(alert: Alert, history: History, book: Mapping[str, Alert], orders: StandingOrders) -> bool:
    """Whether nobody knows at the moment if what was found still holds: its probe, or the server behind it, is away."""
    last = history.readings.get(alert.probe)
    failed = last is not None and last.failure is not None
    rule = declared(alert.rule, alert.probe)
    if "unreachable" in rule.roles:
        return False
    return inhibition.server_away(alert.probe, history, book, orders) or (failed and not rule.judges_failure)


def is_unknown(
    rule: Rule, book: Mapping[str, Alert], observation: Observation, history: History, orders: StandingOrders
) -> bool:
    """Whether one rule cannot know anything: its probe, or the server behind it, is away."""
    if observation.readings[rule.probe].failure is not None and not rule.judges_failure:
        return True
    return not rule.of_server and inhibition.server_away(rule.probe, history, book, orders)


def judge(
    rule: Rule,
    judgements: Iterable[Judgement] | None,
    book: Mapping[str, Alert],
    observation: Observation,
    history: History,
    orders: StandingOrders,
) -> dict[str, Judgement]:
    """One rule's answers by subject, of what it says; subjects of alerts it is silent about are answered for."""
    own = of_rule(book, rule)
    if judgements is None:
        return {alert.subject: Unknown(rule.name, alert.subject, "its probe cannot measure") for alert in own}
    failed = observation.readings[rule.probe].failure is not None
    answers = escalation.annotated(judgements, orders)
    silent = [alert.subject for alert in own if alert.subject not in answers]
    if silent and rule.members is not None:
        members = rule.members(history, orders)
        answers |= {subject: Clear(rule.name, subject) for subject in silent if subject in members}
        return dict(sorted(answers.items()))
    if rule.absent == "clear":
        for subject in silent:
            answers[subject] = (
                Unknown(rule.name, subject, "its probe cannot measure") if failed else Clear(rule.name, subject)
            )
    return answers


def replaced(
    rule: str,
    judgements: dict[str, Judgement],
    judged: Mapping[str, Mapping[str, Judgement]],
    book: Mapping[str, Alert],
) -> dict[str, frozenset[str]]:
    """Leaves to the stronger rule what it finds too, unless the weaker one has an alert already that must end first.

    What is found no more while the stronger rule finds something is not over. Returns what waits, by place, and for
    which rules: whichever fires first, since of two that find something one may leave it to the other.
    """
    waiting: dict[str, frozenset[str]] = {}
    # Of each stronger rule what it finds: nearly always nothing.
    stronger_ones = [
        (stronger, found, only_succeeds)
        for stronger, only_succeeds in catalogue().stronger.get(rule, ())
        if (found := [j for j in judged.get(stronger, {}).values() if isinstance(j, Finding)])
    ]
    if not stronger_ones:
        return waiting
    over = {subject for subject, judgement in judgements.items() if isinstance(judgement, Clear)}
    for stronger, found, _ in stronger_ones:
        for finding in found:
            subject, place = finding.subject, lifecycle.key(rule, finding.subject)
            alert = book.get(place)
            if subject in over and alert is not None and alert.is_confirmed:
                judgements[subject] = Unknown(rule, subject, f"{stronger} takes its place")
                waiting[place] = waiting.get(place, frozenset()) | {stronger}
    for _, found, only_succeeds in stronger_ones:
        for finding in () if only_succeeds else found:
            subject = finding.subject
            own, speaking = judgements.get(subject), book.get(lifecycle.key(rule, subject))
            if isinstance(own, Finding) and not replaces(finding, own):
                continue
            if speaking is None or not speaking.is_confirmed:
                judgements[subject] = Clear(rule, subject)
    return waiting


def advance(
    rule: Rule,
    judgements: Mapping[str, Judgement],
    book: dict[str, Alert],
    observation: Observation,
    history: History,
    orders: StandingOrders,
    aftermaths: Mapping[str, Aftermath],
) -> list[Transition]:
    now = observation.now
    # A reading that hung was taken when that was over, and the next must be apart from there; of one that came
    # immediately the beginning is as good, and lets cycles that are CONFIRM_EVERY apart count.
    took = timedelta(milliseconds=observation.readings[rule.probe].duration_ms)
    taken = now + took if took > orders.confirm_every / 10 else now
    transitions = drop(book, [alert for alert in of_rule(book, rule) if alert.subject not in judgements], now)
    for subject, judgement in judgements.items():
        is_found = isinstance(judgement, Finding)
        place = lifecycle.key(rule.name, subject)
        alert = book.get(place)
        if alert is None and not is_found:
            continue
        if isinstance(judgement, Finding) and _is_replaced(judgement, book, orders):
            continue
        inhibited_by = _explanation(alert, judgement, rule.probe, book, history, orders, now, aftermaths)
        waits = isinstance(judgement, Finding) and inhibition.awaited_cause(judgement, rule.probe, book, orders)
        following, transition = lifecycle.step(
            alert, judgement, rule.probe, now, orders, inhibited_by, history.set_back, waits=waits
        )
        if transition is not None and transition.edge == "resolved" and rule.over is not None:
            transition = replace(transition, reason=transition.reason or rule.over(transition.alert, history, orders))
        if alert is None and following is not None and (before := _continued(following, book)) is not None:
            following = replace(following, id=before.id, since=before.since, incident=before.incident)
            transition = transition and replace(transition, alert=replace(transition.alert, id=before.id))
        if following is not None and inhibited_by is not None and not following.incident:
            following = _joined(following, inhibited_by, book)
        if following is None:
            book.pop(place, None)
        else:
            counted_now = following.counted_at == now and (alert is None or alert.counted_at != now)
            book[place] = replace(following, counted_at=taken) if counted_now else following
        if transition is not None:
            transitions.append(transition)
    return transitions


def _joined(alert: Alert, cause: Alert, book: dict[str, Alert]) -> Alert:
    """The alert that fires already, of the incident of its cause that was found later; what it explains joins it."""
    if alert.state != "firing" or cause.incident_id == alert.id:
        return alert
    for place, other in book.items():
        if other.incident == alert.id:
            book[place] = replace(other, incident=cause.incident_id)
    return replace(alert, incident=cause.incident_id)


def _continued(alert: Alert, book: Mapping[str, Alert]) -> Alert | None:
    found = (
        book.get(lifecycle.key(weaker, alert.subject)) for rule, weaker in catalogue().continues if rule == alert.rule
    )
    return next((one for one in found if one is not None and one.is_confirmed), None)


def _explanation(
    alert: Alert | None,
    judgement: Judgement,
    probe: str,
    book: Mapping[str, Alert],
    history: History,
    orders: StandingOrders,
    now: datetime,
    aftermaths: Mapping[str, Aftermath],
) -> Alert | None:
    """What explains a finding; of one that fires already only what is known to have begun before it."""
    if not isinstance(judgement, Finding):
        return None
    since, fires = (now, False) if alert is None else (alert.first_seen, alert.state == "firing")
    if fires and not aftermaths and not any(map(inhibition.inhibits_firing, book.values())):  # nearly always
        return None
    cause = inhibition.explanation(judgement, probe, since, book, history, orders, now, aftermaths)
    return None if fires and cause is not None and not inhibition.inhibits_firing(cause) else cause


def flapping(
    transitions: Sequence[Transition],
    book: dict[str, Alert],
    before: Mapping[str, tuple[float, ...]],
    orders: StandingOrders,
    now: datetime,
) -> tuple[list[Transition], dict[str, tuple[float, ...]]]:
    """The edges with those that begin a flapping alert marked as that, and when each alert has lately fired."""
    at, window = now.timestamp(), orders.flapping_window.total_seconds()
    fired = {
        place: kept for place, times in before.items() if (kept := tuple(t for t in times if at - window < t <= at))
    }
    edges_out = []
    for edge in transitions:
        place = lifecycle.key(edge.alert.rule, edge.alert.subject)
        # Growing worse is no round, unless it had been as bad before.
        if edge.edge == "firing" and edge.alert.finding.by_hand:
            pass  # what somebody does on purpose is not flapping, however often
        elif edge.edge == "firing" and (edge.reason != "severity" or edge.alert.was_critical):
            times = fired[place] = (*fired.get(place, ()), at)
            if len(times) >= max(2, orders.flapping_times):
                edge = replace(edge, alert=lifecycle.flapping(edge.alert, times, orders), reason="flapping")
                book[place] = lifecycle.flapping(book[place], times, orders)
        elif edge.edge == "resolved" and edge.alert.flaps:
            fired.pop(place, None)  # it has been calm: the next time is a first time
        edges_out.append(edge)
    return edges_out, fired


def _is_replaced(finding: Finding, book: Mapping[str, Alert], orders: StandingOrders) -> bool:
    """Whether a stronger rule's alert already fires for this subject, and not only because it flaps."""
    return any(
        (alert := book.get(lifecycle.key(stronger, finding.subject))) is not None
        and lifecycle.holds(alert, orders)
        and replaces(_confirmed_finding(alert, orders), finding)
        for stronger, only_succeeds in catalogue().stronger.get(finding.rule, ())
        if not only_succeeds
    )


def superseded(
    book: dict[str, Alert],
    transitions: list[Transition],
    waiting: Mapping[str, frozenset[str]],
    orders: StandingOrders,
    now: datetime,
) -> list[Transition]:
    """The edges, the weaker alert ended once the stronger fires. `waiting`: found no more, and for which rules."""
    edges_out = list(transitions)
    if len(book) < 2:  # nearly always
        return edges_out
    rules = {alert.rule for alert in book.values()}
    known = catalogue()
    for stronger, weaker in (*known.replaces, *known.succeeds):
        if weaker not in rules or stronger not in rules:
            continue
        for alert in [a for a in book.values() if a.rule == weaker]:
            place = lifecycle.key(stronger, alert.subject)
            winner = book.get(place)
            if winner is None or not lifecycle.holds(winner, orders):
                continue
            follows = stronger in waiting.get(lifecycle.key(weaker, alert.subject), ())
            if follows or (
                (stronger, weaker) in known.replaces and replaces(_confirmed_finding(winner, orders), alert.finding)
            ):
                del book[lifecycle.key(weaker, alert.subject)]
                if winner.id == alert.id:
                    continue  # it goes on
                ended = lifecycle.not_watched(alert, now, reason=f"replaced_by {stronger}")
                if ended is not None and winner.confirmed_at is not None and winner.confirmed_at < now:
                    # It was reported before, by itself: what it takes the place of now joins it.
                    edges_out.append(replace(ended, alert=replace(alert, incident=winner.incident_id)))
                elif ended is not None:
                    book[place] = replace(winner, incident=winner.incident or alert.incident_id)
                    edges_out = [_of_incident(t, book[place]) for t in edges_out]
                    edges_out.append(ended)
    return edges_out


def _confirmed_finding(alert: Alert, orders: StandingOrders) -> Finding:
    """What an alert says: its finding, as bad as readings have confirmed it."""
    return replace(alert.finding, severity=lifecycle.severity_now(alert, orders))


def _of_incident(transition: Transition, alert: Alert) -> Transition:
    if transition.alert.id != alert.id:
        return transition
    return replace(transition, alert=replace(transition.alert, incident=alert.incident))


def drop(book: dict[str, Alert], gone: Iterable[Alert], now: datetime, reason: str = "not_watched") -> list[Transition]:
    transitions = []
    for alert in gone:
        del book[lifecycle.key(alert.rule, alert.subject)]
        if (ended := lifecycle.not_watched(alert, now, reason)) is not None:
            transitions.append(ended)
    return transitions
