"""What the documents say is what the code does: every rule, event, setting and command is in them, and no other."""

from __future__ import annotations

import builtins
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import dedent
from typing import get_args

import pytest

from monitord.__main__ import command_line
from monitord.cli import COMMANDS
from monitord.config.loader import variables
from monitord.config.sources import ENV_FILE
from monitord.core.model import RestartKind
from monitord.core.report.criteria import criteria
from monitord.core.subjects import RULES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "tests" / "nights" / "README.md",
    *(ROOT / "docs").rglob("*.md"),
]
PACKAGE = ROOT / "monitord"
# A path in a document begins at the root of the repository, or in the package.
PLACES = {path.name for directory in (ROOT, PACKAGE) for path in directory.iterdir() if path.is_dir()}
PATH = re.compile(r"(?<![\w/.<$~-])((?:[a-z_0-9]+/)+(?:[a-z_0-9-]+\.[a-z]+)?)(?=[`,;:)\s])")
SOURCES = [path.read_text(encoding="utf-8") for path in (ROOT / "monitord").rglob("*.py")]


def section(title: str, document: str = REFERENCE) -> str:
    return document.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def first_cells(table: str) -> set[str]:
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row.split("|")[1])}


def test_every_rule_is_in_the_reference_and_no_other() -> None:
    assert first_cells(section("Rules")) == {rule.name for rule in RULES}


def test_every_event_that_is_emitted_is_in_the_reference_and_no_other() -> None:
    emitted = {name for source in SOURCES for name in re.findall(r"\.emit\(\s*\"([a-z0-9_]+)\"", source)}
    emitted |= {"check_completed", "cycle_completed", "alert_pending", "alert_firing", "alert_resolved"}
    emitted |= {"alert_suppressed"}
    assert first_cells(section("Log lines")) == emitted


def test_every_criterion_of_the_verdict_is_in_the_reference_and_no_other() -> None:
    assert first_cells(section("The verdict")) == {criterion.name for criterion in criteria()}


def test_every_kind_of_restart_is_in_the_reference_and_no_other() -> None:
    assert first_cells(section("Restarts")) == set(get_args(RestartKind))


def test_every_setting_named_in_a_document_is_one() -> None:
    known = {*variables(), ENV_FILE}
    named = set(re.findall(r"\bMONITORD_[A-Z0-9_]*[A-Z0-9]\b", README + REFERENCE))
    assert named <= known


def test_every_command_named_in_the_readme_is_one() -> None:
    named = set(re.findall(r"monitord (init|run|check|status|report|alerts|backtest|config|demo|[a-z]+ )", README))
    called = set(re.findall(r"\.venv/bin/monitord ([a-z]+)", README))
    assert called <= set(COMMANDS)
    assert {"init", "check"} <= called
    assert named


def test_every_make_target_named_in_the_readme_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^    |`)make ([a-z][a-z-]*)\b", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert {name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)} == set()


def test_the_program_has_help_in_which_is_every_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "monitord", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "usage: monitord" in done.stdout
    assert all(re.search(rf"^ +{name} ", done.stdout, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line(command).parse_args([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: monitord {command}" in capsys.readouterr().out


def test_the_readme_is_about_one_screen_before_its_first_heading_of_detail() -> None:
    opening = README.split("\n## ", 1)[0]
    assert len(opening.splitlines()) <= 40


def drawn(block: str) -> set[str]:
    """The paths of a tree drawn by indentation, below its first line, without what is said of each."""
    parents: list[str] = []
    paths = set()
    for line in dedent(block).splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name.rstrip("/")]
        paths.add("/".join(parents[1:]))
    return paths - {""}


def test_the_architecture_draws_every_package_and_no_other() -> None:
    there = {str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.glob("*/**/__init__.py")}
    there |= {path.name for path in PACKAGE.glob("*.py")}
    tree = section("The tree", ARCHITECTURE).strip("\n").split("\n\n", 1)[0]
    assert drawn(tree) == there
    assert all(len(line.split()) > 1 for line in tree.splitlines()[1:])


def test_the_architecture_has_the_layers_of_the_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(each["layers"] for each in settings["contracts"] if each["type"] == "layers")
    contract = [[name for name in layer.split(" | ") if not name.startswith("(")] for layer in layers]
    written = re.findall(r"^    (.+)$", section("Layers", ARCHITECTURE), re.MULTILINE)
    assert [line.split(" | ") for line in written] == contract


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_named_in_a_document_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = {path for path in re.findall(PATH, text) if path.split("/")[0] in PLACES}
    links = {str(document.parent / link) for link in re.findall(r"\]\(([^)#:]+)\)", text)}
    assert {path for path in named | links if not any((place / path).exists() for place in (ROOT, PACKAGE))} == set()


@pytest.mark.parametrize("recipe", ["A probe", "A rule", "A channel", "A command"])
def test_every_file_of_a_recipe_is_there(recipe: str) -> None:
    steps = re.findall(r"^\d\. (.+?)(?=^\d\. |^$|\Z)", section(recipe, CONTRIBUTING), re.MULTILINE | re.DOTALL)
    assert len(steps) >= 2
    for step in steps:
        named = re.findall(r"`((?:[\w-]+/)*[\w.-]*\w\.(?:py|toml|md|example))`", step)
        assert named, step
        for path in named:
            there = ROOT / path
            # One that is to be made has another beside it to begin from.
            assert there.parent.is_dir() if "NAME" in path else there.is_file(), path
        assert any("NAME" not in path for path in named), step


def test_every_class_named_in_the_architecture_and_the_recipes_is_one() -> None:
    named = set(re.findall(r"`([A-Z][a-z]+[A-Za-z0-9]*)`", ARCHITECTURE + CONTRIBUTING))
    made = {
        name for source in SOURCES for name in re.findall(r"^(?:class )?([A-Z]\w+)(?=[(:]| =)", source, re.MULTILINE)
    }
    assert len(named) > 10
    assert named - made - set(dir(builtins)) == set()


def test_each_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "decisions").glob("0*.md")]
    assert sorted(numbers) == sorted(set(numbers))
