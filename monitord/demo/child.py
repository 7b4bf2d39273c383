"""monitord as the demonstration runs it: `monitord run` as a child process, and what its lines have reported so far."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from monitord.masking import mask
from monitord.testing.sandbox import MARKER, Sandbox, environment, package_root

REPORT_SECONDS = 20.0
STOP_SECONDS = 8.0
LINE_LIMIT = 4 * 2**20
LAST_LINES = 8
# A pending alert that so many cycles have not confirmed was a false start.
PENDING_CYCLES = 4
# What goes with every alert is no news of its own.
ORDINARY = ("alert_firing", "action_recommended", "probe_failed")

Fields = dict[str, object]


class ChildError(Exception):
    """monitord ended although nobody stopped it; the message is a sentence, `lines` its last lines."""

    def __init__(self, status: int | None, lines: list[str]) -> None:
        how = f"with status {status}" if status is None or status >= 0 else f"by signal {-status}"
        super().__init__(f"monitord ended unexpectedly, {how}")
        self.lines = lines


@dataclass(frozen=True, slots=True)
class FiredAlert:
    """An alert that fired. `at` and `resolved_at` are the loop's seconds at which its lines arrived."""

    alert_id: str
    rule: str
    subject: str
    severity: str
    summary: str
    at: float
    resolved_at: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.rule, self.subject


class Listener(Protocol):
    def fired(self, alert: FiredAlert) -> None: ...

    def resolved(self, alert: FiredAlert) -> None: ...

    def warned(self, sentence: str) -> None: ...


class MonitordChild:
    """`report` has the fields of the last full or quiet cycle; None before the first."""

    def __init__(self, sandbox: Sandbox, settings: Mapping[str, str], listener: Listener) -> None:
        self._sandbox = sandbox
        self._settings = dict(settings)
        self._listener = listener
        self._process: asyncio.subprocess.Process | None = None
        self._following: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._pending: dict[str, tuple[Fields, int]] = {}
        self._cycles = 0
        self._alerts: dict[str, FiredAlert] = {}
        self.report: Fields | None = None

    @property
    def alerts(self) -> list[FiredAlert]:
        """The alerts that have fired, oldest first; each is there once."""
        return list(self._alerts.values())

    @property
    def pending(self) -> list[Fields]:
        return [fields for fields, _ in self._pending.values()]

    @property
    def is_well(self) -> bool:
        """Whether its last word is that all is well, and nothing is in doubt."""
        return self.report is not None and self.report["status"] == "ok" and not self._pending

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        self._process = await self._spawn("run")
        self._following = asyncio.create_task(self._follow(self._process))

    async def verdict(self, seconds: float) -> str:
        """The sentence of `monitord report` over the last so many seconds; "" where there is none in time."""
        process = await self._spawn("report", "--since", f"{max(1, round(seconds))}s", "--format", "json")
        try:
            async with asyncio.timeout(REPORT_SECONDS):
                output, _ = await process.communicate()
            report = json.loads(output)
            return f"{report['verdict']}: {report['sentence']}"
        except (TimeoutError, ValueError, TypeError, KeyError):
            return ""
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _spawn(self, *arguments: str) -> asyncio.subprocess.Process:
        directory = self._sandbox.directory
        given = {MARKER: str(directory), "HOME": str(directory), "PYTHONPATH": str(package_root())}
        return await asyncio.create_subprocess_exec(
            # -P: the sandbox it works in has directories with the names of packages.
            *(sys.executable, "-P", "-m", "monitord", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_LIMIT,
            cwd=directory,
            env=environment(**given, **self._settings),
            start_new_session=True,  # Ctrl-C in the terminal is the tour's to answer
        )

    async def until(self, question: Callable[[], bool], seconds: float) -> bool:
        """Asked again after each of its lines; False when `seconds` have passed. ChildError where it ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                while not question():
                    if self._following is not None and self._following.done():
                        self._following.result()
                    self._news.clear()
                    await self._news.wait()
        return question()

    async def stop(self) -> None:
        process, following = self._process, self._following
        if process is None or following is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 2)
        following.cancel()
        await asyncio.wait({following})
        if not following.cancelled():
            following.exception()  # that it has ended is what was asked for

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        """Ends with `ChildError` alone, or by being cancelled."""
        assert process.stdout is not None  # noqa: S101 - it was asked for
        try:
            while True:
                try:
                    line = await process.stdout.readline()
                except ValueError:  # longer than any line it writes
                    continue
                if not line:
                    break
                self._take(line.decode(errors="replace").strip())
                self._news.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            raise ChildError(process.returncode, list(self._last))
        finally:
            self._news.set()

    def _take(self, line: str) -> None:
        try:
            fields = json.loads(line)
            event, level, message = str(fields["event"]), str(fields["level"]), str(fields["message"])
        except (ValueError, TypeError, KeyError):
            self._last.append(mask(line))
            return
        if event in ("cycle_completed", "check_completed"):
            self.report = fields
            self._cycles += 1
            self._pending = {
                key: (alert, since)
                for key, (alert, since) in self._pending.items()
                if self._cycles - since < PENDING_CYCLES
            }
            return
        if level != "debug" and event != "library_message":  # the libraries' own chatter
            self._last.append(f"{event}: {message}")
        if event.startswith("alert_"):
            self._alert(event, fields)
        if level in ("warning", "error") and event not in ORDINARY:
            self._listener.warned(message)

    def _alert(self, event: str, fields: Fields) -> None:
        now = asyncio.get_running_loop().time()
        key = str(fields["alert_id"])
        if event == "alert_pending":
            self._pending[key] = (fields, self._cycles)
        else:
            self._pending.pop(key, None)
        if event == "alert_firing" and key not in self._alerts:  # a step to critical is the same alert again
            rule, subject, severity, summary = (str(fields[n]) for n in ("rule", "subject", "severity", "summary"))
            self._alerts[key] = FiredAlert(key, rule, subject, severity, summary, at=now)
            self._listener.fired(self._alerts[key])
        elif event == "alert_resolved" and key in self._alerts:
            self._alerts[key] = replace(self._alerts[key], resolved_at=now)
            self._listener.resolved(self._alerts[key])
