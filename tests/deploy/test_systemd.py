"""The unit for systemd, by the judgement of systemd."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.deploy.tools import DEPLOY, approves, tool

UNIT = (DEPLOY / "systemd" / "monitord.service").read_text(encoding="utf-8")


def settings() -> list[tuple[str, str]]:
    lines = [line for line in UNIT.splitlines() if "=" in line and not line.startswith("#")]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def test_systemd_finds_nothing_to_say(tmp_path: Path) -> None:
    here = tmp_path / "monitord.service"
    here.write_text(UNIT.replace("/opt/monitord/.venv", sys.prefix), encoding="utf-8")
    verify = tool("systemd-analyze"), "verify", "--man=no", str(here)
    assert approves(*verify, cwd=tmp_path) == ""


def test_it_begins_the_daemon_reloads_it_by_its_own_signal_and_never_gives_up() -> None:
    unit = dict(settings())
    assert unit["ExecStart"].endswith("/bin/monitord run")
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert (unit["Restart"], unit["StartLimitIntervalSec"]) == ("always", "0")


def test_settings_that_are_wrong_are_not_tried_again() -> None:
    assert dict(settings())["RestartPreventExitStatus"] == "2"


def test_it_writes_in_its_state_directory_alone_and_has_no_privilege() -> None:
    unit = dict(settings())
    assert (unit["ProtectSystem"], unit["ProtectHome"], unit["StateDirectory"]) == ("strict", "read-only", "monitord")
    assert unit["Environment"] == "MONITORD_STATE_DIR=%S/monitord"
    assert (unit["CapabilityBoundingSet"], unit["NoNewPrivileges"]) == ("", "yes")
