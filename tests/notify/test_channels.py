"""From settings to channels: names, severities, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitord.config.loader import Settings, SettingsError, load
from monitord.notify.channels import apprise, channels, heartbeat_sender
from monitord.notify.channels.alertmanager import Alertmanager
from monitord.notify.channels.base import Channel
from monitord.notify.channels.webhook import Webhook
from monitord.notify.message import Message, Origin

from .conftest import Receive
from .receivers import AT

TOKEN = "planted-token-5f0c"
ALL = {
    "MONITORD_NOTIFY__WEBHOOK_URL": f"https://h/{TOKEN}",
    "MONITORD_NOTIFY__ALERTMANAGER_URL": "http://h:9093",
    "MONITORD_NOTIFY__URLS": f'["tgram://{TOKEN}/1", "mailto://u:{TOKEN}@h", "TGRAM://{TOKEN}/2"]',
    "MONITORD_NOTIFY__HEARTBEAT_URL": f"https://h/{TOKEN}",
    "MONITORD_HTTP__LISTEN": "",
}


def settings(tmp_path: Path, **notify: str) -> Settings:
    return load(ALL | {f"MONITORD_NOTIFY__{name}": value for name, value in notify.items()}, tmp_path)


def mistakes(tmp_path: Path, environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(environ, tmp_path)
    assert TOKEN not in str(caught.value)
    return caught.value.mistakes


async def test_ways_are_called_by_what_they_are_and_apprise_addresses_by_their_scheme(tmp_path: Path) -> None:
    found = settings(tmp_path)
    ways = channels(found)
    assert [way.name for way in ways] == ["webhook", "alertmanager", "tgram", "mailto", "tgram-2"]
    assert found.notify.channel_names == tuple(way.name for way in ways)
    assert {way.policy.least for way in ways} == {"warning"}
    heart = heartbeat_sender(found)
    assert heart is not None
    await heart.close()
    for way in ways:
        await way.close()


async def test_each_has_the_least_severity_it_was_given(tmp_path: Path) -> None:
    found = settings(tmp_path, SEVERITY_BY_CHANNEL='{"tgram-2": "critical", "alertmanager": "critical"}')
    least = {way.name: way.policy.least for way in channels(found)}
    assert [name for name, severity in least.items() if severity == "critical"] == ["alertmanager", "tgram-2"]


def test_manners_are_those_of_the_receiver(tmp_path: Path) -> None:
    policy = {way.name: way.policy for way in channels(settings(tmp_path))}
    alertmanager = policy["alertmanager"]
    assert (alertmanager.coalesces, alertmanager.quiet, alertmanager.resend_every) == (False, False, 60.0)
    assert all(m.coalesces and m.quiet and m.resend_every is None for n, m in policy.items() if n != "alertmanager")
    assert policy["tgram"].deadline > policy["webhook"].deadline


def test_a_severity_for_a_way_out_that_is_not_set_is_a_mistake_that_names_those_that_are(tmp_path: Path) -> None:
    environ = ALL | {"MONITORD_NOTIFY__SEVERITY_BY_CHANNEL": '{"telegram": "critical"}'}
    assert mistakes(tmp_path, environ) == (
        "MONITORD_NOTIFY__SEVERITY_BY_CHANNEL (environment): 'telegram' is not a configured channel; "
        "there are webhook, alertmanager, tgram, mailto, tgram-2",
    )
    alone = {"MONITORD_NOTIFY__SEVERITY_BY_CHANNEL": '{"webhook": "critical"}'}
    assert mistakes(tmp_path, alone)[0].endswith("'webhook' is not a configured channel; none is set")


@pytest.mark.usefixtures("in_process")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Apprise's own libraries have some
async def test_a_name_that_no_encoding_can_carry_is_told_all_the_same(receive: Receive) -> None:
    receiver = await receive()
    told = Message("m-1", "firing", AT, "warning", "a\udcff", "b\udcff\x00", "a-1", "service_down", "c\udcff\n\x1b[2J")
    ways: list[Channel] = [Webhook(receiver.url, Origin("box-1")), Alertmanager(receiver.url, Origin("box-1"))]
    if apprise.installed():
        ways.append(apprise.Apprise(f"json://127.0.0.1:{receiver.port}/", "json"))
    for way in ways:
        await way.send([told], AT)
        await way.close()
    assert len(receiver.requests) == len(ways)
    assert all(request.json() for request in receiver.requests)


def test_where_the_address_itself_is_wrong_only_that_is_told(tmp_path: Path) -> None:
    environ = {
        "MONITORD_NOTIFY__SEVERITY_BY_CHANNEL": '{"webhook": "critical"}',
        "MONITORD_NOTIFY__WEBHOOK_URL": f"ftp://{TOKEN}",
    }
    assert [mistake.split(" ")[0] for mistake in mistakes(tmp_path, environ)] == ["MONITORD_NOTIFY__WEBHOOK_URL"]


@pytest.mark.parametrize("url", ["tgram://", "://x", f"a b://{TOKEN}", f"tgram://{TOKEN}\\u0000", TOKEN * 3 + "://x"])
def test_what_is_no_address_at_all_is_a_mistake(tmp_path: Path, url: str) -> None:
    (mistake,) = mistakes(tmp_path, {"MONITORD_NOTIFY__URLS": f'["{url}"]'})
    assert mistake.startswith("MONITORD_NOTIFY__URLS (environment): ")


def test_addresses_for_apprise_without_apprise_are_a_mistake_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apprise, "find_spec", lambda name: None)
    with pytest.raises(SettingsError) as caught:
        channels(settings(tmp_path))
    (mistake,) = caught.value.mistakes
    assert mistake.startswith("MONITORD_NOTIFY__URLS: ")
    assert mistake.endswith('pip install "monitord[apprise]"')


def test_a_signing_secret_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        channels(settings(tmp_path, WEBHOOK_SECRET=f"whsec_{TOKEN}!"))
    assert caught.value.mistakes == ("MONITORD_NOTIFY__WEBHOOK_SECRET: what follows whsec_ is not base64",)
