"""What must never be shown: passwords in addresses, tokens. One place, for settings, logs and errors alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"


class Secret:
    """A text that is shown to nobody who does not ask for it by `get_secret_value`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"Secret('{'*' * 10 if self._text else ''}')"

    def __str__(self) -> str:
        return "*" * 10 if self._text else ""


def revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


# What parts an address after its host; and what is at least so long is a key rather than a word.
_PART: Final = re.compile(r"[/?#&=;,:]")
_SHORTEST_PART: Final = 16

# scheme://user:password@host, wherever it stands in a text. A password that was not percent-encoded may hold slashes
# and @ signs: rather some of the host is lost than some of the password shown. In two steps, each of which reads a text
# once: one expression for both would begin anew at every `a://:` and read to the end each time.
_RUN: Final = re.compile(r"\S++")
_USER: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}+://[^\s/?#:@]*+:")
_WORDS: Final = r"(?:password|passwd|passphrase|pwd|token|secret|api[_-]?key|access[_-]?key)"
# Without a way back (`*+`): spaces without end are read once. A quote that is never closed reaches to the end.
_NAMED: Final = re.compile(
    rf"""({_WORDS}(?:["']?\s*+=|["']\s*+:)\s*+|\b{_WORDS}\s*+:\s*+|"""
    r"""\bauthorization["']?\s*+[:=]\s*+["']?(?:(?:bearer|basic)\s++)?+)"""
    r"""("[^"]*+"?+|'[^']*+'?+|[^\s&;,"'}\])]++)""",
    re.IGNORECASE,
)

# A token that acknowledges an alert (monitord/storage/ack_tokens.py).
_ACK: Final = re.compile(r"(/a/)[A-Za-z0-9_-]{1,64}\.[0-9a-f]{1,16}\.[A-Za-z0-9_-]++")


def mask(text: str) -> str:
    """The text with every password of an address and every `token=...` in it replaced by ***."""
    if "/a/" in text:
        text = _ACK.sub(rf"\1{MASK}", text)
    if ":" not in text and "=" not in text:
        return text
    parts, done = [], 0
    for begin, end in _passwords(text):
        parts += [text[done:begin], MASK]
        done = end
    return _NAMED.sub(rf"\1{MASK}", "".join((*parts, text[done:])))


def _passwords(text: str) -> Iterator[tuple[int, int]]:
    """Where the passwords of addresses begin and end: up to the last @ before a space."""
    if "@" not in text:
        return
    for run in _RUN.finditer(text):
        last = text.rfind("@", run.start(), run.end())
        if last >= 0 and (user := _USER.search(text, run.start(), last)) is not None:
            yield user.end(), last


def mask_address(url: str) -> str:
    """A notification address: all but its scheme may be a secret (bot tokens stand in paths)."""
    scheme, separator, _ = url.partition("://")
    return f"{scheme}://{MASK}" if separator else MASK


def parts_of(url: str) -> Iterator[str]:
    """The parts of a notification address that may each be a secret by itself, as they stand there and decoded.

    The password always; a user without one, what is in the path, the query and the fragment where it is no word.
    """
    rest = url.partition("://")[2]
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    userinfo, at, _ = place.rpartition("@")
    user, colon, password = userinfo.partition(":")
    parts = [password] if colon else []
    if at and not colon and not user.isalpha():
        parts.append(user)
    parts += [part for part in (user, *_PART.split(rest[len(place) :])) if len(part) >= _SHORTEST_PART]
    for part in parts:
        yield part
        yield unquote(part)


def asked_of(url: str) -> Iterator[str]:
    """The parts of an address that may each be a secret though its host is none: a login, a key in path or query."""
    yield from parts_of(url)
    yield from secrets_in(url)
    rest = url.partition("://")[2]
    path = rest[len(re.split(r"[/?#]", rest, maxsplit=1)[0]) :]
    if len(path) > 1:
        yield path


def secrets_in(text: str) -> Iterator[str]:
    """What `mask` would hide in the text, as it stands there and percent-decoded."""
    found = [text[begin:end] for begin, end in _passwords(text)]
    for secret in (*found, *(match[2] for match in _NAMED.finditer(text))):
        if secret:
            yield secret
            yield unquote(secret)
