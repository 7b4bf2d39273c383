"""Many messages as one: what came while a channel was dead, or while people slept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from monitord.core import humanize
from monitord.core.model import RANK
from monitord.jsonable import rfc3339
from monitord.notify.message import Message

LINES_AT_MOST: Final = 50
PARTS_AT_MOST: Final = 200
TITLE_AT_MOST: Final = 160


def digest(messages: Sequence[Message], place: str, why: str, link: str = "") -> Message:
    """One message that stands for these, oldest first; a digest among them is taken apart again.

    `why` is half a sentence: what kept them back; `link` is where all of them are. Its id is made of theirs.
    """
    parts = sorted((part for message in messages for part in message.parts or (message,)), key=lambda part: part.at)
    fired = {part.alert_id for part in parts if part.kind == "firing"}
    over = fired & {part.alert_id for part in parts if part.kind == "resolved"}
    summary = humanize.plural(len(fired), "alert") + " fired"
    title = f"{place}: {summary} {why}" if fired else f"{place}: {humanize.plural(len(parts), 'message')} {why}"
    if over and len(fired) == 1:
        title = f"{place}: {summary}, it is over {why}"
    elif over:
        title = f"{title} ({humanize.count(len(over))} {'is' if len(over) == 1 else 'are'} over)"
    worst = max((part.severity for part in parts), key=lambda severity: RANK[severity])
    first = worst_of(parts)
    summary = str(first.fields.get("summary") or first.title)
    if len(fired) > 1:
        title = humanize.short(f"{title}; the worst: {summary}", TITLE_AT_MOST)
    lines = list(_lines(parts))
    if len(lines) > LINES_AT_MOST:
        lines = [f"… {len(lines) - LINES_AT_MOST} earlier, and then", *lines[-LINES_AT_MOST:]]
    return Message(
        id=hashlib.sha256("|".join(sorted(message.id for message in messages)).encode()).hexdigest()[:20],
        kind="digest",
        at=parts[0].at,
        severity=worst,
        title=title,
        text="\n".join([f"The worst: {summary}" if first.kind == "firing" else f"{title}.", *lines]),
        fields={"messages": len(parts), "until": rfc3339(parts[-1].at)},
        link=link,
        parts=tuple(parts[-PARTS_AT_MOST:]),  # the newest: what comes next must not push itself out
    )


def worst_of(parts: Sequence[Message]) -> Message:
    """The message that comes first where only one is named: what still fires before what is over, the worst first."""
    ends = {part.alert_id for part in parts if part.kind == "resolved"}

    def rank(part: Message) -> tuple[bool, bool, int]:
        fires = part.kind == "firing"
        return fires and part.alert_id not in ends, fires, RANK[part.severity]

    return max(parts, key=rank)  # the oldest of the worst


def _lines(parts: Sequence[Message]) -> Iterable[str]:
    """A line for each alert: when it came, whether it went, what it was."""
    ends = {part.alert_id: part for part in parts if part.kind == "resolved"}
    begun = set()
    for part in parts:
        at = part.at.timestamp()
        when = humanize.moment(at, parts[-1].at.timestamp())
        summary = str(part.fields.get("summary") or part.title)
        if part.kind == "firing":
            begun.add(part.alert_id)
            end = ends.get(part.alert_id)
            over = "" if end is None else f", over at {humanize.clock(end.at.timestamp())}"
            yield f"{when}  {part.severity}{over}: {summary}"
        elif part.kind == "resolved" and part.alert_id not in begun:
            yield f"{when}  over: {summary}"
        elif part.kind not in ("resolved", "reminder"):
            yield f"{when}  {part.title}"
