"""What was said in a night, and the questions a test asks of it."""

from __future__ import annotations

from dataclasses import dataclass

from monitord.core.engine import Decision, ProbeEdge, State
from monitord.core.model import Action, Alert, Observation, ServiceEvent, Transition
from monitord.core.status import FleetStatus


@dataclass(frozen=True)
class Look:
    """One observation and what was decided on it; `at` is when, by the fleet's clock (Unix seconds)."""

    observation: Observation
    decision: Decision
    at: float = 0.0


class Cycles:
    """Every look of a night so far, and the state it has left."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.state = State()

    @property
    def transitions(self) -> list[Transition]:
        return [transition for look in self.looks for transition in look.decision.transitions]

    @property
    def events(self) -> list[ServiceEvent]:
        return [event for look in self.looks for event in look.decision.events]

    @property
    def actions(self) -> list[Action]:
        return [action for look in self.looks for action in look.decision.actions]

    @property
    def notes(self) -> list[str]:
        return [note for look in self.looks for note in look.decision.notes]

    @property
    def probe_edges(self) -> list[ProbeEdge]:
        return [edge for look in self.looks for edge in look.decision.probe_edges]

    @property
    def report(self) -> FleetStatus:
        return self.looks[-1].decision.report

    @property
    def status(self) -> str:
        return self.report.status

    def said(self) -> list[str]:
        """All that fired and resolved, in order, in a form that reads well where an assertion fails."""
        return [
            f"{t.edge} {t.alert.rule}/{t.alert.subject}" + (f" ({t.reason})" if t.reason else "")
            for t in self.transitions
            if t.edge in ("firing", "resolved")
        ]

    def of(self, edge: str, rule: str, subject: str) -> list[Transition]:
        return [t for t in self.transitions if (t.edge, t.alert.rule, t.alert.subject) == (edge, rule, subject)]

    def firing(self) -> set[tuple[str, str]]:
        """What fires now."""
        return {(alert.rule, alert.subject) for alert in self.state.alerts.values() if alert.state == "firing"}

    def is_silent(self) -> None:
        """Nothing has fired, nothing is about to."""
        assert self.said() == []
        assert dict(self.state.alerts) == {}

    def fired_once(self, rule: str, subject: str, *, alone: bool = True) -> Alert:
        """This alert fired, once, and (alone) nothing else has all night. Returns it as it was then."""
        fired = self.of("firing", rule, subject)
        assert len(fired) == 1, self.said()
        if alone:
            assert [said for said in self.said() if said.startswith("firing")] == [f"firing {rule}/{subject}"]
        return fired[0].alert

    def resolved_once(self, rule: str, subject: str, reason: str = "") -> Alert:
        """This alert resolved, once and for this reason. Returns it as it was then."""
        resolved = self.of("resolved", rule, subject)
        assert [t.reason for t in resolved] == [reason], self.said()
        assert (rule, subject) not in self.firing()
        return resolved[0].alert
