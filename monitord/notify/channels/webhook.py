"""A plain JSON webhook: each message as one CloudEvent, signed where there is a secret (Standard Webhooks)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from monitord.jsonable import in_json
from monitord.masking import mask
from monitord.notify.channels.base import DeliveryPolicy, receiver_of
from monitord.notify.channels.http import HttpClient, json_body
from monitord.notify.message import Kind, Message, Origin

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
_TYPES: Final[dict[Kind, str]] = {
    "firing": "monitord.alert.firing",
    "resolved": "monitord.alert.resolved",
    "reminder": "monitord.alert.reminder",
    "digest": "monitord.digest",
    "verdict": "monitord.verdict",
    "test": "monitord.test",
    "acknowledged": "monitord.alert.acknowledged",
}


class Webhook:
    """Posts to one address. A message that was not accepted goes out again with the same `id` and `webhook-id`."""

    name = "webhook"

    def __init__(self, url: str, origin: Origin, secret: str | None = None) -> None:
        self.policy = DeliveryPolicy(receiver=receiver_of(url))
        self._url, self._origin = url, origin
        self._key = signing_key(secret) if secret else None
        self._http = HttpClient(url, self.policy.deadline)

    async def send(self, messages: Sequence[Message], now: datetime) -> None:
        """POST them one after another; the receiver knows by their ids those that it had before one failed."""
        for message in messages:
            body = json_body(event(message, now, self._origin))
            stamp = str(int(now.timestamp()))
            headers = {"Content-Type": CONTENT_TYPE, "webhook-id": message.id, "webhook-timestamp": stamp}
            if self._key is not None:
                headers["webhook-signature"] = signature(self._key, message.id, stamp, body)
            await self._http.post(self._url, body, headers)

    async def close(self) -> None:
        await self._http.close()


def event(message: Message, now: datetime, origin: Origin) -> dict[str, Any]:
    """A message as a CloudEvent 1.0 in structured mode, JSON-ready."""
    envelope = {
        "specversion": "1.0",
        "id": message.id,
        "source": f"monitord://{quote(origin.fleet, safe='')}/{quote(origin.instance, safe='')}",
        "type": _TYPES[message.kind],
        "time": message.at,
        "datacontenttype": "application/json",
    }
    if message.subject:
        envelope["subject"] = message.subject
    data = {"instance": origin.instance, "fleet": origin.fleet or None} | _data(message, now)
    cleaned: dict[str, Any] = in_json(envelope | {"data": data}, mask)
    cleaned["data"] |= {name: url for name, url in (("url", message.link), ("acknowledge_url", message.ack)) if url}
    return cleaned


def _data(message: Message, now: datetime) -> dict[str, object]:
    data: dict[str, object] = {
        "title": message.title,
        "text": message.text,
        "severity": message.severity,
        "age_seconds": round(max(0.0, (now - message.at).total_seconds()), 3),
    }
    if message.kind == "digest":
        data["parts"] = [
            {"id": part.id, "type": _TYPES[part.kind], "time": part.at.astimezone(UTC)} | _data(part, now)
            for part in message.parts
        ]
    elif message.kind == "verdict":
        data["verdict"] = dict(message.fields)
    elif message.kind != "test":
        identity = {"alert_id": message.alert_id, "rule": message.rule, "subject": message.subject}
        data["alert"] = identity | dict(message.fields)
    return data


def signing_key(secret: str) -> bytes:
    """The key of a secret: what `whsec_` stands before is base64 (else ValueError), all else is its own bytes."""
    encoded = secret.removeprefix("whsec_")
    if encoded == secret:
        return secret.encode()
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ is not base64") from None


def signature(key: bytes, identity: str, timestamp: str, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`."""
    signed = b".".join((identity.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
