"""The wall clock and the seconds since the boot, read at one moment."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

# CLOCK_BOOTTIME goes on while the machine is suspended; where there is none, monotonic time is what there is.
_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)
_APART_SECONDS = 0.1


def _boot() -> str:
    """What identifies this boot; where the kernel does not show it, this process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() if _CLOCK is not None else ""
    except (OSError, ValueError):
        boot = ""
    return boot or uuid.uuid4().hex


BOOT = _boot()


def lived_seconds() -> float:
    """The seconds since the boot, or since some other moment that stays."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


def both_clocks() -> tuple[datetime, float | None]:
    """The wall clock (UTC) and `lived_seconds`; None where the process was held up between the two, three times."""
    now = datetime.now(UTC)
    for _ in range(3):
        before = lived_seconds()
        now = datetime.now(UTC)
        after = lived_seconds()
        if after - before < _APART_SECONDS:
            return now, (before + after) / 2
    return now, None
