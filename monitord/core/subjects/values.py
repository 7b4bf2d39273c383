"""Judgement of what the operator asks: of Postgres a number past its limit, or data too old; what a plugin says."""

from collections.abc import Mapping
from typing import Final, Literal, get_args

from monitord.core import humanize
from monitord.core.model import Finding, Kind
from monitord.core.subjects.base import Impact
from monitord.core.subjects.check_rules import JudgedCheck, blocks_users, check_rule, value_now, with_unit

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
PLUGINS: Final = ("command",)
# What a plugin has found, and says in its first line; and one of its numbers by its label.
STATE, TEXT, PERFDATA = "check_state", "check_text", "check_perfdata"
# What to do where it cannot be run, or ends otherwise than a plugin that knows.
_BY_HAND: Final = "Run its command by hand, as monitord's user"
PLUGIN_ADVICE: Final[Mapping[Kind, str]] = {
    "missing": "Its program, or one that it needs, is not there: install it, or correct its command.",
    "permission": "Let monitord's user run it, or correct its command.",
    "protocol": f"{_BY_HAND}: why does it not know, or fail?",
    "timeout": f"{_BY_HAND}: what does it wait for? Or give it a longer timeout.",
    "internal": f"{_BY_HAND}. Where it was killed, the kernel's log says whether memory was short.",
}
_Found = Literal["warning", "critical"]


def value_out_of_range(check: JudgedCheck) -> Finding | None:
    """A number that is past its limit."""
    if (past := check.past()) is None:
        return None
    severity, limit, value = past
    summary = f"{check.name} is {with_unit(value, check.unit)}; it is {severity} when {limit}."
    advice = "Run its statement by hand, and check the rows that it counts."
    bound = limit.value if limit.is_one_sided else str(limit)
    return check.finding("value_out_of_range", severity, value, bound, check.unit, summary, recommendation=advice)


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
    summary = (
        f"The newest data of {check.name} is {humanize.duration(value)} old; "
        f"the limit is {humanize.duration(limit.value)}.{passed_over}"
    )
    evidence = {} if ahead is None else {"ahead_seconds": int(ahead)}
    advice, began = "Check whatever writes it: does it run, and does it write?", check.now - value + limit.value
    return check.finding(
        "data_stale", severity, int(value), int(limit.value), "seconds", summary, evidence, advice, began
    )


def command_failed(check: JudgedCheck) -> Finding | None:
    """A plugin that says that something is wrong."""
    state = check.word(STATE)
    if state not in get_args(_Found):
        return None
    text = check.word(TEXT).rstrip(".")
    severity: _Found = "critical" if state == "critical" else "warning"
    summary = f"{check.name} is {state}{f': {text}' if text else ', and says nothing more'}."
    advice = "Run its command by hand, as monitord's user: it says more than its first line."
    return check.finding("command_failed", severity, state, "ok", "", summary, recommendation=advice)


VALUE_OUT_OF_RANGE = check_rule(
    value_out_of_range,
    "sql",
    runbook=_RUNBOOK,
    impact=Impact(lambda alert, _: f"whoever relies on {alert.subject}"),
    blocking=blocks_users,
    recovered=lambda alert, at: f"{alert.subject} is within its limits again{value_now(alert, at)}.",
)
DATA_STALE = check_rule(
    data_stale,
    "freshness",
    runbook=_RUNBOOK,
    impact=Impact(lambda alert, _: f"whoever reads the data of {alert.subject} reads old data"),
    blocking=blocks_users,
    recovered=lambda alert, at: f"{alert.subject} has newer data again{value_now(alert, at)}.",
)
COMMAND_FAILED = check_rule(
    command_failed,
    *PLUGINS,
    runbook=("monitord config", "monitord check", "df -h"),
    impact=Impact(lambda alert, _: f"what {alert.subject} checks is not as it should be"),
    blocking=blocks_users,
    recovered=lambda alert, _: f"{alert.subject} is ok again.",
)
RULES: Final = (VALUE_OUT_OF_RANGE, DATA_STALE)
