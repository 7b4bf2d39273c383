"""From settings to channels. Each module is loaded only where such a channel is configured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from monitord.config import routes
from monitord.config.listening import is_loopback, listen_address
from monitord.config.routes import Route, quiet_hours
from monitord.config.settings import Settings, SettingsError
from monitord.core.model import RANK
from monitord.core.subjects import RULES
from monitord.masking import revealed
from monitord.notify.channels.base import Channel
from monitord.notify.message import Links, Origin

if TYPE_CHECKING:
    from monitord.notify.channels.heartbeat import Heartbeat

_SIGNING: Final = "MONITORD_NOTIFY__WEBHOOK_SECRET"
_URLS: Final = "MONITORD_NOTIFY__URLS"
_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104 - nothing listens by this


def channels(settings: Settings, *, remembers: bool = True) -> tuple[Channel, ...]:
    """Every channel that is configured, the heartbeat aside. Nothing is connected yet.

    `remembers`: what a service opens is remembered in the state directory, so that a later message can close it.
    SettingsError where something that one of them needs is not installed, or the webhook's secret is no secret.
    """
    notify, origin, found = settings.notify, origin_of(settings), list[Channel]()
    if notify.webhook_url is not None:
        from monitord.notify.channels.webhook import Webhook

        try:
            found.append(Webhook(notify.webhook_url.get_secret_value(), origin, revealed(notify.webhook_secret)))
        except ValueError as error:
            raise SettingsError((f"{_SIGNING}: {error}",)) from None
    if notify.alertmanager_url is not None:
        from monitord.notify.channels.alertmanager import Alertmanager

        found.append(Alertmanager(notify.alertmanager_url.get_secret_value(), origin))
    if notify.pagerduty_key is not None:
        from monitord.notify.channels.pagerduty import ENDPOINT, PagerDuty

        url = revealed(notify.pagerduty_url) or ENDPOINT
        found.append(PagerDuty(notify.pagerduty_key.get_secret_value(), origin, url))
    if notify.urls:
        from monitord.notify.channels.apprise import Apprise, installed

        if not installed():
            raise SettingsError(
                (f'{_URLS}: Apprise is not installed, and these are its addresses: pip install "monitord[apprise]"',)
            )
        store = settings.state_dir / "apprise" if remembers else None
        for name, secret_url in zip(notify.channel_names[-len(notify.urls) :], notify.urls, strict=True):
            found.append(Apprise(secret_url.get_secret_value(), name, store))
    for channel in found:
        least = notify.severity_by_channel.get(channel.name, "warning")
        channel.policy = replace(channel.policy, least=least, routes=notify.routes.get(channel.name, ()))
    return tuple(found)


def origin_of(settings: Settings, key: bytes = b"") -> Origin:
    """`key` signs acknowledgements."""
    written = settings.notify.quiet_hours
    quiet, links = quiet_hours(written) if written else None, Links(settings.http.public_url or "", key)
    return Origin(settings.instance, settings.fleet, quiet, links, _page(settings))


def unheard(settings: Settings, day: datetime) -> tuple[str, ...]:
    """Of which alerts nobody is notified by the routes that are set, a sentence each; nothing where none is set."""
    notify = settings.notify
    if not notify.routes:
        return ()
    found = list[Route]()
    for name in notify.channel_names:
        least = notify.severity_by_channel.get(name, "warning")
        for route in notify.routes.get(name, (Route(),)):
            found.append(replace(route, severity=max(route.severity, least, key=RANK.__getitem__)))
    return tuple(routes.unheard(found, {rule.name: rule.severities for rule in RULES}, day))


def heartbeat_sender(settings: Settings, on_edge: Callable[[bool, str], None] | None = None) -> Heartbeat | None:
    """The heartbeat, where one is configured; `on_edge` is called when it begins to fail and when it recovers."""
    if settings.notify.heartbeat_url is None:
        return None
    from monitord.notify.channels.heartbeat import Heartbeat

    return Heartbeat(settings.notify.heartbeat_url.get_secret_value(), on_edge, style=settings.notify.heartbeat_style)


def _page(settings: Settings) -> str:
    """Where others find the page; "" where it is off, for this machine alone, or at an address they cannot name."""
    if not settings.http.listen:
        return ""
    host, port = listen_address(settings.http.listen)
    if is_loopback(host) or host in _WILDCARDS:
        return ""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
