"""Apprise, for its hundred services: in a child process that lives for one message, as it is heavy, and news is rare.

The child is asked through its stdin: what stands in arguments or in the environment, everybody on the machine can see.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final, cast, get_args

from monitord.core import humanize
from monitord.core.model import Kind
from monitord.notify.channels.base import DeliveryPolicy, SendError, receiver_of
from monitord.notify.message import Message

DEADLINE_SECONDS: Final = 30.0
# The child's own share of that, so that there is time to end it and to say so.
_CHILD_SECONDS: Final = 27.0
_REAP_SECONDS: Final = 2.0
_LONGEST_TITLE: Final = 200
_LONGEST_BODY: Final = 10_000
# A message that is so much later than its event has a note of it.
_LATE_SECONDS: Final = 120.0
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_KEPT: Final = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PYTHONPATH"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
    | {*_PROXIES, *map(str.lower, _PROXIES)}
)


class Apprise:
    """Notifies one Apprise address, of which all but its scheme may be a secret.

    `store`: the directory in which services remember what they have opened (None: until they are done).
    """

    def __init__(self, url: str, name: str, store: Path | None = None) -> None:
        self.name = name
        self._store = None if store is None else str(store)
        self.policy = DeliveryPolicy(deadline=DEADLINE_SECONDS, receiver=receiver_of(url))
        self._url = url

    async def send(self, messages: Sequence[Message], now: datetime) -> None:
        """Sends them in one child; where there are several, those before one that fails are sent again."""
        await self._ask({"notes": [note(message, now) for message in messages]})

    async def closes(self) -> bool:
        """Whether the end of an alert closes what it opened there. SendError where that is not known.

        A service that opens incidents receives acknowledgements too from then on, and silences.
        """
        answer = await self._ask({"describe": True})
        if answer.get("incidents") is True and answer.get("closes") is True:
            self.policy = replace(self.policy, incidents=True, acknowledges=answer.get("acknowledges") is True)
        return answer.get("closes") is True

    async def _ask(self, question: dict[str, object]) -> dict[str, object]:
        answer = await _child(json.dumps({"url": self._url, "store": self._store} | question).encode())
        if answer.get("ok") is True:
            return answer
        kind, status, wait = answer.get("kind"), answer.get("status"), answer.get("retry_after")
        raise SendError(
            cast("Kind", kind) if kind in get_args(Kind) else "internal",
            str(answer.get("error") or "Apprise could not send it and did not say why"),
            status=status if isinstance(status, int) else None,
            retry_after=wait if isinstance(wait, float) else None,
            final=answer.get("final") is True,
        )

    async def close(self) -> None:
        """A child never outlives its sending."""


def installed() -> bool:
    """Whether Apprise is there. It is not loaded for the answer."""
    return find_spec("apprise") is not None


def note(message: Message, now: datetime) -> dict[str, object]:
    """A message as the child receives it. `identity` is what it is about: the same for an alert and its end."""
    return {
        "title": title(message),
        "body": body(message, now),
        "type": notify_type(message),
        "kind": message.kind,
        "identity": message.alert_id or (message.id if message.kind == "test" else ""),
        "id": message.alert_id,
        "short": _late(_utf8(message.short), message, now) if message.short else "",
        "link": message.link,
        "ack": message.ack,
        "parts": [note(part, now) for part in message.parts],
    }


def title(message: Message) -> str:
    return humanize.short(" ".join(_utf8(message.title).split()), _LONGEST_TITLE)


def body(message: Message, now: datetime) -> str:
    """The text, and how late it is sent where that matters."""
    return _late(humanize.short(_utf8(message.text), _LONGEST_BODY), message, now)


def _late(text: str, message: Message, now: datetime) -> str:
    late = (now - message.at).total_seconds()
    return text if late < _LATE_SECONDS else f"{text}\n(sent {humanize.duration(late)} late)"


def _utf8(text: str) -> str:
    """A text that can be sent: half a character, as a name of bytes may hold, breaks a plugin."""
    return text.encode(errors="replace").decode()


def notify_type(message: Message) -> str:
    """What Apprise calls it: its colour and sign in most services."""
    if message.kind == "resolved":
        return "success"
    return {"critical": "failure", "warning": "warning", "info": "info"}[message.severity]


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a child needs to run and to reach the world, and nothing else of the daemon's: no DSN, no channel to PM2."""
    kept = {name: value for name, value in environ.items() if name in _KEPT}
    root = str(Path(__file__).resolve().parents[3])
    path = kept.get("PYTHONPATH")
    return kept | {"PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root}


async def _child(question: bytes) -> dict[str, object]:
    """What the child answers. It is ended, with all that it started, when its time is up or nobody waits any more."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "monitord.notify.channels.apprise_child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd="/",
            env=child_environment(os.environ),
            start_new_session=True,
        )
    except OSError as error:
        raise SendError("internal", f"no process can be started for Apprise: {error.strerror}") from None
    try:
        async with asyncio.timeout(_CHILD_SECONDS):
            output = await _converse(process, question)
    except TimeoutError:
        raise SendError("timeout", f"Apprise was not done within {_CHILD_SECONDS:g} s") from None
    finally:
        await _end(process)
    try:
        answer = json.loads(output)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise SendError("internal", f"Apprise's process ended without an answer (exit code {process.returncode})")
    return answer


async def _converse(process: asyncio.subprocess.Process, question: bytes) -> bytes:
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:  # both were asked for
        return b""
    with suppress(ConnectionError):  # it died: its missing answer shows it
        stdin.write(question)
        await stdin.drain()
        stdin.close()
    with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return await stdout.readuntil(b"\n")
    return b""


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_REAP_SECONDS):
            # What it wrote beyond its answer: a pipe that is not read to its end is never closed.
            while process.stdout is not None and await process.stdout.read(65536):
                pass
            await process.wait()
