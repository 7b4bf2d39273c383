"""The webhook: what a receiver gets, and how it knows from whom."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta

import pytest

from monitord.notify.channels.base import SendError
from monitord.notify.channels.webhook import Webhook, event, signing_key
from monitord.notify.message import Message, Origin

from .conftest import Receive
from .receivers import AT, OK, message, status

SECRET = "a-planted-signing-secret"


async def send(url: str, *messages: Message, secret: str | None = None) -> None:
    webhook = Webhook(url, Origin("box-1", "production"), secret)
    try:
        await webhook.send(messages, AT + timedelta(minutes=2))
    finally:
        await webhook.close()


async def test_an_alert_is_a_cloud_event_in_structured_mode(receive: Receive) -> None:
    receiver = await receive()
    await send(f"{receiver.url}/hook?token=t", message())
    (request,) = receiver.requests
    assert request.target == "/hook?token=t"
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    document = request.json()
    data = document.pop("data")
    assert document == {
        "specversion": "1.0",
        "id": "m-1",
        "source": "monitord://production/box-1",
        "type": "monitord.alert.firing",
        "subject": "gateway",
        "time": "2025-11-05T03:57:00.000Z",
        "datacontenttype": "application/json",
    }
    assert (data["instance"], data["fleet"], data["severity"], data["age_seconds"]) == (
        "box-1",
        "production",
        "critical",
        120.0,
    )
    assert data["alert"]["rule"] == "service_down"
    assert data["alert"]["fired_at"] == "2025-11-05T03:57:00.000Z"


def test_a_digest_carries_its_parts_each_with_its_own_id() -> None:
    parts = (message(identity="m-1"), message("resolved", identity="m-2"))
    document = event(message("digest", identity="m-3", parts=parts), AT, Origin("box-1"))
    assert (document["id"], document["type"]) == ("m-3", "monitord.digest")
    found = [(part["id"], part["type"], part["alert"]["subject"]) for part in document["data"]["parts"]]
    assert found == [("m-1", "monitord.alert.firing", "gateway"), ("m-2", "monitord.alert.resolved", "gateway")]


def test_a_source_is_a_uri_whatever_machine_and_fleet_are_called() -> None:
    assert event(message("test"), AT, Origin("box/1 ä", "a b"))["source"] == "monitord://a%20b/box%2F1%20%C3%A4"
    plain = event(message("test"), AT, Origin("box-1"))
    assert (plain["source"], plain["data"]["fleet"], "subject" in plain) == ("monitord:///box-1", None, False)


async def test_a_second_try_has_the_same_id_and_an_age(receive: Receive) -> None:
    receiver = await receive(status("503 Service Unavailable"), OK)
    with pytest.raises(SendError):
        await send(receiver.url, message())
    await send(receiver.url, message())
    assert {request.headers["webhook-id"] for request in receiver.requests} == {"m-1"}
    assert {request.json()["id"] for request in receiver.requests} == {"m-1"}


async def test_several_go_one_after_another_and_one_that_fails_fails_all(receive: Receive) -> None:
    receiver = await receive(OK, status("500 Internal Server Error"))
    with pytest.raises(SendError):
        await send(receiver.url, message(identity="m-1"), message(identity="m-2"), message(identity="m-3"))
    assert [request.json()["id"] for request in receiver.requests] == ["m-1", "m-2"]


async def test_with_a_secret_the_exact_body_is_signed_with_its_id_and_time(receive: Receive) -> None:
    for secret, key in (
        (SECRET, SECRET.encode()),
        ("whsec_" + base64.b64encode(b"raw\x00key").decode(), b"raw\x00key"),
    ):
        receiver = await receive()
        await send(receiver.url, message(), secret=secret)
        (request,) = receiver.requests
        stamp = request.headers["webhook-timestamp"]
        assert int(stamp) == int((AT + timedelta(minutes=2)).timestamp())
        wanted = hmac.digest(key, f"m-1.{stamp}.".encode() + request.body, hashlib.sha256)
        assert request.headers["webhook-signature"] == "v1," + base64.b64encode(wanted).decode()
        assert secret not in str(request)


async def test_without_a_secret_nothing_is_signed(receive: Receive) -> None:
    receiver = await receive()
    await send(receiver.url, message())
    assert "webhook-signature" not in receiver.requests[0].headers


def test_a_secret_that_claims_to_be_base64_and_is_not_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="not base64") as caught:
        signing_key("whsec_!planted!")
    assert "planted" not in str(caught.value)


def test_an_event_carries_the_addresses_of_its_alert() -> None:
    token = "https://m/a/a1b2c3d4e5f6.6900.AAAA"
    found = event(message(link="https://m/alerts/a-1", ack=token), AT, Origin("box-1"))
    assert (found["data"]["url"], found["data"]["acknowledge_url"]) == ("https://m/alerts/a-1", token)
    assert not {"url", "acknowledge_url"} & event(message(), AT, Origin("box-1"))["data"].keys()
