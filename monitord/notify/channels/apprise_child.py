"""The process that loads Apprise: one question on stdin, one line of JSON on stdout, and it is gone.

What Apprise reports of a failure is in its log; of that, one line goes back, without any part of the address.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlencode, urlsplit, urlunsplit

from monitord.core.humanize import short
from monitord.masking import MASK, mask, mask_address
from monitord.notify.channels.apprise_services import (
    IdentityParameters,
    has_button,
    laid_out,
    taken,
    with_button,
    with_parameters,
)
from monitord.notify.channels.base import retry_after

_NICE: Final = 5
_LONGEST_REASON: Final = 200
_MOST_LINES: Final = 200
_PART: Final = re.compile(r"[^\s/?#&=:@,;+%]+")
# What is known of a failure -> its kind. The first that is found, in this order, counts.
_KINDS: Final = (
    (r"error=40[13]\b|unauthori[sz]ed|forbidden|authentication", "auth"),
    (r"error=(?:404|410)\b", "missing"),
    (r"certificate|\bSSL", "tls"),
    (r"name or service not known|name resolution|nodename nor servname|getaddrinfo|NameResolution", "dns"),
    (r"timed? ?out", "timeout"),
    (r"connection|refused|error=\d", "refused"),
)
# What opens, or ends, an incident.
_INCIDENTS: Final = ("firing", "resolved")
# What an address of something that was opened ends with, but for its own.
_VERBS: Final = ("close", "acknowledge", "notes")
_UNKNOWN_ADDRESS: Final = "Apprise does not understand this address: the service or a part of it is wrong"


class _Heard(logging.Handler):
    """What Apprise says, as (level, text)."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelno, record.getMessage()))
        del self.lines[:-_MOST_LINES]


class _Calls:
    """The requests that a plugin makes for one message, and what was answered to the last of them."""

    def __init__(self) -> None:
        self._identity = self._button = ""
        self.many = 0
        self.status: int | None = None
        self.retry_after: float | None = None

    def begin(self, identity: str, button: str = "") -> None:
        """A message of this identity ("": none that the service takes), with a button that opens an address."""
        self._identity, self._button = identity, button
        self.many, self.status, self.retry_after = 0, None, None

    def listen(self, session: Any) -> None:
        """Observes every request that `requests` sends. What is requested is not kept."""
        send = session.send

        def heard(own: Any, request: Any, **settings: object) -> object:
            request.url = by_alias(request.url, self._identity)
            if self._button and (content := with_button(request.body, self._button)) is not None:
                request.prepare_body(content, None)
            self.many += 1
            response = send(own, request, **settings)
            self.status = response.status_code
            self.retry_after = retry_after(response.status_code, response.headers)
            return response

        session.send = heard


