"""The subjects of packages that are installed beside monitord."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint

from monitord.config.sections import names_of
from monitord.config.settings import Settings
from monitord.core.subjects.guard import BrokenError
from monitord.core.subjects.registry import register, set_aside, subject_named, unregister

_added: set[EntryPoint] = set()


def add(found: Iterable[EntryPoint]) -> None:
    for entry in found:
        if entry in _added:
            continue
        _added.add(entry)
        package = entry.dist.name if entry.dist is not None else entry.module
        try:
            _register(entry, package)
        except KeyboardInterrupt:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a package raises costs that package
            _aside(entry, package, error)
        except BaseException as error:  # noqa: BLE001 - and sys.exit() in it ends no monitor
            _aside(entry, package, BrokenError(type(error).__name__))


def _register(entry: EntryPoint, package: str) -> None:
    if subject_named(entry.name) is not None:
        raise ValueError(f"the subject {entry.name} is declared already")
    subject = entry.load()
    if getattr(subject, "name", entry.name) != entry.name:
        raise ValueError(f"its entry point is called {entry.name}, and its subject {subject.name}")
    register(subject, package)
    if subject.settings is None:
        return
    from monitord.config.schema import settings_class  # reading settings costs memory, and few packages have any

    try:
        settings_class()
    except BaseException:
        unregister(entry.name)
        raise


def _aside(entry: EntryPoint, package: str, error: BaseException) -> None:
    taken = subject_named(entry.name) is not None or entry.name in names_of(Settings)
    set_aside(f"{package}.{entry.name}" if taken else entry.name, package, error)
