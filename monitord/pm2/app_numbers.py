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
from typing import Final, NamedTuple, cast
from weakref import WeakValueDictionary

from msgspec import Raw, UnsetType, json

from monitord.core.app_numbers import KNOWN, WordForm, number_name, of_all

from . import monitor_data
from .monitor_data import Number

MOST_PER_APP: Final = 16
MOST_IN_ALL: Final = 6_000
_MOST_READ: Final = 200  # an app may send thousands: no more of them are read
_MOST_TEXT: Final = 48
_MOST_UNIT: Final = 12
_LARGEST: Final = 1e18
_WITH_UNIT: Final = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*([^\s\d]\S*)\s*")
_VALUE: Final = b'"value":'
_LONGEST_LAYOUT: Final = 4096  # of PM2's JSON of an app, in bytes
_MOST_LAYOUTS: Final = 64  # a millisecond and 10 kB each
# A number as nearly each of ten thousand is written that are read in a cycle.
_NUMBER: Final = rb"-?+[0-9]{1,15}+(?:\.[0-9]{1,30}+)?+"
# One without quotes that is written as Python writes it once it has been decoded: no zeros at the end, at most 15
# digits where it has a point, none so small that it has an exponent.
_AS_DECODED: Final = (
    rb"(?:-?+[1-9][0-9]{0,14}+(?:(?<![0-9]{9})\.[0-9]{0,6}[1-9])?+|-?+0\.(?!0000)[0-9]{0,6}[1-9]|0)(?![0-9.])"
)
_START: Final = re.compile(rb'("?)' + _NUMBER)
_HEAP_OPTION: Final = re.compile(r"--max[-_]old[-_]space[-_]size(?:=|\s+)(\d{1,9})(?!\S)")
_HEAP_WORD: Final = b"space"
_MIB: Final = 2**20
_NUMERIC: Final = frozenset({int, float})  # a bool is none


class Layout:
    """How PM2 writes an app whose numbers alone change: `match` finds all else as it is, with a group for each number.

    `bare` are the groups of those that PM2 writes without quotes. `plain` is the same where each of them is written as
    it is once it has been decoded, which most are.
    """

    __slots__ = ("__weakref__", "bare", "match", "plain")

    def __init__(self, between: Sequence[bytes]) -> None:
        """A layout with a number between each two of these."""
        self.bare = frozenset(place for place, one in enumerate(between[:-1]) if not one.endswith(b'"'))
        self.plain = _found_by(between, dict.fromkeys(self.bare, _AS_DECODED))
        self.match = _found_by(between, {}) if self.bare else self.plain


def _found_by(between: Sequence[bytes], of_place: Mapping[int, bytes]) -> Callable[[Raw], re.Match[bytes] | None]:
    parts = [re.escape(one) + b"(" + of_place.get(place, _NUMBER) + b")" for place, one in enumerate(between[:-1])]
    pattern = re.compile(b"".join(parts) + re.escape(between[-1]))
    return cast("Callable[[Raw], re.Match[bytes] | None]", pattern.fullmatch)  # it takes any buffer


class KnownNumbers(NamedTuple):
    """How an app reports, how PM2 writes that (None: unknown, or not at all), and the hash of what is `between`."""

    form: WordForm
    layout: Layout | None = None
    between: int = 0


Values = tuple[bytes, ...]
_NONE: Final[tuple[None, Values]] = (None, ())
# Those that are in use, by what stands between the numbers.
_layouts: Final[WeakValueDictionary[tuple[bytes, ...], Layout]] = WeakValueDictionary()


def read(raw: Raw | None, known: KnownNumbers | None = None) -> tuple[KnownNumbers | None, Values]:
    """The numbers that an app reports, at most 16: PM2's own figures first where it reports more.

    `raw` is PM2's own JSON (None: nothing), and `known` is what the list before has shown: nearly always PM2 writes the
    same but for the numbers, which are then taken out of it, and nothing is decoded.
    """
    if raw is None:
        return _NONE
    if known is not None and (layout := known.layout) is not None:
        if (found := layout.plain(raw)) is not None:
            return known, found.groups()
        if layout.bare and (found := layout.match(raw)) is not None:
            return known, _as_decoded(found.groups(), layout.bare)
    entries = monitor_data.numbers(raw)
    numbers = _read(entries) if entries else None
    if numbers is None or entries is None:
        return _NONE
    form, values = numbers
    if len(values) != len(entries) or (between := _between(bytes(memoryview(raw)), len(values))) is None:
        return KnownNumbers(form), values
    hashed = hash(between)
    # What is another in each list is never the same again.
    is_same = known is not None and known.between == hashed
    return KnownNumbers(form, _layout(between, list(entries)) if is_same else None, hashed), values


def _as_decoded(values: Values, bare: Collection[int]) -> Values:
    """The numbers, those without quotes as they are written once they have been decoded."""
    return tuple(repr(json.decode(value)).encode() if place in bare else value for place, value in enumerate(values))


