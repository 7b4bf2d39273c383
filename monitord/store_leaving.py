"""Leaving a command for the watch: a row in the snapshot's table of commands, which the next cycle reads."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from monitord.core.codec import encode
from monitord.core.model import Command
from monitord.store_schema import FILE, MIGRATIONS, Unusable, version

_BUSY_SECONDS: Final = 2.0


def leave(directory: Path, command: Command) -> None:
    """Leave it with the daemon on `directory`.

    Raises:
        Unusable: there is no snapshot there that this monitord can use.
        sqlite3.Error: it could not be written.
    """
    path = (directory / FILE).absolute()
    with closing(sqlite3.connect(path.as_uri() + "?mode=rw", uri=True, timeout=_BUSY_SECONDS)) as connection:
        if version(connection) != len(MIGRATIONS):
            raise Unusable(f"the snapshot at {path} is another monitord's")
        with connection:
            connection.execute("INSERT INTO commands (body) VALUES (?)", (json.dumps(encode(command)),))
