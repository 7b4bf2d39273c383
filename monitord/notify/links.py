"""The addresses that a message carries: its alert's page, and the page on which that is acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote

from monitord.storage.ack_tokens import LIFETIME, token


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


NOWHERE: Final = Links()
