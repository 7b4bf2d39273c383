"""Judgement of the lines that a service writes to stderr: far more than it is used to. What they say nobody reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from monitord.core import humanize
from monitord.core.history.error_lines import OVER_SHARE, ErrorHistory, ServiceErrors
from monitord.core.history.model import History
from monitord.core.model import Alert, Clear, Finding, Judgement, Observation, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import NONE, EpochImpact, Impact, MetricFamily, RecoveryContext, metrics_of
from monitord.core.subjects.fleet import faces_users, of_service, state_now

_UNHEARD: Final = "PM2's bus was not heard for long enough"
_FLOOR: Final = "not each of its lines was read"
_FEWER: Final = "it writes fewer again, and not yet for long enough"


@dataclass(frozen=True, slots=True)
class ErrorsStatus:
    """Error lines since monitord listens, and a minute (None: not known, or judged); `at_least`: not all counted."""

    lines: int
    per_minute: float | None
    limit: float | None
    at_least: bool


def errors_status(name: str, history: History, orders: StandingOrders) -> ErrorsStatus | None:
    """How many error lines a service writes; None where PM2's bus is not heard."""
    known = history.errors
    if known.connection is None:
        return None
    one = known.of(name)
    return ErrorsStatus(round(known.lines.get(name, 0.0)), one.per_minute, known.limit(name, orders), one.at_least)


def rate(errors: ErrorsStatus) -> str:
    if errors.per_minute is None:
        return "unknown"
    return f"{'at least ' if errors.at_least else ''}{_count(errors.per_minute)} a minute"


def _count(per_minute: float) -> str:
    return humanize.count(round(per_minute)) if per_minute >= 10 or per_minute == 0 else f"{per_minute:g}"


def errors_rising(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A service writes far more error lines a minute than it is used to, in three windows of two minutes in a row."""
    known, now = history.errors, observation.now.timestamp()
    for name, one in known.services.items():
        if name not in history.services:
            continue
        limit = known.limit(name, orders)
        if one.per_minute is None or known.connection is None:
            yield Unknown("errors_rising", name, _UNHEARD)
        elif one.since is None and one.at_least and limit is not None:
            yield Unknown("errors_rising", name, _FLOOR)
        elif one.since is None or limit is None:
            yield Clear("errors_rising", name)
        elif one.below or (one.per_minute <= limit * OVER_SHARE and not one.at_least):
            yield Unknown("errors_rising", name, _FEWER)
        else:
            yield _finding(name, one, one.since, limit, known, orders, now)


def _finding(
    name: str, one: ServiceErrors, since: float, limit: float, known: ErrorHistory, orders: StandingOrders, now: float
) -> Finding:
    per_minute, usual = one.per_minute or 0.0, known.usual(name)
    at_least = "at least " if one.at_least else ""
    days = "day" if known.days == 1 else f"{known.days} days, but for one,"
    past = (
        f"the limit is {_count(limit)}"
        if orders.errors_of(name) is not None or usual is None
        else f"in the last {days} it wrote {_count(usual)} at most"
    )
    summary = (
        f"{name} writes {at_least}{_count(per_minute)} lines a minute to its error log, and has written more than "
        f"{_count(limit)} for {humanize.duration(round(now - since))}; {past}."
    )
    evidence = {"lines_per_minute": per_minute, "usual_at_most": usual, "days_known": known.days} | (
        {"at_least": True} if one.at_least else {}
    )
    advice = f"Read the end of {name}'s error log, and look at what has changed since the rise began."
    value = per_minute
    return Finding("errors_rising", name, "warning", value, limit, "lines/min", summary, evidence, advice, began=since)


def _workers(finding: Finding, orders: StandingOrders) -> tuple[tuple[str, ...], ...]:
    """The service itself: one that dies again and again says so, and that explains what it writes."""
    return ((finding.subject,),)


def _fewer_now(alert: Alert, at: RecoveryContext) -> str | None:
    errors = errors_status(alert.subject, at.history, at.orders)
    if errors is None or errors.per_minute is None:
        return state_now(alert, at)
    return f"{alert.subject} writes {rate(errors)} to its error log now."


def _on_epochs(alert: Alert, orders: StandingOrders) -> EpochImpact:
    return NONE, NONE, "some of what people ask may fail" if faces_users(alert.subject, orders) else NONE


ERROR_METRICS: Final[tuple[MetricFamily[ErrorsStatus], ...]] = metrics_of(
    ErrorsStatus,
    MetricFamily(
        "service_error_lines_total",
        "Lines that a service wrote to stderr since monitord listens to PM2's bus; at least so many.",
        lambda errors: errors.lines,
        kind="counter",
    ),
    ("service_error_lines_per_minute", "Lines that a service writes to stderr a minute.", "per_minute"),
    ("service_error_lines_limit", "The lines a minute past which a service's errors rise.", "limit"),
)

ERRORS_RISING = of_service(
    evaluate=errors_rising,
    roles=frozenset({"service", "errors"}),
    workers=_workers,
    impact=Impact(lambda alert, _: f"what {alert.subject} does fails more often than it did", _on_epochs),
    recovered=_fewer_now,
)
