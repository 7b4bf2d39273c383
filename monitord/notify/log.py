"""The first way out: every edge, event and check as a line of the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from monitord.core import words
from monitord.core.decide import Decision, ProbeEdge
from monitord.core.model import Action, Gap, ServiceEvent, Transition
from monitord.core.night import Night
from monitord.core.report import Report, alert_fields
from monitord.core.verdict import verdict
from monitord.logs import Level, Log
from monitord.store import SetAside

ACTIONS: Final = {"restart_service": "Restart", "free_disk": "Free space on", "investigate": "Investigate"}


class LogTeller:
    """Says in the log what each cycle decided."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def tell(self, decision: Decision, trigger: str, duration_ms: float) -> None:
        """One line per edge and event; the full check when somebody asked, else the same for debugging."""
        for note in decision.notes:
            self._log.emit("history_rebased", "info", note[:1].upper() + note[1:] + ".")
        for fault in decision.faults:
            self._log.internal(fault)
        for edge in decision.probe_edges:
            self._probe_edge(edge)
        for event in decision.events:
            self._service_event(event)
        for transition in decision.transitions:
            self._transition(transition)
        for action in decision.actions:
            self._action(action)
        self._check(decision.report, trigger, duration_ms)

    def aside(self, aside: SetAside) -> None:
        """The snapshot was put aside and a new one begun."""
        self._log.emit(
            "snapshot_set_aside",
            "warning",
            f"The snapshot could not be used ({aside.reason}); it is kept as {aside.kept_as} and a new one is begun.",
            reason=aside.reason,
            kept_as=aside.kept_as,
        )

    def verdict(self, night: Night) -> None:
        """The verdict over the night, as the morning's schedule asks for it."""
        self._log.emit(
            "verdict_reported",
            "info" if night.verdict == "GO" else "warning",
            f"{night.verdict}: {night.sentence}",
            verdict=night.verdict,
            since=datetime.fromtimestamp(night.since, UTC),
            until=datetime.fromtimestamp(night.until, UTC),
            blind_minutes=night.blind_minutes,
            criteria=[{"name": c.name, "met": c.met, "evidence": c.evidence} for c in night.criteria],
            incidents=len(night.incidents),
        )

    def troubles(self) -> list[Gap]:
        """The ways out of the log that fail now: nobody reads stdout, or its files cannot be written."""
        return [
            Gap(
                f"log {trouble.way}",
                "internal",
                f"its log to {trouble.way} fails: {trouble.error} ({trouble.lost} lost)",
            )
            for trouble in self._log.trouble
        ]

    def _check(self, report: Report, trigger: str, duration_ms: float) -> None:
        event: str = "check_completed" if trigger else "cycle_completed"
        level: Level = "info" if trigger else "debug"
        fields = report.as_fields()
        status = fields.pop("status")
        self._log.emit(
            event,
            level,
            f"{status.upper()}: {verdict(report.as_fields())}",
            **({"trigger": trigger} if trigger else {}),
            status=status,
            duration_ms=round(duration_ms, 3),
            **fields,
        )

    def _probe_edge(self, edge: ProbeEdge) -> None:
        if edge.kind:
            message = f"The {edge.probe} probe cannot measure: {edge.error}."
            self._log.emit("probe_failed", "warning", message, probe=edge.probe, kind=edge.kind, error=edge.error)
        else:
            self._log.emit("probe_recovered", "info", f"The {edge.probe} probe measures again.", probe=edge.probe)

    def _service_event(self, event: ServiceEvent) -> None:
        self._log.emit(
            "service_event",
            "info",
            f"{event.service} {event.change}: {event.detail}.",
            service=event.service,
            change=event.change,
            by=event.by,
            detail=event.detail,
        )

    def _transition(self, transition: Transition) -> None:
        alert = transition.alert
        fields = alert_fields(alert)
        level: Level = "info"
        message = alert.finding.summary
        if transition.edge == "firing":
            level = "error" if alert.severity == "critical" else "warning"
            if transition.reason == "flapping":
                message += (
                    f" It has come {alert.flaps} times since {words.clock(fields['flapping']['since'].timestamp())}: "
                    f"it is one flapping alert until it has been calm for {words.duration(alert.calm_for)}."
                )
        elif transition.edge == "resolved":
            lasted = max(0.0, (transition.at - (alert.fired_at or alert.since)).total_seconds())
            fields["duration_seconds"] = round(lasted, 3)
            why = {"": "is resolved", "not_watched": "ends, as its subject is no longer watched"}
            how = why.get(transition.reason, f"ends ({transition.reason.replace('_', ' ')})")
            unsaid = "" if alert.fired_at is not None else " It was explained throughout, and never told by itself."
            message = f"{alert.rule} of {alert.subject} {how} after {words.duration(lasted)}.{unsaid}"
        elif transition.edge == "suppressed":
            fields["suppressed_by"] = transition.suppressed_by
            message += f" It is explained by alert {transition.suppressed_by} and not told by itself."
        if transition.reason:
            fields["reason"] = transition.reason
        self._log.emit(f"alert_{transition.edge}", level, message, **fields)

    def _action(self, action: Action) -> None:
        self._log.emit(
            "action_recommended",
            "warning",
            f"{ACTIONS[action.action]} {_whom(action)}: {action.reason}",
            action=action.action,
            target=action.target,
            reason=action.reason,
            confirmations=action.confirmations,
            blocking=action.blocking or None,
            alert_id=action.alert_id,
            rule=action.rule,
            incident_id=action.incident_id,
            look_at=list(action.look_at),
            escalation=action.escalation,
        )


def _whom(action: Action) -> str:
    """What the action is about, in words: of a group, whatever seals it."""
    return f"what seals {action.target}" if action.rule == "sealing_stuck" else action.target
