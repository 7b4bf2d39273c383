"""What fired: alerts from their firing to their end, made of edges, and two such accounts of one window compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from monitord.core.alerting import lifecycle
from monitord.core.copying import replace
from monitord.core.model import Evidence, Severity, Transition, Value

Counted = Literal["exactly", "by the counters"]
# Why what fires is reported again; the other reasons are about alerts being silenced, or no longer.
_WORSE = frozenset({"severity", "flapping"})


@dataclass(frozen=True, slots=True)
class Fired:
    """One alert that fired. `resolved_at` is None while it still did at the end; `reason` is that of its end.

    `severity` is the worst it had, `value` to `evidence` what was found when it fired, or grew worse. `counted` tells
    how the rows were counted that an alert about a table rests on (None: it rests on no count). `at_start`: it was so
    already at the first check that is recorded, and nobody knows since when.
    """

    alert_id: str
    rule: str
    subject: str
    severity: Severity
    since: datetime
    fired_at: datetime
    resolved_at: datetime | None
    reason: str
    summary: str
    value: Value
    limit: Value
    unit: str
    evidence: Evidence = field(default_factory=dict)
    counted: Counted | None = None
    at_start: bool = False

    def seconds(self, until: datetime) -> float:
        """How long it fired; up to `until` where it still did."""
        return max(0.0, ((self.resolved_at or until) - self.fired_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Pair:
    """The same trouble in both accounts: the same rule and subject, at overlapping times."""

    found: Fired
    recorded: Fired

    @property
    def later_seconds(self) -> float | None:
        """How much later than recorded it fired (negative: earlier); None where it was so before the recording."""
        return None if self.found.at_start else (self.found.fired_at - self.recorded.fired_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two accounts of one window. `same` holds every overlapping pair: one long alert may meet several short ones."""

    same: tuple[Pair, ...]
    only_found: tuple[Fired, ...]
    only_recorded: tuple[Fired, ...]


class Ledger:
    """Follows edges, and holds what fired: at any time at most one alert of a rule and subject."""

    def __init__(self) -> None:
        self._open: dict[str, Fired] = {}
        self._closed: list[Fired] = []

    def take(self, transition: Transition, counted: Counted | None = None, *, at_start: bool = False) -> None:
        """One more edge. What did not fire leaves nothing; what a silence kept quiet counts as if it had fired."""
        alert = transition.alert
        place = lifecycle.key(alert.rule, alert.subject)
        if transition.edge == "firing" or (transition.edge == "suppressed" and alert.silenced_by):
            self._fires(place, transition, counted, at_start=at_start)
        elif transition.edge == "resolved":
            spell = self._open.pop(place, None)
            if spell is None and alert.fired_at is not None:  # its firing was recorded too long ago to be kept
                spell = _spell(transition, alert.fired_at, counted)
            if spell is not None:
                self._closed.append(replace(spell, resolved_at=transition.at, reason=transition.reason))

    def _fires(self, place: str, transition: Transition, counted: Counted | None, *, at_start: bool) -> None:
        alert, finding = transition.alert, transition.alert.finding
        was = self._open.get(place)
        if was is None or was.alert_id != alert.id:
            if was is not None:  # its end was never reported: it can have lasted no longer than to this
                self._closed.append(replace(was, resolved_at=transition.at, reason="replaced"))
            spell = _spell(transition, alert.confirmed_at or alert.fired_at or transition.at, counted)
            self._open[place] = replace(spell, at_start=at_start)
        elif transition.reason in _WORSE and alert.severity == "critical":
            worse = replace(was, severity="critical", summary=finding.summary, evidence=finding.evidence)
            self._open[place] = replace(worse, value=finding.value, limit=finding.limit)

    def change(self, place: str, counted: Counted | None) -> None:
        """What fires at a place was counted in another way since."""
        if place in self._open:
            self._open[place] = replace(self._open[place], counted=counted)

    def strike(self, place: str) -> None:
        """Take back what fires at a place, as if it never had."""
        self._open.pop(place, None)

    def spells(self) -> tuple[Fired, ...]:
        """In the order of firing."""
        return tuple(sorted((*self._closed, *self._open.values()), key=lambda f: (f.fired_at, f.rule, f.subject)))


def _spell(transition: Transition, fired_at: datetime, counted: Counted | None) -> Fired:
    alert, finding = transition.alert, transition.alert.finding
    return Fired(
        alert_id=alert.id,
        rule=alert.rule,
        subject=alert.subject,
        severity=alert.severity,
        since=alert.since,
        fired_at=fired_at,
        resolved_at=None,
        reason="",
        summary=finding.summary,
        value=finding.value,
        limit=finding.limit,
        unit=finding.unit,
        evidence=finding.evidence,
        counted=counted,
    )


def fired(transitions: Iterable[Transition]) -> tuple[Fired, ...]:
    """What a run of edges amounts to, in the order of firing."""
    ledger = Ledger()
    for transition in transitions:
        ledger.take(transition)
    return ledger.spells()


def between(spells: Iterable[Fired], since: datetime, until: datetime) -> tuple[Fired, ...]:
    return tuple(f for f in spells if f.fired_at <= until and (f.resolved_at is None or f.resolved_at > since))


def compared(found: Sequence[Fired], recorded: Sequence[Fired], until: datetime) -> Comparison:
    """What fired in both accounts, and in one of them only. An alert lasts from its first sign to its end."""
    by_place: dict[tuple[str, str], list[Fired]] = {}
    for spell in recorded:
        by_place.setdefault((spell.rule, spell.subject), []).append(spell)
    pairs = [
        Pair(spell, other)
        for spell in found
        for other in by_place.get((spell.rule, spell.subject), ())
        if spell.since <= (other.resolved_at or until) and other.since <= (spell.resolved_at or until)
    ]
    met, known = {id(pair.found) for pair in pairs}, {id(pair.recorded) for pair in pairs}
    return Comparison(
        same=tuple(pairs),
        only_found=tuple(spell for spell in found if id(spell) not in met),
        only_recorded=tuple(spell for spell in recorded if id(spell) not in known),
    )
