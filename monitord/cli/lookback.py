"""What the commands that look back share: how far back is asked for, and how far they have come."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from monitord.cli.base import note
from monitord.core import humanize, units
from monitord.core.model import Observation
from monitord.reporting.terminal import clean

UNREADABLE: Final = 3
_PROGRESS_SECONDS: Final = 0.1
_PROGRESS_WIDTH: Final = 60


def length(since: str) -> timedelta | None:
    """How far back `--since` asks to look; None, with a line on stderr, where it is no such length."""
    try:
        found = units.duration(since)
        if not found:
            raise ValueError("it must be longer than nothing")
    except ValueError as error:
        note(f"--since: {clean(str(error))}")
        return None
    return found


def with_progress(
    observations: Iterable[Observation], begin: datetime, end: datetime, doing: str
) -> Iterable[Observation]:
    """The observations; where stderr is a terminal, a line there says how far they have come while they pass."""
    return _counted(observations, begin, end, doing) if sys.stderr.isatty() else observations


def _counted(observations: Iterable[Observation], begin: datetime, end: datetime, doing: str) -> Iterator[Observation]:
    total = humanize.duration(_minutes(end - begin))
    due = time.monotonic() + _PROGRESS_SECONDS
    try:
        for observation in observations:
            if (now := time.monotonic()) >= due:
                due = now + _PROGRESS_SECONDS
                done = humanize.duration(_minutes(observation.now - begin))
                sys.stderr.write("\r" + f"{doing} {done} of {total}".ljust(_PROGRESS_WIDTH))
                sys.stderr.flush()
            yield observation
    finally:
        sys.stderr.write("\r" + " " * _PROGRESS_WIDTH + "\r")
        sys.stderr.flush()


def _minutes(length: timedelta) -> float:
    """Whole minutes, in seconds, so that the line does not flicker."""
    return max(0.0, length.total_seconds() // 60 * 60)
