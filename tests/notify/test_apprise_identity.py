"""The alert's identity at Apprise's services: what each of them is sent when an alert begins and when it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitord.notify.channels.apprise import Apprise, installed, note
from monitord.notify.channels.apprise_child import _answer, by_alias
from monitord.notify.channels.apprise_services import taken, with_parameters
from monitord.notify.digest import digest

from .receivers import AT, message

pytestmark = [
    pytest.mark.skipif(not installed(), reason="Apprise is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Apprise's own libraries have some
]


class Service:
    """What is asked of the services in the place of the network; each request is answered 202."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
        import requests

        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._store = store
        self.headers: dict[str, str] = {}
        self.status, self.answers = 202, b'{"requestId": "r-1"}'

        def send(own: Any, request: Any, **settings: Any) -> Any:
            del own, settings
            self.asked.append((request.url, json.loads(request.body)))
            self.headers = dict(request.headers)
            answer = requests.Response()
            answer.status_code = self.status
            answer._content = self.answers
            return answer

        self._send = send
        self._patch = monkeypatch

    def headers_of(self, url: str, told: dict[str, Any]) -> dict[str, str]:
        assert self.hears(url, notes=[told])["ok"]
        return self.headers

    def hears(self, url: str, **question: Any) -> dict[str, Any]:
        import requests

        self.asked.clear()
        self._patch.setattr(requests.Session, "send", self._send)  # a child lives for one question
        return _answer({"url": url, "store": str(self._store), "notes": []} | question)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Service:
    return Service(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    ("url", "identity", "end"),
    [
        ("pagerduty://key@token", "dedup_key", '"event_action": "resolve"'),
        ("opsgenie://planted-api-key", "alias", "/a-1/close?identifierType=alias"),
        ("jira://planted-api-key", "alias", "/a-1/close?identifierType=alias"),
        ("ilert://planted-key", "alertKey", '"eventType": "RESOLVE"'),
        ("squadcast://planted-key", "event_id", '"status": "resolve"'),
        ("pagertree://int_aaaaaaaaaa", "id", '"event_type": "resolve"'),
    ],
)
def test_the_end_of_an_alert_closes_what_its_beginning_opened(
    service: Service, url: str, identity: str, end: str
) -> None:
    assert service.hears(url, notes=[note(message("firing"), AT)])["ok"] is True
    ((_, opened),) = service.asked
    assert opened[identity] == "a-1"
    assert service.hears(url, notes=[note(message("resolved"), AT)])["ok"] is True
    ((where, closed),) = service.asked
    assert end in f"{where} {json.dumps(closed)}"
    described = service.hears(url, describe=True)
    assert (described["closes"], described["incidents"]) == (True, True)


def test_what_opens_incidents_hears_of_each_alert_by_itself_and_of_nothing_that_has_no_end(service: Service) -> None:
    url = "pagerduty://key@token"
    other = message("firing", identity="m-9")
    parts = (message("firing", identity="m-1"), message("resolved", identity="m-2"), other)
    whole = digest(parts[:2], "box-1", "late")
    service.hears(url, notes=[note(whole, AT)])
    assert [event["event_action"] for _, event in service.asked] == ["resolve"]
    for kind in ("verdict", "reminder"):
        service.hears(url, notes=[note(message(kind), AT)])
        assert service.asked == []
    service.hears(url, notes=[note(message("test", identity="t-1"), AT)])
    assert [(event["event_action"], event["dedup_key"]) for _, event in service.asked] == [
        ("trigger", "t-1"),
        ("resolve", "t-1"),
    ]


def test_an_end_that_sends_nothing_is_no_delivery(service: Service) -> None:
    answer = service.hears("opsgenie://planted-api-key", notes=[note(message("resolved"), AT)])
    assert service.asked == []
    assert (answer["ok"], answer["final"], "cannot close it" in answer["error"]) == (False, True, True)


@pytest.mark.parametrize(
    ("url", "closes"),
    [
        ("pagerduty://key@token?action=trigger", False),
        ("pagerduty://key@token?dedup=mine", False),
        ("json://127.0.0.1:1/", False),
        ("ntfy://127.0.0.1/topic", False),
        ("hassio://127.0.0.1/token", True),
    ],
)
def test_a_service_that_cannot_close_what_it_opens_is_known_to(service: Service, url: str, closes: bool) -> None:
    assert service.hears(url, describe=True)["closes"] is closes


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("opsgenie://planted-api-key", "/a-1/acknowledge?identifierType=alias"),
        ("ilert://planted-key", '"eventType": "ACCEPT"'),
        ("pagerduty://key@token", ""),
    ],
)
def test_an_acknowledgement_reaches_a_service_that_has_one(service: Service, url: str, said: str) -> None:
    service.hears(url, notes=[note(message("firing"), AT)])
    assert service.hears(url, notes=[note(message("acknowledged"), AT)])["ok"] is True
    asked = [f"{where} {json.dumps(body)}" for where, body in service.asked]
    assert len(asked) == (1 if said else 0)
    assert all(said in each for each in asked)


def addressed(about: dict[str, dict[str, Any]], url: str, identity: str) -> str:
    return with_parameters(url, taken(about, url).parameters(identity))


def test_what_the_operator_has_set_stays_as_it_is() -> None:
    about: dict[str, dict[str, Any]] = {"dedup": {}, "action": {"values": ("trigger", "map"), "default": "trigger"}}
    assert addressed(about, "x://y", "a 1") == "x://y?dedup=a%201&action=map"
    assert addressed(about, "x://y?dedup=z", "a") == "x://y?dedup=z&action=map"
    assert addressed(about, "x://y?action=map", "a") == "x://y?action=map&dedup=a"
    assert addressed(about, "x://y", "") == addressed({}, "x://y", "a") == "x://y"


def test_only_what_asks_by_a_requests_id_is_asked_by_the_alias() -> None:
    assert (
        by_alias("https://h/v2/alerts/r-1?identifierType=id", "a/1") == "https://h/v2/alerts/a%2F1?identifierType=alias"
    )
    for url, identity in (("https://h/v2/alerts/r-1?identifierType=id", ""), ("https://h/x/r-1/close?q=1", "a")):
        assert by_alias(url, identity) == url


@pytest.mark.usefixtures("in_process")
async def test_a_way_out_knows_whether_its_service_closes_what_it_opens() -> None:
    way = Apprise("pagerduty://key@token", "pagerduty-2")
    kept_open = [way.policy.incidents]
    assert await way.closes()
    assert [*kept_open, way.policy.incidents] == [False, True]
    assert not await Apprise("json://127.0.0.1:1/", "json").closes()


def test_an_acknowledgement_is_a_button_in_slack_and_telegram_and_an_action_in_ntfy(service: Service) -> None:
    ack, link = "https://m.example.com/a/a-1.6900.AAAA", "https://m.example.com/alerts/a-1"
    told = note(message(link=link, ack=ack), AT)
    service.status, service.answers = 200, b"ok"
    assert service.hears("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#c", notes=[told])["ok"]
    ((_, slack),) = service.asked
    assert slack["attachments"][0]["actions"][0]["url"] == ack
    assert service.hears("tgram://123456789:abcdefg_hijklmnop/1", notes=[told])["ok"]
    asked = next(body for url, body in service.asked if "chat_id" in body)
    assert asked["reply_markup"]["inline_keyboard"][0][0]["url"] == ack
    service.asked.clear()
    headers = service.headers_of("ntfy://h/topic", told)
    assert headers["X-Click"] == link
    assert headers["X-Actions"] == f"http, Acknowledge, {ack}, method=POST, clear=true"
