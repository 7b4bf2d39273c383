"""What a Nagios plugin prints: a line for people, and performance data behind a `|`, as its guidelines have it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from monitord.masking import mask

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
_RANGE: Final = re.compile(r"@?(?:(?:~|[-+]?[\d.,]+(?:e[-+]?\d+)?)?:)?(?:[-+]?[\d.,]+(?:e[-+]?\d+)?)?", re.IGNORECASE)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Datum:
    """One number of a plugin: `unit` as it was written; `warning` and `critical` are ranges, or ""."""

    label: str
    value: float
    unit: str = ""
    warning: str = ""
    critical: str = ""


@dataclass(frozen=True, slots=True)
class PluginOutput:
    """The first line for people, without its secrets, and the numbers. `left_out` counts the numbers past the bound."""

    text: str
    data: tuple[Datum, ...] = ()
    left_out: int = 0


def parse(printed: str, most: int = MOST_DATA) -> PluginOutput:
    """What a plugin has printed: performance data of the first line, and what follows a `|` in the lines after it.

    What is not written as the guidelines have it is passed over, as is a value that was not determined (`U`). Of a
    label that comes twice the first is kept.
    """
    first, _, rest = printed.partition("\n")
    text, _, performance = first.partition("|")
    found: dict[str, Datum] = {}
    left_out = 0
    for part in (performance, rest.partition("|")[2]):
        for label, written in _pieces(part):
            datum = _datum(label, written)
            if datum is None or datum.label in found:
                continue
            if len(found) < most:
                found[datum.label] = datum
            else:
                left_out += 1
    return PluginOutput(_line(text), tuple(found.values()), left_out)


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
    written, *ranges = written[:_LONGEST_DATUM].split(";")
    value = _VALUE.fullmatch(written)
    if not label or value is None:
        return None
    number = float(value[1].replace(",", "."))
    if not math.isfinite(number):
        return None
    warning, critical = ([text if _RANGE.fullmatch(text) else "" for text in ranges] + ["", ""])[:2]
    return Datum(label, number, value[2][:10], warning, critical)


def _line(text: str) -> str:
    """One line that can be read, however long it is and whatever is in it."""
    line = mask(_UNPRINTABLE.sub(" ", text)).strip()
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"
