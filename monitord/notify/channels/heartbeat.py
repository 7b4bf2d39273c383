"""The heartbeat: somebody elsewhere notices when this monitor falls silent.

Two conventions. Healthchecks' reports when a cycle begins and how it ended, by what is appended to the address. A plain
push address (Uptime Kuma's, and most others) wants GET at exactly that address for a cycle that ended well; for one
that did not, nothing is sent, and the silence is what is noticed. Pinging never holds up a cycle and never fails one.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from monitord.config.settings import HeartbeatStyle
from monitord.core.model import Unmeasured
from monitord.notify.channels.base import SendError
from monitord.notify.channels.http import HttpClient

DEADLINE_SECONDS: Final = 5.0
EVERY_SECONDS: Final = 25.0
# Healthchecks takes so many pings in this time, and no more.
_MOST_PINGS: Final = 5
_WINDOW_SECONDS: Final = 60.0
_LONGEST_BODY: Final = 10_000

# Uptime Kuma's push addresses, wherever it is mounted: /api/push/TOKEN.
_PUSH: Final = "/api/push/"
# What a server answers that knows the address itself, and nothing below it or no POST.
_NOT_SO: Final = (404, 405)
# What a plain address has no word for: that a cycle begins, and that one failed.
_UNSAID: Final = ("/start", "/fail")


@dataclass(frozen=True, slots=True)
class _Ping:
    """`path` is what is appended to the address: "/start", "" (a success), "/fail", "/log"."""

    path: str
    run: str
    sentence: str = ""


class Heartbeat:
    """Pings one check; at most one ping is on its way, and of those that wait the newest goes.

    A run is reported with a start and an end of the same `rid`, not more often than once in `every` seconds; an outcome
    that is another than the last one sent goes out at once. `on_edge` is called with True when a ping was accepted
    after others were not, with False and a sentence when one was not; `trouble` is why the last one was not (None: it
    was, or there was none). `style` is the convention in use; "auto", until the server has shown which: by the path of
    a known push address, or by accepting a GET at exactly the address and never a ping as Healthchecks would.
    """

    name = "heartbeat"

    def __init__(
        self,
        url: str,
        on_edge: Callable[[bool, str], None] | None = None,
        every: float = EVERY_SECONDS,
        style: HeartbeatStyle = "auto",
    ) -> None:
        self._url, self._told, self._every = url, on_edge, every
        self.style: HeartbeatStyle = "plain" if style == "auto" and _PUSH in urlsplit(url).path else style
        self._http = HttpClient(url, DEADLINE_SECONDS)
        self._run = ""
        self._begun = False
        self._last_run: float | None = None
        self._last_outcome: bool | None = None
        self._waiting: _Ping | None = None
        self._pinged: deque[float] = deque(maxlen=_MOST_PINGS)
        self._banned_until = float("-inf")
        self._is_doubtful = False
        self._task: asyncio.Task[None] | None = None
        self.trouble: Unmeasured | None = None

    def begin(self) -> None:
        """A cycle begins. Returns at once."""
        now = asyncio.get_running_loop().time()
        self._run = str(uuid.uuid4())
        self._begun = self._last_run is None or now - self._last_run >= self._every
        if self._begun:
            self._last_run = now
            if self._waiting is None:  # an end that still waits is the better news
                self._ping(_Ping("/start", self._run))

    def end(self, ok: bool, sentence: str) -> None:
        """The cycle has ended: `ok` says whether all it was to do worked, `sentence` what it found. Returns at once."""
        if self._begun or ok is not self._last_outcome:
            self._last_outcome = ok
            self._ping(_Ping("" if ok else "/fail", self._run or str(uuid.uuid4()), sentence))
        self._begun = False

    async def check(self, sentence: str) -> None:
        """Leave a line in the check's log, or raise SendError. A plain push address gets its GET."""
        await self._post(_Ping("/log", str(uuid.uuid4()), sentence))

    async def close(self) -> None:
        """Stop pinging; what still waits is dropped."""
        task, self._task, self._waiting = self._task, None, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=DEADLINE_SECONDS)
        await self._http.close()

    def _ping(self, ping: _Ping) -> None:
        self._waiting = ping
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work(), name="heartbeat")

    async def _work(self) -> None:
        """Send what waits until nothing does. What comes meanwhile takes the place of what waited."""
        while self._waiting is not None:
            await self._room()
            ping, self._waiting = self._waiting, None
            try:
                is_sent = await self._post(ping)
            except SendError as error:
                if error.retry_after is not None:
                    self._banned_until = asyncio.get_running_loop().time() + error.retry_after
                self._edge(Unmeasured(self.name, error.kind, f"the heartbeat is not accepted: {error.error}"))
            else:
                if is_sent:
                    self._edge(None)

    async def _room(self) -> None:
        clock = asyncio.get_running_loop().time
        room = self._pinged[0] + _WINDOW_SECONDS if len(self._pinged) == _MOST_PINGS else 0.0
        await asyncio.sleep(max(0.0, max(room, self._banned_until) - clock()))
        self._pinged.append(clock())

    async def _post(self, ping: _Ping) -> bool:
        """Send it. False where nothing was sent, since the convention has no word for it."""
        is_good = ping.path not in _UNSAID
        if self.style == "plain":
            if is_good:
                await self._http.get(self._url)
            return is_good
        if not self._is_doubtful or ping.path == "/fail":
            content = ping.sentence.encode(errors="replace")[:_LONGEST_BODY]
            where = address(self._url, ping.path, ping.run)
            try:
                await self._http.post(where, content, {"Content-Type": "text/plain"})
            except SendError as error:
                if self.style != "auto" or error.status not in _NOT_SO:
                    raise
                self._is_doubtful = True  # another convention, or an address that is wrong
                if ping.path == "/fail":
                    raise  # a GET would say that all is well
            else:
                self.style = "healthchecks"
                return True
        if not is_good:
            return False  # which of the two it is shows when there is something good to say
        self._is_doubtful = False
        await self._http.get(self._url)
        self.style = "plain"
        return True

    def _edge(self, trouble: Unmeasured | None) -> None:
        before, self.trouble = self.trouble, trouble
        if self._told is not None and (before is None) is not (trouble is None):
            self._told(trouble is None, trouble.error if trouble is not None else "")


def address(url: str, path: str, run: str) -> str:
    """The address of one ping: `path` behind the check's own, the run's id behind its query."""
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, f"rid={quote(run)}") if part)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=query, fragment=""))
