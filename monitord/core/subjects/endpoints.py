"""Judgement of endpoints, which checks of one's own ask: down, slow, or with a certificate that expires soon."""

from datetime import UTC, datetime
from typing import Final

from monitord.core import humanize
from monitord.core.model import Alert, Finding, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import Impact, RecoveryContext
from monitord.core.subjects.check_rules import JudgedCheck, blocks_users, check_rule, value_now, with_unit
from monitord.core.subjects.servers import ADVICE

TYPES: Final = ("http", "tcp")
# What is wrong with an endpoint: a word to sort by and half a sentence; and when its certificate expires.
PROBLEM, ERROR, CERTIFICATE, STATUS = "check_problem", "check_error", "check_certificate", "check_status"
DAY: Final = 86400.0
_ANSWER: Final = "It answers, and not as it should: its own log says why."
_RUNBOOK: Final = ("curl -sv -o /dev/null --max-time 10 {target}", "monitord check", "df -h")


def endpoint_down(check: JudgedCheck) -> Finding | None:
    """An endpoint that refuses, does not answer in time, shows a bad certificate or gives a wrong answer."""
    problem = check.word(PROBLEM)
    if not problem:
        return None
    status = check.number(STATUS)
    summary = f"{check.name} is down: {check.word(ERROR).rstrip('.')}."
    evidence = {"kind": problem}
    value = problem if status is None else int(status)
    return check.finding("endpoint_down", "critical", value, None, "", summary, evidence, ADVICE.get(problem, _ANSWER))


def endpoint_slow(check: JudgedCheck) -> Finding | Unknown | None:
    """An endpoint that answers as it should, and later than it should."""
    if check.word(PROBLEM):
        return Unknown("endpoint_slow", check.name, "it does not answer as it should")
    if (past := check.past()) is None:
        return None
    severity, limit, value = past
    took, most = with_unit(value, check.unit), with_unit(limit.value, check.unit)
    summary = f"{check.name} took {took} to answer; the limit is {most}."
    advice = "Check what it waits for: its database, its event loop, the machine's load."
    return check.finding("endpoint_slow", severity, value, limit.value, check.unit, summary, recommendation=advice)


def certificate_expiring(check: JudgedCheck) -> Finding | Unknown | None:
    """An endpoint whose certificate is valid, and not for long."""
    expires, least = check.number(CERTIFICATE), check.order.certificate_days
    if expires is None:
        return Unknown("certificate_expiring", check.name, "no certificate was seen") if check.word(PROBLEM) else None
    left = expires - check.now
    if not least or left >= least * DAY:
        return None
    summary = (
        f"The certificate of {check.name} expires in {humanize.duration(max(0.0, left))}, "
        f"on {humanize.day(expires)}; it is to be renewed {humanize.plural(least, 'day')} before."
    )
    evidence = {"expires_at": f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}"}
    advice = "Renew it, and have the server read it again: many read their certificate at their start only."
    value = round(left / DAY, 1)
    return check.finding("certificate_expiring", "warning", value, least, "days", summary, evidence, advice)


def _answers_now(alert: Alert, at: RecoveryContext) -> str:
    return f"{alert.subject} answers as it should again{value_now(alert, at)}."


def _impact(alert: Alert, orders: StandingOrders) -> str:
    check = orders.checks.get(alert.subject)
    return (
        f"users of {alert.subject} are not served" if check and check.user_facing else f"whoever needs {alert.subject}"
    )


ENDPOINT_DOWN = check_rule(
    endpoint_down, *TYPES, runbook=_RUNBOOK, impact=Impact(_impact), blocking=blocks_users, recovered=_answers_now
)
ENDPOINT_SLOW = check_rule(
    endpoint_slow,
    *TYPES,
    runbook=_RUNBOOK,
    impact=Impact(lambda alert, _: f"whoever asks {alert.subject} waits"),
    recovered=_answers_now,
)
CERTIFICATE_EXPIRING = check_rule(
    certificate_expiring,
    *TYPES,
    severities=("warning",),
    runbook=_RUNBOOK,
    impact=Impact(lambda alert, _: f"{alert.subject} is refused by everybody once it has expired"),
    recovered=lambda alert, _: f"The certificate of {alert.subject} is valid for longer than its limit again.",
)
RULES: Final = (ENDPOINT_DOWN, ENDPOINT_SLOW, CERTIFICATE_EXPIRING)
