"""A line of the log as people read it; what is not of this log is dimmed, and nothing commands the terminal."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeGuard

from monitord.core import humanize, names
from monitord.core.blocks import Style
from monitord.reporting.terminal import Terminal, clip

LEVELS: Final = ("debug", "info", "warning", "error")
_FIRST: Final = ("timestamp", "level", "event", "message")
_STYLES: Final[dict[object, Style]] = {"debug": "dim", "warning": "warning", "error": "critical"}
# What others put before a line, `pm2 logs` among them, is no longer than this.
_PREFIX: Final = 256
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST: Final = 2000
_MOST_FIELDS: Final = 400
_DEEPEST: Final = 8
_TIME_WIDTH: Final = 20
_EVENT_WIDTH: Final = 18
_SUBJECTS: Final = ("service", "subject", "target")
# What a line says beside its message, event by event. Of other events: the first few short fields there are.
_TELLING: Final[dict[str, tuple[str, ...]]] = {
    "service_event": ("by",),
    "probe_failed": ("kind",),
    "probe_recovered": (),
    "action_recommended": ("target", "blocking", "alert_id"),
    "verdict_reported": ("blind_minutes", "incidents"),
    "history_rebased": (),
}
_ALERT: Final = ("rule", "subject", "severity", "value", "limit", "reason", "suppressed_by", "alert_id")
_FEW: Final = 6
_SHORT: Final = 60


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What one line holds: its text, and its fields where it is a line of this log (None: it is not)."""

    text: str
    fields: Mapping[str, Any] | None = None


