"""Names that may bear limits of their own: a list of names, or a map from names to what is declared of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from monitord.config.types import from_json, mapping, text_of, words
from monitord.core.orders import QueueOrders
from monitord.core.units import whole


def named(
    example: str, made: type[Any], fields: Mapping[str, Callable[[object], object]]
) -> tuple[BeforeValidator, PlainSerializer]:
    """How such a setting is read, and how it is written again: as the list where nothing is declared of any name.

    Args:
        example: what is shown to whoever wrote something else.
        made: a dataclass with a default for every field, one of which is made for each name.
        fields: how each field that may be declared is read; ValueError with half a sentence for what it is not.
    """

    def declared(item: object) -> object:
        if isinstance(item, made):
            return item
        if not isinstance(item, dict):
            raise ValueError(f"it is not a map; write {example}")
        if unknown := sorted(map(str, item.keys() - fields.keys())):
            raise ValueError(f"{', '.join(unknown)} cannot be declared; what can is {', '.join(fields)}")
        found = {}
        for name, value in item.items():
            try:
                found[name] = fields[name](value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return made(**found)

    read_list: Any = words(example).func
    read_map: Any = mapping(example, declared).func

    def read(value: object) -> object:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = from_json(value, dict, example)
        return read_map(value) if isinstance(value, dict) else {name: made() for name in read_list(value)}

    def written(found: Mapping[str, Any]) -> list[str] | dict[str, dict[str, Any]]:
        stated = {
            name: {key: value for key, value in dataclasses.asdict(item).items() if value is not None}
            for name, item in found.items()
        }
        return stated if any(stated.values()) else list(stated)

    return BeforeValidator(read), PlainSerializer(written)


def patterns(value: object) -> tuple[str, ...]:
    """One shell pattern of service names, which may hold spaces, or a list of them."""
    found = value if isinstance(value, list | tuple) else (value,)
    for item in found:
        if not isinstance(item, str) or not item.strip() or not item.isprintable():
            raise ValueError('it is no name of a service; write "mail-worker" or ["mail-worker", "mail-worker-*"]')
    return tuple(item.strip() for item in found)


def _number(value: object) -> int:
    return whole(text_of(value, "5000"))


def _key_prefix(value: object) -> str:
    text = text_of(value, "bull")
    if not text or not text.isprintable():
        raise ValueError("it is no prefix of keys; write bull")
    return text


_read_queues, _queues_written = named(
    '["emails"] or {"emails": {"waiting": 1000, "prefix": "myapp", "worker": "mail-worker"}}',
    QueueOrders,
    {"waiting": _number, "prefix": _key_prefix, "worker": patterns},
)
Queues = Annotated[dict[str, QueueOrders], _read_queues, _queues_written]
KeyPrefix = Annotated[str, BeforeValidator(_key_prefix)]
