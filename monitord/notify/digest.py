"""Many messages as one: what came while a way out was dead, or while people slept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from monitord.core import words
from monitord.notify.message import Message

LINES_AT_MOST: Final = 50
PARTS_AT_MOST: Final = 200
_RANK: Final = {"info": 0, "warning": 1, "critical": 2}


def digest(messages: Sequence[Message], place: str, why: str) -> Message:
    """One message that stands for these, oldest first; a digest among them is taken apart again.

    `why` is half a sentence: what kept them back. Its id is theirs, together: made again of the same, it is the same.
    """
    parts = sorted((part for message in messages for part in message.parts or (message,)), key=lambda part: part.at)
    fired = {part.alert_id for part in parts if part.kind == "firing"}
    over = fired & {part.alert_id for part in parts if part.kind == "resolved"}
    told = words.plural(len(fired), "alert") + " fired"
    ended = f", {'it is' if len(fired) == 1 else words.count(len(over)) + ' are'} over" if over else ""
    title = f"{place}: {told}{ended} {why}" if fired else f"{place}: {words.plural(len(parts), 'message')} {why}"
    worst = max((part.severity for part in parts), key=lambda severity: _RANK[severity])
    lines = list(_lines(parts))
    if len(lines) > LINES_AT_MOST:
        lines = [f"… {len(lines) - LINES_AT_MOST} earlier, and then", *lines[-LINES_AT_MOST:]]
    return Message(
        id=hashlib.sha256("|".join(sorted(message.id for message in messages)).encode()).hexdigest()[:20],
        kind="digest",
        at=parts[0].at,
        severity=worst,
        title=title,
        text="\n".join([f"{title}.", *lines]),
        fields={"messages": len(parts), "until": _stamp(parts[-1].at)},
        parts=tuple(parts[-PARTS_AT_MOST:]),  # the newest: what comes next must not push itself out
    )


def _lines(parts: Sequence[Message]) -> Iterable[str]:
    """A line for each alert: when it came, whether it went, what it was."""
    ends = {part.alert_id: part for part in parts if part.kind == "resolved"}
    begun = set()
    for part in parts:
        at = part.at.timestamp()
        when = words.moment(at, parts[-1].at.timestamp())
        summary = str(part.fields.get("summary") or part.title)
        if part.kind == "firing":
            begun.add(part.alert_id)
            end = ends.get(part.alert_id)
            over = "" if end is None else f", over at {words.clock(end.at.timestamp())}"
            yield f"{when}  {part.severity}{over}: {summary}"
        elif part.kind == "resolved" and part.alert_id not in begun:
            yield f"{when}  over: {summary}"
        elif part.kind not in ("resolved", "reminder"):
            yield f"{when}  {part.title}"


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
