"""What explains what: a root cause is said once, and what follows from it waits unsaid.

Two ways. While a server cannot be reached, all that is measured through it is unknown, not wrong: its alerts freeze.
And an alert may explain another that is measured on its own: a dead sealer explains that nothing is sealed. What is
declared of a subject is a chain of roles, each of which it needs: one that is wholly dead explains what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from monitord.core.alerts import Book, holds, key, severity_now
from monitord.core.epochs import calendar, seals, window_seconds
from monitord.core.history import History
from monitord.core.model import Aftermath, Alert, Finding, Severity
from monitord.core.names import any_means
from monitord.core.orders import GROUPS, TABLES, TREES, Expected, StandingOrders
from monitord.core.works import has_dead_role

# Probe -> the server it looks through. A failing server freezes the rules of every probe that looks through it.
SERVER: dict[str, str] = {"pm2": "pm2", "postgres": "postgres", "epochs": "postgres", "redis": "redis"}

# A service of which one of these speaks does not do its work.
DEAD = frozenset({"service_down", "service_missing", "service_frozen", "service_restart_loop"})
SEALING = frozenset(
    {"sealing_late", "sealing_stuck", "sealing_gap", "groups_out_of_sync", "sealing_slow", "sealing_incomplete"}
)
FLOW = frozenset({"table_flow_stalled", "channel_silent"})
# What a host without memory or disk takes with it. A service that somebody stopped is not among them.
DEATHS = frozenset(
    {"service_restart_loop", "service_unstable", "pm2_unreachable", "postgres_unreachable", "redis_unreachable"}
)
# What a server that answers, and is another one or refuses the fleet's writes, takes with it: no page of its own.
TAKES: dict[str, frozenset[str]] = {
    "database_changed": SEALING | FLOW | {"table_growth_high"},
    "postgres_full": SEALING | FLOW | {"replica_lagging"},
    "redis_not_writable": frozenset({"redis_queue_backlog"}),
}
# A host's trouble explains what dies next, not what dies some day: past this, a death is news of its own.
NEXT = timedelta(hours=1)
# Of what is refused, the reasons that a full disk may be behind.
NO_ROOM = frozenset({"readonly", "misconf"})
_RANK: dict[Severity, int] = {"warning": 0, "critical": 1}


def server_away(probe: str, history: History, book: Book, orders: StandingOrders) -> bool:
    """Whether the server behind `probe` failed its last reading, or is not yet confirmed to be back.

    A server that answers hides nothing: its alert may flap and go on firing through the calm, and only the readings
    that confirm its return are waited for.
    """
    server = SERVER.get(probe)
    if server is None:
        return False
    last = history.readings.get(server)
    alert = book.get(key(f"{server}_unreachable", server))
    return (last is not None and last.failure is not None) or holds(alert, orders)


def companions(probe: str) -> tuple[str, ...]:
    """The probes to take again when `probe` is looked at again: itself, and the server that may explain it."""
    server = SERVER.get(probe, probe)
    return (probe,) if server == probe else (server, probe)


def explanation(
    finding: Finding,
    since: datetime,
    book: Book,
    history: History,
    orders: StandingOrders,
    now: datetime,
    aftermaths: Mapping[str, Aftermath],
) -> Alert | None:
    """The alert that explains a finding first seen at `since`, or None. A warning never explains what is critical."""
    for after in aftermaths.values():
        is_bad_enough = _RANK[after.cause.severity] >= _RANK[finding.severity]
        if is_bad_enough and (
            _nothing_came(after.cause, finding, history, orders, now, after.at)
            or _is_said_of(after.cause, finding)
            or _has_no_room(after.cause, finding, since, history, orders, now)
        ):
            return after.cause
    for cause in _causes(finding, since, book, history, orders, now):
        if _RANK[severity_now(cause, orders)] >= _RANK[finding.severity]:
            return cause
    return None


def _causes(
    finding: Finding, since: datetime, book: Book, history: History, orders: StandingOrders, now: datetime
) -> Iterator[Alert]:
    workers = _workers(finding, orders)
    dies = finding.rule in DEATHS or (finding.rule == "service_down" and finding.value == "errored")
    for cause in book.values():
        if not holds(cause, orders):
            continue
        is_dead = any(
            has_dead_role(service, patterns, history, book, orders, now.timestamp())
            for service in _dead(cause)
            for patterns in workers
        )
        took = _serves_no_more(cause, finding, since) or _nothing_came(cause, finding, history, orders, now, now)
        is_short = dies and _starves(cause, since, history, now)
        is_behind = _is_said_of(cause, finding)
        if is_dead or took or is_short or is_behind or _has_no_room(cause, finding, since, history, orders, now):
            yield cause


def _is_said_of(cause: Alert, finding: Finding) -> bool:
    """Whether a group is slow that is known to be behind the others: one page says so."""
    if (cause.rule, finding.rule) != ("groups_out_of_sync", "sealing_slow"):
        return False
    return finding.subject in _unsealed(cause.finding)


def overtakes(cause: Alert) -> bool:
    """Whether what a cause explains is known to have begun after it, though it may have been told before."""
    return cause.rule in ("disk_high", "host_memory_low", "table_flow_stalled")


def aftermath(cause: Alert, orders: StandingOrders, now: datetime) -> Aftermath | None:
    """What a cause that ends now goes on explaining: of rows that come again the first epoch is yet to be sealed.

    Where a disk has room again, rows are yet to come. What a group sealed at last, for which it was behind the others,
    stays a slow seal until its next.
    """
    if cause.rule == "disk_high":
        return Aftermath(cause, now, now + orders.late_after)
    if cause.rule not in ("table_flow_stalled", "groups_out_of_sync") or not orders.groups:
        return None
    days = calendar(orders)
    due = days.due_at(days.current(now.timestamp()))
    return Aftermath(cause, now, datetime.fromtimestamp(due + days.grace, UTC))


def _nothing_came(
    cause: Alert, finding: Finding, history: History, orders: StandingOrders, now: datetime, until: datetime
) -> bool:
    """Whether nothing is sealed because no rows come (or came, `until` then) into the table that the seals are made of.

    Each group that is behind was up to date when the rows stopped, and no other has sealed an epoch that it has not.
    """
    if cause.rule != "table_flow_stalled" or finding.rule not in SEALING:
        return False
    behind = _unsealed(finding)
    groups = [group for group in orders.groups if brings(cause.subject, group, history, orders)]
    if not {group.upper() for group in behind} <= {group.upper() for group in groups}:
        return False
    stopped, days = cause.since.timestamp() - orders.flow_stall.total_seconds(), calendar(orders)
    newest = [max((label for label, _ in history.sealed.get(group, ())), default=0) for group in behind]
    others_go_on = range(min(newest, default=0) + days.length, days.current(until.timestamp()), days.length)
    if any(label in others_go_on for group in groups for label, _ in history.sealed.get(group, ())):
        return False
    return _were_up_to_date(behind, stopped, history, orders, now)


def _were_up_to_date(
    groups: tuple[str, ...], at: float, history: History, orders: StandingOrders, now: datetime
) -> bool:
    """Whether all that was due at a moment of these groups was sealed, or is longer ago than seals are looked at."""
    if at < now.timestamp() - window_seconds(orders):
        return True
    then = [seals(history.sealed, group, at, orders, history.empty) for group in groups]
    return all(found.latest_due is not None and found.latest_due >= found.expected for found in then)


def brings(table: str, group: str, history: History, orders: StandingOrders) -> bool:
    """Whether what is sealed of a group is made of a table's rows: the schema's own table, or they share a feeder."""
    of_table, of_group = feeders(table, orders), feeders(group, orders)
    shared = set(of_table) & set(of_group) or set(fleet_of(of_table, history, orders)) & set(
        fleet_of(of_group, history, orders)
    )
    return table in TABLES or bool(shared)


def fleet_of(patterns: tuple[str, ...], history: History, orders: StandingOrders) -> tuple[str, ...]:
    """The services of the fleet that these patterns mean, in the order of the patterns."""
    return tuple(
        dict.fromkeys(
            name
            for pattern in patterns
            for name in sorted(history.services)
            if matches(name, (pattern,), orders)
            and (history.services[name].lives or name in _expected(history, orders))
        )
    )


def _expected(history: History, orders: StandingOrders) -> Mapping[str, Expected]:
    return orders.services or history.roster


def _dead(cause: Alert) -> tuple[str, ...]:
    """The services that an alert says do no work: its own, or all that a PM2 without its list left behind."""
    if cause.rule in DEAD:
        return (cause.subject,)
    left_behind = cause.finding.evidence.get("left_behind") if cause.rule == "pm2_empty" else None
    return tuple(map(str, left_behind)) if isinstance(left_behind, list | tuple) else ()


def _serves_no_more(cause: Alert, finding: Finding, since: datetime) -> bool:
    """Whether what was found follows from a server that is another one since, or takes no writes."""
    return finding.rule in TAKES.get(cause.rule, ()) and cause.first_seen <= since


def _workers(finding: Finding, orders: StandingOrders) -> tuple[tuple[str, ...], ...]:
    """Whose work is not being done, by what was found: the patterns declared for it, or for each group it is about."""
    if finding.rule in SEALING:
        return tuple(sealers(group, orders) for group in _unsealed(finding))
    if finding.rule in FLOW:
        # A channel's rows come in by whatever brings those of its group.
        return (feeders(str(finding.evidence.get("group", finding.subject)), orders),)
    return (orders.workers_of(finding.subject),) if finding.rule == "redis_queue_backlog" else ()


def _unsealed(finding: Finding) -> tuple[str, ...]:
    """The groups that a finding about sealing is about: one, or those that are behind the others."""
    newest = finding.evidence.get("newest_due")
    if not isinstance(newest, Mapping):
        return (finding.subject,)
    known = [label for label in newest.values() if isinstance(label, int)]
    return tuple(str(group) for group, label in newest.items() if label is None or label < max(known))


def sealers(group: str, orders: StandingOrders) -> tuple[str, ...]:
    """The patterns of the services that seal a group, as declared; groups are the same in whatever case."""
    return _in_any_case(group, orders.sealed_by)


def feeders(subject: str, orders: StandingOrders) -> tuple[str, ...]:
    """The patterns of the services that bring the rows of a table, or of a group's channels, as declared."""
    if subject in orders.tables:
        return orders.fed_by.get(subject, ())
    return _in_any_case(subject, orders.fed_by)


