"""Where log lines go: a stream and hourly files, each written by a thread of its own, so that nobody who logs waits.

A pipe nobody reads, a full disk or a directory that is gone costs lines, which are counted, and nothing else.
"""

from __future__ import annotations

import os
import re
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TextIO

from monitord.clocks import lived_seconds
from monitord.core.retention_clock import TRUSTED_AFTER_SECONDS, RetentionClock, newest_lived

BACKLOG_BYTES: Final = 4 * 2**20
FILE_NAME: Final = re.compile(r"monitord-(\d{4}-\d{2}-\d{2}T\d{2}(?:\d{4})?)\.jsonl")
_STAMP, _FINE_STAMP = "%Y-%m-%dT%H", "%Y-%m-%dT%H%M%S"
# What a file may span, in seconds: an hour, or less where less than four hours are kept.
_SPANS: Final = (3600, 900, 300, 60, 30, 10, 5, 2, 1)

Write = Callable[[datetime, bytes], None]


@dataclass(frozen=True, slots=True)
class WriteTrouble:
    """An output that fails now: its name (`stdout`, `files`), the reason, and how many lines it has lost so far."""

    sink: str
    error: str
    lost: int


class LineWriter:
    """Lines in order to one place, in the background.

    What cannot be written is lost and counted; past 4 MiB of backlog the oldest lines go first. `write` may block for
    as long as it likes and may raise OSError or ValueError.
    """

    def __init__(self, sink: str, write: Write) -> None:
        self._sink = sink
        self._write = write
        self._lines: deque[tuple[datetime, bytes]] = deque()
        self._bytes = 0
        self._busy = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._error: str | None = None
        self._lost = 0

    @property
    def lost(self) -> int:
        return self._lost

    @property
    def trouble(self) -> WriteTrouble | None:
        error = self._error
        return None if error is None else WriteTrouble(self._sink, error, self._lost)

    def put(self, when: datetime, line: bytes) -> None:
        with self._changed:
            self._lines.append((when, line))
            self._bytes += len(line)
            while self._bytes > BACKLOG_BYTES and len(self._lines) > 1:
                self._bytes -= len(self._lines.popleft()[1])
                self._lost += 1
                self._error = "nobody reads what is written there"
            if self._thread is None:
                self._start()
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until everything taken is written or lost; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._busy, timeout)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"log-{self._sink}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads: tried again with the next line
            self._thread = None
            self._error = "no thread can be started for it"

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines))
                when, line = self._lines.popleft()
                self._bytes -= len(line)
                self._busy = True
            failed: str | None = None
            try:
                self._write(when, line)
            except Exception as error:  # noqa: BLE001 - a writer that ends would take every later line with it
                failed = (error.strerror if isinstance(error, OSError) else None) or str(error)
            with self._changed:
                self._error = failed
                self._lost += failed is not None
                self._busy = False
                self._changed.notify_all()


def stream_writer(stream: TextIO | None) -> Write:
    """Writes to a stream, past its buffer where it has a file descriptor. None (no stdout at all) loses everything."""
    if stream is None:
        return _nowhere
    try:
        # A descriptor of our own: were stdout closed under us, its number might become somebody else's socket.
        descriptor = os.dup(stream.fileno())
    except (OSError, ValueError, AttributeError):

        def write_text(_: datetime, line: bytes) -> None:
            stream.write(line.decode())
            stream.flush()

        return write_text
    whole = _Whole()

    def write(_: datetime, line: bytes) -> None:
        whole.write(descriptor, line)

    return write


def _nowhere(_: datetime, __: bytes) -> None:
    raise OSError("there is no standard output")


class _Whole:
    """Writes lines whole: after one that was cut short, the next begins on a line of its own."""

    def __init__(self) -> None:
        self._cut = False

    def write(self, descriptor: int, line: bytes) -> None:
        data = memoryview(b"\n" + line if self._cut else line)
        while data:
            try:
                written = os.write(descriptor, data)
            except BlockingIOError:  # whoever shares the pipe made it non-blocking
                select.select([], [descriptor], [])
                continue
            data = data[written:]
            self._cut = bool(data)


class HourlyFiles:
    """`monitord-2025-11-05T03.jsonl` and its like in one directory, hours in UTC; shorter spans for a short retention.

    A file goes when its last line within its hour lies further back than `retention`, by a clock that was lived with:
    none goes because the clock has jumped. Files of other names are never touched.
    The directory and the file are opened anew for each line, so that neither need survive.
    """

    def __init__(self, directory: Path, retention: timedelta, lived: Callable[[], float] = lived_seconds) -> None:
        self.retention = retention
        self._lived = lived
        self._clock: RetentionClock | None = None
        self._reading = threading.Lock()  # files are tidied by whoever writes and by a job of the daemon's
        self._directory = directory
        self._hour = ""
        self._whole = _Whole()

    def write(self, when: datetime, line: bytes) -> None:
        hour = self._stamp(when)
        if hour != self._hour:
            self.tidy(when)
            self._hour, self._whole = hour, _Whole()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        path = self._directory / f"monitord-{hour}.jsonl"
        try:
            descriptor = os.open(path, flags, 0o640)
        except FileNotFoundError:
            self._directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            descriptor = os.open(path, flags, 0o640)
        try:
            self._whole.write(descriptor, line)
        finally:
            os.close(descriptor)

    def tidy(self, now: datetime) -> None:
        """What cannot be deleted stays."""
        with suppress(OSError):
            files = list(self._directory.iterdir()) if self._directory.exists() else []
            with self._reading:
                verified = datetime.fromtimestamp(self._verified(files, now.timestamp()), UTC)
            for path in files:
                with suppress(OSError, ValueError, OverflowError):
                    match = FILE_NAME.fullmatch(path.name)
                    if match and match[1] != self._stamp(now) and self._is_past(path, match[1], verified):
                        path.unlink()

    def _verified(self, files: list[Path], wall: float) -> float:
        lived = self._lived()
        if self._clock is None:
            begins = []
            for match in filter(None, (FILE_NAME.fullmatch(path.name) for path in files)):
                with suppress(ValueError):
                    begins.append(_begin(match[1]).timestamp())
            # A file each hour is what a life leaves behind; three in a row are no short jump.
            span = float(self._span())
            recorded = newest_lived(begins, span, 2 * span)
            trusted = min(TRUSTED_AFTER_SECONDS, self.retention.total_seconds())
            self._clock = RetentionClock(None if recorded is None else recorded + span, trusted)
        return self._clock.verified(wall, lived)

    def _span(self) -> int:
        wanted = self.retention.total_seconds() / 4
        return next((span for span in _SPANS if span <= wanted), _SPANS[-1])

    def _stamp(self, when: datetime) -> str:
        span = self._span()
        begin = datetime.fromtimestamp(when.timestamp() // span * span, UTC)
        return begin.strftime(_STAMP if span == _SPANS[0] else _FINE_STAMP)

    def _is_past(self, path: Path, stamp: str, now: datetime) -> bool:
        begin = _begin(stamp)
        end = begin + timedelta(seconds=_SPANS[0] if len(stamp) == len("2025-11-05T03") else self._span())
        last = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return now - max(begin, min(end, last)) > self.retention


def _begin(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp).replace(tzinfo=UTC)  # both: strptime is a module of its own
