"""The API: what the commands print as JSON, over HTTP; and the few things that may be asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Literal, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from monitord.core.model import Command
from monitord.jsonable import document
from monitord.reporting.fleet import fleet_fields, tile_groups
from monitord.reporting.incidents import incident_fields
from monitord.reporting.report_json import report_fields
from monitord.reporting.sections import StatusView, subject_sections
from monitord.reporting.silences import silence_fields
from monitord.reporting.status import stale, stale_after
from monitord.web import params
from monitord.web.async_cache import CacheEntry, value_of
from monitord.web.backend import BackendUnavailable, PublishedCycle
from monitord.web.middleware import body_of
from monitord.web.records import Busy, Records, now

# A program waits for its answer; what takes longer is a disk that hangs.
PATIENCE_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = "5"

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]
End = Literal["unsilence", "ack"]
# Method, path, and what answers there; HTTPException, ParameterError and BackendUnavailable are answered by the app.
Place = tuple[str, str, Handler]


def problem(status: int, message: str) -> Response:
    more = {"retry-after": _RETRY_SECONDS} if status in (429, 503) else {}
    if status == 401:
        more = {"www-authenticate": 'Bearer realm="monitord"'}
    return JSONResponse({"error": message}, status, more)


class Api:
    def __init__(self, records: Records, permit: Callable[[Request], Awaitable[None]]) -> None:
        """`permit` lets through who may act, and raises HTTPException for who may not."""
        self._records = records
        self._permit = permit

    def places(self) -> tuple[Place, ...]:
        return (
            ("GET", "/api/status", self.status),
            ("GET", "/api/fleet", self.fleet),
            ("GET", "/api/report", self.report),
            ("GET", "/api/alerts", self.alerts),
            ("POST", "/api/alerts/{id}/ack", partial(self.end, "ack")),
            ("GET", "/api/silences", self.silences),
            ("POST", "/api/silences", self.silence),
            ("DELETE", "/api/silences/{id}", partial(self.end, "unsilence")),
            ("POST", "/api/check", self.check),
            ("GET", "/api/openapi.json", self.described),
        )

    async def status(self, _: Request) -> Response:
        return _json(status_fields(self._records))

    async def fleet(self, _: Request) -> Response:
        seen = the_seen(self._records)
        day = value_of(await self._records.day(PATIENCE_SECONDS))
        view = StatusView(seen.report, seen.decision.orders, seen.at.timestamp(), seen.decision.state.history)
        return _json(
            {
                "at": seen.at,
                "age_seconds": round(seen.age_seconds, 3),
                "uptime_since": None if day is None else datetime.fromtimestamp(day.since, UTC),
                "fleet": fleet_fields(tile_groups(subject_sections(view), day)),
            }
        )

    async def report(self, request: Request) -> Response:
        back = params.back(request.query_params.get("since"), timedelta(hours=12))
        found = await _had(self._records.report(back, PATIENCE_SECONDS))
        body = await self._records.source.aside(lambda: document(report_fields(found)))
        return Response(body, media_type="application/json")

    async def alerts(self, request: Request) -> Response:
        back = params.back(request.query_params.get("since"), timedelta(hours=48))
        found = await _had(self._records.incidents(back, PATIENCE_SECONDS))
        until = now()
        return _json(
            {"since": until - back, "until": until, "incidents": [incident_fields(one, until) for one in found]}
        )

    async def silences(self, _: Request) -> Response:
        at = now()
        found = [one for one in self._records.source.silences if one.until is None or one.until > at]
        return _json({"silences": [silence_fields(one, at) for one in found]})

    async def silence(self, request: Request) -> Response:
        await self._permit(request)
        command = params.silence(await _object(request), now())
        await self._records.source.leave(command)
        assert command.silence is not None  # noqa: S101 - that is what it says
        return _json({"silence": silence_fields(command.silence, command.at), "message": params.DONE["silence"]}, 202)

    async def end(self, kind: End, request: Request) -> Response:
        await self._permit(request)
        target = await leave_end(kind, request, self._records)
        return _json({"id": target, "message": params.DONE[kind]}, 202)

    async def check(self, request: Request) -> Response:
        await self._permit(request)
        self._records.source.ask_check()
        return _json({"message": params.DONE["check"]}, 202)

    async def described(self, _: Request) -> Response:
        from monitord.web.openapi import document as description

        return JSONResponse(description())


async def _had(reading: Awaitable[CacheEntry[T] | None]) -> T:
    """HTTPException where the record is not to be had now."""
    try:
        kept = await reading
    except Busy:
        raise HTTPException(503, "Other records are being read: ask again in a moment.") from None
    if kept is None:
        raise HTTPException(503, "The record is being read: ask again in a moment.")
    if kept.value is None:
        raise HTTPException(503, f"{kept.trouble}.")
    return kept.value


async def leave_end(kind: End, request: Request, records: Records) -> str:
    """Leave the command that ends a silence, or reminders, of the id in the address; HTTPException: nothing has it."""
    target: str = request.path_params["id"]
    if kind == "unsilence":
        what, known = "silence", {one.id for one in records.source.silences}
    else:
        what, known = "alert", set(the_seen(records).confirmed)
    if target not in known:
        raise HTTPException(404, f"There is no {what} of this id.")
    await records.source.leave(Command(kind, now(), target=target))
    return target


def the_seen(records: Records) -> PublishedCycle:
    """The last cycle. BackendUnavailable where there was none yet."""
    seen = records.source.seen
    if seen is None:
        raise BackendUnavailable("monitord has not run a check yet")
    return seen


def status_fields(records: Records) -> dict[str, object]:
    seen = the_seen(records)
    fields = seen.fields | {"age_seconds": round(seen.age_seconds, 3), "pid": os.getpid()}
    fields["silences"] = [silence_fields(one, now()) for one in records.source.silences]
    if (trouble := stale(timedelta(seconds=seen.age_seconds), records.source.settings)) is not None:
        fields["error"] = trouble
        if fields["status"] != "critical":
            fields["status"] = "unknown"
    return fields


def health(records: Records) -> Response:
    """No name, no state."""
    age = records.source.whole_age_seconds
    fresh = age is not None and age <= stale_after(records.source.settings).total_seconds()
    fields = {"status": "ok" if fresh else "stale", "age_seconds": None if age is None else round(age, 3)}
    return JSONResponse(fields, 200 if fresh else 503)


def _json(fields: Mapping[str, object], status: int = 200) -> Response:
    return Response(document(fields), status, media_type="application/json")


async def _object(request: Request) -> dict[str, object]:
    try:
        body = await body_of(request)
    except ValueError as error:
        raise HTTPException(413, str(error)) from None
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is no JSON.") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "The body must be a JSON object.")
    return found
