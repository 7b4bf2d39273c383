"""What goes with an alert to somebody else: the text as operators write it by hand, a runbook, whom to contact.

Severity, component, issue, duration, and the impact: where epochs are watched, what it does to collection, to sealing
and to claims. Where the rule does not say, the impact is given as not known, never as none.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime

from monitord.core import humanize
from monitord.core.copying import replace
from monitord.core.model import Alert, Finding, Judgement, Severity
from monitord.core.names import is_pattern, means
from monitord.core.orders import StandingOrders
from monitord.core.subjects import declared
from monitord.core.subjects.registry import subject_named


def escalation(
    alert: Alert, orders: StandingOrders, now: datetime, ended: datetime | None = None, severity: Severity | None = None
) -> str:
    """A line a field. `ended` is when it was over; None while it lasts. `severity`: the worst it came to."""
    lasted = humanize.duration(max(0.0, ((ended or now) - alert.since).total_seconds()))
    since = alert.since.strftime("%Y-%m-%d %H:%M UTC")
    fields = (
        ("Severity", severity or alert.severity),
        ("Component", _component(alert)),
        ("Issue", alert.finding.summary),
        ("Duration", f"{lasted} (since {since}, {'over' if ended else 'ongoing'})"),
        *impact(alert, orders),
        *annotations_of(alert.finding),
    )
    return "\n".join(f"{name}: {value}" for name, value in fields)


def impact(alert: Alert, orders: StandingOrders) -> tuple[tuple[str, str], ...]:
    means = declared(alert.rule).impact
    if not orders.groups:
        plainly = means.plainly
        return (("Impact", plainly if isinstance(plainly, str) else plainly(alert, orders)),)
    on_epochs = means.on_epochs if isinstance(means.on_epochs, tuple) else means.on_epochs(alert, orders)
    return tuple(zip(("Impact on collection", "Impact on sealing", "Impact on claims"), on_epochs, strict=True))


def _component(alert: Alert) -> str:
    if (itself := subject_named(alert.subject)) is not None:
        return itself.title
    measured = subject_named(alert.probe)
    return f"{measured.component if measured is not None else ''} {alert.subject}".strip()


def annotated(judgements: Iterable[Judgement], orders: StandingOrders) -> dict[str, Judgement]:
    """A rule's answers by subject, each finding with its runbook and its contact; what a check sets itself stays."""
    answers = {judgement.subject: judgement for judgement in judgements}
    if orders.runbooks or orders.contacts:
        for subject, one in answers.items():
            if isinstance(one, Finding):
                runbook = one.runbook or most_specific(orders.runbooks, one.rule, subject)
                contact = one.contact or most_specific(orders.contacts, one.rule, subject)
                answers[subject] = replace(one, runbook=runbook, contact=contact)
    return answers


def most_specific(table: Mapping[str, str], rule: str, subject: str) -> str:
    """What a table by rules and subjects (shell patterns) has for an alert; "" where it has nothing.

    A name comes before a pattern, a longer pattern before a shorter one, the subject before the rule.
    """
    found = [
        (math.inf if not is_pattern(written) or written == name else len(written), name == subject, text)
        for written, text in table.items()
        for name in (rule, subject)
        if means(written, name)
    ]
    return max(found, default=(0, False, ""))[-1]


def annotations_of(finding: Finding) -> tuple[tuple[str, str], ...]:
    """The runbook and the contact of a finding, as far as it has any, each with what it is called."""
    return tuple((name, text) for name, text in (("Runbook", finding.runbook), ("Contact", finding.contact)) if text)
