"""A fleet's Prometheus and Alertmanager with what is shipped for them: only addresses and waits are another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from monitord.testing.sandbox import Sandbox, free_port
from tests.conftest import PATIENCE
from tests.deploy.tools import DEPLOY
from tests.notify.receivers import Receiver

GROUP_WAIT = "5s"
TOKEN = "a-token-of-the-tests"


@dataclass
class Pager:
    """Whoever is paged: every page in order; and that the watchers themselves live."""

    receiver: Receiver = field(default_factory=Receiver)

    @property
    def pages(self) -> list[dict[str, Any]]:
        return [request.json() for request in self.receiver.requests if request.target == "/page"]

    @property
    def hears_that_they_live(self) -> bool:
        return any(request.target == "/alive" for request in self.receiver.requests)

    def about(self, rule: str, status: str = "firing") -> list[dict[str, Any]]:
        """The pages of one group."""
        return [p for p in self.pages if p["groupLabels"]["alertname"] == rule and p["status"] == status]


@asynccontextmanager
async def pager() -> AsyncIterator[Pager]:
    """A pager's HTTP server."""
    one = Pager()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await one.receiver.serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # a connection that was opened for nothing
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    one.receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


def adapted(file: Path, changes: Mapping[str, str]) -> str:
    """What is shipped, with these words in the place of others; each must be there."""
    text = file.read_text(encoding="utf-8")
    for before, after in changes.items():
        assert before in text, f"{file.name} has no {before!r}"
        text = text.replace(before, after)
    return text


def start_alertmanager(
    sandbox: Sandbox, program: str, directory: Path, pager: str, *cluster: str, wait: str = GROUP_WAIT
) -> str:
    """Start an Alertmanager with the shipped routing whose pager is at `pager`; its address."""
    directory.mkdir()
    config = directory / "alertmanager.yml"
    changes = {
        "group_wait: 45s": f"group_wait: {wait}",
        "group_interval: 5m": "group_interval: 2s",
        "http://127.0.0.1:9000": pager,
        "smtp_smarthost: mail.example.com:587": "smtp_smarthost: 127.0.0.1:9",
    }
    config.write_text(adapted(DEPLOY / "alertmanager" / "alertmanager.yml", changes), encoding="utf-8")
    port = free_port()
    sandbox.spawn(
        [
            program, f"--config.file={config}", f"--storage.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", *(cluster or ("--cluster.listen-address=",)),
        ],
        log=directory / "log",
    )  # fmt: skip
    return f"http://127.0.0.1:{port}"


def start_prometheus(
    sandbox: Sandbox, program: str, directory: Path, hosts: Mapping[str, int], alertmanager: str
) -> str:
    """Start a Prometheus with the shipped scrape configuration and rules for these hosts (name, port); its address."""
    directory.mkdir()
    shipped = DEPLOY / "prometheus"
    changes = {
        "scrape_interval: 30s": "scrape_interval: 1s",
        "scrape_timeout: 10s": "scrape_timeout: 1s",
        "evaluation_interval: 30s": "evaluation_interval: 1s",
        '["alertmanager-1:9093", "alertmanager-2:9093"]': f'["{alertmanager.removeprefix("http://")}"]',
    }
    (directory / "prometheus.yml").write_text(adapted(shipped / "prometheus.yml", changes), encoding="utf-8")
    (directory / "monitord.rules.yml").write_bytes((shipped / "monitord.rules.yml").read_bytes())
    (directory / "monitord.token").write_text(f"{TOKEN}\n")
    ports = {f"10.0.0.{number}:8844": f"127.0.0.1:{port}" for number, port in enumerate(hosts.values(), 1)}
    (directory / "monitord.hosts.yml").write_text(adapted(shipped / "monitord.hosts.yml", ports), encoding="utf-8")
    port = free_port()
    sandbox.spawn(
        [
            program, f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}",
            # What it said before it had found its Alertmanager is said again at once.
            "--rules.alert.resend-delay=1s", f"--web.listen-address=127.0.0.1:{port}",
        ],
        log=directory / "log",
    )  # fmt: skip
    return f"http://127.0.0.1:{port}"


async def ready(*addresses: str) -> None:
    """Wait until each of them serves."""
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(PATIENCE):
        for address in addresses:
            while not await _is_ready(client, address):  # noqa: ASYNC110 - other processes, no event
                await asyncio.sleep(0.05)


async def _is_ready(client: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"{address}/-/ready")).is_success
    except httpx.TransportError:
        return False


async def asked(prometheus: str, expression: str, *labels: str) -> dict[tuple[str, ...], float]:
    """The answer to a PromQL expression: values by these labels."""
    async with httpx.AsyncClient(timeout=5) as client:
        answer = await client.get(f"{prometheus}/api/v1/query", params={"query": expression})
    found: Sequence[dict[str, Any]] = answer.json()["data"]["result"]
    return {tuple(one["metric"].get(name, "") for name in labels): float(one["value"][1]) for one in found}


async def shown(address: str, metric: str, label: str = "") -> float:
    """The sum of a program's own metric, of the samples that have this label; 0 where there is none."""
    async with httpx.AsyncClient(timeout=5) as client:
        lines = (await client.get(f"{address}/metrics")).text.splitlines()
    found = [line for line in lines if line.startswith((f"{metric} ", f"{metric}{{")) and label in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)
