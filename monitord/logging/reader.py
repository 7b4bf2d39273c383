"""The log read back: lines out of a stream or out of files that grow, change their names and go, in bounded memory."""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from monitord.logging.writers import FILE_NAME

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
        """The lines that end with this piece."""
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
    """How far one file has been read."""

    inode: int
    offset: int = 0
    splitter: Splitter = field(default_factory=Splitter)


class Files:
    """Follows files that are listed anew at every check, oldest first: they may grow, be cut, be replaced, come and go.

    Of what cannot be listed or read nothing comes, until it can.
    """

    def __init__(self, listed: Callable[[], Iterable[Path]]) -> None:
        self._listed = listed
        self._places: dict[Path, _Place] = {}

    def last(self, count: int, wanted: Callable[[Line], T | None]) -> list[T]:
        """The last `count` of what `wanted` makes of the lines there are (None: nothing). What is older is passed."""
        found: list[T] = []
        for path in reversed(self._there()):
            if len(found) >= count:
                self._pass(path)
                continue
            kept = deque((made for line in self._read(path) if (made := wanted(line)) is not None), count - len(found))
            found = [*kept, *found]
        return found

    def new(self) -> Iterator[Line]:
        """What has been written since the last check; at the first, all there is."""
        paths = self._there()
        for gone in self._places.keys() - set(paths):
            del self._places[gone]
        for path in paths:
            yield from self._read(path)

    def end(self) -> Iterator[Line]:
        """The last lines of files that end in the middle of one."""
        for path in self._there():
            if (place := self._places.get(path)) is not None:
                yield from place.splitter.end()

    def _there(self) -> list[Path]:
        with suppress(OSError):
            return list(self._listed())
        return []

    def _pass(self, path: Path) -> None:
        with suppress(OSError):
            found = path.stat()
            self._places[path] = _Place(found.st_ino, found.st_size)

    def _read(self, path: Path) -> Iterator[Line]:
        with suppress(OSError):
            found = path.stat()
            place = self._places.get(path)
            if place is None or place.inode != found.st_ino or found.st_size < place.offset:
                place = self._places[path] = _Place(found.st_ino)
            if found.st_size == place.offset or not stat.S_ISREG(found.st_mode):
                return
            with path.open("rb", buffering=0) as file:
                file.seek(place.offset)
                while piece := file.read(_CHUNK_BYTES):
                    place.offset += len(piece)
                    yield from place.splitter.feed(piece)


def hourly_files(directory: Path) -> list[Path]:
    """The daemon's log files in a directory, oldest first. OSError where it cannot be read."""
    return sorted(path for path in directory.iterdir() if FILE_NAME.fullmatch(path.name))
