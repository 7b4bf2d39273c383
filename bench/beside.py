"""monitord at a look every 10 s beside others that watch the same servers in the same run: CPU, memory, Postgres' CPU.

Beside it are a Python that only sleeps, the script that monitord replaces and, where they are asked for, Prometheus
with its exporters and Monit, as Debian packages them. Those that keep a connection to Postgres have a role each, so
that the server's processes behind them can be told apart.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from bench.baseline import PM2_CALLS, QUERIES
from bench.figures import Figure, of
from bench.footprint import old_script
from bench.measure import cpu_seconds, memory, run
from bench.pages import OBJECTS, PAGE, Rested, forget, touched
from monitord.demo.fleet import PERIODIC
from monitord.demo.fleets import WATCHER
from monitord.demo.stack import Stack
from monitord.testing.sandbox import free_port, package_root

if TYPE_CHECKING:
    import subprocess

EVERY: Final = 10
HOUR: Final = 3600.0
# What is read once is read by then, and a thread that starts has started.
_WARM_SECONDS: Final = 45.0
_READY_SECONDS: Final = 90.0
_NOTICE_SECONDS: Final = 90.0
_LOOKS: Final = 20
_LOOK_SECONDS: Final = 15.0
_RESTS: Final = 3
_EXPORTER: Final = "exporter"
# The Debian package of each program that stands beside monitord.
PACKAGES: Final = {
    "prometheus": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus-postgres-exporter": "prometheus-postgres-exporter",
    "prometheus-redis-exporter": "prometheus-redis-exporter",
    "monit": "monit",
}
SLEEPER: Final = f"""
import asyncio
async def main():
    while True:
        await asyncio.sleep({EVERY})
asyncio.run(main())
"""
_RULES: Final = """
groups:
  - name: servers
    rules:
      - alert: redis_unreachable
        expr: redis_up == 0
      - alert: postgres_unreachable
        expr: pg_up == 0
