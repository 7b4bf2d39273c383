"""What one observation adds to the history: readings, the fleet, rows, seals, queues, trends, and what happened."""

from __future__ import annotations

from monitord.core.alerting.silences import forget
from monitord.core.history.clocks import update_clocks
from monitord.core.history.model import History, update_readings
from monitord.core.history.restarts import update_acts, update_exits
from monitord.core.model import Observation, ServiceEvent
from monitord.core.orders import StandingOrders
from monitord.core.subjects.registry import registered


def update(
    history: History, observation: Observation, orders: StandingOrders
) -> tuple[History, list[ServiceEvent], list[str]]:
    """The history with this cycle's readings in it, what happened to services, and what there is to note."""
    now = observation.now.timestamp()
    events: list[ServiceEvent] = []
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
            updated = subject.update(history, reading, before.get(subject.name), now, orders)
            history, events, notes = updated.history, [*events, *updated.events], [*notes, *updated.notes]
    return history, events, notes