def entry(data: bytes, missing: int = 0) -> LogEntry:
    """`missing`: so many bytes of it have been left out already."""
    text = data.decode("utf-8", "replace").rstrip()
    if missing:
        return LogEntry(f"{text[:_SHORT]}… ({humanize.size(len(data) + missing)}: too long for a line of the log)")
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    begin = text.find("{", 0, _PREFIX)
    if begin < 0 or not text.endswith("}"):
        return LogEntry(text)
    try:
        fields = json.loads(text[begin:], parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return LogEntry(text)
    if not all(isinstance(fields.get(name), str) for name in _FIRST):
        return LogEntry(text)
    return LogEntry(text[begin:], fields)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which lines are asked for.

    Events and subjects are shell patterns, of which one must match ((): any); a subject that is called exactly so,
    one of `known`, is no pattern. Of a line that is not of this log nothing is known: it is asked for only where
    everything is.
    """

    level: str = LEVELS[0]
    events: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    since: datetime | None = None
    known: frozenset[str] = frozenset()

    def takes(self, one: LogEntry) -> bool:
        if one.fields is None:
            return self == Selection(known=self.known)
        return (
            self._is_level(one.fields["level"])
            and (not self.events or _matches(one.fields["event"], self.events))
            and (
                not self.subjects
                or any(_matches(one.fields.get(name), self.subjects, self.known) for name in _SUBJECTS)
            )
            and (self.since is None or _is_after(one.fields["timestamp"], self.since))
        )

    def after(self, one: LogEntry) -> Selection:
        """What is asked for once this line was read: a subject that it is about is known from then on."""
        seen = {value for name in _SUBJECTS if isinstance(value := (one.fields or {}).get(name), str)}
        new = seen.intersection(self.subjects) - self.known
        return replace(self, known=self.known | new) if new else self

    def _is_level(self, level: str) -> bool:
        # A level that nobody knows may be the worst there is.
        return level not in LEVELS or LEVELS.index(level) >= LEVELS.index(self.level)


def line_json(one: LogEntry) -> str:
    """The line as the log has it, for programs; "" for one that is not of this log. It means the same to them."""
    if one.fields is None:
        return ""
    return (one.text if one.text.isprintable() else "".join(map(_escaped, one.text))) + "\n"


def line_text(one: LogEntry, screen: Terminal, *, verbose: bool = False) -> str:
    """`verbose`: every other field follows, a line each."""
    if one.fields is None:
        return screen.paint(clip(one.text, _LONGEST), "dim") + "\n"
    fields = one.fields
    style = "ok" if fields["event"] == "alert_resolved" else _STYLES.get(fields["level"])
    parts = [
        screen.paint(_time(fields["timestamp"]).ljust(_TIME_WIDTH), "dim"),
        screen.paint(clip(fields["level"], 7).ljust(7), style),
        screen.paint(clip(fields["event"], 40).ljust(_EVENT_WIDTH), "bold"),
        clip(fields["message"], _LONGEST),
    ]
    pairs = " ".join(f"{name}={_quoted(value)}" for name, value in _telling(fields))
    if pairs:
        parts.append(screen.paint(pairs, "dim"))
    rest = [screen.paint(f"    {line}", "dim") for line in _everything(fields)] if verbose else []
    return "\n".join(["  ".join(parts), *rest]) + "\n"


def _matches(value: object, patterns: tuple[str, ...], known: Container[str] = ()) -> bool:
    return isinstance(value, str) and names.any_means(patterns, value, known)


def _is_after(timestamp: str, since: datetime) -> bool:
    try:
        return datetime.fromisoformat(timestamp) >= since
    except (ValueError, TypeError):  # no time, or one of no zone
        return False


def _escaped(character: str) -> str:
    """A character as JSON may have it too: between its tokens a blank is a blank."""
    if character.isprintable():
        return character
    return " " if character in "\t\r" else json.dumps(character)[1:-1]


def _time(timestamp: str) -> str:
    """`2025-11-05 03:57:12Z` of what the log writes in UTC; anything else as it is."""
    if len(timestamp) == len("2025-11-05T03:57:12.000Z") and timestamp[10] == "T" and timestamp.endswith("Z"):
        timestamp = f"{timestamp[:10]} {timestamp[11:19]}Z"
    return clip(timestamp, 32)


def _telling(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    event = fields["event"]
    if event in ("check_completed", "cycle_completed"):
        yield from _check(fields)
        return
    names = _ALERT if event.startswith("alert_") else _TELLING.get(event)
    if names is None:
        others = (name for name, value in fields.items() if name not in _FIRST and _is_short(value))
        names = tuple(name for name, _ in zip(others, range(_FEW), strict=False))
    for name in names:
        value = fields.get(name)
        if value is not None and value != "":
            unit = fields.get("unit") if name in ("value", "limit") else None
            yield clip(name, _SHORT), _measured(value, unit)


def _check(fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """In a line: who asked, how long it took, how many services are as they should be, what fires."""
    if isinstance(trigger := fields.get("trigger"), str):
        yield "trigger", trigger
    if _is_number(took := fields.get("duration_ms")):
        yield "took", humanize.duration(took / 1000)
    if (services := fields.get("services")) and isinstance(services, dict):
        well = sum(1 for one in services.values() if isinstance(one, dict) and one.get("ok") is True)
        yield "services", f"{well}/{len(services)}"
    if isinstance(alerts := fields.get("alerts"), dict):
        for name in ("firing", "suppressed"):
            if isinstance(alerts.get(name), list) and (name == "firing" or alerts[name]):
                yield name, str(len(alerts[name]))


def _is_short(value: object) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= _SHORT
    return isinstance(value, bool | int | float)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _measured(value: object, unit: object) -> str:
    if not _is_number(value):
        return _plain(value)
    match unit:
        case "bytes":
            return humanize.size(value)
        case "bytes/h":
            return f"{humanize.size(value)}/h"
        case "seconds":
            return humanize.duration(value)
        case "percent" | "percent/h":
            return f"{value:.1f}".removesuffix(".0") + ("%" if unit == "percent" else "%/h")
        case _ if value == int(value):
            return humanize.count(value) if unit else str(int(value))
    return _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, str):
        return clip(value, _LONGEST)
    if isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    if isinstance(value, float) and not math.isfinite(value):
        return "unknown"
    return clip(json.dumps(value), _LONGEST)


def _quoted(value: str) -> str:
    value = clip(value, _LONGEST)
    return json.dumps(value, ensure_ascii=False) if not value or re.search(r'[\s="]', value) else value


def _everything(fields: Mapping[str, object]) -> Iterator[str]:
    shown = 0
    for name, value in fields.items():
        if name in _FIRST or value == "":
            continue
        for path, leaf in _leaves(name, value, 0):
            if shown == _MOST_FIELDS:
                yield "…"
                return
            shown += 1
            if isinstance(leaf, str) and "\n" in leaf.strip():  # the escalation text has lines
                yield f"{path}:"
                yield from (f"  {clip(line, _LONGEST)}" for line in leaf.strip().splitlines()[:_MOST_FIELDS])
            else:
                yield f"{path}: {_plain(leaf)}"


def _leaves(path: str, value: object, depth: int) -> Iterator[tuple[str, object]]:
    path = clip(path, 200)
    inside: list[tuple[str, object]] = []
    if isinstance(value, dict):
        inside = [(f"{path}.{name}", part) for name, part in value.items()]
    elif isinstance(value, list):
        if not any(isinstance(part, dict | list) for part in value):
            yield path, ", ".join(_plain(part) for part in value[:_MOST_FIELDS]) or "none"
            return
        inside = [(f"{path}[{number}]", part) for number, part in enumerate(value)]
    if not inside or depth >= _DEEPEST:
        yield path, value
        return
    for name, part in inside:
        yield from _leaves(name, part, depth + 1)
