"""The snapshot: what the daemon holds, in SQLite, so that a kill at any moment loses at most the cycle in progress.

One writer on a thread of its own. A file that cannot be read is put aside, never thrown away; a disk that cannot be
written degrades the watch, and never stops it.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from monitord.core.codec import encode
from monitord.core.decide import State
from monitord.core.model import Observation, Transition
from monitord.core.replay import Recorder
from monitord.lanes import Lane
from monitord.store_commands import Waiting, strike
from monitord.store_commands import waiting as waiting_commands
from monitord.store_history import KEEP_TRANSITIONS, prune
from monitord.store_outbox import Queued, Told, put, remember_told, take_out, waiting
from monitord.store_reading import Snapshot, saved_state
from monitord.store_schema import FILE, MIGRATIONS, Unusable, version

T = TypeVar("T")

FRAMES_PER_WHOLE: Final = 120

_DISK_TROUBLE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    }
)


@dataclass(frozen=True, slots=True)
class Record:
    """What one cycle leaves behind. `report` is JSON-ready, as `check_completed` gives it.

    `queued` is what is now to be told, and `told` who has been told of what (None: as it was).
    `heard_through` is the number of the last command that the state has in it.
    """

    state: State
    observation: Observation
    report: Mapping[str, Any]
    transitions: Sequence[Transition] = ()
    queued: Sequence[Queued] = ()
    told: Told | None = None
    heard_through: int = 0


@dataclass(frozen=True, slots=True)
class SetAside:
    """A snapshot that could not be used: why, and the name it is kept under."""

    reason: str
    kept_as: str


class Store:
    """The one writer of `snapshot.db` in `directory`. Every call has a deadline in seconds.

    `problem` is None while saving works, else the sentence that says why it does not.
    """

    def __init__(self, directory: Path, *, migrations: Sequence[str] = MIGRATIONS) -> None:
        self.path = directory / FILE
        self.problem: str | None = None
        self.files = 0  # how many there were, one after the other: what stood in the last is not in this one
        self._migrations = migrations
        self._lane = Lane("snapshot")
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._recorder = Recorder()
        self._until_whole = 0
        self._closed = False
        self._loaded = False
        self._unsaved: tuple[Transition, ...] = ()
        self._heard_through = 0

    async def load(self, timeout: float) -> tuple[Snapshot, SetAside | None]:
        """The last snapshot, or an empty one where there is none or it had to be put aside (which is told).

        Never raises for what is wrong with the file or the disk: `problem` then says it, and the watch goes on.
        """
        try:
            snapshot, aside = await self._lane.run(self._load, timeout=timeout)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from being read, the watch goes on without it
            self.problem = f"its snapshot cannot be read: {error}"
            return Snapshot(State(), None), None
        self.problem = None
        return snapshot, aside

    async def hear(self, timeout: float) -> Waiting:
        """What operators have asked and no state that was given to `save` has in it; nothing where it cannot be read.

        Commands that stay unread are heard later: whether the file works, saving tells.
        """
        try:
            return await self._lane.run(self._hear, timeout=timeout)
        except Exception:  # noqa: BLE001 - see above
            return Waiting(through=self._heard_through)

    async def save(self, record: Record, timeout: float) -> SetAside | None:
        """Save a cycle, whole or not at all. `problem` tells whether it worked.

        Edges that could not be saved are saved with the next cycle: without its end an alert would seem to go on.
        """
        record = replace(record, transitions=(*self._unsaved, *record.transitions))
        self._heard_through = record.heard_through  # also if this fails: the state goes on in memory
        try:
            aside = await self._lane.run(self._save, record, timeout=timeout)
        except Exception as error:  # noqa: BLE001 - what was decided must be said, saved or not
            self.problem = f"its snapshot cannot be written: {error}"
            self._until_whole = 0  # whatever the file holds now, the next frame must not rest on this one
            self._unsaved = tuple(record.transitions)[-KEEP_TRANSITIONS:]
            return None
        self.problem, self._unsaved = None, ()
        return aside

    # The outbox between cycles. Raises whatever keeps it from being read or written: who asks has its own way on.

    async def waiting(self, timeout: float) -> tuple[tuple[Queued, ...], dict[str, tuple[str, ...]]]:
        """All that is still to be told, oldest first, and who was told of what."""
        return await self._lane.run(self._on_outbox, waiting, timeout=timeout)

    async def queue(self, rows: Sequence[Queued], timeout: float) -> None:
        """Add messages that no cycle brings."""
        await self._lane.run(self._on_outbox, lambda connection: put(connection, rows), timeout=timeout)

    async def delivered(self, channel: str, message_ids: Sequence[str], timeout: float) -> None:
        """Remove what a way out has taken."""
        await self._lane.run(
            self._on_outbox, lambda connection: take_out(connection, channel, message_ids), timeout=timeout
        )

    async def merge(self, channel: str, message_ids: Sequence[str], into: Queued, timeout: float) -> None:
        """Put one message in the place of several: all of it or nothing."""

        def replace_with(connection: sqlite3.Connection) -> None:
            take_out(connection, channel, message_ids)
            put(connection, (into,))

        await self._lane.run(self._on_outbox, replace_with, timeout=timeout)

    async def close(self, timeout: float) -> None:
        """Let go of the file; saved cycles stay. May be called again."""
        if self._closed:
            return
        self._closed = True
        with suppress(Exception):  # the end of the process lets go just as well
            await self._lane.run(self._disconnect, timeout=timeout)
        self._lane.close()

    # Everything below runs on the lane's thread.

    def _load(self) -> tuple[Snapshot, SetAside | None]:
        aside = self._connect()
        assert self._connection is not None  # noqa: S101 - _connect either sets it or raises
        try:
            snapshot = saved_state(self._connection)
        except (Unusable, sqlite3.Error) as error:
            if _is_disk_trouble(error):
                raise
            aside = self._put_aside(str(error))
            snapshot = Snapshot(State(), None)
        self._loaded = True
        return snapshot, aside

    def _hear(self) -> Waiting:
        if self._connection is None or self._replaced():
            return Waiting(through=self._heard_through)
        return waiting_commands(self._connection, self._heard_through)

    def _save(self, record: Record) -> SetAside | None:
        aside = None
        if self._connection is None or self._replaced():
            self._disconnect()
            self._until_whole = 0
            aside = self._connect()
        if not self._loaded:
            # What could not be read at the start is not ours to overwrite with a state that knows nothing of it.
            if aside is None and _holds_state(self._connection):
                aside = self._put_aside("it could not be read when monitord started")
            self._loaded = True
        try:
            self._write(record)
        except sqlite3.Error as error:
            if _is_disk_trouble(error):
                self._disconnect()  # a full or read-only disk: begin afresh at the next cycle
                raise
            aside = self._put_aside(str(error))
            self._until_whole = 0
            self._write(record)
        return aside

    def _on_outbox(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None or self._replaced():
            raise Unusable("the snapshot is not open")  # the next cycle opens it, and saves what is then to be told
        return _in_transaction(self._connection, work)

    def _connect(self) -> SetAside | None:
        """Open the file, bring its schema up to date; put it aside first where it is not one of ours."""
        try:
            self._open()
        except (Unusable, sqlite3.Error) as error:
            if _is_disk_trouble(error):
                self._disconnect()
                raise
            return self._put_aside(str(error))
        return None

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=2.0, isolation_level=None)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL a killed process loses nothing with NORMAL; only a power cut may lose the last cycles.
        connection.execute("PRAGMA synchronous = NORMAL")
        number = version(connection)
        if number > len(self._migrations):
            raise Unusable(f"it was written by a newer monitord (schema {number}, known {len(self._migrations)})")
        for following, script in enumerate(self._migrations[number:], number + 1):
            connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {following}; COMMIT;")
        inode = self.path.stat().st_ino
        if not number or inode != self._inode:  # another file numbers its commands anew; inodes are used again
            self._inode, self._heard_through = inode, 0
            self.files += 1

    def _replaced(self) -> bool:
        """Whether the open file is no longer the one at its path: SQLite would go on writing to nowhere."""
        try:
            return self.path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def _put_aside(self, reason: str) -> SetAside:
        self._disconnect()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        kept = self.path.with_name(f"{FILE}.corrupt-{stamp}")
        for number in range(1, 1000):
            if not kept.exists():
                break
            kept = self.path.with_name(f"{FILE}.corrupt-{stamp}-{number}")
        self.path.rename(kept)
        for suffix in ("-wal", "-shm"):  # a journal left behind would be played into the new file
            with suppress(FileNotFoundError):
                self.path.with_name(FILE + suffix).rename(kept.with_name(kept.name + suffix))
        self._open()
        return SetAside(reason, kept.name)

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with suppress(sqlite3.Error):
                connection.close()

    def _write(self, record: Record) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 - _save connects first
        whole = self._until_whole <= 0
        frame = self._recorder.frame(record.observation, whole=whole)
        self._until_whole = FRAMES_PER_WHOLE if whole else self._until_whole - 1
        at = record.observation.now.timestamp()

        def write(connection: sqlite3.Connection) -> None:
            parts = (
                *((field.name, encode(getattr(record.state, field.name))) for field in fields(State)),
                ("report", record.report),
            )
            connection.executemany(
                "INSERT INTO state (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body",
                [(name, _json(part)) for name, part in parts],
            )
            connection.executemany(
                # A save that came too late for its deadline may have been one all the same.
                "INSERT INTO transitions (at, edge, alert_id, body) SELECT :at, :edge, :id, :body WHERE NOT EXISTS "
                "(SELECT 1 FROM transitions WHERE alert_id = :id AND edge = :edge AND at = :at)",
                [
                    {"at": t.at.isoformat(), "edge": t.edge, "id": t.alert.id, "body": _json(encode(t))}
                    for t in record.transitions
                ],
            )
            strike(connection, record.heard_through)
            connection.execute(
                "INSERT INTO frames (at, whole, body) VALUES (?, ?, ?)",
                (at, whole, zlib.compress(_json(frame).encode(), 6)),
            )
            if whole:
                prune(connection, at)
            put(connection, record.queued)
            if record.told is not None:
                remember_told(connection, record.told)

        _in_transaction(connection, write)


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` does to the file, whole or not at all."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return result


def _is_disk_trouble(error: Exception) -> bool:
    """Whether an error is of the disk, its space or its permissions: time may mend it. All others are of the file."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DISK_TROUBLE


def _holds_state(connection: sqlite3.Connection | None) -> bool:
    return connection is not None and connection.execute("SELECT 1 FROM state LIMIT 1").fetchone() is not None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=encode)
