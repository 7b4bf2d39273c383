"""Lanes keep order, give up on time, say when they are hung, and never keep the process from leaving."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitord.threads import WorkerBusy, WorkerThread, in_time

PATIENCE = 10.0  # how long a test waits for what must happen; it is never measured


@pytest.fixture
def worker() -> Iterator[WorkerThread]:
    worker = WorkerThread("test worker")
    yield worker
    worker.close()


async def until(condition: Callable[[], bool]) -> None:
    # What is waited for happens in another thread, which has no asyncio.Event to set.
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class Hang:
    """A call that blocks until it is let go, and says when it was made."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.release.wait(60)
        return "late"


@pytest.fixture
def hang() -> Iterator[Hang]:
    hang = Hang()
    yield hang
    hang.release.set()


async def test_a_call_returns_what_the_function_returns_and_runs_in_a_thread_of_that_name(worker: WorkerThread) -> None:
    assert await worker.run(divmod, 7, 2, timeout=PATIENCE) == (3, 1)
    assert await worker.run(lambda: threading.current_thread().name, timeout=PATIENCE) == "test worker"


async def test_the_thread_is_started_by_the_first_call_and_is_the_same_for_all() -> None:
    worker = WorkerThread("a name no other test uses")
    assert worker.name not in {thread.name for thread in threading.enumerate()}
    first = await worker.run(threading.get_ident, timeout=PATIENCE)
    assert first != threading.get_ident()
    assert await worker.run(threading.get_ident, timeout=PATIENCE) == first
    worker.close()


async def test_calls_are_made_in_the_order_they_were_asked_for(worker: WorkerThread) -> None:
    made: list[int] = []
    await asyncio.gather(*(worker.run(made.append, n, timeout=PATIENCE) for n in range(200)))
    assert made == list(range(200))


async def test_sqlite_accepts_every_call_of_one_worker_on_one_connection(worker: WorkerThread, tmp_path: Path) -> None:
    database = await worker.run(sqlite3.connect, tmp_path / "a.db", timeout=PATIENCE)
    await worker.run(database.execute, "create table t (n)", timeout=PATIENCE)
    await asyncio.gather(
        *(worker.run(database.execute, "insert into t values (?)", (n,), timeout=PATIENCE) for n in range(20))
    )
    assert await worker.run(lambda: database.execute("select sum(n) from t").fetchone(), timeout=PATIENCE) == (190,)
    await worker.run(database.close, timeout=PATIENCE)


