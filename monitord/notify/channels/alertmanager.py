"""Alertmanager (0.25 and later): what fires is posted again and again, and what is posted no more ends by itself.

Labels are the identity there: the same rule, subject and severity of the same instance is the same alert.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from monitord.core.subjects import catalogue
from monitord.jsonable import rfc3339
from monitord.notify.channels.base import DeliveryPolicy, receiver_of
from monitord.notify.channels.http import JSON, HttpClient, json_body
from monitord.notify.message import Message, Origin

RESEND_SECONDS: Final = 60.0
# An alert outlives three resendings that got lost.
_LIVES: Final = timedelta(seconds=4 * RESEND_SECONDS)
_TEST_LIVES: Final = timedelta(seconds=60)
_PATH: Final = "/api/v2/alerts"
_OTHER: Final = {"warning": "critical", "critical": "warning"}


class Alertmanager:
    """Notifies one Alertmanager. It has reminders, quiet hours and grouping of its own, so that it is spared ours.

    `url` is its address, with or without a path before `/api`.
    """

    name = "alertmanager"

    def __init__(self, url: str, origin: Origin) -> None:
        self.policy = DeliveryPolicy(
            coalesces=False, quiet=False, resend_every=RESEND_SECONDS, receiver=receiver_of(url)
        )
        self._url, self._origin = endpoint(url), origin
        self._http = HttpClient(url, self.policy.deadline)

    async def send(self, messages: Sequence[Message], now: datetime) -> None:
        """POST them together, as they are at `now`. A verdict is no alert, and is left out."""
        alerts = [alert for message in messages for alert in self.alerts(message, now)]
        if alerts:
            await self._http.post(self._url, json_body(alerts), JSON)

    async def close(self) -> None:
        await self._http.close()

    def alerts(self, message: Message, now: datetime) -> Iterator[dict[str, object]]:
        """What Alertmanager is to hold of a message."""
        match message.kind:
            case "digest":
                for part in message.parts:
                    yield from self.alerts(part, now)
            case "test":
                yield self._alert(message, message.severity, now, now + _TEST_LIVES)
            case "resolved":
                yield self._alert(message, message.severity, _began(message), message.at)
            case "firing" | "reminder":
                began = _began(message)
                yield self._alert(message, message.severity, began, now + _LIVES)
                # To Alertmanager another severity or rule is another alert, and the one it was would fire until it is
                # forgotten.
                if message.fields.get("reason") == "severity":
                    yield self._alert(message, _OTHER[message.severity], began, message.at)
                for rule in catalogue().continued.get(message.rule, ()):
                    yield self._alert(message, message.severity, began, message.at, rule)

    def _alert(
        self, message: Message, severity: str, began: datetime, ends: datetime, rule: str = ""
    ) -> dict[str, object]:
        """`rule`: another than the message's."""
        labels = {
            "alertname": rule or message.rule or "monitord_test",
            "subject": message.subject or "monitord",
            "severity": severity,
        }
        annotations = {
            "summary": str(message.fields.get("summary") or message.title),
            "description": message.text,
            "url": message.link,
            "acknowledge": message.ack,
            "alert_id": message.alert_id,
        }
        more = ("recommendation", "runbook", "contact", "incident_id")
        annotations |= {name: str(message.fields.get(name) or "") for name in more}
        alert: dict[str, object] = {
            "labels": labels | {"job": "monitord"} | self._origin.labels,
            "annotations": {name: text for name, text in annotations.items() if text},
            "startsAt": rfc3339(min(began, ends)),  # one that ends before it begins is refused
            "endsAt": rfc3339(ends),
        }
        page = message.link or self._origin.page
        return alert | ({"generatorURL": page} if page else {})


def endpoint(url: str) -> str:
    """Where alerts are posted: below the path of the address, and with its query."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(_PATH) else path + _PATH, fragment=""))


def _began(message: Message) -> datetime:
    for name in ("fired_at", "since"):
        value = message.fields.get(name)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return message.at
