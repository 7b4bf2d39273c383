"""What a watched table's counters and bounded exact counts add up to: rows gained, a rate, and how long nothing came.

The counters are cheap and wrong at times: they count rolled-back inserts and fall to zero after a crash. A bounded
exact count is dear and true. So the counters are followed at every reading, and corrected by every exact count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from monitord.core.history import History, Table
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders

POINTS_PER_WINDOW = 120


def absorb_tables(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> tuple[History, list[str]]:
    """The history after one good reading of the postgres probe (the last was taken at `before`), and what to note."""
    window = orders.growth_window.total_seconds()
    tables, notes = {}, []
    inserted = reading.values("table_inserted", "table")
    countable = reading.values("table_countable", "table")
    exact: dict[str, dict[str, int]] = {}
    unfinished = set()
    for s in reading.named("table_recent"):
        if s.value is None:
            unfinished.add(s.label("table"))
        elif isinstance(s.value, int):
            exact.setdefault(s.label("table"), {})[s.label("since")] = s.value
    for name in orders.tables:
        table = history.tables.get(name)
        if name not in inserted:
            if table is not None:
                tables[name] = _unseen(table, now - (before if before is not None else now))
            continue
        counter = inserted[name]
        number = float(counter) if isinstance(counter, int | float) else None
        if table is None:
            table = Table(points=((now, 0.0),), flow_at=now, verified_at=now, inserted=number)
        elif number is not None and table.inserted is not None and number < table.inserted:
            notes.append(
                f"the counters of {name} fell from {table.inserted:.0f} to {number:.0f} inserts: "
                "its growth is followed from here (statistics were reset, or the table was made anew)"
            )
            table = replace(table, inserted=number)
        counts = exact.get(name, {})
        if len(counts) == 1 or name in unfinished:
            # A count that stopped at its cap comes without a second bound, and says no more than "at least"; one that
            # did not finish in time says nothing. Either settles nothing: the counters stand for themselves, where
            # there are any.
            counts, settled = {}, number is None
        else:
            settled = True
        is_countable = countable.get(name) != 0 and settled
        table = replace(table, countable=is_countable, refuted=table.refuted and is_countable)
        tables[name] = _thin(_step(table, number, counts, now, window), now, window)
    return replace(history, tables=tables), notes


def _unseen(table: Table, seconds: float) -> Table:
    """A table that could not be read: the time counts towards no limit, and no count is compared across it."""
    return replace(
        table,
        flow_at=table.flow_at + seconds,
        verified_at=table.verified_at + seconds,
        refuted=False,
        exact={},
        exact_at=None,
    )


def _step(table: Table, number: float | None, exact: Mapping[str, int], now: float, window: float) -> Table:
    """One reading further: counters first, then the correction by exact counts where there are any."""
    # The oldest bound of both counts: the newer may begin in an epoch that has no rows yet.
    shared = min((since for since in exact if since in table.exact), key=int, default=None)
    new_rows = None if shared is None else max(0, exact[shared] - table.exact[shared])
    step = float(new_rows or 0)  # a replica has no counters of its own: the exact counts stand in
    if number is not None:
        step = 0.0 if table.inserted is None else number - table.inserted
    table = replace(
        table,
        inserted=number,
        gained=table.gained + step,
        points=(*table.points, (now, table.gained + step)),
        flow_at=now if step > 0 else table.flow_at,
    )
    if not exact:
        return table
    compared = table.exact_at is not None and new_rows is not None
    if compared:
        moved = new_rows is not None and new_rows > 0
        # The rows may have come long before this count; the counters know when, unless they have not told yet.
        told = table.exact_at is not None and table.flow_at > table.exact_at
        came_at = table.flow_at if told else now
        table = replace(
            table,
            verified_at=came_at if moved else table.verified_at,
            flow_at=came_at if moved else table.flow_at,
            # Moving counters are refuted by a count that stood still meanwhile, and stay so until one moves.
            refuted=not moved and (table.refuted or told),
        )
    table = replace(table, exact=dict(exact), exact_at=now, compared_at=now if compared else None)
    return _corrected(table, exact, now, window)


def _corrected(table: Table, exact: Mapping[str, int], now: float, window: float) -> Table:
    """The series scaled down to what an exact count of the whole window found, where the counters claim more.

    The largest bound at or before the start of the series counts all that the series can have gained, and perhaps a
    little more: it can refute the counters, never add to them.
    """
    base_at, base = _base(table, now, window)
    bounds = [int(since) for since in exact if int(since) <= base_at]
    claimed = table.gained - base
    if not bounds or claimed <= 0:
        return table
    found = exact[str(max(bounds))]
    if found >= claimed:
        return table
    share = found / claimed
    points = (
        *((t, gained) for t, gained in table.points if t < base_at),
        (base_at, base),
        *((t, base + (gained - base) * share) for t, gained in table.points if t > base_at),
    )
    return replace(table, points=points, gained=base + found)


def _thin(table: Table, now: float, window: float) -> Table:
    """The series with points no closer than window / 120, and one point at or before the window's start."""
    spacing = window / POINTS_PER_WINDOW
    points = list(table.points)
    # The newest point always stays; the one before it goes when it is too close to the one before that.
    if len(points) >= 3 and points[-2][0] - points[-3][0] < spacing:
        del points[-2]
    while len(points) >= 2 and points[1][0] <= now - window:
        del points[0]
    return replace(table, points=tuple(points))


def _base(table: Table, now: float, window: float) -> tuple[float, float]:
    """The moment that growth is measured from, and what had been gained by then.

    The window's start, by a straight line between the points around it: of a span without readings (monitord was
    away) the window gets its share. The oldest point while the series is younger than the window.
    """
    start = now - window
    before = table.points[0]
    for after in table.points:
        if after[0] > start:
            break
        before = after
    else:
        after = before
    if before[0] >= start or after[0] <= before[0]:
        return before
    return start, before[1] + (after[1] - before[1]) * (start - before[0]) / (after[0] - before[0])


def window_rows(table: Table, now: float, window: float) -> float | None:
    """Rows gained over the span held, at most the window; None before a second reading."""
    at, gained = _base(table, now, window)
    if now <= at:
        return None
    return max(0.0, table.gained - gained)


def rows_per_hour(table: Table, now: float, window: float) -> float | None:
    """The rate over the span held; None before a second reading."""
    at, gained = _base(table, now, window)
    return max(0.0, table.gained - gained) / (now - at) * 3600.0 if now > at else None


def quiet_seconds(history: History, table: Table, now: float) -> float:
    """How long no row has come in, as far as the watch could see."""
    since = table.verified_at if table.refuted else table.flow_at
    return history.watched_seconds("postgres", since, now)
