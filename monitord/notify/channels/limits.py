"""A receiver's rate limits: for how long it asks not to be called."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

# HTTP: the receiver limits how many messages it accepts.
TOO_MANY: Final = 429
# Whoever asks for more is tried again all the same: an alert that waits longer than that is of no use.
LONGEST_WAIT_SECONDS: Final = 3600.0
# Too many requests, and a service that is away for a while.
_LIMITED: Final = (TOO_MANY, 503)


def retry_after(status: int, headers: Mapping[str, str]) -> float | None:
    """For how many seconds the receiver asks to be left alone, at most an hour; None where it does not say.

    `Retry-After` is seconds or a date, which is taken against the receiver's own clock where it gives that.
    """
    if status not in _LIMITED:
        return None
    written = headers.get("Retry-After", "").strip()
    if written.isascii() and written.isdecimal():
        seconds = float(written[:10])
    else:
        until = _date(written)
        if until is None:
            return None
        seconds = (until - (_date(headers.get("Date", "")) or datetime.now(UTC))).total_seconds()
    return min(max(0.0, seconds), LONGEST_WAIT_SECONDS)


def _date(written: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(written)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
