"""What others may read of the snapshot while the daemon writes it: the state, the history, the edges. Writes nothing.

Damage is never passed over: a report without what could not be read would be another report.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from monitord.core.codec import decode, encode
from monitord.core.engine import State
from monitord.core.model import Observation, Transition
from monitord.core.orders import StandingOrders
from monitord.core.recording import replay
from monitord.core.status import build_report
from monitord.storage.schema import FILE, MIGRATIONS, UnusableSnapshot, version

# What text that is no longer as it was written makes of the code that reads it.
_DAMAGE = (sqlite3.Error, zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_WITH_FRAMES = 2
# The hour that runs, in the table of the state.
HOUR_PART: Final = "hour"


@dataclass(frozen=True, slots=True)
class Check:
    """Of the last check, what its status document has beside the state: who asked for it, when, and by what orders."""

    trigger: str
    at: datetime
    duration_ms: float
    orders: StandingOrders


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was last saved: the state, what is kept of the last check (None before any), and the hour that runs."""

    state: State
    kept: Mapping[str, object] | None = None
    hour: Mapping[str, object] | None = None

    def report(self) -> Mapping[str, object] | None:
        """The last status document, JSON-ready, as `check_completed` gives it: made here, where somebody asks for it.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: what is kept is of another shape.
        """
        if self.kept is None or "orders" not in self.kept:
            return self.kept  # a monitord of before kept the whole of it
        check = decode(Check, self.kept)
        report = build_report(self.state.history, self.state.alerts, check.orders, check.at)
        head = {"trigger": check.trigger, "at": check.at, "duration_ms": check.duration_ms}
        found: Mapping[str, object] = json.loads(json.dumps({**head, **report.as_fields()}, default=encode))
        return found


def read_snapshot(directory: Path) -> Snapshot | None:
    """What the daemon on `directory` last saved, without writing anything; None where there is nothing.

    Raises:
        Unusable: there is a file and it cannot be read.
    """
    with opened(directory, "snapshot") as connection:
        return None if connection is None else saved_state(connection)


def read_history(directory: Path, since: datetime) -> Iterator[Observation]:
    """The recorded observations from `since` on (from up to an hour or so before: frames rest on one another).

    Nothing comes where nothing is recorded.

    Raises:
        Unusable: there is a file and it cannot be read.
    """
    with opened(directory, "history") as connection:
        if connection is None or version(connection) < _WITH_FRAMES:
            return
        rows = connection.execute(
            "SELECT body FROM frames WHERE seq >= coalesce("
            "(SELECT max(seq) FROM frames WHERE whole AND at <= ?), (SELECT min(seq) FROM frames WHERE whole)"
            ") ORDER BY seq",
            (since.timestamp(),),
        )
        yield from replay(json.loads(zlib.decompress(body)) for (body,) in rows)


def recorded_span(directory: Path) -> tuple[datetime, datetime] | None:
    """The first and the last moment of the history; None where nothing is recorded.

    Raises:
        Unusable: there is a file and it cannot be read.
    """
    with opened(directory, "history") as connection:
        if connection is None or version(connection) < _WITH_FRAMES:
            return None
        ends = [
            connection.execute(f"SELECT at FROM frames ORDER BY seq {order} LIMIT 1").fetchone()  # noqa: S608 - ours
            for order in ("ASC", "DESC")
        ]
        if None in ends:
            return None
        first, last = (datetime.fromtimestamp(at, UTC) for (at,) in ends)
        return first, last


def read_transitions(directory: Path, since: datetime) -> list[Transition]:
    """The recorded edges from `since` on, in order, and all earlier ones of the alerts that lived at `since`.

    So whoever pairs a firing with its end finds the firing of an alert that began before: of each alert that is
    seen from `since` on, or that the saved state still holds.

    Raises:
        Unusable: there is a file and it cannot be read, or one edge in it.
    """
    with opened(directory, "record of alerts") as connection:
        if connection is None:
            return []
        since_text = since.astimezone(UTC).isoformat()  # as it is written: texts in UTC sort like the moments they say
        wanted = _held_alerts(connection)
        wanted.update(
            alert_id
            for (alert_id,) in connection.execute("SELECT alert_id FROM transitions WHERE at >= ?", (since_text,))
        )
        rows = connection.execute("SELECT alert_id, body FROM transitions ORDER BY seq")
        return [decode(Transition, json.loads(body)) for alert_id, body in rows if alert_id in wanted]


def saved_state(connection: sqlite3.Connection) -> Snapshot:
    """The snapshot in an open file.

    Raises:
        Unusable: what stands there does not fit.
        sqlite3.Error: as SQLite has it.
    """
    try:
        parts = {name: json.loads(body) for name, body in connection.execute("SELECT name, body FROM state")}
        state = decode(State, {field.name: parts[field.name] for field in fields(State) if field.name in parts})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnusableSnapshot(f"its content does not fit: {error}") from None
    return Snapshot(state, parts.get("report"), parts.get(HOUR_PART))


def _held_alerts(connection: sqlite3.Connection) -> set[str]:
    """The ids of the alerts in the saved state."""
    row = connection.execute("SELECT body FROM state WHERE name = 'alerts'").fetchone()
    return set() if row is None else {alert["id"] for alert in json.loads(row[0]).values()}


@contextmanager
def opened(directory: Path, what: str) -> Iterator[sqlite3.Connection | None]:
    """The file in `directory`, read-only; None where there is none, or one that was just made by a starting daemon."""
    path = directory / FILE
    if not path.exists():
        yield None
        return
    try:
        with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=2.0)) as connection:
            number = version(connection)
            if number > len(MIGRATIONS):
                raise UnusableSnapshot(f"the {what} at {path} was written by a newer monitord")
            yield connection if number else None
    except _DAMAGE as error:
        raise UnusableSnapshot(f"the {what} at {path} cannot be read: {error}") from None
