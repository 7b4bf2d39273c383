"""Notifying as the settings have it: the channels, the sender, and what becomes of both at a reload."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitord import __version__
from monitord.config.routes import quiet_hours
from monitord.config.settings import Settings
from monitord.logging.logger import JsonLog
from monitord.notify.channels import heartbeat_sender, unheard
from monitord.notify.channels.base import DescribesChannel, SendError
from monitord.notify.dispatcher import Dispatcher, Publish
from monitord.notify.event_log import EventLog
from monitord.notify.message import Links
from monitord.notify.outbox import Outbox
from monitord.notify.routing import Origin
from monitord.storage.ack_tokens import key_of
from monitord.storage.store import Store
from monitord.threads import run_once

if TYPE_CHECKING:
    from monitord.notify.channels.base import Channel
    from monitord.pm2.bus import Bus
    from monitord.reporting.metric_families import Facts

KEY_SECONDS: Final = 2.0


class Notifying(Dispatcher):
    """The dispatcher of a daemon. `publish` is called with every cycle: whoever shows it."""

    def __init__(self, settings: Settings, store: Store, log: JsonLog, publish: Publish) -> None:
        self._log = log
        self._describing: asyncio.Task[None] | None = None
        outbox = Outbox(store, log, sender(settings))
        super().__init__(EventLog(log), outbox, heartbeat_sender(settings, self._beats), publish)

    async def open(self, channels: Sequence[Channel], settings: Settings) -> None:
        self.outbox.sender = sender(settings, await self._key(settings))
        await self.outbox.open(channels)
        self.describe(channels)
        self.say_unheard(settings)

    async def _key(self, settings: Settings) -> bytes:
        """What signs acknowledgements; nothing where no page is there for others, or there is no key to be had."""
        if settings.http.public_url is None:
            return b""
        try:
            return await run_once("ack key", key_of, settings.state_dir, timeout=KEY_SECONDS)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or "it took too long"
            message = f"Messages carry no link to acknowledge: the key for it cannot be had ({why})."
            self._log.emit("ack_links_off", "warning", message, error=why)
            return b""

    def say_unheard(self, settings: Settings) -> None:
        for gap in unheard(settings, datetime.now(UTC)):
            self._log.emit("alerts_unrouted", "warning", f"By MONITORD_NOTIFY__ROUTES {gap}.", gap=gap)

    def describe(self, channels: Sequence[Channel]) -> None:
        """Say of each channel that cannot close what it opens that it cannot. Asked in the background."""
        self._undescribe()
        if asked := [channel for channel in channels if isinstance(channel, DescribesChannel)]:
            self._describing = asyncio.get_running_loop().create_task(self._describe(asked), name="describe channels")

    async def _describe(self, channels: Sequence[DescribesChannel]) -> None:
        for channel in channels:
            name = getattr(channel, "name", "")
            try:
                closes = await channel.closes()
            except SendError as error:
                message = f"{name} cannot be used as it is set: {error.error}."
                self._log.emit("channel_unusable", "warning", message, channel=name, kind=error.kind, error=error.error)
            except Exception as error:  # noqa: BLE001 - it is only asked; what goes wrong in sending is reported then
                self._log.internal(f"what {name} can do could not be read", error)
            else:
                if not closes:
                    why = "it takes no identity of an alert, so that an alert's end is a message of its own there"
                    message = f"{name} cannot close what it opens: {why}."
                    self._log.emit("channel_cannot_close", "info", message, channel=name)

    def _undescribe(self) -> None:
        task, self._describing = self._describing, None
        if task is not None:
            task.cancel()

    async def close(self, timeout: float) -> None:
        self._undescribe()
        await super().close(timeout)

    async def reopen(self, channels: Sequence[Channel], new: Settings, old: Settings, timeout: float) -> None:
        """The channels that the new settings ask for; where nothing about them is new, those that are there stay."""
        if _about(new) == _about(old):
            return
        await self.outbox.reopen(channels, sender(new, await self._key(new)), timeout)
        self.describe(channels)
        self.say_unheard(new)
        if _beat(new) != _beat(old):
            before, self.heartbeat = self.heartbeat, heartbeat_sender(new, self._beats)
            if before is not None:
                await before.close()

    def facts(self, settings: Settings, bus: Bus | None) -> Facts:
        """What the metrics say of monitord itself, beside its last cycle."""
        from monitord.reporting.metric_families import ChannelFigures, Facts  # only for who scrapes

        now = datetime.now(UTC).timestamp()
        return Facts(
            *(__version__, settings.instance, settings.fleet),
            bus_connected=None if bus is None else bus.connected,
            bus_dropped=None if bus is None else bus.dropped,
            outbox={
                one.channel.name: ChannelFigures(len(one.waiting), one.oldest_age(now), one.sent, one.failures)
                for one in self.outbox.workers
            },
        )

    def _beats(self, is_taken: bool, error: str) -> None:
        if is_taken:
            self._log.emit("heartbeat_recovered", "info", "The heartbeat is accepted again.")
        else:
            self._log.emit("heartbeat_failed", "warning", f"{error[:1].upper()}{error[1:]}.", error=error)


def sender(settings: Settings, key: bytes = b"") -> Origin:
    """The sender, by these settings; `key` signs acknowledgements."""
    written = settings.notify.quiet_hours
    links = Links(settings.http.public_url or "", key)
    return Origin(settings.instance, settings.fleet, quiet_hours(written) if written else None, links)


def _beat(settings: Settings) -> tuple[object, ...]:
    return (settings.notify.heartbeat_url, settings.notify.heartbeat_style)


def _about(settings: Settings) -> tuple[object, ...]:
    """Everything that a channel is made of; the page's address stands in what is posted to Alertmanager."""
    return (settings.notify, settings.instance, settings.fleet, settings.http)
