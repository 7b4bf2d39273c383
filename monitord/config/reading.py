"""A daemon's settings, and what is left of them in its state directory, of the same reading."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from monitord.config.checks import CheckSettings
from monitord.config.judging import standing_orders
from monitord.config.loader import load_with_sources, shown
from monitord.config.record import DaemonRecord
from monitord.config.settings import ADDRESSES, Settings, flat, variable_of
from monitord.config.sources import ENV_FILE, ENVIRONMENT, files_of
from monitord.masking import Secret, mask


def read(environ: Mapping[str, str], directory: Path, version: str) -> tuple[Settings, DaemonRecord]:
    """The settings of `environ` and the files of `directory`, and the record of them, or SettingsError."""
    settings, sources = load_with_sources(environ, directory)
    given = {name for name, source in sources.items() if source.partition(" (")[0] == ENVIRONMENT}
    recorded = {name: _plain(settings, name) for name in given}
    home = variable_of("pm2", "home")
    if settings.pm2.home is not None and home not in sources:  # another user's ~/.pm2 is another
        recorded[home] = str(settings.pm2.home)
    env_file = str((directory / environ[ENV_FILE]).absolute()) if environ.get(ENV_FILE) else ""
    record = DaemonRecord(
        directory=str(directory.absolute()),
        env_file=env_file,
        files=tuple(map(str, files_of(environ, directory))),
        environment={name: text for name, text in recorded.items() if text is not None},
        withheld=tuple(sorted(name for name, text in recorded.items() if text is None)),
        orders=standing_orders(settings),
        check_interval=settings.check_interval,
        probe_timeout=settings.probe_timeout,
        version=version,
    )
    return settings, record


def _plain(settings: Settings, name: str) -> str | None:
    """A value as it could be written, or None where it holds a secret."""
    text = shown(settings, name)
    if text is None:
        return ""
    value = dict(flat(settings))[name]
    each = value.values() if isinstance(value, Mapping) else ()
    if any(isinstance(one, CheckSettings) and one.is_secret for one in each):
        return None
    values = value if isinstance(value, tuple) else (value,)
    texts = [each.get_secret_value() for each in values if isinstance(each, Secret)]
    if not texts:
        return text
    is_address = name in ADDRESSES and all(mask(each) == each for each in texts)
    return text if is_address else None
