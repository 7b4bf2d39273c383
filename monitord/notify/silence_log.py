"""What was asked of the watch, and the silences that end, as lines of the log."""

from __future__ import annotations

from monitord.core.alerting.silences import DATABASE, AcceptedCommands
from monitord.core.model import Alert, Silence
from monitord.logging.logger import JsonLog


def log_commands(log: JsonLog, heard: AcceptedCommands) -> None:
    """The line of one of them."""
    if heard.kind == "silence_added" and heard.silence is not None:
        _added(log, heard.silence)
    elif heard.kind == "silence_ended" and heard.silence is not None:
        silence = heard.silence
        how = "is over" if heard.reason == "expired" else "was taken away"
        message = f"The silence {silence.id} over {silence.subject} {how}."
        log.emit("silence_ended", "info", message, **_fields(silence), reason=heard.reason)
    elif heard.kind == "alert_acknowledged" and heard.alert is not None:
        _acknowledged(log, heard.alert)
    elif heard.kind == "subject_forgotten":
        message = f"{heard.subject} was retired on purpose, and is not expected any more."
        if heard.subject == DATABASE:
            message = "The known database was forgotten on purpose: the one that is read next is the known one."
        log.emit("subject_forgotten", "info", message, subject=heard.subject)


def _added(log: JsonLog, silence: Silence) -> None:
    when = f"at every {silence.every}" if silence.until is None else f"until {silence.until:%Y-%m-%d %H:%M:%S} UTC"
    message = f"{silence.subject} is silenced {when}: it is watched, and pages nobody."
    log.emit("silence_added", "info", message, **_fields(silence), reason=silence.reason or None)


def _acknowledged(log: JsonLog, alert: Alert) -> None:
    message = f"{alert.rule} of {alert.subject} is known of: it fires on, without reminders."
    log.emit(
        "alert_acknowledged",
        "info",
        message,
        alert_id=alert.id,
        rule=alert.rule,
        subject=alert.subject,
        severity=alert.severity,
        acked_at=alert.acked_at,
    )


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
