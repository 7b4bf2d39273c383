"""The criteria that what the fleet runs on must meet: its servers answered all night, and the host had room."""

from __future__ import annotations

from collections.abc import Iterator

from monitord.core import humanize
from monitord.core.orders import StandingOrders
from monitord.core.report.facts import ReportFacts, told, untold
from monitord.core.report.levels import Level
from monitord.core.report.model import Criterion
from monitord.core.subjects import declared
from monitord.core.subjects.base import Subject
from monitord.core.subjects.registry import registered, subject_named, title_of


def watched_servers(orders: StandingOrders) -> list[Subject]:
    """The servers that a probe is configured for."""
    return [subject for subject in registered() if subject.is_server and subject.name in orders.probes]


def servers_reachable(facts: ReportFacts) -> Criterion:
    """Every server that is watched answered all night, as the one it was, and served its clients."""
    servers = watched_servers(facts.orders)
    names = humanize.listed([server.title for server in servers])
    name, title = "servers_reachable", f"Servers reachable ({names})"
    queues = tuple(_queue(level, facts) for level in facts.levels.queues.values() if level.most is not None)
    outages = [part for part in facts.against(name) if facts.was_critical(part.alert)]
    if outages:
        who = humanize.listed(sorted({title_of(part.alert.subject) for part in outages}))
        details = (*(told(part, facts, at_worst=True) for part in outages), *queues)
        return Criterion(name, title, False, f"Not all night: {who}.", details)
    measured = [subject for server in servers for subject in registered() if subject.server == server.name]
    probes = [subject.name for subject in measured if subject.name in facts.orders.probes]
    if unseen := [f"{_named(probe)}: {why}" for probe in probes if (why := facts.too_blind(probe))]:
        return Criterion(name, title, None, unseen[0], (*unseen[1:], *queues))
    if unread := untold(facts.levels.queues.values(), facts):
        return Criterion(name, title, None, f"Not measured of Redis: the queue {humanize.listed(unread)}.", queues)
    blips = tuple(_blips(probes, facts))
    but = ", but for moments" if blips else ""
    return Criterion(name, title, True, f"{names} answered all night{but}.", (*blips, *queues))


def host_healthy(facts: ReportFacts) -> Criterion:
    """Disks below their critical limit and memory above its own, all night."""
    orders = facts.orders
    disks = sorted({orders.disk_limits(path)[1] for path in orders.disks}) or [orders.disk_critical]
    up_to = humanize.listed([f"{limit:g}%" for limit in disks])
    limits = f"disks up to {up_to}, {humanize.size(orders.host_memory)} of memory available"
    name, title = "host_healthy", f"Host healthy ({limits})"
    measured = tuple(_peaks(facts))
    critical = [p for p in facts.parts() if p.alert.probe == "host" and facts.was_critical(p.alert)]
    if critical:
        who = humanize.listed(sorted({_of_host(part.alert.rule, part.alert.subject, orders) for part in critical}))
        details = (*(told(part, facts, at_worst=True) for part in critical), *measured)
        return Criterion(name, title, False, f"Not all night: {who}.", details)
    if why := facts.too_blind("host"):
        return Criterion(name, title, None, why, measured)
    if unread := untold((*facts.levels.disks.values(), facts.levels.memory), facts):
        return Criterion(name, title, None, f"Not measured: {humanize.listed(unread)}.", measured)
    return Criterion(name, title, True, measured[0] if measured else "Healthy.", measured[1:])


def _named(probe: str) -> str:
    subject = subject_named(probe)
    said = subject.noun if subject is not None else probe
    return said[:1].upper() + said[1:]


def _of_host(rule: str, subject: str, orders: StandingOrders) -> str:
    is_memory = "no_memory" in declared(rule).roles
    return f"the disk at {subject}" if subject in orders.disks else "memory" if is_memory else subject


def _peaks(facts: ReportFacts) -> Iterator[str]:
    orders = facts.orders
    for path, level in facts.levels.disks.items():
        if level.most is not None:
            past = level.most > orders.disk_limits(path)[1]
            yield f"The disk at {path} was at most {level.most:.1f}% full{_at(level.most_at, facts, moment=past)}."
    memory = facts.levels.memory
    if memory.least is not None:
        past = memory.least < orders.host_memory
        least = humanize.size(memory.least)
        yield f"At least {least} of memory was available{_at(memory.least_at, facts, moment=past)}."


def _at(when: float, facts: ReportFacts, *, moment: bool) -> str:
    """When it was; `moment`: it was past its limit then, and where no alert says so, not for long."""
    said = f" at {humanize.moment(when, facts.until)}"
    is_told = any(part.alert.probe == "host" for part in facts.parts())
    return f"{said}, past the limit for too short a time to be confirmed" if moment and not is_told else said


def _queue(level: Level, facts: ReportFacts) -> str:
    limit = humanize.count(facts.orders.queue_limit(level.subject))
    most = f"{humanize.plural(level.most or 0, 'job')} waiting at most, of {limit}"
    return f"The queue {level.subject} had {most}, at {humanize.moment(level.most_at, facts.until)}."


def _blips(probes: list[str], facts: ReportFacts) -> Iterator[str]:
    """What failed for so short a time that it was no outage."""
    for spell in facts.blind:
        if spell.probe in probes and spell.why == "failed":
            lasted, when = humanize.duration(spell.end - spell.start), humanize.moment(spell.start, facts.until)
            error = f": {spell.error.rstrip('.')}" if spell.error else ""
            yield f"{_named(spell.probe)} could not be measured for {lasted} at {when}{error}."
