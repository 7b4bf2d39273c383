"""What the bus says of hands on processes: operators' restarts, reloads and stops, and when PM2 began to end something.

`restart`, `reload` and `stop` are told when they are done. Of a delete, a cron_restart and `pm2 scale` the bus tells
only the ends, the second time (the echo) when the process has gone: what became of it is in PM2's list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from monitord.core.model import OperatorAction

from .bus_events import ExitEvent, Fact, OperatorDone, Stopping, instance_of

_DONE: Final[Mapping[str, Literal["restart", "reload", "stop"]]] = {
    "restart": "restart",
    "reload": "reload",
    "softReload": "reload",
    "stop": "stop",
}


def act_of(fact: Fact, arrived: float) -> OperatorAction | None:
    """What one fact of the bus says of a hand on a process; None for all else. `arrived` (Unix seconds) if unsaid."""
    match fact:
        case OperatorDone(what=what) if what in _DONE:
            at = arrived if fact.at is None else fact.at
            return OperatorAction(
                fact.service, instance_of(fact.process), at, _DONE[what], fact.restarts, fact.created_at
            )
        case Stopping():
            return OperatorAction(
                fact.service, instance_of(fact.process), arrived if fact.at is None else fact.at, "stopping"
            )
        case ExitEvent(ordered=True):
            at = arrived if fact.at is None else fact.at
            return OperatorAction(fact.service, instance_of(fact.process), at, "ended", fact.restarts)
        case _:
            return None