def _in_any_case(group: str, declared: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return next((by for name, by in declared.items() if name.upper() == group.upper()), ())


def fed(service: str, orders: StandingOrders) -> tuple[str, ...]:
    """What is declared to come in by a service: tables, and groups."""
    return tuple(name for name, by in orders.fed_by.items() if matches(service, by, orders))


def sealed(service: str, orders: StandingOrders) -> tuple[str, ...]:
    """The groups that are declared to be sealed by a service."""
    return tuple(group for group, by in orders.sealed_by.items() if matches(service, by, orders))


def builds_trees(service: str, orders: StandingOrders) -> bool:
    """Whether a service builds the trees of what the orders' own groups have sealed: it works off their queue."""
    is_own = any(group.upper() in GROUPS for group in orders.groups)
    return is_own and matches(service, orders.workers_of(TREES), orders)


def worked_off(service: str, orders: StandingOrders) -> tuple[str, ...]:
    """The watched queues that are declared to be worked off by a service."""
    return tuple(queue for queue in orders.queues if matches(service, orders.workers_of(queue), orders))


def matches(name: str, patterns: tuple[str, ...], orders: StandingOrders) -> bool:
    """Whether a service's name is meant by one of these names or shell patterns. Exact names win."""
    return any_means(patterns, name, orders.exact_names)


def _starves(alert: Alert, since: datetime, history: History, now: datetime) -> bool:
    """Whether this alert says that the host has lately run out of what everything lives on, before `since`."""
    began = alert.confirmed_at or alert.fired_at
    if alert.state != "firing" or began is None:
        return False
    if alert.rule == "disk_high":
        full = history.full.get(alert.subject)
        lately = full is not None and now.timestamp() - max(full.seen_at, began.timestamp()) <= NEXT.total_seconds()
        return lately and full is not None and full.after <= since.timestamp()
    return alert.rule == "host_memory_low" and now - began <= NEXT and alert.first_seen <= since


def _has_no_room(
    cause: Alert, finding: Finding, since: datetime, history: History, orders: StandingOrders, now: datetime
) -> bool:
    """Whether a full disk is why no rows come, nothing is sealed or drained, or a server refuses to write.

    What was found began after the disk was last seen to have room, and no watched table takes rows meanwhile.
    """
    full = history.full.get(cause.subject) if cause.rule == "disk_high" else None
    if full is None:
        return False
    if finding.rule in ("postgres_full", "redis_not_writable"):
        return finding.value in NO_ROOM and full.after <= since.timestamp()
    if finding.rule == "redis_queue_backlog":
        return full.after <= since.timestamp()
    if finding.rule not in SEALING | FLOW or _takes_rows(history, orders, now.timestamp()):
        return False
    if finding.rule == "table_flow_stalled":
        table = history.tables.get(finding.subject)
        last = None if table is None else table.verified_at if table.refuted else table.flow_at
        return last is not None and full.after <= last + orders.late_after.total_seconds()
    if finding.rule in FLOW:
        return full.after <= since.timestamp()
    return _were_up_to_date(_unsealed(finding), full.after, history, orders, now)


def _takes_rows(history: History, orders: StandingOrders, now: float) -> bool:
    """Whether rows still come into a watched table."""
    known = [table for name in orders.tables if (table := history.tables.get(name)) is not None]
    quiet = orders.flow_stall.total_seconds()
    return any(now - (table.verified_at if table.refuted else table.flow_at) <= quiet for table in known)
