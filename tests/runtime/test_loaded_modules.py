"""What a daemon has in memory: what its settings ask for, and the same whatever is installed beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

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


def loaded(directory: Path, settings: Mapping[str, str]) -> set[str]:
    """The modules of a daemon that has read its settings again after its first check, when it is told to stop."""
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
    found = loaded(tmp_path, {"MONITORD_HTTP__LISTEN": "", "MONITORD_PM2__HOME": ""})
    assert found.intersection((*OPTIONAL, *NEVER, *LOADED_WHERE_ASKED, *DRAWN, *THEIRS)) == set()


def test_with_all_of_it_on_the_parts_in_use_are_loaded_whatever_is_installed(tmp_path: Path) -> None:
    page = {"MONITORD_HTTP__LISTEN": f"127.0.0.1:{free_port()}"}
    found = loaded(tmp_path, {**NOWHERE, **page, "MONITORD_PM2__HOME": str(tmp_path)})
    assert set(LOADED_WHERE_ASKED) <= found
    assert found.intersection((*OPTIONAL, *NEVER, *DRAWN)) == set()
