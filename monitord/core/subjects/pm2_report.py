"""The services in a report, and the criteria of the fleet: online, memory within its limits, no restart required."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.blocks import Block, Bullets, Grid, Paragraph, Plot, Plots, Section, Style
from monitord.core.history.process_states import MISSING
from monitord.core.humanize import NOTHING, UNKNOWN, worded
from monitord.core.model import AUTOMATIC, Alert
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import (
    BLIND_SHARE,
    CriterionResult,
    ReportPart,
    SuccessCriterion,
    Tracker,
    described,
)
from monitord.core.report.model import Report, ServiceReport, StateStretch
from monitord.core.report.wording import MOST, at, minute, restarts, span
from monitord.core.subjects.base import always

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts

STATES: Final = (
    "Each service over the window. Thin: as expected. High and hatched: not as expected. Dotted: unknown. "
    "Arrow: a restart."
)
# So many spells of one kind are named one by one.
_FEW: Final = 3


def _track(orders: StandingOrders, since: float, until: float) -> Tracker[tuple[ServiceReport, ...]]:
    from monitord.core.subjects.pm2_tracker import ServiceTracker  # only whoever makes a report needs it

    return ServiceTracker(orders, since, until)


SERVICE_REPORTS: Final = ReportPart("services", _track)


def services(report: Report) -> Iterator[Section]:
    if not report.of(SERVICE_REPORTS):
        yield Section("services", "Services", (Paragraph("No services were watched."),))
        return
    rows = tuple(
        (
            style_of(service.ok),
            (
                service.name,
                service.word or UNKNOWN,
                service.expected or NOTHING,
                worded(humanize.size, service.memory_peak),
                worded(minute, service.memory_peak_at, NOTHING),
                _restarts(service),
            ),
        )
        for service in report.of(SERVICE_REPORTS)
    )
    header = ("Service", "State", "Expected", "Peak memory", "At (UTC)", "Restarts")
    names = [service.name for service in report.of(SERVICE_REPORTS)]
    blocks: list[Block] = [Plots(tuple(Plot("states", name, name) for name in names), STATES, are_bands=True)]
    blocks.append(Grid("Services at the end of the window", header, rows, frozenset({3, 5}), (0, 1, 2)))
    blocks.append(Paragraph(_limits(report.of(SERVICE_REPORTS))))
    apart = tuple(_apart(report))
    if apart:
        blocks.append(Bullets(apart))
    memory = tuple(Plot("memory", name, f"{name}: memory") for name in names)
    blocks.append(Plots(memory, "Memory of each service's largest instance. Dotted: not running, or not seen."))
    yield Section("services", "Services", tuple(blocks))


def _restarts(service: ServiceReport) -> str:
    """How many there were; a service that was never seen may have had any number."""
    number = sum(service.restarts.values())
    is_seen = any(part.state != "unknown" for part in service.stretches)
    return humanize.count(number) if number or is_seen else UNKNOWN


def style_of(ok: bool | None) -> Style:
    return "unknown" if ok is None else "ok" if ok else "critical"


def _limits(found: tuple[ServiceReport, ...]) -> str:
    by_limit: dict[int, list[str]] = {}
    for service in found:
        by_limit.setdefault(service.memory_limit, []).append(service.name)
    common = max(by_limit, key=lambda limit: len(by_limit[limit]))
    others = [
        f"{humanize.listed(names)} {humanize.size(limit)}" for limit, names in by_limit.items() if limit != common
    ]
    return f"Memory limit: {humanize.size(common)} a service" + (f"; {'; '.join(others)}." if others else ".")


def _apart(report: Report) -> Iterator[tuple[Style | None, str]]:
    """Sentences on what was not as expected, one for all services of which the same is true, and on restarts."""
    alike: dict[tuple[Style, str], list[str]] = {}
    for service in report.of(SERVICE_REPORTS):
        for key in _spells(service, report):
            alike.setdefault(key, []).append(service.name)
    for (style, what), names in alike.items():
        yield style, f"{humanize.listed(names, most=MOST)} {'was' if len(names) == 1 else 'were'} {what}."
    for service in report.of(SERVICE_REPORTS):
        if any(service.restarts.values()):
            yield "warning", f"{service.name} restarted: {restarts(service)}{_when(service, report)}."


def _when(service: ServiceReport, report: Report) -> str:
    """When it restarted, to end a sentence; of some of which the moment is not known by itself, between which two."""
    found = [part for part in service.stretches if part.state == "restarted"]
    if not found:
        return ""
    if len(found) < sum(service.restarts.values()):
        return f", between {at(found[0].start, report)} and {at(found[-1].end, report)}"
    return f", at {humanize.listed([at(part.start, report) for part in found], most=MOST)}"


def _spells(service: ServiceReport, report: Report) -> Iterator[tuple[Style, str]]:
    styles: dict[str, Style] = {"wrong": "critical", "unconfirmed": "warning", "unknown": "unknown"}
    for state, style in styles.items():
        doubt = ", not confirmed by a second check" if state == "unconfirmed" else ""
        by_word: dict[str, list[StateStretch]] = {}
        for part in service.stretches:
            if part.state == state:
                by_word.setdefault(part.word or UNKNOWN, []).append(part)
        for word, found in by_word.items():
            if len(found) <= _FEW:
                yield style, f"{word} {humanize.listed([span(part.start, part.end, report) for part in found])}{doubt}"
            else:
                total = humanize.duration(sum(part.end - part.start for part in found))
                between = f"between {at(found[0].start, report)} and {at(found[-1].end, report)}"
                yield style, f"{word} {len(found)} times, {total} in all, {between}{doubt}"


def _services_online(facts: ReportFacts) -> CriterionResult:
    watched = [s for s in facts.of(SERVICE_REPORTS) if s.expected is not None]
    periodic = [s.name for s in watched if s.expected == "periodic"]
    stopped = [s.name for s in watched if s.expected == "stopped"]
    if "pm2" not in facts.orders.probes or not watched:
        return CriterionResult(None, "No services were watched.")
    down = facts.against(SERVICES_ONLINE.name)
    named = {name for part in down for name in facts.rule_of(part.alert).services(part.alert)}
    wrong = [s for s in watched if s.ok is False]
    details = [described(part, facts) for part in down]
    details += [f"{s.name} is {s.word} now." for s in wrong if s.name not in named]
    limit = BLIND_SHARE * (facts.until - facts.since)
    # Too short each time to be an alert, and too long together to be nothing.
    apart = {s.name: away for s in watched if s.name not in named and s.ok is not False and (away := _away(s)) > limit}
    details += [f"{name} was not as expected for {humanize.duration(away)} in all." for name, away in apart.items()]
    if details:
        who = humanize.listed(sorted(named | apart.keys() | {s.name for s in wrong}))
        return CriterionResult(False, f"Not always as expected: {who}.", tuple(details))
    if why := facts.too_blind("pm2"):
        return CriterionResult(None, why)
    if unconfirmed := [s for s in watched if s.unconfirmed]:
        seen = humanize.listed([f"{s.name} ({s.word})" for s in unconfirmed])
        return CriterionResult(None, f"Not as expected at the last check, and not confirmed by another: {seen}.")
    doubtful = [s.name for s in watched if s.ok is None or s.unproven > limit]
    if doubtful:
        return CriterionResult(None, f"Not seen well enough: {humanize.listed(doubtful)}.")
    always = len(watched) - len(periodic) - len(stopped)
    were = "was" if always == 1 else "were"
    except_ = f" {humanize.listed(periodic)} may come and go." if periodic else ""
    except_ += f" {humanize.listed(stopped)} stayed stopped." if stopped else ""
    if rested := [s.name for s in watched if _rested(s)]:
        except_ += f" Not seen to run: {humanize.listed(rested)}."
    return CriterionResult(True, f"{humanize.plural(always, 'service')} {were} online throughout.{except_}")


def _rested(service: ServiceReport) -> bool:
    """Whether a service that comes and goes was seen all the time, and never seen to run."""
    is_still = all(stretch.word == "stopped" for stretch in service.stretches)
    return (
        service.expected == "periodic" and bool(service.stretches) and is_still and not any(service.restarts.values())
    )


def _away(service: ServiceReport) -> float:
    """For how many seconds a service was not as expected, since it was first there."""
    there = [stretch for stretch in service.stretches if stretch.state != "unknown"]
    if there and there[0].word == MISSING:
        del there[0]  # it is new, or the orders that name it are
    return sum(stretch.end - stretch.start for stretch in there if stretch.state in {"wrong", "unconfirmed"})


def _memory_title(facts: ReportFacts) -> str:
    limits = sorted({facts.orders.service_memory, *(s.memory_limit for s in facts.of(SERVICE_REPORTS))})
    below = humanize.listed([f"<{humanize.size(limit)}" for limit in limits], most=4)
    return f"Memory usage stable ({below} per service)"


def _memory_stable(facts: ReportFacts) -> CriterionResult:
    """Every service's memory against its limit: past it for `FLOW_STALL`, or for as long in pieces, is not stable.

    The orders restart what leaks; a peak that passes before that is named and forgiven.
    """
    measured = [(s, s.memory_peak) for s in facts.of(SERVICE_REPORTS) if s.memory_peak is not None]
    details = tuple(
        f"{s.name} peaked at {humanize.size(peak)} of {humanize.size(s.memory_limit)}"
        + (f" at {humanize.moment(s.memory_peak_at, facts.until)}" if s.memory_peak_at is not None else "")
        + (f", past it for {humanize.duration(s.past_limit)} in all." if s.past_limit else ".")
        for s, peak in measured
    )
    stall = facts.orders.flow_stall.total_seconds()
    in_pieces = max(stall, BLIND_SHARE * (facts.until - facts.since))
    over = [s.name for s, _ in measured if s.past_limit_longest >= stall or s.past_limit > in_pieces]
    leaks = facts.against(MEMORY_STABLE.name)
    details += tuple(described(part, facts) for part in leaks)
    if over or leaks:
        who = humanize.listed(sorted({*over, *(part.alert.subject for part in leaks)}))
        return CriterionResult(False, f"Past the limit, or rising towards it: {who}.", details)
    if "pm2" not in facts.orders.probes or not measured:
        return CriterionResult(None, "No memory was measured.")
    if why := facts.too_blind("pm2"):
        return CriterionResult(None, why, details)
    limit = BLIND_SHARE * (facts.until - facts.since)
    if unmeasured := [s.name for s in facts.of(SERVICE_REPORTS) if s.unmeasured > limit]:
        return CriterionResult(None, f"PM2 did not report the memory of {humanize.listed(unmeasured)}.", details)
    largest, peak = max(measured, key=lambda one: one[1])
    return CriterionResult(True, f"The largest peak was {largest.name}'s, {humanize.size(peak)}.", details)


def _calls_for_restart(alert: Alert, facts: ReportFacts) -> bool:
    """Whether the orders called for a restart: of what often passes by itself, only once it had lasted."""
    rule = facts.rule_of(alert)
    if rule.recommend(alert) != "restart_service":
        return False
    return not rule.lasting or alert.lasted >= facts.orders.flow_stall.total_seconds()


def _no_restarts(facts: ReportFacts) -> CriterionResult:
    """No restart that PM2 had to make, and none that the orders call for; those made on purpose are named."""
    totals: dict[str, int] = {}
    details = []
    for service in facts.of(SERVICE_REPORTS):
        if service.restarts:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(service.restarts.items()))
            details.append(f"{service.name}: {kinds}.")
        for kind, count in service.restarts.items():
            totals[kind] = totals.get(kind, 0) + count
    called_for = [part for part in facts.parts() if _calls_for_restart(part.alert, facts)]
    loops = facts.against(NO_RESTARTS.name)
    details += [described(part, facts) for part in (*loops, *called_for)]
    crashes = sum(count for kind, count in totals.items() if kind in AUTOMATIC)
    if crashes or called_for or loops:
        times = "once" if crashes == 1 else f"{humanize.count(crashes)} times"
        sentences = [f"PM2 restarted services {times} by itself"] if crashes else []
        if called_for:
            whom = sorted({_restartable(part.alert, facts) for part in called_for})
            sentences.append(f"the orders called for one: {humanize.listed(whom)}")
        sentences = sentences or ["a service kept dying"]
        text = "; ".join(sentences)
        return CriterionResult(False, f"{humanize.capital(text)}.", tuple(details))
    if "pm2" not in facts.orders.probes or not facts.of(SERVICE_REPORTS):
        return CriterionResult(None, "No services were watched.")
    if why := facts.too_blind("pm2"):
        return CriterionResult(None, why, tuple(details))
    for kind, what in (("reboot", "The machine"), ("resurrected", "PM2")):
        if totals.get(kind):
            text = f"{what} came back with {humanize.plural(totals[kind], 'service')}: whether on purpose is not known."
            return CriterionResult(None, text, tuple(details))
    if totals.get("unknown"):
        text = f"{humanize.plural(totals['unknown'], 'restart')} not known to be on purpose or not: "
        return CriterionResult(None, f"{text}PM2's bus was not connected.", tuple(details))
    purpose = sum(totals.values())
    on_purpose = f"{humanize.plural(purpose, 'restart')}, {'each ' if purpose > 1 else ''}on purpose"
    return CriterionResult(True, f"{on_purpose if purpose else 'No restart of any kind'}.", tuple(details))


def _restartable(alert: Alert, facts: ReportFacts) -> str:
    return facts.rule_of(alert).target.format(alert.subject)


SERVICES_ONLINE = SuccessCriterion(
    "services_online",
    lambda _: "All services remain online",
    "no service of the roster was down, missing, frozen or overdue; periodic ones may come and go",
    judge=_services_online,
    applies=always,
    place=1,
)
MEMORY_STABLE = SuccessCriterion(
    "memory_stable",
    _memory_title,
    "nothing was past its limit for `FLOW_STALL`, at once or in pieces, and nothing leaks; shorter peaks are named",
    judge=_memory_stable,
    applies=always,
    place=4,
)
NO_RESTARTS = SuccessCriterion(
    "no_restarts",
    lambda _: "No service restarts required",
    "PM2 had to restart nothing, and no restart was recommended; those on purpose are named",
    judge=_no_restarts,
    applies=always,
    place=5,
)
CRITERIA = (SERVICES_ONLINE, MEMORY_STABLE, NO_RESTARTS)
