"""The snapshot file: opened, found gone or replaced, put aside. Used from one thread, that of its store."""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from monitord.storage.damage import wal_damage
from monitord.storage.schema import FILE, WHOLE_STATE, UnusableSnapshot, is_disk_trouble, version

T = TypeVar("T")

# Which of the files that were at this path one after the other it is: in the table of the state, beside it.
_IDENTITY: Final = "file"

_PAGE_BYTES: Final = 1024

BUSY_SECONDS: Final = 2.0
"""How long a statement waits for another process that writes to the file."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A snapshot that could not be used, or was not whole: why, as what it is kept ("": nothing was), what is lost."""

    reason: str
    kept_as: str
    lost: str


class SnapshotFile:
    """The file `snapshot.db` in `directory`, and the connection to it (None while it is not open).

    `files` counts those that were there one after the other, `identity` is the id of the open one ("": not read yet).
    """

    def __init__(self, directory: Path, migrations: Sequence[str]) -> None:
        self.path = directory / FILE
        self.connection: sqlite3.Connection | None = None
        self.files = 0
        self.identity = ""
        self._migrations = migrations
        self._inode = 0
        self._wal_inode: int | None = None

    @property
    def opened(self) -> sqlite3.Connection:
        assert self.connection is not None  # noqa: S101 - the store connects first
        return self.connection

    @property
    def _wal(self) -> Path:
        return self.path.with_name(FILE + "-wal")

    def connect(self, lost: str) -> SetAside | None:
        """Open the file, bring its schema up to date; put it aside first where it is not one of ours."""
        try:
            self._open()
        except (UnusableSnapshot, sqlite3.Error) as error:
            if is_disk_trouble(error):
                self.disconnect()
                raise
            return self.put_aside(str(error), lost)
        return None

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        self.connection = connection
        self.identity, self._wal_inode = "", None
        # Of a new file: each cycle changes a page or two, and a changed page is written whole.
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL a killed process loses nothing with NORMAL; only a power cut may lose the last cycles.
        connection.execute("PRAGMA synchronous = NORMAL")
        number = version(connection)
        if number > len(self._migrations):
            raise UnusableSnapshot(
                f"it was written by a newer monitord (schema {number}, known {len(self._migrations)})"
            )
        for following, script in enumerate(self._migrations[number:], number + 1):
            connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {following}; COMMIT;")
        connection.execute(WHOLE_STATE)
        inode = self.path.stat().st_ino
        if not number or inode != self._inode:  # inodes are used again
            self._inode = inode
            self.files += 1
        self.see_wal()

    def see_wal(self) -> None:
        """Remember which file the write-ahead log is: one that is removed takes what is not yet in the snapshot."""
        with suppress(FileNotFoundError):
            self._wal_inode = self._wal.stat().st_ino

    def replaced(self) -> bool:
        """Whether an open file is no longer the one at its path: SQLite would go on writing to nowhere."""
        try:
            if self.path.stat().st_ino != self._inode:
                return True
            return self._wal_inode is not None and self._wal.stat().st_ino != self._wal_inode
        except FileNotFoundError:
            return True

    def put_aside(self, reason: str, lost: str) -> SetAside:
        """Keep the file under another name, and begin a new one."""
        self.disconnect()
        kept = self._free_name(FILE)
        self.path.rename(kept)
        for suffix in ("-wal", "-shm"):  # a journal left behind would be played into the new file
            with suppress(FileNotFoundError):
                self.path.with_name(FILE + suffix).rename(kept.with_name(kept.name + suffix))
        self._open()
        return SetAside(reason, kept.name, lost)

    def _free_name(self, name: str) -> Path:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        kept = self.path.with_name(f"{name}.corrupt-{stamp}")
        for number in range(1, 1000):
            if not kept.exists():
                break
            kept = self.path.with_name(f"{name}.corrupt-{stamp}-{number}")
        return kept

    def disconnect(self) -> None:
        if self.connection is not None:
            connection, self.connection = self.connection, None
            with suppress(sqlite3.Error):
                connection.close()

    def keep_damaged_wal(self) -> SetAside | None:
        """What is wrong with the write-ahead log, kept as it is: opening the file passes over what is damaged."""
        if (reason := wal_damage(self._wal)) is None:
            return None
        kept = self._free_name(self._wal.name)
        shutil.copy2(self._wal, kept)
        return SetAside(reason, kept.name, "")

    def position(self) -> tuple[int, str]:
        """The number of the last cycle in the file, and the file's id; 0 and "" where there is none."""
        (seq,) = self.opened.execute("SELECT coalesce(max(seq), 0) FROM frames").fetchone()
        return int(seq), self._written_identity() or ""

    def identify(self) -> dict[str, str]:
        """Give the open file an id where it has none: what is then to be written to its state, as JSON."""
        if self.identity:
            return {}
        self.identity = self._written_identity() or secrets.token_hex(8)
        return {_IDENTITY: json.dumps(self.identity)}

    def holds_state(self) -> bool:
        return self.opened.execute("SELECT 1 FROM state LIMIT 1").fetchone() is not None

    def _written_identity(self) -> str | None:
        row = self.opened.execute("SELECT body FROM state WHERE name = ?", (_IDENTITY,)).fetchone()
        return None if row is None else str(json.loads(row[0]))

    def in_transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` does to the file, whole or not at all."""
        connection = self.opened
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return result
