"""Alertmanager: what it is told, and what a real one makes of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from monitord.notify.channels.alertmanager import RESEND_SECONDS, Alertmanager, endpoint
from monitord.notify.channels.base import SendError
from monitord.notify.message import Message, Origin

from .conftest import Receive
from .receivers import AT, message, status

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
NOW = AT + timedelta(minutes=5)


async def told(receive: Receive, *messages: Message, fleet: str = "production", page: str = "") -> Any:
    receiver = await receive()
    way = Alertmanager(receiver.url, Origin("box-1", fleet, page=page))
    await way.send(messages, NOW)
    await way.close()
    return [json.loads(request.body) for request in receiver.requests]


@pytest.mark.parametrize(
    ("given", "posted"),
    [
        ("http://h:9093", "http://h:9093/api/v2/alerts"),
        ("http://h:9093/", "http://h:9093/api/v2/alerts"),
        ("https://h/alertmanager/", "https://h/alertmanager/api/v2/alerts"),
        ("https://u:p@h/am/api/v2/alerts", "https://u:p@h/am/api/v2/alerts"),
        ("https://h/am?tenant=a", "https://h/am/api/v2/alerts?tenant=a"),
    ],
)
def test_its_address_may_be_given_in_any_way(given: str, posted: str) -> None:
    assert endpoint(given) == posted


async def test_labels_are_the_identity_and_sentences_are_annotations(receive: Receive) -> None:
    ((alert,),) = await told(receive, message(), page="http://box-1:8844/")
    assert alert == {
        "labels": {
            "alertname": "service_down",
            "subject": "gateway",
            "severity": "critical",
            "instance": "box-1",
            "fleet": "production",
            "job": "monitord",
        },
        "annotations": {
            "summary": "gateway is errored; it should be online.",
            "description": "gateway is errored; it should be online. Look at its log: pm2 logs gateway.",
            "recommendation": "Look at its log: pm2 logs gateway.",
            "alert_id": "a-1",
            "incident_id": "a-1",
        },
        "startsAt": "2025-11-05T03:57:00.000Z",
        "endsAt": "2025-11-05T04:06:00.000Z",
        "generatorURL": "http://box-1:8844/",
    }
    ((alone,),) = await told(receive, message(), fleet="")
    assert "fleet" not in alone["labels"]
    assert "generatorURL" not in alone


async def test_runbook_and_contact_are_annotations_where_there_are_any(receive: Receive) -> None:
    ((alert,),) = await told(receive, message(runbook="https://wiki/web", contact="on-call"))
    assert (alert["annotations"]["runbook"], alert["annotations"]["contact"]) == ("https://wiki/web", "on-call")


async def test_what_is_resolved_ends_when_it_ended(receive: Receive) -> None:
    ((alert,),) = await told(receive, message("resolved", at=AT + timedelta(minutes=3)))
    assert (alert["startsAt"], alert["endsAt"]) == ("2025-11-05T03:57:00.000Z", "2025-11-05T04:00:00.000Z")


async def test_a_step_of_severity_ends_the_alert_it_was(receive: Receive) -> None:
    step = message("firing", "critical", at=AT + timedelta(minutes=3), reason="severity")
    ((now, before),) = await told(receive, step)
    assert (now["labels"]["severity"], now["endsAt"]) == ("critical", "2025-11-05T04:06:00.000Z")
    assert (before["labels"]["severity"], before["endsAt"]) == ("warning", "2025-11-05T04:00:00.000Z")
    assert now["labels"] | {"severity": "warning"} == before["labels"]


async def test_an_alert_that_goes_on_under_another_rule_ends_under_the_one_it_had(receive: Receive) -> None:
    empty = replace(message(at=AT + timedelta(minutes=3)), rule="pm2_empty", subject="pm2")
    ((now, before),) = await told(receive, empty)
    assert (now["labels"]["alertname"], now["endsAt"]) == ("pm2_empty", "2025-11-05T04:06:00.000Z")
    assert (before["labels"]["alertname"], before["endsAt"]) == ("pm2_unreachable", "2025-11-05T04:00:00.000Z")
    assert now["labels"] | {"alertname": "pm2_unreachable"} == before["labels"]


async def test_many_go_together_and_a_verdict_is_no_alert(receive: Receive) -> None:
    verdict = Message("v", "verdict", AT, "info", "GO", "All is well.")
    (alerts,) = await told(receive, message(), message("digest", parts=(message(), message("resolved"))), verdict)
    assert len(alerts) == 3
    assert await told(receive, verdict) == []


async def test_times_that_were_stored_as_text_are_times(receive: Receive) -> None:
    ((alert,),) = await told(receive, message(fired_at="2025-11-05T03:50:00.000Z"))
    assert alert["startsAt"] == "2025-11-05T03:50:00.000Z"
    ((alert,),) = await told(receive, message(fired_at=None, since="nonsense"))
    assert alert["startsAt"] == "2025-11-05T03:57:00.000Z"


async def test_a_refusal_is_told_without_the_address(receive: Receive) -> None:
    receiver = await receive(status("400 Bad Request"))
    way = Alertmanager(f"http://u:planted@127.0.0.1:{receiver.port}/planted", Origin("box-1"))
    with pytest.raises(SendError) as caught:
        await way.send([message()], NOW)
    await way.close()
    assert (caught.value.kind, "planted" in caught.value.error) == ("refused", False)


async def held(url: str) -> dict[tuple[str, str], Any]:
    """What a real one has: (name, severity) -> alert, those that have ended left out, as it does."""
    async with httpx.AsyncClient(trust_env=False) as client:
        alerts = (await client.get(f"{url}/api/v2/alerts")).json()
    return {(alert["labels"]["alertname"], alert["labels"]["severity"]): alert for alert in alerts}


async def test_a_real_one_takes_steps_and_ends_and_tests(alertmanager: str, eventually: Eventually) -> None:
    way = Alertmanager(f"{alertmanager}/", Origin("box-1", "production"))

    async def taken() -> bool:
        try:
            await way.send([message("firing", "warning")], datetime.now(UTC))
        except SendError:  # it is still starting
            return False
        return True

    try:
        await eventually(taken)
        now = datetime.now(UTC)
        first = await held(alertmanager)
        assert set(first) == {("service_down", "warning")}
        ends = datetime.fromisoformat(first["service_down", "warning"]["endsAt"])
        assert ends > now + timedelta(seconds=RESEND_SECONDS)
        await way.send([message("firing", "critical", at=now, reason="severity")], now)
        assert set(await held(alertmanager)) == {("service_down", "critical")}
        await way.send([message("test")], now)
        assert set(await held(alertmanager)) == {("service_down", "critical"), ("monitord_test", "critical")}
        await way.send([message("resolved", "critical", at=now)], datetime.now(UTC))
        assert set(await held(alertmanager)) == {("monitord_test", "critical")}
        unreachable = replace(message(at=now), rule="pm2_unreachable", subject="pm2")
        await way.send([unreachable], now)
        assert ("pm2_unreachable", "critical") in await held(alertmanager)
        await way.send([replace(unreachable, rule="pm2_empty", at=datetime.now(UTC))], now)
        assert set(await held(alertmanager)) == {("monitord_test", "critical"), ("pm2_empty", "critical")}
    finally:
        await way.close()


async def test_an_alert_points_to_its_own_page_where_others_find_it(receive: Receive) -> None:
    found = message(link="https://m/alerts/a-1", ack="https://m/a/t")
    ((alert,),) = await told(receive, found, page="http://box-1:8844/")
    assert alert["generatorURL"] == alert["annotations"]["url"] == "https://m/alerts/a-1"
    assert alert["annotations"]["acknowledge"] == "https://m/a/t"
