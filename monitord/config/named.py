"""Names that may bear limits or routes of their own: a list, or a map from names to what is declared of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

from monitord.config import types as t
from monitord.config.routes import Route
from monitord.core import thresholds, units
from monitord.core.app_numbers import number_name
from monitord.core.hours import OTHERWISE, hours_of
from monitord.core.names import nearest
from monitord.core.orders import DiskOrders, NumberOrders, QueueOrders, ServiceOrders, TableOrders
from monitord.core.thresholds import Threshold, agree, threshold

# How a field that may be declared is read (ValueError with half a sentence for what it is not), and written again.
_Field = tuple[Callable[[object], object], Callable[[Any], object]]


def _as_it_is(value: object) -> object:
    return value


def named(
    example: str,
    made: type[object],
    fields: Mapping[str, _Field],
    *,
    may_be_list: bool = True,
) -> tuple[BeforeValidator, PlainSerializer]:
    """How such a setting is read, and how it is written again: as the list where nothing is declared of any name.

    `made` is a dataclass with a default for every field, one of which is made for each name; `may_be_list`: names alone
    say something, that these are watched. `example` is shown to whoever wrote something else.
    """

    def declared(item: object) -> object:
        if isinstance(item, made):
            return item
        if not isinstance(item, dict):
            raise ValueError(f"it is not a map; write {example}")
        if unknown := sorted(map(str, item.keys() - fields.keys())):
            raise ValueError(f"{', '.join(unknown)} cannot be declared; what can is {', '.join(fields)}")
        return made(**{name: t.read_of(name, fields[name][0], value) for name, value in item.items()})

    read_list: Any = t.words(example).func
    read_map: Any = t.mapping(example, declared).func

    def read(value: object) -> object:
        if value == "":  # what sets a package's setting to nothing
            return {}
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = t.from_json(value, dict, example)
        if isinstance(value, dict) or not may_be_list:
            return read_map(value)
        return {name: made() for name in read_list(value)}

    def written(found: Mapping[str, Any]) -> list[str] | dict[str, dict[str, object]]:
        stated = {
            name: {key: fields[key][1](each) for key, each in dataclasses.asdict(item).items() if each is not None}
            for name, item in found.items()
        }
        return stated if any(stated.values()) or not may_be_list else list(stated)

    return BeforeValidator(read), PlainSerializer(written)


# Shell patterns of service names, which may hold spaces.
_patterns: Final = t.names('it is no name of a service; write "mail-worker" or ["mail-worker", "mail-worker-*"]')


def _by_hours(value: object) -> Mapping[str, timedelta]:
    """A duration, or a map of hours of the day to one each."""
    if not isinstance(value, dict):
        return {OTHERWISE: t.read_length(value)}
    found: dict[str, timedelta] = {}
    taken: frozenset[int] = frozenset()
    for span, limit in value.items():
        hours = hours_of(str(span))
        if hours & taken:
            raise ValueError(f"{span} names an hour that another span names, too")
        taken |= hours
        found[str(span).strip()] = t.read_of(str(span), t.read_length, limit)
    if not found:
        raise ValueError('it names no hours; write "2h" or {"00-06": "3h", "*": "15m"}')
    return found


def _hours_text(limits: Mapping[str, timedelta]) -> str | dict[str, str]:
    texts = {span: units.duration_text(limit) for span, limit in limits.items()}
    return texts[OTHERWISE] if texts.keys() == {OTHERWISE} else texts


def _key_prefix(value: object) -> str:
    text = t.text_of(value, "bull")
    if not text or not text.isprintable():
        raise ValueError("it is no prefix of keys; write bull")
    return text


def read_threshold(value: object) -> Threshold:
    """A limit with its direction, as `> 50`."""
    if isinstance(value, Threshold):
        return value
    if not isinstance(value, str):
        raise ValueError(f"it is no limit; write {thresholds.EXAMPLE}")
    return threshold(value)


_OFF: Final = "off"
_ROUTES_EXAMPLE: Final = (
    '{"tgram": {"severity": "critical", "rules": ["disk_*"], "hours": "22:00-07:00", "after": "15m"}}'
)
_LIMITS_EXAMPLE: Final = (
    '{"web": {"HTTP P95 Latency": "> 500", "jobs": {"warning": "> 50", "critical": "> 200"}}, "*": {"errors/s": "> 5"}}'
)


def _number_orders(value: object) -> NumberOrders:
    """The limits of one number: one of them is a warning's."""
    if isinstance(value, NumberOrders):
        return value
    if not isinstance(value, dict):
        is_off = isinstance(value, str) and value.strip().lower() == _OFF
        return NumberOrders() if is_off else NumberOrders(read_threshold(value))
    if unknown := sorted(map(str, value.keys() - {"warning", "critical"})):
        raise ValueError(f"{', '.join(unknown)} cannot be declared; what can is warning, critical")
    found = {level: t.read_of(level, read_threshold, limit) for level, limit in value.items()}
    if not found:
        raise ValueError(f'it names no limit; write {thresholds.EXAMPLE}, or "{_OFF}"')
    agree(found.get("critical"), found.get("warning"))
    return NumberOrders(**found)


def _error_lines(value: object) -> float | str:
    """Error lines a minute, or `off`."""
    if isinstance(value, str) and value.strip().lower() == _OFF:
        return _OFF
    try:
        return float(t.read_number(value))
    except ValueError as error:
        raise ValueError(f"{error}, or {_OFF}") from None


