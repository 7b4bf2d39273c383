"""Everything that receives a cycle as one: the log, the outbox behind it, and the heartbeat that says that it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitord import __version__
from monitord.config.settings import Settings
from monitord.core.engine import Decision
from monitord.core.humanize import capital
from monitord.core.model import Unmeasured
from monitord.core.report.model import Report
from monitord.core.status import verdict
from monitord.logging.logger import JsonLog
from monitord.notify.channels import heartbeat_sender, origin_of, unheard
from monitord.notify.channels.base import DescribesChannel, SendError
from monitord.notify.event_log import EventLog
from monitord.notify.outbox import Outbox
from monitord.storage.ack_tokens import key_of
from monitord.storage.store import Store
from monitord.threads import run_once

if TYPE_CHECKING:
    from monitord.notify.channels.base import Channel
    from monitord.pm2.bus import Bus
    from monitord.reporting.metric_families import Facts

KEY_SECONDS: Final = 2.0

# Receives a decision, who asked for it ("": nobody), and how many milliseconds it took. Never raises.
Publish = Callable[[Decision, str, float], None]


class Dispatcher:
    """What monitord reports, to every receiver that the settings have; they may be others after a reload.

    `publish` is called with every cycle, last: whoever shows it.
    """

    def __init__(self, settings: Settings, store: Store, log: JsonLog, publish: Publish | None = None) -> None:
        self._log = log
        self._describing: asyncio.Task[None] | None = None
        self._publish = publish
        self.events = EventLog(log)
        self.outbox = Outbox(store, log, origin_of(settings))
        self.heartbeat = heartbeat_sender(settings, self._beats)

    async def open(self, channels: Sequence[Channel], settings: Settings) -> None:
        self.outbox.sender = origin_of(settings, await self._key(settings))
        await self.outbox.open(channels)
        self._found_out(channels, settings)

    def begin(self) -> None:
        if self.heartbeat is not None:
            self.heartbeat.begin()

    def deliver(self, decision: Decision, trigger: str, duration_ms: float) -> None:
        """Say what a cycle decided, and send what was planned of it."""
        self.events.write(decision, trigger, duration_ms)
        self.outbox.deliver(decision)
        if self._publish is not None:
            self._publish(decision, trigger, duration_ms)

    def end(self, decision: Decision | None, problem: str) -> None:
        """A whole cycle has ended; `problem` is "" where all of it went well, `decision` None where it was not judged.

        The heartbeat says that monitord works, not that the fleet does: that is what alerts are for.
        """
        if self.heartbeat is None:
            return
        if not problem and not self.outbox.works:
            problem = "no channel delivers: " + "; ".join(gap.error for gap in self.outbox.troubles())
        seen = "" if decision is None else f"{decision.report.status.upper()}: {verdict(decision.report)}"
        self.heartbeat.end(not problem, problem or seen)

    async def verdict(self, report: Report) -> None:
        self.events.verdict(report)
        await self.outbox.verdict(report)

    def troubles(self) -> list[Unmeasured]:
        heartbeat = None if self.heartbeat is None else self.heartbeat.trouble
        return [*self.events.troubles(), *self.outbox.troubles(), *filter(None, (heartbeat,))]

    async def close(self, timeout: float) -> None:
        """Stop all deliveries but the log."""
        self._undescribe()
        await self.outbox.close(timeout)
        if self.heartbeat is not None:
            await self.heartbeat.close()

    # What the settings have: at the start, and after a reload

    async def reopen(self, channels: Sequence[Channel], new: Settings, old: Settings, timeout: float) -> None:
        """The channels that the new settings ask for; where nothing about them is new, those that are there stay."""
        if _about(new) == _about(old):
            return
        await self.outbox.reopen(channels, origin_of(new, await self._key(new)), timeout)
        self._found_out(channels, new)
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
            self._log.emit("heartbeat_failed", "warning", f"{capital(error)}.", error=error)

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

    def _found_out(self, channels: Sequence[Channel], settings: Settings) -> None:
        """Say of which alerts nobody is notified, and, once it is asked, which channels cannot close what they open."""
        for gap in unheard(settings, datetime.now(UTC)):
            self._log.emit("alerts_unrouted", "warning", f"By MONITORD_NOTIFY__ROUTES {gap}.", gap=gap)
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


def _beat(settings: Settings) -> tuple[object, ...]:
    return (settings.notify.heartbeat_url, settings.notify.heartbeat_style)


def _about(settings: Settings) -> tuple[object, ...]:
    """Everything that a channel is made of; the page's address stands in what is posted to Alertmanager."""
    return (settings.notify, settings.instance, settings.fleet, settings.http)
