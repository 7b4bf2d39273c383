"""The forms of the page: to show the token, to silence and to end it, to acknowledge, to ask for a check."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitord.web import params, silences
from monitord.web.acks import Acks
from monitord.web.api import End, leave_end
from monitord.web.auth import COOKIE, SESSION_SECONDS, TooManyGuesses
from monitord.web.middleware import form_of
from monitord.web.pages import PageViews, done_of
from monitord.web.records import now
from monitord.web.rendering import NO_TOKEN, PAGES, Frame, rendered

_ALERT: Final = re.compile(r"/alerts/[A-Za-z0-9]{1,64}")


class Forms:
    def __init__(self, showing: PageViews) -> None:
        self.showing = showing
        self._auth = showing.auth
        self._source = showing.records.source
        self.by_link = Acks(showing.records, showing.auth)

    async def silences(self, request: Request) -> Response:
        view = await self.showing.view(request)
        given = {name: value for name, value in request.query_params.items() if name in params.FIELDS}
        page = silences.silences_page(view, given, done=done_of(request))
        return self.showing.answer("silences.html", "Silences", "/silences", view, page)

    async def silence(self, request: Request) -> Response:
        """A form with a mistake in it comes back with what was in it."""
        self._permit(request, "/silences")
        fields = await _form(request)
        try:
            command = params.silence({name: value for name, value in fields.items() if name in params.FIELDS}, now())
        except params.ParameterError as mistake:
            view = await self.showing.view(request)
            page = silences.silences_page(view, fields, str(mistake))
            return self.showing.answer("silences.html", "Silences", "/silences", view, page, status=400)
        await self._source.leave(command)
        return _see("/silences", "silence")

    async def end(self, kind: End, request: Request) -> Response:
        place = "/silences" if kind == "unsilence" else "/"
        self._permit(request, place)
        await leave_end(kind, request, self.showing.records)
        return _see(place, kind)

    async def check(self, request: Request) -> Response:
        if self._auth.has_token:
            self._permit(request, "/")
        self._source.ask_check()
        return _see("/", "check")

    async def login(self, request: Request) -> Response:
        if request.method != "POST":
            return self._login_page(local(request.query_params.get("to", "/")), "")
        fields = await _form(request)
        to = local(fields.get("to", "/"))
        if not self._auth.has_token:
            raise HTTPException(403, NO_TOKEN)
        try:
            right = await self._auth.guess(fields.get("token", ""))
        except TooManyGuesses:
            raise HTTPException(429, "Too many wrong tokens: come again in a moment.") from None
        if not right:
            return self._login_page(to, "That is not the token.", 401)
        answer = RedirectResponse(to, 303)
        secure = request.headers.get("origin", "").startswith("https:")
        answer.set_cookie(
            COOKIE, self._auth.session(), SESSION_SECONDS, path="/", secure=secure, httponly=True, samesite="strict"
        )
        return answer

    async def logout(self, _: Request) -> Response:
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    def _login_page(self, to: str, mistake: str, status: int = 200) -> Response:
        # Nobody has shown the token yet: not even whose page it is.
        page = rendered("login.html", Frame("Log in"), to=to, mistake=mistake, has_token=self._auth.has_token)
        return HTMLResponse(page, status)

    def _permit(self, request: Request, to: str) -> None:
        """Let through who may act; all others are sent to where the token is shown, and from there to `to`."""
        if not self._auth.has_token:
            raise HTTPException(403, NO_TOKEN)
        if not self._auth.knows(request.headers):
            raise HTTPException(303, headers={"location": login_address(to)})


def login_address(to: str) -> str:
    return f"/login?{urlencode({'to': local(to)})}"


def local(to: str) -> str:
    """A page of this address, whatever was asked for."""
    return to if to in {address for address, _ in PAGES} or _ALERT.fullmatch(to) else "/"


async def _form(request: Request) -> dict[str, str]:
    try:
        return await form_of(request)
    except ValueError as error:
        raise HTTPException(413, str(error)) from None


def _see(where: str, done: str) -> Response:
    return RedirectResponse(f"{where}?{urlencode({'done': done})}", 303)