def by_alias(url: str, identity: str) -> str:
    """The address of something that was opened, by the alert's identity: the alias that it was opened with.

    Apprise remembers the id of the request that opened an alert, and asks for the alert of that id: there is none.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if not identity or query.get("identifierType") != "id":
        return url
    segments = parts.path.split("/")
    place = -1 if segments[-1] not in _VERBS else -2
    segments[place] = quote(identity, safe="")
    return urlunsplit(parts._replace(path="/".join(segments), query=urlencode(query | {"identifierType": "alias"})))


def main() -> int:
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what a plugin prints is no part of the answer
        with suppress(OSError):
            os.nice(_NICE)  # the fleet that is watched comes first
        try:
            question = json.loads(sys.stdin.buffer.read())
            with ExitStack() as stack:
                if not question.get("store"):
                    own = TemporaryDirectory(prefix="monitord-apprise-", ignore_cleanup_errors=True)
                    question["store"] = stack.enter_context(own)
                answer = _answer(question)
        except ImportError:
            answer = {"ok": False, "kind": "missing", "error": 'Apprise is not there: pip install "monitord[apprise]"'}
        except Exception as error:  # noqa: BLE001 - a plugin that breaks is that message's failure
            # The type only: its text may hold the address.
            answer = {"ok": False, "kind": "internal", "error": f"Apprise broke: {type(error).__name__}"}
        out.write(json.dumps(answer).encode() + b"\n")
    return 0


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    import apprise  # here, so that its absence is an answer
    import requests

    heard, calls = _Heard(), _Calls()
    logger = logging.getLogger("apprise")
    logger.addHandler(heard)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    # What is longer than a service takes comes in several pieces, where the address says nothing else.
    apprise.NotifyBase.overflow_mode = apprise.OverflowMode.SPLIT
    calls.listen(requests.Session)
    url = question["url"]
    # Where services remember, from one message to the next, what they have opened.
    asset = apprise.AppriseAsset(storage_path=question["store"], storage_mode=apprise.PersistentStoreMode.FLUSH)
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        return {"ok": False, "kind": "protocol", "error": _UNKNOWN_ADDRESS}
    takes = taken(service.template_args, url)
    if question.get("describe"):
        known = bool(takes.acknowledges)
        return {"ok": True, "closes": takes.closes, "incidents": takes.incidents, "acknowledges": known}
    for note in _notes(question["notes"], takes):
        action = takes.acknowledges if note["kind"] == "acknowledged" else ""
        heard.lines.clear()
        calls.begin(note["identity"] if takes.names else "", note["ack"] if has_button(url, note["ack"]) else "")
        sender = apprise.Apprise(asset=asset)
        title, body, extra = laid_out(note, service.template_args, url, service.body_maxlen, service.title_maxlen)
        address = with_parameters(url, takes.parameters(note["identity"], action) | extra)
        if not sender.add(address):
            return {"ok": False, "kind": "protocol", "error": _UNKNOWN_ADDRESS}
        is_taken = sender.notify(
            body=body, title=title, notify_type=note["type"], body_format=apprise.NotifyFormat.TEXT
        )
        if not is_taken:
            why = _reason(heard.lines, address, note["ack"])
            return {"ok": False, "status": calls.status, "retry_after": calls.retry_after} | why
        by_http = hasattr(sys.modules.get(type(service).__module__), "requests")
        if note["kind"] == "resolved" and takes.incidents and not calls.many and by_http:
            scheme = mask_address(url).partition(":")[0]
            error = f"{scheme} sent nothing: it does not know what was opened for this alert, and cannot close it"
            return {"ok": False, "kind": "missing", "error": error, "final": True}
    return {"ok": True}


def _notes(notes: Iterable[dict[str, Any]], takes: IdentityParameters) -> Iterator[dict[str, Any]]:
    """What is to be sent. Where a message opens an incident, each alert has its own, and what has no end opens none."""
    for note in notes:
        if not takes.incidents:
            yield note
        elif note["kind"] == "digest":
            # What is over was perhaps never opened there, and closing that does no harm.
            last = {part["identity"]: part for part in note["parts"] if part["kind"] in _INCIDENTS}
            yield from last.values()
        elif note["kind"] in _INCIDENTS or (note["kind"] == "acknowledged" and takes.acknowledges):
            yield note
        elif note["kind"] == "test":  # shown, and closed at once
            yield from (note, note | {"type": "success"})


def _reason(lines: Sequence[tuple[int, str]], url: str, ack: str = "") -> dict[str, str]:
    """Kind and sentence of a failure, from what was logged. Details help to classify it, and are never quoted."""
    spoken = [text for level, text in lines if level >= logging.WARNING]
    kind = next((kind for pattern, kind in _KINDS if any(_says(pattern, text) for text in spoken)), "refused")
    if kind == "refused" and not any(_says(r"error=\d", text) for text in spoken):
        details = [text for _, text in lines if "exception" in text.lower()]
        kind = next((kind for pattern, kind in _KINDS if any(_says(pattern, text) for text in details)), kind)
    spoken = [text.replace(ack, MASK) if ack else text for text in spoken]
    why = without(spoken[-1], url) if spoken else "it did not say why"
    return {"kind": kind, "error": f"{mask_address(url).partition(':')[0]} did not accept it: {why.rstrip('.')}"}


def _says(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


def without(text: str, url: str) -> str:
    """A text as one short line without any part of the address but its scheme, however it is written."""
    rest = url.partition("://")[2]
    for form in sorted(_forms(rest), key=len, reverse=True):
        # Short ones as whole words only: a chat named "1" must not eat every digit.
        pattern = re.escape(form) if len(form) > 3 else rf"(?<!\w){re.escape(form)}(?!\w)"
        text = re.sub(pattern, MASK, text, flags=re.IGNORECASE)
    return short("".join(c if c.isprintable() else " " for c in mask(text)), _LONGEST_REASON)


def _forms(rest: str) -> Iterable[str]:
    """The address as a whole and in parts, as they are written and as they are meant."""
    forms: set[str] = set()
    for text in (rest, unquote(rest), unquote_plus(rest)):
        forms |= {text, *_PART.findall(text), *re.split(r"[/?#&=:@]", text)}
    return (form for form in forms if form.strip())


if __name__ == "__main__":
    sys.exit(main())
