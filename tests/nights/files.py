"""The form of a night's file: read, checked, and refused with the file's name and the step where it is wrong."""

from __future__ import annotations

import functools
import itertools
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from monitord.core import units
from monitord.core.codec import decode, encode
from monitord.core.model import Value
from monitord.core.orders import StandingOrders
from monitord.core.subjects import RULES
from monitord.core.thresholds import Threshold, threshold
from tests.core.nights import BASELINE, MEMORY, ORDERS

from . import words
from .vocabulary import understood

EDGES = ("firing", "resolved", "suppressed")
# As the settings have it: a cycle is late after three intervals, or twice the deadline of a probe.
LATE_CYCLES, TWO_DEADLINES = 3, timedelta(seconds=10)
Key = tuple[str, tuple[tuple[str, str], ...]]


class NightError(Exception):
    """A mistake in a night's file, with where it is."""


@dataclass(frozen=True, slots=True)
class Step:
    """What happens `at` so many seconds after the start. `status` is what monitord must have said by then."""

    where: str
    at: float
    what: tuple[str, ...] = ()
    readings: Mapping[Key, Value] | None = None
    orders: Mapping[str, object] | None = None
    status: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """One edge that must be said; None: whatever it is. Times are seconds since the start.

    `advised` is the action recommended with it ("": none), `blocking` what it says to be held up. `advised_at`: the
    action comes then, and not with the edge.
    """

    where: str
    edge: str
    rule: str
    subject: str
    between: tuple[float, float]
    since: tuple[float, float] | None = None
    severity: str | None = None
    value: object = None
    limit: object = None
    text: tuple[str, ...] = ()
    reason: str = ""
    suppressed_by: str = ""
    advised: str = ""
    blocking: str = ""
    advised_at: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Morning:
    """What the report from `since` to `at` (seconds since the start) must come to.

    `criteria`: whether each is met, or None where that is not to be known; `without`: those that are not judged.
    `text`: parts of what the sentence and the criteria say. `blind`: the least and the most minutes.
    """

    where: str
    since: float
    at: float
    verdict: str
    criteria: Mapping[str, bool | None]
    without: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    blind: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """A night of the library. `past` is for how long monitord has watched before its start (seconds).

    `calm`: monitord's rhythm in stretches for which the file has nothing (None: `every`, as always).
    """

    name: str
    title: str
    story: str
    orders: StandingOrders
    start: datetime
    every: float
    end: float
    past: float
    fleet: tuple[str, ...]
    steps: tuple[Step, ...]
    said: tuple[Said, ...]
    status: str
    silent: bool
    never: tuple[str, ...]
    suspected: tuple[str, ...]
    covers: tuple[str, ...]
    traps: tuple[str, ...]
    noted: tuple[str, ...] | None
    events: tuple[str, ...] | None
    mornings: tuple[Morning, ...] = ()
    calm: float | None = None


RULE_NAMES = frozenset(rule.name for rule in RULES)
STATUSES = ("ok", "warning", "unknown", "critical")
_TOP = {
    "title",
    "story",
    "start",
    "every",
    "calm",
    "end",
    "past",
    "fleet",
    "orders",
    "then",
    "said",
    "status",
    "silent",
    "never",
}
_TOP |= {"suspected", "covers", "traps", "noted", "events", "report", "fault"}
_THEN = {"at", "what", "readings", "orders", "status"}
_SAID = {
    *EDGES,
    "between",
    "since",
    "severity",
    "value",
    "limit",
    "text",
    "reason",
    "suppressed_by",
    "advised",
    "advised_at",
    "blocking",
}
_REPORT = {"at", "since", "verdict", "criteria", "without", "text", "blind"}
VERDICTS = ("GO", "NO-GO", "UNKNOWN")
ADVICE = ("restart_service", "free_disk", "investigate")


@functools.cache
def known(path: Path) -> Story:
    """The night of a file that does not change."""
    return load(path)


