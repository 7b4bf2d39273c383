"""One message, whole in itself, the same to every channel and at every try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from monitord.core.model import Severity

Kind = Literal["firing", "resolved", "reminder", "digest", "verdict", "test", "acknowledged"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message to send.

    `id` is the same however often it is tried, so that receivers can recognise a repetition. `at` is when what it
    reports happened (aware, UTC), which may be long before it gets through. `title` is one line, `text` sentences for
    people. `fields` is the alert (or the verdict) as the log has it, JSON-ready. `parts` are the messages that a
    digest stands for. `short` is the text where only a phone is read ("": the whole one). `link` is where a person
    finds more, `ack` where the alert is acknowledged (a secret).
    """

    id: str
    kind: Kind
    at: datetime
    severity: Severity | Literal["info"]
    title: str
    text: str
    alert_id: str = ""
    rule: str = ""
    subject: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    parts: tuple[Message, ...] = ()
    short: str = ""
    link: str = ""
    ack: str = field(default="", repr=False)
