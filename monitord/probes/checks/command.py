"""Runs a Nagios plugin, and returns what it has found and its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from monitord.core.model import sample
from monitord.core.subjects.values import PERFDATA, STATE, TEXT
from monitord.probes.checks.base import CheckResult, result
from monitord.probes.checks.plugin import run_plugin

# How monitord calls what plugins measure in; what is not here keeps the name that the plugin gives it.
_UNITS = {"s": "seconds", "ms": "ms", "%": "percent", "B": "bytes", "": "1", "c": "1"}


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

    async def close(self) -> None:
        """Nothing is kept between two runs."""


def _unit(written: str) -> str:
    return _UNITS.get(written, written)
