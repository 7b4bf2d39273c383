"""Frozen dataclasses made and copied slot by slot: at a third of the cost of `__init__`, a seventh of `replace`'s.

A cycle makes hundreds of small things, and copies the history, each service and each table several times over. A class
that is frozen has its slots set by calls, one for each. So they are set while the instance is of another class, of the
same layout and not frozen, by functions that are written once for each class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from dataclasses import replace as replace
else:
    _copiers: dict[type, Callable[[Any, dict[str, object]], object]] = {}

    def replace(thing, /, **changes):
        """The dataclass with these fields changed. TypeError where it has no such field."""
        kind = thing.__class__
        try:
            copy = _copiers[kind]
        except KeyError:
            copy = _copiers[kind] = _copier(kind)
        return copy(thing, changes)


T = TypeVar("T")


def slot_by_slot(kind: type[T]) -> type[T]:
    """The frozen dataclass with an `__init__` that sets each slot; nothing may inherit from it.

    TypeError: a `__post_init__` would be skipped, or it inherits fields itself.
    """
    if hasattr(kind, "__post_init__"):
        raise TypeError(f"{kind.__name__} has a __post_init__, which is not called where it is made slot by slot")
    if not _has_own_slots(kind):
        raise TypeError(f"{kind.__name__} has fields that are no slots of its own")
    scope: dict[str, Any] = {"_kind": kind, "_missing": object(), "_thawed": _thawed(kind), "_turn": _TURN}
    taken, body = ["self"], []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type] # the decorator below this one made it one
        name = value = field.name
        if field.default is not dataclasses.MISSING:
            scope[f"_default_{name}"] = field.default
            taken.append(f"{name}=_default_{name}")
        elif field.default_factory is not dataclasses.MISSING:
            scope[f"_make_{name}"] = field.default_factory
            taken.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        else:
            taken.append(name)
        body.append(f"  self.{name} = {value}")
    body = ["  _turn(self, _thawed)", *body, "  self.__class__ = _kind"]
    made = _written(f"__init__({', '.join(taken)})", body, scope)
    made.__qualname__ = f"{kind.__qualname__}.__init__"
    kind.__init__ = made  # type: ignore[method-assign]
    return kind


def with_these(kind: type[T], *names: str) -> Callable[..., T]:
    """A function that copies a dataclass of slots with these fields, in order, at half the cost of `replace`.

    Of a slot that is no field, where a class beneath has one, the copy has what it is given.
    """
    fields = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type] # it is a dataclass
    for name in (name for name in names if name not in fields):
        if not hasattr(getattr(kind, name, None), "__set__"):
            raise TypeError(f"{kind.__name__} has no field {name!r}")
        fields.append(name)
    body = [f"  _made.{name} = {name if name in names else f'_old.{name}'}" for name in fields]
    copy: Callable[..., T] = _copying(kind, f"copy({', '.join(('_old', *names))})", body)
    return copy


def _copying(kind: type, head: str, body: list[str]) -> Any:
    """The function of this head that copies as in this body."""
    body = ["  _made = _new(_thawed)", *body, "  _made.__class__ = _kind", "  return _made"]
    # With an underscore, as no field is called.
    return _written(head, body, {"_kind": kind, "_new": object.__new__, "_thawed": _thawed(kind)})


# What makes an instance one of another class of the same layout, where its own allows nothing to be set.
_TURN: Final = object.__dict__["__class__"].__set__


def _has_own_slots(kind: type) -> bool:
    """Whether each field is a slot of its own: what inherits some is frozen by the class that it has them of."""
    return {field.name for field in dataclasses.fields(kind)} <= set(kind.__dict__.get("__slots__", ()))


def _thawed(kind: type) -> type:
    """A class of the same layout as a frozen dataclass of slots, whose instances may be changed."""
    return type(f"{kind.__name__}, not frozen", kind.__bases__, {"__slots__": kind.__dict__["__slots__"]})


def _written(head: str, body: list[str], scope: dict[str, Any]) -> Any:
    """The function of this head and body, with all that is in the scope."""
    found: dict[str, Any] = {}
    name = head.partition("(")[0]
    lines = [f"def made({', '.join(scope)}):", f" def {head}:", *body, f" return {name}"]
    exec("\n".join(lines), found)  # noqa: S102 - of nothing but field names
    return found["made"](**scope)


def _copier(kind: type) -> Callable[[Any, dict[str, object]], object]:
    """A function that copies instances of a dataclass; that of `dataclasses` where it is not one of slots alone."""
    if not _has_own_slots(kind) or hasattr(kind, "__post_init__"):
        return lambda thing, changes: dataclasses.replace(thing, **changes)
    body = [
        *(f"  _made.{field.name} = _old.{field.name}" for field in dataclasses.fields(kind)),
        "  try:",
        "   for name, value in _changes.items():",
        "    setattr(_made, name, value)",
        "  except AttributeError:",
        "   raise TypeError(f'{_kind.__name__} has no field {name!r}') from None",
    ]
    copy: Callable[[Any, dict[str, object]], object] = _copying(kind, "copy(_old, _changes)", body)
    return copy
