"""Nothing that a test waits for may keep the whole run waiting."""

from __future__ import annotations

import ast
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import finish
from tests.support import forked, inside
from tests.support.children import EndedLate
from tests.support.scheduling import LONGEST

TESTS = Path(__file__).parent


def outlives(ended_late: EndedLate) -> int | None:
    """What a process ends with that is started inside; None where it does not end."""
    with ended_late, subprocess.Popen(["sleep", "60"]) as process:
        try:
            return process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            return None


def test_a_process_that_outlives_its_tests_time_is_ended_and_an_older_one_is_not() -> None:
    with subprocess.Popen(["sleep", "60"]) as older:
        time.sleep(0.05)  # longer than the clock of processes is coarse
        for seconds in (0.1, 5.0):  # where the machine is too busy to start one within the first
            ended_late = EndedLate(seconds)
            ends = [outlives(ended_late) for _ in range(2)]  # one after another, as tests are
            if None not in ends:
                break
        assert ends == [-9, -9]
        assert older.poll() is None
        older.kill()


def test_what_a_fixture_waits_for_has_a_deadline_and_its_own_error() -> None:
    with pytest.raises(TimeoutError):
        finish(asyncio.Event().wait(), within=0.05)

    async def fails() -> None:
        raise LookupError("as it was")

    with pytest.raises(LookupError, match="as it was"):
        finish(fails())


def test_every_command_that_a_test_runs_to_its_end_has_a_deadline() -> None:
    without = []
    found = 0
    texts = {path: path.read_text() for path in TESTS.rglob("*.py")}
    for path in (path for path, text in texts.items() if "subprocess.run" in text):
        for node in ast.walk(ast.parse(texts[path])):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "subprocess.run":
                found += 1
                if not {"timeout", None} & {keyword.arg for keyword in node.keywords}:
                    without.append(f"{path.relative_to(TESTS)}:{node.lineno}")
    assert found > 10
    assert without == []


def test_the_program_that_is_forked_is_a_process_as_any_other(tmp_path: Path) -> None:
    """Its exit code, both its streams, its directory and environment, and its end past a deadline are its own."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    program = "import os, sys; print(os.getcwd(), dict(os.environ), sys.argv[1:]); sys.exit('as it ends')"
    arguments = ["-c", program, "one", "two words"]
    real = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    forked_ = forked.run(arguments, cwd=tmp_path, env=env, timeout=60)
    assert real.returncode == 1
    assert (forked_.returncode, forked_.stdout, forked_.stderr) == (real.returncode, real.stdout, real.stderr)
    (tmp_path / ".env").write_text("MONITORD_CHECK_INTERVAL=soon\n")
    mistaken = forked.run(["config"], cwd=tmp_path, env=env, timeout=60)
    assert (mistaken.returncode, mistaken.stdout) == (2, "")
    assert "CHECK_INTERVAL" in mistaken.stderr
    (tmp_path / ".env").unlink()
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run(["run"], cwd=tmp_path, env={**env, "MONITORD_HTTP__LISTEN": ""}, timeout=0.1)


@pytest.mark.parametrize("arguments", [["config"], ["status", "--format", "json"], ["config", "--format", "odd"]])
def test_a_command_in_the_tests_own_process_says_what_a_process_says_and_leaves_no_trace(
    tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / ".env").write_text("MONITORD_CHECK_INTERVAL=17s\n")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8", "TZ": "Asia/Kathmandu"}
    before = (dict(os.environ), Path.cwd(), sys.stdin, sys.stdout, sys.stderr, time.tzname)
    there, here = (way.run(arguments, cwd=tmp_path, env=env, timeout=60) for way in (forked, inside))
    assert (here.returncode, here.stdout, here.stderr) == (there.returncode, there.stdout, there.stderr)
    assert (dict(os.environ), Path.cwd(), sys.stdin, sys.stdout, sys.stderr, time.tzname) == before


def test_the_files_that_are_run_first_are_there() -> None:
    assert [name for name in LONGEST if not (TESTS.parent / name).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)
