"""The commands, one file each and thin: what the command line asks for, in terms of the rooms below."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitord.settings import Settings


def load_settings() -> Settings:
    """The settings of this environment and directory; with mistakes in them, one line each on stderr and exit 2."""
    return load_settings_with_sources()[0]


def load_settings_with_sources() -> tuple[Settings, dict[str, str]]:
    """As `load_settings`, and for each variable that is set the source it came from."""
    # They cost a third of a second, and not every command needs them.
    from monitord.settings import SettingsError, load_with_sources

    try:
        return load_with_sources(os.environ, Path.cwd())
    except SettingsError as error:
        sys.stderr.writelines(f"{mistake}\n" for mistake in error.mistakes)
        raise SystemExit(2) from None
