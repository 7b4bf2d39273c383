"""Frames survive every way a stream can be cut, and what is no frame is refused early and quietly."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitord.pm2 import wire

SECRET = "hunter2-in-the-environment"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcé", max_size=3), inner, max_size=4),
    max_leaves=10,
)
arguments = st.lists(
    json_values.filter(lambda value: not isinstance(value, str))
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary().filter(lambda blob: blob[:2] not in (b"j:", b"s:")),
    max_size=15,
)


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(index % (len(stream) + 1) for index in at), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@settings(deadline=None)
@given(messages=st.lists(arguments, min_size=1, max_size=4), at=st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_come_back_as_they_were_however_the_stream_is_cut(messages: list[list[object]], at: list[int]) -> None:
    decoder = wire.Decoder()
    stream = b"".join(wire.encode(message) for message in messages)
    frames = [frame for chunk in cut(stream, at) for frame in decoder.feed(chunk)]
    assert [[wire.unpack(argument) for argument in frame] for frame in frames] == messages
    assert not decoder.mid_frame


def test_a_frame_is_what_pm2_itself_writes() -> None:
    # Taken from the socket of PM2 7.0.4: the answer to a ping with the id 1:1.
    seen = b'\x12\x00\x00\x00\x1bj:{"args":[{"msg":"pong"}]}\x00\x00\x00\x05s:1:1'
    (frame,) = wire.Decoder().feed(seen)
    assert [wire.unpack(argument) for argument in frame] == [{"args": [{"msg": "pong"}]}, "1:1"]
    assert wire.encode([{"args": [{"msg": "pong"}]}, "1:1"]) == seen


@settings(deadline=None)
@given(message=arguments.filter(bool), cut_at=st.integers(1, 10_000))
def test_half_a_frame_gives_nothing_and_is_known_to_be_half(message: list[object], cut_at: int) -> None:
    stream = wire.encode(message)
    decoder = wire.Decoder()
    assert decoder.feed(stream[: 1 + cut_at % (len(stream) - 1)]) == []
    assert decoder.mid_frame


@settings(deadline=None)
@given(garbage=st.binary(min_size=1).filter(lambda data: data[0] >> 4 != wire.VERSION))
def test_garbage_is_refused_at_its_first_byte(garbage: bytes) -> None:
    with pytest.raises(wire.WireError, match="begins with version"):
        wire.Decoder().feed(garbage)


@settings(deadline=None)
@given(noise=st.binary(max_size=200))
def test_noise_gives_frames_or_a_wire_error_and_nothing_else(noise: bytes) -> None:
    decoder = wire.Decoder(max_frame_bytes=1000)
    try:
        for frame in decoder.feed(noise):
            for argument in frame:
                wire.unpack(argument)
    except wire.WireError:
        return


def test_a_frame_that_announces_too_much_is_refused_before_it_comes() -> None:
    with pytest.raises(wire.WireError, match="more than 100 bytes"):
        wire.Decoder(max_frame_bytes=100).feed(b"\x11" + (101).to_bytes(4, "big"))


def test_many_small_arguments_count_together_towards_the_limit() -> None:
    stream = wire.encode([b"x" * 40] * 3)
    assert wire.Decoder(max_frame_bytes=len(stream)).feed(stream)
    with pytest.raises(wire.WireError, match="more than"):
        wire.Decoder(max_frame_bytes=len(stream) - 1).feed(stream)


def test_a_stream_that_broke_once_stays_broken() -> None:
    decoder = wire.Decoder()
    with pytest.raises(wire.WireError):
        decoder.feed(b"HTTP/1.1 400 Bad Request")
    with pytest.raises(wire.WireError):
        decoder.feed(wire.encode(["good"]))


@pytest.mark.parametrize(
    "argument",
    [
        b"j:{" + SECRET.encode(),
        b"j:" + b"[" * 200_000,
        b"j:" + b"9" * 5_000,
        b"j:",
        b"s:\xff" + SECRET.encode(),
        b'j:"\xff"',
    ],
    ids=["cut", "deeper than any stack", "longer than any number", "empty", "text not UTF-8", "JSON not UTF-8"],
)
def test_an_argument_that_is_not_what_it_says_is_a_wire_error_that_quotes_nothing(argument: bytes) -> None:
    with pytest.raises(wire.WireError) as caught:
        wire.unpack(argument)
    assert SECRET not in str(caught.value)


def test_a_hook_decides_what_is_kept_of_each_object() -> None:
    document = json.dumps({"keep": 1, "env": {"PASSWORD": SECRET}}).encode()
    kept = wire.unpack(b"j:" + document, object_pairs_hook=lambda pairs: {k: v for k, v in pairs if k == "keep"})
    assert kept == {"keep": 1}


def test_more_arguments_than_the_head_can_count_are_refused() -> None:
    with pytest.raises(wire.WireError, match="at most 15"):
        wire.encode([0] * 16)


@pytest.mark.parametrize("json_text", [b"[" + b"[]," * 1_000_000 + b"[]]", b"[" * 100_000, b'{"a":' * 100_000])
def test_an_argument_of_more_values_or_depth_than_any_answer_has_is_refused(json_text: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.unpack(b"j:" + json_text)
