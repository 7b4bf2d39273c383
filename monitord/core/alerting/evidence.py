"""A finding's evidence as people read it: names without their units, numbers with them."""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import Final

from monitord.core import humanize
from monitord.core.model import Finding

UNKNOWN: Final = "unknown"
NOTHING: Final = "none"
MOST: Final = 8
# A shorter value may stand in a sentence by chance.
_WORTH: Final = 6
# From here on digits are hard to count.
_LONG_NUMBER: Final = 10_000
_EARLIEST_LABEL: Final = 10**9
# Lists and maps of epoch labels: Unix seconds that are also an hour of the clock.
_LABELS: Final = frozenset({"label", "labels", "latest", "expected", "missed", "newest_due"})
# A map by PM2's own number of a process.
_BY_PM_ID: Final = "instances"


def _percent(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") + "%"


# What ends a name, and a finding's unit -> how its number is written.
_SAY: Final[dict[str, Callable[[float], str]]] = {
    "bytes": humanize.size,
    "seconds": humanize.duration,
    "percent": _percent,
    "ms": lambda value: humanize.duration(value / 1000.0),
    "bytes/h": lambda value: f"{humanize.size(value)} an hour",
    "percent/h": lambda value: f"{_percent(value)} an hour",
}
_ENDINGS: Final = {"bytes_per_hour": "bytes/h", "percent_per_hour": "percent/h"}
_BEGINNING: Final = "seconds_"
_RISES: Final = "rises by"


def evidence_rows(finding: Finding, today: float) -> list[tuple[str, str]]:
    """The evidence as pairs of words; `today` (Unix seconds) is the day that clock times need not name.

    The unit at the end of a name decides how its number is written; in a map of numbers it is the finding's own. What
    the summary says in the same words is left out.
    """
    lowered = finding.summary.lower()
    return [
        (name, text)
        for key, value in finding.evidence.items()
        for name, text in _pairs(key, value, finding.unit, today)
        if isinstance(value, Mapping) or len(text) < _WORTH or text.lower() not in lowered
    ]


def sentence(finding: Finding, today: float) -> str:
    """The evidence in one line: `instance 3 (PM2 id): 626 MB; exit codes: 1`; what is empty is left out."""
    return "; ".join(f"{name}: {text}" for name, text in evidence_rows(finding, today) if text != NOTHING)


def _pairs(name: str, value: object, unit: str, today: float) -> Iterator[tuple[str, str]]:
    if name == _BY_PM_ID and isinstance(value, Mapping) and value and all(str(key).isdigit() for key in value):
        for number, (key, part) in enumerate(value.items()):
            if number == MOST:
                yield "and", f"{len(value) - MOST} more instances"
                return
            yield f"instance {key} (PM2 id)", _measured(part, unit, name, today)
        return
    if isinstance(value, int | float) and not isinstance(value, bool):
        for ending, its in (*_ENDINGS.items(), *((each, each) for each in _SAY)):
            if name.endswith(f"_{ending}") or name == ending:
                short = name.removesuffix(ending).rstrip("_").replace("_", " ")
                yield short or (_RISES if ending in _ENDINGS else name), _SAY[its](value)
                return
        if name.startswith(_BEGINNING):
            yield name.removeprefix(_BEGINNING).replace("_", " "), _SAY["seconds"](value)
            return
    if isinstance(value, Mapping):
        for ending in _SAY:
            if name.endswith(f"_{ending}"):
                yield name.removesuffix(f"_{ending}").replace("_", " "), _plain(value, ending, name, today)
                return
    yield name.replace("_", " "), _plain(value, unit, name, today)


def _plain(value: object, unit: str, name: str, today: float) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return humanize.moment(value.timestamp(), today)
    if isinstance(value, int) and name in _LABELS and value >= _EARLIEST_LABEL:
        return f"{value} ({humanize.moment(value, today)})"
    if isinstance(value, int) and abs(value) >= _LONG_NUMBER and name not in _LABELS:
        return humanize.count(value)
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        parts = [f"{key} {_measured(part, unit, name, today)}" for key, part in value.items()]
        return humanize.listed(parts, most=MOST) or NOTHING
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        return humanize.listed([_plain(part, unit, name, today) for part in value], most=MOST) or NOTHING
    return str(value)


def _measured(value: object, unit: str, name: str, today: float) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and unit in _SAY:
        return _SAY[unit](value)
    return _plain(value, unit, name, today)
