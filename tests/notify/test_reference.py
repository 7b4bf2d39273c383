"""What the reference shows of the channels is what they send."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from monitord.notify.channels.alertmanager import Alertmanager
from monitord.notify.channels.webhook import Webhook, event
from monitord.notify.message import Origin

from .conftest import Receive
from .receivers import AT, message

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
SECRET = "a-planted-signing-secret"


def blocks(language: str) -> list[str]:
    section = REFERENCE.read_text(encoding="utf-8").split("## Channels\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def test_the_example_of_the_webhook_is_what_it_sends() -> None:
    assert json.loads(blocks("json")[0]) == event(message(), AT, Origin("box-1", "production"))


async def test_the_example_of_alertmanager_is_what_it_is_sent() -> None:
    way = Alertmanager("http://127.0.0.1:1", Origin("box-1", "production"))
    assert json.loads(blocks("json")[1]) == list(way.alerts(message(), AT))
    await way.close()


async def test_the_snippet_that_verifies_a_signature_does(receive: Receive) -> None:
    space: dict[str, Any] = {}
    (snippet,) = blocks("python")
    exec(compile(snippet, "reference.md", "exec"), space)  # noqa: S102 - our own document
    is_genuine = space["is_genuine"]
    receiver = await receive()
    webhook = Webhook(receiver.url, Origin("box-1"), secret=SECRET)
    await webhook.send([message()], AT)
    await webhook.close()
    (request,) = receiver.requests
    now, key = AT.timestamp(), SECRET.encode()
    assert is_genuine(request.headers, request.body, key, now)
    assert not is_genuine(request.headers, request.body + b" ", key, now)
    assert not is_genuine(request.headers, request.body, b"another", now)
    assert not is_genuine(request.headers | {"webhook-id": "m-2"}, request.body, key, now)
    assert not is_genuine(request.headers, request.body, key, now + timedelta(minutes=6).total_seconds())
