"""`monitord demo`'s mistakes and absences: each one line, exit 2, and nothing started."""

import re
from pathlib import Path

import pytest

from monitord.demo import extra
from monitord.demo.fleets import NAMES, fleet_named
from monitord.demo.scenario import FAULTS

from .program import monitord


def refused(directory: Path, *arguments: str) -> str:
    done = monitord("demo", *arguments, directory=directory)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert list(directory.iterdir()) == []
    return line


def test_an_unknown_fault_is_one_line_with_every_name_there_is(tmp_path: Path) -> None:
    line = refused(tmp_path, "--break", "service,everything")
    assert "'everything'" in line
    assert all(fault.name in line for fault in FAULTS)


@pytest.mark.parametrize("text", ["soon", "60", "0s", ""])
def test_a_duration_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, "--duration", text).startswith("--duration: ")


@pytest.mark.parametrize("port", ["0", "65536"])
def test_a_port_that_is_none_is_one_line(tmp_path: Path, port: str) -> None:
    assert refused(tmp_path, "--port", port).startswith("--port: ")


WITHOUT_EACH = """
import sys
from monitord.__main__ import main

for module in sys.argv[1:]:
    sys.modules[module] = None
    assert main(["demo"]) == 2
    del sys.modules[module]
"""


def test_an_absent_part_that_cannot_be_installed_is_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("no directory, so that nothing can be kept in it")
    done = monitord("-c", WITHOUT_EACH, *extra.PARTS, directory=tmp_path, settings={"XDG_CACHE_HOME": str(home)})
    assert (done.returncode, done.stdout) == (0, "")
    for line, part in zip(done.stderr.splitlines(), extra.PARTS.values(), strict=True):
        assert part in line
        assert "pip install 'monitord[demo]'" in line
        assert "cannot be written" in line


def test_what_it_installs_is_what_the_extra_declares() -> None:
    names = {re.split(r"[<>=!~\[ ]", wanted)[0] for wanted in extra.requirements()}
    assert set(extra.PARTS.values()) <= names


def test_help_names_every_fault(tmp_path: Path) -> None:
    done = monitord("demo", "--help", directory=tmp_path)
    assert done.returncode == 0
    for name in NAMES:
        assert ",".join(fault.name for fault in fleet_named(name).faults) in "".join(done.stdout.split())


def test_a_fault_of_another_fleet_is_one_line_with_every_name_of_this_one(tmp_path: Path) -> None:
    line = refused(tmp_path, "--fleet", "shop", "--break", "sealing")
    assert all(fault.name in line for fault in fleet_named("shop").faults)
