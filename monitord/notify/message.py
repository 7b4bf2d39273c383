"""One message, whole in itself, the same to every channel and at every try; who sends it, and what it links to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import quote

from monitord.config.routes import Hours
from monitord.core.model import Severity
from monitord.storage.ack_tokens import LIFETIME, token

Kind = Literal["firing", "resolved", "reminder", "digest", "verdict", "test", "acknowledged"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message to send.

    `id` is the same however often it is tried, so that receivers can recognise a repetition. `at` is when what it
    reports happened (aware, UTC). `title` is one line, `text` sentences for people, `short` the text where only a phone
    is read ("": the whole one). `fields` is the alert (or the verdict) as the log has it, JSON-ready. `parts` are the
    messages that a digest stands for. `link` is where a person finds more, `ack` where it is acknowledged (a secret).
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


@dataclass(frozen=True, slots=True)
class Links:
    """Where the page is for others ("": nowhere), and what acknowledgements are signed with (empty: there are none)."""

    public_url: str = ""
    key: bytes = field(default=b"", repr=False)

    def alert(self, alert_id: str) -> str:
        """The page of an alert, for as long as its incident is kept."""
        return f"{self.public_url}/alerts/{quote(alert_id, safe='')}" if self.public_url else ""

    def ack(self, alert_id: str, at: datetime) -> str:
        """The page on which an alert is acknowledged, once, by a token of `at`."""
        if not (self.public_url and self.key):
            return ""
        ends = int((at + LIFETIME).timestamp())
        return f"{self.public_url}/a/{token(self.key, alert_id, ends)}"

    def page(self, path: str) -> str:
        return f"{self.public_url}{path}" if self.public_url else ""


@dataclass(frozen=True, slots=True)
class Origin:
    """The sender: this machine, its fleet ("": none), when its people sleep (None: never), and where its page is.

    `page` is the page's address for machines of the network ("": it is for this one alone), `links` what people follow.
    """

    instance: str
    fleet: str = ""
    quiet: Hours | None = None
    links: Links = field(default_factory=Links)
    page: str = ""

    @property
    def place(self) -> str:
        """`box-1`, or `shop/box-1`."""
        return f"{self.fleet}/{self.instance}" if self.fleet else self.instance

    @property
    def labels(self) -> dict[str, str]:
        return {"instance": self.instance} | ({"fleet": self.fleet} if self.fleet else {})
