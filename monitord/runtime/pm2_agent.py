"""monitord as an app of the PM2 that runs it: what it shows in `pm2 describe`, and its answers to `pm2 trigger`.

`pm2 trigger` waits for ever, so whatever is asked is answered: with what was asked for, or with why not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from monitord.core.engine import Decision
from monitord.core.report.model import Report
from monitord.jsonable import in_json
from monitord.logging.logger import JsonLog
from monitord.pm2 import axm
from monitord.pm2.axm import Action, Metric
from monitord.pm2.ipc import IpcChannel
from monitord.reporting.pm2_answers import UNKNOWN, Answer, check_answer, metrics, no_answer, report_answer

METRICS_EVERY_SECONDS: Final = 1.0
REPORT_SECONDS: Final = 60.0
# `pm2 trigger` must have received that it was delivered before the answer is there, or it misses that this is the last.
ANSWER_AFTER_SECONDS: Final = 0.1
_LARGEST_ANSWER: Final = 64 * 1024

AskCheck = Callable[[Callable[[Decision | None], None]], None]


class Pm2Agent:
    """What PM2 is shown and what it may request. Where there is no PM2, nothing of it costs anything."""

    def __init__(
        self,
        ipc: IpcChannel,
        ask_check: AskCheck,
        night: Callable[[], Awaitable[Report]],
        bus: Callable[[], str],
        log: JsonLog,
    ) -> None:
        """`ask_check` has a full check made, and gives its result (None: it failed); `night` makes the report."""
        self._ipc = ipc
        self._ask_check = ask_check
        self._night = night
        self._bus = bus
        self._log = log
        self._last: tuple[Decision, float] | None = None
        self._shown: dict[str, Metric] = {}
        self._shown_at = float("-inf")
        self._asked: dict[Action, float] = {}  # what is not answered yet, and when it was asked (the loop's seconds)
        self._reporting: asyncio.Task[None] | None = None

    def register(self) -> None:
        for action in axm.ACTIONS:
            self._ipc.send(axm.registration(action))

    def decided(self, decision: Decision, duration_ms: float) -> None:
        """A cycle is over: show what has changed, once a second at most."""
        self._last = decision, duration_ms
        now = asyncio.get_running_loop().time()
        if not self._ipc.present or now - self._shown_at < METRICS_EVERY_SECONDS:
            return
        found = metrics(decision.report, decision.at, duration_ms, self._bus())
        # What is watched no longer stays in PM2's list until this process ends.
        found |= {name: UNKNOWN for name in self._shown if name not in found}
        changed = {name: metric for name, metric in found.items() if self._shown.get(name) != metric}
        if not changed or self._ipc.send(axm.monitor(changed)):
            self._shown, self._shown_at = found, now

    def asked(self, action: Action) -> None:
        """Somebody waits for an answer. Whoever asks before it has come gets the same one: PM2 sends it to all."""
        if action in self._asked:
            return
        self._asked[action] = asyncio.get_running_loop().time()
        match action:
            case "check":
                self._ask_check(self._checked)
            case "report":
                self._reporting = asyncio.get_running_loop().create_task(self._report(), name="pm2-report")
            case "status":
                self._answer("status", self._status())

    async def close(self) -> None:
        """Answer whoever still waits."""
        if self._reporting is not None:
            self._reporting.cancel()
            with suppress(asyncio.CancelledError):
                await self._reporting
        for action in tuple(self._asked):
            self._send(action, no_answer(action, "monitord is stopping."))

    def _checked(self, decision: Decision | None) -> None:
        failed = no_answer("check", "the check failed inside; the log says how.")
        self._answer("check", failed if decision is None else check_answer("check", decision.report, decision.at))

    def _status(self) -> Answer:
        if self._last is None:
            return no_answer("status", "the first check is under way.")
        decision, duration_ms = self._last
        return check_answer("status", decision.report, decision.at, duration_ms)

    async def _report(self) -> None:
        try:
            async with asyncio.timeout(REPORT_SECONDS):
                answer = report_answer(await self._night())
        except TimeoutError:
            why = f"the report takes longer than {REPORT_SECONDS:.0f} s; `monitord report` waits for it."
            answer = no_answer("report", why)
        except Exception as error:  # noqa: BLE001 - it costs the report, and whoever asked is answered so
            self._log.internal("the report could not be made", error)
            answer = no_answer("report", "the report could not be made; the log says why.")
        self._answer("report", answer)

    def _answer(self, action: Action, answer: Answer) -> None:
        at = self._asked.get(action, 0.0) + ANSWER_AFTER_SECONDS
        asyncio.get_running_loop().call_at(at, self._send, action, answer)

    def _send(self, action: Action, answer: Answer) -> None:
        if self._asked.pop(action, None) is None:
            return
        plain = in_json(answer, self._log.masked)
        if len(str(plain)) > _LARGEST_ANSWER:
            plain = no_answer(action, "the answer is too long for PM2; ask `monitord` itself.")
        self._ipc.send(axm.reply(action, plain))
