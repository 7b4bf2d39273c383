"""The API in OpenAPI's words, as data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import is_dataclass
from datetime import datetime
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from monitord import __version__
from monitord.core.model import Severity, Status
from monitord.core.report.model import Report
from monitord.core.status import OPTIONAL, AlertStatus, ProbeStatus
from monitord.core.subjects.base import Subject
from monitord.core.subjects.registry import registered
from monitord.reporting.report_json import TIMES, TOLD

Schema = dict[str, Any]


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _without(schema: Schema, *optional: str) -> Schema:
    return schema | {"required": [name for name in schema["required"] if name not in optional]}


def _map(of: Schema) -> Schema:
    return {"type": "object", "additionalProperties": of}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _maybe(schema: Schema) -> Schema:
    """A value that is null where it could not be measured."""
    enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [schema["type"], "null"]} | enum


def _words(*allowed: str) -> Schema:
    return {"type": "string", "enum": list(allowed)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Final[Schema] = {"type": "string"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_NUMBER: Final[Schema] = {"type": "number"}
_WHOLE: Final[Schema] = {"type": "integer"}
_FLAG: Final[Schema] = {"type": "boolean"}
_ANY: Final[Schema] = {}
_SOME: Final[Schema] = {"type": "object"}
_MAYBE_TIME: Final = _maybe(_TIME)
_MAYBE_TEXT: Final = _maybe(_TEXT)
_MAYBE_NUMBER: Final = _maybe(_NUMBER)
_TYPES: Final[dict[object, Schema]] = {
    str: _TEXT, int: _WHOLE, float: _NUMBER, bool: _FLAG, datetime: _TIME, object: _ANY,
}  # fmt: skip


def _schema(shape: object, times: Collection[str] = ()) -> Schema:
    """What a type is in JSON: dataclasses, mappings by name, tuples, words, and None; fields of `times` are moments."""
    if isinstance(shape, type) and is_dataclass(shape):
        return _object(**{name: _field(name, of, times) for name, of in get_type_hints(shape).items()})
    if shape in _TYPES:
        return _TYPES[shape]
    kind, inner = get_origin(shape), get_args(shape)
    if kind is Literal:
        return _words(*inner)
    if kind is Mapping:
        return _map(_schema(inner[1], times))
    if kind is tuple:
        return _list(_schema(inner[0], times))
    if kind in (Union, UnionType) and inner[-1] is type(None):
        several = [_schema(of, times) for of in inner[:-1]]
        return _maybe(several[0]) if len(several) == 1 else {"type": [*(of["type"] for of in several), "null"]}
    raise TypeError(f"the status document has no schema for {shape}")


def _field(name: str, of: object, times: Collection[str]) -> Schema:
    if name not in times:
        return _schema(of, times)
    return _MAYBE_TIME if type(None) in get_args(of) else _TIME


def _of_section(subject: Subject, shape: object) -> Schema:
    """A package's section may be of a type that has none, or null where it could not be made."""
    if not subject.package:
        return _schema(shape)
    try:
        return _schema(shape)
    except TypeError:
        return _ANY


_SEVERITY: Final = _schema(Severity)
_STATUS: Final = _schema(Status)
_PROBE: Final = {
    **_without(_schema(ProbeStatus), "kind", "error", "unmeasured"),
    "description": "With `kind` and `error` where it failed, `unmeasured` where a part of it could not be measured.",
}


def _status() -> Schema:
    return _object(
        at=_TIME,
        trigger=_words("startup", "schedule", "signal", "cli", "http", "pm2"),
        duration_ms=_NUMBER,
        status=_STATUS,
        probes=_map(_PROBE),
        **{section.name: _of_section(subject, section.shape) for subject in registered() for section in subject.status},
        alerts=_object(
            firing=_list(_ref("Alert")), suppressed=_list({"allOf": [_ref("Alert"), _object(suppressed_by=_TEXT)]})
        ),
        age_seconds=_NUMBER,
        pid=_WHOLE,
        silences=_list(_ref("Silence")),
    )


def _report() -> Schema:
    hints = get_type_hints(Report)
    own = {name: _field(name, hints[name], TIMES) for name in TOLD}
    parts = {
        part.name: _ANY if subject.package else _list(_SOME)
        for subject in registered()
        for part in subject.report_parts
    }
    return _object(**own, incidents=_list(_ref("Incident")), **parts)


