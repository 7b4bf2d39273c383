"""What is read of a queue's jobs beside how many there are: whether they move, how many failed, how old the oldest is.

Each question is about one job or one number, whatever the queue holds. The ids of jobs may be anybody's words: they are
compared here, and shown to nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from monitord.core.model import Sample, sample

# How many jobs are in each state, under PREFIX:QUEUE:STATE.
STATES: Final = (
    *(("LLEN", "wait"), ("LLEN", "paused"), ("LLEN", "active")),
    *(("ZCARD", "prioritized"), ("ZCARD", "delayed"), ("ZCARD", "failed")),
)
# What stays when all jobs are done: BullMQ writes `meta` when a queue is made, Bull before it counted jobs in `id`.
KEPT: Final = ("meta", "id")
# Type of key -> parts that are of it.
PARTS_BY_TYPE: Final = {
    "hash": ("meta",),
    "string": ("id",),
    "list": ("wait", "paused", "active"),
    "zset": ("prioritized", "delayed", "failed", "completed", "waiting-children", "repeat"),
    "stream": ("events",),
}
PARTS: Final = tuple(part for parts in PARTS_BY_TYPE.values() for part in parts)
_WHOLE: Final = re.compile(rb"\d{1,15}")
# What older workers put into a list of waiting jobs to wake each other up.
_MARKER: Final = b"0:"

Command = tuple[str | bytes, ...]
Answers = Mapping[Command, object]


def key(prefix: str, queue: str, part: str) -> str:
    return f"{prefix}:{queue}:{part}"


class Jobs:
    def __init__(self, prefix: str, queue: str, window: float) -> None:
        """A queue whose keys begin with `prefix`; failures are counted over the last `window` seconds."""
        self._queue, self._window = queue, window
        self._base = key(prefix, queue, "")
        self._next: tuple[Command, ...] = (
            ("LINDEX", self._key("wait"), "-1"),
            ("ZRANGE", self._key("prioritized"), "0", "0"),
        )
        self._active: Command = ("LINDEX", self._key("active"), "-1")
        self._newest = {
            state: ("ZREVRANGE", self._key(state), "0", "0", "WITHSCORES") for state in ("completed", "failed")
        }
        self._counted = {state: ("HGET", self._key(f"metrics:{state}"), "count") for state in ("completed", "failed")}
        self._paused: Command = ("HGET", self._key("meta"), "paused")
        self._last: tuple[object, ...] | None = None
        self._failed_at: bytes | None = None

    def _key(self, part: str) -> str:
        return f"{self._base}{part}"

    def asked(self, now: float) -> Iterator[Command]:
        """What to ask in the first exchange (`now`: Unix seconds)."""
        yield from self._next
        yield self._active
        yield from self._newest.values()
        yield from self._counted.values()
        yield self._paused
        yield self._recent(now)
        if self._failed_at is not None:
            yield self._new()

    def _recent(self, now: float) -> Command:
        return ("ZCOUNT", self._key("failed"), f"{(now - self._window) * 1000:.0f}", "+inf")

    def _new(self) -> Command:
        return ("ZCOUNT", self._key("failed"), b"(" + (self._failed_at or b"0"), "+inf")

    def age_asked(self, answers: Answers) -> Command | None:
        """What to ask of the job that has waited longest; None where none waits, or its name is no job's."""
        for command in self._next:
            reply = answers.get(command)
            found = reply[0] if isinstance(reply, list) and reply else reply
            if isinstance(found, bytes) and not found.startswith(_MARKER):
                return ("HGET", self._base.encode() + found, "timestamp")
        return None

    def samples(self, answers: Answers, now: float) -> Iterator[Sample]:
        """What was answered; what was refused, or has no earlier reading to compare with, is left out."""
        paused, recent = answers.get(self._paused), answers.get(self._recent(now))
        if not isinstance(paused, Exception):
            yield sample("queue_is_paused", int(paused == b"1"), queue=self._queue)
        if isinstance(recent, int):
            yield sample("queue_failed_recently", recent, queue=self._queue)
        if self._failed_at is not None and isinstance(new := answers.get(self._new()), int):
            yield sample("queue_failed_since", new, queue=self._queue)
        if (total := _whole(answers.get(self._counted["failed"]))) is not None:
            yield sample("queue_failures_total", total, queue=self._queue)
        if (asked := self.age_asked(answers)) is not None and (added := _whole(answers.get(asked))) is not None:
            yield sample("queue_oldest", round(max(0.0, now - added / 1000), 3), "seconds", queue=self._queue)
        moved = self._moved(answers)
        if moved is not None:
            yield sample("queue_moved", int(moved), queue=self._queue)
        newest = answers.get(self._newest["failed"])
        if isinstance(newest, list) and len(newest) == 2 and isinstance(newest[1], bytes):
            self._failed_at = newest[1]
        elif newest == []:
            self._failed_at = self._failed_at or b"%d" % round(now * 1000)

    def _moved(self, answers: Answers) -> bool | None:
        """Whether a job was started or finished since the last reading; None where that is not known."""
        commands = (*self._next, self._active, *self._newest.values(), *self._counted.values())
        found = tuple(answers.get(command) for command in commands)
        if any(isinstance(reply, Exception) for reply in found[: len(self._next) + 1]):
            return None
        replies = tuple(None if isinstance(reply, Exception) else _plain(reply) for reply in found)
        last, self._last = self._last, replies
        return None if last is None else last != replies


def _plain(reply: object) -> object:
    return tuple(reply) if isinstance(reply, list) else reply


def _whole(reply: object) -> int | None:
    return int(reply) if isinstance(reply, bytes) and _WHOLE.fullmatch(reply) else None
