"""What is watched and what is not, and of each limit where it comes from: what `monitord check --explain` says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from monitord.config.loader import shown
from monitord.config.schema import section_kind, settings_class
from monitord.config.sections import SettingsSection
from monitord.config.settings import Settings, paths, variable_of
from monitord.config.sources import ENVIRONMENT
from monitord.core.humanize import capital
from monitord.core.model import Severity
from monitord.core.orders import StandingOrders
from monitord.core.status import FleetStatus
from monitord.core.subjects.base import Subject
from monitord.core.subjects.registry import registered, subject_named, title_of

DEFAULT: Final = "default"
LEARNED: Final = "learned"
FOUND: Final = "found"
# Where a value stands in the environment of the daemon, which a command knows from what the daemon has recorded.
RECORDED: Final = "daemon's record"


@dataclass(frozen=True, slots=True)
class ExplainedLimit:
    """A limit, or another setting of a subject: the variable ("": it is learned), the member, what is declared."""

    variable: str
    member: str
    key: str
    means: str
    value: str | None
    source: str


@dataclass(frozen=True, slots=True)
class ExplainedSubject:
    """One subject, and why it is not watched or measured: its members, each with who names it, and what is absent."""

    name: str
    title: str
    watched: bool
    why: str
    member: str
    members: tuple[tuple[str, str], ...]
    absent: tuple[tuple[str, str], ...]
    rules: tuple[tuple[str, tuple[Severity, ...]], ...]
    limits: tuple[ExplainedLimit, ...]


def explained(
    settings: Settings, sources: Mapping[str, str], orders: StandingOrders, report: FleetStatus, *, borrowed: bool
) -> tuple[ExplainedSubject, ...]:
    """Every subject there is, in the order in which they are shown.

    `sources` are by variable where a value is from that was set, `orders` as far as they apply to what is there, and
    `report` was measured by them. `borrowed`: the settings are the daemon's, whose environment is known by its record.
    """
    named = {
        name: RECORDED if borrowed and source.partition(" (")[0] == ENVIRONMENT else source
        for name, source in sources.items()
    }
    return tuple(_subject(one, settings, named, orders, report) for one in registered())


def _subject(
    subject: Subject, settings: Settings, sources: Mapping[str, str], orders: StandingOrders, report: FleetStatus
) -> ExplainedSubject:
    is_watched = subject.always or subject.name in orders.probes
    probe = report.probes.get(subject.name)
    why = subject.broken or ("" if is_watched else _why_not(subject, settings, orders))
    if is_watched and probe is not None and probe.status == "failed":
        why = f"Could not be measured: {probe.error or 'not known why'}{f' ({probe.kind})' if probe.kind else ''}."
    elif is_watched and (off := subject.off_by_default(orders)) is not None:
        why = f"Of it, {off[0]} is not watched: there is none, and {off[1]} names none."
    absent = () if probe is None else tuple((name, gap.error) for name, gap in probe.unmeasured.items())
    return ExplainedSubject(
        name=subject.name,
        title=subject.title,
        watched=is_watched,
        why=why,
        member=subject.member,
        members=tuple(_members(subject, sources, orders, report)) if is_watched else (),
        absent=absent,
        rules=tuple((rule.name, rule.severities) for rule in subject.rules),
        limits=tuple(_limits(subject, settings, sources, orders, report)) if is_watched else (),
    )


def _why_not(subject: Subject, settings: Settings, orders: StandingOrders) -> str:
    section = getattr(settings, subject.name, None)
    if subject.hint:
        why = subject.hint.removeprefix("Not watched").lstrip(":. ")
        return capital(why)
    for needed in filter(None, (subject.server, subject.beside)):
        one = subject_named(needed)
        if one is not None and one is not subject and needed not in orders.probes:
            return f"It needs {title_of(needed)}, which is not watched."
    if isinstance(section, SettingsSection):
        if section.is_watched() and (off := subject.off_by_default(orders)) is not None:
            return f"There is none, and {off[1]} names none."
        if section.needs and not section.is_watched():
            return f"{variable_of(subject.name, section.needs)} is not set."
    elif section is not None:
        return f"{variable_of(subject.name)} is empty."
    return f"{variable_of(subject.name, '')}* turns it off."


def _members(
    subject: Subject, sources: Mapping[str, str], orders: StandingOrders, report: FleetStatus
) -> Iterator[tuple[str, str]]:
    named = subject.named(orders)
    naming = ("orders", subject.members) if subject.members in subject.limits else (subject.name, subject.members)
    source = sources.get(variable_of(*dict.fromkeys(naming)), DEFAULT)
    section = report.sections.get(subject.members_section)
    seen = (
        section if subject.learns and isinstance(section, Mapping) else subject.member_names(report) if section else ()
    )
    for name in dict.fromkeys((*named, *seen)):
        # Where a roster is set, nothing is learned beside it.
        yield name, source if name in named else LEARNED if subject.learns and not named else FOUND


def _limits(
    subject: Subject, settings: Settings, sources: Mapping[str, str], orders: StandingOrders, report: FleetStatus
) -> Iterator[ExplainedLimit]:
    known = paths(type(settings))
    section = section_kind(subject.name)
    own = (variable_of(subject.name, field) for field in section.model_fields) if section else ()
    judged = {variable_of("orders", name): means for name, means in subject.limits.items()}
    for variable in (*own, variable_of(subject.name), *judged):
        if variable not in known:
            continue
        described = (section_kind(known[variable][0]) or settings_class()).model_fields[known[variable][-1]].description
        means = judged.get(variable) or described or ""
        source = sources.get(variable, DEFAULT)
        text = shown(settings, variable)
        if text is None and known[variable][-1] in orders.unnamed:
            text = _written(getattr(orders, known[variable][-1]))
        by_name = json.loads(text) if text is not None and text.startswith("{") else None
        if not by_name:
            yield ExplainedLimit(variable, "", "", means, None if by_name == {} else _plain(text), source)
            continue
        for name, declared in by_name.items():
            for key, value in declared.items() if isinstance(declared, dict) else (("", declared),):
                meant = _meant(key, subject) or means
                yield ExplainedLimit(variable, name, key, meant, _written(value), source)
    for limit in subject.learned(report, orders):
        yield ExplainedLimit("", limit.member, "", limit.means, limit.value, LEARNED)


def _meant(key: str, subject: Subject) -> str:
    """What is declared of a single member: the same as the limit of that name for all of them."""
    same = (name for name in subject.limits if key and (name == key or name.endswith(f"_{key}")))
    return subject.limits.get(next(same, ""), "")


def _plain(text: str | None) -> str | None:
    return _written(json.loads(text)) if text is not None and text.startswith("[") else text or None


def _written(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or None
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_written(each)}" for name, each in value.items()) or None
    return json.dumps(value, ensure_ascii=False)
