"""Addresses of Solana, by the vectors that its own libraries are tested with."""

from __future__ import annotations

import pytest

from monitord.core.solana import LOADER, SYSTEM, TOKENS, created, decode, derived, encode, is_on_curve

SEED_KEY = decode("SeedPubey1111111111111111111111111111111111")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        # Of the draft "The Base58 Encoding Scheme" (draft-msporny-base58-03).
        (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
        (
            b"The quick brown fox jumps over the lazy dog.",
            "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
        ),
        (bytes.fromhex("0000287fb4cd"), "11233QC4"),
        (b"", ""),
    ],
)
def test_base_58_is_that_of_the_draft(raw: bytes, text: str) -> None:
    assert encode(raw) == text


@pytest.mark.parametrize("text", [SYSTEM, LOADER, *TOKENS, "GnGzNdsQMxMpJfMeqnkGPsvHm8kwaDidiKjNU2dCVZop"])
def test_an_address_is_its_32_bytes_and_back(text: str) -> None:
    assert len(decode(text)) == 32
    assert encode(decode(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "0", "1", "1" * 33, "Tokenkeg0feZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "I" * 43, "z" * 44, "é" * 32, "1" * 10**6],
)
def test_what_is_no_address_says_so_in_a_short_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is no address of Solana") as caught:
        decode(text)
    assert len(str(caught.value)) < 100


# From solana-sdk (address/src/lib.rs) and @solana/addresses.
@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ((b"", b"\1"), "BwqrghZA2htAcqq8dzP1WDAhTXYTYWj7CHxF5j7TDBAe"),
        (("☉".encode(), b"\0"), "13yWmRpaTR4r5nAktwLqMpRNr28tnVUZw26rTvPSSB19"),
        ((b"Talking", b"Squirrels"), "2fnQrngrQT4SeLcdToJAD96phoEjNL2man2kfRLCASVk"),
        ((SEED_KEY, b"\1"), "976ymqVnfE32QFe6NfGDctSvVa36LWnvYxhU6G2232YL"),
    ],
)
def test_an_address_of_given_seeds_is_the_sdks(seeds: tuple[bytes, ...], expected: str) -> None:
    assert encode(created(seeds, decode(LOADER))) == expected


@pytest.mark.parametrize(
    ("program", "seeds", "expected", "bump"),
    [
        ("CZ3TbkgUYpDAJVEWpujQhDSgzNTeqbokrJmYa1j4HAZc", (), "9tVtkyCGAHSDDBPwz7895aC3p2gJRjpu2v26o35FTUco", 255),
        ("EfTbwNBrSqSuCNBhWUHsBoBdSMWgRU1S47daqRNgW7aK", (), "CKWT8KZ5GMzKpVRiAULWKPg1LiHt9U3NdAtbuTErHCTq", 251),
        (
            "FD3PDEvpQ9JXq8tv7FpJPyZrCjWkCnAaTju16gFPdpqP",
            (b"\1\2\3",),
            "9Tj3hpMWacDiZoBe94sjwJQ72zsUVvEQYsrqyy2CfHky",
            255,
        ),
        (
            "EKaNRGA37uiGRyRPMap5EZg9cmbT5mt7KWrGwKwAQ3rK",
            (b"hello",),
            "6V76gtKMCmVVjrx4sxR9uB868HtZbL3piKEmadC7rSgf",
            255,
        ),
        (
            "A5dcVPLJsE2vbf7hkqqyYkYDK9UjUfNxuwGtWF2m2vEz",
            ("🚀".encode(),),
            "GYpAzW57Ex4Sw3rp4pq95QrjvtsDyqZsMhSZwqz3NMsE",
            255,
        ),
        (
            LOADER,
            (decode("EYB1g5R8beNtVqDpKpmkKWtLdhBY8Wh7q3QT3U3fbw7y"),),
            "6HRdAxQMgxR9vxnfsfeYYuyyEabzJ8SiA3H2SJ4NFU9d",
            255,
        ),
    ],
)
def test_an_address_and_its_bump_are_found_as_the_libraries_find_them(
    program: str, seeds: tuple[bytes, ...], expected: str, bump: int
) -> None:
    address, found = derived(seeds, decode(program))
    assert (encode(address), found) == (expected, bump)
    assert created((*seeds, bytes((bump,))), decode(program)) == address


@pytest.mark.parametrize(
    ("text", "is_point"),
    [
        ("nick6zJc6HpW3kfBm4xS2dmbuVRyb5F3AnUvj5ymzR5", True),
        (SYSTEM, True),
        (TOKENS[0], True),
        ("CCMCWh4FudPEmY6Q1AVi5o8mQMXkHYkJUmZfzRGdcJ9P", False),
        ("2DRxyJDsDccGL6mb8PLMsKQTCU3C7xUq8aprz53VcW4k", False),
    ],
)
def test_a_key_is_a_point_of_the_curve_and_a_programs_address_is_none(text: str, is_point: bool) -> None:
    assert is_on_curve(decode(text)) is is_point


def test_seeds_have_their_limits() -> None:
    program = decode(LOADER)
    assert created((bytes(32),), program)
    for seeds in ((bytes(33),), (b"",) * 17):
        with pytest.raises(ValueError, match="at most 16 seeds of at most 32 bytes"):
            created(seeds, program)
    with pytest.raises(ValueError, match="at most 16 seeds"):
        derived((b"",) * 16, program)
