"""What PM2 shows of monitord: the lines of `pm2 describe`, and the answers that `pm2 trigger` prints.

PM2 prints an answer as one line of JSON, whatever it is: so it is an object that reads from left to right, the verdict
first, and that can be piped on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from monitord.core.report.model import Report
from monitord.core.status import Fields, verdict
from monitord.pm2.axm import Action, Metric

UNKNOWN: Final = Metric("-")
_MOST_ALERTS: Final = 20

Answer = dict[str, Any]


def metrics(fields: Fields, at: datetime, duration_ms: float, bus: str) -> dict[str, Metric]:
    """The lines of `pm2 describe`, by name. `at` is when the cycle began, `bus` how well PM2's bus is heard."""
    services = fields["services"].values()
    found = {
        "Status": Metric(fields["status"]),
        "Alerts firing": Metric(len(fields["alerts"]["firing"])),
        "Last check": Metric(f"{at.astimezone(UTC):%H:%M:%S}", "UTC"),
        "Cycle": Metric(round(duration_ms, 1), "ms"),
        "PM2 bus": Metric(bus),
    }
    if services:
        found["Services as expected"] = Metric(f"{sum(1 for one in services if one['ok'])} of {len(services)}")
    for table, growth in fields["growth"].items():
        found[f"Rows {table}"] = _number(growth["rows_per_hour"], 1, "rows/h")
    for group, epochs in fields["epochs"].items():
        found[f"Seal age {group}"] = _number(epochs["seal_age_seconds"], 60, "min", 1)
    return found


def _number(value: float | None, per: float, unit: str, digits: int | None = None) -> Metric:
    return UNKNOWN if value is None else Metric(round(value / per, digits), unit)


def check_answer(action: Action, fields: Fields, at: datetime, duration_ms: float | None = None) -> Answer:
    """What a check came to: its status, the sentence, and the alerts that fire, the worst first."""
    firing: Sequence[Mapping[str, Any]] = fields["alerts"]["firing"]
    answer: Answer = {
        "action": action,
        "status": fields["status"],
        "says": verdict(fields),
        "checked_at": at,
        "firing": [
            {name: alert[name] for name in ("severity", "rule", "subject", "summary", "alert_id")}
            for alert in firing[:_MOST_ALERTS]
        ],
    }
    if len(firing) > _MOST_ALERTS:
        answer["more"] = len(firing) - _MOST_ALERTS
    if duration_ms is not None:
        answer["duration_ms"] = round(duration_ms, 1)
    return answer


def report_answer(night: Report) -> Answer:
    """The verdict over a night, each criterion in a sentence."""
    words = {True: "met", False: "NOT MET", None: "cannot be told"}
    return {
        "action": "report",
        "verdict": night.verdict,
        "says": night.sentence,
        "since": datetime.fromtimestamp(night.since, UTC),
        "until": datetime.fromtimestamp(night.until, UTC),
        "criteria": {c.name: f"{words[c.met]}: {c.evidence}" for c in night.criteria},
        "open_warnings": [f"{w.rule} {w.subject}: {w.summary}" for w in night.open_warnings],
        "incidents": len(night.incidents),
        "blind_minutes": night.blind_minutes,
    }


def no_answer(action: Action, why: str) -> Answer:
    """What is said where there is nothing to tell, so that nobody waits for it. `why` is a sentence."""
    return {"action": action, "status": "unknown", "says": why}
