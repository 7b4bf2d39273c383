"""When a report no longer tells of the present."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol


class CheckRhythm(Protocol):
    """How often there is a cycle, and how long a probe may take: of the settings, or of a daemon's record of them."""

    @property
    def check_interval(self) -> timedelta:
        """One cycle in so long."""

    @property
    def probe_timeout(self) -> timedelta:
        """The deadline of each probe."""


def stale_after(rhythm: CheckRhythm) -> timedelta:
    """The age at which a report no longer tells of the present: a late cycle, and one interval more."""
    return max(3 * rhythm.check_interval, 2 * rhythm.probe_timeout) + rhythm.check_interval
