"""When a report no longer tells of the present."""

from __future__ import annotations

from datetime import timedelta

from monitord.settings import Settings


def stale_after(settings: Settings) -> timedelta:
    """The age at which a report no longer tells of the present: a late cycle, and one interval more."""
    return max(3 * settings.check_interval, 2 * settings.probe_timeout) + settings.check_interval
