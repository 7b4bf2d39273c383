"""What PM2's bus says about exits: one frame in, at most one fact out, and nothing of anybody's environment kept.

What PM2 7.0 was seen to send when a process ends, in this order and within a few milliseconds:

1. `log:PM2`: `App [name:id] exited with code [C] via signal [S]`. C is 0 for every death by signal. S is `SIGINT` for
   want of a signal too, so SIGINT says nothing: exit 3 is `code [3] via signal [SIGINT]`.
2. `process:event` `exit`, with the process as it then is: `exit_code` as above, `restart_time` not yet counted up,
   `pm_uptime` still the start of the life that ended. `manually` is false in every one of them, whoever did it.
3. `process:event` `online`, if it is started again.

Who ended it is in the `status` of (2):

| what happens | status in the exit | before it | after it |
|---|---|---|---|
| kill -9, SIGTERM, any crash or exit | `stopped` | | |
| the last crash of a loop | `errored` | event `restart overlimit` | |
| pm2 restart, reload, stop | `stopping` | | echo; event `restart`, `reload`, `stop` with `manually` |
| pm2 delete, cron_restart, pm2 kill | `stopping` | | echo, and nothing says which of the three it was |
| max_memory_restart | `stopping` | `Process id restarted because it exceeds --max-memory-restart value` | echo |
| a file changed (watch) | `stopping` | `Change detected on path P for app N - restarting`, once a service | echo |
| pm2 reload in cluster mode | `stopping` | seconds, in which both run; the old one's id is `_old_7` | echo |

The echo is a second `exit` for the same end, status `stopped`, 0.1 s later, with no line (1) before it. It comes even
where nothing ran (a delete while PM2 waits to restart) and where the process could not be killed. It has the same
`pm_uptime` as the end it repeats, which no two lives of a process share.

An app may put messages on the bus under any topic, but PM2 then writes the app's own id beside them: its own lines
carry the id `PM2`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from monitord.core.model import OperatorAction

from . import process_list, wire
from .process_list import epoch_seconds

_EVENTS = b"s:process:event"
_LINES = b"s:log:PM2"
_MAX_EVENT_BYTES = 2 * 2**20  # an environment is not larger: the kernel would not start the app
_MAX_LINE_BYTES = 16 * 1024

_EVENT_NAME = re.compile(rb'j:\{"event":"([a-z ]{1,32})","manually":(true|false)')
_EXITED = re.compile(r"App \[(.*):([^:\]]+)\] exited with code \[([^\]]*)\] via signal \[([^\]]*)\]\s*", re.DOTALL)
_UNSAID = re.compile(
    r"App \[.*:([^:\]]+)\] stale exit event ignored .*|Process undefined \? with process id\s+(\S+)\s*", re.DOTALL
)
_HUNGRY = re.compile(
    r"\[PM2\]\[WORKER\] Process ([0-9]+) restarted because it exceeds --max-memory-restart .*", re.DOTALL
)
_CHANGED = re.compile(r"Change detected on path .* for app (.*) - restarting\s*", re.DOTALL)
_STOPPING = re.compile(r"Stopping app:(.*) id:(\S+)\s*", re.DOTALL)
_MAX_WHAT = 32
_TELLING = (
    b"Stopping app:",
    b" exited with code [",
    b" restarted because it exceeds ",
    b"Change detected on path ",
    b"stale exit event",
    b"Process undefined ?",
)
_SIGNAL = re.compile(r"SIG[A-Z0-9+]{1,16}")
_PROCESS_ID = re.compile(r"(?:_old_)?[0-9]{1,18}")
_OLD = "_old_"

_KEPT = frozenset(
    {
        *("event", "manually", "at", "data", "pm_id", "name", "status"),
        *("restart_time", "exit_code", "pm_uptime", "created_at"),
    }
)


@dataclass(frozen=True, slots=True)
class ExitLine:
    """PM2's log line about an end. `at`: Unix seconds, None if unsaid; `signal`: "" where none is known."""

    process: str
    service: str
    at: float | None
    code: int | None
    signal: str


@dataclass(frozen=True, slots=True)
class ExitEvent:
    """The event about an end, or its echo. `ordered`: PM2 was ending it. `began`: its life did (Unix seconds)."""

    process: str
    service: str
    at: float | None
    code: int | None
    ordered: bool
    restarts: int | None
    began: float | None


@dataclass(frozen=True, slots=True)
class OperatorDone:
    """An operator's `what` of this process is done. `at` and `created_at`: Unix seconds, None if unsaid."""

    process: str
    service: str
    what: str
    at: float | None
    restarts: int | None
    created_at: float | None


