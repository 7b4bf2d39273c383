"""What a recomputed root shows of a seal: it is the stored one, it is not, or that cannot be verified."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from monitord.core import humanize

Result = Literal["MATCH", "MISMATCH", "UNVERIFIABLE"]
RESULTS: Final[tuple[Result, ...]] = ("MATCH", "MISMATCH", "UNVERIFIABLE")
_SHORT = 12  # of a root's hex digits, in a sentence


@dataclass(frozen=True, slots=True)
class Seal:
    """One row of sealed_epochs; `epoch` is its label in Unix seconds, `root` as it is stored."""

    epoch: int
    channel: str
    group: str
    category: str
    root: str


@dataclass(frozen=True, slots=True)
class Recomputed:
    """The root over the participants that are kept, in hex; None with the reason where there is none."""

    participants: int
    root: str | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Tree:
    """What l2_tree_cache has of a seal."""

    root: str
    participants: int | None


@dataclass(frozen=True, slots=True)
class Verification:
    """A seal and what its recomputation says; `reason` is "" for a match."""

    seal: Seal
    result: Result
    participants: int
    reason: str = ""


def plain(root: str | None) -> str:
    """A root as hex digits in lower case, without 0x; "" where there is none."""
    return (root or "").strip().lower().removeprefix("0x")


def verification(seal: Seal, found: Recomputed, sealed_for: Sequence[str], tree: Tree | None = None) -> Verification:
    """What the participants that are kept say of a seal.

    `sealed_for` are the groups and categories of its channel and label: of more than one, they may be another's, as
    their key has no group. `tree` is what the tree cache has, where it was asked.
    """
    stored = plain(seal.root)
    if found.root is not None and found.root == stored:
        return Verification(seal, "MATCH", found.participants)
    reason = _unverifiable(found, sealed_for, tree)
    if reason:
        return Verification(seal, "UNVERIFIABLE", found.participants, reason)
    assert found.root is not None  # noqa: S101 - else there is a reason
    return Verification(seal, "MISMATCH", found.participants, _difference(stored, found, tree))


def _unverifiable(found: Recomputed, sealed_for: Sequence[str], tree: Tree | None) -> str:
    if len(sealed_for) > 1:
        return (
            f"it is sealed for {humanize.listed(list(sealed_for))}, which share the key of its participants: "
            "those that are kept may be another's"
        )
    if found.root is None:
        return found.trouble
    if tree is not None and tree.participants is not None and tree.participants > found.participants:
        kept = humanize.count(found.participants)
        return f"participants are missing: {kept} are kept, and its tree has {humanize.count(tree.participants)}"
    return ""


def _difference(stored: str, found: Recomputed, tree: Tree | None) -> str:
    assert found.root is not None  # noqa: S101 - asked by the caller
    who = humanize.plural(found.participants, "participant")
    gives = "gives" if found.participants == 1 else "give"
    difference = f"the stored root is {_short(stored)}, its {who} {gives} {_short(found.root)}"
    if tree is None:
        return difference
    cached = plain(tree.root)
    whose = "the stored one" if cached == stored else "the recomputed one" if cached == found.root else _short(cached)
    return f"{difference}; the root in the tree cache is {whose}"


def _short(root: str) -> str:
    if not root:
        return "empty"
    return root if len(root) <= _SHORT else f"{root[:_SHORT]}…"
