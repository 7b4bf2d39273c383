"""The numbers that an app reports to PM2, as PM2 holds them in `axm_monitor`: its event loop, its heap, its own.

A reading has those of one process as one word, `Event Loop Latency p95: 3.65 ms | Heap Usage: 60.1 %`: ten samples of
each of a thousand apps would double what a cycle costs. Whether any of them moved is then one comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Final

from monitord.core.copying import slot_by_slot
from monitord.core.names import distinct

# What PM2's own instrumentation (@pm2/io, which every Node app under PM2 is started with) calls its figures.
LOOP_P95: Final = "Event Loop Latency p95"
LOOP: Final = "Event Loop Latency"
HEAP_USED: Final = "Used Heap Size"
HEAP_SIZE: Final = "Heap Size"
HTTP_P95: Final = "HTTP P95 Latency"
HEAP_USAGE: Final = "Heap Usage"
HTTP_MEAN: Final = "HTTP Mean Latency"
HTTP_RATE: Final = "HTTP"
HANDLES: Final = "Active handles"
REQUESTS: Final = "Active requests"
KNOWN: Final = (
    *(LOOP_P95, LOOP, HEAP_USED, HEAP_SIZE, HTTP_P95),
    *(HTTP_MEAN, HTTP_RATE, HANDLES, REQUESTS, HEAP_USAGE),
)

# How PM2's own figures may be called for short.
_SHORT: Final = {name.casefold().replace(" latency", ""): name.casefold() for name in KNOWN}
LONGEST_NAME: Final = 48
_BETWEEN: Final = " | "
_IS: Final = ": "
_MOST_CHOICES: Final = 16  # of one form: orders change, and how many numbers there are in all
_MILLISECONDS: Final[Mapping[str, float]] = {"ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}
_BYTES: Final[Mapping[str, float]] = {
    "B": 1.0,
    **{f"{letter}B": 1000.0**power for power, letter in enumerate("kMGT", 1)},
    **{f"{letter}iB": 1024.0**power for power, letter in enumerate("KMGT", 1)},
    "KB": 1000.0,
}


@slot_by_slot
@dataclass(frozen=True, slots=True)
class AppNumber:
    """One number of an app, in the unit that it reports ("": in none)."""

    value: float
    unit: str


def number_name(name: str) -> str:
    """The name by which a word has a number: short, printable, and without what stands between two numbers."""
    return distinct(name.strip() or "unnamed", LONGEST_NAME).replace("|", "/").strip()


Pick = Callable[[tuple[bytes, ...]], object]


class WordForm:
    """What a word is but for its numbers: under which names and in which units they stand, in which order."""

    __slots__ = ("_chosen", "_names", "_parts")

    def __init__(self, names: Sequence[str], units: Sequence[str]) -> None:
        """A form of plain names, no two alike, each with its unit ("": none)."""
        self._names = tuple(names)
        self._parts = [
            f"{name}{_IS}".replace("%", "%%") + "%b" + f" {unit}".rstrip().replace("%", "%%")
            for name, unit in zip(names, units, strict=True)
        ]
        self._chosen: dict[tuple[int, tuple[str, ...]], tuple[bytes, Pick]] = {}

    def template(self, most: int, wanted: tuple[str, ...] = ()) -> tuple[bytes, Pick]:
        """The word with places for so many numbers, those `wanted` first, and what picks these of all."""
        chosen = self._chosen.get((most, wanted))
        if chosen is not None:
            return chosen
        places = list(range(len(self._names)))
        if wanted:
            sought = {name.casefold() for name in wanted} | {same_number(name) for name in wanted}
            places.sort(key=lambda place: self._names[place].casefold() not in sought)
        del places[most:]
        # One place alone picks no tuple, and needs none.
        chosen = _BETWEEN.join([self._parts[place] for place in places]).encode(), itemgetter(*places)
        if len(self._chosen) >= _MOST_CHOICES:
            self._chosen.clear()
        self._chosen[most, wanted] = chosen
        return chosen


def written(word: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in word.split(_BETWEEN) if word else ():
        name, _, written_as = part.rpartition(_IS)
        found[name] = written_as
    return found


def number(written_as: str | None) -> AppNumber | None:
    value, _, unit = (written_as or "").partition(" ")
    try:
        return AppNumber(float(value), unit)
    except ValueError:
        return None


def figure(word: str, name: str) -> AppNumber | None:
    return number(_one(word, name))


def milliseconds_of(word: str, name: str) -> float | None:
    """One number of such a word that is a duration, in ms; None where it has none, or that is in another unit."""
    value, _, unit = (_one(word, name) or "").partition(" ")
    factor = _MILLISECONDS.get(unit)
    try:
        return None if factor is None else float(value) * factor
    except ValueError:
        return None


def _one(word: str, name: str) -> str | None:
    first, later = _heads(name)
    _, found, rest = word.partition(later)
    if not found:
        if not word.startswith(first):
            return None
        rest = word[len(first) :]
    return rest.partition(_BETWEEN)[0]


@lru_cache(maxsize=256)
def _heads(name: str) -> tuple[str, str]:
    return f"{name}{_IS}", f"{_BETWEEN}{name}{_IS}"


def called(word: str, name: str) -> AppNumber | None:
    """The number of such a word that somebody calls so: in whatever case, PM2's own also without `Latency`."""
    if (exact := figure(word, name)) is not None:
        return exact
    sought = (name.casefold(), same_number(name))
    return next((number(told) for own, told in written(word).items() if own.casefold() in sought), None)


def same_number(name: str) -> str:
    """What is the same of two names that somebody may call the same number by."""
    plain = name.casefold()
    return _SHORT.get(plain, plain)


def moves(word: str) -> bool:
    """Whether a word is of an app whose numbers move each second for as long as its event loop turns.

    It is where PM2's own instrumentation reports its heap: the reporting itself takes memory.
    """
    return f"{HEAP_USED}{_IS}" in word


def milliseconds(number: AppNumber | None) -> float | None:
    return _in(number, _MILLISECONDS)


def size(number: AppNumber | None) -> float | None:
    return _in(number, _BYTES)


def _in(number: AppNumber | None, units: Mapping[str, float]) -> float | None:
    factor = units.get(number.unit) if number is not None else None
    return None if number is None or factor is None else number.value * factor


def largest(words: Sequence[str]) -> dict[str, str]:
    """The numbers of a service with several instances as they are written: the largest that any reports, by name."""
    found = written(words[0]) if words else {}
    for word in words[1:]:
        for name, written_as in written(word).items():
            known, other = number(found.get(name)), number(written_as)
            if known is None or (other is not None and other.value > known.value):
                found[name] = written_as
    return found
