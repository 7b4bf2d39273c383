"""What one observation adds to the history: readings, the fleet, rows, seals, queues, trends, and what happened."""

from __future__ import annotations

from dataclasses import replace

from monitord.core.clocks import absorb_clocks, absorb_lag, disagree, judged_at
from monitord.core.epochs import empty_labels, sealed_labels
from monitord.core.fleet import absorb_fleet
from monitord.core.growth import absorb_tables
from monitord.core.history import History, absorb_readings
from monitord.core.learned import absorb_epochs
from monitord.core.model import Observation, Reading, ServiceEvent
from monitord.core.orders import StandingOrders
from monitord.core.quiet import forget
from monitord.core.recognizing import absorb_identity, absorb_seals
from monitord.core.restarts import absorb_acts, absorb_exits
from monitord.core.rules.host import absorb_full
from monitord.core.rules.redis import absorb_queues
from monitord.core.rules.sealing import absorb_left_out
from monitord.core.rules.served import absorb_refusals
from monitord.core.rules.trends import absorb_trends

_BY_LABEL = frozenset({"table_recent", "table_newest"})


def absorb(
    history: History, observation: Observation, orders: StandingOrders
) -> tuple[History, list[ServiceEvent], list[str]]:
    """The history with this cycle's readings in it, what happened to services, and what there is to note."""
    now = observation.now.timestamp()
    events: list[ServiceEvent] = []
    history, notes = absorb_clocks(history, observation, orders)
    before = history.taken_at.get("pm2") if history.services else None
    measured, looked = history.taken_at.get("postgres"), history.taken_at.get("host")
    history = absorb_readings(history, observation, orders)
    good = {name: r for name, r in observation.readings.items() if r.failure is None}
    if forgotten := [command.target for command in observation.commands if command.kind == "forget"]:
        history = forget(history, forgotten, orders)
    if observation.exits:
        history = absorb_exits(history, observation.exits, now, orders.restarts_window.total_seconds())
    if observation.acts:
        history = absorb_acts(history, observation.acts)
    if "pm2" in good:
        history, events = absorb_fleet(history, good["pm2"], before, now, orders)
    if "postgres" in good:
        history = absorb_lag(history, good["postgres"])
        history, notes_of_identity = absorb_identity(history, good["postgres"])
        notes += notes_of_identity
        history, notes_of_tables = absorb_tables(history, _countable(history, good["postgres"]), measured, now, orders)
        notes += notes_of_tables
    if "epochs" in good:
        history = replace(history, sealed=sealed_labels(good["epochs"]), empty=empty_labels(good["epochs"]))
        if not disagree(history):
            at = judged_at(history, now)
            history = absorb_seals(history, history.sealed, at, orders)
            history = absorb_left_out(history, now, orders)
            history = replace(history, learned=absorb_epochs(history.learned, good["epochs"], at, orders))
    for server in ("postgres", "redis"):
        if server in good:
            history = absorb_refusals(history, good[server])
    if "host" in good:
        history = absorb_full(history, good["host"], looked, now, orders)
    if "redis" in good:
        history = absorb_queues(history, good["redis"], now, orders)
    history = absorb_trends(history, good, now, orders)
    return history, events, notes


def _countable(history: History, reading: Reading) -> Reading:
    """The reading without its counts by label where the clock that bounds their labels was set."""
    if not disagree(history):
        return reading
    return replace(reading, samples=tuple(s for s in reading.samples if s.name not in _BY_LABEL))
