"""What a watched table's counters and bounded exact counts add up to: rows gained, a rate, and how long nothing came.

Rows count when they arrive, whatever label they carry. The counters are cheap and show arrivals (arrivals.py), but
they fall to zero after a crash and do not see every row (track_counts is off, compressed chunks, foreign partitions). A
bounded exact count is dear and true, of the labels that it counts: rows with older ones it does not see. So the
counters are followed at every reading. Two exact counts with a shared bound add what no counter saw, and take back
what the counters leave in doubt; what the counters prove they do not overrule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from monitord.core.anomalies import quiet_hours
from monitord.core.anomalies.doubling import WINDOWS, followed
from monitord.core.anomalies.quiet_hours import QuietHours
from monitord.core.copying import replace, slot_by_slot
from monitord.core.history.arrivals import Counters, Numbers, arrived, numbers_of
from monitord.core.history.growth_rates import learns, measured_from, stall
from monitord.core.history.model import History, TableHistory
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders

POINTS_PER_WINDOW = 120
# And so many in each window before the last.
POINTS_BEFORE = 12
# Counters that show so much less than an exact count found do not see every row.
SEEN_SHARE = 0.9
# Postgres shows what a busy session inserted within a minute. What was counted earlier is not counted twice.
LATE_SECONDS = 60.0


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Counts:
    """What the exact counts of one reading found of one table: rows by bound, as far as they were counted to the end.

    `capped` is (bound, rows) of a count that stopped at its cap. `by_key`: the bounds are keys of a sequence, and not
    labels. `unfinished`: one that was asked for did not finish in time.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    capped: tuple[str, int] | None = None
    by_key: bool = False
    unfinished: bool = False


_NO_COUNTS: Final = Counts()


