"""docs/scale.md: its figures are reckoned from real scrapes, its configuration is one, its pages are Alertmanager's."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from monitord.testing.sandbox import Sandbox
from tests.deploy.fleet import pager, ready, start_alertmanager
from tests.deploy.tools import DEPLOY, approves, tool
from tests.reporting.test_metrics import fleet_of, healthy, told

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]

DOCUMENT = (DEPLOY.parent / "docs" / "scale.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
COMMANDS = [shlex.split(line) for block in BLOCKS for line in block.strip().splitlines()]
CONFIGS = sorted((DEPLOY / "scale").glob("*.yml"))
EVERY_SECONDS, BYTES_A_SAMPLE, BYTES_A_SERIES, DAY = 30, 1.5, 5_000, 86_400
FLEETS, HOSTS = 10, 50


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that begins with this row."""
    table = DOCUMENT.split(heading, 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]


def number(text: str) -> float:
    """A figure with its unit of bytes, if it has one."""
    value, _, unit = text.replace(",", "").partition(" ")
    return float(value) * {"": 1, "MB": 1e6, "GB": 1e9}[unit]


def test_samples_series_and_storage_are_those_of_real_scrapes() -> None:
    few, many = len(told(healthy())), len(told(fleet_of({f"app-{n}": "online" for n in range(1000)})))
    table = rows("| hosts | samples a second |")
    assert len(table) == 4
    for hosts, a_second, series, a_day, a_month, memory in table:
        samples = number(hosts.partition(", crowded")[0]) * (many if "crowded" in hosts else few)
        assert number(series) == pytest.approx(samples, rel=0.1)
        assert number(a_second) == pytest.approx(samples / EVERY_SECONDS, rel=0.1)
        assert number(a_day) == pytest.approx(samples / EVERY_SECONDS * DAY * BYTES_A_SAMPLE, rel=0.1)
        assert number(a_month) == pytest.approx(30 * samples / EVERY_SECONDS * DAY * BYTES_A_SAMPLE, rel=0.1)
        assert number(memory) == pytest.approx(50e6 + samples * BYTES_A_SERIES, rel=0.2)
    assert f"| samples of a scrape | {few} | {many} |" in DOCUMENT


def test_every_file_it_names_is_there_and_every_configuration_is_named() -> None:
    named = set(re.findall(r"deploy/scale/([\w.]+)", DOCUMENT))
    assert named == {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.name))
def test_every_configuration_is_yaml(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """The files of both directories, as the document has them copied."""
    directory = Path(shutil.copytree(DEPLOY / "scale", tmp_path / "prometheus"))
    shutil.copytree(DEPLOY / "prometheus", directory, dirs_exist_ok=True)
    for secret in ("monitord.token", "mimir.password"):
        (directory / secret).write_text("a-long-random-word\n")
    return directory


@pytest.mark.parametrize("program", ["promtool", "thanos", "mimir"])
def test_every_command_is_taken(program: str, beside: Path) -> None:
    found = tool(program)
    shown = [command[1:] for command in COMMANDS if command[0] == program]
    assert shown
    for arguments in shown:
        if program == "thanos":  # it would run: its options are asked for
            known = approves(found, arguments[0], "--help", cwd=beside)
            assert [one for one in arguments[1:] if one.partition("=")[0] not in known] == []
        else:  # what finds hosts looks for all of its time
            approves(found, *(re.sub(r"^--timeout=\d+s$", "--timeout=50ms", one) for one in arguments), cwd=beside)


def test_each_fleet_is_whole_in_one_shard(beside: Path) -> None:
    promtool = tool("promtool")
    hosts = [
        {
            "targets": [f"10.0.{fleet}.{host}:8844"],
            "labels": {"instance": f"box-{fleet}-{host}", "fleet": f"fleet-{fleet}"},
        }
        for fleet in range(12)
        for host in range(2)
    ]
    (beside / "monitord.hosts.yml").write_text(json.dumps(hosts))
    shipped = (beside / "prometheus.shard.yml").read_text()
    modulus = yaml.safe_load(shipped)["scrape_configs"][0]["relabel_configs"][0]["modulus"]
    kept: dict[str, list[int]] = {}

    def discovered(shard: int) -> list[dict[str, Any]]:
        configuration = f"prometheus.shard-{shard}.yml"
        (beside / configuration).write_text(shipped.replace('regex: "0"', f'regex: "{shard}"'))
        for timeout in ("50ms", "2s", "30s"):  # all of it is taken, also where everything is found at once
            command = ("check", "service-discovery", f"--timeout={timeout}", configuration, "monitord")
            said = approves(promtool, *command, cwd=beside)
            found: list[dict[str, Any]] = json.loads(said[said.index("[") :]) or []
            if len(found) >= len(hosts):
                break
        return found

    with ThreadPoolExecutor(modulus) as pool:
        told = list(pool.map(discovered, range(modulus)))
    for shard, found in enumerate(told):
        for one in found:
            if fleet := one["labels"].get("fleet"):
                kept.setdefault(fleet, []).append(shard)
    assert {fleet: len(shards) for fleet, shards in kept.items()} == {f"fleet-{n}": 2 for n in range(12)}
    assert all(len(set(shards)) == 1 for shards in kept.values())
    assert len({shards[0] for shards in kept.values()}) > 1


@pytest.fixture
def own_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def night(fleet: str) -> list[dict[str, Any]]:
    """The alerts of the night in the document: what is left of it after each host's own inhibition."""
    boxes = [f"{fleet}-box-{number}" for number in range(HOSTS)]
    seen = [
        *(("postgres_unreachable", "postgres", "critical", box) for box in boxes),
        *(("service_restart_loop", "gateway", "critical", box) for box in boxes[:2]),
        ("MonitordDown", "monitord", "critical", boxes[-1]),
        *(("disk_high", "/", "warning", box) for box in boxes[:3]),
    ]
    names = ("alertname", "subject", "severity", "instance")
    return [{"labels": dict(zip(names, one, strict=True)) | {"fleet": fleet, "job": "monitord"}} for one in seen]


@pytest.mark.servers
async def test_pages_grow_with_what_is_wrong_and_not_with_the_hosts_that_see_it(
    own_sandbox: Sandbox, tmp_path: Path, eventually: Eventually
) -> None:
    program = tool("prometheus-alertmanager")
    *_, together = rows("| what happens |")
    assert together[2:] == [str(len(night("shop"))), "3"]
    async with pager() as paged, httpx.AsyncClient(trust_env=False, timeout=30) as client:
        address = start_alertmanager(own_sandbox, program, tmp_path / "alertmanager", paged.receiver.url)
        await ready(address)
        for number in range(FLEETS):
            (await client.post(f"{address}/api/v2/alerts", json=night(f"fleet-{number}"))).raise_for_status()

        async def all_paged() -> bool:
            return len({tuple(sorted(page["groupLabels"].items())) for page in paged.pages}) >= 3 * FLEETS

        await eventually(all_paged)
        assert len(paged.pages) == 3 * FLEETS
        (page, *_) = paged.about("postgres_unreachable")
        assert len(page["alerts"]) == HOSTS
