"""One channel at work: its queue, in order, and what it does when nobody takes what it brings.

Tried until it is accepted: at once, then after one second, then after twice as long each time, up to five minutes, each
with jitter. A queue that has grown old meanwhile is sent as one digest.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.model import Unmeasured
from monitord.logging.logger import JsonLog
from monitord.notify.channels.base import TOO_MANY, Channel, SendError
from monitord.notify.digest import digest
from monitord.notify.message import Message, Origin
from monitord.notify.routing import CHANNEL_PART, PlannedMessage

if TYPE_CHECKING:
    from monitord.notify.outbox import Outbox

FIRST_DELAY_SECONDS: Final = 1.0
LAST_DELAY_SECONDS: Final = 300.0
# What is new is worth another try sooner than an old delay would have it.
NEWS_DELAY_SECONDS: Final = 15.0
# A channel that failed for a moment is no trouble; one that failed so often, and for so long, is.
TROUBLE_FAILURES: Final = 2
TROUBLE_SECONDS: Final = 10.0
# A receiver that limits its rate and does not say for how long.
LIMITED_SECONDS: Final = 30.0
# One that asks to be left alone for longer than this has a failed delivery: that is worth an alert.
SHUT_SECONDS: Final = 60.0
# So slow to answer that many messages one after another would be old news by the end.
SLOW_SECONDS: Final = 2.0
# More than so many that are older than that are delivered as one.
DIGEST_FROM: Final = 4
DIGEST_AFTER: Final = timedelta(minutes=2)
QUEUE_AT_MOST: Final = 1000
_LOOK_SECONDS: Final = 30.0


class DeliveryWorker:
    """The queue of one channel, and the task that empties it, from `start` to `close`."""

    def __init__(self, channel: Channel, outbox: Outbox, log: JsonLog, sender: Origin) -> None:
        self.channel = channel
        self.sent = self.failures = 0
        self._outbox, self._log, self._sender = outbox, log, sender
        self._queue: dict[str, PlannedMessage] = {}
        self._firing: Sequence[Message] = ()
        self._superseded: dict[str, Message] = {}
        self._resent_at = float("-inf")
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._tries, self._closing = 0, False
        self._failing_since = self._tried_at = self._retry_at = float("-inf")
        # Not a message before this, whatever is new: the receiver has asked for it.
        self._banned_until = float("-inf")
        self._is_limited = self._is_slow = False
        self._error: SendError | None = None

    @property
    def waiting(self) -> tuple[PlannedMessage, ...]:
        return tuple(self._queue.values())

    def oldest_age(self, now: float) -> float | None:
        """For how many seconds the oldest of what is due has waited at `now` (Unix seconds); None: nothing is."""
        owed = [max(each.due, each.message.at.timestamp()) for each in self._queue.values() if each.is_due(now)]
        return max(0.0, now - min(owed)) if owed else None

    @property
    def failing(self) -> bool:
        """Whether deliveries fail, and have failed for long enough to say so."""
        now = asyncio.get_running_loop().time()
        # One that is to be left alone for long is not tried often enough to be counted.
        is_shut = self._tries > 0 and self._banned_until - self._tried_at > SHUT_SECONDS
        is_lost = self._error is not None and self._error.final
        fails = self._tries >= TROUBLE_FAILURES or is_shut or is_lost
        return fails and now - self._failing_since >= TROUBLE_SECONDS

    @property
    def trouble(self) -> Unmeasured | None:
        """That it fails, and how; None while it does not."""
        if not self.failing or self._error is None:
            return None
        kept = humanize.plural(len(self._queue), "message")
        oldest = min((each.message.at for each in self._queue.values()), default=None)
        since = "" if oldest is None else f", the oldest of {humanize.clock(oldest.replace(microsecond=0).timestamp())}"
        what = f"delivery to {self.channel.name} fails: {self._error.error} ({kept} waiting{since})"
        return Unmeasured(CHANNEL_PART + self.channel.name, self._error.kind, what)

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(), name=f"notify-{self.channel.name}")

    def put(self, items: Sequence[PlannedMessage]) -> None:
        """Add to the queue; what is in it already is not added again."""
        new = [item for item in items if item.message.id not in self._queue]
        if new:
            self._queue |= {item.message.id: item for item in new}
            if len(self._queue) > QUEUE_AT_MOST and not self.channel.policy.coalesces:
                latest = {item.message.alert_id: item for item in self._queue.values()}
                kept = {item.message.id: item for item in latest.values()}
                self._superseded |= {key: item.message for key, item in self._queue.items() if key not in kept}
                self._queue = kept
            self._retry_at = max(self._banned_until, min(self._retry_at, self._tried_at + NEWS_DELAY_SECONDS))
            self._wake.set()

    def follow(self, before: DeliveryWorker) -> None:
        """Take over from what was there before: its queue, and for as long as it is to be left alone."""
        if before.channel.policy.receiver == self.channel.policy.receiver:
            self._banned_until, self._is_limited = before._banned_until, before._is_limited
            self._tries, self._error = before._tries, before._error
            self._failing_since, self._tried_at = before._failing_since, before._tried_at
            self._retry_at = self._banned_until
        self.put(before.waiting)

    def firing(self, messages: Sequence[Message]) -> None:
        """What fires now: sent again and again, where the channel's policy asks for it."""
        self._firing = messages
        if self.channel.policy.resend_every is not None:
            self._wake.set()

    async def close(self, timeout: float) -> None:
        """Stop, once what is on its way has arrived (else the next run sends it once more) or half the time is up."""
        task, self._task = self._task, None
        if task is not None:
            self._closing = True
            self._wake.set()
            _, still = await asyncio.wait({task}, timeout=timeout / 2)
            for each in still:
                each.cancel()
                await asyncio.wait({each}, timeout=timeout / 2)
        await self.channel.close()

    async def _work(self) -> None:
        while not self._closing:
            try:
                await self._turn()
            except Exception as error:  # noqa: BLE001 - a bug costs one turn of one channel, and no more
                self._log.internal(f"delivery to {self.channel.name} failed inside", error)
                await asyncio.sleep(FIRST_DELAY_SECONDS)

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._closing:
            self._wake.clear()
        pause = self._retry_at - loop.time()
        messages = await self._next() if pause <= 0 else ()
        again = not messages and pause <= 0 and self._until_again() <= 0
        if messages or again:
            await self._send(messages or self._firing, again=again)
            return
        try:
            async with asyncio.timeout(min(_LOOK_SECONDS, pause if pause > 0 else self._until_due())):
                await self._wake.wait()
        except TimeoutError:
            return

    def _until_due(self) -> float:
        now = datetime.now(UTC).timestamp()
        return max(0.05, min((self._until_again(), *(each.due - now for each in self._queue.values()))))

    def _until_again(self) -> float:
        """Seconds until what fires is to be sent again; infinitely many where it is not."""
        every = self.channel.policy.resend_every
        if not self._firing or every is None:
            return float("inf")
        return self._resent_at + every - asyncio.get_running_loop().time()

    async def _next(self) -> Sequence[Message]:
        """What to send now: one message, a digest of many, or all of them where the channel takes many."""
        now = datetime.now(UTC)
        due = [each for each in self._queue.values() if each.is_due(now.timestamp())]
        if not self.channel.policy.coalesces:
            return [each.message for each in due[: self.channel.policy.batch]]
        news = [each for each in due if each.message.kind != "verdict"]
        held = [each for each in news if each.due]
        if len(held) > 1:
            return [await self._merge(held, "while it was quiet")]
        old = [each for each in news if now - each.message.at >= DIGEST_AFTER]
        # Each of them would cost a limited receiver another refusal, and the last of them a slow one too long.
        is_burst = len(news) > 1 if self._is_limited else self._is_slow and len(news) >= DIGEST_FROM
        if len(old) >= DIGEST_FROM or len(news) > QUEUE_AT_MOST or is_burst:
            return [await self._merge(news, "and delivery failed at the time")]
        return [each.message for each in due[:1]]

    async def _merge(self, items: Sequence[PlannedMessage], why: str) -> Message:
        """One digest in the place of these: kept under its own id first, so that a crash does not make another."""
        messages = [each.message for each in items]
        whole = digest(messages, self._sender.place, why, self._sender.links.page("/alerts"))
        await self._outbox.merged(self.channel.name, messages, whole)
        merged = {message.id for message in messages}
        rest = {key: each for key, each in self._queue.items() if key not in merged}
        self._queue = {whole.id: PlannedMessage(self.channel.name, whole)} | rest
        return whole

    async def _send(self, messages: Sequence[Message], *, again: bool) -> None:
        loop, policy = asyncio.get_running_loop(), self.channel.policy
        self._tried_at = loop.time()
        try:
            async with asyncio.timeout(policy.deadline):
                await self.channel.send(messages, datetime.now(UTC))
        except SendError as error:
            self._failed(messages, error)
            if error.final and not again:
                await self._taken_out(messages)
        except TimeoutError:
            late = SendError("timeout", f"it was not accepted within {humanize.duration(policy.deadline)}")
            self._failed(messages, late)
        except Exception as error:  # noqa: BLE001 - of this channel only, and it is tried again like any failure
            self._log.internal(f"sending through {self.channel.name} failed inside", error)
            self._failed(messages, SendError("internal", f"it failed inside ({type(error).__name__})"))
        else:
            self._resent_at = loop.time()
            self._is_limited, self._is_slow = False, loop.time() - self._tried_at >= SLOW_SECONDS
            attempt, self._tries, self._error = self._tries + 1, 0, None
            if again:
                return
            self.sent += len(messages)
            for message in messages:
                text = f"{self.channel.name} accepted: {message.title}"
                self._log.emit("notification_sent", "info", text, **self._about(message, attempt))
            await self._taken_out(messages)

    async def _taken_out(self, messages: Sequence[Message]) -> None:
        """These are not sent again: they were accepted, or never will be."""
        for message in messages:
            self._queue.pop(message.id, None)
        over, self._superseded = tuple(self._superseded.values()), {}
        await self._outbox.delivered(self.channel.name, (*messages, *over))

    def _failed(self, messages: Sequence[Message], error: SendError) -> None:
        now = asyncio.get_running_loop().time()
        if self._tries == 0:
            self._failing_since = now
        before, self._error = self._error, error
        self._tries += 1
        self.failures += 1
        delay = min(LAST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(self._tries - 1, 20))
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter needs no secrecy
        self._is_limited = error.retry_after is not None or error.status == TOO_MANY
        if error.final:
            delay = 0.0  # what comes next may well be accepted
        elif self._is_limited:
            least = LIMITED_SECONDS if error.retry_after is None else error.retry_after
            self._banned_until = now + least
            delay = max(delay, least)
        self._retry_at = now + delay
        # The first time, whenever it fails in another way, and ever more seldom.
        if before is None or before.error != error.error or self._tries & (self._tries - 1) == 0 or error.final:
            again = f"It is {'not ' if error.final else ''}tried again."
            text = f"Delivery to {self.channel.name} failed: {error.error}. {again}"
            about = self._about(messages[0], self._tries)
            self._log.emit("notification_failed", "warning", text, **about, kind=error.kind, error=error.error)

    def _about(self, message: Message, attempt: int) -> dict[str, object]:
        return {
            "channel": self.channel.name,
            "alert_id": message.alert_id or None,
            "message_id": message.id,
            "about": message.kind,
            "attempt": attempt,
        }
