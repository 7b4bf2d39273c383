"""What is usual of the pipeline by its own recent past: trees, categories, and how many take part at an hour."""

from collections.abc import Sequence
from statistics import median
from typing import Final

# Of what is usual: less than this is behind, or dropped.
HALF: Final = 0.5
# Labels, or days, before anything is called usual.
ENOUGH: Final = 3
# Fewer who took part than this on all days before are too few to compare.
FEW: Final = 20


def usual_share(shares: Sequence[float]) -> float | None:
    """The share (0 to 1) of a label's seals that usually have a tree: of the labels of which any has. None: of none."""
    some = [share for share in shares if share > 0]
    return median(some) if some else None


def behind(shares: Sequence[float]) -> int:
    """How many labels, the newest first, have no tree for any of their seals, or for far fewer than is usual."""
    usual = usual_share(shares)
    if usual is None:
        return 0
    many = 0
    while many < len(shares) and shares[many] < usual * HALF:
        many += 1
    return many


def lacks_categories(newest: float, before: Sequence[float]) -> bool:
    """Whether far fewer seals of the newest label have a category than usual, by the shares of the labels before."""
    if len(before) < ENOUGH:
        return False
    usual = median(before)
    return usual >= HALF and newest < usual * HALF


def has_dropped(now: int, before: Sequence[int]) -> bool:
    """Whether fewer take part than half of the fewest at the same hour of the days before."""
    return len(before) >= ENOUGH and min(before) >= FEW and now < min(before) * HALF
