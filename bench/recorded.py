"""What `monitord report` and `monitord backtest` cost over a long recording: processes of their own, start to end."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bench.figures import Figure
from bench.measure import Run, run
from bench.nights import night, saved
from monitord.core.engine import State
from monitord.testing.sandbox import Sandbox, package_root

CYCLES: Final = 10_000
# A report of a healthy recording may be of any verdict: GO, NO-GO or unknown.
_CODES: Final = {"report": (0, 2, 3), "backtest": (0, 1, 2)}


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many cycles were read, and a run of each command."""

    cycles: int
    runs: dict[str, Run]


async def measure(cycles: int, say: Callable[[str], None]) -> Recorded:
    """Record that many cycles of a healthy night of seven services, which ends now, and run both over all of them."""
    say(f"a recording of {cycles:,} cycles, its report and its backtest")
    # As close together as a look every 10 s, and up to now: what is older than 48 h is not kept.
    every = 10.0
    observations, orders = night(7, cycles, every=every, start=datetime.now(UTC) - timedelta(seconds=every * cycles))
    with tempfile.TemporaryDirectory(prefix="bench-") as place, Sandbox() as sandbox:
        directory = Path(place)
        await saved(directory, observations, orders, State())
        env = {
            "MONITORD_STATE_DIR": str(directory),
            "MONITORD_CHECK_INTERVAL": "10s",
            "PYTHONPATH": str(package_root()),
        }
        runs = {}
        for command in ("report", "backtest"):
            log = directory / f"{command}.log"
            argv = [sys.executable, "-m", "monitord", command, "--since", "30h", "--format", "json"]
            runs[command] = run(sandbox, argv, log, env)
            if runs[command].code not in _CODES[command]:
                raise RuntimeError(f"monitord {command} failed: {log.read_text()[-500:]}")
    return Recorded(cycles, runs)


def figures(found: Recorded) -> list[Figure]:
    """The rows of the table."""
    return [
        Figure(
            name,
            f"{name} on {found.cycles:,} cycles, CPU",
            one.cpu,
            "s",
            3.0,
            f"`monitord {name} --since 30h --format json`, one process from start to end ({one.wall:.1f} s)",
        )
        for name, one in found.runs.items()
    ]
