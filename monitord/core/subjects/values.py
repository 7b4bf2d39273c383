"""Judgement of what the operator asks Postgres: a number past its limit, or data that is too old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from monitord.core import humanize
from monitord.core.model import Finding, Kind
from monitord.core.subjects.base import Impact, Rule
from monitord.core.subjects.check_rules import PROBE, JudgedCheck, blocks_users, evaluated, said, value_now
from monitord.core.subjects.checks_report import CHECKS_MET

TYPES: Final = ("sql", "freshness")
# By how much the newest of all moments lies in the future.
AHEAD: Final = "check_ahead"
# What to do where a statement, or the newest of a column, has no answer to be judged.
_CORRECT: Final = "in its table of monitord.toml, or in MONITORD_CHECKS"
ADVICE: Final[Mapping[Kind, str]] = {
    "missing": f"Nothing is found where it asks: create or fill that, or correct what it asks {_CORRECT}.",
    "permission": "Let monitord's role read what it asks for (GRANT SELECT), or ask for something else.",
    "protocol": "It must find one row that begins with a number, or for freshness with a moment that is not of the "
    f"future: correct it {_CORRECT}.",
    "timeout": "Check for a lock, and for an index that it needs (EXPLAIN), or give it a longer timeout.",
}
_RUNBOOK: Final = (
    "SELECT 1",
    "SELECT pid, state, wait_event_type, xact_start FROM pg_stat_activity ORDER BY xact_start LIMIT 10",
    "monitord check",
)


def value_out_of_range(check: JudgedCheck) -> Finding | None:
    """A number that is past its limit."""
    if (past := check.past()) is None:
        return None
    severity, limit, value = past
    return check.finding(
        "value_out_of_range",
        severity,
        f"{check.name} is {said(value, check.unit)}; it is {severity} when {limit}.",
        value=value,
        limit=limit.value if limit.is_one_sided else str(limit),
        unit=check.unit,
        recommendation="Run its statement by hand, and check the rows that it counts.",
    )


def data_stale(check: JudgedCheck) -> Finding | None:
    """Data whose newest is older than it may be."""
    if (past := check.past()) is None:
        return None
    severity, limit, value = past
    ahead = check.number(AHEAD)
    passed_over = (
        f" What lies in the future, up to {humanize.duration(ahead)} ahead, is passed over."
        if ahead is not None
        else ""
    )
    return check.finding(
        "data_stale",
        severity,
        f"The newest data of {check.name} is {humanize.duration(value)} old; "
        f"the limit is {humanize.duration(limit.value)}.{passed_over}",
        value=int(value),
        limit=int(limit.value),
        unit="seconds",
        evidence={} if ahead is None else {"ahead_seconds": int(ahead)},
        recommendation="Check whatever writes it: does it run, and does it write?",
        began=check.now - value + limit.value,
    )


VALUE, _value = evaluated("value_out_of_range", value_out_of_range, "sql")
STALE, _stale = evaluated("data_stale", data_stale, "freshness")
JUDGES: Final = (VALUE, STALE)
VALUE_OUT_OF_RANGE = Rule(
    name="value_out_of_range",
    probe=PROBE,
    severities=("warning", "critical"),
    evaluate=_value,
    runbook=_RUNBOOK,
    impact=Impact(lambda alert, _: f"whoever relies on {alert.subject}"),
    blocking=blocks_users,
    recovered=lambda alert, at: f"{alert.subject} is within its limits again{value_now(alert, at)}.",
    criterion=CHECKS_MET.name,
)
DATA_STALE = Rule(
    name="data_stale",
    probe=PROBE,
    severities=("warning", "critical"),
    evaluate=_stale,
    runbook=_RUNBOOK,
    impact=Impact(lambda alert, _: f"whoever reads the data of {alert.subject} reads old data"),
    blocking=blocks_users,
    recovered=lambda alert, at: f"{alert.subject} has newer data again{value_now(alert, at)}.",
    criterion=CHECKS_MET.name,
)
RULES: Final = (VALUE_OUT_OF_RANGE, DATA_STALE)
