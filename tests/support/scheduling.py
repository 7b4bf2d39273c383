"""In which order files are run, where several workers share them: see `make test`."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

LONGEST: Final = (
    "tests/faults/test_tables_and_sealing.py",
    "tests/nights/test_library.py",
    "tests/demo/test_apps.py",
    "tests/faults/test_services.py",
    "tests/runtime/test_daemon.py",
    "tests/faults/test_telling.py",
    "tests/faults/test_said_at_once.py",
    "tests/pm2/test_watched.py",
    "tests/demo/test_tour.py",
    "tests/nights/test_month.py",
    "tests/faults/test_servers.py",
    "tests/runtime/test_privacy.py",
    "tests/deploy/test_one_page.py",
    "tests/deploy/test_installed.py",
    "tests/faults/test_signs.py",
    "tests/demo/test_stack.py",
    "tests/pm2/test_bus.py",
    "tests/deploy/test_ecosystem.py",
    "tests/faults/test_foreign_fleet.py",
    "tests/browser/test_page.py",
    "tests/pm2/test_client.py",
)
"""The files that take longest, in this order, so that none is left for the end: they mostly wait for real servers."""


def longest_first(items: list[pytest.Item]) -> None:
    """Sort by file: the longest, then the others by how many tests they have. What is in a file keeps its order."""
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    tests = Counter(_file(item) for item in items)
    items.sort(key=lambda item: (ranks.get(_file(item), len(ranks)), -tests[_file(item)], _file(item)))


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
