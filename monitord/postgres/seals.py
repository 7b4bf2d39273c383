"""Reads seals and recomputes their roots from the participants that are kept, in constant memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitord.core.merkle import Hash, RootBuilder
from monitord.core.roots import Recomputed, Seal, Tree, Verification, verification
from monitord.failures import FailureError
from monitord.postgres import queries
from monitord.postgres.errors import NO_PRIVILEGE, UNDEFINED_COLUMN, UNDEFINED_TABLE, PostgresError
from monitord.postgres.participation import upper

if TYPE_CHECKING:
    from monitord.postgres.session import Connection

PAGE: Final = 8192  # participants, or seals
_BEFORE_ALL: Final = -(2**63)
_TREES: Final = "l2_tree_cache"
_SENTENCES: Final = {
    UNDEFINED_TABLE: "there is no table sealed_epochs, or no sealed_participants, in this database",
    UNDEFINED_COLUMN: "sealed_epochs or sealed_participants lacks one of its columns",
    NO_PRIVILEGE: "this role cannot read sealed_epochs or sealed_participants: it lacks SELECT, or a policy hides rows",
}


@dataclass(frozen=True, slots=True)
class SealSelection:
    """Which seals: those of labels from and to (Unix seconds), of one group or channel, or of all (None)."""

    first: int
    last: int
    group: str | None = None
    channel: str | None = None


def explained(error: PostgresError) -> FailureError:
    return FailureError(error.kind, _SENTENCES.get(error.state, error.error))


async def seals(
    connection: Connection, wanted: SealSelection, after: Seal | None = None, limit: int = PAGE
) -> list[Seal]:
    """The next `limit` seals behind `after`, the newest first."""
    key = (wanted.last + 1, "", "", "") if after is None else (after.epoch, after.channel, after.group, after.category)
    group = None if wanted.group is None else upper(wanted.group)
    rows = await connection.fetch(queries.SEALS, wanted.first, wanted.last, group, wanted.channel, *key, limit)
    return [Seal(row["epoch"], row["channel"], row["token_group"], row["category"], row["root"]) for row in rows]


async def sealed_for(connection: Connection, epoch: int, channel: str) -> list[Seal]:
    """Each seal of a channel under one label: of every group and category."""
    rows = await connection.fetch(queries.SEALED_FOR, epoch, channel)
    return [Seal(epoch, channel, row["token_group"], row["category"], row["root"]) for row in rows]


def names(several: Sequence[Seal]) -> tuple[str, ...]:
    """What the seals of one channel and label are for: their groups, with the category where a group has several."""
    groups = sorted(upper(seal.group) for seal in several)
    if len(set(groups)) == len(groups):
        return tuple(groups)
    return tuple(sorted({f"{upper(seal.group)} ({seal.category})" for seal in several}))


async def page(connection: Connection, epoch: int, channel: str, count: int) -> bytes:
    """The user hashes of one seal from index `count` on in sealed order, 32 bytes each; none after the last.

    FailureError: they are not all there (`missing`), or one is no hash (`protocol`).
    """
    row = await connection.fetchrow(queries.PARTICIPANTS, epoch, channel, count - 1 if count else _BEFORE_ALL, PAGE)
    assert row is not None  # noqa: S101 - an aggregate has a row
    found: int = row["participants"]
    if not found:
        return b""
    if row["first"] != count or row["last"] != count + found - 1:
        raise FailureError("missing", f"participants are missing between index {count} and {row['last']}")
    try:
        digits = bytes.fromhex(row["hashes"] or "")
    except ValueError:
        digits = b""
    if len(digits) != 32 * found:
        raise FailureError("protocol", f"not every participant from index {count} to {row['last']} is a hash")
    return digits


async def hashes(connection: Connection, epoch: int, channel: str) -> AsyncIterator[bytes]:
    """The user hashes of one seal in sealed order, a page at a time. Raises FailureError as `page`."""
    count = 0
    while digits := await page(connection, epoch, channel, count):
        count += len(digits) // 32
        yield digits
        if count % PAGE:
            return


def leaves(digits: bytes, channel: str, epoch: int, keccak256: Hash) -> list[bytes]:
    """The leaves of user hashes one behind the other (core.merkle.leaf). OverflowError: a negative label."""
    rest = channel.encode() + epoch.to_bytes(8, "little")
    return [keccak256(digits[at : at + 32] + rest) for at in range(0, len(digits), 32)]


async def recomputed(connection: Connection, epoch: int, channel: str, keccak256: Hash) -> Recomputed:
    builder = RootBuilder(keccak256)
    try:
        async for digits in hashes(connection, epoch, channel):
            builder.extend(leaves(digits, channel, epoch, keccak256))
        return Recomputed(builder.count, builder.root().hex())
    except FailureError as error:
        return Recomputed(builder.count, None, error.error)
    except ValueError:
        return Recomputed(0, None, "none of its participants is kept")


async def tree_of(connection: Connection, epoch: int, channel: str) -> Tree | None:
    """What the tree cache has of a seal; None where it has nothing, or there is none."""
    (there,) = await connection.fetch(queries.PRESENT, [_TREES])
    if not there["there"]:
        return None
    row = await connection.fetchrow(queries.TREE, epoch, channel)
    return None if row is None else Tree(row["root"] or "", row["participants"])


async def verify(connection: Connection, seal: Seal, keccak256: Hash) -> Verification:
    return await judged(connection, seal, await recomputed(connection, seal.epoch, seal.channel, keccak256))


async def judged(connection: Connection, seal: Seal, found: Recomputed) -> Verification:
    """What a recomputation says. The tree cache is asked of what does not match only: its index is not known."""
    plainly = verification(seal, found, ())
    if plainly.result == "MATCH":
        return plainly
    several = await sealed_for(connection, seal.epoch, seal.channel)
    return verification(seal, found, names(several), await tree_of(connection, seal.epoch, seal.channel))
