"""Where settings come from: the process environment, `.env`, `monitord.toml`; and what is wrong with what stands there.

Nothing is validated here: so all mistakes can be reported at once, and by the name the operator wrote.
"""

from __future__ import annotations

import io
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dotenv.parser import parse_stream

from monitord.config.settings import ALIASES, PREFIX
from monitord.core.names import nearest

# Where another file than ./.env is named; the command line's --env-file is the same.
ENV_FILE: Final = f"{PREFIX}ENV_FILE"
ENVIRONMENT, DOTENV, TOML = "environment", ".env", "monitord.toml"


@dataclass(frozen=True, slots=True)
class RawValues:
    """A value as it was written, and where: the name of the variable and the source.

    `over` is where the value stands that one of nothing takes the place of ("": there is none).
    """

    value: Any
    variable: str
    source: str
    over: str = ""

    def where(self, variable: str) -> str:
        """The source, with the other name under which the value of `variable` was set."""
        return self.source if self.variable == variable else f"{self.source} ({self.variable})"


@dataclass(slots=True)
class GatheredValues:
    """What all sources together say, and the mistakes found on the way."""

    values: dict[str, RawValues] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


def gather(
    environ: Mapping[str, str], directory: Path, known: Collection[str], unread: tuple[str, ...] = ()
) -> GatheredValues:
    """Every set variable of `known`: the environment over .env over monitord.toml, a prefixed name over its alias.

    A prefixed name that is set to nothing is kept; an alias that is set to nothing is somebody else's business. Where
    ENV_FILE names another .env, a monitord.toml beside that one counts. What begins with one of `unread` belongs to
    what cannot be used here, and is passed over.
    """
    found = GatheredValues()
    named = environ.get(ENV_FILE, "")
    file, called = directory / (named or DOTENV), named or DOTENV
    if named and not file.is_file():
        found.mistakes.append(f"{ENV_FILE}: there is no file {named}")
    toml = _toml(file.parent / TOML, known, found)
    dotenv = _dotenv(file, called, found)
    for source, variables in ((called, dotenv), (ENVIRONMENT, environ)):
        for alias, variable in ALIASES.items():
            if variables.get(alias):
                found.values[variable] = RawValues(variables[alias], alias, source)
    for source, layer in ((TOML, toml), (called, dotenv), (ENVIRONMENT, environ)):
        for name, value in layer.items():
            if not name.startswith(PREFIX) or name == ENV_FILE:
                continue
            if name in known:
                before = found.values.get(name) if value == "" else None
                over = "" if before is None else before.where(name) if before.value != "" else before.over
                found.values[name] = RawValues(value, name, source, over)
            elif not name.startswith(unread):
                near = nearest(name.upper(), known)
                hint = f"; the nearest is {near}" if near else ""
                found.mistakes.append(f"{name} ({source}): there is no such setting{hint}")
    return found


def _read(path: Path, found: GatheredValues) -> str:
    """The text of a file; "" where there is none (a directory named .env is somebody's virtual environment)."""
    try:
        return path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    except UnicodeDecodeError as error:
        found.mistakes.append(f"{path.name}: it is not UTF-8 (byte {error.start})")
    except OSError as error:
        found.mistakes.append(f"{path.name}: it cannot be read: {error.strerror}")
    return ""


def _dotenv(path: Path, called: str, found: GatheredValues) -> dict[str, str]:
    """The variables of a .env file, which mistakes call `called`. A `$` in a password stands for itself."""
    variables: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(_read(path, found))):
        written = binding.original.string.strip().removeprefix("export ")
        if binding.key is not None and binding.value is not None:
            variables[binding.key] = binding.value
        elif written.startswith(PREFIX):
            # Only the name: the rest of a broken line may be half a password.
            name = written.split("=", 1)[0].split()[0][:60]
            found.mistakes.append(f"{name} ({called}): the line cannot be understood; write NAME=value")
    return variables


def _toml(path: Path, known: Collection[str], found: GatheredValues) -> dict[str, object]:
    """The settings of a monitord.toml by variable name; a table that is a setting itself, as `checks`, is its map."""
    try:
        content = tomllib.loads(_read(path, found))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found.mistakes.append(f"{path.name}: it is not TOML: {str(error)[:200]}")
        return {}
    variables: dict[str, object] = {}
    for key, value in content.items():
        if isinstance(value, dict) and PREFIX + key.upper() not in known:
            variables |= {f"{PREFIX}{key.upper()}__{inner.upper()}": item for inner, item in value.items()}
        else:
            variables[PREFIX + key.upper()] = value
    return variables


def files_of(environ: Mapping[str, str], directory: Path) -> list[Path]:
    """The files that settings of this environment and directory are read from, as far as they are there."""
    dotenv = directory / (environ.get(ENV_FILE) or DOTENV)
    return [path.absolute() for path in (dotenv, dotenv.parent / TOML) if path.is_file()]
