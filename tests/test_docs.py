"""What the documents say is what the code does: every rule, event, setting and command is in them, and no other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from monitord.__main__ import COMMANDS
from monitord.config.loader import variables
from monitord.config.sources import ENV_FILE
from monitord.core.model import RestartKind
from monitord.core.subjects import RULES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
SOURCES = [path.read_text(encoding="utf-8") for path in (ROOT / "monitord").rglob("*.py")]


def section(title: str) -> str:
    return REFERENCE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


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
    named = {name for source in SOURCES for name in re.findall(r'name, title = "([a-z_]+)"', source)}
    assert first_cells(section("The verdict")) == named


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


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_command_has_help(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "monitord", *command, "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "usage: monitord" in done.stdout
    if not command:
        assert all(re.search(rf"^ +{name} ", done.stdout, re.MULTILINE) for name in COMMANDS)


def test_the_readme_is_about_one_screen_before_its_first_heading_of_detail() -> None:
    opening = README.split("\n## ", 1)[0]
    assert len(opening.splitlines()) <= 40
