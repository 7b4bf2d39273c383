"""Names that are never answered cost their own connections: no other name, no other work, and not the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from monitord import resolver
from monitord.pm2 import client
from monitord.pm2.process_list import ListedProcess
from monitord.resolver import MOST_LOOKUPS, ResolverLoop
from tests.cli.program import monitord
from tests.pm2.test_client import entry, pretender, replies

PATIENCE = 60.0
T = TypeVar("T")
FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 5432))]


def run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=ResolverLoop) as runner:
        return runner.run(asyncio.wait_for(work, PATIENCE))


class Resolver:
    """The system's resolver, of which the names in `.hung` are never answered until the end of the test."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.threads: set[str] = set()
        self.end = threading.Event()

    def __call__(self, host: str, *_: object) -> list[Any]:
        self.asked.append(host)
        self.threads.add(threading.current_thread().name)
        if host.endswith(".hung"):
            self.end.wait()
        if host.endswith(".missing"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return FOUND


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    found = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", found)
    yield found
    found.end.set()


async def never(host: str, seconds: float = 0.01) -> None:
    """Ask for a name, and give up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().getaddrinfo(host, 5432)


def test_any_number_of_hung_names_leaves_the_others_and_the_default_executor_free(names: Resolver) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(never(f"webhook-{number}.hung") for number in range(MOST_LOOKUPS - 1)))
        assert await loop.getaddrinfo("localhost", 5432) == FOUND
        assert await asyncio.to_thread(lambda: "done") == "done"
        with pytest.raises(socket.gaierror, match="not known"):
            await loop.getaddrinfo("nobody.missing", 1)

    run(work())
    assert not any("asyncio" in name for name in names.threads)


def test_a_name_that_hangs_is_asked_for_once_and_again_when_it_is_late(
    names: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        for _ in range(50):
            await never("db.hung", 0.001)
        assert names.asked.count("db.hung") == 1
        monkeypatch.setattr(resolver, "_LATE_SECONDS", -1.0)
        for _ in range(50):
            await never("db.hung", 0.001)
        assert names.asked.count("db.hung") == 4
        assert await asyncio.get_running_loop().getaddrinfo("db.other", 5432) == FOUND

    run(work())


def test_past_all_measure_the_next_is_told_at_once_and_once_they_are_answered_it_is_found(names: Resolver) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(never(f"{number}.hung") for number in range(MOST_LOOKUPS)))
        with pytest.raises(socket.gaierror, match="too many"):
            await loop.getaddrinfo("localhost", 5432)
        waiting = asyncio.create_task(loop.getaddrinfo("0.hung", 5432))
        await asyncio.sleep(0)
        names.end.set()
        assert await waiting == FOUND
        while True:
            with contextlib.suppress(socket.gaierror):
                assert await loop.getaddrinfo("localhost", 5432) == FOUND
                return
            await asyncio.sleep(0.01)

    run(work())


def test_all_who_ask_for_one_name_are_answered_and_one_who_gives_up_takes_it_from_nobody(names: Resolver) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        asking = [asyncio.create_task(loop.getaddrinfo("db.hung", 5432)) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()
        names.end.set()
        assert await asyncio.gather(*asking[1:]) == [FOUND, FOUND]

    run(work())


def test_a_large_answer_of_pm2_is_read_while_every_pool_that_names_are_looked_up_in_hangs(
    names: Resolver, tmp_path: Path
) -> None:
    listed = {"args": [[entry(pm_id=number, padding="y" * 1000) for number in range(1500)]]}

    async def work() -> tuple[ListedProcess, ...]:
        await asyncio.gather(*(never(f"{number}.hung") for number in range(MOST_LOOKUPS)))
        # And whatever a library has put into asyncio's own executor, which nothing of monitord's may wait for.
        hung = [asyncio.get_running_loop().run_in_executor(None, names.end.wait) for _ in range(64)]
        async with pretender(tmp_path, replies(listed)):
            answer = await client.processes(tmp_path, timeout=PATIENCE / 2)
        names.end.set()
        await asyncio.gather(*hung)
        return answer

    assert len(run(work())) == 1500


BLACK_HOLE = """
import ctypes, socket, subprocess, sys
from monitord.__main__ import main
# Mounts and a network of one's own, as `unshare -m -n` has them.
assert ctypes.CDLL(None).unshare(0x00020000 | 0x40000000) == 0
for command in ("mount --make-rprivate /", f"mount --bind {sys.argv[1]} /etc/resolv.conf", "ip link set lo up"):
    subprocess.run(command.split(), timeout=50, check=True)
# A name server that takes every question and answers none.
hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
hole.bind(("127.0.0.1", 53))
sys.exit(main(["check", "--format", "json"]))
"""


def test_with_a_name_server_that_never_answers_a_check_ends_in_time_and_the_rest_is_measured(tmp_path: Path) -> None:
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    tried = ["unshare", "-n", "-m", "sh", "-c", f"mount --bind {resolv} /etc/resolv.conf"]
    may = shutil.which("unshare") and shutil.which("ip")
    if not may or subprocess.run(tried, capture_output=True, timeout=PATIENCE).returncode:
        pytest.skip("needs unshare and ip (util-linux, iproute2), and to be allowed namespaces (root)")
    given = {
        "MONITORD_POSTGRES__DSN": "postgres://u:p@db.example.org/d",
        "MONITORD_REDIS__URL": "redis://redis.example.org",
        "MONITORD_PM2__HOME": "",
        "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
    }
    for timeout in ("200ms", "2s"):  # where the machine is too busy to measure the host within the first
        settings = given | {"MONITORD_PROBE_TIMEOUT": timeout}
        done = monitord("-c", BLACK_HOLE, str(resolv), directory=tmp_path, settings=settings)
        assert done.returncode == 2, done.stderr
        report = json.loads(done.stdout)
        if report["probes"]["host"]["status"] == "ok":
            break
    assert report["probes"]["host"]["status"] == "ok"
    assert {report["probes"][name]["status"] for name in ("postgres", "redis")} == {"failed"}
