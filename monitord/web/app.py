"""The page as one app: its routes, who is let through to them, and its answers when something goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from monitord.config.listening import is_loopback
from monitord.core.humanize import sentence
from monitord.web import params, pings
from monitord.web.api import Api, Handler, Place, health, problem
from monitord.web.auth import TokenAuth, TooManyGuesses, bearer, password
from monitord.web.backend import BackendUnavailable
from monitord.web.middleware import BY_LINK, FAILED_INSIDE, SecurityMiddleware, host_of, host_of_url
from monitord.web.records import Records
from monitord.web.rendering import NO_TOKEN, Frame, rendered
from monitord.web.sse import EventStream, TooManyStreams

if TYPE_CHECKING:
    from monitord.web.forms import Forms

# Name -> where it lies within monitord.reporting, and what it is.
_STATIC: Final = {
    "report.css": ("monitord.reporting", "report.css", "text/css; charset=utf-8"),
    "page.css": ("monitord.web", "static/page.css", "text/css; charset=utf-8"),
    "live.js": ("monitord.web", "static/live.js", "text/javascript; charset=utf-8"),
}
# What anybody may read even where others can reach the page.
_HEALTH: Final = "/healthz"
_STREAM: Final = "/events"
# Whoever reports is asked there, and a link is a token.
_OPEN: Final = (_HEALTH, "/static/", "/login", pings.PLACE, BY_LINK)
_FOR_PROGRAMS: Final = ("/api/", _HEALTH, "/metrics", _STREAM, "/static/", pings.PLACE)
_WORDS: Final = {"Not Found": "There is nothing here.", "Method Not Allowed": "That cannot be done here."}

# More than this many requests at once are answered with 503; each is answered within so many seconds, but for streams.
MOST_REQUESTS: Final = 64
ANSWER_SECONDS: Final = 90.0


class Page:
    """`guess_seconds` is what a wrong token costs. By way of `public_url`, a proxy's, reading takes the token."""

    def __init__(
        self, records: Records, host: str, token: str | None, guess_seconds: float = 0.5, public_url: str | None = None
    ) -> None:
        self._records = records
        self._auth = TokenAuth(token, guess_seconds)
        self._is_open = is_loopback(host)
        self._public = host_of_url(public_url)
        self._files: dict[str, bytes] = {}
        self._answered_now = 0
        self._forms: Forms | None = None
        pages: tuple[tuple[str, str, Callable[[Forms], Handler]], ...] = (
            ("GET", "/", lambda forms: forms.showing.overview),
            ("GET", "/service/{name:path}", lambda forms: forms.showing.service),
            ("GET", "/alerts", lambda forms: forms.showing.alerts),
            ("GET", "/alerts/{id}", lambda forms: forms.showing.alert),
            ("GET", "/report", lambda forms: forms.showing.report),
            ("GET", "/silences", lambda forms: forms.silences),
            ("POST", "/silences", lambda forms: forms.silence),
            ("POST", "/silences/{id}/end", lambda forms: partial(forms.end, "unsilence")),
            ("POST", "/alerts/{id}/ack", lambda forms: partial(forms.end, "ack")),
            ("POST", "/check", lambda forms: forms.check),
            ("GET", "/login", lambda forms: forms.login),
            ("POST", "/login", lambda forms: forms.login),
            ("POST", "/logout", lambda forms: forms.logout),
            ("GET", f"{BY_LINK}{{token}}", lambda forms: forms.by_link.show),
            ("POST", f"{BY_LINK}{{token}}", lambda forms: forms.by_link.acknowledge),
        )
        places: tuple[Place, ...] = (
            *((method, path, self._shown(handler)) for method, path, handler in pages),
            ("GET", _STREAM, self._events),
            ("GET", _HEALTH, self._healthz),
            ("GET", "/metrics", self._metrics),
            ("GET", "/static/{name}", self._file),
            *Api(records, self._permit).places(),
            *pings.Pings(records.source, self._permit_report).places(),
        )
        self.routes = [Route(path, handler, methods=[method]) for method, path, handler in places]
        answered = (HTTPException, params.ParameterError, BackendUnavailable, Exception)
        app = Starlette(routes=self.routes, exception_handlers=dict.fromkeys(answered, self._failed))
        app.router.redirect_slashes = False
        self.app: ASGIApp = SecurityMiddleware(
            self._gate(app), host, self._refused, records.source.fault, {pings.PLACE: pings.LARGEST_BODY}, self._public
        )

    # Who is let through

    def _gate(self, app: ASGIApp) -> ASGIApp:
        """Where others can reach the page, reading it takes the token, too."""

        async def gate(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            path = path_of(request)
            if path == _HEALTH:  # whoever asks whether monitoring goes on is answered, however many ask for pages
                await app(scope, receive, send)
                return
            if self._answered_now >= MOST_REQUESTS:
                await self._refused(request, 503, "Too many ask at once: come again in a moment.")(scope, receive, send)
                return
            self._answered_now += 1
            try:
                async with asyncio.timeout(None if path == _STREAM else ANSWER_SECONDS):
                    answer: ASGIApp = app
                    if not (self._may_read(request) or _under(path, _OPEN) or self._auth.knows(request.headers)):
                        answer = await (self._unknown(request) if _under(path, _FOR_PROGRAMS) else self._to_login(path))
                    await answer(scope, receive, send)
            finally:
                self._answered_now -= 1

        return gate

    def _may_read(self, request: Request) -> bool:
        """Whether reading takes no token: only this machine reaches the page, and no proxy lets others in."""
        return self._is_open and (not self._public or host_of(request.headers) != self._public)

    async def _unknown(self, request: Request) -> Response:
        try:
            await self._know(request)
        except HTTPException as found:
            return problem(found.status_code, found.detail)
        return problem(401, "Show the token again.")  # it was changed between two checks

    async def _to_login(self, path: str) -> Response:
        await self._loaded()
        from monitord.web.forms import login_address

        return RedirectResponse(login_address(path), 303)

    async def _permit(self, request: Request) -> None:
        """Let through who may act: with the token; and where there is none, who only asks for a check."""
        if self._auth.has_token:
            await self._know(request)
        elif path_of(request) != "/api/check":
            raise HTTPException(403, NO_TOKEN)

    async def _permit_report(self, request: Request) -> None:
        """Let through who may report: with the token, where there is one; it may stand in the address as a password."""
        if self._auth.has_token:
            await self._know(request, bearer(request.headers) or password(request.headers))

    async def _know(self, request: Request, shown: str = "") -> None:
        if self._auth.knows(request.headers):
            return
        if found := shown or bearer(request.headers):
            try:
                if await self._auth.guess(found):
                    return
            except TooManyGuesses:
                raise HTTPException(429, "Too many wrong tokens: come again in a moment.") from None
            raise HTTPException(401, "That is not the token.")
        raise HTTPException(401, "This needs the token: Authorization: Bearer …")

    # For people

    async def _loaded(self) -> Forms:
        """The pages: imported, with their templates, for the first who wants to see one; programs need none of it."""
        if self._forms is None:
            self._forms = await self._records.source.aside(partial(_imported, self._records, self._auth))
        return self._forms

    def _shown(self, handler: Callable[[Forms], Handler]) -> Handler:
        async def shown(request: Request) -> Response:
            return await handler(await self._loaded())(request)

        return shown

    # For programs

    async def _events(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        try:
            return EventStream(self._records.hub, self._records.hub.listen())  # type: ignore[return-value] # answers as one
        except TooManyStreams:
            return problem(503, "As many are listening as may.")

    async def _healthz(self, _: Request) -> Response:
        return health(self._records)

    async def _metrics(self, _: Request) -> Response:
        body, kind = await self._records.source.metrics()
        return Response(body, headers={"content-type": kind})

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            raise HTTPException(404, "There is no such file.")
        package, path, kind = _STATIC[name]
        if name not in self._files:
            self._files[name] = files(package).joinpath(path).read_bytes()
        return Response(self._files[name], headers={"content-type": kind, "cache-control": "no-cache"})

    # What goes wrong

    async def _failed(self, request: Request, error: Exception) -> Response:
        match error:
            case HTTPException():
                answer = self._refused(request, error.status_code, _WORDS.get(error.detail, error.detail))
                answer.headers.update(error.headers or {})
                return answer
            case params.ParameterError():
                return self._refused(request, 400, str(error))
            case BackendUnavailable():
                return self._refused(request, 503, sentence(str(error)))
            case _:
                return self._refused(request, 500, FAILED_INSIDE)

    def _refused(self, request: Request, status: int, message: str) -> Response:
        if _under(path_of(request), _FOR_PROGRAMS):
            return problem(status, message)
        return HTMLResponse(rendered("message.html", Frame(str(status)), title=str(status), message=message), status)


def _imported(records: Records, auth: TokenAuth) -> Forms:
    from monitord.web.forms import Forms
    from monitord.web.pages import PageViews
    from monitord.web.rendering import load

    load()
    return Forms(PageViews(records, auth))


def path_of(request: Request) -> str:
    """The path that is routed by. Not `request.url`: that is built from the Host header, which anybody may write."""
    path: str = request.scope["path"]
    return path


def _under(path: str, places: tuple[str, ...]) -> bool:
    """Whether a path is one of these, or lies in one that ends with a slash."""
    return any(path == place or (place.endswith("/") and path.startswith(place)) for place in places)
