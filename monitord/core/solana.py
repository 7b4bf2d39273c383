"""Addresses of Solana: 32 bytes, written in base 58, and those that a program derives of seeds."""

import hashlib
from collections.abc import Sequence
from typing import Final

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
SIZE: Final = 32
SYSTEM: Final = "11111111111111111111111111111111"
LOADER: Final = "BPFLoaderUpgradeab1e11111111111111111111111"
TOKENS: Final = ("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")

_DIGITS: Final = {character: value for value, character in enumerate(ALPHABET)}
_LONGEST: Final = 44  # characters of an address
_MOST_SEEDS: Final = 16
_MARK: Final = b"ProgramDerivedAddress"
# The field and the constant of the curve ed25519.
_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P


def encode(raw: bytes) -> str:
    """Bytes in base 58; each leading zero byte is a 1."""
    number, digits = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + digits


def decode(text: str) -> bytes:
    """An address as its 32 bytes. ValueError: it is none."""
    number = 0
    try:
        for character in text if len(text) <= _LONGEST else "":
            number = number * len(ALPHABET) + _DIGITS[character]
        raw = bytes(len(text) - len(text.lstrip("1"))) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    except KeyError:
        raw = b""
    if len(raw) != SIZE:
        raise ValueError(f"{text[:_LONGEST]!r} is no address of Solana")
    return raw


def is_on_curve(raw: bytes) -> bool:
    """Whether 32 bytes are a point of ed25519, as a public key is and an address that a program derives is not."""
    y = int.from_bytes(raw, "little") & ~(1 << 255)
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    # x² is u/v: there is an x where that is a square, which u·v is as well.
    return pow(u * v, (_P - 1) // 2, _P) != _P - 1


def created(seeds: Sequence[bytes], program: bytes) -> bytes:
    """The address that a program has of just these seeds. ValueError: they give none, or a point of the curve."""
    if len(seeds) > _MOST_SEEDS or any(len(seed) > SIZE for seed in seeds):
        raise ValueError(f"a program's address is made of at most {_MOST_SEEDS} seeds of at most {SIZE} bytes")
    address = hashlib.sha256(b"".join((*seeds, program, _MARK))).digest()
    if is_on_curve(address):
        raise ValueError("a point of the curve is no address of a program")
    return address


def derived(seeds: Sequence[bytes], program: bytes) -> tuple[bytes, int]:
    """An address derived of seeds and its bump, the highest off the curve. ValueError: a seed too long, or too many."""
    if len(seeds) >= _MOST_SEEDS or any(len(seed) > SIZE for seed in seeds):
        raise ValueError(f"a program's address is made of at most {_MOST_SEEDS} seeds of at most {SIZE} bytes")
    for bump in range(255, -1, -1):
        address = hashlib.sha256(b"".join((*seeds, bytes((bump,)), program, _MARK))).digest()
        if not is_on_curve(address):
            return address, bump
    raise ValueError("there is no bump for these seeds")