@dataclass(frozen=True, slots=True)
class Online:
    """PM2 has begun a process, for the first time or again, whoever asked for it."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """Whoever asked for it. `at`: Unix seconds, None if unsaid."""

    process: str
    service: str
    at: float | None


@dataclass(frozen=True, slots=True)
class MemoryLimitHit:
    """PM2 begins to restart this process because it uses too much memory. `at`: Unix seconds, None if unsaid."""

    process: str
    at: float | None


@dataclass(frozen=True, slots=True)
class WatchedFileChanged:
    """PM2 is to restart every process of this service, as a file it watches changed. `at`: Unix seconds, or None."""

    service: str
    at: float | None


@dataclass(frozen=True, slots=True)
class ExitRetracted:
    """The line just logged of this process is about one that PM2 no longer keeps: no event follows."""

    process: str


Fact = ExitLine | ExitEvent | OperatorDone | Online | Stopping | MemoryLimitHit | WatchedFileChanged | ExitRetracted


def instance_of(process: str) -> str:
    """The instance a process id on the bus belongs to: in a reload the old process goes by another id."""
    return process.removeprefix(_OLD)


def read(frame: wire.Frame) -> Fact | None:
    """What one frame says about an exit or a beginning; None: nothing. WireError: it announces JSON and is not."""
    if len(frame) != 2:
        return None
    topic, body = frame
    if topic == _EVENTS and len(body) <= _MAX_EVENT_BYTES:
        return _event(body)
    if topic == _LINES and len(body) <= _MAX_LINE_BYTES and any(words in body for words in _TELLING):
        return _line(body)
    return None


def _event(body: wire.Argument) -> ExitEvent | OperatorDone | Online | None:
    name = _EVENT_NAME.match(body)
    if name is not None and name[1] != b"exit" and name[2] == b"false":
        return Online() if name[1] == b"online" else None
    match wire.unpack(body, object_pairs_hook=_keep):
        case {"event": str(what), "process": {"pm_id": pm_id} as process, **rest}:
            known, service = _process_id(pm_id), process_list.text(process.get("name"))
        case _:
            return None
    if known is None:
        return None
    at, restarts = epoch_seconds(rest.get("at")), process_list.integer(process.get("restart_time"))
    if what == "exit" and service is not None:
        code, is_ordered = process_list.integer(process.get("exit_code")), process.get("status") == "stopping"
        return ExitEvent(known, service, at, code, is_ordered, restarts, epoch_seconds(process.get("pm_uptime")))
    if what != "exit" and rest.get("manually") is True:
        created_at = epoch_seconds(process.get("created_at"))
        return OperatorDone(known, service or "", what[:_MAX_WHAT], at, restarts, created_at)
    return None


def _line(body: wire.Argument) -> ExitLine | Stopping | MemoryLimitHit | WatchedFileChanged | ExitRetracted | None:
    match wire.unpack(body, object_pairs_hook=_keep):
        case {"data": str(text), "process": {"pm_id": "PM2"}, **rest}:
            at = epoch_seconds(rest.get("at"))
        case _:
            return None
    if (match := _EXITED.fullmatch(text)) is not None:
        process, service = _process_id(match[2]), process_list.text(match[1])
        if process is None or service is None:
            return None
        signal = match[4] if match[4] != "SIGINT" and _SIGNAL.fullmatch(match[4]) else ""
        return ExitLine(process, service, at, process_list.integer(match[3]), signal)
    if (match := _HUNGRY.fullmatch(text)) is not None and (process := _process_id(match[1])) is not None:
        return MemoryLimitHit(process, at)
    if (match := _CHANGED.fullmatch(text)) is not None and (service := process_list.text(match[1])) is not None:
        return WatchedFileChanged(service, at)
    if (match := _STOPPING.fullmatch(text)) is not None and (process := _process_id(match[2])) is not None:
        return Stopping(process, process_list.text(match[1]) or "", at)
    if (match := _UNSAID.fullmatch(text)) is not None and (process := _process_id(match[1] or match[2])) is not None:
        return ExitRetracted(process)
    return None


def _keep(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """What to keep of one JSON object, innermost first: PM2 spreads each app's environment over the process."""
    return {
        name: value
        for name, value in pairs
        if (name in _KEPT and not isinstance(value, dict | list)) or (name == "process" and isinstance(value, dict))
    }


def _process_id(value: object) -> str | None:
    if isinstance(value, str) and _PROCESS_ID.fullmatch(value):
        return value
    number = process_list.integer(value)
    return str(number) if number is not None and number >= 0 else None


_DONE: Final[Mapping[str, Literal["restart", "reload", "stop"]]] = {
    "restart": "restart",
    "reload": "reload",
    "softReload": "reload",
    "stop": "stop",
}


def act_of(fact: Fact, arrived: float) -> OperatorAction | None:
    """The operator's action in one fact of the bus; None for all else. `arrived` (Unix seconds) is its default time."""
    if not isinstance(fact, OperatorDone | Stopping | ExitEvent):
        return None
    at, instance = arrived if fact.at is None else fact.at, instance_of(fact.process)
    match fact:
        case OperatorDone(what=what) if what in _DONE:
            return OperatorAction(fact.service, instance, at, _DONE[what], fact.restarts, fact.created_at)
        case Stopping():
            return OperatorAction(fact.service, instance, at, "stopping")
        case ExitEvent(ordered=True):
            return OperatorAction(fact.service, instance, at, "ended", fact.restarts)
        case _:
            return None
