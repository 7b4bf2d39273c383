"""The one table of the snapshot that others than the daemon write to: operators' commands, until they are applied.

Whoever asks never makes a snapshot and never changes its form: that is the daemon's.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitord.core.codec import decode, encode
from monitord.core.model import Command
from monitord.storage.schema import FILE, MIGRATIONS, UnusableSnapshot, version

BUSY_SECONDS: Final = 5.0
# So many that wait are a daemon that does not run, and somebody who asks in a loop.
MOST_WAITING: Final = 1000
# The form of the snapshot that has the table.
_WITH_COMMANDS: Final = 3


class CommandsUnavailable(Exception):  # noqa: N818 - it names what cannot be done
    """There is no snapshot to ask through, or not one of this monitord: a sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class WaitingCommand:
    """The waiting commands, in the order they were made, and the number of the last of them."""

    commands: tuple[Command, ...] = ()
    through: int = 0


def ask(directory: Path, command: Command) -> None:
    """Leave a command for the daemon on `directory`, which applies it in its next cycle. May block for BUSY_SECONDS.

    Raises:
        CannotAsk: no daemon has run there yet, or one of another version.
        sqlite3.Error: the file cannot be written.
    """
    path = directory / FILE
    if not path.exists():
        raise CommandsUnavailable(f"no monitord has run on {directory} yet")
    uri = path.absolute().as_uri() + "?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        number = version(connection)
        if number < len(MIGRATIONS):
            raise CommandsUnavailable(
                f"the snapshot at {path} is an older monitord's; it is brought up to date by monitord run"
            )
        if number > len(MIGRATIONS):
            raise CommandsUnavailable(f"the snapshot at {path} was written by a newer monitord")
        connection.execute("BEGIN IMMEDIATE")  # ended by COMMIT, or by the connection's end
        (many,) = connection.execute("SELECT count(*) FROM commands").fetchone()
        if many >= MOST_WAITING:
            raise CommandsUnavailable(f"{many} commands wait on {directory} already, and no monitord applies them")
        body = json.dumps(encode(command), ensure_ascii=False, separators=(",", ":"))
        connection.execute("INSERT INTO commands (body) VALUES (?)", (body,))
        connection.execute("COMMIT")


def read_waiting(directory: Path) -> tuple[Command, ...]:
    """The commands on `directory` that no daemon has applied yet. Writes nothing.

    Raises:
        Unusable: there is a file and it cannot be read.
    """
    path = directory / FILE
    if not path.exists():
        return ()
    try:
        with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=2.0)) as connection:
            return waiting(connection).commands if version(connection) >= _WITH_COMMANDS else ()
    except sqlite3.Error as error:
        raise UnusableSnapshot(f"the snapshot at {path} cannot be read: {error}") from None


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
