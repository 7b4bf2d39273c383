"""A report as one JSON-ready document: times in RFC 3339, UTC, ms and a Z; None for what is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Final

from monitord.core.report.model import CheckReport, Report, ServiceReport, TableReport
from monitord.jsonable import in_json, rfc3339
from monitord.reporting.charts.downsample import thinned
from monitord.reporting.incidents import incident_fields

# The dataclasses' fields that hold Unix seconds.
_TIMES: Final = frozenset(
    {"since", "until", "start", "end", "due_at", "sealed_at", "baseline_at", "memory_peak_at", "at", "begins"}
)
# So many points of a memory series are enough for a plot of any width.
_POINTS: Final = 480


def report_fields(night: Report) -> dict[str, Any]:
    """Everything the report says, by name.

    A service's `memory` is a list of {at, bytes}, thinned to a few hundred points that keep every peak and gap.
    """
    now = datetime.fromtimestamp(night.until, UTC)
    plain: dict[str, Any] = {
        "verdict": night.verdict,
        "sentence": night.sentence,
        "since": _time(night.since),
        "until": _time(night.until),
        "blind_minutes": night.blind_minutes,
        "criteria": [_plain(criterion) for criterion in night.criteria],
        "preparation": [_plain(line) for line in night.preparation],
        "open_warnings": [_plain(warning) for warning in night.open_warnings],
        "incidents": [_plain(incident_fields(found, now)) for found in night.incidents],
        "services": [_service(service) for service in night.services],
        "tables": [_table(table) for table in night.tables],
        "checks": [_check(check) for check in night.checks],
        "groups": [_plain(group) for group in night.groups],
        "recap": None if night.recap is None else [_plain(tier) for tier in night.recap],
        "recap_error": night.recap_error,
        "recap_before": [_plain(found) for found in night.recap_before],
        "blind": [_plain(found) for found in night.blind],
        "baseline": None if night.baseline is None else _plain(night.baseline),
        "baseline_at": _time(night.baseline_at),
        "notes": list(night.notes),
        "escalations": dict(night.escalations),
        "kept": _plain(night.kept),
    }
    return plain


def _service(service: ServiceReport) -> dict[str, object]:
    points = [{"at": _time(at), "bytes": value} for at, value in thinned(service.memory, _POINTS)]
    return {**_plain(service), "memory": points}


def _check(check: CheckReport) -> dict[str, object]:
    limits = {"warning": check.warning, "critical": check.critical}
    values = [{"at": _time(at), "value": value} for at, value in check.values]
    told = {name: None if limit is None else str(limit) for name, limit in limits.items()}
    return {"name": check.name, "type": check.type, "unit": check.unit, **told, "values": values}


def _table(table: TableReport) -> dict[str, object]:
    hours = [{**_plain(hour), "per_hour": hour.per_hour} for hour in table.hours]
    return {**_plain(table), "hours": hours}


def _plain(value: object) -> Any:
    """The JSON form of anything a Report holds."""
    if is_dataclass(value) and not isinstance(value, type):
        found = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name: _time(part) if name in _TIMES else _plain(part) for name, part in found if name != "memory"}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return in_json(value, str)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(datetime.fromtimestamp(seconds, UTC))
