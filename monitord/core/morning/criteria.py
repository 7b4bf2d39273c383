"""The success criteria of the standing orders, each met, not met or not to be told, with its evidence.

Not met beats not to be told: a night with a missed epoch is a NO-GO however blind the watch was. What cannot be told is
never taken for met. How much blindness a criterion bears depends on what it rests on: seals and row counters are read
later and still true; memory and states are of the moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from monitord.core import causes, words
from monitord.core.actions import recommended
from monitord.core.incidents import Incident, Part
from monitord.core.model import Alert
from monitord.core.morning.sight import blind_seconds
from monitord.core.night import Blind, Criterion, GroupNight, SealNight, ServiceNight, TableNight, Verdict
from monitord.core.orders import StandingOrders

# Of the night: more blindness than this and what is of the moment is not known any more.
BLIND_SHARE: Final = 0.05
DOWN: Final = causes.DEAD - {"service_restart_loop"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a night is judged by. `unproven` are seconds, by service, of which its running cannot be told."""

    orders: StandingOrders
    since: float
    until: float
    services: tuple[ServiceNight, ...]
    unproven: Mapping[str, float]
    tables: tuple[TableNight, ...]
    groups: tuple[GroupNight, ...]
    groups_in_step: bool | None
    incidents: tuple[Incident, ...]
    blind: tuple[Blind, ...]
    seals_read_at: float | None

    def parts(self) -> Iterator[Part]:
        """Every alert of the night that was confirmed, told or explained, and when it ended."""
        for incident in self.incidents:
            for part in incident.parts:
                if part.ended_at is None or part.ended_at.timestamp() >= self.since:
                    yield part

    def blind_for(self, *probes: str) -> float:
        """How long one of these probes was blind, in seconds."""
        return blind_seconds(self.blind, probes)

    def too_blind(self, *probes: str) -> str:
        """Why the moment cannot be told of, as a sentence; "" where it can."""
        blind = self.blind_for(*probes)
        if blind <= BLIND_SHARE * (self.until - self.since):
            return ""
        return f"The watch was blind for {words.duration(blind)} of {words.duration(self.until - self.since)}."


def judged(facts: Facts) -> tuple[Criterion, ...]:
    """Every criterion, in the order of the standing orders. A fleet without a database is not judged by one."""
    probes = facts.orders.probes
    return (
        services_online(facts),
        *((epochs_sealed(facts),) if "epochs" in probes else ()),
        *((growth_steady(facts),) if "postgres" in probes and facts.orders.tables else ()),
        memory_stable(facts),
        no_restarts(facts),
        nothing_critical(facts),
    )


def verdict(criteria: Iterable[Criterion]) -> Verdict:
    """NO-GO when one is not met; UNKNOWN when one cannot be told; GO when each is met."""
    met = [criterion.met for criterion in criteria]
    return "NO-GO" if False in met else "UNKNOWN" if None in met else "GO"


def sentence(word: Verdict, criteria: Sequence[Criterion], minutes: float) -> str:
    """The verdict in a sentence."""
    failed = [c.title for c in criteria if c.met is False]
    open_ = [c.title for c in criteria if c.met is None]
    blind = f" The watch was blind for {words.duration(minutes * 60)}." if minutes else ""
    if word == "NO-GO":
        rest = f"; {len(open_)} cannot be told" if open_ else ""
        return f"{len(failed)} of {len(criteria)} criteria not met{rest}: {_quoted(failed)}.{blind}"
    if word == "UNKNOWN":
        return f"{len(open_)} of {len(criteria)} criteria cannot be told: {_quoted(open_)}.{blind}"
    return f"Every one of the {len(criteria)} criteria is met.{blind}"


def _quoted(titles: Sequence[str]) -> str:
    return "; ".join(title[:1].lower() + title[1:] for title in titles)


