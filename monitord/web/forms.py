"""The forms of the page: to show the token, to silence and to end it, to acknowledge, to ask for a check."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitord.core.model import Command
from monitord.web import params, silences
from monitord.web.api import the_seen
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

    async def silences(self, request: Request) -> Response:
        view = await self.showing.view(request)
        given = {name: value for name, value in request.query_params.items() if name in params.FIELDS}
        page = silences.silences_page(view, given, done=done_of(request))
        return self.showing.answer("silences.html", "Silences", "/silences", view, page)

    async def silence(self, request: Request) -> Response:
        """A form with a mistake in it comes back with what was in it."""
        if (elsewhere := self._elsewhere(request, "/silences")) is not None:
            return elsewhere
        fields = await _form(request)
        try:
            command = params.silence({name: value for name, value in fields.items() if name in params.FIELDS}, now())
        except params.ParameterError as mistake:
            view = await self.showing.view(request)
            page = silences.silences_page(view, fields, str(mistake))
            return self.showing.answer("silences.html", "Silences", "/silences", view, page, status=400)
        await self._source.leave(command)
        return _see("/silences", "silence")

    async def end(self, request: Request) -> Response:
        if (elsewhere := self._elsewhere(request, "/silences")) is not None:
            return elsewhere
        target = _known(request, "silence", (one.id for one in self._source.silences))
        await self._source.leave(Command("unsilence", now(), target=target))
        return _see("/silences", "unsilence")

    async def ack(self, request: Request) -> Response:
        if (elsewhere := self._elsewhere(request, "/")) is not None:
            return elsewhere
        target = _known(request, "alert", the_seen(self.showing.records).confirmed)
        await self._source.leave(Command("ack", now(), target=target))
        return _see("/", "ack")

    async def check(self, request: Request) -> Response:
        if self._auth.has_token and (elsewhere := self._elsewhere(request, "/")) is not None:
            return elsewhere
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

    def _elsewhere(self, request: Request, to: str) -> Response | None:
        """None for who may act; else the way to where the token is shown."""
        if not self._auth.has_token:
            raise HTTPException(403, NO_TOKEN)
        return None if self._auth.knows(request.headers) else to_login(to)


def to_login(to: str) -> Response:
    return RedirectResponse(f"/login?{urlencode({'to': local(to)})}", 303)


def local(to: str) -> str:
    """A page of this address, whatever was asked for."""
    return to if to in {address for address, _ in PAGES} or _ALERT.fullmatch(to) else "/"


def _known(request: Request, what: str, ids: Iterable[str]) -> str:
    target: str = request.path_params["id"]
    if target not in set(ids):
        raise HTTPException(404, f"There is no {what} of this id: it is over.")
    return target


async def _form(request: Request) -> dict[str, str]:
    try:
        return await form_of(request)
    except ValueError as error:
        raise HTTPException(413, str(error)) from None


def _see(where: str, done: str) -> Response:
    return RedirectResponse(f"{where}?{urlencode({'done': done})}", 303)
