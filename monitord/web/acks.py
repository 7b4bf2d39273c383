"""Where an alert is acknowledged by a one-time token of a message: GET shows a button, POST acts.

Whoever holds the token may do this one thing, without the token of the page. Previews of links ask by GET, which does
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from monitord.core.model import Alert, Command
from monitord.web.api import the_seen
from monitord.web.auth import TokenAuth, TooManyGuesses
from monitord.web.records import Records, now
from monitord.web.rendering import Frame, rendered

# The token stands in the address: it must not be told to whatever the page links to.
_HEADERS: Final = {"referrer-policy": "no-referrer"}
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class AckPage:
    """The alert that may be acknowledged; or, without a button, what there is to say."""

    title: str
    message: str
    asks: bool = False


class Acks:
    def __init__(self, records: Records, auth: TokenAuth) -> None:
        self._records = records
        self._auth = auth

    async def show(self, request: Request) -> Response:
        alert, page, status = await self._alert(request)
        if alert is not None:
            page = AckPage(f"{alert.rule}: {alert.subject}", alert.finding.summary, asks=True)
        return _answer(page, status)

    async def acknowledge(self, request: Request) -> Response:
        alert, page, status = await self._alert(request)
        if alert is not None:
            source = self._records.source
            await source.leave(Command("ack", now(), target=alert.id))
            await source.use_ack(request.path_params["token"])
            message = f"{alert.rule} of {alert.subject} is acknowledged with the next check: it fires on, unreminded."
            page = AckPage("Acknowledged", message)
        return _answer(page, status)

    async def _alert(self, request: Request) -> tuple[Alert | None, AckPage, int]:
        written = request.path_params["token"]
        standing, alert_id = await self._records.source.ack_standing(written)
        if standing == "unknown":
            try:
                await self._auth.wrong()
            except TooManyGuesses:
                raise HTTPException(429, "Too many wrong links: come again in a moment.") from None
            raise HTTPException(404, "This link acknowledges nothing: is it whole?")
        alert = the_seen(self._records).confirmed.get(alert_id)
        if alert is None:
            return None, AckPage("It is over", "This alert has ended: there is nothing to acknowledge."), _GONE
        name = f"{alert.rule} of {alert.subject}"
        if alert.acked_at is not None:
            return None, AckPage("Acknowledged", f"{name} has been acknowledged already."), 200
        if standing == "used":
            return None, AckPage("Used", f"This link was used already; {name} needs a newer message's."), _GONE
        if standing == "expired":
            return None, AckPage("Too old", f"This link has expired; {name} needs a newer message's."), _GONE
        return alert, AckPage("", ""), 200


def _answer(page: AckPage, status: int) -> Response:
    # Whose page it is and how the fleet does is for who has shown the token.
    return HTMLResponse(rendered("ack.html", Frame(page.title), page=page), status, headers=_HEADERS)
