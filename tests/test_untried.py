"""The end of a run says what was not tried, also where the tests run on several workers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests import conftest
from tests.untried import pytest_terminal_summary, told

REPOSITORY = Path(__file__).parents[1]
PATIENCE = 60.0
# The made-up tests have no use for the plugins that are installed, which take time to load.
WITHOUT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
SKIPS = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_one(number): pytest.skip("there is no pgbouncer program here")

@pytest.mark.skipif(True, reason="needs chromium, chromium-browser or google-chrome on PATH")
def test_two(): ...

def test_three(): ...
"""


def test_each_reason_is_told_once_with_how_many_and_what_brings_it() -> None:
    lines = list(told(["Skipped: there is no promtool here"] * 2 + ["root may write everywhere"]))
    assert lines == [
        "3 tests were not tried here:",
        "   2  there is no promtool here  ->  apt-get install prometheus",
        "   1  root may write everywhere  ->  run as another user than root",
    ]
    assert list(told([])) == []


def test_every_reason_for_which_a_test_of_this_suite_is_skipped_says_what_brings_it() -> None:
    texts = [path.read_text() for path in (REPOSITORY / "tests").rglob("*.py") if "untried" not in path.name]
    found = (re.findall(r'(?:skipif\([^\n]*reason=|pytest\.skip\()f?"([^"]+)"', text) for text in texts)
    reasons = [reason for each in found for reason in each]
    assert len(reasons) > 10
    unknown = [line for line in told(reasons) if line.endswith("see the reason") and "{name}" not in line]
    assert unknown == []


ONE_AFTER_ANOTHER = """
import sys, pytest
for workers in ((), ("-p", "xdist", "-n", "1")):
    assert pytest.main(["-q", "-pno:cacheprovider", *sys.argv[1:], *workers]) == 0
    print("== ended", flush=True)
"""


def test_the_end_of_a_run_says_it_on_workers_too(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(SKIPS)
    (tmp_path / "conftest.py").write_text("from tests.untried import pytest_terminal_summary\n")
    assert conftest.pytest_terminal_summary is pytest_terminal_summary
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_ANOTHER, f"--rootdir={tmp_path}", tmp_path],
        cwd=REPOSITORY, env=os.environ | WITHOUT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    alone, on_workers, rest = done.stdout.split("== ended\n")
    assert rest == ""
    for said in (alone, on_workers):
        assert "4 tests were not tried here:" in said
        assert "3  there is no pgbouncer program here  ->  apt-get install pgbouncer" in said
        assert "->  apt-get install chromium" in said
