"""What a process has in memory: what it is asked for and its settings ask for, whatever is installed beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from monitord.testing.sandbox import free_port
from tests.cli.program import PATIENCE, environment

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
import atexit, json, sys
from pathlib import Path
atexit.register(lambda: Path("modules.json").write_text(json.dumps(sorted(sys.modules))))
from monitord.__main__ import main
sys.exit(main(["run"]))
"""
# Nobody answers there, and nobody need: what is to be asked is imported all the same.
NOWHERE = {
    "MONITORD_POSTGRES__DSN": "postgresql://watcher:secret@127.0.0.1:1/fleet",
    "MONITORD_REDIS__URL": "redis://127.0.0.1:1/0",
    "MONITORD_NOTIFY__WEBHOOK_URL": "http://127.0.0.1:1/",
    "MONITORD_CHAIN__RPC_URLS": '["http://127.0.0.1:1"]',
}
# What the libraries import where they find it. Not socksio: a proxy that the environment names may need it.
OPTIONAL = (
    *("a2wsgi", "better_exceptions", "brotli", "brotlicffi", "colorama", "cryptography", "h2", "multipart"),
    *("opentelemetry", "pygments", "python_multipart", "rich", "trio", "twisted", "watchfiles"),
    *("xxhash", "zstandard"),
)
NEVER = (
    *("click", "html.entities", "prometheus_client", "socketserver"),
    *("redis.asyncio.client", "redis.client", "redis.cluster", "redis.commands"),
    *("difflib", "pydantic.v1", "pydantic_settings.sources.providers.yaml.yaml", "requests", "tkinter", "unittest"),
    *("monitord.demo", "monitord.discovery", "monitord.testing", "uvicorn.main", "uvicorn.supervisors"),
    # A process of its own reads the settings, at the start and at each SIGHUP.
    *("annotated_types", "dotenv", "pydantic", "pydantic_core", "pydantic_settings", "typing_inspection"),
    *("monitord.config.check_types", "monitord.config.loader", "monitord.config.schema", "monitord.config.types"),
)
LOADED_WHERE_ASKED = (
    *("asyncpg", "httpx", "monitord.chain", "monitord.probes.chain", "monitord.redis", "monitord.web"),
    *("redis", "starlette", "uvicorn"),
)
# Who looks at a page has them imported; Prometheus and other programs need none of it.
DRAWN = (
    "jinja2",
    "monitord.reporting.charts.plots",
    "monitord.web.forms",
    "monitord.web.openapi",
    "monitord.web.pages",
)
# Of those that are loaded where they are asked for.
THEIRS = ("anyio", "apprise", "h11", "markupsafe", "sha3")


# One process for all: what one of them loads, those after it have too.
ONE_AFTER_ANOTHER = """
import json, sys
from pathlib import Path
from monitord.__main__ import main

found = {}
assert main(["logs", "-"]) == 0
found["reading a pipe"] = sorted(sys.modules)
import monitord.reporting.metrics
found["the metrics"] = sorted(sys.modules)
from monitord.config.loader import load, standing_orders
settings = load({"MONITORD_CHECK_INTERVAL": "1s"}, Path())
orders = standing_orders(settings)
found["the settings"] = sorted(sys.modules)
from monitord.probes import Probes
Probes(settings, orders, frozenset)
found["probes without checks"] = sorted(sys.modules)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def read_once(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Sequence[str]]:
    """What is loaded by who looks once, part by part."""
    directory = tmp_path_factory.mktemp("once")
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_ANOTHER], cwd=directory,
        env=environment(directory, {"PYTHONPATH": str(REPOSITORY)}),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    found: Mapping[str, Sequence[str]] = json.loads(done.stdout)
    return found


def test_reading_a_pipe_loads_nothing_that_only_the_daemon_needs(read_once: Mapping[str, Sequence[str]]) -> None:
    only_the_daemon = {"pydantic", "asyncio", "structlog", "sqlite3", "monitord.config.loader"}
    assert only_the_daemon.intersection(read_once["reading a pipe"]) == set()


def test_prometheus_client_is_loaded_by_the_first_scrape_alone(read_once: Mapping[str, Sequence[str]]) -> None:
    assert "monitord.reporting.metrics" in read_once["the metrics"]
    assert "prometheus_client" not in read_once["the metrics"]


def test_reading_the_settings_loads_no_driver_and_no_scheduler(read_once: Mapping[str, Sequence[str]]) -> None:
    assert "monitord.config.loader" in read_once["the settings"]
    assert {"asyncpg", "redis", "apscheduler", "psutil", "structlog"}.intersection(read_once["the settings"]) == set()


def test_whoever_has_no_checks_of_ones_own_loads_nothing_for_them(read_once: Mapping[str, Sequence[str]]) -> None:
    assert "monitord.probes" in read_once["probes without checks"]
    assert {"h11", "monitord.probes.checks"}.intersection(read_once["probes without checks"]) == set()


def loaded(directory: Path, settings: Mapping[str, str], *, again: bool = False) -> set[str]:
    """The modules of a daemon after its first check, when it is told to stop; `again`: it reads its settings twice."""
    beside = directory / "beside"
    beside.mkdir()
    for name in OPTIONAL:
        (beside / f"{name}.py").write_text("")
    daemon = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=directory,
        env=environment(directory, {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{beside}", **settings}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        assert daemon.stdout is not None
        awaited = "page_listening" if settings["MONITORD_HTTP__LISTEN"] else "monitord_ready"
        assert any(json.loads(line)["event"] == awaited for line in daemon.stdout)
        if again:
            daemon.send_signal(signal.SIGHUP)
            assert any(json.loads(line)["event"] == "settings_reloaded" for line in daemon.stdout)
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=PATIENCE)
    finally:
        daemon.kill()
        daemon.wait()
    assert daemon.returncode == 0
    found: list[str] = json.loads((directory / "modules.json").read_text())
    return set(found)


def test_a_daemon_that_watches_its_host_alone_loads_no_driver_no_page_and_no_client(tmp_path: Path) -> None:
    found = loaded(tmp_path, {"MONITORD_HTTP__LISTEN": "", "MONITORD_PM2__HOME": ""}, again=True)
    assert found.intersection((*OPTIONAL, *NEVER, *LOADED_WHERE_ASKED, *DRAWN, *THEIRS)) == set()


def test_with_all_of_it_on_the_parts_in_use_are_loaded_whatever_is_installed(tmp_path: Path) -> None:
    page = {"MONITORD_HTTP__LISTEN": f"127.0.0.1:{free_port()}"}
    found = loaded(tmp_path, {**NOWHERE, **page, "MONITORD_PM2__HOME": str(tmp_path)})
    assert set(LOADED_WHERE_ASKED) <= found
    assert found.intersection((*OPTIONAL, *NEVER, *DRAWN)) == set()
