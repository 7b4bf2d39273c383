"""Judgement of watched tables: growing past the limit, or not growing at all."""

from functools import partial
from typing import Final

from monitord.core import humanize
from monitord.core.anomalies.doubling import TWICE, half_windows, whole_windows
from monitord.core.dependencies import feeders, fleet_of
from monitord.core.history import growth_rates
from monitord.core.history.model import History, TableHistory
from monitord.core.model import Alert, Finding, Observation, Severity
from monitord.core.orders import StandingOrders
from monitord.core.subjects import postgres_status
from monitord.core.subjects.base import NONE, Answer, Impact, RecoveryContext, Rule, of_each
from monitord.core.subjects.database import LAGS, lags
from monitord.core.subjects.postgres_report import GROWTH_STEADY

LOST = "it cannot be read"
# From this share of the rows on it is reported how many carry labels from before the window.
LATE_SHARE = 0.05
# A table that grows on disk while its counters stand still is counted so many times sooner.
SOONER = 5
# Where there are no epochs, a stall of so many limits is critical.
STALLS = 4
UNWATCHED = "it doubled from window to window, and has not been watched for three of them since"
UNTOLD = "no counter sees its rows, and no two exact counts could be compared"


def _table(name: str, observation: Observation, history: History) -> TableHistory | None:
    """What is remembered of a table; None: it is not readable now."""
    is_there = any(one.label("table") == name for one in observation.readings["postgres"].named("table_size"))
    return history.tables.get(name) if is_there else None


