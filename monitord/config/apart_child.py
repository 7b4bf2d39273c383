"""Reads a daemon's settings, and what is left of them in its state directory, in a process of its own (`apart.py`)."""

from __future__ import annotations

import gc
import json
import os
import pickle
import sys
from pathlib import Path


def main() -> None:
    """Asked in JSON on stdin: a pickled SettingsAnswer on stdout, whatever else is printed meanwhile."""
    # Most of it is imports, and a tenth of those would be looking for garbage that they do not leave.
    gc.disable()
    from monitord.config.apart import SettingsAnswer
    from monitord.config.reading import read
    from monitord.config.sections import names_of
    from monitord.config.settings import SettingsError

    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked = json.load(sys.stdin)
    try:
        settings, record = read(asked["environ"], Path(asked["directory"]), asked["version"])
        answer = SettingsAnswer({name: getattr(settings, name) for name in names_of(type(settings))}, record)
    except SettingsError as error:
        answer = SettingsAnswer(None, None, error.mistakes)
    with out:
        pickle.dump(answer, out)


if __name__ == "__main__":
    main()
