"""Names looked up on threads of their own: one that is never answered costs its own connection, and nothing else.

asyncio looks names up in its default executor: a handful of threads for everything that anybody gives it. A resolver
that hangs fills it, and then `localhost`, too, is found by nobody, and no other work there is done.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any, Final

# More names than this are not looked up at once; and one name not more often than this. Who asks for a name that is
# being looked up waits for that answer, until it is so many seconds late: the next one asks anew.
MOST_LOOKUPS: Final = 32
_MOST_OF_A_NAME: Final = 4
_LATE_SECONDS: Final = 5.0

_Question = tuple[Any, ...]


class ResolverLoop(asyncio.SelectorEventLoop):
    """An event loop whose default executor looks up no names, and which is ended by no name that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[_Question, tuple[float, asyncio.Future[list[Any]]]] = {}
        self._running: list[_Question] = []

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's own name
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """As `socket.getaddrinfo`, on a daemon thread; EAI_AGAIN where too many lookups hang already."""
        question = (host, port, family, type, proto, flags)
        asked_at, answer = self._asked.get(question, (0.0, None))
        is_late = self.time() - asked_at > _LATE_SECONDS
        if answer is None or (is_late and self._running.count(question) < _MOST_OF_A_NAME):
            answer = self._ask(question)
        return await asyncio.shield(answer)  # whoever gives up does not take it from the others

    def _ask(self, question: _Question) -> asyncio.Future[list[Any]]:
        if len(self._running) >= MOST_LOOKUPS:
            raise socket.gaierror(socket.EAI_AGAIN, "too many names are being looked up")
        answer: asyncio.Future[list[object]] = self.create_future()
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # all who asked may have given up

        def look_up() -> None:
            found: list[object] | BaseException
            try:
                found = list(socket.getaddrinfo(*question))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer
                found = error
            with suppress(RuntimeError):  # the loop may have been closed since
                self.call_soon_threadsafe(self._answered, question, answer, found)

        try:
            threading.Thread(target=look_up, name=f"name {str(question[0])[:64]}", daemon=True).start()
        except RuntimeError:
            raise socket.gaierror(socket.EAI_AGAIN, "no thread can be started to look up a name") from None
        self._running.append(question)
        self._asked[question] = (self.time(), answer)
        return answer

    def _answered(
        self, question: _Question, answer: asyncio.Future[list[object]], found: list[object] | BaseException
    ) -> None:
        self._running.remove(question)
        if self._asked.get(question, (0.0, None))[1] is answer:
            del self._asked[question]
        if answer.done():
            return
        if isinstance(found, BaseException):
            answer.set_exception(found)
        else:
            answer.set_result(found)