def _limits_of_numbers(value: object) -> Mapping[str, NumberOrders]:
    if not isinstance(value, dict) or not value:
        raise ValueError(f"it is no map from numbers to limits; write {_LIMITS_EXAMPLE}")
    if not all(map(t.is_name, value)):
        raise ValueError(f"it holds something that is no name of a number; write {_LIMITS_EXAMPLE}")
    return {number_name(name): t.read_of(name, _number_orders, limits) for name, limits in value.items()}


def _written(limits: NumberOrders) -> str | dict[str, str]:
    if limits.critical is None:
        return _OFF if limits.warning is None else str(limits.warning)
    stated = {"warning": limits.warning, "critical": limits.critical}
    return {level: str(limit) for level, limit in stated.items() if limit is not None}


_COUNT: Final[_Field] = t.read_count, _as_it_is
_NUMBER: Final[_Field] = t.read_number, _as_it_is
_LENGTH: Final[_Field] = t.read_length, units.duration_text
_DURATION: Final[_Field] = t.read_duration, units.duration_text
_PERCENT: Final[_Field] = t.read_percent, t.percent_text
_read_tables, _tables_written = named(
    '["orders"] or {"orders": {"growth_limit": 10000, "growth_window": "2h", "flow_stall": "2h"}}',
    TableOrders,
    {
        "growth_limit": _COUNT,
        "growth_window": _LENGTH,
        "growth_steady": _COUNT,
        "flow_stall": (_by_hours, _hours_text),
    },
)
_read_queues, _queues_written = named(
    '["emails"] or {"emails": {"waiting": 1000, "prefix": "myapp", "worker": "mail-worker"}}',
    QueueOrders,
    {
        "waiting": _NUMBER,
        "failed": _NUMBER,
        "stall": _LENGTH,
        "oldest": _LENGTH,
        "prefix": (_key_prefix, _as_it_is),
        "worker": (_patterns, _as_it_is),
    },
)
_read_disks, _disks_written = named(
    '["/"] or {"/data": {"warning": "85%", "critical": "92%"}}',
    DiskOrders,
    {"warning": _PERCENT, "critical": _PERCENT},
)


def _whole_paths(disks: dict[str, DiskOrders]) -> dict[str, DiskOrders]:
    """Paths mean the same wherever monitord is started."""
    for path in disks:
        if not path.startswith("/"):
            raise ValueError(f"of {path}, it is no whole path; write /{path.removeprefix('./')}")
    return disks


_of_services = partial(
    named,
    made=ServiceOrders,
    fields={
        "memory": (t.read_size, units.size_text),
        "cpu": (t.read_cpu_share, t.percent_text),
        "busy_for": _LENGTH,
        "restarts_warning": _NUMBER,
        "restarts_critical": _NUMBER,
        "startup_grace": _DURATION,
        "event_loop_latency": _LENGTH,
        "heap_full": _PERCENT,
        "heap_span": _DURATION,
        "errors": (_error_lines, _as_it_is),
    },
)
_read_services, _services_written = _of_services(
    '{"gateway": {"memory": "300MB", "restarts_warning": 10, "cpu": "90%"}}', may_be_list=False
)
# Those of another manager than PM2, which has no list of its own: to name one is to have it watched.
_read_processes, _processes_written = _of_services('["web.service"] or {"web.service": {"memory": "300MB"}}')
Tables = Annotated[dict[str, TableOrders], _read_tables, _tables_written]
Queues = Annotated[dict[str, QueueOrders], _read_queues, _queues_written]
Services = Annotated[dict[str, ServiceOrders], _read_services, _services_written]
Processes = Annotated[dict[str, ServiceOrders], _read_processes, _processes_written]
Disks = Annotated[dict[str, DiskOrders], _read_disks, AfterValidator(_whole_paths), _disks_written]
KeyPrefix = Annotated[str, BeforeValidator(_key_prefix)]
NumberLimits = Annotated[
    dict[str, Mapping[str, NumberOrders]],
    t.mapping(_LIMITS_EXAMPLE, _limits_of_numbers),
    t.each_written(lambda limits: {name: _written(one) for name, one in limits.items()}),
]


def _route(given: Mapping[str, object]) -> Route:
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _ROUTE_FIELDS:
            near = nearest(name, _ROUTE_FIELDS, 0.5)
            hint = f"; did you mean {near}?" if near else ""
            raise ValueError(f"{name!r} is none of {', '.join(_ROUTE_FIELDS)}{hint}")
        found[name] = t.read_of(name, _ROUTE_FIELDS[name], value)
    return Route(**found)


_shell_patterns: Final = t.names('it is not a list of patterns; write ["disk_*"]')
_ROUTE_FIELDS: Final[dict[str, Callable[[object], object]]] = {
    "severity": t.read_severity,
    "rules": _shell_patterns,
    "subjects": _shell_patterns,
    "hours": t.read_hours,
    "after": t.read_duration,
}


def _routes(value: object) -> tuple[Route, ...]:
    listed: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
    if not listed or not all(isinstance(one, dict | Route) for one in listed):
        raise ValueError(f"it is neither a route nor a list of them; write {_ROUTES_EXAMPLE}")
    return tuple(one if isinstance(one, Route) else _route(one) for one in listed)


def _as_given(route: Route) -> dict[str, object]:
    after = units.duration_text(route.after) if route.after else ""
    shown = {"rules": list(route.rules), "subjects": list(route.subjects), "hours": route.hours, "after": after}
    return {"severity": route.severity} | {name: value for name, value in shown.items() if value}


Routes = Annotated[
    dict[str, tuple[Route, ...]],
    t.mapping(_ROUTES_EXAMPLE, _routes),
    t.each_written(lambda routes: [_as_given(route) for route in routes]),
]
