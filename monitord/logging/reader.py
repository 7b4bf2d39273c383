"""The log read back: lines out of a stream or out of files that grow, change their names and go, in bounded memory."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from monitord.logging.writers import FILE_NAME

READ_SECONDS: Final = 10.0
LONGEST_BYTES: Final = 2**20
_CHUNK_BYTES: Final = 2**16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end. Of one past 1 MiB the beginning, and how many bytes are `missing`."""

    data: bytes
    missing: int = 0


class Splitter:
    """Makes lines of what comes in pieces; holds no more than the longest line."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self._missing = 0

    def feed(self, piece: bytes) -> list[Line]:
        *ended, rest = piece.split(b"\n")
        lines = []
        for part in ended:
            self._take(part)
            lines.append(self._made())
        self._take(rest)
        return lines

    def end(self) -> list[Line]:
        """The last line, where it has no end of its own."""
        return [self._made()] if self._begun else []

    def _take(self, part: bytes) -> None:
        room = LONGEST_BYTES - len(self._begun)
        self._begun += part[:room]
        self._missing += max(0, len(part) - room)

    def _made(self) -> Line:
        line = Line(bytes(self._begun), self._missing)
        self._begun.clear()
        self._missing = 0
        return line


@dataclass(slots=True)
class _Place:
    inode: int
    offset: int = 0
    splitter: Splitter = field(default_factory=Splitter)


class Files:
    """Follows files that are listed anew at every check, oldest first: they may grow, be cut, be replaced, come and go.

    Of what cannot be listed or read nothing comes, until it can. Each method raises TimeoutError where the disk does
    not answer within READ_SECONDS.
    """

    def __init__(self, listed: Callable[[], Iterable[Path]]) -> None:
        self._listed = listed
        self._places: dict[Path, _Place] = {}

    def last(self, count: int, wanted: Callable[[Line], T | None]) -> list[T]:
        """The last `count` of what `wanted` makes of the lines there are (None: nothing). What is older is passed."""
        found: list[T] = []
        for path, status in reversed(self._there()):
            if len(found) >= count:
                self._places[path] = _Place(status.st_ino, status.st_size)
                continue
            lines = self._read(path, status)
            kept = deque((made for line in lines if (made := wanted(line)) is not None), count - len(found))
            found = [*kept, *found]
        return found

    def new(self) -> Iterator[Line]:
        """What has been written since the last check; at the first, all there is."""
        there = self._there()
        for gone in self._places.keys() - {path for path, _ in there}:
            del self._places[gone]
        for path, status in there:
            yield from self._read(path, status)

    def end(self) -> Iterator[Line]:
        for path, _ in self._there():
            if (place := self._places.get(path)) is not None:
                yield from place.splitter.end()

    def _there(self) -> list[tuple[Path, os.stat_result]]:
        return _disk(self._look) or []

    def _look(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in self._listed():
            with suppress(OSError):
                found.append((path, path.stat()))
        return found

    def _read(self, path: Path, status: os.stat_result) -> Iterator[Line]:
        place = self._places.get(path)
        if place is None or place.inode != status.st_ino or status.st_size < place.offset:
            place = self._places[path] = _Place(status.st_ino)
        if status.st_size == place.offset or not stat.S_ISREG(status.st_mode):
            return
        file = _disk(lambda: path.open("rb", buffering=0))
        if file is None:
            return
        with file:
            file.seek(place.offset)
            while piece := _disk(lambda: file.read(_CHUNK_BYTES)):
                place.offset += len(piece)
                yield from place.splitter.feed(piece)


def _disk(work: Callable[[], T]) -> T | None:
    """What the disk answers; None where it cannot. TimeoutError: it does not answer."""
    from monitord.threads import in_time  # with asyncio, which a line out of a pipe does not need

    try:
        return in_time(work, READ_SECONDS, "log files")
    except TimeoutError:
        raise
    except OSError:
        return None


def hourly_files(directory: Path) -> list[Path]:
    """The daemon's log files in a directory, oldest first. OSError where it cannot be read."""
    return sorted(path for path in directory.iterdir() if FILE_NAME.fullmatch(path.name))
