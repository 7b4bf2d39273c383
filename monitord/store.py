"""The snapshot: what the daemon holds, in SQLite, so that a kill at any moment loses at most the cycle in progress.

One writer on a thread of its own. A file that cannot be read is put aside, never thrown away; a disk that cannot be
written degrades the watch, and never stops it.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from monitord.core.codec import decode, encode
from monitord.core.decide import State
from monitord.core.model import Observation, Transition
from monitord.core.replay import Recorder, replay
from monitord.lanes import Lane

FILE: Final = "snapshot.db"
KEEP_HISTORY: Final = timedelta(hours=48)
# Past this the oldest history goes even if it is younger than 48 h: a short interval must not fill a disk.
HISTORY_BYTES_AT_MOST: Final = 256 * 1024 * 1024
KEEP_TRANSITIONS: Final = 10_000
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

MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE state (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE transitions (
        seq INTEGER PRIMARY KEY, at TEXT NOT NULL, edge TEXT NOT NULL, alert_id TEXT NOT NULL, body TEXT NOT NULL
    );
    CREATE INDEX transitions_by_alert ON transitions (alert_id);
    """,
    """
    -- In the order they were made, which a clock that is set back does not change.
    CREATE TABLE frames (seq INTEGER PRIMARY KEY, at REAL NOT NULL, whole INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE INDEX whole_frames ON frames (at, seq) WHERE whole;
    """,
)


@dataclass(frozen=True, slots=True)
class Record:
    """What one cycle leaves behind. `report` is JSON-ready, as `check_completed` gives it."""

    state: State
    observation: Observation
    report: Mapping[str, Any]
    transitions: Sequence[Transition] = ()


@dataclass(frozen=True, slots=True)
class SetAside:
    """A snapshot that could not be used: why, and the name it is kept under."""

    reason: str
    kept_as: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was last saved: the state, and the last full report (None before the first)."""

    state: State
    report: Mapping[str, Any] | None


class Unusable(Exception):  # noqa: N818 - it names what the file is
    """The file is there and is not a snapshot this monitord can use."""


class Store:
    """The one writer of `snapshot.db` in `directory`. Every call has a deadline in seconds.

    `problem` is None while saving works, else the sentence that says why it does not.
    """

    def __init__(self, directory: Path, *, migrations: Sequence[str] = MIGRATIONS) -> None:
        self.path = directory / FILE
        self.problem: str | None = None
        self._migrations = migrations
        self._lane = Lane("snapshot")
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._recorder = Recorder()
        self._until_whole = 0
        self._closed = False
        self._loaded = False

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

    async def save(self, record: Record, timeout: float) -> SetAside | None:
        """Save a cycle, whole or not at all. `problem` tells whether it worked."""
        try:
            aside = await self._lane.run(self._save, record, timeout=timeout)
        except Exception as error:  # noqa: BLE001 - what was decided must be said, saved or not
            self.problem = f"its snapshot cannot be written: {error}"
            self._until_whole = 0  # whatever the file holds now, the next frame must not rest on this one
            return None
        self.problem = None
        return aside

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
            snapshot = _read(self._connection)
        except (Unusable, sqlite3.Error) as error:
            if _is_disk_trouble(error):
                raise
            aside = self._put_aside(str(error))
            snapshot = Snapshot(State(), None)
        self._loaded = True
        return snapshot, aside

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
        version = _version(connection)
        if version > len(self._migrations):
            raise Unusable(f"it was written by a newer monitord (schema {version}, known {len(self._migrations)})")
        for number, script in enumerate(self._migrations[version:], version + 1):
            connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
        self._inode = self.path.stat().st_ino

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
        try:
            connection.execute("BEGIN IMMEDIATE")
            parts = (
                *((field.name, encode(getattr(record.state, field.name))) for field in fields(State)),
                ("report", record.report),
            )
            connection.executemany(
                "INSERT INTO state (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body",
                [(name, _json(part)) for name, part in parts],
            )
            connection.executemany(
                "INSERT INTO transitions (at, edge, alert_id, body) VALUES (?, ?, ?, ?)",
                [(t.at.isoformat(), t.edge, t.alert.id, _json(encode(t))) for t in record.transitions],
            )
            connection.execute(
                "INSERT INTO frames (at, whole, body) VALUES (?, ?, ?)",
                (at, whole, zlib.compress(_json(frame).encode(), 6)),
            )
            if whole:
                _prune(connection, at - KEEP_HISTORY.total_seconds())
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def read_snapshot(directory: Path) -> Snapshot | None:
    """What the daemon on `directory` last saved, without writing anything; None where there is nothing.

    Raises:
        Unusable: there is a file and it cannot be read.
    """
    path = directory / FILE
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=2.0)) as connection:
            version = _version(connection)
            if version == 0:  # just made, by a daemon that is starting
                return None
            if version > len(MIGRATIONS):
                raise Unusable("it was written by a newer monitord")
            return _read(connection)
    except sqlite3.Error as error:
        raise Unusable(f"the snapshot at {path} cannot be read: {error}") from None


def read_history(directory: Path, since: datetime) -> Iterator[Observation]:
    """The recorded observations from `since` on (from up to an hour or so before: frames rest on one another).

    Raises:
        Unusable: there is a file and it cannot be read.
    """
    path = directory / FILE
    try:
        with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=2.0)) as connection:
            rows = connection.execute(
                "SELECT body FROM frames WHERE seq >= coalesce("
                "(SELECT max(seq) FROM frames WHERE whole AND at <= ?), (SELECT min(seq) FROM frames WHERE whole)"
                ") ORDER BY seq",
                (since.timestamp(),),
            )
            yield from replay(json.loads(zlib.decompress(body)) for (body,) in rows)
    except (sqlite3.Error, zlib.error, ValueError, KeyError) as error:
        raise Unusable(f"the history at {path} cannot be read: {error}") from None


def _is_disk_trouble(error: Exception) -> bool:
    """Whether an error is of the disk, its space or its permissions: time may mend it. All others are of the file."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DISK_TROUBLE


def _holds_state(connection: sqlite3.Connection | None) -> bool:
    return connection is not None and connection.execute("SELECT 1 FROM state LIMIT 1").fetchone() is not None


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _read(connection: sqlite3.Connection) -> Snapshot:
    try:
        parts = {name: json.loads(body) for name, body in connection.execute("SELECT name, body FROM state")}
        state = decode(State, {field.name: parts[field.name] for field in fields(State) if field.name in parts})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unusable(f"its content does not fit: {error}") from None
    return Snapshot(state, parts.get("report"))


def _prune(connection: sqlite3.Connection, before: float) -> None:
    """Drop history past its age or size, up to a whole frame so that the rest still stands; old transitions too."""
    connection.execute(
        "DELETE FROM frames WHERE seq < (SELECT max(seq) FROM frames WHERE whole AND at <= ?)",
        (before,),
    )
    (held,) = connection.execute("SELECT coalesce(sum(length(body)), 0) FROM frames").fetchone()
    if held > HISTORY_BYTES_AT_MOST:
        # A quarter at a time, so that this is seldom.
        connection.execute(
            "DELETE FROM frames WHERE seq < (SELECT min(seq) FROM frames WHERE whole AND seq >= "
            "(SELECT min(seq) + (max(seq) - min(seq)) / 4 FROM frames))"
        )
    connection.execute(
        "DELETE FROM transitions WHERE seq <= (SELECT max(seq) FROM transitions) - ?", (KEEP_TRANSITIONS,)
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=encode)
