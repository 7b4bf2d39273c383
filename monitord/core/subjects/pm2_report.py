"""The services in a report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core import humanize
from monitord.core.blocks import Block, Bullets, Grid, Paragraph, Plot, Plots, Section, Style
from monitord.core.humanize import NOTHING, UNKNOWN, said
from monitord.core.report.model import Report, ServiceReport, StateStretch
from monitord.core.report.wording import MOST, at, minute, restarts, span

STATES: Final = (
    "Each service over the window. Thin: as expected. High and hatched: not as expected. Dotted: unknown. "
    "Arrow: a restart."
)
# So many spells of one kind are named one by one.
_FEW: Final = 3


def services(report: Report) -> Iterator[Section]:
    """Each service: how it stands, its memory against the limit, its restarts, and what was not as expected."""
    if not report.services:
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
        for service in report.services
    )
    header = ("Service", "State", "Expected", "Peak memory", "At (UTC)", "Restarts")
    names = [service.name for service in report.services]
    blocks: list[Block] = [Plots(tuple(Plot("states", name, name) for name in names), STATES, are_bands=True)]
    blocks.append(Grid("Services at the end of the window", header, rows, frozenset({3, 5}), (0, 1, 2)))
    blocks.append(Paragraph(_limits(report.services)))
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
    for service in report.services:
        for key in _spells(service, report):
            alike.setdefault(key, []).append(service.name)
    for (style, what), names in alike.items():
        yield style, f"{humanize.listed(names, most=MOST)} {'was' if len(names) == 1 else 'were'} {what}."
    for service in report.services:
        if any(service.restarts.values()):
            moments = [at(part.start, report) for part in service.stretches if part.state == "restarted"]
            when = f", at {humanize.listed(moments, most=MOST)}" if moments else ""
            yield "warning", f"{service.name} restarted: {restarts(service)}{when}."


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
