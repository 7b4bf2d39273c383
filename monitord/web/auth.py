"""Who may do what: the token, in a header or behind a session's cookie, and what becomes of guesses."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Final

COOKIE: Final = "monitord_session"
SESSION_SECONDS: Final = 12 * 3600
VARIABLE: Final = "MONITORD_HTTP__TOKEN"
# A wrong guess costs so long, and so many may be waiting for that at once.
_GUESS_SECONDS: Final = 0.5
_GUESSES_AT_ONCE: Final = 4
_LONGEST: Final = 4096


class TooManyGuesses(Exception):  # noqa: N818 - it names a state
    """Others are guessing, too: come again later."""


class TokenAuth:
    """Knows the token. A session is the time of its end and a signature by the token: nothing of it is kept."""

    def __init__(self, token: str | None, guess_seconds: float = _GUESS_SECONDS) -> None:
        """`token` None: nobody can do anything, and reading is free."""
        self._token = token.encode() if token else None
        self._guess_seconds = guess_seconds
        self._guessing = 0

    @property
    def has_token(self) -> bool:
        return self._token is not None

    def knows(self, headers: Mapping[str, str]) -> bool:
        return self._is_token(bearer(headers)) or self._is_session(_cookie(headers))

    async def guess(self, token: str) -> bool:
        """Whether it is the token; a wrong one is answered slowly. TooManyGuesses where too many are."""
        if self._is_token(token):
            return True
        await self.wrong()
        return False

    async def wrong(self) -> None:
        """Let whoever guessed wrong wait. TooManyGuesses where too many do."""
        if self._guessing >= _GUESSES_AT_ONCE:
            raise TooManyGuesses
        self._guessing += 1
        try:
            await asyncio.sleep(self._guess_seconds)
        finally:
            self._guessing -= 1

    def session(self) -> str:
        """Good for twelve hours or until the token changes."""
        ends = str(int(time.time()) + SESSION_SECONDS)
        return f"{ends}.{self._signed(ends)}"

    def _is_token(self, found: str) -> bool:
        if self._token is None or not found or len(found) > _LONGEST:
            return False
        # Digests are of one length: the time it takes reveals nothing of the token's.
        mine, theirs = (hashlib.sha256(text).digest() for text in (self._token, found.encode("utf-8", "replace")))
        return hmac.compare_digest(mine, theirs)

    def _is_session(self, cookie: str) -> bool:
        ends, _, signature = cookie.partition(".")
        if self._token is None or not (ends.isascii() and ends.isdecimal()) or len(ends) > 12:
            return False
        signed = self._signed(ends).encode()
        return hmac.compare_digest(signed, signature.encode("utf-8", "replace")) and time.time() < int(ends)

    def _signed(self, ends: str) -> str:
        return hmac.new(self._token or b"", f"monitord session until {ends}".encode(), hashlib.sha256).hexdigest()


def bearer(headers: Mapping[str, str]) -> str:
    scheme, _, found = headers.get("authorization", "").partition(" ")
    return found.strip() if scheme.lower() == "bearer" else ""


def password(headers: Mapping[str, str]) -> str:
    """The password of HTTP Basic, or its user: for clients that are given an address and nothing else. "": neither."""
    scheme, _, found = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or len(found) > _LONGEST:
        return ""
    try:
        user, _, secret = base64.b64decode(found.strip(), validate=True).decode().partition(":")
    except ValueError:
        return ""
    return secret or user


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")[:_LONGEST]).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value
