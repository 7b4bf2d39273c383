"""The pages that are read: what each shows, gathered from the records and put into the frame."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from monitord.core.alerting.incidents import Incident
from monitord.core.report.wording import sentence
from monitord.core.subjects.pm2_status import STATUS as SERVICES
from monitord.reporting.html import IllustratedSection, ReportHead, report_head, report_sections
from monitord.web import alerts, params, services, silences
from monitord.web.api import the_seen
from monitord.web.async_cache import CacheEntry
from monitord.web.auth import TokenAuth
from monitord.web.context import PageContext
from monitord.web.overview import overview
from monitord.web.records import ALL_KEPT, INCIDENTS, WAIT_SECONDS, Busy, Records, now
from monitord.web.rendering import Frame, rendered

_REPORT: Final = timedelta(hours=12)
# A page that is still being made comes again by itself, with or without a script.
_AGAIN: Final = {"refresh": "2"}


@dataclass(frozen=True, slots=True)
class ReportPage:
    """The report of so many hours; or, without a head, why it is unknown."""

    trouble: str
    hours: int = 0
    head: ReportHead | None = None
    sections: tuple[IllustratedSection, ...] = ()


class PageViews:
    """Draws the pages for whoever may read them."""

    def __init__(self, records: Records, auth: TokenAuth) -> None:
        self.records = records
        self.auth = auth

    async def overview(self, request: Request) -> Response:
        """Monitord at a glance."""
        view = await self.view(request)
        title = f"{str(view.status).upper()}: Overview"
        return self.answer("overview.html", title, "/", view, overview(view, done_of(request)), live=True)

    async def service(self, request: Request) -> Response:
        """One service over the last hours."""
        name = request.path_params["name"]
        view = await self.view(request)
        nights = view.night.value.night.services if view.night is not None and view.night.value is not None else ()
        if name not in view.seen.report.of(SERVICES) and all(one.name != name for one in nights):
            raise HTTPException(404, "There is no service of this name, and none was seen in the last 12 h.")
        return self.answer("service.html", name[:60], "/", view, services.service_page(name, view), live=True)

    async def alerts(self, request: Request) -> Response:
        """The incidents, open and closed."""
        back = params.back(request.query_params.get("since"), INCIDENTS)
        view = await self.view(request)
        if back != INCIDENTS:
            view = replace(view, incidents=await self._incidents(back))
        return self.answer("alerts.html", "Alerts", "/alerts", view, alerts.alerts_page(view, back), live=True)

    async def alert(self, request: Request) -> Response:
        """One alert, for as long as anything is kept of its incident."""
        view = await self.view(request)
        found = alerts.alert_page(request.path_params["id"], replace(view, incidents=await self._incidents(ALL_KEPT)))
        if found is None:
            raise HTTPException(404, "There is no alert of this id in the record: it was of another time.")
        return self.answer("alert.html", found.name[:60], "/alerts", view, found)

    async def report(self, request: Request) -> Response:
        """The morning's verdict, now."""
        back = params.back(request.query_params.get("since"), _REPORT)
        view = await self.view(request)
        try:
            kept = await self.records.report(back, WAIT_SECONDS)
        except Busy:
            kept = None
        if kept is None:
            words = "The record is being read: this page comes again by itself."
            frame = self.frame("Report", "/report", view)
            return HTMLResponse(rendered("message.html", frame, title="Report", message=words), headers=_AGAIN)
        if kept.value is None:
            unknown = ReportPage(sentence(f"Unknown: {kept.trouble}"))
            return self.answer("report.html", "Report", "/report", view, unknown, status=503)
        night = kept.value
        hours = round(back.total_seconds() / 3600)

        def drawn() -> Response:
            page = ReportPage("", hours, report_head(night), tuple(report_sections(night)))
            return self.answer("report.html", f"{night.headline}: the report", "/report", view, page)

        return await self.records.source.aside(drawn)

    async def view(self, request: Request) -> PageContext:
        """Everything a page may show, as of now.

        Raises:
            Unavailable: monitord has not run a check yet.
        """
        source = self.records.source
        seen = the_seen(self.records)
        night, found = await asyncio.gather(self.records.night(), self._incidents(INCIDENTS))
        return PageContext(
            now=now(),
            seen=source.seen or seen,
            settings=source.settings,
            silences=tuple(source.silences),
            night=night,
            incidents=found,
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
        """A page from its template, in its frame."""
        frame = self.frame(title, place, view, live=live)
        return HTMLResponse(rendered(template, frame, page=page, now=view.until), status)

    def frame(self, title: str, place: str, view: PageContext, *, live: bool = False) -> Frame:
        """What stands around a page."""
        return Frame(title, place, view.status, view.settings.instance, live=live, acts=view.acts)

    async def _incidents(self, back: timedelta) -> CacheEntry[tuple[Incident, ...]] | None:
        try:
            return await self.records.incidents(back)
        except Busy:
            return None


def done_of(request: Request) -> str:
    """What has just been asked for and will be done, as a sentence."""
    return silences.DONE.get(request.query_params.get("done", ""), "")