@pytest.mark.parametrize("error", [OSError("disk"), StopIteration("odd"), SystemExit(3), TimeoutError("its own")])
async def test_what_the_function_raises_is_raised_to_the_caller_and_the_lane_goes_on(
    worker: WorkerThread, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    if isinstance(error, StopIteration):
        with pytest.raises(RuntimeError, match="StopIteration"):  # what a coroutine turns it into
            await worker.run(fail, timeout=PATIENCE)
    else:
        with pytest.raises(type(error)) as raised:
            await worker.run(fail, timeout=PATIENCE)
        assert raised.value is error
    assert not worker.busy
    assert await worker.run(lambda: "on", timeout=PATIENCE) == "on"


async def test_a_call_that_hangs_times_out_and_the_next_fails_at_once_until_it_returns(
    worker: WorkerThread, hang: Hang
) -> None:
    with pytest.raises(TimeoutError, match=r"test worker: no answer within 0\.05 s"):
        await worker.run(hang, timeout=0.05)
    assert worker.busy
    made: list[object] = []
    with pytest.raises(WorkerBusy, match="test worker: the call before has been running for"):
        await worker.run(made.append, 1, timeout=PATIENCE)
    hang.release.set()
    await until(lambda: not worker.busy)
    assert await worker.run(lambda: "again", timeout=PATIENCE) == "again"
    assert made == []


async def test_a_call_that_returns_too_late_for_its_caller_disturbs_nobody(worker: WorkerThread, hang: Hang) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    with pytest.raises(TimeoutError):
        await worker.run(hang, timeout=0.05)
    hang.release.set()
    await until(lambda: not worker.busy)
    await worker.run(int, timeout=PATIENCE)  # its answer comes after the late one
    assert complaints == []


async def test_a_slow_call_within_its_time_is_waited_for(worker: WorkerThread, hang: Hang) -> None:
    slow = asyncio.ensure_future(worker.run(hang, timeout=PATIENCE))
    await until(hang.entered.is_set)
    assert not worker.busy
    behind = asyncio.ensure_future(worker.run(lambda: "behind", timeout=PATIENCE))
    hang.release.set()
    assert await slow == "late"
    assert await behind == "behind"


async def test_a_call_that_ran_out_of_time_in_the_queue_is_never_made(worker: WorkerThread, hang: Hang) -> None:
    slow = asyncio.ensure_future(worker.run(hang, timeout=PATIENCE))
    await until(hang.entered.is_set)
    made: list[object] = []
    with pytest.raises(TimeoutError):
        await worker.run(made.append, "too late", timeout=0.05)
    assert not worker.busy, "it is the slow call's time that counts"
    hang.release.set()
    await slow
    await worker.run(made.append, "wanted", timeout=PATIENCE)
    assert made == ["wanted"]


async def test_a_cancelled_call_that_has_not_begun_is_never_made(worker: WorkerThread, hang: Hang) -> None:
    slow = asyncio.ensure_future(worker.run(hang, timeout=PATIENCE))
    await until(hang.entered.is_set)
    made: list[object] = []
    queued = asyncio.ensure_future(worker.run(made.append, "cancelled", timeout=PATIENCE))
    await asyncio.sleep(0)
    queued.cancel()
    with pytest.raises(asyncio.CancelledError):
        await queued
    hang.release.set()
    await slow
    await worker.run(made.append, "wanted", timeout=PATIENCE)
    assert made == ["wanted"]


async def test_cancelling_a_call_that_runs_lets_go_at_once_and_what_follows_comes_after_it(
    worker: WorkerThread, hang: Hang
) -> None:
    running = asyncio.ensure_future(worker.run(hang, timeout=PATIENCE))
    await until(hang.entered.is_set)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    after = asyncio.ensure_future(worker.run(hang.release.is_set, timeout=PATIENCE))
    await asyncio.sleep(0)
    assert not after.done()
    hang.release.set()
    assert await after is True


async def test_a_cancelled_call_that_outlives_its_deadline_makes_the_worker_busy(
    worker: WorkerThread, hang: Hang
) -> None:
    running = asyncio.ensure_future(worker.run(hang, timeout=0.05))
    await until(hang.entered.is_set)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: worker.busy)
    with pytest.raises(WorkerBusy):
        await worker.run(int, timeout=PATIENCE)


async def test_a_closed_worker_finishes_what_it_was_asked_and_takes_nothing_more(
    worker: WorkerThread, hang: Hang
) -> None:
    running = asyncio.ensure_future(worker.run(hang, timeout=PATIENCE))
    queued = asyncio.ensure_future(worker.run(threading.current_thread, timeout=PATIENCE))
    await until(hang.entered.is_set)
    worker.close()
    worker.close()
    with pytest.raises(RuntimeError, match="test worker: the worker is closed"):
        await worker.run(int, timeout=PATIENCE)
    hang.release.set()
    assert await running == "late"
    thread = await queued
    await until(lambda: not thread.is_alive())


async def test_a_lane_that_was_never_used_closes_without_a_thread() -> None:
    worker = WorkerThread("unused")
    worker.close()
    with pytest.raises(RuntimeError, match="closed"):
        await worker.run(int, timeout=PATIENCE)
    assert "unused" not in {thread.name for thread in threading.enumerate()}


def test_a_call_that_returns_after_its_loop_was_closed_harms_nobody(worker: WorkerThread, hang: Hang) -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(worker.run(hang, timeout=0.05))
    hang.release.set()
    while worker.busy:
        time.sleep(0.001)
    assert asyncio.run(worker.run(lambda: "a new loop", timeout=PATIENCE)) == "a new loop"


def test_a_hung_call_cannot_keep_the_interpreter_from_leaving() -> None:
    program = """
import asyncio, threading
from monitord.threads import WorkerThread

async def main():
    try:
        await WorkerThread("hung").run(threading.Event().wait, timeout=0.05)
    except TimeoutError:
        print("gave up")

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True, env={**os.environ}
    )
    assert (done.stdout, done.stderr) == ("gave up\n", "")


def test_without_a_loop_a_call_has_a_deadline_too(hang: Hang) -> None:
    assert in_time(lambda: 7, PATIENCE, "disk") == 7
    with pytest.raises(FileNotFoundError):
        in_time(Path("/nowhere").stat, PATIENCE, "disk")
    with pytest.raises(TimeoutError, match="disk: no answer within"):
        in_time(hang, 0.05, "disk")
    hang.release.set()
