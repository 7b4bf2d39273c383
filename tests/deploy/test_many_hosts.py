"""docs/many-hosts.md against what it speaks of: every setting, command, file, alert, metric and figure in it is one."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitord.cli import COMMANDS
from monitord.config.loader import load, variables
from monitord.core.subjects import RULES
from monitord.notify.channels.alertmanager import RESEND_SECONDS
from monitord.reporting.metric_families import families
from monitord.reporting.metrics import MOST, exposition
from monitord.testing.sandbox import Sandbox
from tests.deploy.fleet import ready, start_alertmanager
from tests.deploy.test_prometheus import RULES as PROMETHEUS_RULES
from tests.deploy.tools import DEPLOY, approves, tool
from tests.reporting.test_metrics import FACTS, crowd, healthy, told

ROOT = DEPLOY.parent
DOCUMENT = (ROOT / "docs" / "many-hosts.md").read_text(encoding="utf-8")
BLOCKS = [block.strip().splitlines() for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)]
SETTINGS = [block for block in BLOCKS if block[0].startswith("MONITORD_")]
COMMANDS_SHOWN = [shlex.split(line) for block in BLOCKS if block not in SETTINGS for line in block]


def shown(program: str) -> list[list[str]]:
    return [command for command in COMMANDS_SHOWN if command[0] == program]


def test_every_command_belongs_to_a_test() -> None:
    known = {"sudo", "amtool", "promtool", "prometheus-alertmanager"}
    assert {command[0] for command in COMMANDS_SHOWN} == known


def test_every_setting_is_one() -> None:
    named = set(re.findall(r"\bMONITORD_[A-Z0-9_]*[A-Z0-9]\b", DOCUMENT))
    assert {"MONITORD_INSTANCE", "MONITORD_FLEET"} <= named
    assert named <= set(variables())


@pytest.mark.parametrize("block", SETTINGS, ids=lambda block: str(block[0].partition("=")[0]))
def test_settings_that_are_shown_together_are_valid_together(block: list[str], tmp_path: Path) -> None:
    given = dict(line.split("#")[0].strip().split("=", 1) for line in block)
    load({"HOME": str(tmp_path)} | given, tmp_path)


def test_every_command_of_monitord_is_one() -> None:
    named = set(re.findall(r"`monitord ([a-z]+)", DOCUMENT))
    assert named
    assert named <= set(COMMANDS)


def test_every_file_is_there() -> None:
    named = set(re.findall(r"\bdeploy/[\w./-]+\b/?", DOCUMENT))
    assert len(named) >= 5
    assert [name for name in named if not (ROOT / name).exists()] == []
    unit = shown("sudo")[0]
    assert (ROOT / unit[-2]).is_file()


def test_every_alert_and_metric_is_one() -> None:
    alerts = set(re.findall(r"\bMonitord[A-Z]\w+", DOCUMENT))
    assert alerts == set(re.findall(r"- alert: (\w+)", PROMETHEUS_RULES))
    metrics = set(re.findall(r"(?<![\w:/])monitord_[a-z_]+", DOCUMENT)) - {"monitor_degraded"}
    assert metrics <= set(families())
    assert set(re.findall(r"`(fleet:\w+:\w+)`", DOCUMENT)) <= set(re.findall(r"- record: (\S+)", PROMETHEUS_RULES))
    assert "monitor_degraded" in {rule.name for rule in RULES}


def test_every_receiver_and_wait_is_that_of_the_routing() -> None:
    routing = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    for name in ("pager", "team", "alive"):
        assert f"`{name}`" in DOCUMENT
        assert f"- name: {name}" in routing
    assert "waits 45 s (`group_wait`)" in DOCUMENT
    assert "group_wait: 45s" in routing
    assert "group_by: [fleet, alertname, subject]" in routing


def test_the_figures_are_those_that_are_measured() -> None:
    figures = re.search(r"is (\d+) samples, (\d+) kB(?s:.*)5,000 services is (\d+) samples", DOCUMENT)
    assert figures is not None
    few, kilobytes, many = map(int, figures.groups())
    samples = len(told(healthy()))
    assert samples == pytest.approx(few, rel=0.1)
    assert len(exposition(healthy(), FACTS)[0]) == pytest.approx(kilobytes * 1000, rel=0.1)
    assert len(told(crowd())) == pytest.approx(many, rel=0.1)
    assert f"at most {MOST} values" in DOCUMENT
    assert 50 * samples / 30 < 250
    assert 50 * samples / 30 * 86400 * 2 == pytest.approx(41e6, rel=0.1)
    assert RESEND_SECONDS == 60


def test_prometheus_tool_takes_its_commands(tmp_path: Path) -> None:
    directory = Path(shutil.copytree(DEPLOY / "prometheus", tmp_path / "prometheus"))
    (directory / "monitord.token").write_text("a-long-random-word\n")
    assert len(shown("promtool")) == 2
    for _, *arguments in shown("promtool"):
        approves(tool("promtool"), *arguments, cwd=directory)


def test_every_option_of_alertmanager_is_one() -> None:
    known = subprocess.run(
        [tool("prometheus-alertmanager"), "--help"], capture_output=True, text=True, timeout=30, check=False
    )
    options = {word.partition("=")[0] for command in shown("prometheus-alertmanager") for word in command[1:]}
    assert options
    assert [option for option in options if option not in known.stdout + known.stderr] == []


@pytest.fixture
def sandbox_of_its_own() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.servers
async def test_alertmanagers_tool_takes_its_commands(sandbox_of_its_own: Sandbox, tmp_path: Path) -> None:
    address = start_alertmanager(
        sandbox_of_its_own, tool("prometheus-alertmanager"), tmp_path / "alertmanager", "http://127.0.0.1:9"
    )
    await ready(address)
    for _, *arguments in shown("amtool"):
        given = [argument.replace("http://alertmanager:9093", address) for argument in arguments]
        approves(tool("amtool"), *given, cwd=ROOT)
    silences = approves(tool("amtool"), "silence", "query", f"--alertmanager.url={address}", cwd=ROOT)
    assert 'instance="box-1"' in silences
    assert 'fleet="shop"' in silences
