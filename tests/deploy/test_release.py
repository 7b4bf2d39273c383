"""What a release is made by: the workflow, the Makefile's target, the container's files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from monitord import __version__
from tests.deploy.tools import DEPLOY, approves, tool

ROOT = DEPLOY.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_tag_is_compared_with_the_version_that_there_is() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    (program,) = re.findall(r"sed -n '[^']*' monitord/__init__\.py", text)
    assert approves("sh", "-c", program, cwd=ROOT).strip() == __version__


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_is_there_with_its_own_token(workflow: Path) -> None:
    text = workflow.read_text()
    targets = set(re.findall(r"make ([a-z-]+)", re.sub(r"(?m)^ *#.*$", "", text)))
    assert targets <= set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    assert all((ROOT / script).exists() for script in re.findall(r"bash (\S+)", text))
    assert "secrets." not in text
    assert "permissions:" in text


def test_every_file_that_is_published_is_made() -> None:
    recipe = approves("make", "--dry-run", "release", f"PYTHON={sys.executable}", cwd=ROOT)
    for file in ("SHA256SUMS", "sbom.cdx.json", "NOTES.md"):
        assert file in recipe
        assert file in (ROOT / ".github" / "workflows" / "release.yml").read_text()


def test_the_module_of_pm2_is_started_as_the_ecosystem_file_starts_it() -> None:
    (app,) = json.loads((DEPLOY / "pm2-module" / "package.json").read_text())["apps"]
    shipped = (DEPLOY / "ecosystem.config.js").read_text()
    for name in ("kill_timeout", "exp_backoff_restart_delay", "max_restarts", "wait_ready", "instances"):
        assert re.search(rf"\b{name}: {json.dumps(app[name])},", shipped), name


def test_what_the_image_is_built_from_is_there() -> None:
    text = (DEPLOY / "docker" / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"(?m)^COPY (?!--from)(.*)$", text) for word in line.split()[:-1]]
    assert copied
    assert all((ROOT / path).exists() for path in copied)


@pytest.mark.servers
@pytest.mark.timeout(600)
def test_the_image_is_built_and_runs() -> None:
    docker = tool("docker")
    if subprocess.run([docker, "info"], capture_output=True, timeout=30, check=False).returncode != 0:
        pytest.skip("there is no Docker daemon here")
    command = [docker, "build", "--quiet", "--file", str(DEPLOY / "docker" / "Dockerfile"), str(ROOT)]
    image = subprocess.run(command, capture_output=True, text=True, timeout=540, check=True).stdout.strip()
    assert __version__ in approves(docker, "run", "--rm", image, "--version", cwd=ROOT)
