"""PagerDuty's Events API v2, against a server that takes and refuses as PagerDuty does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitord.config.loader import load
from monitord.notify.channels import channels
from monitord.notify.channels.base import SendError
from monitord.notify.channels.pagerduty import ENDPOINT, LONGEST_SUMMARY, PagerDuty
from monitord.notify.message import Message, Origin
from monitord.notify.routing import plan
from tests.core.nights import LONG, watching

from .conftest import Receive
from .receivers import AT, Receiver, message, status

KEY = "planted-routing-key"
ACCEPTED = status("202 Accepted")
BOX = Origin("box-1")


async def told(receiver: Receiver, *messages: Message) -> list[dict[str, Any]]:
    channel = PagerDuty(KEY, Origin("box-1", "shop"), f"{receiver.url}/v2/enqueue")
    for each in messages:
        await channel.send([each], AT)
    await channel.close()
    assert {(request.method, request.target) for request in receiver.requests} <= {("POST", "/v2/enqueue")}
    return [request.json() for request in receiver.requests]


async def test_an_alert_is_one_incident_from_its_trigger_to_its_end(receive: Receive) -> None:
    events = await told(
        await receive(ACCEPTED), message("firing"), message("acknowledged", alert_id="a-1"), message("resolved")
    )
    assert [event["event_action"] for event in events] == ["trigger", "acknowledge", "resolve"]
    assert {event["routing_key"] for event in events} == {KEY}
    assert {event["dedup_key"] for event in events} == {"a-1"}
    payload = events[0]["payload"]
    assert payload["summary"] == "shop/box-1: gateway is errored; it should be online."
    assert (payload["source"], payload["component"], payload["class"], payload["group"]) == (
        *("box-1", "gateway", "service_down", "shop"),
    )
    assert payload["timestamp"] == "2025-11-05T03:57:00.000Z"
    assert payload["custom_details"]["recommendation"] == "Look at its log: pm2 logs gateway."


@pytest.mark.parametrize("severity", ["warning", "critical"])
async def test_severities_are_pagerdutys_own(receive: Receive, severity: Any) -> None:
    (event,) = await told(await receive(ACCEPTED), message("firing", severity))
    assert event["payload"]["severity"] == severity


async def test_reminders_and_verdicts_are_no_incidents_and_a_test_closes_what_it_opens(receive: Receive) -> None:
    receiver = await receive(ACCEPTED)
    events = await told(receiver, message("reminder"), message("verdict", "critical"), message("test", identity="t-1"))
    assert [(event["event_action"], event["dedup_key"]) for event in events] == [("trigger", "t-1"), ("resolve", "t-1")]


async def test_what_is_sent_is_bounded(receive: Receive) -> None:
    huge = {f"name-{number}": "x" * 100_000 for number in range(500)}
    summary = "gateway " * 1000
    (event,) = await told(await receive(ACCEPTED), message(summary=summary, evidence=huge, recommendation="y" * 10**6))
    assert len(event["payload"]["summary"]) == LONGEST_SUMMARY
    assert len(str(event)) < 200_000


async def test_evidence_is_readable_in_the_details(receive: Receive) -> None:
    (event,) = await told(await receive(ACCEPTED), message(evidence={"instances": {"3": "stopped"}, "codes": [1]}))
    details = event["payload"]["custom_details"]
    assert (details["instances"], details["codes"]) == ('{"3": "stopped"}', "[1]")


@pytest.mark.parametrize(
    ("line", "final"),
    [("400 Bad Request", True), ("429 Too Many Requests", False), ("500 Error", False), ("503 Away", False)],
)
async def test_what_is_wrong_stays_so_and_the_rest_is_tried_again(receive: Receive, line: str, final: bool) -> None:
    with pytest.raises(SendError) as caught:
        await told(await receive(status(line, "Retry-After: 7")), message())
    assert caught.value.final is final
    assert KEY not in caught.value.error
    assert caught.value.retry_after == (7.0 if line[:3] in ("429", "503") else None)


def settings(tmp_path: Path, **notify: str) -> dict[str, str]:
    return {f"MONITORD_NOTIFY__{name}": value for name, value in notify.items()}


async def test_it_is_set_by_its_key_and_its_address_may_be_another(tmp_path: Path) -> None:
    (channel,) = channels(load(settings(tmp_path, PAGERDUTY_KEY=KEY), tmp_path))
    assert (channel.name, channel.policy.coalesces, channel.policy.quiet) == ("pagerduty", False, False)
    assert isinstance(channel, PagerDuty)
    assert channel._url == ENDPOINT
    environ = settings(tmp_path, PAGERDUTY_KEY=KEY, PAGERDUTY_URL="http://127.0.0.1:1/x")
    (elsewhere,) = channels(load(environ, tmp_path))
    assert elsewhere.policy.receiver != channel.policy.receiver
    for each in (channel, elsewhere):
        await each.close()


def test_it_hears_of_an_acknowledgement_and_of_a_silence_and_is_not_reminded() -> None:
    channel = PagerDuty(KEY, BOX)
    night, known, kinds = watching("pm2", orders=LONG, every=300), dict[str, tuple[str, ...]](), list[str]()
    night["gateway"].stops()
    night.passes(minutes=6)
    alert = night.fired_once("service_down", "gateway")
    night.asks("ack", alert.id)
    night.passes(hours=9)
    night["gateway"].starts()
    night.passes(minutes=6)
    for look in night.looks:
        planned, known = plan(look.decision, known, [channel], BOX)
        kinds += [each.message.kind for each in planned]
        assert {each.message.alert_id for each in planned} <= {alert.id}
    assert kinds == ["firing", "acknowledged", "resolved"]
    assert night.looks[-1].decision.at - alert.since > timedelta(hours=8)


async def test_an_incident_links_to_its_alert_and_to_where_it_is_acknowledged(receive: Receive) -> None:
    (event,) = await told(await receive(ACCEPTED), message(link="https://m/alerts/a-1", ack="https://m/a/t"))
    assert event["client_url"] == "https://m/alerts/a-1"
    assert [one["href"] for one in event["links"]] == ["https://m/alerts/a-1", "https://m/a/t"]