def load(path: Path) -> Story:
    """The night of a file. NightError names the file and what is wrong in it."""
    try:
        return _story(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        said = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise NightError(f"{path.name}: {said}") from error


def _story(name: str, table: dict[str, Any]) -> Story:
    _only(table, _TOP, "the night")
    start = words.start(table["start"]) if "start" in table else BASELINE
    every = words.seconds(table.get("every", "30s"))
    calm = words.seconds(table["calm"]) if "calm" in table else None
    if calm is not None and calm <= every:
        raise ValueError(f"calm = {table['calm']!r} is no slower than every")
    late = max(timedelta(seconds=calm or every) * LATE_CYCLES, TWO_DEADLINES)
    orders = replace(ORDERS, late_after=late)
    with _in("[orders]"):
        orders = replace(orders, **changes(table.get("orders", {})))
    end = words.moment(table["end"], start)
    past = words.seconds(table["past"]) if "past" in table else 0.0
    steps = tuple(_numbered(table.get("then", ()), "step", lambda where, one: _step(where, one, start)))
    for before, after in itertools.pairwise(steps):
        if after.at < before.at:
            raise ValueError(f"{after.where} comes before {before.where}")
    if steps and steps[0].at < -past:
        raise ValueError(f"{steps[0].where} comes before monitord has watched")
    if steps and steps[-1].at > end:
        raise ValueError(f"{steps[-1].where} comes after the end of the night")
    said = tuple(_numbered(table.get("said", ()), "saying", lambda where, one: _said(where, one, start)))
    if (silent := table.get("silent", False)) is bool(said):
        raise ValueError("a night says something ([[said]]), or silent = true; not both, and not neither")
    return Story(
        name=name,
        title=_text(table["title"], "title"),
        story=_text(table["story"], "story"),
        orders=orders,
        start=start,
        every=every,
        end=end,
        past=past,
        fleet=tuple(table.get("fleet", MEMORY)),
        steps=steps,
        said=said,
        status=_one_of(table["status"], STATUSES, "status"),
        silent=silent,
        never=_places(table.get("never", ()), "never"),
        suspected=_places(table.get("suspected", ()), "suspected"),
        covers=tuple(_claim(claim) for claim in table["covers"]),
        traps=tuple(table.get("traps", ())),
        noted=_optional(table, "noted"),
        events=_optional(table, "events"),
        mornings=tuple(_mornings(table.get("report", ()), start, end)),
        calm=calm,
    )


T = TypeVar("T")


def _numbered(tables: Iterable[dict[str, Any]], what: str, read: Callable[[str, dict[str, Any]], T]) -> list[T]:
    found = []
    for number, table in enumerate(tables, 1):
        at = table.get("at", table.get("between", ["the end" if what == "report" else "?"])[0])
        where = f"{what} {number} (at {at})"
        with _in(where):
            found.append(read(where, table))
    return found


@contextmanager
def _in(where: str) -> Iterator[None]:
    """What is wrong inside says where it is."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{where}: {error.args[0]} is missing") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from error


def _step(where: str, table: dict[str, Any], start: datetime) -> Step:
    _only(table, _THEN, "a step")
    what = table.get("what", ())
    phrases = (what,) if isinstance(what, str) else tuple(what)
    for phrase in phrases:
        understood(phrase)
    if len(table) == 1:
        raise ValueError("nothing happens; give what, readings, orders or status")
    return Step(
        where,
        words.moment(table["at"], start),
        phrases,
        {_sample(key): _reading(value) for key, value in table["readings"].items()} if "readings" in table else None,
        changes(table["orders"]) if "orders" in table else None,
        _one_of(table["status"], STATUSES, "status") if "status" in table else "",
    )


def _sample(text: str) -> Key:
    """`service_memory service=gateway instance=3`: a sample's name and its labels."""
    name, *labels = text.split()
    if any("=" not in label for label in labels):
        raise ValueError(f"{text!r} names no sample; write disk_used path=/")
    pairs = sorted((key, value) for key, _, value in (label.partition("=") for label in labels))
    return name, tuple(pairs)


def _reading(value: object) -> Value:
    if value == "null":
        return None
    if not isinstance(value, int | float | str):
        raise TypeError(f"{value!r} is no reading; write a number, a word, null or absent")
    return value


def _said(where: str, table: dict[str, Any], start: datetime) -> Said:
    _only(table, _SAID, "a saying")
    edges = [edge for edge in EDGES if edge in table]
    if len(edges) != 1:
        raise ValueError(f"it needs one of {', '.join(EDGES)}")
    rule, subject = _place(table[edges[0]])
    text = table.get("text", ())
    return Said(
        where,
        edges[0],
        rule,
        subject,
        _span(table["between"], start),
        _span(table["since"], start) if "since" in table else None,
        _one_of(table["severity"], ("warning", "critical"), "severity") if "severity" in table else None,
        table.get("value"),
        table.get("limit"),
        (text,) if isinstance(text, str) else tuple(text),
        table.get("reason", ""),
        "/".join(_place(table["suppressed_by"])) if "suppressed_by" in table else "",
        _one_of(table["advised"], ADVICE, "advised") if "advised" in table else "",
        table.get("blocking", ""),
        _span(table["advised_at"], start) if "advised_at" in table else None,
    )


def _mornings(tables: object, start: datetime, end: float) -> list[Morning]:
    """`[report]`, or several `[[report]]`."""
    listed = [tables] if isinstance(tables, dict) else list(tables) if isinstance(tables, Iterable) else []
    return _numbered(listed, "report", lambda where, one: _morning(where, one, start, end))


def _morning(where: str, table: dict[str, Any], start: datetime, end: float) -> Morning:
    _only(table, _REPORT, "a report")
    text, blind = table.get("text", ()), table.get("blind")
    return Morning(
        where,
        words.moment(table["since"], start) if "since" in table else 0.0,
        words.moment(table["at"], start) if "at" in table else end,
        _one_of(table["verdict"], VERDICTS, "verdict"),
        {name: _met(name, said) for name, said in table.get("criteria", {}).items()},
        tuple(table.get("without", ())),
        (text,) if isinstance(text, str) else tuple(text),
        None if blind is None else (blind[0], blind[1]),
    )


def _met(name: str, said: object) -> bool | None:
    if said != "unknown" and not isinstance(said, bool):
        raise ValueError(f"{name} is {said!r}; it is true, false or 'unknown'")
    return said if isinstance(said, bool) else None


def _span(texts: object, start: datetime) -> tuple[float, float]:
    if not isinstance(texts, list) or len(texts) != 2:
        raise ValueError(f"{texts!r} is no span; write ['+10m', '+11m']")
    first, last = (words.moment(text, start) for text in texts)
    if last < first:
        raise ValueError(f"the span {texts[0]} to {texts[1]} ends before it begins")
    return first, last


def _place(text: str) -> tuple[str, str]:
    """`service_down/gateway`. What follows the first stroke is the subject, whatever is in it."""
    rule, stroke, subject = text.partition("/")
    _rule(rule)
    if not stroke or not subject:
        raise ValueError(f"{text!r} names no subject; write {rule}/subject")
    return rule, subject


def _places(texts: Iterable[str], what: str) -> tuple[str, ...]:
    """`service_down` or `service_down/gateway`."""
    for text in texts:
        with _in(what):
            _rule(text.partition("/")[0])
    return tuple(texts)


def _rule(name: str) -> str:
    if name not in RULE_NAMES:
        raise ValueError(f"{name!r} is no rule")
    return name


def _claim(text: str) -> str:
    rule, _, side = text.partition(":")
    with _in("covers"):
        _rule(rule)
    if side not in ("fires", "silent"):
        raise ValueError(f"covers: {text!r} is no claim; write {rule}:fires or {rule}:silent")
    return text


def changes(table: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the orders by their names, written as in the environment."""
    hints = _hints(StandingOrders)
    known = {field.name for field in fields(StandingOrders)}
    if unknown := table.keys() - known:
        raise ValueError(f"there is no order called {', '.join(sorted(unknown))}")
    changed = {}
    for name, value in table.items():
        with _in(name):
            changed[name] = _order(hints[name], value)
    return changed


_hints = functools.cache(typing.get_type_hints)


def _order(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin is types.UnionType:  # what is not declared is None
        (given,) = (one for one in typing.get_args(kind) if one is not type(None))
        return _order(given, value)
    if kind is timedelta:
        return units.duration(value)
    if kind is Threshold:
        return threshold(value)
    if origin in (tuple, frozenset):
        return origin(value)
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, dict):
        of_field = _hints(kind)
        return decode(kind, encode({name: _order(of_field.get(name), one) for name, one in value.items()}))
    if kind is Threshold and isinstance(value, str):
        return threshold(value)
    if kind is int and isinstance(value, str):
        return units.size(value)
    if kind is float and isinstance(value, str):
        return units.percent(value)
    if origin is not None and isinstance(value, dict):
        of = typing.get_args(kind)[1]
        return {name: _order(of, one) for name, one in value.items()}
    return value


def _only(table: Mapping[str, Any], known: set[str], what: str) -> None:
    if unknown := sorted(table.keys() - known):
        raise ValueError(f"{what} has no {', '.join(unknown)}")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} says nothing")
    return re.sub(r"\s+", " ", value).strip()


def _one_of(value: object, known: Iterable[str], name: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} is {value!r}; it is one of {', '.join(known)}")
    return value


def _optional(table: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    return tuple(table[name]) if name in table else None
