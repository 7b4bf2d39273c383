"""The outbox on a real snapshot: at least once, under one id, in order, however the receivers and the disk behave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from monitord.core.codec import encode
from monitord.core.engine import Decision, State
from monitord.core.model import Unmeasured
from monitord.logging.logger import JsonLog
from monitord.notify import delivery
from monitord.notify.channels.base import DeliveryPolicy, SendError
from monitord.notify.message import Message, Origin
from monitord.notify.outbox import Outbox
from monitord.notify.routing import PlannedMessage
from monitord.storage.outbox import OutboxEntry
from monitord.storage.reader import CheckRun
from monitord.storage.store import CycleRecord, Store
from tests.core.nights import Night, watching

from .receivers import message

WAIT = 10.0
AT_ONCE = 0.03
BOX = Origin("box-1")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr(delivery, "FIRST_DELAY_SECONDS", 0.02)


class Listener:
    """A channel that remembers what it was told; `refuses` is how it fails meanwhile, `hangs` that it never answers."""

    def __init__(self, name: str = "webhook", policy: DeliveryPolicy | None = None) -> None:
        self.name, self.policy = name, policy or DeliveryPolicy()
        self.taken: list[Message] = []
        self.tried = 0
        self.refuses: SendError | None = None
        self.hangs = False
        self._heard = asyncio.Condition()

    async def send(self, messages: Sequence[Message], now: datetime) -> None:
        self.tried += 1
        async with self._heard:
            self._heard.notify_all()
        if self.hangs:
            await asyncio.Event().wait()
        if self.refuses is not None:
            raise self.refuses
        async with self._heard:
            self.taken += messages
            self._heard.notify_all()

    async def close(self) -> None: ...

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT), self._heard:
            await self._heard.wait_for(holds)

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.taken]


def all_told(taken: Sequence[Message], number: int) -> bool:
    """Whether so many messages came, those of a digest counted one by one."""
    return sum(max(1, len(message.parts)) for message in taken) == number


class Said:
    """A log, and what it said."""

    def __init__(self) -> None:
        self._text = StringIO()
        self.log = JsonLog(self._text)

    def events(self, name: str) -> list[dict[str, Any]]:
        self.log.flush()
        lines = [json.loads(line) for line in self._text.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path)
    await store.load(WAIT)
    yield store
    await store.close(WAIT)


@pytest.fixture
def said() -> Said:
    return Said()


def nights() -> Night:
    night = watching("pm2")
    night["gateway"].stops()
    night.passes(minutes=1)
    return night


def firing() -> tuple[Decision, CycleRecord]:
    look = next(look for look in nights().looks if any(t.edge == "firing" for t in look.decision.transitions))
    return look.decision, CycleRecord(
        look.decision.state,
        look.observation,
        CheckRun("", look.observation.now, 0.0, look.decision.orders),
        look.decision.transitions,
    )


async def cycle(outbox: Outbox, store: Store) -> str:
    """One cycle in which gateway's alert fires: planned, saved, delivered. Returns its message's id."""
    decision, record = firing()
    queued, told = outbox.plan(decision)
    await store.save(replace(record, queued=queued, notified=told), WAIT)
    outbox.deliver(decision)
    return queued[-1].message_id


async def kept(store: Store) -> list[str]:
    rows, _ = await store.waiting(WAIT)
    return [f"{row.channel} {row.message_id}" for row in rows]


async def test_what_a_cycle_gives_to_tell_is_in_the_snapshot_before_it_is_sent_and_gone_when_it_was_taken(
    store: Store, said: Said
) -> None:
    listener = Listener()
    listener.hangs = True
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    identity = await cycle(outbox, store)
    assert await kept(store) == [f"webhook {identity}"]
    await outbox.close(AT_ONCE)

    again, second = Outbox(store, said.log, BOX), Listener()
    await again.open([second])
    await second.until(lambda: second.ids == [identity])
    await again.close(WAIT)
    assert await kept(store) == []
    (sent,) = said.events("notification_sent")
    assert (sent["channel"], sent["message_id"], sent["attempt"], sent["about"]) == ("webhook", identity, 1, "firing")


async def test_a_receiver_that_fails_is_tried_again_under_the_same_id_until_it_takes_it(
    store: Store, said: Said
) -> None:
    listener = Listener()
    listener.refuses = SendError("refused", "it answered 503")
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    identity = await cycle(outbox, store)
    await listener.until(lambda: listener.tried == 2)
    listener.refuses = None
    await listener.until(lambda: listener.ids == [identity])
    await outbox.close(WAIT)
    failed = said.events("notification_failed")
    assert [line["attempt"] for line in failed] == [1, 2]
    assert failed[0]["error"] == "it answered 503"
    assert said.events("notification_sent")[0]["attempt"] == 3


async def test_one_dead_way_out_holds_up_no_other(store: Store, said: Said) -> None:
    dead, alive = Listener("webhook", DeliveryPolicy(deadline=0.03)), Listener("ntfy")
    dead.hangs = True
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([dead, alive])
    identity = await cycle(outbox, store)
    await alive.until(lambda: alive.ids == [identity])
    await dead.until(lambda: dead.tried == 2)
    assert outbox.works
    await outbox.close(AT_ONCE)
    assert await kept(store) == [f"webhook {identity}"]
    assert said.events("notification_failed")[0]["kind"] == "timeout"


async def test_a_way_out_that_fails_for_long_is_trouble_and_once_it_is_told_again_it_is_none(
    store: Store, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TROUBLE_SECONDS", 0.0)
    listener = Listener()
    listener.refuses = SendError("auth", "it answered 403")
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    await cycle(outbox, store)
    await listener.until(lambda: listener.tried == 2)
    (gap,) = outbox.troubles()
    assert (gap.subject, gap.kind) == ("notify webhook", "auth")
    assert gap.error.startswith("delivery to webhook fails: it answered 403 (1 message waiting, the oldest of ")
    assert not outbox.works
    listener.refuses = None
    await listener.until(lambda: bool(listener.taken))
    assert outbox.troubles() == []
    await outbox.close(WAIT)


async def test_a_bug_in_one_way_out_costs_no_message(store: Store, said: Said) -> None:
    class Broken(Listener):
        async def send(self, messages: Sequence[Message], now: datetime) -> None:
            if not self.tried:
                self.tried += 1
                raise KeyError("a bug")
            await super().send(messages, now)

    listener = Broken()
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    identity = await cycle(outbox, store)
    await listener.until(lambda: listener.ids == [identity])
    await outbox.close(WAIT)
    assert said.events("internal_error")


async def test_where_nothing_can_be_saved_it_is_told_from_memory(tmp_path: Path, said: Said) -> None:
    (tmp_path / "snapshot.db").mkdir()
    store = Store(tmp_path)
    await store.load(WAIT)
    listener = Listener()
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    identity = await cycle(outbox, store)
    assert store.problem is not None
    await listener.until(lambda: listener.ids == [identity])
    await outbox.close(WAIT)
    await store.close(WAIT)


async def test_what_could_not_be_saved_is_saved_with_the_next_cycle(store: Store, said: Said) -> None:
    listener = Listener()
    listener.refuses = SendError("refused", "nobody listens")
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    decision, record = firing()
    queued, _ = outbox.plan(decision)
    store.problem = "its snapshot cannot be written: disk full"
    outbox.deliver(decision)
    quiet = replace(decision, transitions=(), reminders=(), actions=())
    again, told = outbox.plan(quiet)
    assert [row.message_id for row in again] == [row.message_id for row in queued]
    await store.save(replace(record, queued=again, notified=told), WAIT)
    outbox.deliver(quiet)
    assert await kept(store) == [f"webhook {queued[0].message_id}"]
    assert outbox.plan(quiet)[0] == []
    await outbox.close(WAIT)


async def put(store: Store, *messages: Message, channel: str = "webhook", due: float = 0.0) -> None:
    await store.queue([replace(_row(channel, each), due=due) for each in messages], WAIT)


def _row(channel: str, each: Message) -> OutboxEntry:
    return OutboxEntry(channel, each.id, 0.0, json.dumps(encode(each)))


async def test_after_a_long_outage_many_are_told_as_one_whose_id_a_crash_does_not_change(
    store: Store, said: Said
) -> None:
    await put(store, *(message(identity=f"m-{number}") for number in range(6)))
    deaf = Listener()
    deaf.refuses = SendError("refused", "nobody listens")
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([deaf])
    await deaf.until(lambda: deaf.tried == 1)
    (row,) = await kept(store)
    await outbox.close(WAIT)

    again, listener = Outbox(store, said.log, BOX), Listener()
    await again.open([listener])
    await listener.until(lambda: bool(listener.taken))
    await again.close(WAIT)
    (told,) = listener.taken
    assert (told.kind, f"webhook {told.id}") == ("digest", row)
    assert [part.id for part in told.parts] == [f"m-{number}" for number in range(6)]


async def test_a_few_old_ones_are_told_one_by_one_in_order(store: Store, said: Said) -> None:
    await put(store, *(message(identity=f"m-{number}") for number in range(3)))
    outbox, listener = Outbox(store, said.log, BOX), Listener()
    await outbox.open([listener])
    await listener.until(lambda: len(listener.taken) == 3)
    await outbox.close(WAIT)
    assert listener.ids == ["m-0", "m-1", "m-2"]


async def test_where_many_are_taken_at_once_they_go_together_as_they_are(store: Store, said: Said) -> None:
    await put(store, *(message(identity=f"m-{number}") for number in range(6)), channel="alertmanager")
    outbox = Outbox(store, said.log, BOX)
    listener = Listener("alertmanager", DeliveryPolicy(coalesces=False, quiet=False, resend_every=60.0))
    await outbox.open([listener])
    await listener.until(lambda: len(listener.taken) == 6)
    await outbox.close(WAIT)
    assert listener.tried == 1


async def test_what_waits_for_the_end_of_quiet_hours_is_then_one_digest(store: Store, said: Said) -> None:
    held_back = message(severity="warning", identity="m-1"), message("resolved", "warning", identity="m-2")
    for seconds in (0.1, 2.0):  # where the machine is too busy to tell the critical one within the first
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        await put(store, *held_back, due=end.timestamp())
        await put(store, message(identity="m-3"))
        outbox, listener = Outbox(store, said.log, BOX), Listener()
        await outbox.open([listener])
        await listener.until(partial(all_told, listener.taken, 3))
        await outbox.close(WAIT)
        if listener.taken[0].id == "m-3":
            break
    critical, held = listener.taken
    assert critical.id == "m-3"
    assert (held.kind, [part.id for part in held.parts]) == ("digest", ["m-1", "m-2"])


async def test_what_fires_is_said_again_and_again_where_the_receiver_forgets(store: Store, said: Said) -> None:
    listener = Listener("alertmanager", DeliveryPolicy(coalesces=False, quiet=False, resend_every=0.02))
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    await cycle(outbox, store)
    await listener.until(lambda: len(listener.taken) >= 4)
    decision, _ = firing()
    outbox.deliver(replace(decision, state=State(), transitions=(), actions=()))
    await outbox.close(WAIT)
    assert {told.rule for told in listener.taken} == {"service_down"}
    assert len(said.events("notification_sent")) == 1


async def test_what_is_owed_has_an_age_and_what_waits_on_purpose_has_none(store: Store, said: Said) -> None:
    listener = Listener()
    listener.hangs = True
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    now = datetime.now(UTC)
    (worker,) = outbox.workers
    worker.put([PlannedMessage("webhook", message(identity="held"), due=(now + timedelta(hours=1)).timestamp())])
    assert worker.oldest_age(now.timestamp()) is None
    worker.put([PlannedMessage("webhook", message(identity="owed", at=now - timedelta(seconds=90)))])
    assert worker.oldest_age(now.timestamp()) == pytest.approx(90)
    # Held back for an hour, it is owed since then, however old it is.
    assert worker.oldest_age((now + timedelta(hours=2)).timestamp()) == pytest.approx(7290)
    await outbox.close(AT_ONCE)


async def test_a_way_out_that_is_replaced_keeps_its_queue_and_one_that_is_gone_says_what_it_leaves(
    store: Store, said: Said
) -> None:
    dead, gone = Listener("webhook"), Listener("ntfy")
    for each in (dead, gone):
        each.refuses = SendError("dns", "no such host")
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([dead, gone])
    identity = await cycle(outbox, store)
    await gone.until(lambda: gone.tried == 1)
    right = Listener("webhook")
    await outbox.reopen([right], BOX, WAIT)
    await right.until(lambda: right.ids == [identity])
    await outbox.close(WAIT)
    (dropped,) = said.events("notification_dropped")
    assert (dropped["channel"], dropped["messages"]) == ("ntfy", 1)
    assert await kept(store) == []


async def test_rows_that_are_no_messages_are_dropped_and_said(store: Store, said: Said) -> None:
    await store.queue([OutboxEntry("webhook", "m-0", 0.0, "{not json"), _row("webhook", message())], WAIT)
    outbox, listener = Outbox(store, said.log, BOX), Listener()
    await outbox.open([listener])
    await listener.until(lambda: listener.ids == ["m-1"])
    await outbox.close(WAIT)
    assert said.events("notification_dropped")[0]["messages"] == 1


async def test_without_ways_out_nothing_is_kept(store: Store, said: Said) -> None:
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([])
    decision, _ = firing()
    assert outbox.plan(decision) == ([], {})
    assert outbox.works
    assert outbox.troubles() == list[Unmeasured]()


async def test_what_waits_is_saved_again_where_the_file_it_stood_in_is_gone(store: Store, said: Said) -> None:
    deaf = Listener()
    deaf.refuses = SendError("refused", "nobody listens")
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([deaf])
    identity = await cycle(outbox, store)
    store.path.unlink()
    decision, record = firing()
    quiet = replace(decision, transitions=(), reminders=(), actions=())
    for _ in range(2):  # the first finds out, the second mends it
        queued, told = outbox.plan(quiet)
        await store.save(replace(record, queued=queued, notified=told), WAIT)
        outbox.deliver(quiet)
    assert await kept(store) == [f"webhook {identity}"]
    await outbox.close(WAIT)


async def test_a_cycle_that_cannot_be_told_is_saved_all_the_same(store: Store, said: Said) -> None:
    class Odd(Listener):
        @property
        def policy(self) -> DeliveryPolicy:
            raise RuntimeError("a bug")

        @policy.setter
        def policy(self, value: DeliveryPolicy) -> None: ...

    outbox = Outbox(store, said.log, BOX)
    await outbox.open([Odd()])
    decision, _ = firing()
    assert outbox.plan(decision) == ([], {})
    assert said.events("internal_error")
    await outbox.close(WAIT)


async def test_what_was_merged_while_the_file_was_gone_is_not_sent_again(store: Store, said: Said) -> None:
    await put(store, *(message(identity=f"m-{number}") for number in range(6)))
    whole = message(identity="m-all")
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([])
    await put(store, *(message(identity=f"m-{number}") for number in range(6)))
    away = store.path.with_name("away")
    store.path.rename(away)
    await outbox.merged("webhook", [message(identity=f"m-{number}") for number in range(6)], whole)
    away.rename(store.path)
    await outbox.delivered("webhook", [whole])
    assert await kept(store) == []
    await outbox.close(WAIT)


async def test_what_newer_messages_of_an_alert_make_needless_is_not_kept(
    store: Store, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "QUEUE_AT_MOST", 3)
    await put(store, *(message(identity=f"m-{number}") for number in range(6)), channel="alertmanager")
    outbox = Outbox(store, said.log, BOX)
    listener = Listener("alertmanager", DeliveryPolicy(coalesces=False, quiet=False))
    await outbox.open([listener])
    await listener.until(lambda: bool(listener.taken))
    await outbox.close(WAIT)
    assert "m-5" in listener.ids
    assert await kept(store) == []


async def test_what_was_held_by_a_clock_that_was_years_ahead_is_told(store: Store, said: Said) -> None:
    await put(store, message(severity="warning"), due=(datetime.now(UTC) + timedelta(days=400)).timestamp())
    outbox, listener = Outbox(store, said.log, BOX), Listener()
    await outbox.open([listener])
    await listener.until(lambda: listener.ids == ["m-1"])
    await outbox.close(WAIT)


# Receivers that limit their rate


async def refused(worker: delivery.DeliveryWorker) -> None:
    """Wait until the worker has heard that it was refused."""
    async with asyncio.timeout(WAIT):
        while worker.failures == 0:  # noqa: ASYNC110 - nobody is told of it but the worker itself
            await asyncio.sleep(0)


async def test_nothing_is_sent_before_a_receiver_that_asked_for_it_may_be_told_and_then_it_is_one_digest(
    store: Store, said: Said
) -> None:
    listener = Listener()
    listener.refuses = SendError("refused", "it answers 429", status=429, retry_after=600.0)
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    (worker,) = outbox.workers
    worker.put([PlannedMessage("webhook", message(identity="m-1", at=datetime.now(UTC)))])
    await refused(worker)
    for number in range(2, 7):  # news is no reason to break in
        worker.put([PlannedMessage("webhook", message(identity=f"m-{number}", at=datetime.now(UTC)))])
        await asyncio.sleep(0)
    assert worker._retry_at - worker._tried_at >= 600.0
    assert listener.tried == 1
    listener.refuses = None
    worker._banned_until = worker._retry_at = float("-inf")  # the ten minutes are over
    worker._wake.set()
    await listener.until(lambda: bool(listener.taken))
    (digest,) = listener.taken
    assert (digest.kind, len(digest.parts)) == ("digest", 6)
    await outbox.close(WAIT)
    assert await kept(store) == []


async def test_a_reload_breaks_no_ban_unless_the_receiver_is_another(store: Store, said: Said) -> None:
    first = Listener(policy=DeliveryPolicy(receiver="one"))
    first.refuses = SendError("refused", "it answers 503", status=503, retry_after=600.0)
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([first])
    outbox.workers[0].put([PlannedMessage("webhook", message())])
    await refused(outbox.workers[0])
    same = Listener(policy=DeliveryPolicy(receiver="one"))
    await outbox.reopen([same], BOX, WAIT)
    assert outbox.workers[0]._retry_at - outbox.workers[0]._tried_at >= 600.0
    other = Listener(policy=DeliveryPolicy(receiver="two"))
    await outbox.reopen([other], BOX, WAIT)
    await other.until(lambda: other.ids == ["m-1"])
    assert same.tried == 0
    await outbox.close(WAIT)


async def test_a_receiver_that_limits_its_rate_and_says_no_more_is_left_alone_for_a_while(
    store: Store, said: Said
) -> None:
    listener = Listener()
    listener.refuses = SendError("refused", "it answers 429", status=429)
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    outbox.workers[0].put([PlannedMessage("webhook", message())])
    await refused(outbox.workers[0])
    await outbox.close(WAIT)
    assert outbox.workers[0]._retry_at - outbox.workers[0]._tried_at >= delivery.LIMITED_SECONDS


async def test_a_burst_for_a_receiver_that_is_slow_to_answer_becomes_a_digest(
    store: Store, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SLOW_SECONDS", 0.0)
    listener = Listener()
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    now = datetime.now(UTC)
    outbox.workers[0].put([PlannedMessage("webhook", message(identity=f"m-{number}", at=now)) for number in range(6)])
    await listener.until(lambda: len(listener.taken) == 2)
    assert [each.kind for each in listener.taken] == ["firing", "digest"]
    await outbox.close(WAIT)


async def test_what_is_refused_for_good_is_not_tried_again_and_holds_up_nothing(store: Store, said: Said) -> None:
    listener = Listener()
    listener.refuses = SendError("refused", "it answers 400", status=400, final=True)
    outbox = Outbox(store, said.log, BOX)
    await outbox.open([listener])
    (worker,) = outbox.workers
    await put(store, message())
    worker.put([PlannedMessage("webhook", message())])
    await refused(worker)
    worker._failing_since = float("-inf")  # it has been so for a while
    assert outbox.troubles()  # a page was lost
    listener.refuses = None
    worker.put([PlannedMessage("webhook", message(identity="m-2"))])
    await listener.until(lambda: listener.ids == ["m-2"])
    await outbox.close(WAIT)
    assert not outbox.troubles()
    assert await kept(store) == []
    (failed,) = said.events("notification_failed")
    assert failed["message"].endswith("It is not tried again.")