@of_each(lambda orders: orders.tables)
def table_growth_high(name: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """More rows arrived per window than the orders allow, whatever their labels; rows rolled back do not count."""
    now, table = observation.now.timestamp(), _table(name, observation, history)
    if table is None:
        return LOST
    window, limit, counted = orders.growth_window_of(name), orders.growth_limit_of(name), table.exact_at == now
    gained, at_least = growth_rates.window_rows(table, now, window), growth_rates.rows_at_least(table, window)
    if gained is None and at_least is None and not table.known:
        return UNTOLD
    rows = round(max(gained or 0.0, at_least or 0.0))
    if rows <= limit and table.known and table.doubling:
        return _doubling(name, table, now, counted, orders)
    if rows <= limit:  # a lower bound below the limit says nothing of what came beyond it
        return None if table.known else UNTOLD
    rate = growth_rates.rows_per_hour(table, now, window)
    is_bound = at_least is not None and at_least >= (gained or 0.0)
    late = growth_rates.late_rows(table, now, window)
    has_late = late is not None and late >= LATE_SHARE * rows
    summary = (
        f"{name} gained {'at least ' if is_bound else ''}{humanize.count(rows)} rows "
        f"within {humanize.duration(window)}, past the limit of {humanize.count(limit)}"
        + (f"; {_late(late, rows, table.late_before, now)}." if late is not None and has_late else ".")
    )
    evidence = {
        "rows_per_hour": None if rate is None else round(rate),
        "window_seconds": window,
        "counted": "at least" if is_bound else _counted(table),
    }
    if late is not None and has_late:
        evidence |= {"late_rows": round(late), "late_before": table.late_before}
    what = "a stream that is replayed, a backfill" if has_late else "a replayed stream, a loop, or a real surge"
    advice, exact = f"Find what writes to {name}: {what}; watch the disk.", _to_count(name, table, is_counted=counted)
    return Finding(
        "table_growth_high", name, "warning", rows, limit, "rows", summary, evidence, advice, needs_exact=exact
    )


def _counted(table: TableHistory) -> str:
    return "exactly" if table.exact_at is not None and table.countable else "by statistics only"


def _to_count(name: str, table: TableHistory, *, is_counted: bool) -> tuple[str, ...]:
    return (name,) if table.countable and not is_counted else ()


def _doubling(name: str, table: TableHistory, now: float, counted: bool, orders: StandingOrders) -> Answer:
    """A table that gains about twice as many rows in each window as in the one before it."""
    window = orders.growth_window_of(name)
    halves = half_windows(table, now, window)
    if halves is None:
        return UNWATCHED
    parts = [round(rows) for rows in whole_windows(halves)]
    each = humanize.listed([humanize.count(rows) for rows in parts])
    how = "doubles every" if parts[1] >= TWICE * parts[0] and parts[2] >= TWICE * parts[1] else "grows faster every"
    summary = f"{name} {how} {humanize.duration(window)}: {each} rows."
    evidence = {
        "rows_per_hour": round(parts[-1] / window * 3600.0),
        "window_seconds": window,
        "windows": parts,
        "counted": _counted(table),
    }
    advice = (
        f"Find what writes to {name} more and more: a loop that feeds itself, a replayed stream, or a surge; "
        "watch the disk."
    )
    limit, exact = round(orders.growth_steady_of(name) * window / 3600.0), _to_count(name, table, is_counted=counted)
    return Finding(
        "table_growth_high", name, "warning", parts[-1], limit, "rows", summary, evidence, advice, needs_exact=exact
    )


def _late(late: float, rows: int, before: int, now: float) -> str:
    """How rows are described that carry labels from before the window, to end a sentence."""
    which = "all of it carries" if late >= rows else f"{humanize.count(late)} of them carry"
    return f"{which} labels before {humanize.moment(before, now)} (a replay, a backfill or a backlog)"


@of_each(lambda orders: orders.tables)
def table_flow_stalled(name: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """No new row for too long, as far as was observed; confirmed by exact counts that stand still."""
    now, table = observation.now.timestamp(), _table(name, observation, history)
    if lags(observation.readings["postgres"], orders):
        return LAGS
    if table is None:
        return LOST
    past = growth_rates.stall(history, name, table, now, orders)
    if past is None:
        return None
    quiet = round(growth_rates.quiet_seconds(history, table, now), 3)
    # Counters that do not see every row say nothing by standing still; a count that stopped at its cap says that
    # there are very many rows, and not when the last of them came.
    is_capped = table.at_least is not None
    if is_capped or not table.known or (not table.trusted and table.compared_at is None):
        return UNTOLD
    worse, hours = lost_for_good(past.limit, orders), growth_rates.flow_limit(name, table, orders)
    is_learned = past.limit not in orders.flow_stall_of(name).by_hour
    is_lost, is_counted = past.lasted > worse, table.compared_at == now
    summary = (
        f"No new row has come into {name} for {humanize.duration(quiet)}"
        + (" (inserts are tried and rolled back)" if table.rolled_back else "")
        + (f"; at this hour (UTC) the limit is {humanize.duration(past.limit)}" if hours.varies else "")
        + (", as learned from this hour of its last days." if is_learned else ".")
    )
    evidence = {
        "last_row_at": humanize.clock(table.last_row_at),
        "rolled_back": table.rolled_back,
        "limit_is_learned": is_learned,
        "counted": "exactly" if is_counted else "by statistics only",
    }
    severity: Severity = "critical" if is_lost else "warning"
    limit, advice = worse if is_lost else past.limit, _who_brings(name, history, orders)
    exact = _to_count(name, table, is_counted=is_counted)
    return Finding(
        "table_flow_stalled", name, severity, quiet, limit, "seconds", summary, evidence, advice, needs_exact=exact
    )


def lost_for_good(limit: float, orders: StandingOrders) -> float:
    """Past how many seconds a stall is critical: an epoch; four limits without epochs, or where one is longer."""
    epoch = orders.epoch_length.total_seconds()
    return epoch if orders.groups and epoch > limit else STALLS * limit


def _who_brings(name: str, history: History, orders: StandingOrders) -> str:
    """What to do about a table without new rows: who is declared to bring them, in order, and whether they run."""
    found = [
        (
            service,
            "/".join(sorted({process.state for process in history.services[service].lives.values()})) or "not in PM2",
        )
        for service in fleet_of(feeders(name, orders), history, orders)
    ]
    if not found:
        return (
            f"Check the services that write to {name}: are they connected, do they log errors? Which they are can be "
            "declared (MONITORD_ORDERS__FED_BY)."
        )
    writers = humanize.listed([f"{service} ({state})" for service, state in found])
    first = next((service for service, state in found if state != "online"), found[0][0])
    return (
        f"The rows of {name} come in by {writers}. Begin with {first}: is it connected, does its log show errors? "
        "What is online may still have lost its connection."
    )


def wants_exact(history: History, orders: StandingOrders, now: float) -> frozenset[str]:
    """Tables that the next reading should count exactly though nothing is suspected yet.

    An audit every third of the stall limit finds inserts that are all rolled back, and rows that no counter sees; from
    half of the limit on each reading counts, so that a stall can be confirmed the moment it is one. So does each where
    the counters do not see every row, or have not moved yet: until two counts have been compared nothing is known.
    Two counts can be compared while they share a bound, which moves on with the epochs: audits come at least once an
    epoch.
    """
    wanted, epoch = set(), orders.epoch_length.total_seconds()
    for name, table in history.tables.items():
        if not table.indexed:
            continue
        limit = growth_rates.flow_limit(name, table, orders)
        audit_every = min(limit.at(now) / 3, epoch * 0.8)
        since = None if table.exact_at is None else now - table.exact_at
        audit_due = since is None or since >= audit_every or (table.unexplained and since >= audit_every / SOONER)
        doubtful = table.refuted or not table.trusted or table.proven_at is None
        if audit_due or doubtful or growth_rates.overrun(history, table, limit, now, share=0.5):
            wanted.add(name)
    return frozenset(wanted)


def _gained_now(alert: Alert, at: RecoveryContext) -> str | None:
    found = at.report.of(postgres_status.GROWTH).get(alert.subject)
    if found is None or found.window_rows is None:
        return None
    rows = found.window_rows
    window = humanize.duration(at.orders.growth_window_of(alert.subject))
    limit = humanize.count(at.orders.growth_limit_of(alert.subject))
    return f"{alert.subject} gained {humanize.count(rows)} rows within the last {window}; the limit is {limit}."


def _flows_now(alert: Alert, at: RecoveryContext) -> str | None:
    table = at.history.tables.get(alert.subject)
    found = at.report.of(postgres_status.GROWTH).get(alert.subject)
    rate = None if found is None else found.rows_per_hour
    if table is None:
        return None
    last = humanize.moment(max(table.flow_at, table.verified_at), at.now)
    pace = f", {humanize.count(rate)} an hour" if rate else ""
    return f"Rows come into {alert.subject} again{pace}; the last one seen at {last}."


def fed_by(finding: Finding, orders: StandingOrders) -> tuple[tuple[str, ...], ...]:
    """Patterns of the services that bring the rows of a table, or of the group that a channel belongs to."""
    return (feeders(str(finding.evidence.get("group", finding.subject)), orders),)


_RUNBOOK: Final = (
    "{pm2} logs {feeder} --lines 50 --nostream",
    "SELECT relname, n_tup_ins, n_tup_del, n_live_tup, last_autovacuum FROM pg_stat_user_tables "
    "WHERE relname = {literal}",
    "{pm2} status",
)
_MORE_ROWS: Final = "more rows than usual; the disk fills faster"
NO_FLOW: Final = Impact(
    lambda alert, _: f"what should come into {alert.subject} is missing",
    ("signals are not collected", "epochs will hold fewer participants, or none", NONE),
)

_rule = partial(Rule, probe="postgres", runbook=_RUNBOOK, criterion=GROWTH_STEADY.name)
TABLE_GROWTH_HIGH = _rule(
    evaluate=table_growth_high,
    roles=frozenset({"growth"}),
    impact=Impact(_MORE_ROWS, (_MORE_ROWS, NONE, NONE)),
    recovered=_gained_now,
)
TABLE_FLOW_STALLED = _rule(
    severities=("warning", "critical"),
    evaluate=table_flow_stalled,
    roles=frozenset({"flow", "stall"}),
    workers=fed_by,
    inhibits_firing=True,
    impact=NO_FLOW,
    recovered=_flows_now,
)
RULES = (TABLE_GROWTH_HIGH, TABLE_FLOW_STALLED)
