"""Runs a Nagios plugin: its line for people, and performance data behind a `|`, as the guidelines have it."""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from monitord.core.model import sample
from monitord.core.subjects.values import PERFDATA, STATE, TEXT
from monitord.failures import FailureError
from monitord.masking import mask
from monitord.probes.checks.base import CheckResult, result
from monitord.programs import run_program

# How monitord calls what plugins measure in; what is not here keeps the name that the plugin gives it.
_UNITS = {"s": "seconds", "ms": "ms", "%": "percent", "B": "bytes", "": "1", "c": "1"}

State = Literal["ok", "warning", "critical"]
STATES: Final[tuple[State, ...]] = ("ok", "warning", "critical")
_UNKNOWN: Final = 3

LONGEST_TEXT: Final = 200
LONGEST_LABEL: Final = 100
MOST_DATA: Final = 40
_LONGEST_DATUM: Final = 200

# 'label'=value[unit];[warning];[critical];[minimum];[maximum]. In quotes a label may hold anything, a quote twice.
_QUOTED: Final = re.compile(r"'((?:[^']|'')*+)'")
_WORD: Final = re.compile(r"\S*+")
_SPACE: Final = re.compile(r"\s*+")
_VALUE: Final = re.compile(
    r"([-+]?(?:\d++(?:[.,]\d*+)?|[.,]\d++)(?:e[-+]?\d{1,3})?+)([^\d;\s]*)", re.IGNORECASE | re.ASCII
)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """A plugin whose exit code is judged; its number is the first of its performance data."""

    name: str
    command: tuple[str, ...]
    timeout: float

    async def run(self) -> CheckResult:
        state, output = await run_plugin(self.name, self.command, self.timeout)
        first = output.data[0] if output.data else None
        return result(
            self.name,
            None if first is None else first.value,
            "1" if first is None else _unit(first.unit),
            sample(STATE, state, "", check=self.name),
            sample(TEXT, output.text, "", check=self.name),
            # All samples of one name have one unit, so that what theirs is stands in a label.
            *(
                sample(PERFDATA, one.value, check=self.name, label=one.label, uom=_unit(one.unit))
                for one in output.data
            ),
        )


def _unit(written: str) -> str:
    return _UNITS.get(written, written)


async def run_plugin(called: str, command: Sequence[str], timeout: float) -> tuple[State, PluginOutput]:
    """The state that a plugin found and what it printed. FailureError: not run, not done in time, or not a state."""
    ended = await run_program(called, command, timeout)
    output, code = parse(ended.output.decode("utf-8", "replace")), ended.code
    detail = f": {output.text}" if output.text else ""
    if code is None or code < 0:
        name = signal.Signals(-code).name if code is not None and -code in set(signal.Signals) else "a signal"
        raise FailureError("internal", f"{called} was ended by {name}{detail}")
    if code == _UNKNOWN:
        raise FailureError("protocol", f"{called} answers UNKNOWN{detail}")
    if code >= len(STATES):
        why = "a program that it needs is missing" if code == 127 else "which is no exit code of a plugin"
        raise FailureError("missing" if code == 127 else "protocol", f"{called} exited with {code}, {why}{detail}")
    return STATES[code], output


@dataclass(frozen=True, slots=True)
class Datum:
    """One number of a plugin: `unit` as it was written."""

    label: str
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class PluginOutput:
    """The first line for people, without its secrets, and the numbers, as many as are kept."""

    text: str
    data: tuple[Datum, ...] = ()


def parse(printed: str) -> PluginOutput:
    """What a plugin has printed: performance data of the first line, and what follows a `|` in the lines after it.

    What is not written as the guidelines have it is passed over, as is a value that was not determined (`U`). Of a
    label that comes twice the first is kept.
    """
    first, _, rest = printed.partition("\n")
    text, _, performance = first.partition("|")
    found: dict[str, Datum] = {}
    for part in (performance, rest.partition("|")[2]):
        for label, written in _pieces(part):
            datum = _datum(label, written)
            if datum is not None and len(found) < MOST_DATA:
                found.setdefault(datum.label, datum)
    return PluginOutput(_line(text), tuple(found.values()))


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """The labels and what is written behind their `=`, in one pass over the text."""
    at = 0
    while (at := _end(_SPACE, text, at)) < len(text):
        quoted = _QUOTED.match(text, at) if text[at] == "'" else None
        if quoted is None:
            begin, at = at, _end(_WORD, text, at)
            label, _, written = text[begin:at].partition("=")
        else:
            begin, at = quoted.end(), _end(_WORD, text, quoted.end())
            label, written = quoted[1].replace("''", "'"), text[begin:at].removeprefix("=")
        yield label, written


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()


def _datum(label: str, written: str) -> Datum | None:
    label = _UNPRINTABLE.sub(" ", mask(label)).strip()[:LONGEST_LABEL]
    value = _VALUE.fullmatch(written[:_LONGEST_DATUM].partition(";")[0])
    if not label or value is None:
        return None
    number = float(value[1].replace(",", "."))
    if not math.isfinite(number):
        return None
    return Datum(label, number, value[2][:10])


def _line(text: str) -> str:
    """One line that can be read, however long it is and whatever is in it."""
    line = mask(_UNPRINTABLE.sub(" ", text)).strip()
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"
