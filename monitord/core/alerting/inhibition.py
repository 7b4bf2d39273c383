"""What explains what: a root cause is notified once, and what follows from it is suppressed.

Three ways. While a server cannot be reached, all that is measured through it is unknown, not wrong: its alerts freeze.
And an alert may explain another that is measured on its own: a dead sealer explains that nothing is sealed. What is
declared of a subject is a chain of roles, each of which it needs: one that is wholly dead explains what is missing.
And a member may be declared to depend on others by their names: while one of those has an alert, it is explained by it.

A role is what one declared pattern means: all the services that it matches do the same work, and so do names written
out that differ in a number only (`sealer-1`, `sealer-2`). It is dead when none of them works: what is wholly missing is
explained by what is wholly dead, and by nothing less.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from monitord.core.alerting.lifecycle import Book, holds, key, severity_now
from monitord.core.dependencies import brings, unsealed
from monitord.core.history import error_lines
from monitord.core.history.epochs import calendar, seals, window_seconds
from monitord.core.history.growth_rates import flow_limit
from monitord.core.history.model import History
from monitord.core.history.process_states import FROZEN
from monitord.core.history.restart_loops import outlived_after, since_given_up_ended
from monitord.core.model import RANK, Aftermath, Alert, Finding
from monitord.core.names import any_means
from monitord.core.orders import StandingOrders
from monitord.core.subjects import catalogue, declared
from monitord.core.subjects.base import Role, Subject
from monitord.core.subjects.registry import needs_of, registered, server_of

# A host's trouble explains what dies next, not what dies some day: past this, a death is news of its own.
NEXT = timedelta(hours=1)
# How long the rate of error lines is that of a time before: the open window, and one more for services to recover.
ERRORS_LINGER = timedelta(seconds=2 * error_lines.WINDOW_SECONDS + 60)
# Of what is refused, the reasons that a full disk may be behind.
NO_ROOM = frozenset({"readonly", "misconf"})


def server_away(probe: str, history: History, book: Book, orders: StandingOrders) -> bool:
    """Whether the server behind `probe` failed its last reading, or is not yet confirmed to be back.

    One that answers hides nothing, though its alert may flap: only readings that confirm its return are waited for.
    """
    server = server_of(probe)
    if not server:
        return False
    last = history.readings.get(server)
    if last is not None and last.failure is not None:
        return True
    return bool(book) and holds(book.get(key(catalogue().unreachable.get(server, ""), server)), orders)


def companions(probe: str, member: str, orders: StandingOrders) -> tuple[str, ...]:
    """The probes to take again when a member of `probe` is checked again: itself, and those that may explain it."""
    server = server_of(probe)
    needed = needs_of(probe, member, orders)
    by = [one.name for one in registered() if needed and one.name in orders.probes and _may_name(one, needed, orders)]
    return tuple(dict.fromkeys((*([server] if server else []), *by, probe)))


def _may_name(subject: Subject, names: tuple[str, ...], orders: StandingOrders) -> bool:
    """Whether a subject is one of these, or one of its members is; of members that are learned each name may be."""
    members = subject.named(orders)
    is_learned = bool(subject.members) and subject.member_sample is None
    return is_learned or any(any_means(names, name) for name in (subject.name, *members))


def awaited_cause(finding: Finding, probe: str, book: Book, orders: StandingOrders) -> bool:
    """Whether something that it is declared to depend on is found to be wrong too, and is about to be confirmed."""
    needed = needs_of(probe, finding.subject, orders)
    return bool(needed) and any(
        cause.state == "pending" and cause.count > 0 and _is_needed(cause, finding, probe, needed, orders)
        for cause in book.values()
    )


def _is_needed(cause: Alert, finding: Finding, probe: str, needed: tuple[str, ...], orders: StandingOrders) -> bool:
    """Whether an alert is about what a finding's subject is declared to depend on, and bad enough to explain it."""
    itself = cause.probe == probe and cause.subject == finding.subject
    is_bad_enough = RANK[severity_now(cause, orders)] >= RANK[finding.severity]
    if _is(cause, "errors"):  # what a service says of itself may well be what is found of the other
        return False
    return not itself and is_bad_enough and any_means(needed, cause.subject, orders.exact_names)


