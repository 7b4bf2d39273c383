"""What others may read of the snapshot while the daemon writes it: the state, the history, the edges. Writes nothing.

Damage is never passed over: what is given a directory raises UnusableSnapshot where a part of the file that was asked
for cannot be read.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from monitord.core.alerting.incidents import Incident, incidents
from monitord.core.codec import decode, encode
from monitord.core.engine import State
from monitord.core.folding import Fold
from monitord.core.model import Alert, Observation, Transition
from monitord.core.orders import StandingOrders
from monitord.core.recording import Replayer, replay
from monitord.core.rollups import RunningHour
from monitord.core.status import build_report
from monitord.storage.damage import written_state
from monitord.storage.frames import Unpacker
from monitord.storage.schema import DAMAGE, DamagedSnapshot, UnusableSnapshot, opened

_WITH_FRAMES = 2
# What is written with the state: the hour that runs, the last check, and the orders where they are not those of it.
HOUR_PART: Final = "hour"
CHECK_PART: Final = "report"
ORDERS_PART: Final = "orders"


@dataclass(frozen=True, slots=True)
class CheckRun:
    """Of the last check, what its status document has beside the state: who asked for it, when, and by what orders."""

    trigger: str
    at: datetime
    duration_ms: float
    orders: StandingOrders


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was last saved: the state, what is kept of the last check (None before any), and the hour that runs.

    `broken` is the number of the first cycle that cannot be read (None: each could be), and `why` what is wrong.
    """

    state: State
    kept: Mapping[str, object] | CheckRun | None = None
    hour: Mapping[str, object] | None = None
    broken: int | None = None
    why: str = ""

    def report(self) -> Mapping[str, object] | None:
        """The last status document, JSON-ready, as `check_completed` gives it; DAMAGE where it is of another shape."""
        if isinstance(self.kept, CheckRun):
            check = self.kept
        elif self.kept is None or "orders" not in self.kept:
            return self.kept  # a monitord of before kept the whole of it
        else:
            check = decode(CheckRun, self.kept)
        report = build_report(self.state.history, self.state.alerts, check.orders, check.at)
        head = {"trigger": check.trigger, "at": check.at, "duration_ms": check.duration_ms}
        found: Mapping[str, object] = json.loads(json.dumps({**head, **report.as_fields()}, default=encode))
        return found


def read_snapshot(directory: Path) -> Snapshot | None:
    """What the daemon on `directory` last saved, without writing anything; None where there is nothing."""
    with opened(directory, "snapshot") as connection:
        if connection is None:
            return None
        connection.execute("BEGIN")  # what the daemon saves meanwhile is not seen by half
        try:
            snapshot = saved_state(connection)
        except UnusableSnapshot as error:
            raise DamagedSnapshot(f"the snapshot in {directory} cannot be read: {error}") from None
        if snapshot.broken is not None:
            raise DamagedSnapshot(f"the snapshot in {directory} cannot be read: {snapshot.why}")
        return snapshot


def read_history(directory: Path, since: datetime) -> Iterator[Observation]:
    """The recorded observations from `since` on (from up to an hour or so before: frames rest on one another)."""
    with opened(directory, "history", _WITH_FRAMES) as connection:
        if connection is None:
            return
        rows = connection.execute(
            "SELECT body FROM frames WHERE seq >= coalesce("
            "(SELECT max(seq) FROM frames WHERE whole AND at <= ?), (SELECT min(seq) FROM frames WHERE whole)"
            ") ORDER BY seq",
            (since.timestamp(),),
        )
        unpacker = Unpacker()
        yield from replay(json.loads(unpacker.text(body)) for (body,) in rows)


def recorded_span(directory: Path) -> tuple[datetime, datetime] | None:
    """The first and the last moment of the history; None where nothing is recorded."""
    with opened(directory, "history", _WITH_FRAMES) as connection:
        if connection is None:
            return None
        ends = connection.execute(
            "SELECT a.at, b.at FROM (SELECT at FROM frames ORDER BY seq LIMIT 1) a, "
            "(SELECT at FROM frames ORDER BY seq DESC LIMIT 1) b"
        ).fetchone()
        return None if ends is None else (datetime.fromtimestamp(ends[0], UTC), datetime.fromtimestamp(ends[1], UTC))


