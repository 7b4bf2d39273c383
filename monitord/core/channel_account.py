"""The account in which a channel's newest roots are published: where it is, what stands in it, what that says.

Packed, little-endian: a discriminator of 8 bytes, version and bump, the mint, the streamer's key, the latest label, and
a ring of nine slots: label, root, how many have claimed, and a bitmap of who has. A label's slot is its remainder by
nine. Hourly labels are multiples of nine: all share one slot, and only the newest published root is on chain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from monitord.core.merkle import Hash
from monitord.core.solana import decode, derived

SLOTS: Final = 9
# Of the bitmap in each slot, by version: a bit for each participant who may claim.
BITMAPS: Final = (1024, 512, 128)
_HEAD, _SLOT = 82, 42

State = Literal["OK", "BEHIND", "DIFFERENT", "MISSING", "SUPERSEDED"]


def account_size(bitmap: int) -> int:
    return _HEAD + SLOTS * (_SLOT + bitmap)


LONGEST: Final = account_size(max(BITMAPS))
_BITMAP_BY_SIZE: Final = {account_size(bitmap): bitmap for bitmap in BITMAPS}


@dataclass(frozen=True, slots=True)
class RingSlot:
    """One slot of the ring: its label in Unix seconds (0: never used), the root, and how many have claimed."""

    epoch: int
    root: bytes
    claimed: int


@dataclass(frozen=True, slots=True)
class ChannelAccount:
    version: int
    bump: int
    mint: bytes
    streamer: bytes
    latest: int
    slots: tuple[RingSlot, ...]
    bitmap: int

    @property
    def ring(self) -> dict[int, str]:
        """The roots that are there, in hex, by label."""
        return {slot.epoch: slot.root.hex() for slot in self.slots if slot.epoch}


def streamer_key(channel: str, keccak256: Hash, prefix: str = "channel:") -> bytes:
    """What a channel is called on chain; its letters of ASCII in lower case."""
    name = "".join(chr(ord(letter) | 32) if "A" <= letter <= "Z" else letter for letter in channel)
    return keccak256((prefix + name).encode())


def channel_address(program: str, mint: str, streamer: bytes) -> tuple[bytes, int]:
    """Where a channel's account is, and its bump. ValueError: program or mint is no address."""
    return derived((b"channel_state", decode(mint), streamer), decode(program))


def read(data: bytes) -> ChannelAccount:
    """What stands in a channel's account, of whichever version. ValueError: it is not as long as any."""
    bitmap = _BITMAP_BY_SIZE.get(len(data))
    if bitmap is None:
        raise ValueError(f"it has {len(data):,} bytes, and a channel's account one of {list(_BITMAP_BY_SIZE)}")
    slots = tuple(_slot(data, at) for at in range(_HEAD, len(data), _SLOT + bitmap))
    return ChannelAccount(data[8], data[9], data[10:42], data[42:74], _u64(data, 74), slots, bitmap)


def written(account: ChannelAccount) -> bytes:
    """A channel's account as it is stored, with nobody's claim marked."""
    head = bytes(8) + bytes((account.version, account.bump)) + account.mint + account.streamer
    slots = (
        slot.epoch.to_bytes(8, "little") + slot.root + slot.claimed.to_bytes(2, "little") + bytes(account.bitmap)
        for slot in account.slots
    )
    return b"".join((head, account.latest.to_bytes(8, "little"), *slots))


def compared(epoch: int, root: str, latest: int | None, ring: Mapping[int, str]) -> State:
    """How what is said to be published stands on chain, by an account's latest label (None: there is none) and ring.

    BEHIND: the account's newest label is older. DIFFERENT: it has the label with another root. SUPERSEDED: a newer
    label has taken its slot, or the account has gone past it.
    """
    if latest is None:
        return "MISSING"
    if epoch in ring:
        return "OK" if ring[epoch] == root else "DIFFERENT"
    newest = max((latest, *(label for label in ring if label % SLOTS == epoch % SLOTS)))
    return "BEHIND" if newest < epoch else "SUPERSEDED"


def _slot(data: bytes, at: int) -> RingSlot:
    return RingSlot(_u64(data, at), data[at + 8 : at + 40], int.from_bytes(data[at + 40 : at + 42], "little"))


def _u64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")
