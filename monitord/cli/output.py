"""What commands write: whatever the stream's encoding can carry, seen to leave."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Write to stdout, whatever its encoding can carry, and see it leave."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding, "replace"))
    sys.stdout.flush()


def note(text: str) -> None:
    """Write a line for people to stderr."""
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(text.encode(encoding, "replace").decode(encoding, "replace") + "\n")
