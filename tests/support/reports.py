"""What a worker of pytest-xdist tells of the tests that it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest


def tell_what_is_shown(config: pytest.Config) -> None:
    """Have a worker say of a test how it went, and leave out what nothing is shown of.

    Of six messages a test, each with its names and its times, that leaves two: the others take a worker and who listens
    to it half a millisecond, and there are six thousand tests.
    """
    if config.option.verbose > 0 or config.option.durations is not None or config.option.xmlpath:
        return
    for plugin in config.pluginmanager.get_plugins():
        if type(plugin).__name__ == "WorkerInteractor":
            worker: Any = plugin
            worker.sendevent = partial(_tell, worker.sendevent)


def _tell(tell: Callable[..., None], event: str, **told: Any) -> None:
    if is_shown(event, told.get("data", {})):
        tell(event, **told)


def is_shown(event: str, report: Mapping[str, object]) -> bool:
    """Whether anything is shown of an event; of what a test needs and leaves, where it did not go well."""
    if event == "testreport":
        return report["when"] == "call" or report["outcome"] != "passed"
    return event not in ("logstart", "logfinish")
