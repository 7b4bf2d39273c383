"""What an app reports to PM2 by `axm:monitor`: read as PM2's list holds it, and bounded, whatever the app sends.

PM2 7.0 was seen to hold, of a Node app that does nothing for it (its @pm2/io reports all of it once a second):

| name | value | unit |
|---|---|---|
| `Event Loop Latency`, `Event Loop Latency p95` | `"3.65"` | `ms` |
| `Used Heap Size`, `Heap Size` | `"6.45"` | `MiB` |
| `Heap Usage` (used of size, which grows) | `60.04` | `%` |
| `Active handles`, `Active requests` | `3` | |
| once it has answered HTTP: `HTTP`, `HTTP Mean Latency`, `HTTP P95 Latency` | `12` | `req/min`, `ms` |

An app that blocks its loop for 2 s every 10 s is at a p95 of 1031 to 1999 ms: the delay is taken once a second, so that
of a longer block only what goes past that second is seen, and it is one tick however long it was. One that is blocked
for good sends nothing: its numbers stand as they were. An app in another language has none, nor has one that was begun
with `pmx: false`.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final, cast

from msgspec import Raw, UnsetType, json

from monitord.core.app_numbers import KNOWN, count, first, number_name, packed

from .monitor_data import Number

MOST_PER_APP: Final = 16
MOST_IN_ALL: Final = 6_000
_MOST_READ: Final = 200  # an app may send thousands: no more of them are read
_MOST_TEXT: Final = 48
_MOST_UNIT: Final = 12
_LARGEST: Final = 1e18
_WITH_UNIT: Final = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*([^\s\d]\S*)\s*")
_HEAP_OPTION: Final = re.compile(r"--max[-_]old[-_]space[-_]size(?:=|\s+)(\d{1,9})(?!\S)")
_HEAP_WORD: Final = b"space"
_MIB: Final = 2**20
_NUMERIC: Final = frozenset({int, float})  # a bool is none


def word(entries: Mapping[str, Number]) -> str:
    """What an app reports as one word, at most 16 numbers: PM2's own figures first where it reports more."""
    if len(entries) > MOST_PER_APP:
        known = [(name, entries[name]) for name in KNOWN if name in entries]
        entries = dict((*known, *list(entries.items())[:_MOST_READ]))
    found: dict[str, str] = {}
    for name, entry in entries.items():
        value, (called, unit) = entry.value, _called(name, entry.unit)
        text = _plainly(value, unit) if isinstance(value, str) else ""
        text = text or _number_text(value, entry.unit)
        if text and called not in found:
            found[called] = text
            if len(found) == MOST_PER_APP:
                break
    return packed(found)


def _plainly(value: str, unit: str) -> str:
    """A number as text with its unit, as nearly each is of ten thousand that are read in a cycle; "" of all else."""
    try:
        if len(value) <= _MOST_TEXT and -_LARGEST <= float(value) <= _LARGEST:
            return value.strip() + unit
    except ValueError:
        pass
    return ""


@lru_cache(maxsize=4096)
def _called(name: str, unit: object) -> tuple[str, str]:
    """What a number is called in a word, and how its unit follows it."""
    known = _unit(unit) if isinstance(unit, str) else ""
    return number_name(name), f" {known}" if known else ""


def _number_text(value: object, unit: object) -> str:
    """A value and its unit as they are written in a word; "" for what is no number."""
    if isinstance(value, str):
        written = value.strip()
        if len(written) > _MOST_TEXT:
            return ""
        try:
            number = float(written)
        except ValueError:
            parts = _WITH_UNIT.fullmatch(written)
            if parts is None:
                return ""
            number, written, unit = float(parts[1]), parts[1], unit or parts[2]
    elif value.__class__ in _NUMERIC:
        number, written = cast("float", value), repr(value)
    else:
        return ""
    if not -_LARGEST <= number <= _LARGEST:  # nor are `NaN` and what is infinite
        return ""
    known = _unit(unit) if isinstance(unit, str) else ""
    return f"{written} {known}" if known else written


@lru_cache(maxsize=512)
def _unit(unit: str) -> str:
    return "".join(c for c in unit[:_MOST_UNIT] if c.isprintable() and c not in " |:")


def heap_limit(options: Raw | UnsetType) -> int | None:
    """The most heap that Node may use (`--max-old-space-size`), in bytes; of several options the last counts.

    `options` are an interpreter's arguments, or NODE_OPTIONS, as JSON, of which nothing else is read.
    """
    if not isinstance(options, Raw) or _HEAP_WORD not in (written := bytes(options)):
        return None
    try:
        given = json.decode(written)
    except ValueError:
        return None
    line = " ".join(map(str, given[:_MOST_READ])) if isinstance(given, list) else str(given)
    limits = _HEAP_OPTION.findall(line[:65_536])
    return int(limits[-1]) * _MIB or None if limits else None


def within(words: Sequence[str], wanted: Callable[[int], Collection[str]] = lambda _: ()) -> Sequence[str]:
    """The words of all apps. Where there are too many numbers in all, each app keeps its first few.

    `wanted` are the numbers of an app, by its place, that are kept before all others.
    """
    apps_by_count = Counter(map(count, words))
    most = MOST_PER_APP
    while most > 1 and sum(min(most, one) * apps for one, apps in apps_by_count.items()) > MOST_IN_ALL:
        most -= 1
    if most == MOST_PER_APP:
        return words
    return [first(word, most, wanted(place)) for place, word in enumerate(words)]
