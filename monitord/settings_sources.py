"""Where settings come from: the process environment, `.env`, `monitord.toml`; and what is wrong with what stands there.

Everything is gathered as (section, field) -> raw value before anything is validated, so that all mistakes can be told
at once and by the name the operator wrote.
"""

from __future__ import annotations

import difflib
import io
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dotenv.parser import parse_stream

PREFIX: Final = "MONITORD_"
ALIASES: Final = {
    "PM2_HOME": "MONITORD_PM2__HOME",
    "DATABASE_URL": "MONITORD_POSTGRES__DSN",
    "REDIS_URL": "MONITORD_REDIS__URL",
}
ENVIRONMENT, DOTENV, TOML = "environment", ".env", "monitord.toml"


@dataclass(frozen=True, slots=True)
class Raw:
    """A value as it was written, and where: the name of the variable and the source."""

    value: Any
    variable: str
    source: str


@dataclass(slots=True)
class Gathered:
    """What all sources together say, and the mistakes found on the way."""

    values: dict[str, Raw] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


def gather(environ: Mapping[str, str], directory: Path, known: Iterable[str]) -> Gathered:
    """Every set variable of `known`: the environment over .env over monitord.toml, a prefixed name over its alias."""
    names = frozenset(known)
    found = Gathered()
    dotenv = _dotenv(directory / DOTENV, found)
    toml = _toml(directory / TOML, found)
    layers: tuple[tuple[str, Mapping[str, Any]], ...] = (
        (TOML, toml),
        (DOTENV, {name: value for name, value in dotenv.items() if name.startswith(PREFIX)}),
        (ENVIRONMENT, {name: value for name, value in environ.items() if name.startswith(PREFIX)}),
    )
    for source, variables in ((DOTENV, dotenv), (ENVIRONMENT, environ)):
        for alias, variable in ALIASES.items():
            if variables.get(alias):
                found.values[variable] = Raw(variables[alias], alias, source)
    for source, variables in layers:
        for name, value in variables.items():
            if name not in names:
                found.mistakes.append(_unknown(name, source, names))
            elif value != "" or name.endswith("LISTEN"):
                found.values[name] = Raw(value, name, source)
            else:  # set to nothing: as if it were not set, here and below
                found.values.pop(name, None)
    return found


def _unknown(name: str, source: str, names: frozenset[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{name}: no such setting (in {source}){hint}"


def _dotenv(path: Path, found: Gathered) -> dict[str, str]:
    """The variables of a .env file; {} where there is none. `$` in a password stands for itself."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        found.mistakes.append(f"{DOTENV}: cannot be read: {_reason(error)}")
        return {}
    variables: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            line = binding.original.string.strip()
            # Only the name: the rest of a broken line may be half a password.
            name = line.split("=", 1)[0].strip()[:60]
            if name.startswith(PREFIX):
                found.mistakes.append(f"{name}: line {binding.original.line} of {DOTENV} cannot be understood")
        elif binding.key is not None:
            variables[binding.key] = binding.value or ""
    return variables


def _toml(path: Path, found: Gathered) -> dict[str, Any]:
    """The settings of a monitord.toml by variable name; {} where there is none."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        found.mistakes.append(f"{TOML}: cannot be read: {_reason(error)}")
        return {}
    variables: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            variables |= {f"{PREFIX}{key.upper()}__{inner.upper()}": item for inner, item in value.items()}
        else:
            variables[PREFIX + key.upper()] = value
    return variables


def _reason(error: Exception) -> str:
    return (error.strerror or "it cannot be opened") if isinstance(error, OSError) else str(error)
