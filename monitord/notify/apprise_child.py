"""The process that loads Apprise: one question on stdin, one line of JSON on stdout, and it is gone.

Run as `python -m monitord.notify.apprise_child`. What Apprise says of a failure is in its log; of that, one line goes
back, without any part of the address.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

from monitord.masking import MASK, mask, mask_address

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
_UNKNOWN_ADDRESS: Final = "Apprise does not understand this address: the service or a part of it is wrong"


class _Heard(logging.Handler):
    """What Apprise says, as (level, text)."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it; the oldest of too many goes."""
        self.lines.append((record.levelno, record.getMessage()))
        del self.lines[:-_MOST_LINES]


def main() -> int:
    """Answer what is asked on stdin."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what a plugin prints is no part of the answer
        with suppress(OSError):
            os.nice(_NICE)  # the fleet that is watched comes first
        try:
            answer = _answer(json.loads(sys.stdin.buffer.read()))
        except ImportError:
            answer = {"ok": False, "kind": "missing", "error": 'Apprise is not there: pip install "monitord[apprise]"'}
        except Exception as error:  # noqa: BLE001 - a plugin that breaks is that message's failure
            # The type only: its text may hold the address.
            answer = {"ok": False, "kind": "internal", "error": f"Apprise broke: {type(error).__name__}"}
        out.write(json.dumps(answer).encode() + b"\n")
    return 0


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    import apprise  # here, so that its absence is an answer

    heard = _Heard()
    logger = logging.getLogger("apprise")
    logger.addHandler(heard)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    # What is longer than a service takes comes in several pieces, where the address says nothing else.
    apprise.NotifyBase.overflow_mode = apprise.OverflowMode.SPLIT
    url, sender = question["url"], apprise.Apprise()
    if not sender.add(url):
        return {"ok": False, "kind": "protocol", "error": _UNKNOWN_ADDRESS}
    for note in question["notes"]:
        heard.lines.clear()
        taken = sender.notify(
            body=note["body"], title=note["title"], notify_type=note["type"], body_format=apprise.NotifyFormat.TEXT
        )
        if not taken:
            return {"ok": False} | _reason(heard.lines, url)
    return {"ok": True}


def _reason(lines: Sequence[tuple[int, str]], url: str) -> dict[str, str]:
    """Kind and sentence of a failure, from what was heard. Details help to tell the kind, and are never quoted."""
    spoken = [text for level, text in lines if level >= logging.WARNING]
    kind = next((kind for pattern, kind in _KINDS if any(_says(pattern, text) for text in spoken)), "refused")
    if kind == "refused" and not any(_says(r"error=\d", text) for text in spoken):
        details = [text for _, text in lines if "exception" in text.lower()]
        kind = next((kind for pattern, kind in _KINDS if any(_says(pattern, text) for text in details)), kind)
    said = without(spoken[-1], url) if spoken else "it did not say why"
    return {"kind": kind, "error": f"{mask_address(url).partition(':')[0]} did not take it: {said.rstrip('.')}"}


def _says(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


def without(text: str, url: str) -> str:
    """A text as one short line without any part of the address but its scheme, however it is written."""
    rest = url.partition("://")[2]
    for form in sorted(_forms(rest), key=len, reverse=True):
        # Short ones as whole words only: a chat named "1" must not eat every digit.
        pattern = re.escape(form) if len(form) > 3 else rf"(?<!\w){re.escape(form)}(?!\w)"
        text = re.sub(pattern, MASK, text, flags=re.IGNORECASE)
    line = "".join(c if c.isprintable() else " " for c in mask(text))
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"


def _forms(rest: str) -> Iterable[str]:
    """The address as a whole and in parts, as they are written and as they are meant."""
    forms: set[str] = set()
    for text in (rest, unquote(rest), unquote_plus(rest)):
        forms |= {text, *_PART.findall(text), *re.split(r"[/?#&=:@]", text)}
    return (form for form in forms if form.strip())


if __name__ == "__main__":
    sys.exit(main())