def services_online(facts: Facts) -> Criterion:
    """All services remain online, except those that come and go."""
    name, title = "services_online", "All services remain online"
    watched = [s for s in facts.services if s.expected is not None]
    periodic = [s.name for s in watched if s.expected == "periodic"]
    stopped = [s.name for s in watched if s.expected == "stopped"]
    if "pm2" not in facts.orders.probes or not watched:
        return Criterion(name, title, None, "No services were watched.")
    down = [part for part in facts.parts() if part.alert.rule in DOWN]
    told = {part.alert.subject for part in down}
    wrong = [s for s in watched if s.ok is False]
    details = [_told(part, facts) for part in down]
    details += [f"{s.name} is {s.word} now." for s in wrong if s.name not in told]
    limit = BLIND_SHARE * (facts.until - facts.since)
    # Too short each time to be an alert, and too long together to be nothing.
    apart = {s.name: away for s in watched if s.name not in told and s.ok and (away := _away(s)) > limit}
    details += [f"{name} was not as expected for {words.duration(away)} in all." for name, away in apart.items()]
    if details:
        who = words.listed(sorted(told | apart.keys() | {s.name for s in wrong}))
        return Criterion(name, title, False, f"Not always as expected: {who}.", tuple(details))
    if why := facts.too_blind("pm2"):
        return Criterion(name, title, None, why)
    doubtful = [s.name for s in watched if s.ok is None or facts.unproven.get(s.name, 0.0) > limit]
    if doubtful:
        return Criterion(name, title, None, f"Not seen well enough: {words.listed(doubtful)}.")
    always = len(watched) - len(periodic) - len(stopped)
    were = "was" if always == 1 else "were"
    except_ = f" {words.listed(periodic)} may come and go." if periodic else ""
    except_ += f" {words.listed(stopped)} stayed stopped." if stopped else ""
    return Criterion(name, title, True, f"{words.plural(always, 'service')} {were} online all night.{except_}")


def _away(service: ServiceNight) -> float:
    """For how many seconds a service was not as expected, since it was first there."""
    there = [stretch for stretch in service.stretches if stretch.state != "unknown"]
    if there and there[0].word == "missing":
        del there[0]  # it is new, or the orders that name it are
    return sum(stretch.end - stretch.start for stretch in there if stretch.state == "wrong")


def epochs_sealed(facts: Facts) -> Criterion:
    """Every due epoch sealed, for each group; late ones named; groups in step."""
    name, title = "epochs_sealed", "New epochs sealed every hour"
    length = facts.orders.epoch_length.total_seconds()
    if length != 3600:
        title = f"New epochs sealed every {words.duration(length)}"
    details, missed, open_, late, sealed = [], 0, 0, 0, 0
    for group in facts.groups:
        absent = [seal for seal in group.seals if seal.state == "missed"]
        unknown = [seal for seal in group.seals if seal.state == "unknown"]
        slow = [seal for seal in group.seals if seal.state == "late"]
        done = [seal for seal in group.seals if seal.state in ("sealed", "late")]
        missed += len(absent) + sum(1 for seal in slow if (seal.delay or 0.0) > length)
        open_ += len(unknown)
        late += len(slow)
        sealed += len(done)
        due = len(group.seals) - sum(1 for seal in group.seals if seal.state == "open")
        known = "are known to be sealed" if unknown else "sealed"
        details.append(f"{group.group}: {len(done)} of {words.plural(due, 'due epoch')} {known}.")
        if absent:
            details.append(f"{group.group} has no seal of {_labels(absent)}.")
        if slow:
            details.append(f"{group.group} sealed late: {_delays(slow)}.")
        if unknown:
            details.append(f"{group.group}: not known of {_labels(unknown)}.")
        if unusual := [seal for seal in group.seals if seal.unusual]:
            past = f"99% of the last {words.duration(group.usual.days * 86400)}"
            details.append(f"{group.group} was later than {past}: {_delays(unusual)}.")
        details += [
            f"{group.group}: {seal.unsealed} of the {seal.participating} channels in {seal.label} were not sealed "
            f"when last counted{_some(seal)}."
            for seal in group.seals
            if seal.unsealed
        ]
        if group.silent:
            details.append(f"{group.group}: silent for longer than ever before: {words.listed(list(group.silent))}.")
    stuck = [part for part in facts.parts() if part.alert.rule in ("sealing_stuck", "sealing_late")]
    details += [_told(part, facts) for part in stuck]
    if facts.groups_in_step is False:
        details.append("The groups are not in step.")
    if missed or stuck or facts.groups_in_step is False:
        what = f"{words.plural(missed, 'due epoch')} {'was' if missed == 1 else 'were'} missed or came after the next"
        what = f"{what} was due" if missed else "Sealing was late"
        what = what if missed or stuck else "The groups are not in step"
        return Criterion(name, title, False, f"{what}.", tuple(details))
    is_stale = facts.seals_read_at is None or (
        facts.until - facts.seals_read_at > max(facts.orders.late_after.total_seconds(), length)
    )
    if open_ or is_stale:
        return Criterion(name, title, None, "The epochs could not be read at the end of the night.", tuple(details))
    if not sealed:
        return Criterion(name, title, None, "No epoch fell due in this time.", tuple(details))
    some_late = f", {late} of them after the grace" if late else ""
    all_ = f"All {sealed} due seals are" if sealed != 1 else "The one due seal is"
    return Criterion(name, title, True, f"{all_} there{some_late}; groups in step.", tuple(details))


