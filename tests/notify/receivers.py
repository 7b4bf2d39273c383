"""Who is told in these tests: a server that remembers, and answers as the test wants it to, however badly."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitord.core.model import Severity
from monitord.notify.message import Kind, Message

AT = datetime(2025, 11, 5, 3, 57, 0, tzinfo=UTC)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Reply = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


class Receiver:
    """An HTTP server of one's own. `replies` are given in turn, the last of them again and again."""

    def __init__(self, *replies: Reply) -> None:
        self.replies: list[Reply] = list(replies) or [OK]
        self.requests: list[Request] = []
        self.port = 0
        self.left = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append(Request(method, target, headers, body))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        try:
            if isinstance(reply, bytes):
                writer.write(reply)
                await writer.drain()
            else:
                await reply(writer)
        finally:
            self.left.set()


def status(line: str, *headers: str) -> bytes:
    """An answer without a body."""
    return "\r\n".join((f"HTTP/1.1 {line}", "Content-Length: 0", *headers, "", "")).encode()


class Authority:
    """A certificate for 127.0.0.1 that only its own file vouches for."""

    def __init__(self, directory: Path) -> None:
        self.certificate = directory / "certificate.pem"
        self._key = directory / "key.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", "2", "-subj", "/CN=monitord test", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(self._key), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
            timeout=30,
        )

    def server_side(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self._key)
        return context


def message(
    kind: Kind = "firing",
    severity: Severity = "critical",
    *,
    at: datetime = AT,
    identity: str = "m-1",
    parts: tuple[Message, ...] = (),
    link: str = "",
    ack: str = "",
    **fields: object,
) -> Message:
    """A message about the gateway."""
    alert = {
        "alert_id": "a-1",
        "rule": "service_down",
        "subject": "gateway",
        "severity": severity,
        "value": "errored",
        "limit": "online",
        "unit": "",
        "since": AT,
        "fired_at": AT,
        "summary": "gateway is errored; it should be online.",
        "evidence": {},
        "recommendation": "Look at its log: pm2 logs gateway.",
        "incident_id": "a-1",
    }
    told = kind in ("firing", "resolved", "reminder", "acknowledged")
    return Message(
        id=identity,
        kind=kind,
        at=at,
        severity=severity,
        title="CRITICAL: gateway is errored",
        text="gateway is errored; it should be online. Look at its log: pm2 logs gateway.",
        alert_id="a-1" if told else "",
        rule="service_down" if told else "",
        subject="gateway" if told else "",
        fields=(alert if told else {}) | fields,
        parts=parts,
        link=link,
        ack=ack,
    )
