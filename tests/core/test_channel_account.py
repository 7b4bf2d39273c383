"""A channel's account: where it is, how it is read in each of its versions, and what it says of a published root."""

from __future__ import annotations

from dataclasses import replace

import pytest
from Crypto.Hash import keccak

from monitord.core.channel_account import (
    BITMAPS,
    SLOTS,
    ChannelAccount,
    RingSlot,
    account_size,
    channel_address,
    compared,
    read,
    streamer_key,
    written,
)
from monitord.core.solana import decode, is_on_curve

PROGRAM = "GnGzNdsQMxMpJfMeqnkGPsvHm8kwaDidiKjNU2dCVZop"
MILO = "AAHd7u22jCMgmbF7ATkiY3BhkifD4MN3Vbsy4eYQGWN5"
LABEL = 1_762_308_000
ROOT = bytes.fromhex("6fce67da102af54283b0deb46e6d1880fb7670e6bbff240c149234f6333ee3b0")
EMPTY = (RingSlot(0, bytes(32), 0),) * SLOTS


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def account(*slots: RingSlot, latest: int = LABEL, bitmap: int = 1024) -> ChannelAccount:
    ring = list(EMPTY)
    for slot in slots:
        ring[slot.epoch % SLOTS] = slot
    return ChannelAccount(1, 254, decode(MILO), streamer_key("marlon", keccak256), latest, tuple(ring), bitmap)


def against(found: ChannelAccount | None) -> str:
    latest, ring = (None, {}) if found is None else (found.latest, found.ring)
    return compared(LABEL, ROOT.hex(), latest, ring)


@pytest.mark.parametrize(("bitmap", "size"), [(1024, 9676), (512, 5068), (128, 1612)])
def test_each_version_is_read_by_its_length(bitmap: int, size: int) -> None:
    assert bitmap in BITMAPS
    made = account(RingSlot(LABEL, ROOT, 17), RingSlot(LABEL + 4, ROOT[::-1], 1), bitmap=bitmap)
    data = written(made)
    assert len(data) == account_size(bitmap) == size
    assert read(data) == made
    assert data[74:82] == LABEL.to_bytes(8, "little")
    assert data[82 + 4 * (42 + bitmap) :][8:40] == ROOT[::-1]


def test_a_whole_bitmap_of_claims_changes_nothing_of_what_is_read() -> None:
    made = account(RingSlot(LABEL, ROOT, 628))
    data = bytearray(written(made))
    data[82 + 42 : 82 + 1066] = b"\xff" * 1024
    assert read(bytes(data)) == made


@pytest.mark.parametrize("size", [0, 82, 9675, 9677, 9676 + 1066])
def test_what_is_not_as_long_as_any_version_is_not_read(size: int) -> None:
    with pytest.raises(ValueError, match="and a channel's account one of"):
        read(bytes(size))


def test_every_hourly_label_falls_into_the_same_slot() -> None:
    assert {(LABEL + 3600 * hour) % SLOTS for hour in range(100)} == {0}


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (None, "MISSING"),
        (account(RingSlot(LABEL, ROOT, 0)), "OK"),
        (account(RingSlot(LABEL, ROOT[::-1], 0)), "DIFFERENT"),
        (account(RingSlot(LABEL - 3600, ROOT, 0), latest=LABEL - 3600), "BEHIND"),
        (account(latest=0), "BEHIND"),
        (account(RingSlot(LABEL + 3600, ROOT, 0), latest=LABEL + 3600), "SUPERSEDED"),
        # The label it names newest is not in its slot: somebody has gone past it.
        (account(RingSlot(LABEL + 4, ROOT, 0), latest=LABEL + 4), "SUPERSEDED"),
    ],
)
def test_what_is_said_to_be_published_is_held_against_the_account(found: ChannelAccount | None, state: str) -> None:
    assert against(found) == state


def test_a_label_that_is_still_in_the_ring_behind_a_newer_one_is_there() -> None:
    both = account(RingSlot(LABEL, ROOT, 0), RingSlot(LABEL + 10, ROOT[::-1], 0), latest=LABEL + 10)
    assert against(both) == "OK"
    assert against(replace(both, latest=0)) == "OK"


def test_a_channel_has_one_account_in_whatever_case_it_is_written_and_another_for_the_gateways_route() -> None:
    key = streamer_key("Marlon", keccak256)
    assert key == keccak256(b"channel:marlon") == streamer_key("marlon", keccak256)
    assert streamer_key("MARLÖN", keccak256) == keccak256("channel:marlÖn".encode())
    assert streamer_key("marlon", keccak256, "twitch:") == keccak256(b"twitch:marlon")
    address, bump = channel_address(PROGRAM, MILO, key)
    assert not is_on_curve(address)
    assert 0 <= bump <= 255
    assert channel_address(PROGRAM, MILO, streamer_key("marlon", keccak256, "twitch:"))[0] != address
