"""Blocking calls beside the event loop: one daemon thread a worker. A hung disk can take it, never the process."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TypeVar, TypeVarTuple, cast

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class WorkerBusy(Exception):  # noqa: N818 - it names a state of the worker
    """The call before has outlived its deadline and has been running for so many `seconds`: this one was not made."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"{name}: the call before has been running for {seconds:.0f} s and was given up on")
        self.seconds = seconds


@dataclass(slots=True)
class _Outcome:
    value: object = None
    error: BaseException | None = None


@dataclass(slots=True, eq=False)
class _Call:
    work: Callable[[], object]
    deadline: float  # by the monotonic clock
    answer: asyncio.Future[_Outcome]
    began: float | None = None
    withdrawn: bool = False

    def finish(self, outcome: _Outcome) -> None:
        # The loop may have been closed since; then nobody is left to wake.
        with suppress(RuntimeError):
            self.answer.get_loop().call_soon_threadsafe(self._tell, outcome)

    def _tell(self, outcome: _Outcome) -> None:
        if not self.answer.done():
            self.answer.set_result(outcome)


class WorkerThread:
    """One daemon thread that makes blocking calls in the order they were asked for.

    A pool would be joined when the interpreter exits, and one hung call would hold the exit for ever; a daemon
    thread is left behind. The thread starts with the first call.
    """

    def __init__(self, name: str) -> None:
        """A worker without a thread yet; `name` is the thread's and stands in every error."""
        self.name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()  # over _Call.began and .withdrawn, _running and _closed
        self._running: _Call | None = None
        self._started = False
        self._closed = False

    @property
    def busy(self) -> bool:
        """A call that was given up on still holds the thread."""
        return self._overdue() is not None

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, timeout: float) -> T:
        """What `function(*args)` returns or raises, called in the worker's thread.

        It must not touch the event loop. `timeout` is seconds from now, waiting for earlier calls included, until
        TimeoutError. A call that has begun by then cannot be stopped: it may still have its effect, and the worker is
        busy until it returns; one that has not never will. Raises WorkerBusy: an earlier call is that late, and nothing
        was called.
        """
        overdue = self._overdue()
        if overdue is not None:
            raise WorkerBusy(self.name, overdue)
        answer: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        call = _Call(partial(function, *args), time.monotonic() + timeout, answer)
        self._queue(call)
        try:
            async with asyncio.timeout(timeout):
                outcome = await answer
        except TimeoutError:
            call.deadline = time.monotonic()  # late from here on, whatever the two clocks round to
            raise TimeoutError(f"{self.name}: no answer within {timeout:g} s") from None
        finally:
            with self._lock:
                call.withdrawn = True
        if outcome.error is not None:
            raise outcome.error
        return cast("T", outcome.value)

    def close(self) -> None:
        """End the thread once it has made the calls it was asked for. Does not wait; may be called again."""
        with self._lock:
            if self._started and not self._closed:
                self._calls.put(None)
            self._closed = True

    def _overdue(self) -> float | None:
        """For how many seconds a call past its deadline has been running; None when there is none."""
        now = time.monotonic()
        with self._lock:
            call = self._running
            if call is None or call.began is None or now < call.deadline:
                return None
            return now - call.began

    def _queue(self, call: _Call) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError(f"{self.name}: the worker is closed")
            if not self._started:
                threading.Thread(target=self._serve, name=self.name, daemon=True).start()
                self._started = True
            self._calls.put(call)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            if not self._begin(call):
                continue
            outcome = _Outcome()
            try:
                outcome.value = call.work()
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller, and the thread goes on
                outcome.error = error
            with self._lock:
                self._running = None
            call.finish(outcome)
            del call, outcome  # not held while the thread waits for the next

    def _begin(self, call: _Call) -> bool:
        """Whether the call is still wanted; from here on it cannot be withdrawn."""
        with self._lock:
            if call.withdrawn:
                return False
            call.began = time.monotonic()
            self._running = call
            return True


async def run_once(name: str, function: Callable[[*Ts], T], *args: *Ts, timeout: float) -> T:
    """As `WorkerThread.run`, on a thread that ends with this call."""
    worker = WorkerThread(name)
    try:
        return await worker.run(function, *args, timeout=timeout)
    finally:
        worker.close()


def in_time(function: Callable[[], T], timeout: float, name: str) -> T:
    """What a blocking call returns, or TimeoutError, for whoever has no event loop; its thread is left behind."""
    outcome = _Outcome()

    def call() -> None:
        try:
            outcome.value = function()
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller
            outcome.error = error

    thread = threading.Thread(target=call, name=name, daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise TimeoutError(f"{name}: no answer within {timeout:g} s")
    if outcome.error is not None:
        raise outcome.error
    return cast("T", outcome.value)
