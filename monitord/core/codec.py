"""Frozen dataclasses to JSON-ready values and back, so that state can be kept and judged again exactly as it was.

Decoding is lenient where a newer or older monitord wrote the text: a field that is not known is passed over, one that
is missing takes its default, or None where it may. What older versions wrote otherwise, a class makes of it what is
written now (`as_now`, given the fields and giving them).
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
Decoder = Callable[[Any], Any]
# What stands in JSON as it is.
_PLAIN = (str, int, float)
_PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})


def encode(value: Any) -> Any:
    """A dataclass, or a container of them, as dicts, lists, numbers and words; defaults are left out."""
    return _encoder(value.__class__)(value)


@functools.cache
def _encoder(kind: type) -> Callable[[Any], Any]:
    if issubclass(kind, (*_PLAIN, type(None))):
        return _as_it_is
    if issubclass(kind, datetime):
        return datetime.isoformat
    if issubclass(kind, timedelta):
        return timedelta.total_seconds
    if dataclasses.is_dataclass(kind):
        return _of_fields(_defaults(kind))
    if issubclass(kind, Mapping):
        return _encode_mapping
    if issubclass(kind, tuple | list):
        return _encode_items
    if issubclass(kind, frozenset | set):
        return lambda value: _encode_items(sorted(value))
    raise TypeError(f"no JSON form for {kind.__name__}")


def _of_fields(defaults: tuple[tuple[str, object], ...]) -> Callable[[Any], Any]:
    """What encodes a class with these fields, written out field by field: a loop over them takes a third longer."""
    scope: dict[str, object] = {"plain": _PLAIN_TYPES, "encoder": _encoder}
    lines = ["def encode_fields(value):", " found = {}"]
    for place, (name, default) in enumerate(defaults):
        scope[f"default_{place}"] = default
        lines += [
            f" if (item := value.{name}) != default_{place}:",
            f"  found[{name!r}] = item if item.__class__ in plain else encoder(item.__class__)(item)",
        ]
    exec("\n".join([*lines, " return found"]), scope)  # noqa: S102 - of nothing but field names
    encode_fields: Callable[[Any], Any] = scope["encode_fields"]  # type: ignore[assignment] # it was just defined
    return encode_fields


def _encode_mapping(value: Mapping[Any, Any]) -> Any:
    return {
        str(key): item if item.__class__ in _PLAIN_TYPES else _encoder(item.__class__)(item)
        for key, item in value.items()
    }


def _encode_items(value: Iterable[Any]) -> Any:
    return [item if item.__class__ in _PLAIN_TYPES else _encoder(item.__class__)(item) for item in value]


def decode(kind: type[T], value: object) -> T:
    """The dataclass `kind` from what `encode` made. ValueError or TypeError where it does not fit."""
    decoded: T = _decoder(kind)(value)
    return decoded


@functools.cache
def _defaults(kind: type) -> tuple[tuple[str, object], ...]:
    return tuple(
        (field.name, field.default if field.default_factory is dataclasses.MISSING else field.default_factory())
        for field in dataclasses.fields(kind)
    )


def _decode_class(kind: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"expected the fields of {getattr(kind, '__name__', kind)}")
    as_now, fields, unwritten = _form(kind)
    if as_now is not None:
        value = as_now(value)
    known = {name: fields[name](item) for name, item in value.items() if name in fields}
    for name, make in unwritten:
        if name not in known:
            known[name] = make()
    return kind(**known)


@functools.cache
def _form(kind: type) -> tuple[Decoder | None, Mapping[str, Decoder], tuple[tuple[str, Callable[[], Any]], ...]]:
    """What makes of older fields those of now (None: nothing), how each is read, and what those not written are."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: _decoder(hints[field.name]) for field in dataclasses.fields(kind)}
    return getattr(kind, "as_now", None), fields, tuple(_unwritten(kind, hints).items())


def _unwritten(kind: type, hints: Mapping[str, Any]) -> Mapping[str, Callable[[], Any]]:
    """What the fields without a default are where whoever wrote the text did not know them.

    None where they may be, and of a part of which all may be lacking, that: other fields are needed.
    """
    found: dict[str, Callable[[], Any]] = {}
    for name in (name for name, default in _defaults(kind) if default is dataclasses.MISSING):
        if type(None) in typing.get_args(hints[name]):
            found[name] = _nothing
        elif dataclasses.is_dataclass(hints[name]):
            found[name] = functools.partial(_decode_class, hints[name], {})
    return found


def _nothing() -> None:
    return None


def _decoder(kind: Any) -> Decoder:
    if kind is Any or kind is object:
        return _as_it_is
    if dataclasses.is_dataclass(kind):
        return functools.partial(_decode_class, kind)
    if kind is datetime:
        return _decode_time
    if kind is timedelta:
        return lambda value: timedelta(seconds=value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _of_union(arguments)
    if origin is typing.Literal:
        return functools.partial(_decode_literal, arguments)
    if origin is tuple:
        return _of_tuple(arguments)
    if origin is frozenset:
        member = _decoder(arguments[0])
        return lambda value: frozenset(map(member, value))
    if origin in (dict, Mapping, collections.abc.Mapping):
        return functools.partial(_decode_mapping, _decoder(arguments[1]))
    return functools.partial(_decode_plain, kind)


def _as_it_is(value: Any) -> Any:
    return value


def _decode_time(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _decode_literal(words: tuple[Any, ...], value: Any) -> Any:
    if value not in words:
        raise ValueError(f"{value!r} is none of {words}")
    return value


def _of_tuple(kinds: tuple[Any, ...]) -> Decoder:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        member = _decoder(kinds[0])
        return lambda value: tuple(map(member, value))
    parts = tuple(map(_decoder, kinds))

    def decode_tuple(value: Any) -> Any:
        if tuple(map(type, value)) == kinds and _PLAIN_TYPES.issuperset(kinds):  # thousands of pairs of numbers
            return tuple(value)
        return tuple(part(item) for part, item in zip(parts, value, strict=True))

    return decode_tuple


def _decode_mapping(member: Decoder, value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"expected a mapping, found {type(value).__name__}")
    return {key: member(item) for key, item in value.items()}


def _decode_plain(kind: Any, value: Any) -> Any:
    if kind is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _of_union(kinds: tuple[Any, ...]) -> Decoder:
    as_they_are = _PLAIN_TYPES.intersection(kinds)
    decoders = [_decoder(kind) for kind in kinds if kind is not type(None)]

    def decode_union(value: Any) -> Any:
        # Exact types first: an int must not come back as a float because float was named earlier.
        if type(value) in as_they_are:
            return value
        problems = []
        for decoder in decoders:
            try:
                return decoder(value)
            except (TypeError, ValueError) as error:
                problems.append(str(error))
        raise TypeError("; ".join(problems) or "null where a value belongs")

    return decode_union
