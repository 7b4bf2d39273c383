"""Where BullMQ keeps a queue: the names of its keys, and which of them say that there is such a queue."""

from __future__ import annotations

from typing import Final

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


def key(prefix: str, queue: str, part: str) -> str:
    return f"{prefix}:{queue}:{part}"
