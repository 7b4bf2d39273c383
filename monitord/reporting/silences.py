"""Silences, as the list of them, the status and the page show them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from monitord.core import humanize
from monitord.core.alerting.silences import covers, next_window, quiet_until
from monitord.core.blocks import Style
from monitord.core.model import Alert, Silence
from monitord.core.names import is_pattern
from monitord.reporting.terminal import Terminal, table


def silence_fields(silence: Silence, now: datetime) -> dict[str, object]:
    """`quiet_until` is null while it is not in force; `next` is when the next window of one by the clock begins."""
    until = quiet_until(silence, now)
    return {
        "silence_id": silence.id,
        "subject": silence.subject,
        "exact": silence.exact or not is_pattern(silence.subject),
        "rule": silence.rule or None,
        "reason": silence.reason or None,
        "since": silence.since,
        "until": silence.until,
        "every": silence.every or None,
        "lasts_seconds": silence.lasts if silence.every else None,
        "in_force": until is not None,
        "quiet_until": until,
        "next": next_window(silence, now),
    }


def covered_by(silence: Silence, alerts: Iterable[Alert]) -> list[Alert]:
    """The confirmed alerts that are, or will be, quiet by it while it is in force."""
    found = [a for a in alerts if covers(silence, a.rule, a.subject) and (a.state == "firing" or a.silenced_by)]
    return sorted(found, key=lambda alert: (alert.since, alert.rule, alert.subject))


def about(silence: Silence) -> str:
    """`gateway`, `everything on this host`, `RULE of gateway`."""
    subject = "everything on this host" if silence.subject == "*" else silence.subject
    return f"{silence.rule} of {subject}" if silence.rule else subject


def spell(silence: Silence, now: datetime) -> str:
    """Until when it is quiet, or when it will be: `until 14:05 UTC`, `from Nov 9, 02:00 UTC for 2 h`."""
    if (until := quiet_until(silence, now)) is not None:
        return f"until {_moment(until, now)}"
    if (begins := next_window(silence, now)) is not None:
        return f"from {_moment(begins, now)} for {humanize.duration(silence.lasts)}"
    return "over" if not silence.every else "never"


def in_force_line(silences: Iterable[Silence], now: datetime) -> str:
    """Empty where there are none."""
    sentences = [
        f"{about(silence)} {spell(silence, now)} ({': '.join(filter(None, (silence.id, silence.reason)))})"
        for silence in silences
        if quiet_until(silence, now) is not None
    ]
    return f"Silenced: {humanize.listed(sentences)}." if sentences else ""


def silences_text(
    silences: Sequence[Silence], waiting: frozenset[str], alerts: Mapping[str, Alert], now: datetime, screen: Terminal
) -> str:
    """`waiting` are the ids of those that the daemon has not applied yet."""
    if not silences:
        return "\n".join(screen.wrapped("No silences: everything is notified.", indent="")) + "\n"
    rows: list[tuple[Style | None, list[str]]] = []
    notes: list[str] = []
    for one in silences:
        covered = covered_by(one, alerts.values()) if quiet_until(one, now) is not None else []
        is_waiting = one.id in waiting
        rows.append(
            (
                "unknown" if is_waiting else "ok" if quiet_until(one, now) is not None else "dim",
                [one.id, one.subject, one.rule or "any", spell(one, now).partition(" for ")[0], str(len(covered))],
            )
        )
        sentences = [f"Every {one.every} for {humanize.duration(one.lasts)}."] if one.every else []
        sentences += [one.reason.rstrip(".") + "."] if one.reason else []
        sentences += [f"Covers {humanize.listed([f'{a.rule} {a.subject}' for a in covered])}."] if covered else []
        sentences += ["Not applied by the daemon yet."] if is_waiting else []
        if sentences:
            notes += screen.wrapped(f"{one.id}: {' '.join(sentences)}", hanging="    ")
    lines = table(screen, ("ID", "SUBJECT", "RULE", "QUIET", "COVERS"), rows, right=frozenset({4}), flexible=(1, 2, 3))
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _moment(at: datetime, now: datetime) -> str:
    return humanize.moment(at.timestamp(), now.timestamp())