"""


@dataclass(slots=True)
class Beside:
    """What was measured, by who: "monitord", "floor", "script", "prometheus", "monit".

    `cpu` and `postgres` are CPU seconds an hour at a look every 10 s, their own and the server's; `pss`, `rss` bytes,
    `pss` with Python's own files counted whole;
    `touched` bytes of the pages that each touches in those 10 s; `hot` CPU seconds of a check of monitord's
    that follows another at once; `rest` how many times as much the same work costs after 10 s without it;
    `noticed` seconds until each said that a server was killed (None: not within 90 s); `missing` packages.
    """

    seconds: float
    cpu: dict[str, float] = field(default_factory=dict)
    postgres: dict[str, float] = field(default_factory=dict)
    pss: dict[str, float] = field(default_factory=dict)
    rss: dict[str, float] = field(default_factory=dict)
    touched: dict[str, int] = field(default_factory=dict)
    hot: float = 0.0
    rest: list[float] = field(default_factory=list)
    noticed: dict[str, dict[str, float | None]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def missing() -> list[str]:
    """The Debian packages that are not installed."""
    return [package for program, package in PACKAGES.items() if _program(program) is None]


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/bin")


async def measure(*, rows: int, seconds: float, full: bool, scripts: int, say: Callable[[str], None]) -> Beside:
    """Everything beside each other on one stack, for so many seconds.

    Args:
        rows: Of user_signals.
        seconds: How long they are measured, after all have come to rest.
        full: With Prometheus and Monit, as far as they are installed, and how soon each notices a killed server.
        scripts: How often the script is run.
        say: Told what is being done.
    """
    found = Beside(seconds, missing=missing() if full else [])
    async with Stack(seed_rows=rows, epoch_seconds=int(HOUR), progress=say) as stack:
        # It comes and goes every twenty seconds here, in a fleet every hour: each time is two checks beside the others.
        await stack.pm2("delete", PERIODIC)
        say(f"the script, {scripts} times")
        await _script(stack, scripts, found)
        async with AsyncExitStack() as ending:
            started = {"monitord": [_monitord(stack)], "floor": [_sleeper(stack)]}
            if full and "monit" not in found.missing:
                started["monit"] = [_monit(stack)]
            ports: dict[str, int] = {}
            if full and not [one for one in found.missing if one.startswith("prometheus")]:
                await _role(stack)
                started["prometheus"] = _prometheus(stack, ports)
            for child in (one for each in started.values() for one in each):
                ending.callback(child.kill)
            await _ready(stack)
            await asyncio.sleep(_WARM_SECONDS)
            say(f"{', '.join(started)} beside each other, {seconds:.0f} s")
            before = _spent(started) | await _spent_by_postgres(stack)
            await asyncio.sleep(seconds)
            after = _spent(started) | await _spent_by_postgres(stack)
            for who, children in started.items():
                found.cpu[who] = (after[who] - before[who]) / seconds * HOUR
                kept = [memory(child.pid) for child in children]
                found.rss[who] = sum(one.rss for one in kept)
                found.pss[who] = sum(one.whole or 0 for one in kept)
            for who, role in (("monitord", WATCHER), ("prometheus", _EXPORTER), ("monit", "")):
                if who in started:
                    found.postgres[who] = (after[f"role {role}"] - before.get(f"role {role}", 0.0)) / seconds * HOUR
            say("what a look touches, and what it costs without the rest before it")
            await _explained(stack, started, found)
            if full:
                await _killed(stack, started, ports, found, say)
    return found


async def _explained(stack: Stack, started: Mapping[str, list[subprocess.Popen[bytes]]], found: Beside) -> None:
    rested = Rested()
    for children in started.values():
        forget([child.pid for child in children])
    await asyncio.sleep(EVERY)
    for who, children in started.items():
        if (pages := touched([child.pid for child in children])) is not None:
            found.touched[who] = pages
    found.rest = [await asyncio.to_thread(rested.after, EVERY) for _ in range(_RESTS)]
    (monitord,) = started["monitord"]
    said = len(_lines(stack, "check_completed"))
    before = cpu_seconds(monitord.pid)
    for number in range(1, _LOOKS + 1):
        monitord.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(_LOOK_SECONDS):
            while len(_lines(stack, "check_completed")) < said + number:  # noqa: ASYNC110 - another process, no event
                await asyncio.sleep(0.01)
    found.hot = (cpu_seconds(monitord.pid) - before) / _LOOKS


def _log(stack: Stack, name: str) -> Path:
    return stack.sandbox.directory / f"beside-{name}.log"


def _monitord(stack: Stack) -> subprocess.Popen[bytes]:
    # Limits as they are by default: those of the demonstration are scaled down to its short epochs.
    scaled = ("MONITORD_ORDERS__", "MONITORD_PIPELINE__", "MONITORD_CHAIN__EVERY", "MONITORD_EPOCHS__GRACE")
    env = {name: value for name, value in stack.environment().items() if not name.startswith(scaled)}
    more = {
        "MONITORD_CHECK_INTERVAL": f"{EVERY}s",
        "MONITORD_HTTP__LISTEN": f"127.0.0.1:{stack.page_port}",
        "PYTHONPATH": str(package_root()),
    }
    argv = [sys.executable, "-m", "monitord", "run"]
    return stack.sandbox.spawn(argv, log=_log(stack, "monitord"), env=env | more)


def _sleeper(stack: Stack) -> subprocess.Popen[bytes]:
    return stack.sandbox.spawn([sys.executable, "-c", SLEEPER], log=_log(stack, "floor"))


def _monit(stack: Stack) -> subprocess.Popen[bytes]:
    """Monit with the fleet's processes, both servers, the disk and the machine."""
    directory = stack.sandbox.directory / "monit"
    directory.mkdir()
    pids = sorted((stack.pm2.home / "pids").glob("*.pid"))
    processes = "".join(
        f'check process {path.stem} with pidfile "{path}"\n  if total memory > 500 MB for 2 cycles then alert\n'
        for path in pids
    )
    password = (
        f'"AUTH {stack.valkey.password}\\r\\nPING\\r\\n" expect "\\+OK"' if stack.valkey.password else '"PING\\r\\n"'
    )
    config = directory / "monitrc"
    config.write_text(
        f"set daemon {EVERY}\nset log {directory / 'log'}\nset pidfile {directory / 'pid'}\n"
        f"set idfile {directory / 'id'}\nset statefile {directory / 'state'}\n{processes}"
        f"check host postgres with address 127.0.0.1\n"
        f"  if failed port {stack.postgres.port} protocol pgsql with timeout 5 seconds for 2 cycles then alert\n"
        f"check host redis with address 127.0.0.1\n"
        f"  if failed port {stack.valkey.port} send {password} with timeout 5 seconds for 2 cycles then alert\n"
        "check filesystem root with path /\n  if space usage > 80% then alert\n"
        "check system here\n  if memory usage > 95% then alert\n"
    )
    config.chmod(0o600)
    return stack.sandbox.spawn([_program("monit") or "", "-I", "-c", config], log=_log(stack, "monit"))


