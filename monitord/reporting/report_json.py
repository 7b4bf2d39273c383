"""A report as one JSON-ready document: times in RFC 3339, UTC, ms and a Z; None for what is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from monitord.core.report.model import CheckReport, Hour, Report, ServiceReport
from monitord.core.subjects.registry import registered
from monitord.core.thresholds import written
from monitord.jsonable import in_json, rfc3339
from monitord.reporting.charts.points import thinned
from monitord.reporting.incidents import incident_fields

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# The dataclasses' fields that hold Unix seconds.
TIMES: Final = frozenset(
    {"since", "until", "start", "end", "due_at", "sealed_at", "baseline_at", "memory_peak_at", "at", "begins"}
)
# The report's fields that its document has as they are, beside its incidents and the subjects' parts.
TOLD: Final = (
    *("verdict", "sentence", "since", "until", "blind_minutes", "criteria", "preparation", "open_warnings"),
    *("recap", "recap_error", "recap_before", "blind", "baseline", "baseline_at", "notes", "escalations", "kept"),
)
# So many points of a memory series are enough for a plot of any width.
_POINTS: Final = 480


def report_fields(report: Report) -> dict[str, Any]:
    """A service's `memory` is a list of {at, bytes}, thinned to a few hundred points that keep every peak and gap."""
    now = datetime.fromtimestamp(report.until, UTC)
    parts = (part for subject in registered() for part in subject.report_parts)
    return {
        **{name: _field(name, getattr(report, name)) for name in TOLD},
        "incidents": [_plain(incident_fields(found, now)) for found in report.incidents],
        **{part.name: _plain(part.shown(report.of(part))) for part in parts},
    }


def _plain(value: object) -> object:
    match value:
        case ServiceReport():
            points = [{"at": _time(at), "bytes": used} for at, used in thinned(value.memory, _POINTS)]
            return {**_fields(value), "memory": points}
        case CheckReport():
            limits = {"warning": value.warning, "critical": value.critical}
            points = [{"at": _time(at), "value": number} for at, number in value.values]
            texts = {name: written(limit) for name, limit in limits.items()}
            return {"name": value.name, "type": value.type, "unit": value.unit, **texts, "values": points}
        case Hour():
            return {**_fields(value), "per_hour": value.per_hour}
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return in_json(value, str)


def _fields(value: DataclassInstance) -> dict[str, object]:
    found = ((field.name, getattr(value, field.name)) for field in fields(value))
    return {name: _field(name, part) for name, part in found if name != "memory"}


def _field(name: str, value: Any) -> object:
    return _time(value) if name in TIMES else _plain(value)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(datetime.fromtimestamp(seconds, UTC))
