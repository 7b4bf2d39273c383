"""What PM2 shows of monitord: the lines of `pm2 describe`, and the answers that `pm2 trigger` prints.

PM2 prints an answer as one line of JSON, whatever it is: so it is an object that reads from left to right, the verdict
first, and that can be piped on.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

from monitord.core.report.model import Report
from monitord.core.status import FleetStatus, verdict
from monitord.core.subjects.base import MetricFamily, MetricLine
from monitord.core.subjects.registry import registered
from monitord.pm2.axm import Action, Metric

UNKNOWN: Final = Metric("-")
_MOST_ALERTS: Final = 20

T = TypeVar("T")
Answer = dict[str, object]


def metrics(report: FleetStatus, at: datetime, duration_ms: float, bus: str) -> dict[str, Metric]:
    """The lines of `pm2 describe`, by name. `at` is when the cycle began, `bus` the state of PM2's bus."""
    found = {
        "Status": Metric(report.status),
        "Alerts firing": Metric(len(report.alerts.firing)),
        "Last check": Metric(f"{at.astimezone(UTC):%H:%M:%S}", "UTC"),
        "Cycle": Metric(round(duration_ms, 1), "ms"),
        "PM2 bus": Metric(bus),
    }
    for subject in registered():
        standing = subject.standing(report)
        if standing is not None and standing.of:
            found[f"{subject.members.capitalize()} as expected"] = Metric(f"{standing.well} of {standing.of}")
        for group in subject.metrics:
            for metric in group.metrics:
                if metric.line is not None:
                    found |= _lines(metric, metric.line, group.find(report))
    return found


def _lines(metric: MetricFamily[T], line: MetricLine, things: Mapping[str, T]) -> dict[str, Metric]:
    return {f"{line.title} {name}".rstrip(): _number(metric.value(thing), line) for name, thing in things.items()}


def _number(value: object, line: MetricLine) -> Metric:
    return Metric(round(value / line.per, line.digits), line.unit) if isinstance(value, int | float) else UNKNOWN


def check_answer(action: Action, report: FleetStatus, at: datetime, duration_ms: float | None = None) -> Answer:
    firing = report.alerts.firing
    answer: Answer = {
        "action": action,
        "status": report.status,
        "says": verdict(report),
        "checked_at": at,
        "firing": [
            {name: getattr(alert, name) for name in ("severity", "rule", "subject", "summary", "alert_id")}
            for alert in firing[:_MOST_ALERTS]
        ],
    }
    if len(firing) > _MOST_ALERTS:
        answer["more"] = len(firing) - _MOST_ALERTS
    if duration_ms is not None:
        answer["duration_ms"] = round(duration_ms, 1)
    return answer


def report_answer(report: Report) -> Answer:
    words = {True: "met", False: "NOT MET", None: "unknown"}
    return {
        "action": "report",
        "verdict": report.verdict,
        "says": report.sentence,
        "since": datetime.fromtimestamp(report.since, UTC),
        "until": datetime.fromtimestamp(report.until, UTC),
        "criteria": {c.name: f"{words[c.met]}: {c.evidence}" for c in report.criteria},
        "open_warnings": [f"{w.rule} {w.subject}: {w.summary}" for w in report.open_warnings],
        "incidents": len(report.incidents),
        "blind_minutes": report.blind_minutes,
    }


def no_answer(action: Action, why: str) -> Answer:
    """The answer where there is none, so that nobody waits for it. `why` is a sentence."""
    return {"action": action, "status": "unknown", "says": why}
