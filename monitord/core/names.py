"""What a written name means: a shell pattern, unless there is a subject called exactly so. Exact names win."""

from __future__ import annotations

from collections.abc import Container, Iterable
from fnmatch import fnmatchcase
from typing import Final

EVERYTHING: Final = "*"
_SIGNS: Final = frozenset("*?[")


def is_pattern(written: str) -> bool:
    """Whether a written name may mean others than the one called so."""
    return not _SIGNS.isdisjoint(written)


def is_exact(written: str, known: Container[str]) -> bool:
    """Whether a written name means one subject only: it is no pattern, or something known is called exactly so.

    `*` is everything, whatever is called so.
    """
    return not is_pattern(written) or (written != EVERYTHING and written in known)


def means(written: str, name: str, known: Container[str] = ()) -> bool:
    """Whether `written` means what is called `name`, where these are the names that are known."""
    return written == name or (not is_exact(written, known) and fnmatchcase(name, written))


def any_means(written: Iterable[str], name: str, known: Container[str] = ()) -> bool:
    """Whether one of these written names means what is called `name`."""
    return any(means(each, name, known) for each in written)
