"""PagerDuty's Events API v2: an alert is one incident there, whose `dedup_key` is its id, from its trigger to its end.

Reminding and escalating is PagerDuty's own part. https://developer.pagerduty.com/docs/events-api-v2/overview/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from monitord.core import humanize
from monitord.jsonable import in_json, rfc3339
from monitord.masking import mask
from monitord.notify.channels.base import DeliveryPolicy, SendError, receiver_of
from monitord.notify.channels.http import JSON, HttpClient, json_body
from monitord.notify.message import Message, Origin

ENDPOINT: Final = "https://events.pagerduty.com/v2/enqueue"
# PagerDuty refuses a summary that is longer, and an event past 512 kB.
LONGEST_SUMMARY: Final = 1024
_LONGEST_FIELD: Final = 255
_LONGEST_DETAIL: Final = 1000
_LONGEST_TEXT: Final = 10_000
_MOST_DETAILS: Final = 60
# An event that is wrong, or too large, stays so. All else may be accepted another time.
_FINAL: Final = (400, 413)
_DETAILS: Final = (
    *("rule", "subject", "value", "limit", "unit", "since", "fired_at"),
    *("recommendation", "runbook", "contact", "incident_id"),
)


class PagerDuty:
    """Notifies one PagerDuty service: `key` is its integration key ("routing key")."""

    name = "pagerduty"

    def __init__(self, key: str, origin: Origin, url: str = ENDPOINT) -> None:
        receiver = receiver_of(f"{url}|{key}")
        self.policy = DeliveryPolicy(
            coalesces=False, quiet=False, incidents=True, acknowledges=True, batch=1, receiver=receiver
        )
        self._key, self._url, self._origin = key, url, origin
        self._http = HttpClient(url, self.policy.deadline)

    async def send(self, messages: Sequence[Message], now: datetime) -> None:  # noqa: ARG002 - the interface hands it in; an event has its own time
        """POST an event for each. PagerDuty knows by the key those that it had before one failed."""
        for event in (event for message in messages for event in self.events(message)):
            try:
                await self._http.post(self._url, json_body(event), JSON)
            except SendError as error:
                error.final = error.status in _FINAL
                raise

    async def close(self) -> None:
        await self._http.close()

    def events(self, message: Message) -> Iterator[dict[str, object]]:
        """What PagerDuty receives of a message: a reminder or a verdict is no incident."""
        match message.kind:
            case "firing":
                yield self._trigger(message, message.alert_id)
            case "acknowledged":
                yield self._event("acknowledge", message.alert_id)
            case "resolved":
                yield self._event("resolve", message.alert_id)
            case "digest":
                for part in message.parts:
                    yield from self.events(part)
            case "test":  # shown, and closed at once: nobody is to be woken for long
                yield self._trigger(message, message.id)
                yield self._event("resolve", message.id)

    def _event(self, action: str, identity: str) -> dict[str, object]:
        return {"routing_key": self._key, "event_action": action, "dedup_key": identity}

    def _trigger(self, message: Message, identity: str) -> dict[str, object]:
        origin = self._origin
        summary = str(message.fields.get("summary") or message.title)
        payload: dict[str, object] = {
            "summary": _short(f"{origin.place}: {summary}", LONGEST_SUMMARY),
            "source": _short(origin.instance, _LONGEST_FIELD),
            "severity": message.severity,
            "timestamp": rfc3339(message.at),
            "component": _short(message.subject or "monitord", _LONGEST_FIELD),
            "class": message.rule or "monitord_test",
            "custom_details": _details(message),
        }
        if origin.fleet:
            payload["group"] = _short(origin.fleet, _LONGEST_FIELD)
        event = self._event("trigger", identity) | {"client": "monitord", "payload": payload}
        links = (("This alert on monitord's page", message.link), ("Acknowledge", message.ack))
        if found := [{"href": address, "text": words} for words, address in links if address]:
            event["links"] = found
        page = message.link or origin.page
        return event | ({"client_url": page} if page else {})


def _details(message: Message) -> dict[str, object]:
    """What is known of the alert, bounded: a few fields, the evidence one level deep, and the text for people."""
    found: dict[str, object] = {"text": _short(message.text, _LONGEST_TEXT)}
    for name in _DETAILS:
        if (value := message.fields.get(name)) not in (None, ""):
            found[name] = _plain(value)
    evidence = message.fields.get("evidence")
    if isinstance(evidence, dict):
        for name, value in evidence.items():
            if len(found) >= _MOST_DETAILS:
                break
            found.setdefault(_short(str(name), _LONGEST_FIELD), _plain(value))
    cleaned: dict[str, object] = in_json(found, mask)
    return cleaned


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | datetime):
        return _short(str(value), _LONGEST_DETAIL)
    return _short(json.dumps(in_json({"": value}, mask)[""], ensure_ascii=False), _LONGEST_DETAIL)


def _short(text: str, longest: int) -> str:
    return humanize.short(mask(text), longest)
