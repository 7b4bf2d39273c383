"""How fast rows come, and for how long none has, by what is kept of a table (growth.py)."""

from functools import partial

from monitord.core.anomalies import quiet_hours
from monitord.core.anomalies.regression import value_at
from monitord.core.history.model import History, TableHistory
from monitord.core.hours import HourlyLimit, Overrun
from monitord.core.orders import StandingOrders


def measured_from(table: TableHistory, now: float, window: float) -> tuple[float, float]:
    """When growth is measured from, the window's start or a younger series' oldest point, and the gain by then."""
    start, points = now - window, table.points
    if points[0][0] >= start:
        return points[0]
    return (start, value_at(points, start)) if points[-1][0] > start else points[-1]


def window_rows(table: TableHistory, now: float, window: float) -> float | None:
    """Rows gained over the span held, at most the window; None before a second reading, or where there is no source."""
    if not table.known:
        return None
    at, gained = measured_from(table, now, window)
    if now <= at:
        return None
    return max(0.0, table.gained - gained)


def rows_per_hour(table: TableHistory, now: float, window: float) -> float | None:
    """The rate over the span held; None before a second reading, or where no source can be trusted."""
    if not table.known:
        return None
    at, gained = measured_from(table, now, window)
    return max(0.0, table.gained - gained) / (now - at) * 3600.0 if now > at else None


def late_rows(table: TableHistory, now: float, window: float) -> float | None:
    """How many rows of the window carry labels from before `late_before`, by the last exact count; None: not known."""
    if table.late is None or table.exact_at is None or now - table.exact_at > window:
        return None
    return table.late


def rows_at_least(table: TableHistory, window: float) -> float | None:
    """Rows that a count which stopped at its cap proves for a window, where there is no better source; else None."""
    if table.at_least is None or (table.trusted and table.proven_at is not None):
        return None
    return table.at_least * window


def quiet_seconds(history: History, table: TableHistory, now: float) -> float:
    return history.watched_seconds("postgres", table.last_row_at, now)


def learns(name: str, orders: StandingOrders) -> bool:
    """Whether the quiet hours of a table are learned: not where it has a limit of its own."""
    declared = orders.table_by_name.get(name)
    return orders.learned_quiet_hours and (declared is None or declared.flow_stall is None)


def flow_limit(name: str, table: TableHistory | None, orders: StandingOrders) -> HourlyLimit:
    """How long no new row may come into a table, by the hour: as it is set, or longer as its own past shows."""
    base = orders.flow_stall_of(name)
    return base if table is None or not learns(name, orders) else quiet_hours.widened(table.quiet, base)


def stall(history: History, name: str, table: TableHistory, now: float, orders: StandingOrders) -> Overrun | None:
    """For how long past its limit no row has come into a table; None: it is not past it."""
    return overrun(history, table, flow_limit(name, table, orders), now)


def overrun(
    history: History, table: TableHistory, limit: HourlyLimit, now: float, share: float = 1.0
) -> Overrun | None:
    """For how long past such a limit, or this share of it, no row has come into a table; None: it is not past it."""
    return limit.overrun(table.last_row_at, now, partial(history.watched_seconds, "postgres"), share)
