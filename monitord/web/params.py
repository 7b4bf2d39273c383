"""What is asked of the page in words: how far back, and what is to be quiet. A mistake is a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from monitord.core import units
from monitord.core.alerting import commands
from monitord.core.model import Command

LONGEST_BACK: Final = timedelta(hours=48)
DEFAULT_SPAN: Final = timedelta(hours=12)
# The time ranges that the plots are drawn of.
RANGES: Final[dict[str, timedelta]] = {f"{hours}h": timedelta(hours=hours) for hours in (1, 6, 12, 24, 48)}
FIELDS: Final = ("subject", "rule", "for", "every", "reason")
# What is done about what was asked for, by the kind of it.
DONE: Final = {
    "silence": "It will be quiet with the next check.",
    "unsilence": "The silence ends with the next check.",
    "ack": "Acknowledged with the next check.",
    "check": "A check was asked for.",
}
_LONGEST: Final = {"subject": 200, "rule": 100, "for": 40, "every": 100, "reason": 500}


class ParameterError(ValueError):
    """The message is a sentence."""


def back(text: str | None, default: timedelta) -> timedelta:
    """`12h`, `90m`; 48 hours at most, as no more is kept."""
    if text is None or text == "":
        return default
    try:
        found = units.duration(text[: _LONGEST["for"]])
    except ValueError as error:
        raise ParameterError(f"since: {error}.") from None
    if not timedelta(0) < found <= LONGEST_BACK:
        raise ParameterError(f"since: {text[: _LONGEST['for']]!r} is not between nothing and 48h.")
    return found


def plotted(text: str | None) -> timedelta:
    """One of those that are offered, DEFAULT_SPAN where nobody asks for one."""
    if not text:
        return DEFAULT_SPAN
    if text not in RANGES:
        raise ParameterError(f"since: {text[: _LONGEST['for']]!r} is none of {', '.join(RANGES)}.")
    return RANGES[text]


def silence(fields: Mapping[str, object], now: datetime) -> Command:
    """The command that begins a silence, from the FIELDS."""
    for name in fields:
        if name not in FIELDS:
            raise ParameterError(f"{name[:40]!r} is nothing that a silence has; it has {', '.join(FIELDS)}.")
    text = {name: _text(name, fields.get(name)) for name in FIELDS}
    try:
        return commands.silence(
            now,
            text["subject"],
            rule=text["rule"],
            lasts=text["for"] or commands.DEFAULT_LENGTH,
            every=text["every"],
            reason=text["reason"],
        )
    except ValueError as error:  # as of the command line, where these are its words
        raise ParameterError(f"{str(error).removeprefix('--').replace('SUBJECT', 'subject')}.") from None


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ParameterError(f"{name}: write it as a text.")
    found = value.strip()
    if len(found) > _LONGEST[name]:
        raise ParameterError(f"{name}: {_LONGEST[name]} characters are enough.")
    if not found.isprintable():
        raise ParameterError(f"{name}: write it on one line.")
    return found
