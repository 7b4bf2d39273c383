"""What must never be shown: passwords in addresses, tokens. One place, for settings, logs and errors alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"

# scheme://user:password@host, wherever it stands in a text. A password that was not percent-encoded may hold slashes
# and @ signs: rather some of the host is lost than some of the password shown.
_IN_ADDRESS: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s/?#:@]*:)(\S*)(?=@)")
_WORDS: Final = r"(?:password|passwd|passphrase|pwd|token|secret|api[_-]?key|access[_-]?key)"
_NAMED: Final = re.compile(
    rf"""({_WORDS}(?:["']?\s*=|["']\s*:)\s*|\b{_WORDS}\s*:\s*|\bauthorization["']?\s*[:=]\s*["']?(?:bearer|basic)?\s*)"""
    r"""("[^"]*"|'[^']*'|[^\s&;,"'}\])]+)""",
    re.IGNORECASE,
)


def mask(text: str) -> str:
    """The text with every password of an address and every `token=...` in it replaced by ***."""
    if ":" not in text and "=" not in text:
        return text
    return _NAMED.sub(rf"\1{MASK}", _IN_ADDRESS.sub(rf"\1{MASK}", text))


def mask_address(url: str) -> str:
    """A notification address: all but its scheme may be a secret (bot tokens stand in paths)."""
    scheme, separator, _ = url.partition("://")
    return f"{scheme}://{MASK}" if separator else MASK


def secrets_in(text: str) -> Iterator[str]:
    """What `mask` would hide in the text, as it stands there and percent-decoded."""
    for pattern in (_IN_ADDRESS, _NAMED):
        for match in pattern.finditer(text):
            if match[2]:
                yield match[2]
                yield unquote(match[2])