def _some(seal: SealNight) -> str:
    """The unsealed channels that are known by name, to end a sentence."""
    names = list(seal.unsealed_channels)
    more = (seal.unsealed or 0) - len(names)
    if not names:
        return ""
    return f": {', '.join(names)} and {more} more" if more > 0 else f": {words.listed(names)}"


def growth_steady(facts: Facts) -> Criterion:
    """Growth per hour against the limit of the orders, and not none at all."""
    limit = facts.orders.growth_steady
    name, title = "growth_steady", f"Database growth steady (<{words.count(limit)} rows/hour)"
    details, bad, unknown = [], [], []
    told = [part for part in facts.parts() if part.alert.rule in ("table_growth_high", "table_flow_stalled")]
    for table in facts.tables:
        rate = table.most if table.most is not None else table.per_hour
        holes = sum(1 for hour in table.hours if hour.rows is None)
        if rate is not None and table.gained is not None and table.per_hour is not None:
            details.append(
                f"{table.name} gained {words.plural(table.gained, 'row')}, {words.count(table.per_hour)} an hour"
                + (f", {words.count(table.most)} in its busiest." if table.most is not None else ".")
            )
        if rate is not None and rate >= limit:
            bad.append(table.name)
        if rate is None or holes:
            unknown.append(table.name)
            details.append(f"{table.name}: not known for a part of the night.")
    for part in told:
        bad.append(part.alert.subject)
        details.append(_told(part, facts))
    if bad:
        return Criterion(name, title, False, f"Not steady: {words.listed(sorted(set(bad)))}.", tuple(details))
    if unknown:
        return Criterion(name, title, None, facts.too_blind("postgres") or "Not known all night.", tuple(details))
    return Criterion(name, title, True, details[0] if details else "Steady.", tuple(details[1:]))


def memory_stable(facts: Facts) -> Criterion:
    """The peak of every service against its limit."""
    name, title = "memory_stable", f"Memory usage stable (<{words.size(facts.orders.service_memory)} per service)"
    measured = [(s, s.memory_peak) for s in facts.services if s.memory_peak is not None]
    details = tuple(
        f"{s.name} peaked at {words.size(peak)} of {words.size(s.memory_limit)}"
        + (f" at {words.moment(s.memory_peak_at, facts.until)}." if s.memory_peak_at is not None else ".")
        for s, peak in measured
    )
    over = [s.name for s, peak in measured if peak > s.memory_limit]
    leaks = [part for part in facts.parts() if part.alert.rule == "service_memory_leak"]
    details += tuple(_told(part, facts) for part in leaks)
    if over or leaks:
        who = words.listed(sorted({*over, *(part.alert.subject for part in leaks)}))
        return Criterion(name, title, False, f"Past the limit, or rising towards it: {who}.", details)
    if "pm2" not in facts.orders.probes or not measured:
        return Criterion(name, title, None, "No memory was measured.")
    if why := facts.too_blind("pm2"):
        return Criterion(name, title, None, why, details)
    limit = BLIND_SHARE * (facts.until - facts.since)
    if untold := [s.name for s in facts.services if s.unmeasured > limit]:
        return Criterion(name, title, None, f"PM2 did not tell the memory of {words.listed(untold)}.", details)
    largest, peak = max(measured, key=lambda one: one[1])
    return Criterion(name, title, True, f"The largest peak was {largest.name}'s, {words.size(peak)}.", details)


