"""The pages that are read: what each shows, gathered from the records and put into the frame."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from monitord.core.alerting.incidents import Incident
from monitord.reporting.charts.svg import Markup, joined, tag
from monitord.reporting.html import report_head, report_sections
from monitord.reporting.wording import sentence
from monitord.web import alerts, layout, params, services, silences
from monitord.web.api import the_seen
from monitord.web.async_cache import CacheEntry
from monitord.web.auth import TokenAuth
from monitord.web.context import PageContext
from monitord.web.overview import overview
from monitord.web.records import INCIDENTS, WAIT_SECONDS, Busy, Records, now

_REPORT: Final = timedelta(hours=12)
_SPANS: Final = (2, 12, 24, 48)
# A page that is still being made comes again by itself, with or without a script.
_AGAIN: Final = {"refresh": "2"}


class PageViews:
    """Draws the pages for whoever may read them."""

    def __init__(self, records: Records, auth: TokenAuth) -> None:
        self.records = records
        self.auth = auth

    async def overview(self, request: Request) -> Response:
        """Monitord at a glance."""
        view = await self.view(request)
        return self.framed(f"{str(view.status).upper()}: Overview", "/", view, overview(view, done_of(request)))

    async def service(self, request: Request) -> Response:
        """One service and its night."""
        name = request.path_params["name"]
        view = await self.view(request)
        nights = view.night.value.night.services if view.night is not None and view.night.value is not None else ()
        if name not in view.seen.report.services and all(one.name != name for one in nights):
            raise HTTPException(404, "There is no service of this name, and none was seen in the night.")
        return self.framed(name[:60], "/", view, services.service_page(name, view))

    async def alerts(self, request: Request) -> Response:
        """The incidents, open and closed."""
        back = params.back(request.query_params.get("since"), INCIDENTS)
        view = await self.view(request)
        if back != INCIDENTS:
            view = replace(view, incidents=await self._incidents(back))
        return self.framed("Alerts", "/alerts", view, alerts.alerts_page(view, back))

    async def report(self, request: Request) -> Response:
        """The morning's verdict, now."""
        back = params.back(request.query_params.get("since"), _REPORT)
        view = await self.view(request)
        try:
            kept = await self.records.report(back, WAIT_SECONDS)
        except Busy:
            kept = None
        if kept is None:
            main = layout.notice("Report", "The record is being read: this page comes again by itself.")
            answer = self.framed("Report", "/report", view, main, live=False)
            answer.headers.update(_AGAIN)
            return answer
        if kept.value is None:
            main = joined(tag("h1", "Report"), tag("p", sentence(f"Unknown: {kept.trouble}"), class_="is-unknown"))
            return self.framed("Report", "/report", view, main, live=False, status=503)
        night = kept.value
        main = await self.records.source.aside(
            lambda: joined(_spans(back), report_head(night), *report_sections(night)),
        )
        return self.framed(f"{night.headline}: the report", "/report", view, main, live=False)

    async def view(self, request: Request) -> PageContext:
        """Everything a page may show, as of now.

        Raises:
            Unavailable: monitord has not looked yet.
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

    def framed(
        self, title: str, place: str, view: PageContext, main: Markup, *, live: bool = True, status: int = 200
    ) -> Response:
        """A page in its frame."""
        who = view.settings.instance
        page = layout.framed(title, place, view.status, main, who=who, live=live, acts=view.acts)
        return HTMLResponse(page, status)

    async def _incidents(self, back: timedelta) -> CacheEntry[tuple[Incident, ...]] | None:
        try:
            return await self.records.incidents(back)
        except Busy:
            return None


def done_of(request: Request) -> str:
    """What has just been asked for and will be done, as a sentence."""
    return silences.DONE.get(request.query_params.get("done", ""), "")


def _spans(back: timedelta) -> Markup:
    here = round(back.total_seconds() / 3600)
    links = [
        joined(
            tag("a", f"{hours} h", href=f"/report?since={hours}h", aria_current="true" if hours == here else None), " "
        )
        for hours in _SPANS
    ]
    return tag("p", "The last ", *links, class_="spans")
