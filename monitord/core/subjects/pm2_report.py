"""The services in a report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core import humanize
from monitord.core.blocks import Block, Bullets, Grid, Paragraph, Plot, Plots, Section, Style
from monitord.core.humanize import NOTHING, UNKNOWN, said
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import ReportPart, Tracker
from monitord.core.report.model import Report, ServiceReport, StateStretch
from monitord.core.report.wording import MOST, at, minute, restarts, span

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
    """Each service: how it stands, its memory against the limit, its restarts, and what was not as expected."""
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
                said(humanize.size, service.memory_peak),
                said(minute, service.memory_peak_at, NOTHING),
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
    """The style of a thing that is as expected, is not, or is unknown."""
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
