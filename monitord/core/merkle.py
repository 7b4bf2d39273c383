"""Merkle roots of sealed epochs: leaves, nodes, roots and proofs, with the hash function handed in.

The fleet hashes with Keccak-256 (padding 0x01, not SHA3-256), which the standard library lacks; whoever recomputes a
root brings it. Leaves keep the order in which the participants were sealed (`idx`) and are never sorted, while the two
halves of a node are: a proof therefore needs no left and right.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

_CHUNK_LEVELS: Final = 12
_CHUNK: Final = 1 << _CHUNK_LEVELS  # leaves

Hash: TypeAlias = Callable[[bytes], bytes]
"""A hash function: any bytes in, a digest of constant length out."""


def user_hash(username: str, keccak256: Hash) -> bytes:
    """The identity a participant is sealed under: the hash of the lower-case user name."""
    return keccak256(username.lower().encode())


def leaf(user_hash: bytes, channel: str, epoch: int, keccak256: Hash) -> bytes:
    """The leaf of one participant in one channel's seal. OverflowError: the label does not fit 64 bits."""
    return keccak256(user_hash + channel.encode() + epoch.to_bytes(8, "little"))


def node(left: bytes, right: bytes, keccak256: Hash) -> bytes:
    """The parent of two nodes, whichever side each is on."""
    return keccak256(min(left, right) + max(left, right))


def levels(leaves: Sequence[bytes], keccak256: Hash) -> list[list[bytes]]:
    """The whole tree, the leaves first, the root last; an odd node pairs with itself. ValueError: no leaves."""
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
    """The root over leaves in their sealed order; one leaf is its own root. ValueError: there are no leaves."""
    return levels(leaves, keccak256)[-1][0]


def proof(leaves: Sequence[bytes], index: int, keccak256: Hash) -> list[bytes]:
    """What leads from the leaf at `index` up to the root, bottom first. IndexError: there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} among {len(leaves)}")
    siblings = []
    for level in levels(leaves, keccak256)[:-1]:
        siblings.append(level[index ^ 1] if index ^ 1 < len(level) else level[index])
        index //= 2
    return siblings


def proves(leaf: bytes, siblings: Sequence[bytes], root: bytes, keccak256: Hash) -> bool:
    for sibling in siblings:
        leaf = node(leaf, sibling, keccak256)
    return leaf == root


class RootBuilder:
    """The root over leaves that come in sealed order, however many: it holds 4,096 of them and a node a level."""

    def __init__(self, keccak256: Hash) -> None:
        self._hash = keccak256
        self._leaves: list[bytes] = []
        # Of the levels above a whole chunk, lowest first: how many nodes each has had, and the one without its pair.
        self._seen: list[int] = []
        self._odd: list[bytes | None] = []
        self._raised_leaves = 0

    @property
    def count(self) -> int:
        return self._raised_leaves + len(self._leaves)

    def extend(self, leaves: Iterable[bytes]) -> None:
        self._leaves.extend(leaves)
        while len(self._leaves) > _CHUNK:  # the last chunk stays: whether it is whole is not known yet
            chunk, self._leaves = self._leaves[:_CHUNK], self._leaves[_CHUNK:]
            self._raised_leaves += _CHUNK
            self._add(self._raised(chunk, _CHUNK_LEVELS), 0)

    def root(self) -> bytes:
        """The root over all that was added; nothing can be added after it. ValueError: there are no leaves."""
        last = self._leaves
        if not self._seen:
            return root(last, self._hash)
        self._add(self._raised(last, _CHUNK_LEVELS), 0)
        level = 0
        while self._seen[level] > 1:
            odd = self._odd[level]
            if odd is not None:
                self._odd[level] = None
                self._add(node(odd, odd, self._hash), level + 1)
            level += 1
        top = self._odd[level]
        assert top is not None  # noqa: S101 - it is the one node of its level
        return top

    def _raised(self, nodes: list[bytes], levels: int) -> bytes:
        """The one node, so many levels up, over nodes that are not all there is on theirs."""
        keccak256 = self._hash
        for _ in range(levels):
            if len(nodes) % 2:
                nodes = [*nodes, nodes[-1]]
            pairs = zip(nodes[::2], nodes[1::2], strict=True)
            nodes = [keccak256(left + right if left <= right else right + left) for left, right in pairs]
        return nodes[0]

    def _add(self, added: bytes, level: int) -> None:
        while True:
            if level == len(self._seen):
                self._seen.append(0)
                self._odd.append(None)
            self._seen[level] += 1
            odd = self._odd[level]
            if odd is None:
                self._odd[level] = added
                return
            self._odd[level] = None
            added, level = node(odd, added, self._hash), level + 1