async def _role(stack: Stack) -> None:
    connection = await stack.postgres.connect(stack.fleet.database)
    try:
        await connection.execute(
            f"CREATE ROLE {_EXPORTER} LOGIN PASSWORD '{stack.postgres.password}'; GRANT pg_monitor TO {_EXPORTER}"
        )
    finally:
        await connection.close(timeout=5)


def _prometheus(stack: Stack, ports: dict[str, int]) -> list[subprocess.Popen[bytes]]:
    """Prometheus and its exporters of the machine, of Postgres and of Redis, as they are by default."""
    directory = stack.sandbox.directory / "prometheus"
    directory.mkdir()
    ports |= {name: free_port() for name in ("prometheus", "node", "postgres", "redis")}
    targets = "".join(
        f'  - job_name: {name}\n    static_configs: [{{ targets: ["127.0.0.1:{ports[name]}"] }}]\n'
        for name in ("node", "postgres", "redis")
    )
    config = directory / "prometheus.yml"
    config.write_text(
        f"global: {{ scrape_interval: {EVERY}s, scrape_timeout: 5s, evaluation_interval: {EVERY}s }}\n"
        f"rule_files: [rules.yml]\nscrape_configs:\n{targets}"
    )
    (directory / "rules.yml").write_text(_RULES)
    address = f"{stack.postgres.dsn(stack.fleet.database, user=_EXPORTER)}?sslmode=disable"
    commands: dict[str, tuple[list[str], dict[str, str]]] = {
        "prometheus-node-exporter": ([f"--web.listen-address=127.0.0.1:{ports['node']}"], {}),
        "prometheus-postgres-exporter": (
            [f"--web.listen-address=127.0.0.1:{ports['postgres']}"],
            {"DATA_SOURCE_NAME": address},
        ),
        "prometheus-redis-exporter": (
            [f"-web.listen-address=127.0.0.1:{ports['redis']}", f"-redis.addr=redis://127.0.0.1:{stack.valkey.port}"],
            {"REDIS_PASSWORD": stack.valkey.password or ""},
        ),
        "prometheus": (
            [
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
            ],
            {},
        ),
    }
    return [
        stack.sandbox.spawn([_program(name) or "", *arguments], log=_log(stack, name), env=env)
        for name, (arguments, env) in commands.items()
    ]


async def _ready(stack: Stack) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while not _lines(stack, "monitord_ready"):  # noqa: ASYNC110 - another process, no event
            await asyncio.sleep(0.1)


def _lines(stack: Stack, event: str) -> list[dict[str, Any]]:
    whole = _log(stack, "monitord").read_bytes().rpartition(b"\n")[0].splitlines()
    return [line for line in map(json.loads, whole) if line["event"] == event]


def _spent(started: Mapping[str, list[subprocess.Popen[bytes]]]) -> dict[str, float]:
    return {who: sum(cpu_seconds(child.pid) for child in children) for who, children in started.items()}


async def _spent_by_postgres(stack: Stack) -> dict[str, float]:
    """CPU seconds of the server's processes by role; under "role " those that have ended, of whomever."""
    connection = await stack.postgres.connect(stack.fleet.database)
    try:
        rows = await connection.fetch(
            "SELECT pid, usename FROM pg_stat_activity WHERE usename = ANY($1)", [WATCHER, _EXPORTER]
        )
    finally:
        await connection.close(timeout=5)
    found = {f"role {name}": 0.0 for name in (WATCHER, _EXPORTER)}
    for row in rows:
        found[f"role {row['usename']}"] += cpu_seconds(row["pid"])
    return found | {"role ": _ended_of_postgres(stack)}


def _ended_of_postgres(stack: Stack) -> float:
    """CPU seconds of the server's processes that have ended: of connections for one question, and of autovacuum."""
    assert stack.postgres.pid is not None
    times = psutil.Process(stack.postgres.pid).cpu_times()
    return float(times.children_user + times.children_system)


async def _script(stack: Stack, times: int, found: Beside) -> None:
    """The script by itself: its connections last as long as a question, and are told apart by nothing."""
    script, env = await old_script(stack)
    log = _log(stack, "script")
    await asyncio.to_thread(run, stack.sandbox, ["bash", script], log, env)  # fills the caches
    before = _ended_of_postgres(stack)
    spent = [(await asyncio.to_thread(run, stack.sandbox, ["bash", script], log, env)).cpu for _ in range(times)]
    looks = HOUR / EVERY
    found.cpu["script"] = statistics.median(spent) * looks
    found.postgres["script"] = (_ended_of_postgres(stack) - before) / times * looks


