"""What is measured, as figures: each part of the benchmark gives its own, one table and one file are made of them."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.measure import table
from monitord import __version__

# What stands beside monitord in the table, in its order.
BESIDE: Final = {
    "floor": "idle floor",
    "script": "the script",
    "prometheus": "Prometheus",
    "monit": "Monit",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Attributes:
        name: A stable name, the key in the file.
        title: What it is, for people.
        value: None: it was not measured, and `how` says why.
        unit: Of the value, the target and what stands beside it.
        target: What it is to be at most; None: none is set.
        how: How it was taken.
        beside: The same of others, by the names in BESIDE.
        spread: The least and the most, where there were several.
    """

    name: str
    title: str
    value: float | None
    unit: str
    target: float | None = None
    how: str = ""
    beside: Mapping[str, float] = field(default_factory=dict)
    spread: tuple[float, float] | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None where there is nothing to compare."""
        return None if self.value is None or self.target is None else self.value <= self.target


def of(name: str, title: str, values: Sequence[float], unit: str, target: float | None = None, how: str = "") -> Figure:
    """The median of several measurements."""
    if not values:
        return Figure(name, title, None, unit, target, how)
    return Figure(name, title, statistics.median(values), unit, target, how, spread=(min(values), max(values)))


def text(title: str, figures: Sequence[Figure]) -> str:
    """The table, for a terminal, and beneath it how each was taken."""
    others = [name for name in BESIDE if any(name in one.beside for one in figures)]
    rows = [
        [
            f"{number}. {one.title}",
            shown(one.value, one.unit),
            "-" if one.target is None else f"<= {shown(one.target, one.unit)}",
            {True: "yes", False: "no", None: "-"}[one.is_met],
            *(shown(one.beside.get(name), one.unit) for name in others),
        ]
        for number, one in enumerate(figures, 1)
    ]
    heads = ["what", "now", "target", "met", *(BESIDE[name] for name in others)]
    notes = [f"{number:3}. {one.how}" for number, one in enumerate(figures, 1) if one.how]
    return "\n".join([table(title, heads, rows), "", *notes])


def shown(value: float | None, unit: str) -> str:
    """A value of three significant digits and its unit."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def kept(path: Path, figures: Sequence[Figure], **more: object) -> None:
    """Keep the figures as JSON, with what they were taken on."""
    body = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "monitord": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        **more,
        "figures": {one.name: _rounded(asdict(one)) for one in figures},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


def newest(directory: Path) -> dict[str, Any]:
    """What was kept last in a directory of files that are named by their date."""
    found: dict[str, Any] = json.loads(max(directory.glob("*.json")).read_text(encoding="utf-8"))
    return found


def markdown(measured: Mapping[str, Any]) -> str:
    """The table of what was kept, for a document."""
    figures = measured["figures"].values()
    others = [name for name in BESIDE if any(name in one["beside"] for one in figures)]
    lines = [
        [
            one["title"],
            shown(one.get("value"), one["unit"]),
            shown(one.get("target"), one["unit"]),
            *(shown(one["beside"].get(name), one["unit"]) for name in others),
        ]
        for one in figures
    ]
    heads = ["what", "now", "target", *(BESIDE[name] for name in others)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *lines))


def _rounded(value: Any) -> Any:
    """Four significant digits: no figure is better than that."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items() if key != "name" and inner is not None}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value
