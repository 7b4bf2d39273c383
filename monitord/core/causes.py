"""What explains what: while a server cannot be reached, all that is measured through it is unknown, not wrong."""

from __future__ import annotations

from monitord.core.alerts import Book, key
from monitord.core.history import History

# Probe -> the server it looks through. A failing server freezes the rules of every probe that looks through it.
SERVER: dict[str, str] = {"pm2": "pm2", "postgres": "postgres", "epochs": "postgres", "redis": "redis"}


def server_away(probe: str, history: History, book: Book) -> bool:
    """Whether the server behind `probe` failed its last reading, or is not yet confirmed to be back."""
    server = SERVER.get(probe)
    if server is None:
        return False
    last = history.readings.get(server)
    alert = book.get(key(f"{server}_unreachable", server))
    return (last is not None and last.failure is not None) or (alert is not None and alert.state == "firing")


def companions(probe: str) -> tuple[str, ...]:
    """The probes to take again when `probe` is looked at again: itself, and the server that may explain it."""
    server = SERVER.get(probe, probe)
    return (probe,) if server == probe else (server, probe)
