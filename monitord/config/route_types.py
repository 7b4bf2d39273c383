"""How the routes of a channel are read, and written again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import PlainSerializer

from monitord.config import types as t
from monitord.config.routes import Route
from monitord.core import units

EXAMPLE: Final = '{"tgram": {"severity": "critical", "rules": ["disk_*"], "hours": "22:00-07:00", "after": "15m"}}'


def _one(given: Mapping[str, object]) -> Route:
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _FIELDS:
            from difflib import get_close_matches  # for a mistake alone

            near = get_close_matches(name, _FIELDS, 1, 0.5)
            raise ValueError(
                f"{name!r} is none of {', '.join(_FIELDS)}" + (f"; did you mean {near[0]}?" if near else "")
            )
        found[name] = t.read_of(name, _FIELDS[name], value)
    return Route(**found)


_patterns: Final = t.names('it is not a list of patterns; write ["disk_*"]')
_FIELDS: Final[dict[str, Callable[[object], object]]] = {
    "severity": t.read_severity,
    "rules": _patterns,
    "subjects": _patterns,
    "hours": t.read_hours,
    "after": t.read_duration,
}


def _routes(value: object) -> tuple[Route, ...]:
    listed: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
    if not listed or not all(isinstance(one, dict | Route) for one in listed):
        raise ValueError(f"it is neither a route nor a list of them; write {EXAMPLE}")
    return tuple(one if isinstance(one, Route) else _one(one) for one in listed)


def _written(routes: Mapping[str, tuple[Route, ...]]) -> dict[str, list[dict[str, object]]]:
    return {name: [_as_given(route) for route in each] for name, each in routes.items()}


def _as_given(route: Route) -> dict[str, object]:
    after = units.duration_text(route.after) if route.after else ""
    shown = {"rules": list(route.rules), "subjects": list(route.subjects), "hours": route.hours, "after": after}
    return {"severity": route.severity} | {name: value for name, value in shown.items() if value}


Routes = Annotated[dict[str, tuple[Route, ...]], t.mapping(EXAMPLE, _routes), PlainSerializer(_written)]
