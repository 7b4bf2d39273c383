"""Reads a daemon's settings in a process of its own (`apart.py`): asked in JSON, the answer is a pickle."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path

from monitord.config.apart import SettingsAnswer
from monitord.config.reading import read
from monitord.config.sections import names_of
from monitord.config.settings import SettingsError


def main() -> None:
    """SettingsAnswer on stdout, whatever else is printed meanwhile."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked = json.load(sys.stdin)
    try:
        found = read(asked["environ"], Path(asked["directory"]), asked["version"])
        settings = found.settings
        answer = SettingsAnswer({name: getattr(settings, name) for name in names_of(type(settings))}, found.record)
    except SettingsError as error:
        answer = SettingsAnswer(None, None, error.mistakes)
    with out:
        pickle.dump(answer, out)


if __name__ == "__main__":
    main()
