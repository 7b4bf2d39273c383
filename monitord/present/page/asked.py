"""What is asked of the page in words: how far back, and what is to be quiet. A mistake is a sentence."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from monitord import values
from monitord.core.model import Command, Silence
from monitord.core.rules import RULES
from monitord.crontab import normal

LONGEST_BACK: Final = timedelta(hours=48)
LONGEST_SILENCE: Final = timedelta(days=30)
RULE_NAMES: Final = tuple(sorted({spec.name for spec in RULES}))
FIELDS: Final = ("subject", "rule", "for", "every", "reason")
_DEFAULT_FOR: Final = "2h"
_LONGEST: Final = {"subject": 200, "rule": 100, "for": 40, "every": 100, "reason": 500}


class Mistake(ValueError):  # noqa: N818 - it is one of whoever asks
    """What was asked for cannot be; the message is a sentence."""


def back(text: str | None, default: timedelta) -> timedelta:
    """How far back to look: `12h`, `90m`; 48 hours at most, as no more is kept.

    Raises:
        Mistake: it is no such length.
    """
    if text is None or text == "":
        return default
    try:
        found = values.duration(text[: _LONGEST["for"]])
    except ValueError as error:
        raise Mistake(f"since: {error}.") from None
    if not timedelta(0) < found <= LONGEST_BACK:
        raise Mistake(f"since: {text[: _LONGEST['for']]!r} is not between nothing and 48h.")
    return found


def silence(fields: Mapping[str, Any], now: datetime) -> Command:
    """The command that begins a silence, from `subject`, `rule`, `for`, `every` and `reason`.

    Raises:
        Mistake: it says nothing that could be silenced, or not how.
    """
    for name in fields:
        if name not in FIELDS:
            raise Mistake(f"{name[:40]!r} is nothing that a silence has; it has {', '.join(FIELDS)}.")
    text = {name: _text(name, fields.get(name)) for name in FIELDS}
    if not text["subject"]:
        raise Mistake("subject: name what is to be quiet; * is the whole host.")
    if text["rule"] and text["rule"] not in RULE_NAMES:
        raise Mistake(f"rule: there is no rule {text['rule']!r}.")
    lasts = _lasts(text["for"] or _DEFAULT_FOR)
    every = text["every"]
    if every:
        try:
            normal(every)
        except ValueError as error:
            raise Mistake(f"every: {error}.") from None
    begun = Silence(
        id=secrets.token_hex(4),
        subject=text["subject"],
        since=now,
        until=None if every else now + lasts,
        rule=text["rule"],
        reason=text["reason"],
        every=every,
        lasts=lasts.total_seconds() if every else 0.0,
    )
    return Command("silence", now, silence=begun)


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Mistake(f"{name}: write it as a text.")
    found = value.strip()
    if len(found) > _LONGEST[name]:
        raise Mistake(f"{name}: {_LONGEST[name]} characters are enough.")
    if not found.isprintable():
        raise Mistake(f"{name}: write it on one line.")
    return found


def _lasts(text: str) -> timedelta:
    try:
        found = values.duration(text)
    except ValueError as error:
        raise Mistake(f"for: {error}.") from None
    if not timedelta(0) < found <= LONGEST_SILENCE:
        raise Mistake("for: a silence lasts longer than nothing and 30d at most.")
    return found
