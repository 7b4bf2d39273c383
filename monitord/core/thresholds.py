"""A limit with its direction, as it is written: `> 50`, `>= 50`, `< 1`, `<= 1`, `outside 10..20`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal, cast

Condition = Literal[">", ">=", "<", "<=", "outside"]
EXAMPLE: Final = '"> 50", ">= 50", "< 1" or "outside 10..20"'
_NUMBER: Final = r"([-+]?\d+(?:\.\d+)?)"
_ONE_SIDED: Final = re.compile(rf"(>=|<=|>|<)\s*{_NUMBER}")
_OUTSIDE: Final = re.compile(rf"outside\s+{_NUMBER}\s*\.\.\s*{_NUMBER}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a number must not be: past `value` in the direction of the condition, or not within `value`..`upper`."""

    condition: Condition
    value: float
    upper: float = 0.0

    def is_past(self, number: float) -> bool:
        """Whether a number is as it must not be. What is not a number (NaN) is."""
        if math.isnan(number):
            return True
        match self.condition:
            case ">":
                return number > self.value
            case ">=":
                return number >= self.value
            case "<":
                return number < self.value
            case "<=":
                return number <= self.value
            case "outside":
                return not self.value <= number <= self.upper

    @property
    def range(self) -> str:
        """The range that Nagios would draw: outside of it is past the limit."""
        match self.condition:
            case ">" | ">=":
                return f"~:{self.value:g}"
            case "<" | "<=":
                return f"{self.value:g}:"
            case "outside":
                return f"{self.value:g}:{self.upper:g}"

    def __str__(self) -> str:
        between = f"..{self.upper:.15g}" if self.condition == "outside" else ""
        return f"{self.condition} {self.value:.15g}{between}"


def threshold(text: str) -> Threshold:
    """A limit from how it is written. ValueError with half a sentence for anything else."""
    written = text.strip()
    if match := _ONE_SIDED.fullmatch(written):
        return Threshold(cast("Condition", match[1]), float(match[2]))
    if match := _OUTSIDE.fullmatch(written):
        low, high = float(match[1]), float(match[2])
        if low > high:
            raise ValueError(f"{written!r} begins above its end")
        return Threshold("outside", low, high)
    raise ValueError(f"{written!r} is no limit; write {EXAMPLE}")


def is_stricter(critical: Threshold, warning: Threshold) -> bool:
    """Whether all that is critical is worth a warning too; what cannot be compared is taken for that."""
    sides = {">": 1, ">=": 1, "<": -1, "<=": -1, "outside": 0}
    if sides[critical.condition] != sides[warning.condition]:
        return True
    if critical.condition == "outside":
        return critical.value <= warning.value and critical.upper >= warning.upper
    return (critical.value - warning.value) * sides[critical.condition] >= 0
