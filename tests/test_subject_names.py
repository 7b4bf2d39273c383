"""No code branches on a subject's name outside the files of that subject: what differs is declared."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

import monitord
from monitord.core.subjects.registry import SUBJECTS

PACKAGE = Path(monitord.__file__).parent
NAMES = frozenset(subject.name for subject in SUBJECTS)
NAMED = re.compile("|".join(NAMES))  # most files need not be parsed
# Whoever asks by a name: a mapping, a set, the history.
LOOKUPS = frozenset(
    {"get", "pop", "setdefault", "add", "discard", "remove", "reading", "startswith", "watched_seconds", "kept"}
)
# The files of single subjects outside core/subjects/ that have other names than theirs.
OWN = {
    "core/backtest/__init__.py": {"postgres"},
    "core/history/clocks.py": {"postgres"},  # the database's clock is what seals are judged by
    "core/history/database.py": {"postgres"},
    "core/history/growth*.py": {"postgres"},
    "core/history/mounts.py": {"host"},
    "core/history/restarts.py": {"host", "pm2"},  # whether PM2 was restarted by a reboot, the host's boot time says
    "testing/servers/*.py": {"pm2", "postgres"},
}
# Where such a word is none of a subject's names, or a list of subjects is what is to be written down.
ELSEWHERE = {
    "cli/proof.py": {"chain"},  # a field of the document of a proof
    "config/checks.py": {"host"},  # a header of HTTP
    "config/loader.py": {"pm2"},  # a section of the settings whose default depends on the machine
    "core/orders.py": {"pm2", "postgres", "epochs", "redis", "host"},  # orders that nobody made of settings
    "demo/*.py": NAMES,  # reads the public JSON, as any other reader of it, and names what it breaks
    "discovery/scan.py": {"epochs"},  # a column of what it asks
    "postgres/dsn.py": {"host"},  # a parameter of libpq
    "probes/__init__.py": NAMES,  # the registry of the probes
    "redis/connection.py": {"host"},  # a parameter of the client
    "testing/servers/pm2_install.py": {"pm2"},  # the name of a package of npm
    "web/middleware.py": {"host"},  # a header of HTTP
}


def branches(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where a subject's name is compared, is a key or an element, or is asked for."""
    for node in ast.walk(tree):
        parts: list[ast.expr | None] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            parts = list(node.keys)
        elif isinstance(node, ast.Set):
            parts = list(node.elts)
        elif isinstance(node, ast.Subscript) and not (isinstance(node.value, ast.Name) and node.value.id == "Literal"):
            parts = [node.slice]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
            parts = [node.value]  # and is compared under another name
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOOKUPS:
            parts = list(node.args[:1])
        for part in parts:
            for each in part.elts if isinstance(part, ast.Tuple | ast.List) else [part]:
                if isinstance(each, ast.Constant) and each.value in NAMES:
                    yield each.lineno, str(each.value)


def is_own(place: str, name: str) -> bool:
    """Whether a file is a subject's by its name, or by its folder's."""
    *folders, file = place.removesuffix(".py").split("/")
    return name in folders or file == name or file.startswith(f"{name}_")


def allowed(path: str) -> set[str]:
    return {
        name for known in (OWN, ELSEWHERE) for form, names in known.items() if fnmatch(path, form) for name in names
    }


@cache
def found_branches() -> tuple[tuple[str, int, str], ...]:
    """The file, line and name of each branch outside the files of subjects."""
    return tuple(
        (place, line, name)
        for path in sorted(PACKAGE.rglob("*.py"))
        if not (place := path.relative_to(PACKAGE).as_posix()).startswith("core/subjects/")
        if NAMED.search(text := path.read_text(encoding="utf-8"))
        for line, name in branches(ast.parse(text))
    )


def test_no_code_branches_on_a_subjects_name_outside_its_files() -> None:
    found = [
        f"{place}:{line} branches on {name}"
        for place, line, name in found_branches()
        if name not in allowed(place) and not is_own(place, name)
    ]
    assert found == []


def test_what_is_allowed_is_needed() -> None:
    needed: dict[str, set[str]] = {}
    for place, _, name in found_branches():
        for form in (form for known in (OWN, ELSEWHERE) for form in known if fnmatch(place, form)):
            needed.setdefault(form, set()).add(name)
    for known in (OWN, ELSEWHERE):
        for form, names in known.items():
            unused = names - needed.get(form, set())
            assert not unused or names is NAMES, f"{form} does not branch on {sorted(unused)}"


@pytest.mark.parametrize(
    "code",
    [
        'if probe == "redis": pass',
        'if "redis" in orders.probes: pass',
        'if probe in ("host", "redis"): pass',
        'if orders.probes - {"redis"}: pass',
        'LIMITS = {"redis": 1}',
        'SERVER = "redis"',
        'reading = readings["redis"]',
        'reading = readings.get("redis")',
        'match probe:\n    case "redis": pass',
    ],
)
def test_a_branch_is_found_however_it_is_written(code: str) -> None:
    assert "redis" in [name for _, name in branches(ast.parse(code))]