_INCIDENT: Final = _without(
    _object(
        incident_id=_TEXT, rule=_TEXT, subject=_TEXT, severity=_SEVERITY, cause=_TEXT, first_sign=_TIME,
        fired_at=_MAYBE_TIME, ended_at=_MAYBE_TIME, duration_seconds=_NUMBER, open=_FLAG, reason=_TEXT,
        flapping=_maybe(_WHOLE), recommendation=_TEXT, evidence=_SOME, silenced_by=_MAYBE_TEXT,
        runbook=_TEXT, contact=_TEXT,
        explains=_list(
            _object(
                alert_id=_TEXT, rule=_TEXT, subject=_TEXT, severity=_SEVERITY, since=_TIME, fired_at=_MAYBE_TIME,
                suppressed_at=_MAYBE_TIME, ended_at=_MAYBE_TIME, summary=_TEXT, silenced_by=_MAYBE_TEXT,
            )
        ),
    ),
    *OPTIONAL,
)  # fmt: skip
_UPTIME: Final = _maybe(
    _object(ratio=_MAYBE_NUMBER, up_seconds=_NUMBER, down_seconds=_NUMBER, blind_seconds=_NUMBER)
) | {
    "description": "Of the last 24 h, or of what is kept of them. `ratio` is up of up and down (null: not seen); "
    "the blind time is neither. Null: nothing is kept of it, or all of them are unknown (`uptime_since` is null)."
}
_TILE: Final = _object(subject=_TEXT, name=_TEXT, status=_STATUS, words=_list(_TEXT), uptime_24h=_UPTIME)
_SILENCE: Final = _object(
    silence_id=_TEXT, subject=_TEXT, rule=_MAYBE_TEXT, reason=_MAYBE_TEXT, since=_TIME, until=_MAYBE_TIME,
    every=_MAYBE_TEXT, lasts_seconds=_MAYBE_NUMBER, in_force=_FLAG, quiet_until=_MAYBE_TIME,
    next=_MAYBE_TIME, exact=_FLAG,
)  # fmt: skip
_SILENCE_ASKED: Final[Schema] = {
    "type": "object",
    "required": ["subject"],
    "additionalProperties": False,
    "properties": {
        "subject": {"type": "string", "description": "A name or a shell pattern; * is the whole host."},
        "rule": {"type": "string", "description": "One rule; left out: any."},
        "for": {"type": "string", "default": "2h", "description": "30m, 2h, 7d; 365 days at most."},
        "every": {"type": "string", "description": "A cron schedule (UTC): a maintenance window, each time for `for`."},
        "reason": {"type": "string"},
    },
}


def _answer(description: str, schema: Schema, kind: str = "application/json") -> Schema:
    return {"description": description, "content": {kind: {"schema": schema}}}


_NOT = {
    400: "What was asked for cannot be; `error` says why.",
    401: "It needs the token.",
    403: "No token is set (MONITORD_HTTP__TOKEN), or another site asks.",
    404: "There is nothing of this id.",
    413: "The body is larger than 64 kB, or 1 MiB where a job reports.",
    429: "Too many wrong tokens; Retry-After says when to come again.",
    503: "It cannot be had now; Retry-After says when to come again.",
}


def _route(summary: str, good: int, schema: Schema, *bad: int, acts: bool = False, **more: object) -> Schema:
    problems = {str(status): _answer(_NOT[status], _ref("Problem")) for status in bad}
    security: list[Schema] = [{"token": []}] if acts else [{}, {"token": []}]
    return {
        "summary": summary,
        "security": security,
        "responses": {str(good): _answer("As asked.", schema), **problems},
        **more,
    }


def _parameter(name: str, schema: Schema = _TEXT, description: str = "", place: str = "path") -> Schema:
    found = {"name": name, "in": place, "schema": schema} | ({"required": True} if place == "path" else {})
    return found | ({"description": description} if description else {})


_SINCE: Final = _parameter("since", _TEXT, "How far back: 12h, 90m; 48h at most.", "query")
_ID: Final = _parameter("id")
_JOB: Final = _parameter("name", _TEXT, "A check of one's own of type checkin.")
_CODE: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 255}
_WHAT: Final = _parameter(
    "what", {"oneOf": [_words("start", "fail"), _CODE]}, "`start`, `fail`, or an exit code, of which 0 is well."
)


def _ping(summary: str, *parameters: Schema) -> Schema:
    """How a job reports; the token may also be the password of HTTP Basic. A body of up to 1 MiB is passed over."""
    route = _route(summary, 200, _TEXT, 401, 403, 404, 413, 429, 503, parameters=list(parameters))
    route["responses"]["200"] = _answer("It is kept.", {"type": "string", "const": "OK"}, "text/plain")
    return route