def update_tables(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> tuple[History, list[str]]:
    """The history after one good reading of the postgres probe (the last was at `before`), and what to note."""
    tables, notes = {}, []
    told, counted, started = numbers_of(reading), _counts(reading), reading.number("server_started")
    for name in orders.tables:
        table, window, numbers = history.tables.get(name), orders.growth_window_of(name), told.get(name, {})
        if "table_inserted" not in numbers:
            if table is not None:
                tables[name] = _unseen(table, now - (before if before is not None else now))
            continue
        counter = numbers["table_inserted"]
        number = None if counter is None else float(counter)
        if table is None:
            table = TableHistory(points=((now, 0.0),), flow_at=now, verified_at=now, inserted=number)
        elif number is not None and table.inserted is not None and number < table.inserted:
            notes.append(
                f"the counters of {name} fell from {table.inserted:.0f} to {number:.0f} inserts: its growth is "
                "followed from here (statistics were reset, or the table or a partition of it was made anew or dropped)"
            )
            table = replace(table, inserted=number, rebased=True, counters=None)
        counts = counted.get(name, _NO_COUNTS)
        # A count that stopped at its cap or did not finish refutes nothing that the counters show.
        settled = bool(counts.rows) or not (counts.capped or counts.unfinished) or number is None
        indexed = numbers.get("table_countable") != 0
        seen = numbers.get("table_counters") != 0
        table = replace(
            table,
            indexed=indexed,
            countable=indexed and settled,
            refuted=table.refuted and indexed and settled,
            seen=seen,
            # What was proven by counters that no longer see is not proven any more.
            proven_at=table.proven_at if seen or not table.seen else None,
            **_weighed(table, numbers),
        )
        was = table
        table = _step(table, number, Counters.of(numbers, started), counts, now, window)
        quiet = table.quiet
        if before is not None and learns(name, orders):
            quiet = _quiet(history, name, was, table, before, now, orders)
        tables[name] = replace(table, points=_thinned(table.points, now, window), quiet=quiet)
    return replace(history, tables=tables), notes


def update_doubling(history: History, reading: Reading, now: float, orders: StandingOrders) -> History:
    """The history after one good reading of the postgres probe, applied before: whether growth doubles, its peaks."""
    read = reading.values("table_inserted", "table")
    moved = {
        name: after
        for name in orders.tables
        if name in read and (after := followed(name, history.tables[name], now, orders)) is not history.tables[name]
    }
    return replace(history, tables={**history.tables, **moved}) if moved else history


def _quiet(
    history: History,
    name: str,
    was: TableHistory,
    table: TableHistory,
    before: float,
    now: float,
    orders: StandingOrders,
) -> QuietHours:
    if not 0 < now - before <= orders.late_after.total_seconds() or not table.trusted or table.refuted:
        return table.quiet
    quiet, last = quiet_hours.lived_on(table.quiet, now - before, now), was.last_row_at
    if table.last_row_at > last and before > last:
        is_watched = history.watched_seconds("postgres", last, before) >= before - last - 1
        if is_watched and stall(history, name, was, before, orders) is None:
            quiet = quiet_hours.learned_from(quiet, last, before, orders.flow_stall_of(name))
    return quiet


def _counts(reading: Reading) -> dict[str, Counts]:
    """What was counted exactly, by table: of a window with two bounds, unless it stopped at its cap."""
    told = {name: [*reading.named(name)] for name in ("table_recent", "table_newest", "table_arrived")}
    if not any(told.values()):  # nearly always
        return {}
    rows: dict[str, dict[str, int]] = {}
    newest: dict[str, dict[str, int]] = {}
    unfinished = set()
    for s in told["table_recent"]:
        if isinstance(s.value, int):
            rows.setdefault(s.label("table"), {})[s.label("since")] = s.value
        else:
            unfinished.add(s.label("table"))
    for s in told["table_newest"]:
        if isinstance(s.value, int):
            newest.setdefault(s.label("table"), {})[s.label("since")] = s.value
    found: dict[str, Counts] = {}
    for s in told["table_arrived"]:
        if not isinstance(s.value, int):
            continue
        name, since = s.label("table"), s.label("since")
        if s.label("capped") == "1":
            found[name] = Counts({}, (since, s.value), by_key=True)
        else:
            before = found.get(name, _NO_COUNTS).rows
            found[name] = Counts({**before, since: s.value}, by_key=True)
    for name in {*rows, *newest, *unfinished}:
        of_window = rows.get(name, {})
        capped = next(iter(of_window.items())) if len(of_window) == 1 else None
        complete = newest.get(name, {}) if capped else of_window
        found[name] = Counts(complete, capped, unfinished=name in unfinished)
    return found


def _weighed(table: TableHistory, numbers: Numbers) -> dict[str, Any]:
    """What one reading of its size changes of a table: rows that no counter saw take room all the same."""
    deleted, unexplained = numbers.get("table_deleted"), False
    heap, written = numbers.get("table_heap"), numbers.get("table_written")
    if heap is None or written is None:
        heap = written = None
    elif table.heap is not None and written == table.written:
        heap, written, unexplained = table.heap, table.written, table.unexplained or heap > table.heap
    return {"deleted": deleted, "heap": heap, "written": written, "unexplained": unexplained}


def _unseen(table: TableHistory, seconds: float) -> TableHistory:
    """A table that could not be read: the time counts towards no limit, and no count is compared across it."""
    return replace(
        table,
        flow_at=table.flow_at + seconds,
        verified_at=table.verified_at + seconds,
        refuted=False,
        exact={},
        exact_at=None,
    )


def _step(
    table: TableHistory, number: float | None, counters: Counters | None, counts: Counts, now: float, window: float
) -> TableHistory:
    """One reading further: counters first, then the correction by exact counts where there are any."""
    inserted = 0.0 if number is None or table.inserted is None else number - table.inserted
    if counters is not None and table.counters is not None and counters.started != table.counters.started:
        table = replace(table, deleted_then=table.deleted)  # another server's deletes are none of this table's
    came = arrived(table.counters, counters, inserted, table.share)
    owed = table.owed if 0 <= now - table.owed_at <= LATE_SECONDS else 0.0
    step = came.rows - min(came.rows, owed)
    is_proven = came.rows > came.doubt
    share, proven_at, trusted = table.share, table.proven_at, number is not None and table.seen and not table.missed
    if inserted > 0 and (came.tells_share or trusted):
        share = came.rows / inserted if came.tells_share else share
        proven_at = now if trusted else proven_at
    if counts.unfinished and not counts.rows and not trusted:
        proven_at = None
    table = replace(
        table,
        inserted=number,
        counters=counters,
        gained=table.gained + step,
        points=(*table.points, (now, table.gained + step)),
        flow_at=now if step > 0 else table.flow_at,
        verified_at=now if is_proven else table.verified_at,
        refuted=table.refuted and not is_proven,
        undone=came.rows <= 0 and (inserted > 0 or table.undone),
        told=table.told + came.rows,
        owed=owed - min(came.rows, owed),
        doubt=table.doubt + min(step, came.doubt),
        doubt_before=table.doubt_before if now < table.doubt_until else 0.0,
        share=share,
        proven_at=proven_at,
    )
    if counts.rows or counts.capped:
        table = _compared(table, counts, now, window)
    if counts.rows and not counts.by_key:
        return _labelled(_corrected(table, counts.rows, now, window), now, window)
    return table


def _compared(table: TableHistory, counts: Counts, now: float, window: float) -> TableHistory:
    # The oldest bound of both counts: the newer may begin in an epoch that has no rows yet.
    shared = min((since for since in counts.rows if since in table.exact), key=int, default=None)
    if shared is not None:
        table = replace(_outvoted(table, counts.rows[shared] - table.exact[shared], now), compared_at=now)
    elif counts.capped and counts.capped[0] in table.exact:
        table = _proven(table, counts.capped[1] - table.exact[counts.capped[0]], now)
    elif counts.capped and table.exact_at is not None and table.told <= 0:
        table = replace(table, missed=True)  # so many rows, and the counters say nothing
    at_least = None
    if shared is None:
        doubt = table.doubt_before + table.doubt
        table = replace(table, doubt_before=doubt, doubt_until=now + window if table.doubt else table.doubt_until)
        if counts.capped and not counts.by_key:
            at_least = counts.capped[1] / max(1.0, now - int(counts.capped[0]))
            if table.exact_at is not None and 0 < at_least * (now - table.exact_at) <= table.told:
                table = replace(table, missed=False)  # they show as many rows as can be known
        table = replace(table, compared_at=None, proven_at=table.proven_at if table.trusted else None)
    return replace(
        table,
        exact=dict(counts.rows),
        exact_at=now,
        at_least=at_least,
        gained_then=table.gained,
        told=0.0,
        rebased=False,
        deleted_then=table.deleted,
        doubt=0.0,
    )


def _outvoted(table: TableHistory, counted: int, now: float) -> TableHistory:
    """Two exact counts with a shared bound differ by so many rows: as many came at least, and of the doubtful no more.

    What the counters prove stays: those rows carry labels that were not counted.
    """
    claimed = table.gained - table.gained_then
    sure = max(0.0, claimed - table.doubt)
    rows = float(max(0, counted))
    moved = counted > 0 or sure > 0
    # Rows that were deleted meanwhile may be some that came meanwhile.
    gone = 0.0
    if table.deleted is not None and table.deleted_then is not None:
        gone = max(0.0, table.deleted - table.deleted_then)
    came = rows if rows >= claimed else max(sure, min(claimed, rows + gone))
    # The rows may have come long before this count; the counters know when, unless they have not caught up.
    flowed = table.exact_at is not None and table.flow_at > table.exact_at
    came_at = table.flow_at if flowed else now
    return replace(
        _regained(table, came, now),
        owed=table.owed + came - claimed if came > claimed else table.owed,
        owed_at=now if came > claimed else table.owed_at,
        missed=rows > 0 and table.told < rows * SEEN_SHARE and not table.rebased,
        proven_at=now,
        verified_at=came_at if moved else table.verified_at,
        flow_at=came_at if moved else table.flow_at,
        # Moving counters are refuted by a count that stood still meanwhile, and stay so until one moves.
        refuted=not moved and (table.refuted or (flowed and gone <= 0)),
    )


def _proven(table: TableHistory, at_least: int, now: float) -> TableHistory:
    """A count that stopped at its cap found at least so many rows more than the one before: never fewer came."""
    if at_least <= 0:
        return table
    claimed = table.gained - table.gained_then
    table = replace(table, verified_at=now, flow_at=now, refuted=False, missed=table.told < at_least * SEEN_SHARE)
    return _regained(table, float(at_least), now) if at_least > claimed else table


def _regained(table: TableHistory, came: float, now: float) -> TableHistory:
    then, base = table.exact_at, table.gained_then
    claimed = table.gained - base
    if then is None or came == claimed:
        return table
    if came > claimed:
        return replace(table, gained=base + came, points=(*table.points[:-1], (now, base + came)))
    share = came / claimed
    points = tuple((t, g if t <= then else base + (g - base) * share) for t, g in table.points)
    return replace(table, gained=base + came, points=points)


def _corrected(table: TableHistory, exact: Mapping[str, int], now: float, window: float) -> TableHistory:
    """The series scaled down to what an exact count of the whole window found, as far as it is in doubt.

    The largest bound at or before the start of the series counts all that the series can have gained with labels of
    the window, and perhaps a little more: it can refute what is in doubt, never add to it.
    """
    base_at, base = measured_from(table, now, window)
    bounds = [int(since) for since in exact if int(since) <= base_at]
    claimed = table.gained - base
    if not bounds or claimed <= 0 or table.doubt_before <= 0:
        return table
    found = max(float(exact[str(max(bounds))]), claimed - table.doubt_before)
    if found >= claimed:
        return table
    share = found / claimed
    points = (
        *((t, gained) for t, gained in table.points if t < base_at),
        (base_at, base),
        *((t, base + (gained - base) * share) for t, gained in table.points if t > base_at),
    )
    doubt = table.doubt_before - (claimed - found)
    return replace(table, points=points, gained=base + found, gained_then=base + found, doubt_before=doubt)


def _labelled(table: TableHistory, now: float, window: float) -> TableHistory:
    """The table with how many rows of the window carry labels from before it: those that the count did not find."""
    base_at, base = measured_from(table, now, window)
    bounds = [int(since) for since in table.exact if int(since) <= base_at]
    if not bounds or now <= base_at:
        return replace(table, late=None)
    sure = table.gained - base - table.doubt_before
    return replace(table, late=max(0.0, sure - table.exact[str(max(bounds))]), late_before=max(bounds))


def _thinned(series: tuple[tuple[float, float], ...], now: float, window: float) -> tuple[tuple[float, float], ...]:
    """The series as far back as needed; points window / 120 apart at least, window / 12 before the last window."""
    spacing, earlier = window / POINTS_PER_WINDOW, window / POINTS_BEFORE
    points = list(series)
    # The newest point always stays; the one before it goes when it is too close to the one before that.
    if len(points) >= 3 and points[-2][0] - points[-3][0] < spacing:
        del points[-2]
    while len(points) >= 2 and points[1][0] <= now - WINDOWS * window:
        del points[0]
    # Around the start of the window the points stay close: a line between two distant ones would smear a burst.
    place = 1
    while place + 1 < len(points) and points[place + 1][0] <= now - window - earlier:
        if points[place + 1][0] - points[place - 1][0] <= earlier:
            del points[place]
        else:
            place += 1
    return tuple(points)
