"""The pages that are read: what each shows, gathered from the records and put into the frame."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from monitord.core.humanize import sentence
from monitord.core.subjects.pm2_report import SERVICE_REPORTS
from monitord.core.subjects.pm2_status import STATUS as SERVICES
from monitord.reporting.html import IllustratedSection, ReportHead, report_head, report_sections
from monitord.web import alerts, params, services
from monitord.web.api import the_seen
from monitord.web.async_cache import CacheEntry, value_of
from monitord.web.auth import TokenAuth
from monitord.web.context import PageContext
from monitord.web.overview import overview
from monitord.web.records import ALL_KEPT, INCIDENTS, Busy, Records, now
from monitord.web.rendering import Frame, rendered

T = TypeVar("T")

_REPORT: Final = timedelta(hours=12)
# A page that is still being made comes again by itself, with or without a script.
_AGAIN: Final = {"refresh": "2"}
# For so long one drawing of the overview is shared by all who ask for the same.
_SHARED: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class ReportPage:
    """Without a head, why it is unknown."""

    trouble: str
    hours: int = 0
    head: ReportHead | None = None
    sections: tuple[IllustratedSection, ...] = ()


class _SharedOverview:
    """The overview as it was last drawn, for all whose browsers ask for the same within a moment of a cycle."""

    def __init__(self) -> None:
        self._drawn: dict[tuple[timedelta, bool], tuple[PageContext, bytes]] = {}

    def get(self, view: PageContext) -> bytes | None:
        drawn, body = self._drawn.get((view.span, view.acts), (None, b""))
        return body if drawn is not None and self._is_fresh(drawn, view) and _is_same(drawn, view) else None

    def put(self, view: PageContext, body: bytes) -> None:
        """What is older than a moment is dropped."""
        fresh = {key: kept for key, kept in self._drawn.items() if self._is_fresh(kept[0], view)}
        self._drawn = {**fresh, (view.span, view.acts): (view, body)}

    def _is_fresh(self, drawn: PageContext, view: PageContext) -> bool:
        return timedelta(0) <= view.now - drawn.now < _SHARED


def _is_same(one: PageContext, other: PageContext) -> bool:
    kept = ("seen", "settings", "recorded", "incidents", "day")
    same = all(getattr(one, name) is getattr(other, name) for name in kept)
    return same and one.silences == other.silences and one.status == other.status


class PageViews:
    def __init__(self, records: Records, auth: TokenAuth) -> None:
        self.records = records
        self.auth = auth
        self._shared = _SharedOverview()

    async def overview(self, request: Request) -> Response:
        view = await self.view(request, params.plotted(request.query_params.get("since")))
        done = done_of(request)
        if not done and (shared := self._shared.get(view)) is not None:
            return HTMLResponse(shared)
        page = overview(view, done)
        answer = self.answer("overview.html", page.title, "/", view, page, live=True)
        if not done:
            self._shared.put(view, bytes(answer.body))
        return answer

    async def service(self, request: Request) -> Response:
        name = request.path_params["name"]
        view = await self.view(request, params.plotted(request.query_params.get("since")))
        page = value_of(view.recorded)
        recorded = () if page is None else page.report.of(SERVICE_REPORTS)
        if name not in view.seen.report.of(SERVICES) and all(one.name != name for one in recorded):
            raise HTTPException(
                404, f"There is no service of this name, and none was seen in the last {view.span_words}."
            )
        return self.answer("service.html", name[:60], "/", view, services.service_page(name, view), live=True)

    async def alerts(self, request: Request) -> Response:
        back = params.back(request.query_params.get("since"), INCIDENTS)
        view = await self.view(request)
        if back != INCIDENTS:
            view = replace(view, incidents=await _soon(self.records.incidents(back)))
        return self.answer("alerts.html", "Alerts", "/alerts", view, alerts.alerts_page(view, back), live=True)

    async def alert(self, request: Request) -> Response:
        """For as long as anything is kept of its incident."""
        view = replace(await self.view(request), incidents=await _soon(self.records.incidents(ALL_KEPT)))
        found = alerts.alert_page(request.path_params["id"], view)
        if found is None:
            raise HTTPException(404, "There is no alert of this id in the record: it was of another time.")
        return self.answer("alert.html", found.name[:60], "/alerts", view, found)

    async def report(self, request: Request) -> Response:
        back = params.back(request.query_params.get("since"), _REPORT)
        view = await self.view(request)
        kept = await _soon(self.records.report(back))
        if kept is None:
            words = "The record is being read: this page comes again by itself."
            frame = self.frame("Report", "/report", view)
            return HTMLResponse(rendered("message.html", frame, title="Report", message=words), headers=_AGAIN)
        if kept.value is None:
            unknown = ReportPage(sentence(f"Unknown: {kept.trouble}"))
            return self.answer("report.html", "Report", "/report", view, unknown, status=503)
        found = kept.value
        hours = round(back.total_seconds() / 3600)

        def drawn() -> Response:
            page = ReportPage("", hours, report_head(found), tuple(report_sections(found)))
            return self.answer("report.html", f"{found.headline}: the report", "/report", view, page)

        return await self.records.source.aside(drawn)

    async def view(self, request: Request, span: timedelta = params.DEFAULT_SPAN) -> PageContext:
        """As of now; its plots of the time range `span`. BackendUnavailable before the first check."""
        source = self.records.source
        seen = the_seen(self.records)
        recorded, found, day = await asyncio.gather(
            _soon(self.records.recorded(span)), _soon(self.records.incidents()), self.records.day()
        )
        return PageContext(
            now=now(),
            seen=source.seen or seen,
            settings=source.settings,
            silences=tuple(source.silences),
            recorded=recorded,
            incidents=found,
            day=day,
            span=span,
            acts=self.auth.knows(request.headers),
            has_token=self.auth.has_token,
        )

    def answer(
        self,
        template: str,
        title: str,
        place: str,
        view: PageContext,
        page: object,
        *,
        live: bool = False,
        status: int = 200,
    ) -> Response:
        frame = self.frame(title, place, view, live=live)
        return HTMLResponse(rendered(template, frame, page=page, now=view.until), status)

    def frame(self, title: str, place: str, view: PageContext, *, live: bool = False) -> Frame:
        return Frame(title, place, view.status, view.settings.instance, live=live, acts=view.acts)


async def _soon(reading: Awaitable[CacheEntry[T] | None]) -> CacheEntry[T] | None:
    """None where it is not there yet, or has to wait for others."""
    try:
        return await reading
    except Busy:
        return None


def done_of(request: Request) -> str:
    return params.DONE.get(request.query_params.get("done", ""), "")