def _read(summary: str, good: Schema, busy: Schema, *security: Schema) -> Schema:
    responses = {"200": good, "503": busy}
    return {"get": {"summary": summary, "security": list(security) or [{}, {"token": []}], "responses": responses}}


_VERDICT: Final = "The morning's verdict, as `monitord report --format json`"
_LEFT: Final = _object(id=_TEXT, message=_TEXT)
_ACTS: Final = (401, 403, 413, 429, 503)

_DOCUMENT: Final[Schema] = {
    "openapi": "3.1.0",
    "info": {
        "title": "monitord",
        "version": __version__,
        "description": "What the commands print as JSON. What could not be measured is null, never 0. Times are UTC. "
        "On an address that others can reach, everything but /healthz needs the token.",
    },
    "paths": {
        "/api/status": {"get": _route("The last check, as `monitord status --format json`", 200, _ref("Status"), 503)},
        "/api/fleet": {
            "get": _route(
                "Each service and check, and what a package adds: as the page's tiles, with its uptime of 24 h",
                200,
                _object(at=_TIME, age_seconds=_NUMBER, uptime_since=_MAYBE_TIME, fleet=_list(_TILE)),
                503,
            )
        },
        "/api/report": {"get": _route(_VERDICT, 200, _ref("Report"), 400, 503, parameters=[_SINCE])},
        "/api/alerts": {
            "get": _route(
                "Incidents, open and closed, as `monitord alerts --format json`",
                200,
                _object(since=_TIME, until=_TIME, incidents=_list(_ref("Incident"))),
                400,
                503,
                parameters=[_SINCE],
            )
        },
        "/api/alerts/{id}/ack": {
            "post": _route("Acknowledge an alert", 202, _LEFT, *_ACTS, 404, acts=True, parameters=[_ID])
        },
        "/api/silences": {
            "get": _route("What is quiet on purpose", 200, _object(silences=_list(_ref("Silence")))),
            "post": _route(
                "Silence something",
                202,
                _object(silence=_ref("Silence"), message=_TEXT),
                400,
                *_ACTS,
                acts=True,
                requestBody={"required": True, "content": {"application/json": {"schema": _SILENCE_ASKED}}},
            ),
        },
        "/api/silences/{id}": {"delete": _route("End a silence", 202, _LEFT, *_ACTS, 404, acts=True, parameters=[_ID])},
        "/api/check": {
            "post": _route("A full check now; needs the token where one is set", 202, _object(message=_TEXT), 401, 429)
        },
        "/api/openapi.json": {"get": _route("This document", 200, {"type": "object"})},
        "/ping/{name}": {method: _ping("A job reports that it has ended well", _JOB) for method in ("get", "post")},
        "/ping/{name}/{what}": {
            method: _ping("A job reports that it begins, that it has failed, or its exit code", _JOB, _WHAT)
            for method in ("get", "post")
        },
        "/events": _read(
            "Server-sent events: `cycle` (status, at) after each cycle, `report` when what is recorded was read anew, "
            "`beat` every 15 s",
            _answer("A stream without an end.", _TEXT, "text/event-stream"),
            _answer("As many are listening as may.", _ref("Problem")),
        ),
        "/healthz": _read(
            "Whether monitord is fresh; open to all",
            _answer("It is.", _ref("Health")),
            _answer("The last whole cycle is too long ago, or there was none.", _ref("Health")),
            {},
        ),
        "/metrics": _read(
            "The last report for Prometheus",
            _answer("Metrics.", _TEXT, "text/plain"),
            _answer("The first check is not over yet.", _ref("Problem")),
        ),
    },
    "components": {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "MONITORD_HTTP__TOKEN"}},
        "schemas": {
            "Alert": _without(_schema(AlertStatus), *OPTIONAL),
            "Incident": _INCIDENT,
            "Silence": _SILENCE,
            "Health": _object(status=_words("ok", "stale"), age_seconds=_MAYBE_NUMBER),
            "Problem": _object(error=_TEXT),
        },
    },
}


def document() -> Schema:
    """The whole of it; the sections of the status and the parts of the report are those that the subjects declare."""
    components = _DOCUMENT["components"]
    schemas = {"Status": _status(), "Report": _report(), **components["schemas"]}
    return _DOCUMENT | {"components": components | {"schemas": schemas}}
