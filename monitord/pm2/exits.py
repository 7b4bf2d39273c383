"""Exits out of what the bus says: each once, its line and its event put together, the echo left out. It does no I/O.

PM2 writes the line of an exit right before its event, so the two are nearly always read together. What comes alone
waits for the other a short while, and is then an exit by itself.
"""

from dataclasses import dataclass, replace

from monitord.core.model import ProcessExit

from .bus_events import (
    ExitEvent,
    ExitLine,
    ExitRetracted,
    Fact,
    MemoryLimitHit,
    OperatorDone,
    WatchedFileChanged,
    instance_of,
)

HOLD_SECONDS = 0.3
_MAX_REMEMBERED = 2000  # of each kind; a fleet has fewer processes
_RULE_SECONDS = 300.0  # what an app may take to stop, and more


@dataclass(frozen=True, slots=True)
class _Half:
    """An exit of which only the line or only the event has come, until `due` on the monotonic clock."""

    exit: ProcessExit
    due: float
    line: bool


class ExitAssembler:
    """Facts in, exits out. What it remembers is bounded; it never raises."""

    def __init__(self) -> None:
        self._halves: dict[str, _Half] = {}  # by process, the one that waits longest first
        self._ended: dict[str, float] = {}  # when the life that ended last began, by process
        self._hungry: dict[str, float] = {}  # when PM2 found it so, by instance
        self._changed: dict[str, float] = {}  # when a file of it changed, by service
        self._restarted: dict[str, float] = {}  # which such change its last end was for, by instance

    @property
    def waiting(self) -> bool:
        return bool(self._halves)

    def take(self, fact: Fact, *, arrived: float, now: float) -> tuple[ProcessExit, ...]:
        """The exits that a fact completes. `arrived` (Unix seconds) is its default time, `now` is monotonic."""
        match fact:
            case ExitLine():
                return self._line(fact, arrived, now)
            case ExitEvent():
                return self._end(fact, arrived, now)
            case MemoryLimitHit(process, at):
                _remember(self._hungry, process, arrived if at is None else at)
            case WatchedFileChanged(service, at):
                _remember(self._changed, service, arrived if at is None else at)
            case OperatorDone():
                # Its exit may be an echo whose original was missed, which alone does not show who did it.
                half = self._halves.get(fact.process)
                if half is not None and not half.line:
                    by_rule = half.exit.memory or half.exit.watch
                    self._halves[fact.process] = replace(half, exit=replace(half.exit, manually=not by_rule))
            case ExitRetracted():
                half = self._halves.get(fact.process)
                if half is not None and half.line:
                    del self._halves[fact.process]
        return ()

    def due(self, now: float) -> tuple[ProcessExit, ...]:
        """The exits that have waited long enough at `now`, seconds on the monotonic clock."""
        late = [process for process, half in self._halves.items() if half.due <= now]
        return tuple(self._halves.pop(process).exit for process in late)

    def rest(self) -> tuple[ProcessExit, ...]:
        return self.due(float("inf"))

    def _line(self, line: ExitLine, arrived: float, now: float) -> tuple[ProcessExit, ...]:
        half = self._halves.pop(line.process, None)
        if half is not None and not half.line:
            code = line.code if half.exit.code is None else half.exit.code
            return (replace(half.exit, code=code, signal=line.signal),)
        at = arrived if line.at is None else line.at
        ended = ProcessExit(line.service, instance_of(line.process), at, line.code, line.signal)
        return self._hold(line.process, ended, half, now, line=True)

    def _end(self, end: ExitEvent, arrived: float, now: float) -> tuple[ProcessExit, ...]:
        if end.began is not None:
            if self._ended.get(end.process) == end.began:
                return ()
            _remember(self._ended, end.process, end.began)
        at = arrived if end.at is None else end.at
        instance = instance_of(end.process)
        memory = end.ordered and self._was_hungry(instance, at)
        watch = end.ordered and not memory and self._was_changed(end.service, instance, at)
        ended = ProcessExit(
            service=end.service,
            instance=instance,
            at=at,
            code=end.code,
            manually=end.ordered and not memory and not watch,
            memory=memory,
            watch=watch,
            restarts=end.restarts,
            began=end.began,
        )
        half = self._halves.pop(end.process, None)
        if half is not None and half.line:
            code = half.exit.code if ended.code is None else ended.code
            return (replace(ended, code=code, signal=half.exit.signal),)
        return self._hold(end.process, ended, half, now, line=False)

    def _hold(
        self, process: str, ended: ProcessExit, before: _Half | None, now: float, *, line: bool
    ) -> tuple[ProcessExit, ...]:
        """Keep a half; give out the one it follows of the same process, and the oldest where there are too many."""
        out: tuple[ProcessExit, ...] = () if before is None else (before.exit,)
        if len(self._halves) >= _MAX_REMEMBERED:
            out += (self._halves.pop(next(iter(self._halves))).exit,)
        self._halves[process] = _Half(ended, now + HOLD_SECONDS, line)
        return out

    def _was_hungry(self, instance: str, at: float) -> bool:
        since = self._hungry.pop(instance, None)
        return since is not None and at - since <= _RULE_SECONDS

    def _was_changed(self, service: str, instance: str, at: float) -> bool:
        """Whether this end is the one that a changed file asks of each of a service's processes."""
        since = self._changed.get(service)
        if since is None or at - since > _RULE_SECONDS or self._restarted.get(instance) == since:
            return False
        _remember(self._restarted, instance, since)
        return True


def _remember(memory: dict[str, float], key: str, value: float) -> None:
    memory.pop(key, None)
    if len(memory) >= _MAX_REMEMBERED:
        del memory[next(iter(memory))]
    memory[key] = value
