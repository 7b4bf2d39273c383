"""What one observation adds to the history: readings, the fleet, rows, seals, queues, trends, and what happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from monitord.core.alerting.silences import forget
from monitord.core.history.clocks import update_clocks
from monitord.core.history.model import History, update_readings
from monitord.core.history.restarts import update_acts, update_exits
from monitord.core.model import Observation, ServiceEvent
from monitord.core.orders import StandingOrders
from monitord.core.subjects.registry import registered

# What one subject that is no part of monitord may keep between cycles, as JSON: it is written in every cycle.
KEEP_BYTES = 64 * 1024


def update(
    history: History, observation: Observation, orders: StandingOrders
) -> tuple[History, list[ServiceEvent], list[str], list[str]]:
    """The history with this cycle's readings in it, what happened to services, what there is to note, and what failed.

    A subject whose update fails leaves the history as it was.
    """
    now = observation.now.timestamp()
    events: list[ServiceEvent] = []
    faults: list[str] = []
    history, notes = update_clocks(history, observation, orders)
    before = history.taken_at
    history = update_readings(history, observation, orders)
    good = {name: r for name, r in observation.readings.items() if r.failure is None}
    if forgotten := [command.target for command in observation.commands if command.kind == "forget"]:
        history = forget(history, forgotten, orders)
    if observation.exits:
        history = update_exits(history, observation.exits, now, orders.restarts_window.total_seconds())
    if observation.acts:
        history = update_acts(history, observation.acts)
    for subject in registered():
        if (reading := good.get(subject.name)) is not None:
            try:
                updated = subject.update(history, reading, before.get(subject.name), now, orders)
                _check(history.by_subject, updated.history.by_subject)
            except Exception as error:  # noqa: BLE001 - a bug in one subject must not blind all the others
                why = str(error) if isinstance(error, KeptError) else type(error).__name__
                faults.append(f"what is known of {subject.title} could not be updated ({why})")
                continue
            history, events, notes = updated.history, [*events, *updated.events], [*notes, *updated.notes]
    return history, events, notes, faults


class KeptError(Exception):
    """What a subject would keep cannot be kept."""


def _check(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise KeptError where what subjects keep is no JSON, or too much of it."""
    for name, kept in after.items():
        if kept is before.get(name):
            continue
        try:
            size = len(json.dumps(kept, allow_nan=False))
        except (TypeError, ValueError):
            raise KeptError(f"what {name} keeps is not JSON") from None
        if size > KEEP_BYTES:
            raise KeptError(f"{name} keeps {size:,} bytes; {KEEP_BYTES:,} are the most")
