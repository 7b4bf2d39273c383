"""What takes seconds to make is made once for many askers, kept a while, and made anew behind their backs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from monitord.web.backend import BackendUnavailable

T = TypeVar("T")

# Of what took a second to make, a new one is made after a hundred: at most one part in a hundred of a processor.
_COST_TO_AGE: Final = 100.0
_RETRY_SECONDS: Final = 10.0
# Something older than this is waited for rather than shown.
_TOO_OLD_SECONDS: Final = 900.0
# A new one is waited for, as long as whoever asks can wait, where the old one has lasted so many times its time.
_TIMES_TOO_LONG: Final = 3.0


@dataclass(frozen=True, slots=True)
class CacheEntry(Generic[T]):
    """What was made, or why it could not be; when, and how many seconds it took."""

    value: T | None
    trouble: str
    at: datetime
    made: float
    cost: float


def value_of(entry: CacheEntry[T] | None) -> T | None:
    return None if entry is None else entry.value


class AsyncCache(Generic[T]):
    """One thing that takes long to make (`make` may raise BackendUnavailable).

    For `keep` seconds at least, or what that says of one, it is as good as new. `ready` is called whenever one has been
    made, `fault` with what failed that should not have.
    """

    def __init__(
        self,
        make: Callable[[], Awaitable[T]],
        keep: float | Callable[[T], float],
        ready: Callable[[], None] = lambda: None,
        fault: Callable[[str, BaseException], None] = lambda _, __: None,
    ) -> None:
        self._make = make
        self._keep = keep
        self._ready = ready
        self._fault = fault
        self._kept: CacheEntry[T] | None = None
        self._making: asyncio.Task[None] | None = None
        self._expired = float("-inf")

    @property
    def busy(self) -> bool:
        return self._making is not None

    async def get(self, wait: float) -> CacheEntry[T] | None:
        """None where there is nothing yet and `wait` seconds did not bring it."""
        kept = self._kept
        age = None if kept is None else time.monotonic() - kept.made
        if kept is not None and age is not None and age < self._lasts(kept) and self._holds(kept):
            return kept
        if self._making is None:
            self._making = asyncio.create_task(self._made())
        if kept is not None and kept.value is not None and age is not None and not self._is_waited_for(kept, age):
            return kept
        await asyncio.wait({self._making}, timeout=wait)
        return self._kept

    def expire(self) -> None:
        """What there is no longer holds: whoever asks next waits for a new one, as long as it can."""
        self._expired = time.monotonic()

    async def close(self) -> None:
        if self._making is not None:
            self._making.cancel()
            with suppress(asyncio.CancelledError):
                await self._making

    def _is_waited_for(self, kept: CacheEntry[T], age: float) -> bool:
        """Whether nobody has asked for long, or what there is no longer holds: the first who asks gets no old one."""
        return not self._holds(kept) or age >= min(_TOO_OLD_SECONDS, _TIMES_TOO_LONG * self._lasts(kept))

    def _holds(self, kept: CacheEntry[T]) -> bool:
        return kept.made - kept.cost >= self._expired

    def _lasts(self, kept: CacheEntry[T]) -> float:
        if kept.value is None:
            return _RETRY_SECONDS
        keep = self._keep(kept.value) if callable(self._keep) else self._keep
        return max(keep, _COST_TO_AGE * kept.cost)

    async def _made(self) -> None:
        began, at = time.monotonic(), datetime.now(UTC)
        value, trouble = None, ""
        try:
            value = await self._make()
        except BackendUnavailable as error:
            trouble = str(error)
        except Exception as error:  # noqa: BLE001 - it is kept like any other reason, or every check would fail anew
            trouble = "it failed inside, the log says what"
            self._fault("what the page keeps could not be made", error)
        finally:
            self._making = None
        now = time.monotonic()
        self._kept = CacheEntry(value, trouble, at, now, now - began)
        self._ready()
