"""What must never be shown: passwords in addresses, tokens. One place, for settings, logs and errors alike."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

# scheme://user:password@host, wherever it stands in a text. The password may hold anything but a slash or a space.
_PASSWORD: Final = re.compile(r"(?P<head>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@]*:)(?P<secret>[^\s/]*)(?=@)")
_NAMED: Final = re.compile(
    r"(?P<head>\b(?:password|passwd|pwd|token|secret|api_?key|sslpassword)\b\"?\s*[=:]\s*\"?)(?P<secret>[^\s&\"',;]+)",
    re.IGNORECASE,
)


def mask(text: str) -> str:
    """The text with every password of an address and every `token=...` in it replaced by ***."""
    if ":" not in text and "=" not in text:
        return text
    return _NAMED.sub(rf"\g<head>{MASK}", _PASSWORD.sub(rf"\g<head>{MASK}", text))


def mask_address(url: str) -> str:
    """A notification address: all but its scheme may be a secret (bot tokens stand in paths)."""
    scheme, separator, _ = url.partition("://")
    return f"{scheme}://{MASK}" if separator else MASK