def _between(raw: bytes, count: int) -> tuple[bytes, ...] | None:
    """What PM2 writes before, between and after so many numbers; None where not each is written as most are."""
    first, *parts = raw.split(_VALUE)
    starts = [found for part in parts if (found := _START.match(part))]
    if len(raw) > _LONGEST_LAYOUT or len(parts) != count or len(starts) != count:
        return None
    pieces = [first]
    for part, start in zip(parts, starts, strict=True):
        pieces[-1] += _VALUE + start[1]
        pieces.append(part[start.end() :])
    return tuple(pieces)


def _layout(between: tuple[bytes, ...], names: Sequence[str]) -> Layout | None:
    """The layout of numbers of these names with this between them; None where it is none, or there are too many."""
    if (layout := _layouts.get(between)) is not None or len(_layouts) >= _MOST_LAYOUTS:
        return layout
    # Whatever numbers stand there, they are to be those of these names.
    counted = b"".join(b"%b%d" % (piece, place) for place, piece in enumerate(between[:-1])) + between[-1]
    read_back = [(name, str(one.value)) for name, one in (monitor_data.numbers(counted) or {}).items()]
    if read_back != [(name, str(place)) for place, name in enumerate(names)]:
        return None
    layout = _layouts[between] = Layout(between)
    return layout


def _read(entries: Mapping[str, Number]) -> tuple[WordForm, Values] | None:
    if len(entries) > MOST_PER_APP:
        known = [(name, entries[name]) for name in KNOWN if name in entries]
        entries = dict((*known, *list(entries.items())[:_MOST_READ]))
    found: dict[str, tuple[str, str]] = {}
    for name, entry in entries.items():
        number, called = _number(entry.value, entry.unit), number_name(name)
        if number is not None and called not in found:
            found[called] = number
            if len(found) == MOST_PER_APP:
                break
    if not found:
        return None
    values, units = zip(*found.values(), strict=True)
    return _form(tuple(found), units), tuple(value.encode() for value in values)


@lru_cache(maxsize=256)
def _form(names: tuple[str, ...], units: tuple[str, ...]) -> WordForm:
    return WordForm(names, units)


def _number(value: object, unit: object) -> tuple[str, str] | None:
    """A number and its unit as they are written in a word; None for what is no number."""
    if isinstance(value, str):
        written = value.strip()
        if len(written) > _MOST_TEXT:
            return None
        try:
            number = float(written)
        except ValueError:
            parts = _WITH_UNIT.fullmatch(written)
            if parts is None:
                return None
            number, written, unit = float(parts[1]), parts[1], unit or parts[2]
    elif value.__class__ in _NUMERIC:
        number, written = cast("float", value), repr(value)
    else:
        return None
    if not -_LARGEST <= number <= _LARGEST:  # nor are `NaN` and what is infinite
        return None
    return written, _unit(unit) if isinstance(unit, str) else ""


@lru_cache(maxsize=512)
def _unit(unit: str) -> str:
    return "".join(c for c in unit[:_MOST_UNIT] if c.isprintable() and c not in " |:")


def heap_limit(options: Raw | UnsetType) -> int | None:
    """Node's `--max-old-space-size` in bytes, the last counts; `options`: arguments as JSON, or NODE_OPTIONS."""
    if not isinstance(options, Raw) or _HEAP_WORD not in (written := bytes(options)):
        return None
    try:
        given = json.decode(written)
    except ValueError:
        return None
    line = " ".join(map(str, given[:_MOST_READ])) if isinstance(given, list) else str(given)
    limits = _HEAP_OPTION.findall(line[:65_536])
    return int(limits[-1]) * _MIB or None if limits else None


def told(
    apps: Sequence[tuple[WordForm | None, Values]], wanted: Callable[[int], tuple[str, ...]] = lambda _: ()
) -> tuple[Sequence[str], str]:
    """The forms of all apps ("": it tells nothing), and the values of all that tell any as one text.

    Where there are too many in all, each app keeps its first few; `wanted` are those of an app, by its place, that are
    kept before all others.
    """
    apps_by_count = Counter([len(values) for _, values in apps])
    most = MOST_PER_APP
    while most > 1 and sum(min(most, one) * apps for one, apps in apps_by_count.items()) > MOST_IN_ALL:
        most -= 1
    forms, kept = [], []
    before: tuple[object, object] = (None, None)
    for place, (form, values) in enumerate(apps):
        if form is None:
            forms.append("")
            continue
        first = wanted(place) if most < MOST_PER_APP else ()
        if form is not before[0] or first != before[1]:
            before = form, first
            written, pick = form.chosen(most, first)
        forms.append(written)
        picked = pick(values)
        kept.append(b" ".join(picked) if isinstance(picked, tuple) else picked)
    return forms, of_all(kept).decode()
