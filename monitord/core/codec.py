"""Frozen dataclasses to JSON-ready values and back, so that state can be kept and judged again exactly as it was.

Decoding is lenient where a newer or older monitord wrote the text: a field that is not known is passed over, one that
is missing takes its default.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")


def encode(value: object) -> Any:
    """A dataclass, or a container of them, as dicts, lists, numbers and words; defaults are left out."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out = {}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if item != _default(field):
                out[field.name] = encode(item)
        return out
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset | set):
        items = sorted(value) if isinstance(value, frozenset | set) else value
        return [encode(item) for item in items]
    raise TypeError(f"no JSON form for {type(value).__name__}")


def decode(kind: type[T], value: object) -> T:
    """The dataclass `kind` from what `encode` made. ValueError or TypeError where it does not fit."""
    decoded: T = _decode(kind, value)
    return decoded


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return dataclasses.MISSING


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, value: Any) -> Any:
    if kind is Any or kind is object:
        return value
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(f"expected the fields of {getattr(kind, '__name__', kind)}")
        hints = _hints(typing.cast("type", kind))
        known = {f.name for f in dataclasses.fields(kind)}
        fields = {name: _decode(hints[name], item) for name, item in value.items() if name in known}
        return typing.cast("Any", kind)(**fields)
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is timedelta:
        return timedelta(seconds=value)
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, value)
    if origin is typing.Literal:
        if value not in arguments:
            raise ValueError(f"{value!r} is none of {arguments}")
        return value
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_decode(arguments[0], item) for item in value)
        return tuple(_decode(part, item) for part, item in zip(arguments, value, strict=True))
    if origin is frozenset:
        return frozenset(_decode(arguments[0], item) for item in value)
    if origin in (dict, Mapping, collections.abc.Mapping):
        if not isinstance(value, dict):
            raise TypeError(f"expected a mapping, found {type(value).__name__}")
        return {key: _decode(arguments[1], item) for key, item in value.items()}
    if kind is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _decode_union(kinds: tuple[Any, ...], value: Any) -> Any:
    if value is None and type(None) in kinds:
        return None
    problems = []
    # Exact types first: an int must not come back as a float because float was named earlier.
    for kind in sorted((k for k in kinds if k is not type(None)), key=lambda k: type(value) is not k):
        try:
            return _decode(kind, value)
        except (TypeError, ValueError) as error:
            problems.append(str(error))
    raise TypeError("; ".join(problems) or "null where a value belongs")
