"""A mapping of which each value is made when somebody asks for it, and then kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

V = TypeVar("V")


class LazyMapping(Mapping[str, V]):
    """Values by name, each by the function that makes it. What a function raises, whoever asks gets."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Mapping[str, Callable[[], V]]) -> None:
        self._make = make
        self._made: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        try:
            return self._made[name]
        except KeyError:
            found = self._made[name] = self._make[name]()
            return found

    def __contains__(self, name: Any) -> bool:
        return name in self._make

    def __iter__(self) -> Iterator[str]:
        return iter(self._make)

    def __len__(self) -> int:
        return len(self._make)
