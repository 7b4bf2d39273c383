"""The first channel: every edge, event and check as a line of the log."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta

from monitord.core.alerting.silences import CommandOutcome
from monitord.core.engine import Decision, ProbeEdge
from monitord.core.humanize import capital, duration, timestamp
from monitord.core.model import Action, ServiceEvent, Silence, Transition, Unmeasured
from monitord.core.orders import StandingOrders
from monitord.core.report.model import Report
from monitord.core.status import verdict
from monitord.core.subjects.registry import registered
from monitord.logging.logger import JsonLog, Level
from monitord.notify.wording import action_sentence, edge_fields, edge_sentence, verdict_fields, verdict_sentence
from monitord.storage.file import SetAside


class EventLog:
    """Says in the log what each cycle decided."""

    def __init__(self, log: JsonLog) -> None:
        self._log = log
        self._off: frozenset[str] = frozenset()
        self._faults: frozenset[str] = frozenset()

    def write(self, decision: Decision, trigger: str, duration_ms: float) -> None:
        """One line per edge and event; the full check when somebody asked, else the same for debugging."""
        if gap := decision.gap:
            message = f"monitord itself did not run for {duration(gap)}: it was stopped, suspended or starved."
            about = {"from": decision.at - timedelta(seconds=gap), "to": decision.at, "seconds": round(gap, 1)}
            self._log.emit("monitoring_gap", "warning", message, **about)
        for note in decision.notes:
            self._log.emit("history_rebased", "info", capital(note) + ".")
        faults = decision.internal_faults
        for fault in faults:
            if fault not in self._faults:
                self._log.internal(fault)
        self._faults = frozenset(faults)
        self._off_by_default(decision.orders)
        for edge in decision.probe_edges:
            self._probe_edge(edge)
        for event in decision.events:
            if not event.said:
                self.service_event(event)
        for outcome in decision.outcomes:
            log_commands(self._log, outcome)
        for transition in decision.transitions:
            self._transition(transition)
        for action in decision.actions:
            self._action(action)
        self._check(decision, trigger, duration_ms)

    def aside(self, aside: SetAside) -> None:
        """The snapshot was damaged: it was put aside and a new one begun, or its last cycles are gone."""
        kept = f" it is kept as {aside.kept_as};" if aside.kept_as else ""
        message = f"The snapshot was damaged ({aside.reason});{kept} lost: {aside.lost}."
        about = {"reason": aside.reason, "kept_as": aside.kept_as or None, "lost": aside.lost}
        self._log.emit("snapshot_set_aside", "warning", message, **about)

    def verdict(self, report: Report) -> None:
        level: Level = "info" if report.headline == "GO" else "warning"
        self._log.emit("verdict_reported", level, verdict_sentence(report), **verdict_fields(report))

    def troubles(self) -> list[Unmeasured]:
        """The log outputs that fail now: nobody reads stdout, or its files cannot be written."""
        trouble = "its log to {0.sink} fails: {0.error} ({0.lost} lost)"
        return [Unmeasured(f"log {each.sink}", "internal", trouble.format(each)) for each in self._log.trouble]

    def _check(self, decision: Decision, trigger: str, duration_ms: float) -> None:
        event: str = "check_completed" if trigger else "cycle_completed"
        level: Level = "info" if trigger else "debug"
        if not self._log.says(level):  # the document is made for nobody
            return
        report = decision.report
        document = report.as_fields()
        status = document.pop("status")
        head: dict[str, object] = {"trigger": trigger} if trigger else {}
        head |= {"status": status, "duration_ms": round(duration_ms, 3)}
        self._log.emit(event, level, f"{status.upper()}: {verdict(report)}", **head, **document)

    def _off_by_default(self, orders: StandingOrders) -> None:
        """What is off because it is not named and there is none: logged once, when it is found out."""
        off: dict[str, str] = {}
        for subject in registered():
            if subject.server in orders.probes and (found := subject.off_by_default(orders)) is not None:
                what, variable = found
                off[what] = variable
        for what, variable in off.items():
            if what not in self._off:
                message = f"{what.capitalize()}: not watched, as none is named in {variable} and none is there."
                self._log.emit("probe_off", "info", message, what=what, variable=variable)
        self._off = frozenset(off)

    def _probe_edge(self, edge: ProbeEdge) -> None:
        if edge.kind:
            message = f"The {edge.probe} probe cannot measure: {edge.error}."
            self._log.emit("probe_failed", "warning", message, probe=edge.probe, kind=edge.kind, error=edge.error)
        else:
            self._log.emit("probe_recovered", "info", f"The {edge.probe} probe measures again.", probe=edge.probe)

    def service_event(self, event: ServiceEvent) -> None:
        """Something happened to a service: as a cycle has seen it, or as PM2's bus reports it."""
        about = {name: getattr(event, name) for name in ("service", "change", "by", "detail")}
        at = None if event.at is None else datetime.fromtimestamp(event.at, UTC)
        message = f"{event.service} {event.change}: {event.detail}."
        self._log.emit("service_event", "info", message, **about, at=at)

    def _transition(self, transition: Transition) -> None:
        level: Level = "info"
        if transition.edge == "firing":
            level = "error" if transition.alert.severity == "critical" else "warning"
        self._log.emit(f"alert_{transition.edge}", level, edge_sentence(transition), **edge_fields(transition))

    def _action(self, action: Action) -> None:
        found = {field.name: getattr(action, field.name) for field in fields(action)}
        found |= {"blocking": action.blocking or None, "look_at": list(action.look_at)}
        self._log.emit("action_recommended", "warning", action_sentence(action), **found)


def log_commands(log: JsonLog, outcome: CommandOutcome) -> None:
    silence, alert = outcome.silence, outcome.alert
    if outcome.kind == "silence_added" and silence is not None:
        when = f"at every {silence.every}" if silence.until is None else f"until {timestamp(silence.until)}"
        message = f"{silence.subject} is silenced {when}: it is watched, and pages nobody."
        log.emit("silence_added", "info", message, **_fields(silence), reason=silence.reason or None)
    elif outcome.kind == "silence_ended" and silence is not None:
        how = "is over" if outcome.reason == "expired" else "was removed"
        message = f"The silence {silence.id} over {silence.subject} {how}."
        log.emit("silence_ended", "info", message, **_fields(silence), reason=outcome.reason)
    elif outcome.kind == "alert_acknowledged" and alert is not None:
        message = f"{alert.rule} of {alert.subject} is known of: it fires on, without reminders."
        about = {name: getattr(alert, name) for name in ("rule", "subject", "severity", "acked_at")}
        log.emit("alert_acknowledged", "info", message, alert_id=alert.id, **about)
    elif outcome.kind == "subject_forgotten":
        message = f"Forgotten on purpose: {' '.join(outcome.forgotten)}"
        log.emit("subject_forgotten", "info", message, subject=outcome.subject)


def _fields(silence: Silence) -> dict[str, object]:
    return {
        "silence_id": silence.id,
        "subject": silence.subject,
        "rule": silence.rule or None,
        "since": silence.since,
        "until": silence.until,
        "every": silence.every or None,
        "lasts_seconds": silence.lasts if silence.every else None,
    }
