"""Judgement of Nagios plugins: what one has found is what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from monitord.core.model import Finding, Kind
from monitord.core.subjects.base import Impact, Rule
from monitord.core.subjects.check_rules import PROBE, JudgedCheck, blocks_users, evaluated
from monitord.core.subjects.checks_report import CHECKS_MET

TYPES: Final = ("command",)
# What a plugin has found, and says in its first line; and one of its numbers by its label.
STATE, TEXT, PERFDATA = "check_state", "check_text", "check_perfdata"
# What to do where it cannot be run, or ends otherwise than a plugin that knows.
_BY_HAND: Final = "Run its command by hand, as monitord's user"
ADVICE: Final[Mapping[Kind, str]] = {
    "missing": "Its program, or one that it needs, is not there: install it, or correct its command.",
    "permission": "Let monitord's user run it, or correct its command.",
    "protocol": f"{_BY_HAND}: why does it not know, or fail?",
    "timeout": f"{_BY_HAND}: what does it wait for? Or give it a longer timeout.",
    "internal": f"{_BY_HAND}. Where it was killed, the kernel's log says whether memory was short.",
}
_Found = Literal["warning", "critical"]


def command_failed(check: JudgedCheck) -> Finding | None:
    """A plugin that says that something is wrong."""
    state = check.word(STATE)
    if state not in get_args(_Found):
        return None
    text = check.word(TEXT).rstrip(".")
    severity: _Found = "critical" if state == "critical" else "warning"
    return check.finding(
        "command_failed",
        severity,
        f"{check.name} is {state}{f': {text}' if text else ', and says nothing more'}.",
        value=state,
        limit="ok",
        recommendation="Run its command by hand, as monitord's user: it says more than its first line.",
    )


COMMAND, _failed = evaluated("command_failed", command_failed, *TYPES)
JUDGES: Final = (COMMAND,)
COMMAND_FAILED = Rule(
    name="command_failed",
    probe=PROBE,
    severities=("warning", "critical"),
    evaluate=_failed,
    runbook=("monitord config", "monitord check", "df -h"),
    impact=Impact(lambda alert, _: f"what {alert.subject} checks is not as it should be"),
    blocking=blocks_users,
    recovered=lambda alert, _: f"{alert.subject} is ok again.",
    criterion=CHECKS_MET.name,
)
RULES: Final = (COMMAND_FAILED,)
