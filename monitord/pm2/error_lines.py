"""Error lines counted by service, out of the frames in which PM2's bus passes on what apps write to stderr.

Of a frame nothing stays but whose it is and how many lines it ends: its text may hold anybody's secrets. PM2 7.0 was
seen to send two forms, one chunk of output each: of an app in fork mode the process comes first, of one in cluster mode
(and of whatever else an app has put on the bus) last. PM2 writes it itself, so that no app can count for another.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from monitord.core.model import Sample, sample

from . import process_list

MOST_SERVICES: Final = 2_000
# What is read of one second's frames, so that a storm of lines costs no more than this; of others no more than that
# they came.
FRAMES_A_SECOND: Final = 2_000
BYTES_A_SECOND: Final = 8 * 2**20
_PROCESS: Final = rb'"process":\{"pm_id":[^,]{1,40},"name":("(?:[^"\\]|\\.)*"),'
_FIRST: Final = re.compile(rb"j:\{" + _PROCESS)
_LAST: Final = re.compile(rb"," + _PROCESS + rb'"rev":(?:null|"[^"\\]*"),"namespace":"(?:[^"\\]|\\.)*"\}\}')
_TAIL_BYTES: Final = 4 * 1024
_NEWLINE: Final = b"\\n"
_BACKSLASH: Final = b"\\\\"


class ErrorLines:
    """The lines since it was made, by service; at least these, where frames are `unread`."""

    def __init__(self) -> None:
        self.unread = 0
        self._lines: dict[str, int] = {}
        self._second = -1
        self._frames = self._bytes = 0

    def take(self, buffer: bytearray, start: int, end: int, now: float) -> None:
        """Count one frame's body, which lies in `buffer`; `now` in seconds on the monotonic clock."""
        if (second := int(now)) != self._second:
            self._second, self._frames, self._bytes = second, 0, 0
        self._frames += 1
        self._bytes += end - start
        if self._frames > FRAMES_A_SECOND or self._bytes > BYTES_A_SECOND:
            self.unread += 1
            return
        found = _FIRST.match(buffer, start, end)
        if found is not None:
            start = found.end()
        else:
            found = _LAST.search(buffer, max(start, end - _TAIL_BYTES), end)
            if found is None or found.end() != end:
                self.unread += 1
                return
            end = found.start()
        service = _service(found[1])
        if service is None or (service not in self._lines and len(self._lines) >= MOST_SERVICES):
            self.unread += 1
        elif lines := _newlines(buffer, start, end):
            self._lines[service] = self._lines.get(service, 0) + lines

    def samples(self, since: float) -> Iterator[Sample]:
        """The counts, as a reading has them; `since` is when the connection that they come from began."""
        yield sample("error_lines_since", since, "timestamp")
        if self.unread:
            yield sample("error_lines_unread", self.unread)
        for service, lines in self._lines.items():
            yield Sample("error_lines", (("service", service),), lines, "1")


def _newlines(buffer: bytearray, start: int, end: int) -> int:
    """How many newlines are escaped in a part of a JSON document, where an escaped backslash before an n is none."""
    if buffer.find(_BACKSLASH, start, end) < 0:
        return buffer.count(_NEWLINE, start, end)
    return buffer[start:end].replace(_BACKSLASH, b"").count(_NEWLINE)


@lru_cache(maxsize=MOST_SERVICES)
def _service(name: bytes) -> str | None:
    try:
        return process_list.text(json.loads(name))
    except ValueError:
        return None
