"""A limit with its direction, as it is written: `> 50`, `>= 50`, `< 1`, `<= 1`, `== 0`, `!= 0`, `outside 10..20`."""

import math
import operator
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, cast

Condition = Literal[">", ">=", "<", "<=", "==", "!=", "outside", "inside"]
EXAMPLE: Final = '"> 50", ">= 50", "< 1", "<= 1", "== 0", "!= 0", "outside 10..20" or "inside 10..20"'
_RANGES: Final = ("outside", "inside")
_COMPARED: Final = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_SIGN: Final = re.compile(r"(>=|<=|==|!=|>|<)\s*(.*)", re.DOTALL)
_WORD: Final = re.compile(r"([a-z]+)\b\s*(.*)", re.IGNORECASE | re.DOTALL)
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:_\d{3})*(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a number must not be: past `value`, or outside or inside `value`..`upper`, whose ends are inside."""

    condition: Condition
    value: float
    upper: float = 0.0

    @property
    def is_one_sided(self) -> bool:
        return self.condition in (">", ">=", "<", "<=")

    @property
    def ends(self) -> tuple[float, ...]:
        return (self.value, self.upper) if self.condition in _RANGES else (self.value,)

    def is_past(self, number: float) -> bool:
        """Whether a number is as it must not be. What is not a number (NaN) is."""
        if math.isnan(number):
            return True
        if self.condition in _RANGES:
            return (self.value <= number <= self.upper) == (self.condition == "inside")
        return bool(_COMPARED[self.condition](number, self.value))

    @property
    def surely_kept(self) -> tuple[float, float]:
        """Between which two numbers each is as it may be: to be known at once of most of thousands."""
        match self.condition:
            case ">" | ">=":
                return -math.inf, self.value
            case "<" | "<=":
                return self.value, math.inf
            case "outside":
                return self.value, self.upper
            case _:
                return math.inf, -math.inf

    @property
    def range(self) -> str:
        """The same as Nagios has it: what is outside of the range is past the limit, or inside of it after an `@`."""
        low, high = _written(self.value), _written(self.upper)
        return {
            ">": f"~:{low}",
            ">=": f"@{low}:",
            "<": f"{low}:",
            "<=": f"@~:{low}",
            "==": f"@{low}:{low}",
            "!=": f"{low}:{low}",
            "outside": f"{low}:{high}",
            "inside": f"@{low}:{high}",
        }[self.condition]

    def __str__(self) -> str:
        between = f"..{_written(self.upper)}" if self.condition in _RANGES else ""
        return f"{self.condition} {_written(self.value)}{between}"


def threshold(text: str) -> Threshold:
    """A limit from how it is written. ValueError with half a sentence for anything else."""
    written = text.strip()
    if (sign := _SIGN.fullmatch(written)) is not None:
        return Threshold(cast("Condition", sign[1]), _number(sign[2], written))
    word = _WORD.fullmatch(written)
    if word is None or word[1].lower() not in _RANGES:
        if _NUMBER.fullmatch(written):
            raise ValueError(f"{written!r} does not say which side of it is wrong; write > {written} or < {written}")
        raise ValueError(f"{written!r} is no limit; write {EXAMPLE}")
    condition = word[1].lower()
    first, dots, last = (part.strip() for part in word[2].partition(".."))
    if not dots:
        raise ValueError(f"{written!r} names no range; write {condition} 10..20")
    low, high = _number(first, written), _number(last, written)
    if low > high:
        raise ValueError(f"{written!r} begins above its end; write {condition} {last}..{first}")
    return Threshold(cast("Condition", condition), low, high)


def is_stricter(critical: Threshold, warning: Threshold) -> bool:
    """Whether all that is critical is worth a warning too; what cannot be compared counts as that."""
    sides = {">": 1, ">=": 1, "<": -1, "<=": -1}
    if critical.condition == warning.condition == "outside":
        return critical.value <= warning.value and critical.upper >= warning.upper
    if critical.condition == warning.condition == "inside":
        return critical.value >= warning.value and critical.upper <= warning.upper
    side = sides.get(critical.condition)
    if side is None or side != sides.get(warning.condition):
        return True
    return (critical.value - warning.value) * side >= 0


def _number(text: str, written: str) -> float:
    if not text.strip():
        raise ValueError(f"{written!r} lacks a number")
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(f"{written!r} compares with {text.strip()!r}, which is no number")
    found = float(text)
    if math.isinf(found):
        raise ValueError(f"{written!r} compares with a number that is too large")
    return found


def _written(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def agree(critical: Threshold | None, warning: Threshold | None) -> None:
    """ValueError where what is critical is reached before what warns."""
    if warning is not None and critical is not None and not is_stricter(critical, warning):
        raise ValueError(f"critical, {critical}, is reached before warning, {warning}")


@lru_cache(maxsize=1024)
def written(limit: Threshold | None) -> str | None:
    return None if limit is None else str(limit)
