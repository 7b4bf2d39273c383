"""Frozen dataclasses made and copied slot by slot: `__init__` at half, `dataclasses.replace` at a fifth of its cost.

A cycle makes hundreds of small things, and copies the history, each service and each table several times over. The
slots are set by functions that are written once for each class, where `dataclasses` goes field by field through
`object`. What has dozens of fields and few instances has no slots: it is copied as one dictionary.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dataclasses import replace as replace
else:
    _copiers: dict[type, Callable[[Any, dict[str, object]], object]] = {}

    def replace(thing, /, **changes):
        """The dataclass with these fields changed. TypeError where it has no such field."""
        kind = thing.__class__
        copy = _copiers.get(kind)
        if copy is None:
            copy = _copiers[kind] = _copier(kind)
        return copy(thing, changes)


T = TypeVar("T")


def slot_by_slot(kind: type[T]) -> type[T]:
    """The frozen dataclass with an `__init__` that sets each slot. TypeError: a `__post_init__` would be skipped."""
    if hasattr(kind, "__post_init__"):
        raise TypeError(f"{kind.__name__} has a __post_init__, which is not called where it is made slot by slot")
    scope: dict[str, Any] = {"kind": kind, "missing": object()}
    taken, body = ["self"], []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type] # the decorator below this one made it one
        name = field.name
        scope[f"set_{name}"] = getattr(kind, name).__set__
        value = name
        if field.default is not dataclasses.MISSING:
            scope[f"default_{name}"] = field.default
            taken.append(f"{name}=default_{name}")
        elif field.default_factory is not dataclasses.MISSING:
            scope[f"make_{name}"] = field.default_factory
            taken.append(f"{name}=missing")
            value = f"make_{name}() if {name} is missing else {name}"
        else:
            taken.append(name)
        body.append(f"  set_{name}(self, {value})")
    lines = [f"def made({', '.join(scope)}):", f" def __init__({', '.join(taken)}):", *body, " return __init__"]
    made = _written(lines, scope)
    made.__qualname__ = f"{kind.__qualname__}.__init__"
    kind.__init__ = made  # type: ignore[method-assign]
    return kind


def with_these(kind: type[T], *names: str) -> Callable[..., T]:
    """A function that copies a frozen dataclass of slots with these fields, in order, at half the cost of `replace`."""
    fields = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type] # it is a dataclass
    if unknown := set(names) - set(fields):
        raise TypeError(f"{kind.__name__} has no field {min(unknown)!r}")
    scope = {"kind": kind, "new": object.__new__, **{f"set_{name}": getattr(kind, name).__set__ for name in fields}}
    lines = [
        f"def made({', '.join(scope)}):",
        f" def copy(old, {', '.join(names)}):",
        "  made = new(kind)",
        *(f"  set_{name}(made, {name if name in names else f'old.{name}'})" for name in fields),
        "  return made",
        " return copy",
    ]
    copy: Callable[..., T] = _written(lines, scope)
    return copy


def _written(lines: list[str], scope: dict[str, Any]) -> Any:
    """What the function `made` returns that these lines define, of all that is in the scope."""
    found: dict[str, Any] = {}
    exec("\n".join(lines), found)  # noqa: S102 - of nothing but field names
    return found["made"](**scope)


def _copier(kind: type) -> Callable[[Any, dict[str, object]], object]:
    """A function that copies instances of a dataclass; that of `dataclasses` where it has both slots and none."""
    names = [field.name for field in dataclasses.fields(kind)]
    slots = [name for name in names if hasattr(getattr(kind, name, None), "__set__")]
    if hasattr(kind, "__post_init__") or (slots and len(slots) < len(names)):
        return lambda thing, changes: dataclasses.replace(thing, **changes)
    return _copy_of_slots(kind, names) if slots else _copy_of_dict(kind, frozenset(names))


def _copy_of_dict(kind: type, names: frozenset[str]) -> Callable[[Any, dict[str, object]], object]:
    new, set_attribute = object.__new__, object.__setattr__

    def copy(old: Any, changes: dict[str, object]) -> object:
        if not changes.keys() <= names:
            raise TypeError(f"{kind.__name__} has no field {min(changes.keys() - names)!r}")
        made: object = new(kind)
        set_attribute(made, "__dict__", old.__dict__ | changes)  # a third of what two updates of it cost
        return made

    return copy


def _copy_of_slots(kind: type, names: list[str]) -> Callable[[Any, dict[str, object]], object]:
    setters = {name: getattr(kind, name).__set__ for name in names}
    local = {f"set_{name}": setter for name, setter in setters.items()}
    lines = [
        f"def copy(old, changes, new=object.__new__, kind=kind, {', '.join(f'{one}={one}' for one in local)}):",
        " made = new(kind)",
        *(f" set_{name}(made, old.{name})" for name in names),
        " try:",
        "  for name, value in changes.items():",
        "   setters[name](made, value)",
        " except KeyError as error:",
        "  raise TypeError(f'{kind.__name__} has no field {error}') from None",
        " return made",
    ]
    scope: dict[str, Any] = {"kind": kind, "setters": setters, **local}
    exec("\n".join(lines), scope)  # noqa: S102 - of nothing but field names
    copy: Callable[[Any, dict[str, object]], object] = scope["copy"]
    return copy
