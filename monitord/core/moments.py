"""Times of the wall clock in what is kept: fields of type `Moment` move with the clock when it is set."""

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

from monitord.core.copying import replace

T = TypeVar("T")
_WALL_CLOCK = object()
# Unix seconds by this machine's wall clock. A time by another clock (PM2's, the database's), or a label, is a number.
Moment = Annotated[float, _WALL_CLOCK]
To = Callable[[float], float]


def with_moments(thing: T, to: To) -> T:
    """The dataclass in which each moment, also within its parts, is put `to` another."""
    kind: Any = type(thing)
    move = _mover(kind)
    moved: T = thing if move is None else move(thing, to)
    return moved


@cache
def _mover(kind: Any) -> Callable[[Any, To], Any] | None:
    """How the moments in a value of this type are moved; None where there are none in it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return (lambda at, to: to(at)) if _WALL_CLOCK in arguments else _mover(arguments[0])
    if origin in (typing.Union, types.UnionType):
        moves = [move for one in arguments if (move := _mover(one)) is not None]
        return None if not moves else lambda value, to: None if value is None else moves[0](value, to)
    if origin in (Mapping, collections.abc.Mapping) and (each := _mover(arguments[1])) is not None:
        return lambda value, to: {key: each(item, to) for key, item in value.items()}
    if origin is tuple and arguments[-1] is Ellipsis and (member := _mover(arguments[0])) is not None:
        return lambda value, to: tuple(member(item, to) for item in value)
    if origin is tuple and arguments[-1] is not Ellipsis and any(parts := [_mover(one) for one in arguments]):
        return lambda value, to: tuple(
            item if part is None else part(item, to) for part, item in zip(parts, value, strict=True)
        )
    return _of_fields(kind) if dataclasses.is_dataclass(kind) else None


def _of_fields(kind: Any) -> Callable[[Any, To], Any] | None:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = [(one.name, move) for one in dataclasses.fields(kind) if (move := _mover(hints[one.name])) is not None]
    if not fields:
        return None
    return lambda value, to: replace(value, **{name: move(getattr(value, name), to) for name, move in fields})
