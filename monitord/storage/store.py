"""The snapshot: what the daemon holds, in SQLite, so that a kill at any moment loses at most the cycle in progress.

One writer on a thread of its own. A file that cannot be read is put aside, never thrown away; a disk that cannot be
written degrades monitord, and never stops it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from monitord.clocks import lived_seconds
from monitord.core.codec import encode
from monitord.core.engine import State
from monitord.core.model import Observation, Transition
from monitord.core.orders import StandingOrders
from monitord.core.recording import Recorder
from monitord.core.retention_clock import TRUSTED_AFTER_SECONDS, RetentionClock, newest_lived
from monitord.core.series import Rollup
from monitord.storage.commands import WaitingCommand, strike
from monitord.storage.commands import waiting as waiting_commands
from monitord.storage.copy import Copy, read_copy, write_copy
from monitord.storage.damage import damage, structure
from monitord.storage.file import SetAside, SnapshotFile, is_disk_trouble
from monitord.storage.outbox import NotifiedChannels, OutboxEntry, put, remember_notified, take_out, waiting
from monitord.storage.reader import HOUR_PART, Check, Snapshot, saved_state
from monitord.storage.rollups import UNSAVED_AT_MOST, prune_rollups, put_rollups
from monitord.storage.schema import KEEP_TRANSITIONS, MIGRATIONS, UnusableSnapshot, prune
from monitord.threads import WorkerThread

T = TypeVar("T")

FRAMES_PER_WHOLE: Final = 120
# So often the file is examined for damage, and the second copy of the state written where no edge had it written.
SAVES_PER_EXAMINATION: Final = 20
EXAMINE_TIMEOUT_SECONDS: Final = 30.0
# A larger file is not examined before the first check, but soon after.
_EXAMINED_AT_START_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """What one cycle leaves behind.

    `queued` is what is now to be sent, and `told` who has been notified of what (None: as it was).
    `heard_through` is the number of the last command that the state has in it. `hour` is the hour that runs, as JSON
    has it, and `rollups` those that are over.
    """

    state: State
    observation: Observation
    check: Check
    transitions: Sequence[Transition] = ()
    queued: Sequence[OutboxEntry] = ()
    told: NotifiedChannels | None = None
    heard_through: int = 0
    hour: Mapping[str, object] | None = None
    rollups: Sequence[Rollup] = ()


class Store:
    """The one writer of `snapshot.db` in `directory`. Every call has a deadline in seconds.

    `problem` is None while saving works, else the sentence that says why it does not.
    """

    def __init__(
        self, directory: Path, *, migrations: Sequence[str] = MIGRATIONS, lived: Callable[[], float] = lived_seconds
    ) -> None:
        self.problem: str | None = None
        self._file = SnapshotFile(directory, migrations)
        self._lived = lived
        self._clock: RetentionClock | None = None  # what is deleted by age is deleted by this one
        self._worker = WorkerThread("snapshot")
        self._recorder = Recorder()
        self._until_whole = 0
        self._closed = False
        self._loaded = False
        self._unsaved: tuple[Transition, ...] = ()
        self._unsaved_rollups: tuple[Rollup, ...] = ()
        self._heard_through = 0
        self._examining = WorkerThread("snapshot examination")
        self._examination: asyncio.Task[None] | None = None
        self._until_examined = SAVES_PER_EXAMINATION
        self._damage: str | None = None
        self._until_copied = 0
        self._files = 0  # as of the last call
        self._orders: tuple[StandingOrders, str] | None = None  # the last, and as JSON

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def files(self) -> int:
        """How many files there were, one after the other: what stood in the last is not in this one."""
        return self._file.files

    async def load(self, timeout: float) -> tuple[Snapshot, SetAside | None]:
        """The last snapshot, or an empty one where there is none or it had to be put aside (which is logged).

        Never raises for what is wrong with the file or the disk: `problem` then says it, and monitoring goes on.
        """
        try:
            snapshot, aside = await self._worker.run(self._load, timeout=timeout)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from being read, monitoring goes on without it
            self.problem = f"its snapshot cannot be read: {error}"
            return Snapshot(State()), None
        self.problem = None
        return snapshot, aside

    async def hear(self, timeout: float) -> WaitingCommand:
        """What operators have asked and no state that was given to `save` has in it; nothing where it cannot be read.

        Commands that stay unread are read later: whether the file works, saving shows.
        """
        try:
            return await self._worker.run(self._hear, timeout=timeout)
        except Exception:  # noqa: BLE001 - see above
            return WaitingCommand(through=self._heard_through)

    async def save(self, record: CycleRecord, timeout: float) -> SetAside | None:
        """Save a cycle, whole or not at all. `problem` is whether it worked.

        Edges that could not be saved are saved with the next cycle, and so are hours that are over: without its end an
        alert would seem to go on.
        """
        record = replace(
            record,
            transitions=(*self._unsaved, *record.transitions),
            rollups=(*self._unsaved_rollups, *record.rollups),
        )
        self._heard_through = record.heard_through  # also if this fails: the state goes on in memory
        try:
            aside = await self._worker.run(self._save, record, timeout=timeout)
        except Exception as error:  # noqa: BLE001 - what was decided must be sent, saved or not
            self.problem = f"its snapshot cannot be written: {error}"
            self._until_whole = 0  # whatever the file holds now, the next frame must not rest on this one
            self._unsaved = tuple(record.transitions)[-KEEP_TRANSITIONS:]
            self._unsaved_rollups = tuple(record.rollups)[-UNSAVED_AT_MOST:]
            return None
        self.problem, self._unsaved, self._unsaved_rollups = None, (), ()
        self._until_examined -= 1
        if self._until_examined <= 0 and (self._examination is None or self._examination.done()):
            self._until_examined = SAVES_PER_EXAMINATION
            self._examination = asyncio.create_task(self._examine(), name="snapshot examination")
        return aside

    async def _examine(self) -> None:
        """Check for damage while memory can still write a whole new file: the next save then does."""
        with suppress(Exception):  # an examination that cannot be made is made again: the disk has its own alert
            self._damage = await self._examining.run(damage, self.path, timeout=EXAMINE_TIMEOUT_SECONDS)

    # The outbox between cycles. Raises whatever keeps it from being read or written: who asks has its own way on.

    async def waiting(self, timeout: float) -> tuple[tuple[OutboxEntry, ...], dict[str, tuple[str, ...]]]:
        """All that is still to be delivered, oldest first, and which channels were notified of what."""
        return await self._worker.run(self._on_outbox, waiting, timeout=timeout)

    async def queue(self, rows: Sequence[OutboxEntry], timeout: float) -> None:
        """Add messages that no cycle brings."""
        await self._worker.run(self._on_outbox, lambda connection: put(connection, rows), timeout=timeout)

    async def delivered(self, channel: str, message_ids: Sequence[str], timeout: float) -> None:
        """Remove what a channel has accepted."""
        await self._worker.run(
            self._on_outbox, lambda connection: take_out(connection, channel, message_ids), timeout=timeout
        )

    async def merge(self, channel: str, message_ids: Sequence[str], into: OutboxEntry, timeout: float) -> None:
        """Put one message in the place of several: all of it or nothing."""

        def replace_with(connection: sqlite3.Connection) -> None:
            take_out(connection, channel, message_ids)
            put(connection, (into,))

        await self._worker.run(self._on_outbox, replace_with, timeout=timeout)

    async def close(self, timeout: float) -> None:
        """Let go of the file; saved cycles stay. May be called again."""
        if self._closed:
            return
        self._closed = True
        if self._examination is not None:
            self._examination.cancel()
        self._examining.close()
        with suppress(Exception):  # the end of the process lets go just as well
            await self._worker.run(self._file.disconnect, timeout=timeout)
        self._worker.close()

    # Everything below runs on the worker's thread.

    def _load(self) -> tuple[Snapshot, SetAside | None]:
        copy = read_copy(self.path.parent)
        wal = self._file.keep_damaged_wal()
        aside = self._begun(self._file.connect("what stood in it"))
        snapshot = Snapshot(State())
        try:
            snapshot = saved_state(self._file.opened)
            small = self.path.stat().st_size <= _EXAMINED_AT_START_BYTES
            broken = structure(self._file.opened) if small and aside is None else None
        except (UnusableSnapshot, sqlite3.Error) as error:
            if is_disk_trouble(error):
                raise
            broken = str(error)
        if broken is not None:
            aside = self._begun(self._file.put_aside(broken, "what stood in it"))
        self._loaded = True
        return self._completed(snapshot, copy, aside or wal, unusable=aside is not None)

    def _completed(
        self, snapshot: Snapshot, copy: Copy | None, aside: SetAside | None, *, unusable: bool
    ) -> tuple[Snapshot, SetAside | None]:
        """The snapshot, or what the second copy holds where that is more; and what is lost all the same."""
        at = snapshot.state.history.at
        seq, identity = (0, "") if unusable else self._file.position()
        is_behind = copy is not None and (not seq or (copy.file == identity and copy.seq > seq))
        if copy is None or not (is_behind or at is None):
            if aside is None or not unusable:
                return snapshot, aside and replace(aside, lost=f"what happened after {_moment(at)}")
            lost = "the learned roster, the alerts and the history; whoever is down already is not known to be missed"
            if at is not None:
                lost = f"the recorded history; the state of {_moment(at)} could be read"
            return snapshot, replace(aside, lost=lost)
        kept = copy.state.history.at
        lost = f"what happened after {_moment(kept)}; the roster and the alerts are those of the second copy of then"
        reason = "its last cycles are missing" if seq else "it was empty or gone"
        aside = aside or SetAside(reason, "", lost)
        if unusable or not seq:
            lost = f"the recorded history, and {lost}"
        return Snapshot(copy.state), replace(aside, lost=lost)

    def _begun(self, aside: SetAside | None) -> SetAside | None:
        """Begin anew with a file that was just opened: nothing that rested on the one before holds for it."""
        self._until_whole = self._until_copied = 0
        self._damage = None
        if self._file.files != self._files:  # another file numbers its commands anew
            self._files, self._heard_through = self._file.files, 0
        return aside

    def _hear(self) -> WaitingCommand:
        if self._file.connection is None or self._file.replaced():
            return WaitingCommand(through=self._heard_through)
        return waiting_commands(self._file.connection, self._heard_through)

    def _save(self, record: CycleRecord) -> SetAside | None:
        aside = None
        earlier = f"the history and the alerts recorded before {_moment(record.observation.now.timestamp())}"
        is_open = self._file.connection is not None
        if not is_open or self._file.replaced():
            is_gone = is_open and not self.path.exists()
            self._file.disconnect()
            aside = self._begun(self._file.connect(earlier))
            if is_gone and aside is None:
                aside = SetAside("it was removed while monitord ran", "", earlier)
        elif self._damage is not None:
            aside = self._begun(self._file.put_aside(self._damage, earlier))
        if not self._loaded:
            # What could not be read at the start is not ours to overwrite with a state that knows nothing of it.
            if aside is None and self._file.holds_state():
                aside = self._begun(self._file.put_aside("it could not be read when monitord started", earlier))
            self._loaded = True
        try:
            self._write(record)
        except sqlite3.Error as error:
            if is_disk_trouble(error):
                self._file.disconnect()  # a full or read-only disk: begin afresh at the next cycle
                raise
            aside = self._begun(self._file.put_aside(str(error), earlier))
            self._write(record)
        return aside

    def _on_outbox(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._file.connection is None or self._file.replaced():
            raise UnusableSnapshot(
                "the snapshot is not open"
            )  # the next cycle opens it, and saves what is then to be sent
        return self._file.in_transaction(work)

    def _write(self, record: CycleRecord) -> None:
        whole = self._until_whole <= 0
        frame = self._recorder.frame(record.observation, whole=whole)
        self._until_whole = FRAMES_PER_WHOLE if whole else self._until_whole - 1
        at = record.observation.now.timestamp()
        parts = {field.name: _json(encode(getattr(record.state, field.name))) for field in fields(State)}
        parts["report"] = self._check(record.check)
        if record.hour is not None:
            parts[HOUR_PART] = _json(record.hour)
        parts |= self._file.identify()

        def write(connection: sqlite3.Connection) -> int:
            verified = self._verified(connection, at)
            connection.executemany(
                "INSERT INTO state (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body",
                parts.items(),
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
            seq = connection.execute(
                "INSERT INTO frames (at, whole, body) VALUES (?, ?, ?)",
                (at, whole, zlib.compress(_json(frame).encode(), 6)),
            ).lastrowid
            if whole:
                prune(connection, verified)
            if record.rollups:
                put_rollups(connection, record.rollups)
                prune_rollups(connection, verified)
            put(connection, record.queued)
            if record.told is not None:
                remember_notified(connection, record.told)
            return seq or 0

        seq = self._file.in_transaction(write)
        self._file.see_wal()
        self._until_copied -= 1
        if self._until_copied <= 0 or record.transitions:
            self._until_copied = SAVES_PER_EXAMINATION
            # What is in the log since long would go with it; nobody is waited for.
            self._file.opened.execute("PRAGMA wal_checkpoint(PASSIVE)")
            write_copy(self.path.parent, parts, self._file.identity, seq)

    def _check(self, check: Check) -> str:
        """A check as JSON; its orders, which are nearly always those of the last, are encoded when they change."""
        if self._orders is None or check.orders != self._orders[0]:
            self._orders = check.orders, _json(encode(check.orders))
        head = _json({"trigger": check.trigger, "at": check.at, "duration_ms": check.duration_ms})
        return f'{head[:-1]},"orders":{self._orders[1]}}}'

    def _verified(self, connection: sqlite3.Connection, wall: float) -> float:
        if self._clock is None:
            recorded = newest_lived(
                (at for (at,) in connection.execute("SELECT at FROM frames")),
                TRUSTED_AFTER_SECONDS,
                TRUSTED_AFTER_SECONDS,
            )
            self._clock = RetentionClock(recorded)
        return self._clock.verified(wall, self._lived())


def _moment(at: float | None) -> str:
    return "an unknown time" if at is None else f"{datetime.fromtimestamp(at, UTC):%b %d, %H:%M:%S} UTC"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=encode)
