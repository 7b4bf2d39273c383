"""The connections that all statements of the operator's own share: one, and another while that one is held up.

Two at most, whatever the number of statements. One that was not done in time goes to the other from then on, until it
is: there it costs those of its kind, and nobody else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from monitord.failures import FailureError
from monitord.postgres.session import Session

# How long the one connection may be busy before whoever waits for it takes the other.
_PATIENCE_SECONDS: Final = 0.5


class SharedSessions:
    """Lends a session to one at a time; the second is opened when it is needed, and closed when it is not."""

    def __init__(self, make: Callable[[], Session]) -> None:
        self._main, self._other = make(), make()
        self._busy: set[Session] = set()
        self._freed = asyncio.Condition()
        self._waiting = 0
        self._late: set[str] = set()

    @asynccontextmanager
    async def borrowed(self, name: str, timeout: float) -> AsyncIterator[tuple[Session, float]]:
        """A session for `name`, and how many of the seconds are left. FailureError: none was free in time."""
        deadline = asyncio.get_running_loop().time() + timeout
        session = await self._free(name, deadline)
        left = deadline - asyncio.get_running_loop().time()
        was_late = True
        try:
            yield session, left
            was_late = False
        except FailureError as error:
            was_late = error.kind == "timeout"
            raise
        finally:
            (self._late.add if was_late else self._late.discard)(name)
            await self._give_back(session)

    async def close(self) -> None:
        await self._main.close()
        await self._other.close()

    async def _free(self, name: str, deadline: float) -> Session:
        loop = asyncio.get_running_loop()
        impatient_at = loop.time() + (0.0 if name in self._late else _PATIENCE_SECONDS)
        self._waiting += 1
        try:
            async with self._freed:
                while (now := loop.time()) < deadline:
                    if name not in self._late and self._main not in self._busy:
                        self._busy.add(self._main)
                        return self._main
                    if now >= impatient_at and self._other not in self._busy:
                        self._busy.add(self._other)
                        return self._other
                    until = impatient_at if now < impatient_at else deadline
                    try:
                        async with asyncio.timeout_at(until):
                            await self._freed.wait()
                    except TimeoutError:
                        continue
        finally:
            self._waiting -= 1
        raise FailureError("timeout", f"{name} could not be queried in time: other statements hold both connections")

    async def _give_back(self, session: Session) -> None:
        if session is self._other and not self._waiting:
            await session.close()
        self._busy.discard(session)
        async with self._freed:
            self._freed.notify_all()
