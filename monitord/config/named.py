"""Names that may bear limits of their own: a list of names, or a map from names to what is declared of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

from monitord.config.types import (
    from_json,
    is_name,
    mapping,
    names,
    percent_text,
    read_count,
    read_cpu_share,
    read_duration,
    read_length,
    read_number,
    read_of,
    read_percent,
    read_size,
    text_of,
    words,
)
from monitord.core import thresholds, units
from monitord.core.app_numbers import number_name
from monitord.core.hours import OTHERWISE, hours_of
from monitord.core.orders import DiskOrders, NumberOrders, QueueOrders, ServiceOrders, TableOrders
from monitord.core.thresholds import Threshold, agree, threshold


def _as_it_is(value: object) -> object:
    return value


def named(
    example: str,
    made: type[object],
    fields: Mapping[str, Callable[[object], object]],
    texts: Mapping[str, Callable[[Any], object]],
    *,
    may_be_list: bool = True,
) -> tuple[BeforeValidator, PlainSerializer]:
    """How such a setting is read, and how it is written again: as the list where nothing is declared of any name.

    Args:
        example: what is shown to whoever wrote something else.
        made: a dataclass with a default for every field, one of which is made for each name.
        fields: how each field that may be declared is read; ValueError with half a sentence for what it is not.
        texts: how a field is written again, where that is not as it is.
        may_be_list: whether names alone say something: that these are watched.
    """

    def declared(item: object) -> object:
        if isinstance(item, made):
            return item
        if not isinstance(item, dict):
            raise ValueError(f"it is not a map; write {example}")
        if unknown := sorted(map(str, item.keys() - fields.keys())):
            raise ValueError(f"{', '.join(unknown)} cannot be declared; what can is {', '.join(fields)}")
        return made(**{name: read_of(name, fields[name], value) for name, value in item.items()})

    read_list: Any = words(example).func
    read_map: Any = mapping(example, declared).func

    def read(value: object) -> object:
        if value == "":  # what sets a package's setting to nothing
            return {}
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = from_json(value, dict, example)
        if isinstance(value, dict) or not may_be_list:
            return read_map(value)
        return {name: made() for name in read_list(value)}

    def written(found: Mapping[str, Any]) -> list[str] | dict[str, dict[str, object]]:
        stated = {
            name: {
                key: texts.get(key, _as_it_is)(value)
                for key, value in dataclasses.asdict(item).items()
                if value is not None
            }
            for name, item in found.items()
        }
        return stated if any(stated.values()) or not may_be_list else list(stated)

    return BeforeValidator(read), PlainSerializer(written)


# Shell patterns of service names, which may hold spaces.
_patterns: Final = names('it is no name of a service; write "mail-worker" or ["mail-worker", "mail-worker-*"]')


def _by_hours(value: object) -> Mapping[str, timedelta]:
    """A duration, or a map of hours of the day to one each."""
    if not isinstance(value, dict):
        return {OTHERWISE: read_length(value)}
    found: dict[str, timedelta] = {}
    taken: frozenset[int] = frozenset()
    for span, limit in value.items():
        hours = hours_of(str(span))
        if hours & taken:
            raise ValueError(f"{span} names an hour that another span names, too")
        taken |= hours
        found[str(span).strip()] = read_of(str(span), read_length, limit)
    if not found:
        raise ValueError('it names no hours; write "2h" or {"00-06": "3h", "*": "15m"}')
    return found


def _hours_text(limits: Mapping[str, timedelta]) -> str | dict[str, str]:
    texts = {span: units.duration_text(limit) for span, limit in limits.items()}
    return texts[OTHERWISE] if texts.keys() == {OTHERWISE} else texts


def _key_prefix(value: object) -> str:
    text = text_of(value, "bull")
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
    found = {level: read_of(level, read_threshold, limit) for level, limit in value.items()}
    if not found:
        raise ValueError(f'it names no limit; write {thresholds.EXAMPLE}, or "{_OFF}"')
    agree(found.get("critical"), found.get("warning"))
    return NumberOrders(**found)


def _error_lines(value: object) -> float | str:
    """Error lines a minute, or `off`."""
    if isinstance(value, str) and value.strip().lower() == _OFF:
        return _OFF
    try:
        return float(read_number(value))
    except ValueError as error:
        raise ValueError(f"{error}, or {_OFF}") from None


def _limits_of_numbers(value: object) -> Mapping[str, NumberOrders]:
    if not isinstance(value, dict) or not value:
        raise ValueError(f"it is no map from numbers to limits; write {_LIMITS_EXAMPLE}")
    if not all(map(is_name, value)):
        raise ValueError(f"it holds something that is no name of a number; write {_LIMITS_EXAMPLE}")
    return {number_name(name): read_of(name, _number_orders, limits) for name, limits in value.items()}


def _limits_written(limits: Mapping[str, Mapping[str, NumberOrders]]) -> dict[str, dict[str, object]]:
    return {service: {name: _written(one) for name, one in own.items()} for service, own in limits.items()}


def _written(limits: NumberOrders) -> str | dict[str, str]:
    if limits.critical is None:
        return _OFF if limits.warning is None else str(limits.warning)
    stated = {"warning": limits.warning, "critical": limits.critical}
    return {level: str(limit) for level, limit in stated.items() if limit is not None}


_read_tables, _tables_written = named(
    '["orders"] or {"orders": {"growth_limit": 10000, "growth_window": "2h", "flow_stall": "2h"}}',
    TableOrders,
    {"growth_limit": read_count, "growth_window": read_length, "growth_steady": read_count, "flow_stall": _by_hours},
    {"growth_window": units.duration_text, "flow_stall": _hours_text},
)
_read_queues, _queues_written = named(
    '["emails"] or {"emails": {"waiting": 1000, "prefix": "myapp", "worker": "mail-worker"}}',
    QueueOrders,
    {
        "waiting": read_number,
        "failed": read_number,
        "stall": read_length,
        "oldest": read_length,
        "prefix": _key_prefix,
        "worker": _patterns,
    },
    {"stall": units.duration_text, "oldest": units.duration_text},
)
_read_disks, _disks_written = named(
    '["/"] or {"/data": {"warning": "85%", "critical": "92%"}}',
    DiskOrders,
    {"warning": read_percent, "critical": read_percent},
    {"warning": percent_text, "critical": percent_text},
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
        "memory": read_size,
        "cpu": read_cpu_share,
        "busy_for": read_length,
        "restarts_warning": read_number,
        "restarts_critical": read_number,
        "startup_grace": read_duration,
        "event_loop_latency": read_length,
        "heap_full": read_percent,
        "heap_span": read_duration,
        "errors": _error_lines,
    },
    texts={
        "memory": units.size_text,
        "cpu": percent_text,
        "busy_for": units.duration_text,
        "startup_grace": units.duration_text,
        "event_loop_latency": units.duration_text,
        "heap_full": percent_text,
        "heap_span": units.duration_text,
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
    mapping(_LIMITS_EXAMPLE, _limits_of_numbers),
    PlainSerializer(_limits_written),
]
