"""Operators' commands in the snapshot, which others than the daemon leave there, until they are applied."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitord.core.codec import decode, encode
from monitord.core.model import Command
from monitord.storage.schema import SnapshotUnavailable, left_in, opened

BUSY_SECONDS: Final = 5.0
# So many that wait are a daemon that does not run, and somebody who asks in a loop.
MOST_WAITING: Final = 1000
# The form of the snapshot that has the table.
_WITH_COMMANDS: Final = 3


@dataclass(frozen=True, slots=True)
class WaitingCommand:
    """The waiting commands, in the order they were made, and the number of the last of them."""

    commands: tuple[Command, ...] = ()
    through: int = 0


def ask(directory: Path, command: Command) -> None:
    """Leave a command for the daemon on `directory`, which applies it in its next cycle. May block for BUSY_SECONDS.

    Raises:
        SnapshotUnavailable: no daemon has run there yet, one of another version, or none that applies what is left.
        sqlite3.Error: the file cannot be written.
    """
    with left_in(directory, BUSY_SECONDS) as connection:
        (many,) = connection.execute("SELECT count(*) FROM commands").fetchone()
        if many >= MOST_WAITING:
            raise SnapshotUnavailable(f"{many} commands wait on {directory} already, and no monitord applies them")
        body = json.dumps(encode(command), ensure_ascii=False, separators=(",", ":"))
        connection.execute("INSERT INTO commands (body) VALUES (?)", (body,))


def read_waiting(directory: Path) -> tuple[Command, ...]:
    """The commands on `directory` that no daemon has applied yet. Writes nothing.

    Raises:
        UnusableSnapshot: there is a file and it cannot be read.
    """
    with opened(directory, "snapshot", _WITH_COMMANDS) as connection:
        return () if connection is None else waiting(connection).commands


def waiting(connection: sqlite3.Connection, after: int = 0) -> WaitingCommand:
    """The commands past the number `after`. What is no command of this version counts as applied."""
    commands: list[Command] = []
    through = after
    for number, body in connection.execute("SELECT seq, body FROM commands WHERE seq > ? ORDER BY seq", (after,)):
        through = number
        try:
            commands.append(decode(Command, json.loads(body)))
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return WaitingCommand(tuple(commands), through)


def strike(connection: sqlite3.Connection, through: int) -> None:
    """Deletes the applied commands, in the transaction of the state that has them."""
    if through:
        connection.execute("DELETE FROM commands WHERE seq <= ?", (through,))
