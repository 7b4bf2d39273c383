"""Quiet on purpose, on the page: what is silenced, and the forms to begin and to end it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from monitord.core import humanize
from monitord.core.model import Silence
from monitord.core.subjects import rule_names, rules
from monitord.core.subjects.registry import ALWAYS, registered
from monitord.reporting.silences import spell
from monitord.web.context import PageContext

# A silence, and of a maintenance window when it comes and whether it is now.
SilenceRow = tuple[Silence, str]


@dataclass(frozen=True, slots=True)
class SilencesPage:
    silences: tuple[SilenceRow, ...]
    has_token: bool
    acts: bool
    given: Mapping[str, str]
    rules: tuple[str, ...]
    subjects: tuple[str, ...]
    mistake: str
    done: str


def silence_rows(view: PageContext) -> tuple[SilenceRow, ...]:
    found = [one for one in view.silences if one.until is None or one.until > view.now]
    return tuple(_row(one, view) for one in sorted(found, key=lambda one: one.since, reverse=True))


def _row(one: Silence, view: PageContext) -> SilenceRow:
    window = f"{one.every}, each time for {humanize.duration(one.lasts)}: {spell(one, view.now)}" if one.every else ""
    return one, window


def silences_page(view: PageContext, given: Mapping[str, str], mistake: str = "", done: str = "") -> SilencesPage:
    """`given` is what stands in the form already."""
    return SilencesPage(
        silences=silence_rows(view),
        has_token=view.has_token,
        acts=view.acts,
        given={"subject": "", "rule": "", "for": "2h", "every": "", "reason": "", **given},
        rules=tuple(_rules(view)),
        subjects=tuple(_subjects(view)),
        mistake=mistake,
        done=done,
    )


def _subjects(view: PageContext) -> Iterator[str]:
    """What an alert can be about here, as far as it is known before there is one."""
    seen = view.seen
    for subject in registered():
        if subject.name in seen.decision.orders.probes | ALWAYS:
            yield subject.name
            yield from subject.member_names(seen.report)


def _rules(view: PageContext) -> Iterator[str]:
    """What is off has none."""
    judged = view.seen.decision.orders.probes | ALWAYS
    return (name for name in rule_names() if any(rule.name == name and rule.probe in judged for rule in rules()))
