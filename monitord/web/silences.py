"""Quiet on purpose, on the page: what is silenced, and the forms to begin and to end it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from monitord.core import humanize
from monitord.core.model import Silence
from monitord.core.subjects import rule_names, rules
from monitord.core.subjects.registry import ALWAYS, registered
from monitord.reporting.silences import spell
from monitord.web.context import PageContext


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """A silence in a row. `window`: of a maintenance window, when it comes and whether it is now."""

    id: str
    subject: str
    rule: str
    since: datetime
    until: datetime | None
    window: str
    reason: str


@dataclass(frozen=True, slots=True)
class SilenceDraft:
    subject: str
    rule: str
    lasts: str
    every: str
    reason: str


@dataclass(frozen=True, slots=True)
class SilencesPage:
    silences: tuple[SilenceRow, ...]
    has_token: bool
    acts: bool
    given: SilenceDraft
    rules: tuple[str, ...]
    subjects: tuple[str, ...]
    mistake: str
    done: str


@dataclass(frozen=True, slots=True)
class LoginPage:
    """Where the token is shown; `to`: where it leads."""

    to: str
    mistake: str
    has_token: bool


def silence_rows(view: PageContext) -> tuple[SilenceRow, ...]:
    found = [one for one in view.silences if one.until is None or one.until > view.now]
    return tuple(_row(one, view) for one in sorted(found, key=lambda one: one.since, reverse=True))


def _row(one: Silence, view: PageContext) -> SilenceRow:
    window = f"{one.every}, each time for {humanize.duration(one.lasts)}: {spell(one, view.now)}" if one.every else ""
    return SilenceRow(one.id, one.subject, one.rule, one.since, one.until, window, one.reason)


def silences_page(view: PageContext, given: Mapping[str, str], mistake: str = "", done: str = "") -> SilencesPage:
    """`given` is what stands in the form already."""
    draft = SilenceDraft(
        given.get("subject", ""),
        given.get("rule", ""),
        given.get("for", "2h"),
        given.get("every", ""),
        given.get("reason", ""),
    )
    return SilencesPage(
        silences=silence_rows(view),
        has_token=view.has_token,
        acts=view.acts,
        given=draft,
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