def no_restarts(facts: Facts) -> Criterion:
    """No restart that PM2 had to make, and none that the orders call for; those made on purpose are told."""
    name, title = "no_restarts", "No service restarts required"
    totals: dict[str, int] = {}
    details = []
    for service in facts.services:
        if service.restarts:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(service.restarts.items()))
            details.append(f"{service.name}: {kinds}.")
        for kind, count in service.restarts.items():
            totals[kind] = totals.get(kind, 0) + count
    called_for = [part for part in facts.parts() if recommended(part.alert) == "restart_service"]
    loops = [part for part in facts.parts() if part.alert.rule == "service_restart_loop"]
    details += [_told(part, facts) for part in (*loops, *called_for)]
    crashes = totals.get("automatic", 0) + totals.get("memory", 0)
    if crashes or called_for or loops:
        times = "once" if crashes == 1 else f"{words.count(crashes)} times"
        said = [f"PM2 restarted services {times} by itself"] if crashes else []
        said += (
            [f"the orders called for one: {words.listed(sorted({_restartable(part.alert) for part in called_for}))}"]
            if called_for
            else []
        )
        said = said or ["a service kept dying"]
        text = "; ".join(said)
        return Criterion(name, title, False, f"{text[:1].upper()}{text[1:]}.", tuple(details))
    if "pm2" not in facts.orders.probes or not facts.services:
        return Criterion(name, title, None, "No services were watched.")
    if why := facts.too_blind("pm2"):
        return Criterion(name, title, None, why, tuple(details))
    for kind, what in (("reboot", "The machine"), ("resurrected", "PM2")):
        if totals.get(kind):
            text = f"{what} came back with {words.plural(totals[kind], 'service')}: whether on purpose is not known."
            return Criterion(name, title, None, text, tuple(details))
    purpose = sum(totals.values())
    on_purpose = f"{words.plural(purpose, 'restart')}, {'each ' if purpose > 1 else ''}on purpose"
    return Criterion(name, title, True, f"{on_purpose if purpose else 'No restart of any kind'}.", tuple(details))


def _restartable(alert: Alert) -> str:
    return alert.subject if alert.rule.startswith("service_") else f"what seals {alert.subject}"


def nothing_critical(facts: Facts) -> Criterion:
    """No critical incident that is still open: the system is not ready while one lasts."""
    name, title = "nothing_critical", "No critical incident is open"
    open_ = [part for part in facts.parts() if part.ended_at is None and part.fired_at is not None]
    critical = [part for part in open_ if part.alert.severity == "critical"]
    if critical:
        details = tuple(_told(part, facts) for part in critical)
        return Criterion(name, title, False, details[0], details[1:])
    if why := _unwatched_end(facts):
        return Criterion(name, title, None, why)
    others = f"; {len(open_)} warnings are" if len(open_) > 1 else "; one warning is" if open_ else ""
    return Criterion(name, title, True, f"No critical incident is open{others}.")


def _unwatched_end(facts: Facts) -> str:
    blind = sorted({spell.probe for spell in facts.blind if spell.end >= facts.until})
    return f"At the end of the night these could not be seen: {words.listed(blind)}." if blind else ""


def _told(part: Part, facts: Facts) -> str:
    since = words.moment(part.alert.since.timestamp(), facts.until)
    ended = part.ended_at and words.moment(part.ended_at.timestamp(), facts.until)
    when = f"from {since} to {ended}" if ended else f"since {since}"
    return f"{part.alert.finding.summary.rstrip('.')} ({when})."


def _labels(seals: Iterable[SealNight]) -> str:
    return words.listed([f"{seal.label} ({words.clock(seal.label)})" for seal in seals])


def _delays(seals: Iterable[SealNight]) -> str:
    return words.listed([f"{seal.label} after {words.duration(seal.delay or 0.0)}" for seal in seals])
