"""Keccak-256 as Ethereum and this fleet hash (padding 0x01), which is not hashlib's SHA3-256."""

from __future__ import annotations

from typing import Final

from monitord.core.merkle import Hash
from monitord.failures import FailureError

INSTALL: Final = "Keccak-256 is not installed: pip install 'monitord[verify]'"


def load_keccak256() -> Hash:
    """The hash function, whose library is imported here and not before, or FailureError.

    safe-pysha3 takes 0.8 µs a hash and pycryptodome 4.7: verification is to reach 200,000 leaves a second on one core.
    """
    try:
        from sha3 import keccak_256
    except ImportError:
        raise FailureError("missing", INSTALL) from None

    def keccak256(data: bytes) -> bytes:
        digest: bytes = keccak_256(data).digest()
        return digest

    return keccak256
