"""The hourly roll-ups in the snapshot: written once an hour, kept for 400 days, read by the day."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from monitord.core.rollups import SERIES_AT_MOST
from monitord.core.series import HOUR, Rollup
from monitord.storage.schema import opened

KEEP_ROLLUPS: Final = timedelta(days=400)
# Of hours that could not be saved as many rows wait for a disk that can be written again.
UNSAVED_AT_MOST: Final = 12 * SERIES_AT_MOST
_WITH_ROLLUPS: Final = 5
_HOURS_A_DAY: Final = 24


def put_rollups(connection: sqlite3.Connection, rows: Sequence[Rollup]) -> None:
    """Add rows in the caller's transaction; of an hour that a clock brought again, that of more readings stays."""
    connection.executemany(
        "INSERT INTO rollup_series (name, member, last) VALUES (?, ?, ?) "
        "ON CONFLICT (name, member) DO UPDATE SET last = max(last, excluded.last)",
        [(row.series, row.member, row.start // HOUR) for row in rows],
    )
    connection.executemany(
        "INSERT INTO rollups SELECT ?, id, ?, ?, ?, ?, ?, ?, ?, ? FROM rollup_series WHERE name = ? AND member = ? "
        "ON CONFLICT (hour, series) DO UPDATE SET readings = excluded.readings, least = excluded.least, "
        "mean = excluded.mean, most = excluded.most, up = excluded.up, down = excluded.down, blind = excluded.blind, "
        "gained = excluded.gained WHERE excluded.readings > readings",
        [
            (
                *(row.start // HOUR, row.readings, _short(row.least), _short(row.mean), _short(row.most)),
                *(row.up, row.down, row.blind, _short(row.gained), row.series, row.member),
            )
            for row in rows
        ],
    )


def prune_rollups(connection: sqlite3.Connection, now: float) -> None:
    """Drop what is older than 400 days as of `now` (Unix seconds), in the caller's transaction."""
    before = int(now - KEEP_ROLLUPS.total_seconds()) // HOUR
    connection.execute("DELETE FROM rollups WHERE hour < ?", (before,))
    connection.execute("DELETE FROM rollup_series WHERE last < ?", (before,))


def read_rollups(directory: Path, since: datetime, until: datetime) -> list[Rollup]:
    """What each series came to on each day (UTC) of the hours that begin from `since` on and before `until`."""
    with opened(directory, "record by the hour", _WITH_ROLLUPS) as connection:
        if connection is None:
            return []
        return list(_days(connection, -int(-since.timestamp() // HOUR), -int(-until.timestamp() // HOUR)))


def first_hour(directory: Path) -> int | None:
    """When the first hour that is kept begins (Unix seconds), None where none is."""
    with opened(directory, "record by the hour", _WITH_ROLLUPS) as connection:
        if connection is None:
            return None
        (hour,) = connection.execute("SELECT min(hour) FROM rollups").fetchone()
        return None if hour is None else int(hour) * HOUR


def _days(connection: sqlite3.Connection, first: int, end: int) -> Iterator[Rollup]:
    names = {
        key: (name, member) for key, name, member in connection.execute("SELECT id, name, member FROM rollup_series")
    }
    rows = connection.execute(
        "SELECT hour / ? AS day, series, sum(readings), min(least), sum(mean * readings) * 1.0 / sum(readings), "
        "max(most), sum(up), sum(down), sum(blind), sum(gained), count(*) FROM rollups "
        "WHERE hour >= ? AND hour < ? GROUP BY day, series",
        (_HOURS_A_DAY, first, end),
    )
    for day, series, *numbers in rows:
        yield Rollup(max(day * _HOURS_A_DAY, first) * HOUR, *names[series], *numbers)


def _short(value: float | None) -> float | int | None:
    """A number in as few bytes as it is worth: whole from 1,000 on, else in four digits after the point."""
    if value is None:
        return None
    rounded = round(value) if abs(value) >= 1000 else round(value, 4)
    return int(rounded) if rounded == int(rounded) else rounded
