"""The outbox as tables: what is still to be delivered, by channel, and which channels were notified of what.

Under one channel and one id a message is written once. What changes the tables does so in the caller's transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from monitord.storage.schema import PUT_PART

NotifiedChannels = Mapping[str, tuple[str, ...]]
"""Which channels have been notified of an alert: their names by its id."""

_NOTIFIED: Final = "told"


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One message for one channel. `due` (Unix seconds) is before when it is not to be sent; 0: at once."""

    channel: str
    message_id: str
    due: float
    body: str


def put(connection: sqlite3.Connection, rows: Iterable[OutboxEntry]) -> None:
    connection.executemany(
        "INSERT INTO outbox (channel, message_id, due, body) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (channel, message_id) DO NOTHING",
        [(row.channel, row.message_id, row.due, row.body) for row in rows],
    )


def take_out(connection: sqlite3.Connection, channel: str, message_ids: Iterable[str]) -> None:
    """Remove messages: they were delivered, or stand in another one."""
    connection.executemany(
        "DELETE FROM outbox WHERE channel = ? AND message_id = ?", [(channel, each) for each in message_ids]
    )


def remember_notified(connection: sqlite3.Connection, notified: NotifiedChannels) -> None:
    kept = {alert_id: list(channels) for alert_id, channels in notified.items()}
    connection.execute(PUT_PART, (_NOTIFIED, json.dumps(kept)))


def waiting(connection: sqlite3.Connection) -> tuple[tuple[OutboxEntry, ...], dict[str, tuple[str, ...]]]:
    """All that is still to be delivered, oldest first, and which channels were notified of what."""
    rows = connection.execute("SELECT channel, message_id, due, body FROM outbox ORDER BY seq").fetchall()
    kept = connection.execute("SELECT body FROM state WHERE name = ?", (_NOTIFIED,)).fetchone()
    notified = {} if kept is None else {str(key): tuple(map(str, names)) for key, names in json.loads(kept[0]).items()}
    return tuple(OutboxEntry(*row) for row in rows), notified
