"""Judgement of watched tables: growing past the limit, or not growing at all."""

from __future__ import annotations

from collections.abc import Iterator

from monitord.core import words
from monitord.core.growth import quiet_seconds, rows_per_hour, window_rows
from monitord.core.history import History, Table
from monitord.core.model import Clear, Finding, Judgement, Observation, Reading, Unknown
from monitord.core.orders import StandingOrders

LOST = "it cannot be read"


def _tables(
    observation: Observation, history: History, orders: StandingOrders
) -> Iterator[tuple[str, Table | None, bool]]:
    """Every ordered table, what is remembered of it (None: not readable now), and whether it was just counted."""
    reading: Reading = observation.readings["postgres"]
    present = reading.values("table_size", "table").keys()
    now = observation.now.timestamp()
    for name in orders.tables:
        table = history.tables.get(name) if name in present else None
        yield name, table, table is not None and table.exact_at == now


def table_growth_high(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """More rows gained per window than the orders allow; rows a bounded exact count does not find do not count."""
    now, window = observation.now.timestamp(), orders.growth_window.total_seconds()
    for name, table, counted in _tables(observation, history, orders):
        if table is None:
            yield Unknown("table_growth_high", name, LOST)
            continue
        rows = round(window_rows(table, now, window) or 0)
        if rows <= orders.growth_limit:
            yield Clear("table_growth_high", name)
            continue
        rate = rows_per_hour(table, now, window)
        yield Finding(
            rule="table_growth_high",
            subject=name,
            severity="warning",
            value=rows,
            limit=orders.growth_limit,
            unit="rows",
            summary=(
                f"{name} gained {words.count(rows)} rows within {words.duration(window)}, "
                f"past the limit of {words.count(orders.growth_limit)}."
            ),
            evidence={
                "rows_per_hour": None if rate is None else round(rate),
                "window_seconds": window,
                "counted": "exactly" if table.exact_at is not None and table.countable else "by statistics only",
            },
            recommendation=f"Find what writes to {name}: a replayed stream, a loop, or a real surge; watch the disk.",
            needs_exact=(name,) if table.countable and not counted else (),
        )


def table_flow_stalled(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """No new row for too long, as far as the watch could see; confirmed by exact counts that stand still."""
    now, limit = observation.now.timestamp(), orders.flow_stall.total_seconds()
    for name, table, _ in _tables(observation, history, orders):
        if table is None:
            yield Unknown("table_flow_stalled", name, LOST)
            continue
        quiet = round(quiet_seconds(history, table, now), 3)
        if quiet <= limit:
            yield Clear("table_flow_stalled", name)
            continue
        yield Finding(
            rule="table_flow_stalled",
            subject=name,
            severity="warning",
            value=quiet,
            limit=limit,
            unit="seconds",
            summary=f"No new row has come into {name} for {words.duration(quiet)}"
            + (" (inserts are tried and rolled back)." if table.refuted else "."),
            evidence={
                "last_row_at": words.clock(table.verified_at if table.refuted else table.flow_at),
                "rolled_back": table.refuted,
                "counted": "exactly" if table.compared_at == now else "by statistics only",
            },
            recommendation=f"Look at the services that write to {name}: are they connected, do they log errors?",
            needs_exact=(name,) if table.countable and table.compared_at != now else (),
        )


def wants_exact(history: History, orders: StandingOrders, now: float) -> frozenset[str]:
    """Tables that the next reading should count exactly though nothing is suspected yet.

    An audit every third of the stall limit finds inserts that are all rolled back; from half of the limit on each
    reading counts, so that a stall can be confirmed the moment it is one. Two counts can be compared while they share
    a bound, which moves on with the epochs: audits come at least once an epoch.
    """
    limit = orders.flow_stall.total_seconds()
    audit_every = min(limit / 3, orders.epoch_length.total_seconds() * 0.8)
    wanted = set()
    for name, table in history.tables.items():
        audit_due = table.exact_at is None or now - table.exact_at >= audit_every
        if table.countable and (audit_due or table.refuted or quiet_seconds(history, table, now) > limit / 2):
            wanted.add(name)
    return frozenset(wanted)
