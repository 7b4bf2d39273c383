"""Libraries imported in part: without what they import for who uses all of them, or because it happens to be there.

A library that finds `rich` or `twisted` imports it, and a package's `__init__` imports every client and command
of it, of which the daemon needs one connection. Both cost memory for as long as the process lives.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_running = threading.RLock()


class _DeferredModule(ModuleType):
    """A module that runs once it is asked for something it does not have yet; then it is as any other."""

    def __getattr__(self, name: str) -> object:
        with _running:
            if type(self) is _DeferredModule:
                self.__class__ = ModuleType  # type: ignore[assignment]
                try:
                    if (spec := self.__spec__) is not None and spec.loader is not None:
                        spec.loader.exec_module(self)
                except BaseException:
                    self.__class__ = _DeferredModule
                    raise
        return getattr(self, name)


def import_parts(*parts: str) -> None:
    """Import modules of one package, and run the `__init__` of the packages they are in only when something else asks.

    `package.module:name` also puts the name into the package, as its `__init__` would. A version of the package that
    cannot be taken apart like that is imported whole. Called before anything imports it.
    """
    package = parts[0].partition(".")[0]
    if package not in sys.modules:
        try:
            _import(parts)
            return
        except ImportError:
            for name in [name for name in sys.modules if name.split(".")[0] == package]:
                del sys.modules[name]
    for part in parts:
        importlib.import_module(part.partition(":")[0])


def defer(*modules: str) -> None:
    """Have modules that a library imports for what is never done here run when something asks of them."""
    for name in modules:
        if name not in sys.modules:
            _defer(name)


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """While this lasts, these packages cannot be imported: as if they were not installed. Those in use already can."""
    hidden = [name for name in packages if name not in sys.modules]
    # None is what the import system takes for "not to be found" (sys.modules in Python's reference).
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def _import(parts: tuple[str, ...]) -> None:
    for part in parts:
        name, _, shared = part.partition(":")
        parent = name.rpartition(".")[0]
        if parent and parent not in sys.modules:
            _defer(parent)
        module = importlib.import_module(name)
        if shared:
            setattr(sys.modules[parent], shared, getattr(module, shared))


def _defer(name: str) -> None:
    parent, _, last = name.rpartition(".")
    if parent and parent not in sys.modules:
        _defer(parent)
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _DeferredModule
    sys.modules[name] = package
    if parent:
        setattr(sys.modules[parent], last, package)