async def _killed(
    stack: Stack,
    started: Mapping[str, object],
    ports: Mapping[str, int],
    found: Beside,
    say: Callable[[str], None],
) -> None:
    """How soon each says that a server was killed."""
    for name, server in (("redis", stack.valkey), ("postgres", stack.postgres)):
        say(f"{name} killed")
        rule, at = f"{name}_unreachable", time.monotonic()
        asked: dict[str, Callable[[], bool]] = {"monitord": partial(_fires, stack, rule)}
        if "prometheus" in started:
            asked["prometheus"] = partial(_fires_in_prometheus, ports["prometheus"], rule)
        if "monit" in started:
            asked["monit"] = partial(_said_by_monit, stack, name)
        told: dict[str, float | None] = dict.fromkeys(asked)
        await server.kill()
        while None in told.values() and time.monotonic() - at < _NOTICE_SECONDS:
            for who, question in asked.items():
                if told[who] is None and await asyncio.to_thread(question):
                    told[who] = time.monotonic() - at
            await asyncio.sleep(0.1)
        found.noticed[name] = told


def _fires(stack: Stack, rule: str) -> bool:
    return any(line["rule"] == rule for line in _lines(stack, "alert_firing"))


def _fires_in_prometheus(port: int, rule: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=5) as answer:
        alerts = json.load(answer)["data"]["alerts"]
    return any(one["labels"]["alertname"] == rule and one["state"] == "firing" for one in alerts)


def _said_by_monit(stack: Stack, name: str) -> bool:
    log = stack.sandbox.directory / "monit" / "log"
    # The first failure of the two is a warning.
    return any("error" in line and f"'{name}' failed" in line for line in log.read_text(errors="replace").splitlines())


def figures(found: Beside) -> list[Figure]:
    """The rows of the table."""
    looks = HOUR / EVERY
    at_once = f"{found.seconds:.0f} s beside each other at a look every {EVERY} s, 7 apps, all probes, the page on"
    script = f"the script by itself: bash, {PM2_CALLS} pm2 jlist, {QUERIES} psql, and so on"
    others = {who: value for who, value in found.cpu.items() if who != "monitord"}
    made = [
        Figure("cpu_hour", "CPU an hour", found.cpu["monitord"], "s", 1.8, f"{at_once}; {script}", others),
        Figure(
            "memory",
            "memory, PSS",
            found.pss["monitord"] / 1e6,
            "MB",
            49.0,
            f"proportional share, smaps, at the end of these {found.seconds:.0f} s: what others map, too, is divided "
            f"among them, but for the files of Python and its packages (RSS {found.rss['monitord'] / 1e6:.1f} MB)",
            {who: value / 1e6 for who, value in found.pss.items() if who != "monitord"},
        ),
        Figure(
            "postgres_look",
            "Postgres' CPU a look",
            found.postgres["monitord"] / looks * 1000,
            "ms",
            None,
            "the server's processes behind each one's connections in that run, every 10 s; of the script "
            "and of Monit, whose connections end, all that ended meanwhile",
            {who: value / looks * 1000 for who, value in found.postgres.items() if who != "monitord"},
        ),
    ]
    if "monitord" in found.touched:
        made.append(
            Figure(
                "touched",
                "own memory touched in 10 s, with one look",
                found.touched["monitord"] / 1e6,
                "MB",
                None,
                f"pages of {PAGE} bytes, files aside, that the kernel has as referenced (smaps) {EVERY} s after it was "
                "made to forget them (clear_refs)",
                {who: value / 1e6 for who, value in found.touched.items() if who != "monitord"},
            )
        )
    made += [
        Figure(
            "hot_look",
            "CPU of a check at once after another",
            found.hot * 1000,
            "ms",
            None,
            f"{_LOOKS} of them (SIGUSR1), each logged, as a quiet one is not",
        ),
        of(
            "rest",
            "the same work after 10 s of rest",
            found.rest,
            "x",
            None,
            f"a walk over {OBJECTS:,} dicts, CPU, of the same at once after another: what this machine makes of a rest",
        ),
    ]
    for name, told in found.noticed.items():
        made.append(
            Figure(
                f"noticed_{name}_killed",
                f"{name.capitalize()} killed, a look every {EVERY} s",
                told["monitord"],
                "s",
                None,
                f"once, in that run, to alert_firing, to the alert in Prometheus, to Monit's line; not within "
                f"{_NOTICE_SECONDS:.0f} s: {', '.join(who for who, at in told.items() if at is None) or 'none'}",
                {who: at for who, at in told.items() if at is not None and who != "monitord"},
            )
        )
    return made
