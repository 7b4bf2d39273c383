"""The routes of the page: what is asked for, drawn from what the desk keeps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib.resources import files
from typing import Final
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from monitord.core.model import Command
from monitord.present.markup import Markup, joined, tag
from monitord.present.night_words import sentence
from monitord.present.page import alerts, asked, fleet, frame, silences
from monitord.present.page.api import Api, Problem, health, problem, the_seen
from monitord.present.page.desk import WAIT_SECONDS, Busy, Desk, now
from monitord.present.page.events import EventStream, Full
from monitord.present.page.guard import Guard, form_of
from monitord.present.page.keeper import COOKIE, SESSION_SECONDS, Keeper, TooManyGuesses, bearer
from monitord.present.page.overview import overview
from monitord.present.page.source import Unavailable
from monitord.present.page.view import View
from monitord.present.report_html import report_head, report_sections
from monitord.settings_types import is_loopback

# Name -> where it lies within monitord.present, and what it is.
_STATIC: Final = {
    "report.css": ("report.css", "text/css; charset=utf-8"),
    "page.css": ("page/static/page.css", "text/css; charset=utf-8"),
    "live.js": ("page/static/live.js", "text/javascript; charset=utf-8"),
}
# What anybody may read even where others can reach the page.
_OPEN: Final = ("/healthz", "/static/", "/login")
_REPORT: Final = timedelta(hours=12)
_RELOAD: Final = {"refresh": "2"}

Handler = Callable[[Request], Awaitable[Response]]


class Page:
    """Everything that is served at one address. `guess_seconds` is what a wrong token costs whoever guesses."""

    def __init__(self, desk: Desk, host: str, token: str | None, guess_seconds: float = 0.5) -> None:
        self._desk = desk
        self._keeper = Keeper(token, guess_seconds)
        self._is_open = is_loopback(host)
        self._static: dict[str, bytes] = {}
        self.routes = [
            Route("/", self._shown("Overview", "/", self._overview)),
            Route("/service/{name:path}", self._shown("Service", "/", self._service)),
            Route("/alerts", self._shown("Alerts", "/alerts", self._alerts)),
            Route("/report", self._answering(self._report)),
            Route("/silences", self._answering(self._silences)),
            Route("/silences", self._answering(self._silence), methods=["POST"]),
            Route("/silences/{id}/end", self._answering(self._end), methods=["POST"]),
            Route("/alerts/{id}/ack", self._answering(self._ack), methods=["POST"]),
            Route("/check", self._answering(self._check), methods=["POST"]),
            Route("/login", self._answering(self._login), methods=["GET", "POST"]),
            Route("/logout", self._answering(self._logout), methods=["POST"]),
            Route("/events", self._answering(self._events)),
            Route("/healthz", self._answering(self._healthz)),
            Route("/metrics", self._answering(self._metrics)),
            Route("/static/{name}", self._answering(self._file)),
            *Api(desk, self._permit).routes(),
        ]
        app = Starlette(
            routes=self.routes,
            exception_handlers={HTTPException: self._http_problem, Exception: self._fault},
        )
        app.router.redirect_slashes = False
        self.app: ASGIApp = Guard(self._gate(app), host, self._refused, desk.source.fault)

    # Who may come in

    def _gate(self, app: ASGIApp) -> ASGIApp:
        """Where others can reach the page, reading it takes the token, too."""

        async def gate(scope, receive, send):  # type: ignore[no-untyped-def]
            request = Request(scope, receive)
            path = request.url.path
            if self._is_open or self._keeper.knows(request.headers) or path.startswith(_OPEN):
                await app(scope, receive, send)
                return
            answer: Response
            if _is_for_programs(path):
                answer = await self._not_known(request)
            else:
                answer = _to_login(request)
            await answer(scope, receive, send)

        return gate

    async def _not_known(self, request: Request) -> Response:
        try:
            await self._permit(request)
        except Problem as found:
            return problem(found.status, str(found))
        return problem(401, "Show the token.")  # it was changed between two looks

    async def _permit(self, request: Request) -> None:
        """Let through who may act: with the token, and where there is none, who only asks for a look."""
        if not self._keeper.has_token:
            if request.url.path == "/api/check":
                return
            raise Problem(403, silences.NO_TOKEN)
        if self._keeper.knows(request.headers):
            return
        if found := bearer(request.headers):
            try:
                await self._keeper.guess(found)
            except TooManyGuesses:
                raise Problem(429, "Too many wrong tokens: come again in a moment.") from None
            raise Problem(401, "That is not the token.")
        raise Problem(401, "This needs the token: Authorization: Bearer …")

    # Pages

    def _shown(self, title: str, place: str, draw: Callable[[Request, View], Awaitable[tuple[str, Markup]]]) -> Handler:
        async def show(request: Request) -> Response:
            view = await self._view(request)
            said, main = await draw(request, view)
            return self._framed(said or title, place, view, main)

        return self._answering(show)

    def _framed(
        self, title: str, place: str, view: View, main: Markup, *, live: bool = True, status: int = 200
    ) -> Response:
        told = f"{str(view.status).upper()}: {title}" if place == "/" else title
        page = frame.framed(told, place, view.status, main, who=view.settings.instance, live=live, acts=view.acts)
        return HTMLResponse(page, status)

    async def _view(self, request: Request) -> View:
        source = self._desk.source
        seen = the_seen(self._desk)
        night = await self._desk.night()
        try:
            found = await self._desk.incidents()
        except Busy:
            found = None
        return View(
            now=now(),
            seen=source.seen or seen,
            settings=source.settings,
            silences=tuple(source.silences),
            night=night,
            incidents=found,
            acts=self._keeper.knows(request.headers),
            has_token=self._keeper.has_token,
        )

    async def _overview(self, request: Request, view: View) -> tuple[str, Markup]:
        return "", overview(view, _done(request))

    async def _service(self, request: Request, view: View) -> tuple[str, Markup]:
        name = request.path_params["name"]
        nights = view.night.value.night.services if view.night is not None and view.night.value is not None else ()
        if name not in view.seen.report.services and all(one.name != name for one in nights):
            raise HTTPException(404, "There is no service of this name, and none was seen in the night.")
        return f"{name[:60]}", fleet.service_page(name, view)

    async def _alerts(self, request: Request, view: View) -> tuple[str, Markup]:
        back = asked.back(request.query_params.get("since"), timedelta(hours=48))
        if back == timedelta(hours=48):
            return "", alerts.alerts_page(view, back)
        from dataclasses import replace

        try:
            found = await self._desk.incidents(back)
        except Busy:
            found = None
        return "", alerts.alerts_page(replace(view, incidents=found), back)

    async def _report(self, request: Request) -> Response:
        view = await self._view(request)
        back = asked.back(request.query_params.get("since"), _REPORT)
        spans = tag(
            "p",
            "The last ",
            *(
                joined(
                    tag(
                        "a",
                        f"{hours} h",
                        href=f"/report?since={hours}h",
                        aria_current="true" if back == timedelta(hours=hours) else None,
                    ),
                    " ",
                )
                for hours in (2, 12, 24, 48)
            ),
            class_="spans",
        )
        try:
            kept = await self._desk.report(back, WAIT_SECONDS)
        except Busy:
            kept = None
        if kept is None:
            main = frame.notice("Report", "The record is being read: this page comes again by itself.")
            answer = self._framed("Report", "/report", view, main, live=False)
            answer.headers.update(_RELOAD)
            return answer
        if kept.value is None:
            main = joined(tag("h1", "Report"), tag("p", sentence(f"Unknown: {kept.trouble}"), class_="is-unknown"))
            return self._framed("Report", "/report", view, main, live=False, status=503)
        night = kept.value
        main = await self._desk.source.aside(lambda: joined(spans, report_head(night), *report_sections(night)))
        return self._framed(f"{night.verdict}: the report", "/report", view, main, live=False)

    # What may be asked for

    async def _silences(self, request: Request) -> Response:
        view = await self._view(request)
        given = {name: value for name, value in request.query_params.items() if name in asked.FIELDS}
        return self._framed(
            "Silences", "/silences", view, silences.silences_page(view, given, done=_done(request)), live=False
        )

    async def _silence(self, request: Request) -> Response:
        if (refused := await self._acting(request)) is not None:
            return refused
        fields = await _form(request)
        try:
            command = asked.silence({name: value for name, value in fields.items() if name in asked.FIELDS}, now())
        except asked.Mistake as mistake:
            view = await self._view(request)
            main = silences.silences_page(view, fields, str(mistake))
            return self._framed("Silences", "/silences", view, main, live=False, status=400)
        await self._desk.source.leave(command)
        return _see("/silences", "silenced")

    async def _end(self, request: Request) -> Response:
        if (refused := await self._acting(request)) is not None:
            return refused
        if all(one.id != request.path_params["id"] for one in self._desk.source.silences):
            raise HTTPException(404, "There is no silence of this id: it is over.")
        await self._desk.source.leave(Command("unsilence", now(), target=request.path_params["id"]))
        return _see("/silences", "ended")

    async def _ack(self, request: Request) -> Response:
        if (refused := await self._acting(request)) is not None:
            return refused
        if all(one.id != request.path_params["id"] for one in the_seen(self._desk).decision.state.alerts.values()):
            raise HTTPException(404, "There is no alert of this id: it is over.")
        await self._desk.source.leave(Command("ack", now(), target=request.path_params["id"]))
        return _see("/", "acked")

    async def _check(self, request: Request) -> Response:
        if self._keeper.has_token and (refused := await self._acting(request)) is not None:
            return refused
        self._desk.source.ask_check()
        return _see("/", "asked")

    async def _acting(self, request: Request) -> Response | None:
        """None for who may act; else the way to the token, or why there is none."""
        if not self._keeper.has_token:
            raise HTTPException(403, silences.NO_TOKEN)
        if self._keeper.knows(request.headers):
            return None
        return RedirectResponse("/login?to=/silences" if request.url.path.startswith("/silences") else "/login", 303)

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return self._login_page(_local(request.query_params.get("to", "/")), "")
        fields = await _form(request)
        to = _local(fields.get("to", "/"))
        if not self._keeper.has_token:
            raise HTTPException(403, silences.NO_TOKEN)
        try:
            right = await self._keeper.guess(fields.get("token", ""))
        except TooManyGuesses:
            raise HTTPException(429, "Too many wrong tokens: come again in a moment.") from None
        if not right:
            return self._login_page(to, "That is not the token.", 401)
        answer = RedirectResponse(to, 303)
        secure = request.headers.get("origin", "").startswith("https:")
        answer.set_cookie(
            COOKIE, self._keeper.session(), SESSION_SECONDS, path="/", secure=secure, httponly=True, samesite="strict"
        )
        return answer

    def _login_page(self, to: str, mistake: str, status: int = 200) -> Response:
        main = silences.login_page(to, mistake, has_token=self._keeper.has_token)
        who = self._desk.source.settings.instance if self._is_open else "log in"
        return HTMLResponse(frame.framed("Log in", "", None, main, who=who, live=False), status)

    async def _logout(self, _: Request) -> Response:
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    # For programs

    async def _events(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        try:
            return EventStream(self._desk.hub, self._desk.hub.listen())  # type: ignore[return-value]
        except Full:
            return problem(503, "As many are listening as may.")

    async def _healthz(self, _: Request) -> Response:
        return health(self._desk)

    async def _metrics(self, _: Request) -> Response:
        raise HTTPException(404, "This version has no metrics.")

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            raise HTTPException(404, "There is no such file.")
        path, kind = _STATIC[name]
        if name not in self._static:
            self._static[name] = files("monitord.present").joinpath(path).read_bytes()
        return Response(self._static[name], headers={"content-type": kind, "cache-control": "no-cache"})

    # What goes wrong

    def _answering(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except asked.Mistake as mistake:
                return self._refused(request, 400, str(mistake))
            except Unavailable as error:
                return self._refused(request, 503, sentence(str(error)))

        return answer

    async def _http_problem(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
        told = {404: "There is nothing here.", 405: "That cannot be done here."}
        detail = error.detail if error.detail not in ("Not Found", "Method Not Allowed") else ""
        answer = self._refused(request, error.status_code, detail or told.get(error.status_code, "That did not work."))
        if error.headers:
            answer.headers.update(error.headers)
        return answer

    async def _fault(self, request: Request, _: Exception) -> Response:
        return self._refused(request, 500, "Something failed inside; the log says what. The watch goes on.")

    def _refused(self, request: Request, status: int, message: str) -> Response:
        if _is_for_programs(request.url.path):
            return problem(status, message)
        who = self._desk.source.settings.instance if self._is_open else "monitord"
        page = frame.framed(f"{status}", "", None, frame.notice(str(status), message), who=who, live=False)
        return HTMLResponse(page, status)


def _is_for_programs(path: str) -> bool:
    return path.startswith(("/api/", "/healthz", "/metrics", "/events", "/static/"))


async def _form(request: Request) -> dict[str, str]:
    try:
        return await form_of(request)
    except ValueError as error:
        raise HTTPException(413, str(error)) from None


def _see(where: str, done: str) -> Response:
    return RedirectResponse(f"{where}?{urlencode({'done': done})}", 303)


def _done(request: Request) -> str:
    return silences.DONE.get(request.query_params.get("done", ""), "")


def _local(to: str) -> str:
    """Where to go after a log-in: a page of this address, whatever was asked for."""
    return to if to in {address for address, _ in frame.PAGES} else "/"


def _to_login(request: Request) -> Response:
    to = _local(request.url.path)
    return RedirectResponse(f"/login?{urlencode({'to': to})}", 303)
