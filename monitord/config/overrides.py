"""Settings as they would be with some of them changed for a trial: those that judgement reads, and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitord.config.declared import judged
from monitord.config.loader import load, shown, variables
from monitord.config.schema import section_kind, settings_class
from monitord.config.settings import PREFIX, Settings, SettingsError, variable_of
from monitord.core.names import nearest

_NAME_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class TriedSettings:
    """The settings with what is tried, those as they are, and what is tried: variable -> value, as it is written."""

    settings: Settings
    present: Settings
    changes: Mapping[str, str | None]


def tried(assignments: Sequence[str], environ: Mapping[str, str], directory: Path) -> TriedSettings:
    """The settings of `environ` and `directory` with every NAME=VALUE of `assignments` in place, the last one winning.

    A name is a variable with or without its prefix, in any case, with `.` or `__` between its parts. SettingsError with
    every mistake in the settings as they are, else in the assignments.
    """
    present = load(environ, directory)
    values, mistakes = _read(assignments)
    if mistakes:
        raise SettingsError(tuple(mistakes))
    try:
        settings = load({**environ, **values}, directory)
    except SettingsError as error:
        raise SettingsError(tuple(_from_here(mistake, values) for mistake in error.mistakes)) from None
    return TriedSettings(settings, present, {variable: shown(settings, variable) for variable in values})


def triable() -> tuple[str, ...]:
    """Every variable that may be tried, in the order of the schema: not those that decide how things are measured."""
    kind = settings_class()
    found = {variable_of(name) for name in judged(kind)}
    for name in kind.model_fields:
        if (section := section_kind(name)) is not None:
            found |= {variable_of(name, field) for field in judged(section)}
    return tuple(variable for variable in variables() if variable in found)


def _read(assignments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    values: dict[str, str] = {}
    mistakes: list[str] = []
    for assignment in assignments:
        name, is_set, value = assignment.partition("=")
        called = name.strip()[:_NAME_SHOWN]
        variable = name.strip().upper().replace(".", "__")
        variable = variable if variable.startswith(PREFIX) else PREFIX + variable
        if not is_set or not called:
            mistakes.append(f"--set {called or assignment!r}: write NAME=VALUE")
        elif variable in triable():
            values[variable] = value
        elif variable in variables():
            mistakes.append(f"--set {called}: it changes nothing about how what was recorded is judged")
        else:
            near = nearest(variable, triable())
            mistakes.append(f"--set {called}: there is no such setting; the nearest is {near}")
    return values, mistakes


def _from_here(mistake: str, values: Mapping[str, str]) -> str:
    """A mistake, with the command line for its source where that is what it is."""
    for variable in values:
        mistake = mistake.replace(f"{variable} (environment)", f"{variable} (--set)")
    return mistake
