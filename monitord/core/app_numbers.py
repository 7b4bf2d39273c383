"""The numbers that an app reports to PM2, as PM2 holds them in `axm_monitor`: its event loop, its heap, its own.

Of one process they are two texts: a form, their names with their units, `Event Loop Latency p95: ms | Heap Usage: %`,
which is the same from reading to reading, and their values in its order, `3.65 60.1`. Whether any of them moved is one
comparison. A reading has a sample for each form, `service_app_form`, and the values of all processes that have one, in
the order of their samples, in one: `app_values`. A sample of each number of each app would double what a cycle costs,
and one of each app cost a tenth. What older versions have recorded, and what packages may give, is one word of each
process, `service_app`: `Event Loop Latency p95: 3.65 ms | Heap Usage: 60.1 %`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Final

from monitord.core.copying import slot_by_slot
from monitord.core.names import distinct
from monitord.core.units import SIZES

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
_NEXT: Final = b";"
_MOST_CHOICES: Final = 16  # of one form: orders change, and how many numbers there are in all
_MILLISECONDS: Final[Mapping[str, float]] = {"ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}


@slot_by_slot
@dataclass(frozen=True, slots=True)
class AppNumber:
    """One number of an app, in the unit that it reports ("": in none)."""

    value: float
    unit: str


def number_name(name: str) -> str:
    """The name by which a word has a number: short, printable, and without what stands between two numbers."""
    return distinct(name.strip() or "unnamed", LONGEST_NAME).replace("|", "/").strip()


Pick = Callable[[tuple[bytes, ...]], bytes | tuple[bytes, ...]]


class WordForm:
    """Under which names and in which units an app reports its numbers, in which order."""

    __slots__ = ("_chosen", "_names", "_parts")

    def __init__(self, names: Sequence[str], units: Sequence[str]) -> None:
        """A form of plain names, no two alike, each with its unit ("": none)."""
        self._names = tuple(names)
        self._parts = [f"{name}{_IS}{unit}" for name, unit in zip(names, units, strict=True)]
        self._chosen: dict[tuple[int, tuple[str, ...]], tuple[str, Pick]] = {}

    def chosen(self, most: int, wanted: tuple[str, ...] = ()) -> tuple[str, Pick]:
        """So many of the names with their units as one text, and what picks the values of these of all.

        They are those that somebody calls as in `wanted`, then the others in their order. Of one alone it picks the
        value, of several a tuple.
        """
        chosen = self._chosen.get((most, wanted))
        if chosen is not None:
            return chosen
        places = list(range(len(self._names)))
        if wanted:
            sought = {name.casefold() for name in wanted} | {same_number(name) for name in wanted}
            places.sort(key=lambda place: self._names[place].casefold() not in sought)
        del places[most:]
        chosen = _BETWEEN.join([self._parts[place] for place in places]), itemgetter(*places)
        if len(self._chosen) >= _MOST_CHOICES:
            self._chosen.clear()
        self._chosen[most, wanted] = chosen
        return chosen


class _Called(dict[str, int | None]):
    """The places of numbers by what somebody calls them; None for what none is called."""

    __slots__ = ("_places",)

    def __init__(self, places: Mapping[str, int]) -> None:
        super().__init__()
        self._places = places

    def __missing__(self, name: str) -> int | None:
        place = self._places.get(name)
        if place is None:
            sought = (name.casefold(), same_number(name))
            place = next((place for own, place in self._places.items() if own.casefold() in sought), None)
        if len(self) >= _MOST_CHOICES:
            self.clear()
        self[name] = place
        return place


class _Names:
    """Names and units that were taken out of their text once: nearly all apps of a fleet have the same few texts."""

    __slots__ = ("called", "durations", "places", "units")

    def __init__(self, form: str) -> None:
        parts = [part.rpartition(_IS) for part in form.split(_BETWEEN)] if form else []
        self.units = tuple(unit for _, _, unit in parts)
        self.places = {name: place for place, (name, _, _) in enumerate(parts)}
        # Those that are durations: their places, and how many ms their unit is.
        self.durations = {
            name: (place, _MILLISECONDS[self.units[place]])
            for name, place in self.places.items()
            if self.units[place] in _MILLISECONDS
        }
        self.called = _Called(self.places)


_names = lru_cache(maxsize=1024)(_Names)


def of_all(values: Iterable[bytes]) -> bytes:
    """The values of several apps as one text."""
    return _NEXT.join(values)


def of_each(values: str) -> list[str]:
    return values.split(_NEXT.decode()) if values else []


def of_word(word: str) -> tuple[str, str]:
    """The form and the values of what was recorded as one word of both."""
    names, values = [], []
    for part in word.split(_BETWEEN) if word else ():
        name, _, measure = part.rpartition(_IS)
        value, _, unit = measure.partition(" ")
        names.append(f"{name}{_IS}{unit}")
        values.append(value)
    return _BETWEEN.join(names), " ".join(values)


def as_word(form: str, values: str) -> str:
    """The numbers with their names and units, for people."""
    units = _names(form).units
    places = zip(_names(form).places.items(), values.split(" "), strict=False)
    return _BETWEEN.join([f"{name}{_IS}{value} {units[place]}".rstrip() for (name, place), value in places])


def numbers(form: str, values: str) -> dict[str, AppNumber]:
    names = _names(form)
    return {
        name: AppNumber(value, names.units[place])
        for name, place in names.places.items()
        if (value := _at(values, place)) is not None
    }


def _at(values: str, place: int | None) -> float | None:
    if place is None:
        return None
    try:
        return float(values.split(" ", place + 1)[place])
    except (ValueError, IndexError):
        return None


def _number_at(names: _Names, values: str, place: int | None) -> AppNumber | None:
    value = _at(values, place)
    return None if value is None or place is None else AppNumber(value, names.units[place])


def figure(form: str, values: str, name: str) -> AppNumber | None:
    names = _names(form)
    return _number_at(names, values, names.places.get(name))


def milliseconds_of(form: str, values: str, name: str) -> float | None:
    """One of the numbers that is a duration, in ms; None where there is none, or it is in another kind of unit."""
    found = _names(form).durations.get(name)
    if found is None:
        return None
    place, factor = found
    value = _at(values, place)
    return None if value is None else value * factor


def called(form: str, values: str, name: str) -> AppNumber | None:
    """The number that somebody calls so: in whatever case, PM2's own also without `Latency`."""
    names = _names(form)
    return _number_at(names, values, names.called[name])


def value_called(form: str, values: str, name: str) -> float | None:
    return _at(values, _names(form).called[name])


def same_number(name: str) -> str:
    """What is the same of two names that somebody may call the same number by."""
    plain = name.casefold()
    return _SHORT.get(plain, plain)


def moves(form: str) -> bool:
    """Whether a form has the heap that PM2's own instrumentation reports: it moves while the event loop turns."""
    return HEAP_USED in _names(form).places


def milliseconds(number: AppNumber | None) -> float | None:
    return _in(number, _MILLISECONDS)


def size(number: AppNumber | None) -> float | None:
    return _in(number, SIZES)


def _in(number: AppNumber | None, units: Mapping[str, float]) -> float | None:
    factor = units.get(number.unit) if number is not None else None
    return None if number is None or factor is None else number.value * factor


def largest(instances: Sequence[Mapping[str, AppNumber]]) -> dict[str, AppNumber]:
    """The numbers of a service with several instances: the largest that any reports, by name."""
    found = dict(instances[0]) if instances else {}
    for instance in instances[1:]:
        for name, number in instance.items():
            known = found.get(name)
            if known is None or number.value > known.value:
                found[name] = number
    return found
