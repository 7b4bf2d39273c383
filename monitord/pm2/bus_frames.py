"""The frames of PM2's bus out of one buffer: what apps write passes by without being taken out of it.

Of a busy fleet nearly all that the bus carries is that: each line of output of each app. What else it says is handed
out, as `wire.Decoder` would.
"""

import struct
from typing import Final

from . import wire
from .error_lines import ErrorLines

_OUTPUT: Final = b"s:log:out"
_ERRORS: Final = b"s:log:err"
_LENGTH: Final = struct.Struct(">I")
_HEAD_AND_LENGTH: Final = struct.Struct(">BI")
_TOPIC_BYTES: Final = len(_ERRORS)


class BusDecoder:
    """Frames out of a stream that may be cut anywhere; error lines are counted on their way.

    It reserves nothing that a length announces: memory grows with what came. `has_passed`: a whole frame has come.
    """

    def __init__(self, max_frame_bytes: int, errors: ErrorLines) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._errors = errors
        self.has_passed = False
        self._buffer = bytearray()
        self._wanted = 1
        self._broken: str | None = None

    def feed(self, data: bytes, now: float) -> list[wire.Frame]:
        """The frames that `data` completes but for those with what apps write; `now` in seconds on the monotonic clock.

        WireError: garbage, or a frame past the limit. Such a stream cannot be picked up again: later calls raise the
        same.
        """
        if self._broken is not None:
            raise wire.WireError(self._broken)
        buffer = self._buffer
        buffer += data
        frames: list[wire.Frame] = []
        size, at = len(buffer), 0
        if size < self._wanted:
            return frames
        while at < size:
            end = self._end_of_output(at, size, now)
            if end == at:
                end = self._frame(at, size, frames)
            if end == at:
                break
            at, self.has_passed = end, True
        else:
            self._wanted = 1
        # A buffer of its own for what is left: nothing of what has been read stays in memory.
        self._buffer = buffer[at:] if at else buffer
        return frames

    def _end_of_output(self, at: int, size: int, now: float) -> int:
        """Where a frame with what an app wrote ends, once it was counted; `at` where no whole one begins there."""
        buffer = self._buffer
        topic = at + _HEAD_AND_LENGTH.size
        body = topic + _TOPIC_BYTES + _LENGTH.size
        if body > size or _HEAD_AND_LENGTH.unpack_from(buffer, at) != (wire.VERSION << 4 | 2, _TOPIC_BYTES):
            return at
        is_error = buffer.startswith(_ERRORS, topic)
        if not is_error and not buffer.startswith(_OUTPUT, topic):
            return at
        end = body + int(_LENGTH.unpack_from(buffer, body - _LENGTH.size)[0])
        if end > size or end - at > self._max_frame_bytes:
            return at
        if is_error:
            self._errors.take(buffer, body, end, now)
        return end

    def _frame(self, at: int, size: int, frames: list[wire.Frame]) -> int:
        """Where a frame ends, once it was taken out; `at` where not all of it has come."""
        buffer = self._buffer
        if (version := buffer[at] >> 4) != wire.VERSION:
            self._break(f"a frame begins with version {wire.VERSION}, not {version}")
        place, arguments = at + 1, []
        for _ in range(buffer[at] & 0xF):
            begin = place + _LENGTH.size
            if begin > size:
                self._wanted = begin - at
                return at
            place = begin + int(_LENGTH.unpack_from(buffer, place)[0])
            if place - at > self._max_frame_bytes:
                self._break(f"a frame announces more than {self._max_frame_bytes} bytes")
            if place > size:
                self._wanted = place - at
                return at
            arguments.append((begin, place))
        frames.append(tuple(bytes(buffer[begin:end]) for begin, end in arguments))
        return place

    def _break(self, why: str) -> None:
        self._broken = why
        self._buffer = bytearray()
        raise wire.WireError(why)
