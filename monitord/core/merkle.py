"""Merkle roots of sealed epochs: leaves, nodes, roots and proofs, with the hash function handed in.

The fleet hashes with Keccak-256 (padding 0x01, not SHA3-256), which the standard library lacks; whoever recomputes a
root brings it. Leaves keep the order in which the participants were sealed (`idx`) and are never sorted, while the two
halves of a node are: a proof therefore needs no left and right.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

Hash: TypeAlias = Callable[[bytes], bytes]
"""A hash function: any bytes in, a digest of constant length out."""


def user_hash(username: str, keccak256: Hash) -> bytes:
    """The identity a participant is sealed under: the hash of the lower-case user name."""
    return keccak256(username.lower().encode())


def leaf(user_hash: bytes, channel: str, epoch: int, keccak256: Hash) -> bytes:
    """The leaf of one participant in one channel's seal.

    Args:
        user_hash: The participant's hash, as bytes (not hex).
        channel: The channel's name.
        epoch: The epoch's label, in seconds since 1970.
        keccak256: The hash function.

    Raises:
        OverflowError: The label is negative or does not fit 64 bits.
    """
    return keccak256(user_hash + channel.encode() + epoch.to_bytes(8, "little"))


def node(left: bytes, right: bytes, keccak256: Hash) -> bytes:
    """The parent of two nodes, whichever side each is on."""
    return keccak256(min(left, right) + max(left, right))


def levels(leaves: Sequence[bytes], keccak256: Hash) -> list[list[bytes]]:
    """The whole tree, the leaves first and the root's level of one last. An odd node pairs with itself.

    Raises:
        ValueError: There are no leaves: an epoch without participants has no root.
    """
    if not leaves:
        raise ValueError("a tree without leaves has no root")
    tree = [list(leaves)]
    while len(tree[-1]) > 1:
        below = tree[-1]
        tree.append(
            [
                node(below[i], below[i + 1] if i + 1 < len(below) else below[i], keccak256)
                for i in range(0, len(below), 2)
            ]
        )
    return tree


def root(leaves: Sequence[bytes], keccak256: Hash) -> bytes:
    """The root over leaves in their sealed order; one leaf is its own root.

    Raises:
        ValueError: There are no leaves.
    """
    return levels(leaves, keccak256)[-1][0]


def proof(leaves: Sequence[bytes], index: int, keccak256: Hash) -> list[bytes]:
    """What leads from the leaf at `index` up to the root: its sibling on each level, bottom first.

    Raises:
        IndexError: There is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} among {len(leaves)}")
    siblings = []
    for level in levels(leaves, keccak256)[:-1]:
        siblings.append(level[index ^ 1] if index ^ 1 < len(level) else level[index])
        index //= 2
    return siblings


def proves(leaf: bytes, siblings: Sequence[bytes], root: bytes, keccak256: Hash) -> bool:
    """Whether a proof leads from this leaf to this root."""
    for sibling in siblings:
        leaf = node(leaf, sibling, keccak256)
    return leaf == root
