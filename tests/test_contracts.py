"""Each import contract of pyproject.toml is broken by an import that it is there to forbid, and says which it was."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "monitord"
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
BY_TYPE = {(each["type"], each.get("modules", [""])[0]): each["name"] for each in CONTRACTS}
LAYERS = next(each["layers"] for each in CONTRACTS if each["type"] == "layers")
# The import that each contract is to forbid: the module (made, where there is none), its line, what is said of it.
PLANTED = {
    ("allowed_imports", "monitord.core"): [
        ("core/units.py", "import time", "monitord.core.units is not allowed to import time"),
        (
            "core/engine.py",
            "def f() -> None: from os import environ",
            "monitord.core.engine is not allowed to import os",
        ),
        ("core/model.py", "import httpx", "monitord.core.model is not allowed to import httpx"),
    ],
    ("independence", "monitord.probes.*"): [
        ("probes/made_up.py", "import monitord.probes.host", "monitord.probes.made_up -> monitord.probes.host"),
    ],
    ("independence", "monitord.probes.checks.*"): [
        ("probes/checks/made_up.py", "import monitord.probes.checks.tcp", "made_up -> monitord.probes.checks.tcp"),
    ],
    ("independence", "monitord.notify.channels.*"): [
        (
            "notify/channels/webhook.py",
            "from monitord.notify.channels import pagerduty",
            "monitord.notify.channels.webhook -> monitord.notify.channels.pagerduty",
        ),
    ],
    ("protected", ""): [
        ("cli/check.py", "import monitord.testing", "monitord.cli.check -> monitord.testing"),
        ("cli/init.py", "import monitord.demo.tour", "monitord.cli.init -> monitord.demo.tour"),
    ],
    ("layers", ""): [("made_up/__init__.py", "", "monitord.made_up")],
}


def members(layer: str) -> list[str]:
    """The packages of a layer that are there."""
    names = re.findall(r"\w+", layer)
    return [name for name in names if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()]


def upwards() -> list[tuple[str, str]]:
    """Who must not import whom: each package every one of the layers above its own, and those beside it."""
    layers = [members(layer) for layer in LAYERS]
    above = [(lower, upper) for n, layer in enumerate(layers) for lower in layer for up in layers[:n] for upper in up]
    return above + [pair for layer in layers for pair in permutations(layer, 2)]


LINTED = """
import json, sys
from pathlib import Path
from importlinter.cli import lint_imports

codes = [lint_imports(no_cache=True)]
for path, line in json.load(sys.stdin):
    module = Path("monitord", path)
    module.parent.mkdir(exist_ok=True)
    with module.open("a", encoding="utf-8") as file:
        file.write(f"\\n{line}\\n")
print("== planted", flush=True)
sys.exit(json.dumps([*codes, lint_imports(no_cache=True)]))
"""


@pytest.fixture(scope="module")
def linted(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[int, str], tuple[int, str]]:
    """What is said of a copy, and of the same copy with everything planted."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, copy / "monitord", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "support", copy / "tests" / "support")
    shutil.copy(ROOT / "pyproject.toml", copy)
    lines = [(path, line) for each in PLANTED.values() for path, line, _ in each]
    for importer, imported in upwards():
        package = f"{importer}/__init__.py" if (PACKAGE / importer).is_dir() else f"{importer}.py"
        lines.append((package, f"import monitord.{imported}"))
    done = subprocess.run(
        [sys.executable, "-c", LINTED], cwd=copy, env={"COLUMNS": "400"}, input=json.dumps(lines),
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    before, _, after = done.stdout.partition("== planted\n")
    codes = json.loads(done.stderr)
    return (codes[0], before), (codes[1], after)


def test_each_contract_has_an_import_that_breaks_it() -> None:
    assert set(PLANTED) == set(BY_TYPE)
    assert len(BY_TYPE) == len(CONTRACTS)


def test_a_copy_keeps_every_contract(linted: tuple[tuple[int, str], tuple[int, str]]) -> None:
    (code, said), _ = linted
    assert code == 0, said
    assert all(f"{each['name']} KEPT" in said for each in CONTRACTS)


@pytest.mark.parametrize("contract", PLANTED, ids=" ".join)
def test_a_contract_is_broken_by_what_it_forbids(
    linted: tuple[tuple[int, str], tuple[int, str]], contract: tuple[str, str]
) -> None:
    _, (code, said) = linted
    assert code == 1, said
    assert f"{BY_TYPE[contract]} BROKEN" in said
    for _, _, expected in PLANTED[contract]:
        assert expected in said


def test_no_package_imports_any_of_the_layers_above_it_or_beside_it(
    linted: tuple[tuple[int, str], tuple[int, str]],
) -> None:
    _, (_, said) = linted
    found = set(re.findall(r"monitord\.(\w+) is not allowed to import monitord\.(\w+):", said))
    assert set(upwards()) - found == set()


CLOCKS = {"now", "today", "utcnow"}
BUILTINS = {"open", "print", "input", "__import__"}
NAMED = re.compile(rf"\.\s*(?:{'|'.join(CLOCKS)})\b|\b(?:{'|'.join(BUILTINS)})\b")


def impure(source: str) -> list[str]:
    """The calls that read a clock, or go outside, by what needs no import that the contract could forbid."""
    if not NAMED.search(source):
        return []
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    clocks = [f.attr for f in calls if isinstance(f, ast.Attribute) and f.attr in CLOCKS]
    return clocks + [f.id for f in calls if isinstance(f, ast.Name) and f.id in BUILTINS]


def test_core_reads_no_clock_and_no_file_by_what_it_may_import() -> None:
    assert impure("from datetime import UTC, datetime\nat = datetime.now(UTC)\nopen('x')") == ["now", "open"]
    modules = sorted((PACKAGE / "core").rglob("*.py"))
    assert {str(path): found for path in modules if (found := impure(path.read_text(encoding="utf-8")))} == {}