def explanation(
    finding: Finding,
    probe: str,
    since: datetime,
    book: Book,
    history: History,
    orders: StandingOrders,
    now: datetime,
    aftermaths: Mapping[str, Aftermath],
) -> Alert | None:
    """What explains a finding of a probe's readings, if anything does; a warning explains nothing critical."""
    for after in aftermaths.values():
        is_bad_enough = RANK[after.cause.severity] >= RANK[finding.severity]
        if is_bad_enough and (
            _nothing_came(after.cause, finding, history, orders, now, after.at)
            or _is_behind(after.cause, finding)
            or (_is(finding, "errors") and _serves_no_more(after.cause, finding, since))
            or _has_no_room(after.cause, finding, since, history, orders, now)
        ):
            return after.cause
    needed = needs_of(probe, finding.subject, orders)
    for cause in book.values() if needed else ():
        if holds(cause, orders) and _is_needed(cause, finding, probe, needed, orders):
            return cause
    for cause in _causes(finding, probe, since, book, history, orders, now):
        if RANK[severity_now(cause, orders)] >= RANK[finding.severity]:
            return cause
    return None


def _causes(
    finding: Finding, probe: str, since: datetime, book: Book, history: History, orders: StandingOrders, now: datetime
) -> Iterator[Alert]:
    rule = declared(finding.rule)
    workers, dies = rule.workers(finding, orders), rule.host_may_cause(finding)
    for cause in book.values():
        if holds(cause, orders) and (
            (bool(workers) and _is_dead(cause, workers, history, book, orders, now))
            or _serves_no_more(cause, finding, since)
            or _nothing_came(cause, finding, history, orders, now, now)
            or (dies and _starves(cause, since, history, now))
            or _is_behind(cause, finding)
            or _is_gone_with(cause, finding, probe, since)
            or _has_no_room(cause, finding, since, history, orders, now)
        ):
            yield cause


def _is_dead(
    cause: Alert,
    workers: tuple[tuple[str, ...], ...],
    history: History,
    book: Book,
    orders: StandingOrders,
    now: datetime,
) -> bool:
    """Whether nobody is left who does the work of a service that an alert says to do none."""
    return any(
        has_dead_role(service, patterns, history, book, orders, now.timestamp())
        for service in declared(cause.rule).dead_services(cause)
        for patterns in workers
    )


def _is_gone_with(cause: Alert, finding: Finding, probe: str, since: datetime) -> bool:
    """Whether a part of a server is missing since all that the server held was lost or replaced."""
    is_missing = _is(finding, "unmeasured") and finding.value == "missing"
    return (
        is_missing
        and declared(cause.rule).inhibits_missing
        and server_of(cause.probe) == server_of(probe)
        and cause.first_seen <= since
    )


def _is_behind(cause: Alert, finding: Finding) -> bool:
    """Whether a group is slow that is known to be behind the others: one page says so."""
    if not _is(cause, "behind") or not _is(finding, "slow_seal"):
        return False
    return finding.subject in unsealed(cause.finding)


def inhibits_firing(cause: Alert) -> bool:
    """Whether what a cause explains is known to have begun after it, though it may have been reported before."""
    return declared(cause.rule).inhibits_firing


def aftermath(cause: Alert, orders: StandingOrders, now: datetime) -> Aftermath | None:
    """What a cause that ends now goes on explaining: of rows that come again the first epoch is yet to be sealed.

    With room on a disk, rows are yet to come; what a group sealed at last stays a slow seal until its next; error lines
    go on being counted for the window in which a server came back.
    """
    if _is(cause, "full_disk"):
        return Aftermath(cause, now, now + orders.late_after)
    if "errors" in declared(cause.rule).inhibits:
        return Aftermath(cause, now, now + ERRORS_LINGER)
    if not _is(cause, "stall", "behind") or not orders.groups:
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
    if not _is(cause, "stall") or not _is(finding, "sealing"):
        return False
    behind = unsealed(finding)
    groups = [group for group in orders.groups if brings(cause.subject, group, history, orders)]
    if not {group.upper() for group in behind} <= {group.upper() for group in groups}:
        return False
    stopped, days = cause.since.timestamp() - _waited(cause, history, orders), calendar(orders)
    newest = [max((label for label, _ in history.sealed.get(group, ())), default=0) for group in behind]
    others_go_on = range(min(newest, default=0) + days.length, days.current(until.timestamp()), days.length)
    if any(label in others_go_on for group in groups for label, _ in history.sealed.get(group, ())):
        return False
    return _were_up_to_date(behind, stopped, history, orders, now)


def _waited(cause: Alert, history: History, orders: StandingOrders) -> float:
    table, since = history.tables.get(cause.subject), cause.since.timestamp()
    limit = flow_limit(cause.subject, table, orders)
    return since - table.last_row_at if limit.varies and table is not None else limit.at(since)


