"""How a night's file writes times and amounts. Readers raise ValueError with a sentence."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import get_args

from monitord.core import units
from monitord.core.model import Kind

_CLOCK = re.compile(r"(\d{2}):(\d{2})(?::(\d{2}))?")
_RATE = re.compile(r"([\d_]+(?:\.\d+)?)(/.+)")
_PER = {"/s": "1s", "/min": "1m", "/h": "1h"}


def seconds(text: str) -> float:
    """`90s`, `15m`, `1h30m`, in seconds."""
    return units.duration(text).total_seconds()


def signed_seconds(text: str) -> float:
    """`+1h`, `-1h`, in seconds."""
    if text[:1] not in ("+", "-"):
        raise ValueError(f"{text!r} does not say which way; write +1h or -1h")
    return seconds(text[1:]) * (-1 if text[0] == "-" else 1)


def moment(text: str, start: datetime) -> float:
    """`+10m`, `-2d` (in the past) or `06:15` (the next after the start, UTC), in seconds since the start."""
    if text.startswith(("+", "-")):
        return signed_seconds(text)
    return (clock(text, start) - start).total_seconds()


def clock(text: str, after: datetime) -> datetime:
    """The next moment, or this one, at which the clock says `06:15` or `06:15:30` (UTC)."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time; write +10m since the start, or 06:15")
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{text!r} is no time of day")
    then = after.replace(hour=hour, minute=minute, second=second, microsecond=0)
    return then if then >= after else then + timedelta(days=1)


def start(text: str) -> datetime:
    """`2025-11-05 03:57`, UTC."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{text!r} is no moment; write 2025-11-05 03:57") from None


def rate(text: str) -> float:
    """`12/s`, `42_000/h`, `1_000_000/2h`, per second."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no rate; write 12/s or 42_000/h")
    return float(match[1]) / seconds(_PER.get(match[2], match[2][1:]))


def kind(text: str) -> Kind:
    """A kind of failure."""
    for known in get_args(Kind):
        if text == known:
            return known  # type: ignore[no-any-return] # one of the Kinds, which get_args does not say
    raise ValueError(f"{text!r} is no kind of failure; there are {', '.join(get_args(Kind))}")
