"""PM2 is installed once, whoever asks for it at once and however often the registry stutters. npm is played here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from monitord.testing.sandbox import Sandbox, StackError
from monitord.testing.servers import pm2_install
from monitord.testing.servers.pm2_install import ATTEMPTS, install_pm2

NPM = """
echo . >> {counted}
[ $(wc -l < {counted}) -gt {fails} ] || {{
    echo 'npm error code ECONNRESET' >&2
    exit 1
}}
mkdir -p node_modules/pm2/bin && touch node_modules/pm2/bin/pm2
"""

Npm = Callable[[int], Path]


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    """Puts an npm that fails so many times in the place of the real one; of the file returned each run is a line."""

    def put(fails: int) -> Path:
        script, counted = tmp_path / "npm", tmp_path / "runs"
        script.write_text(NPM.format(counted=counted, fails=fails))

        async def found(_: Sandbox) -> tuple[Path, Path]:
            return Path("/bin/sh"), script

        monkeypatch.setattr(pm2_install, "_node_and_npm", found)
        return counted

    return put


async def test_two_installs_at_once_make_one(sandbox: Sandbox, tmp_path: Path, npm: Npm) -> None:
    counted, cache, said = npm(0), tmp_path / "cache", list[str]()
    programs = await asyncio.gather(*(install_pm2(sandbox, said.append, cache=cache) for _ in range(2)))
    assert programs[0] == programs[1]
    assert programs[0].script.is_file()
    assert counted.read_text() == ".\n"
    assert sum(line.startswith("installing PM2") for line in said) == 1
    left = [Path(entry).name for entry in os.scandir(cache) if entry.is_dir()]
    assert left == [programs[0].script.parents[3].name]


async def test_a_registry_that_stutters_is_asked_again(sandbox: Sandbox, tmp_path: Path, npm: Npm) -> None:
    counted, said = npm(ATTEMPTS - 1), list[str]()
    program = await install_pm2(sandbox, said.append, cache=tmp_path / "cache")
    assert program.script.is_file()
    assert counted.read_text().count(".") == ATTEMPTS
    assert sum("asked once more" in line and "ECONNRESET" in line for line in said) == ATTEMPTS - 1


async def test_what_cannot_be_installed_says_what_npm_said_and_leaves_nothing(
    sandbox: Sandbox, tmp_path: Path, npm: Npm
) -> None:
    counted = npm(ATTEMPTS)
    with pytest.raises(StackError, match=rf"PM2 could not be installed in {ATTEMPTS} attempts: .*ECONNRESET"):
        await install_pm2(sandbox, lambda _: None, cache=tmp_path / "cache")
    assert counted.read_text().count(".") == ATTEMPTS
    assert [entry.name for entry in os.scandir(tmp_path / "cache") if entry.is_dir()] == []