def _were_up_to_date(
    groups: tuple[str, ...], at: float, history: History, orders: StandingOrders, now: datetime
) -> bool:
    """Whether all that was due at a moment of these groups was sealed, or is older than the window of seals."""
    if at < now.timestamp() - window_seconds(orders):
        return True
    then = [seals(history.sealed, group, at, orders, history.empty) for group in groups]
    return all(found.latest_due is not None and found.latest_due >= found.expected for found in then)


def _serves_no_more(cause: Alert, finding: Finding, since: datetime) -> bool:
    """Whether what was found follows from a server that is another one since, or takes no writes."""
    inhibits = declared(cause.rule).inhibits
    return not inhibits.isdisjoint(declared(finding.rule).roles) and cause.first_seen <= since


def _starves(alert: Alert, since: datetime, history: History, now: datetime) -> bool:
    """Whether this alert says that the host has lately run out of what everything lives on, before `since`."""
    began = alert.confirmed_at or alert.fired_at
    if alert.state != "firing" or began is None:
        return False
    if _is(alert, "full_disk"):
        full = history.full.get(alert.subject)
        lately = full is not None and now.timestamp() - max(full.seen_at, began.timestamp()) <= NEXT.total_seconds()
        return lately and full is not None and full.after <= since.timestamp()
    return _is(alert, "no_memory") and now - began <= NEXT and alert.first_seen <= since


def _has_no_room(
    cause: Alert, finding: Finding, since: datetime, history: History, orders: StandingOrders, now: datetime
) -> bool:
    """Whether a full disk is why no rows come, nothing is sealed or drained, or a server refuses to write.

    What was found began after the disk was last seen to have room, and no watched table takes rows meanwhile.
    """
    full = history.full.get(cause.subject) if _is(cause, "full_disk") else None
    if full is None:
        return False
    if _is(finding, "refusal"):
        return finding.value in NO_ROOM and full.after <= since.timestamp()
    if _is(finding, "backlog"):
        return full.after <= since.timestamp()
    if not _is(finding, "sealing", "flow") or _takes_rows(history, orders, now.timestamp()):
        return False
    if _is(finding, "stall"):
        table = history.tables.get(finding.subject)
        last = None if table is None else table.verified_at if table.refuted else table.flow_at
        return last is not None and full.after <= last + orders.late_after.total_seconds()
    if _is(finding, "flow"):
        return full.after <= since.timestamp()
    return _were_up_to_date(unsealed(finding), full.after, history, orders, now)


def _is(found: Alert | Finding, *roles: Role) -> bool:
    return not declared(found.rule).roles.isdisjoint(roles)


def _takes_rows(history: History, orders: StandingOrders, now: float) -> bool:
    known = [(name, table) for name in orders.tables if (table := history.tables.get(name)) is not None]
    return any(now - table.last_row_at <= flow_limit(name, table, orders).at(now) for name, table in known)


def roles(patterns: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Declared patterns, those together that mean the same work."""
    found: dict[str, list[str]] = {}
    for pattern in patterns:
        found.setdefault(re.sub(r"\d+", "0", pattern), []).append(pattern)
    return (tuple(same) for same in found.values())


def has_dead_role(
    service: str, patterns: Iterable[str], history: History, book: Book, orders: StandingOrders, now: float
) -> bool:
    """Whether one of the roles that these patterns declare is this service's, and nobody is left who fills it."""
    return any(
        any_means(role, service, orders.exact_names)
        and not any(
            any_means(role, other, orders.exact_names) and works(other, history, book, orders, now)
            for other in history.services
        )
        for role in roles(patterns)
    )


def works(name: str, history: History, book: Book, orders: StandingOrders, now: float) -> bool:
    """Whether a process of a service lives and has not just died: a loop is over once the service outlived it."""
    if (known := history.services.get(name)) is None:
        return False
    service = since_given_up_ended(known)
    processes = [
        process for process in service.lives.values() if process.state == "online" and process.process not in FROZEN
    ]
    if not processes or not any(holds(book.get(key(loop, name)), orders) for loop in catalogue().restart_loops):
        return bool(processes)
    dying = outlived_after(service, now, orders.restarts_window.total_seconds(), orders.late_after.total_seconds())
    if dying is None:
        return True
    last, outlived = dying
    # Of several processes one may die again and again while the others live.
    return now - last > outlived or any(
        process.started_at is not None and now - process.started_at > outlived for process in processes
    )
