"""The outbox: what is to be sent is kept in the snapshot before it is sent, and until it was accepted, under one id."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from monitord.core.codec import decode, encode
from monitord.core.engine import Decision
from monitord.core.model import Unmeasured
from monitord.core.report.model import Report
from monitord.logging.logger import JsonLog
from monitord.notify.channels.base import Channel
from monitord.notify.delivery import DeliveryWorker
from monitord.notify.message import Message, Origin
from monitord.notify.routing import PlannedMessage, plan, still_firing, verdict_message
from monitord.storage.outbox import NotifiedChannels, OutboxEntry
from monitord.storage.store import Store

STORE_SECONDS: Final = 2.0


class Outbox:
    """Every channel, and what each has still to deliver."""

    def __init__(self, store: Store, log: JsonLog, sender: Origin) -> None:
        self.sender = sender
        self._store, self._log = store, log
        self._workers: dict[str, DeliveryWorker] = {}
        self._notified: NotifiedChannels = {}
        self._unsaved: list[PlannedMessage] = []
        self._undeleted: dict[str, set[str]] = {}
        self._files = 0

    @property
    def workers(self) -> Sequence[DeliveryWorker]:
        return tuple(self._workers.values())

    async def open(self, channels: Sequence[Channel]) -> None:
        """Begin with these channels, and with what the last run has not delivered."""
        rows: Sequence[OutboxEntry] = ()
        try:
            rows, self._notified = await self._store.waiting(STORE_SECONDS)
        except Exception as error:  # noqa: BLE001 - what cannot be read is reported by the store; what is new is sent
            self._log.internal("what was still to be sent could not be read", error)
        self._use(channels)
        lost: dict[str, list[str]] = {}
        for row in rows:
            worker, message = self._workers.get(row.channel), _read(row.body)
            if worker is None or message is None:
                lost.setdefault(row.channel, []).append(row.message_id)
            else:
                worker.put((PlannedMessage(row.channel, message, row.due),))
        self._files = self._store.files
        for channel, ids in lost.items():
            await self._drop(channel, ids)

    async def reopen(self, channels: Sequence[Channel], sender: Origin, timeout: float) -> None:
        """These channels from now on: one of a name that was there keeps its queue. The old ones are closed first."""
        before, self.sender = self._workers, sender
        await _close(list(before.values()), timeout)
        self._use(channels)
        for name, old in before.items():
            if (worker := self._workers.get(name)) is not None:
                worker.follow(old)
            elif old.waiting:
                await self._drop(name, [item.message.id for item in old.waiting])

    def _use(self, channels: Sequence[Channel]) -> None:
        self._workers = {channel.name: DeliveryWorker(channel, self, self._log, self.sender) for channel in channels}
        for worker in self._workers.values():
            worker.start()

    # One cycle: planned before it is saved, delivered after

    def plan(self, decision: Decision) -> tuple[list[OutboxEntry], NotifiedChannels]:
        """The messages of a cycle, as they are to be saved, with what could not be saved before. Never raises."""
        if not self._workers:
            self._notified = {}  # nobody is notified, and nobody who comes later was
            return [], self._notified
        channels = [worker.channel for worker in self._workers.values()]
        try:
            planned, notified = plan(decision, self._notified, channels, self.sender)
            rows = [_row(each) for each in planned]
        except Exception as error:  # noqa: BLE001 - a bug costs these messages; it must not cost the cycle
            self._log.internal("the messages of a cycle could not be planned", error)
            planned, rows, notified = [], [], dict(self._notified)
        before = [_row(each) for each in self._unsaved]
        self._notified = notified
        self._unsaved += planned
        return [*before, *rows], notified

    def deliver(self, decision: Decision) -> None:
        """Send what was planned: saved, or from memory where saving failed. Never raises."""
        for each in self._unsaved:
            if (worker := self._workers.get(each.channel)) is not None:
                worker.put((each,))
        # What is in no file, or in one that is gone, is saved with the next cycle, unless it was accepted by then.
        is_saved = self._store.problem is None and self._files == self._store.files
        self._unsaved = [] if is_saved else [each for worker in self._workers.values() for each in worker.waiting]
        self._files = self._store.files
        for worker in self._workers.values():
            if worker.channel.policy.resend_every is None:
                continue
            try:
                worker.firing(still_firing(decision, worker.channel, self.sender, self._notified))
            except Exception as error:  # noqa: BLE001 - as above
                self._log.internal(f"what fires could not be made for {worker.channel.name}", error)

    async def verdict(self, report: Report) -> None:
        """Sends the verdict of a report, wherever whole sentences are read, of what has no end too."""
        message = verdict_message(report, self.sender)
        policies = {worker.channel.name: worker.channel.policy for worker in self._workers.values()}
        read = [name for name, policy in policies.items() if policy.coalesces and not policy.incidents]
        planned = [PlannedMessage(name, message) for name in read]
        with suppress(Exception):  # what cannot be kept is sent from memory
            await self._store.queue([_row(each) for each in planned], STORE_SECONDS)
        for each in planned:
            if (worker := self._workers.get(each.channel)) is not None:  # the settings may be others by now
                worker.put((each,))

    def troubles(self) -> list[Unmeasured]:
        return [trouble for worker in self._workers.values() if (trouble := worker.trouble) is not None]

    @property
    def works(self) -> bool:
        """Whether a notification can be delivered: not while every channel fails."""
        return not self._workers or not all(worker.failing for worker in self._workers.values())

    async def close(self, timeout: float) -> None:
        """Stop sending. What was not accepted is sent by the next run."""
        await _close(list(self._workers.values()), timeout)

    # What the channels report of their queues

    async def delivered(self, channel: str, messages: Sequence[Message]) -> None:
        """A channel has accepted these: they are not sent again."""
        ids = self._undeleted.setdefault(channel, set()) | self._saved(channel, messages)
        self._undeleted[channel] = ids
        with suppress(Exception):  # the disk's trouble is reported elsewhere; they are deleted with the next
            await self._store.delivered(channel, sorted(ids), STORE_SECONDS)
            self._undeleted[channel] -= ids

    async def merged(self, channel: str, messages: Sequence[Message], into: Message) -> None:
        ids = self._saved(channel, messages)
        row = _row(PlannedMessage(channel, into))
        try:
            await self._store.delivered(channel, sorted(ids), STORE_SECONDS, row)
        except Exception:  # noqa: BLE001 - the disk's trouble is reported elsewhere: from memory, then
            self._unsaved.append(PlannedMessage(channel, into))
            self._undeleted.setdefault(channel, set()).update(ids)

    def _saved(self, channel: str, messages: Sequence[Message]) -> set[str]:
        """The ids of messages that need not be saved any more."""
        ids = {message.id for message in messages}
        self._unsaved = [each for each in self._unsaved if each.channel != channel or each.message.id not in ids]
        return ids

    async def _drop(self, channel: str, ids: Sequence[str]) -> None:
        message = f"Channel {channel} is no longer configured; {len(ids)} of its messages were never delivered."
        self._log.emit("notification_dropped", "warning", message, channel=channel, messages=len(ids))
        with suppress(Exception):
            await self._store.delivered(channel, ids, STORE_SECONDS)


async def _close(workers: Sequence[DeliveryWorker], timeout: float) -> None:
    if workers:
        closing = [asyncio.create_task(worker.close(timeout)) for worker in workers]
        done, late = await asyncio.wait(closing, timeout=timeout)
        for task in late:
            task.cancel()
        for task in done:
            task.exception()


def _row(planned: PlannedMessage) -> OutboxEntry:
    body = json.dumps(encode(planned.message), ensure_ascii=False, separators=(",", ":"))
    return OutboxEntry(planned.channel, planned.message.id, planned.due, body)


def _read(body: str) -> Message | None:
    """The message of a row; None where it is none that this monitord knows."""
    try:
        return decode(Message, json.loads(body))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
