"""The frames of PM2's sockets (axon over AMP): bytes in, arguments out, nothing else; it does no I/O.

A frame is one byte, `1 << 4 | argc`, and then for each argument a big-endian u32 length and that many bytes.
An argument is `j:` and JSON, `s:` and text, or bare bytes.
"""

import json
from collections.abc import Callable, Sequence
from enum import Enum, auto

Argument = bytes | bytearray
Frame = tuple[Argument, ...]
PairsHook = Callable[[list[tuple[str, object]]], object]

VERSION = 1
MAX_ARGUMENTS = 15
MAX_FRAME_BYTES = 64 * 2**20  # a fleet of 1,000 with 30 kB of environment each is half of this


MAX_VALUES = 1_000_000  # a fleet of 1,000 with 400 variables each has fewer


class WireError(Exception):
    """These bytes are not a frame. The message never quotes them."""


class _State(Enum):
    HEAD = auto()
    LENGTH = auto()
    BODY = auto()


def encode(arguments: Sequence[object]) -> bytes:
    """One frame: text as text, bytes as they are, all else as JSON. WireError: more than 15 arguments."""
    if len(arguments) > MAX_ARGUMENTS:
        raise WireError(f"a frame holds at most {MAX_ARGUMENTS} arguments, not {len(arguments)}")
    parts = [bytes([VERSION << 4 | len(arguments)])]
    for argument in arguments:
        packed = _pack(argument)
        parts += [len(packed).to_bytes(4, "big"), packed]
    return b"".join(parts)


def _pack(argument: object) -> bytes:
    if isinstance(argument, bytes):
        return argument
    if isinstance(argument, str):
        return b"s:" + argument.encode()
    return b"j:" + json.dumps(argument, separators=(",", ":")).encode()


def unpack(argument: Argument, *, object_pairs_hook: PairsHook | None = None) -> object:
    """What an argument says: JSON, text, or the bytes as they came. WireError: it is not what it announces.

    `object_pairs_hook` sees each JSON object, innermost first, and says what to keep: the rest is gone before the next
    is read.
    """
    kind = bytes(argument[:2])
    if kind not in {b"j:", b"s:"}:
        return bytes(argument)
    try:
        text = str(memoryview(argument)[2:], "utf-8")  # no second copy of what may be 30 MB
    except UnicodeDecodeError:
        raise WireError("an argument is not UTF-8") from None
    if kind == b"s:":
        return text
    # Each value has a comma or a bracket before it, those in texts counted in: searched at C's speed.
    if sum(text.count(sign) for sign in ",[{") > MAX_VALUES:
        raise WireError(f"an argument holds more than {MAX_VALUES} values")
    try:
        return json.loads(text, object_pairs_hook=object_pairs_hook)
    except (ValueError, RecursionError):
        # `from None`: the original error holds the whole document.
        raise WireError("an argument is not JSON") from None


class Decoder:
    """Frames out of a stream that may be cut anywhere. Memory grows with what came, not with what is announced."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._broken: str | None = None
        self._begin_frame()

    @property
    def mid_frame(self) -> bool:
        """A frame has begun and is not complete: an end of the stream now cuts it."""
        return self._state is not _State.HEAD

    def feed(self, data: Argument) -> list[Frame]:
        """The frames that `data` completes. WireError, from then on: garbage, or a frame past the limit."""
        if self._broken is not None:
            raise WireError(self._broken)
        frames: list[Frame] = []
        view = memoryview(data)
        while True:
            took = self._wanted - len(self._part)
            self._part += view[:took]
            view = view[took:]
            if len(self._part) < self._wanted:
                return frames
            frame = self._advance(self._part)
            if frame is not None:
                frames.append(frame)

    def _begin_frame(self) -> None:
        self._arguments: list[Argument] = []
        self._argument_count = 0
        self._frame_bytes = 1
        self._expect(_State.HEAD, 1)

    def _expect(self, state: _State, size: int) -> None:
        self._state = state
        self._wanted = size
        self._part = bytearray()

    def _advance(self, part: bytearray) -> Frame | None:
        match self._state:
            case _State.HEAD:
                if part[0] >> 4 != VERSION:
                    self._break(f"a frame begins with version {VERSION}, not {part[0] >> 4}")
                self._argument_count = part[0] & 0xF
                if self._argument_count:
                    self._expect(_State.LENGTH, 4)
            case _State.LENGTH:
                size = int.from_bytes(part, "big")
                self._frame_bytes += 4 + size
                if self._frame_bytes > self._max_frame_bytes:
                    self._break(f"a frame announces more than {self._max_frame_bytes} bytes")
                self._expect(_State.BODY, size)
            case _State.BODY:
                self._arguments.append(part)
                self._expect(_State.LENGTH, 4)
        if len(self._arguments) < self._argument_count:
            return None
        frame = tuple(self._arguments)
        self._begin_frame()
        return frame

    def _break(self, why: str) -> None:
        self._broken = why
        self._part = bytearray()
        raise WireError(why)
