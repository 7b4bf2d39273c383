"""A name that is too long, or cannot be shown as it is, and is still another name than all others."""

from __future__ import annotations

import hashlib
from typing import Final

LONGEST: Final = 200
_MARK: Final = 8


def distinct(name: str, longest: int = LONGEST) -> str:
    """The name where it is printable and at most `longest` characters.

    Else its beginning as it can be shown, `~` and eight digits of a hash of the whole: names that begin alike, or
    differ only in what cannot be shown, stay as many subjects as they are.
    """
    if len(name) <= longest and name.isprintable():
        return name
    whole = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    shown = "".join(c if c.isprintable() else "\ufffd" for c in name[: longest - _MARK - 1])
    return f"{shown}~{whole[:_MARK]}"