def read_transitions(directory: Path, since: datetime) -> list[Transition]:
    """The recorded edges, in order, of each alert that has one from `since` on or that the saved state still holds.

    So whoever pairs a firing with its end finds the firing of an alert that began before.
    """
    with opened(directory, "record of alerts") as connection:
        if connection is None:
            return []
        since_text = since.astimezone(UTC).isoformat()  # as it is written: texts in UTC sort like the moments they say
        # Alerts that cycles since the saved state have added have their edges past it.
        wanted = {alert["id"] for alert in _written(connection)[0].get("alerts", {}).values()}
        late = connection.execute("SELECT alert_id FROM transitions WHERE at >= ?", (since_text,))
        wanted.update(alert_id for (alert_id,) in late)
        rows = connection.execute("SELECT alert_id, body FROM transitions ORDER BY seq")
        return [decode(Transition, json.loads(body)) for alert_id, body in rows if alert_id in wanted]


def read_incidents(directory: Path, since: datetime, living: Collection[Alert] | None = None) -> tuple[Incident, ...]:
    """The incidents that lived since then; `living` are the alerts of the last cycle (None: those that were saved)."""
    if living is None:
        snapshot = read_snapshot(directory)
        living = () if snapshot is None else snapshot.state.alerts.values()
    found = incidents(read_transitions(directory, since), living)
    return tuple(one for one in found if one.ended_at is None or one.ended_at >= since)


def saved_state(connection: sqlite3.Connection, *, with_hour: bool = False) -> Snapshot:
    """The snapshot in an open file: the state as it was last written whole, and every cycle since judged again.

    The hour that runs is that of the last cycle where it is asked for, else that of the state as it was written.
    """
    try:
        parts, through = _written(connection)
        state = decode(State, {field.name: parts[field.name] for field in fields(State) if field.name in parts})
        snapshot = Snapshot(state, parts.get(CHECK_PART), parts.get(HOUR_PART))
        if through is None or not connection.execute("SELECT 1 FROM frames WHERE seq > ?", (through,)).fetchone():
            return snapshot
        given = parts.get(ORDERS_PART) or parts[CHECK_PART]["orders"]
        hour = RunningHour(snapshot.hour) if with_hour else None
        return _folded(connection, snapshot, through, decode(StandingOrders, given), hour)
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UnusableSnapshot(f"its content does not fit: {error}") from None


def _written(connection: sqlite3.Connection) -> tuple[Mapping[str, Any], int | None]:
    """The parts of the state as they were last written, and the number of the cycle that they are of.

    None: a monitord of before was the last to write; it wrote each part as a text of its own, in every cycle.
    """
    parts = {name: json.loads(body) for name, body in connection.execute("SELECT name, body FROM state")}
    if "history" in parts or (whole := written_state(connection)) is None:
        return parts, None
    through, body = whole
    found = json.loads(body)
    return found | found["state"], through


def _folded(
    connection: sqlite3.Connection, snapshot: Snapshot, through: int, orders: StandingOrders, hour: RunningHour | None
) -> Snapshot:
    """The snapshot moved on by the cycles past the number `through`, as far as they can be read."""
    rows = connection.execute(
        "SELECT seq, body FROM frames WHERE seq >= (SELECT max(seq) FROM frames WHERE whole AND seq <= ?) ORDER BY seq",
        (through,),
    )
    fold, replayer, check = Fold(snapshot.state, orders, hour), Replayer(), snapshot.kept
    unpacker, broken, why = Unpacker(), None, ""
    for seq, body in rows:
        try:
            frame = json.loads(unpacker.text(body))
            observation = replayer.observation(frame)
        except DAMAGE as error:
            broken, why = seq, f"cycle {seq} of its history is damaged ({error})"
            break
        if seq <= through:
            continue
        if not fold.add(observation) or fold.decision is None:
            break
        check = CheckRun(
            frame.get("trigger", "schedule"), observation.now, frame.get("took", 0.0), fold.decision.orders
        )
    return Snapshot(fold.state, check, snapshot.hour if hour is None else hour.fields(), broken, why)
