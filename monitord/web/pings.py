"""Where jobs report, in Healthchecks' convention: /ping/NAME, /ping/NAME/start, /ping/NAME/fail, /ping/NAME/EXIT."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from monitord.storage.inbox import JobReport
from monitord.web.api import Place
from monitord.web.backend import DaemonBackend
from monitord.web.middleware import same_origin

PLACE: Final = "/ping/"
METHODS: Final = ("GET", "POST")  # whatever answers GET answers HEAD
# What a job may send along, its log for example: it is passed over, and nothing of it is kept.
LARGEST_BODY: Final = 1024 * 1024
_BODY_SECONDS: Final = 5.0
_MOST_CODES: Final = 255


def reported(what: str) -> tuple[JobReport, int | None] | None:
    """With its exit code; None where it says nothing."""
    if what in ("", "start", "fail"):
        kind: JobReport = "start" if what == "start" else "failure" if what == "fail" else "success"
        return kind, None
    if not (what.isascii() and what.isdecimal() and len(what) <= 3 and int(what) <= _MOST_CODES):
        return None
    return "success" if int(what) == 0 else "failure", int(what)


class Pings:
    def __init__(self, source: DaemonBackend, permit: Callable[[Request], Awaitable[None]]) -> None:
        self._source = source
        self._permit = permit

    def places(self) -> list[Place]:
        paths = (f"{PLACE}{{name}}", f"{PLACE}{{name}}/{{what}}")
        return [(method, path, self._answer) for path in paths for method in METHODS]

    async def _answer(self, request: Request) -> Response:
        if not same_origin(request.headers):  # a page elsewhere could report with an image
            raise HTTPException(403, "A job reports by itself, not through a page.")
        await self._permit(request)
        name, what = request.path_params["name"], request.path_params.get("what", "")
        report = reported(what)
        if report is None:
            raise HTTPException(
                404, "A job reports at /ping/NAME, /ping/NAME/start, /ping/NAME/fail or /ping/NAME/EXIT."
            )
        if not await self._source.report_job(name, *report):
            raise HTTPException(404, "There is no check of type checkin of this name.")
        await _pass_over(request)
        return PlainTextResponse("OK")


async def _pass_over(request: Request) -> None:
    """Read what came along, so that whoever sends it gets its answer."""
    read = 0
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                read += len(part)
                if read > LARGEST_BODY:
                    break
