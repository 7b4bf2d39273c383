"""Quiet hours: when they begin, when they end, over midnight and over a change of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from monitord.config.routes import quiet_hours


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "moment", "end"),
    [
        ("22:00-07:00", "2025-11-05 21:59:59", None),
        ("22:00-07:00", "2025-11-05 22:00", "2025-11-06 07:00"),
        ("22:00-07:00", "2025-11-06 06:59:59", "2025-11-06 07:00"),
        ("22:00-07:00", "2025-11-06 07:00", None),
        ("1:00 - 2:30", "2025-11-05 02:29", "2025-11-05 02:30"),
        ("22:00-07:00 Europe/Berlin", "2025-11-05 21:00", "2025-11-06 06:00"),
        ("22:00-07:00 Europe/Berlin", "2025-11-05 06:30", None),
        # The night in which the clocks go back is an hour longer.
        ("22:00-07:00 Europe/Berlin", "2025-10-25 20:00", "2025-10-26 06:00"),
    ],
)
def test_a_moment_is_in_the_hours_or_not(written: str, moment: str, end: str | None) -> None:
    assert quiet_hours(written).ending(at(moment)) == (None if end is None else at(end))


@pytest.mark.parametrize(
    "written", ["", "nights", "22-7", "25:00-07:00", "22:00-07:61", "22:00-22:00", "22:00-07:00 Mars/Olympus"]
)
def test_what_is_no_such_time_is_said(written: str) -> None:
    with pytest.raises(ValueError, match=r"not written like|all day or never|no time zone"):
        quiet_hours(written)
