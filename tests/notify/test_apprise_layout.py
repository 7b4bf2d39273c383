"""How a message is laid out for one of Apprise's services: short on a phone, whole elsewhere, always with its id."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitord.notify.channels.apprise_services import has_button, laid_out, with_button, with_parameters

LINK, ACK = "https://m.example.com/alerts/a1b2c3d4e5f6", "https://m.example.com/a/a1b2c3d4e5f6.6900.sig"
NOTE: dict[str, Any] = {
    "title": "CRITICAL box-1: gateway is errored; it should be online.",
    "body": "Look at its log.\nEvidence: exit codes 1.\nservice_down of gateway, alert a1b2c3d4e5f6.",
    "short": "Look at its log.\nalert a1b2c3d4e5f6",
    "id": "a1b2c3d4e5f6",
    "link": LINK,
    "ack": ACK,
}


def test_mail_gets_the_whole_text_and_both_addresses() -> None:
    title, body, parameters = laid_out(NOTE, {}, "mailto://h", 32768, 250)
    assert (title, parameters) == (NOTE["title"], {})
    assert body == f"{NOTE['body']}\nAcknowledge: {ACK}\n{LINK}"


def test_a_phone_gets_little_text_and_what_it_opens_and_does_as_parameters() -> None:
    arguments: dict[str, Any] = {"click": {}, "actions": {}}
    title, body, parameters = laid_out(NOTE, arguments, "ntfys://h/t", 7800, 200)
    assert (title, body) == (NOTE["title"], NOTE["short"])
    assert parameters == {"click": LINK, "actions": f"http, Acknowledge, {ACK}, method=POST, clear=true"}


def test_what_the_operator_set_himself_stays_and_the_addresses_stand_in_the_text() -> None:
    arguments: dict[str, Any] = {"click": {}, "actions": {}}
    _, body, parameters = laid_out(NOTE, arguments, "ntfy://h/t?click=x&actions=view", 7800, 200)
    assert parameters == {}
    assert body.endswith(f"Acknowledge: {ACK}\n{LINK}")


@pytest.mark.parametrize("length", [10, 200, 5000])
@pytest.mark.parametrize("most", [67, 160, 280])
def test_a_text_message_is_one_message_with_the_whole_id(length: int, most: int) -> None:
    title, body, _ = laid_out(NOTE | {"title": "x" * length}, {}, "d7sms://h", most, 0)
    assert (title, len(body) <= most) == ("", True)
    assert "alert a1b2c3d4e5f6" in body


def test_the_address_stands_in_a_text_message_where_half_of_it_is_left_for_the_sentence() -> None:
    def line(most: int) -> str:
        return laid_out(NOTE, {}, "d7sms://h", most, 0)[1]

    assert line(160) == f"{NOTE['title']} alert a1b2c3d4e5f6 {LINK}"
    assert LINK not in line(100)


def test_a_message_without_an_alert_has_no_addresses() -> None:
    note = {"title": "t", "body": "b", "short": "", "id": "", "link": "", "ack": ""}
    assert laid_out(note, {"click": {}, "actions": {}}, "ntfy://h/t", 7800, 200) == ("t", "b", {})


def test_parameters_are_encoded_beside_those_that_are_there() -> None:
    assert with_parameters("ntfy://h/t", {}) == "ntfy://h/t"
    assert with_parameters("ntfy://h/t?a=b", {"click": "https://h/?x=1&y"}) == (
        "ntfy://h/t?a=b&click=https%3A%2F%2Fh%2F%3Fx%3D1%26y"
    )


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        ({"attachments": [{"title": "t", "text": "b"}]}, ("attachments", 0, "actions", 0, "url")),
        ({"attachments": [{"blocks": [{"type": "section"}]}]}, ("attachments", 0, "blocks", 1, "elements", 0, "url")),
        ({"chat_id": 1, "text": "b"}, ("reply_markup", "inline_keyboard", 0, 0, "url")),
    ],
)
def test_slack_and_telegram_show_a_button(sent: dict[str, Any], place: tuple[Any, ...]) -> None:
    found: Any = json.loads(with_button(json.dumps(sent).encode(), ACK) or "")
    for step in place:
        found = found[step]
    assert found == ACK


@pytest.mark.parametrize("other", [None, b"", b"not json", b"[]", b'{"text": "b"}', b'{"attachments": []}'])
def test_what_is_of_another_kind_is_sent_as_it_is(other: bytes | None) -> None:
    assert with_button(other, ACK) is None


def test_telegram_is_given_no_button_that_it_would_refuse() -> None:
    assert (has_button("tgram://t/1", ACK), has_button("tgram://t/1", "http://box:8844/a/x")) == (True, False)
    body = laid_out(NOTE | {"ack": "http://box:8844/a/x"}, {}, "tgram://t/1", 4096, 0)[1]
    assert "Acknowledge: http://box:8844/a/x" in body
    assert "Acknowledge:" not in laid_out(NOTE, {}, "tgram://t/1", 4096, 0)[1]
