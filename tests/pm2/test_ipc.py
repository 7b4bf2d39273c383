"""An app says it is ready and hears PM2, over a real socket pair and under a real PM2; without PM2 it is left alone."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitord.pm2.ipc import IpcChannel

from .conftest import DEADLINE, REPOSITORY, RealPm2

# Says ready only once a file says so; writes down what it hears, one word a line.
APP = """
import asyncio, os, subprocess, sys
from pathlib import Path
from monitord.pm2.ipc import IpcChannel

def note(word):
    with open(sys.argv[2], "a") as heard:
        heard.write(word + "\\n")

async def main():
    citizen = IpcChannel.from_environment(os.environ)
    done = asyncio.Event()
    def hear(word):
        note(word)
        done.set()
    citizen.attach(on_shutdown=lambda: hear("shutdown"), on_orphaned=lambda: hear("orphaned"))
    look = "import os; print(sum(name.startswith('NODE_CHANNEL_') for name in os.environ))"
    child = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60)
    note("inherited " + child.stdout.strip())
    while not Path(sys.argv[1]).exists():
        await asyncio.sleep(0.02)
    citizen.ready()
    await done.wait()

asyncio.run(main())
"""


class Pair:
    """Both ends of the channel, as PM2 makes it: ours announced by number, PM2's to play with."""

    def __init__(self) -> None:
        self.pm2, ours = socket.socketpair()
        self.pm2.settimeout(DEADLINE)
        ours.set_inheritable(True)  # as it comes from Node
        self.fd = ours.detach()
        self.environ = {
            "NODE_CHANNEL_FD": str(self.fd),
            "NODE_CHANNEL_SERIALIZATION_MODE": "json",
            "HOME": "/home/of/nobody",
        }
        self.ipc = IpcChannel.from_environment(self.environ)

    def close(self) -> None:
        self.ipc.close()
        self.pm2.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


class Ear:
    def __init__(self, ipc: IpcChannel) -> None:
        self.heard: list[str] = []
        self.shutdown = asyncio.Event()
        self.orphaned = asyncio.Event()
        ipc.attach(on_shutdown=self._on_shutdown, on_orphaned=self._on_orphaned)

    def _on_shutdown(self) -> None:
        self.heard.append("shutdown")
        self.shutdown.set()

    def _on_orphaned(self) -> None:
        self.heard.append("orphaned")
        self.orphaned.set()


def test_ready_is_one_line_of_json(pair: Pair) -> None:
    assert pair.ipc.present
    assert pair.ipc.ready()
    assert pair.pm2.recv(100) == b'"ready"\n'


def test_the_announcement_is_taken_out_of_the_environment(pair: Pair) -> None:
    assert pair.environ == {"HOME": "/home/of/nobody"}


def test_children_do_not_get_the_descriptor(pair: Pair) -> None:
    script = f"import os; print(os.path.exists('/dev/fd/{pair.fd}'))"
    child = subprocess.run(
        [sys.executable, "-c", script], close_fds=False, capture_output=True, text=True, check=True, timeout=DEADLINE
    )
    assert child.stdout.strip() == "False"


@pytest.mark.parametrize(
    "announcement",
    [
        {},
        {"NODE_CHANNEL_FD": ""},
        {"NODE_CHANNEL_FD": "three"},
        {"NODE_CHANNEL_FD": "-1"},
        {"NODE_CHANNEL_FD": "²"},
        {"NODE_CHANNEL_FD": "9999"},
        {"NODE_CHANNEL_FD": "9" * 40},
        {"NODE_CHANNEL_FD": "0", "NODE_CHANNEL_SERIALIZATION_MODE": "advanced"},
    ],
    ids=str,
)
def test_without_a_channel_every_word_goes_nowhere(announcement: dict[str, str]) -> None:
    ipc = IpcChannel.from_environment(announcement)
    assert announcement == {}
    assert not ipc.present
    assert not ipc.ready()
    ipc.close()


def test_a_descriptor_that_is_no_socket_is_not_adopted(tmp_path: Path) -> None:
    with (tmp_path / "diary").open("wb") as diary:
        ipc = IpcChannel.from_environment({"NODE_CHANNEL_FD": str(diary.fileno())})
        assert not ipc.present
        assert not ipc.ready()
    assert (tmp_path / "diary").read_bytes() == b""


async def test_without_a_channel_attaching_is_harmless() -> None:
    ear = Ear(IpcChannel())
    assert ear.heard == []


async def test_a_shutdown_is_heard_among_other_talk_however_it_is_cut(pair: Pair) -> None:
    ear = Ear(pair.ipc)
    talk = b'{"cmd":"NODE_HANDLE"}\nnot json\n[]\n"shut\n"shutdown"\n'
    for byte in talk[:-1]:
        pair.pm2.send(bytes([byte]))
        await asyncio.sleep(0)
    assert ear.heard == []
    pair.pm2.send(talk[-1:])
    await asyncio.wait_for(ear.shutdown.wait(), DEADLINE)
    assert ear.heard == ["shutdown"]


async def test_a_line_without_end_is_not_collected_for_ever(pair: Pair) -> None:
    ear = Ear(pair.ipc)
    loop = asyncio.get_running_loop()
    pair.pm2.setblocking(False)
    async with asyncio.timeout(DEADLINE):
        await loop.sock_sendall(pair.pm2, b'"shutdown"' + b" " * (3 * 1024 * 1024) + b"\n")
        await loop.sock_sendall(pair.pm2, b'"shutdown"\n')
        await ear.shutdown.wait()
    assert pair.ipc.ready()
    assert ear.heard == ["shutdown"]  # the short one only


async def test_the_end_of_pm2_is_heard_once_and_later_words_go_nowhere(pair: Pair) -> None:
    ear = Ear(pair.ipc)
    pair.pm2.close()
    await asyncio.wait_for(ear.orphaned.wait(), DEADLINE)
    assert not pair.ipc.present
    assert not pair.ipc.ready()
    assert ear.heard == ["orphaned"]


async def test_the_end_of_pm2_may_show_first_when_speaking(pair: Pair) -> None:
    ear = Ear(pair.ipc)
    pair.pm2.close()
    assert not pair.ipc.ready()
    assert ear.heard == ["orphaned"]


async def test_a_pm2_that_reads_nothing_neither_blocks_nor_fills_memory(pair: Pair) -> None:
    Ear(pair.ipc)
    said = 0
    while pair.ipc.send({"metric": said}):
        said += 1
        assert said < 1_000_000  # or it would take everything
    loop = asyncio.get_running_loop()
    pair.pm2.setblocking(False)
    received = b""
    async with asyncio.timeout(DEADLINE):
        while received.count(b"\n") < said:
            received += await loop.sock_recv(pair.pm2, 65536)
    assert [json.loads(line) for line in received.splitlines()] == [{"metric": n} for n in range(said)]
    assert pair.ipc.ready()


async def test_after_closing_nothing_is_called_back(pair: Pair) -> None:
    ear = Ear(pair.ipc)
    pair.pm2.send(b'"shutdown"\n')
    pair.ipc.close()
    pair.pm2.close()
    await asyncio.sleep(0)
    assert ear.heard == []


# Under a real PM2


def heard(apps: Path) -> list[str]:
    file = apps / "heard"
    return file.read_text().splitlines() if file.exists() else []


async def until_heard(apps: Path, word: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while word not in heard(apps):  # noqa: ASYNC110 - a file has no event to wait for
            await asyncio.sleep(0.02)


def citizen_app(pm2: RealPm2, **options: object) -> str:
    arguments = [str(pm2.apps / "go"), str(pm2.apps / "heard")]
    return pm2.app("citizen", APP, args=arguments, wait_ready=True, env={"PYTHONPATH": str(REPOSITORY)}, **options)


@pytest.mark.servers
async def test_under_pm2_an_app_is_online_when_it_says_so_and_stops_when_told(real_pm2: RealPm2) -> None:
    # listen_timeout is when PM2 stops waiting and calls it online anyway: past the end of this test.
    app = citizen_app(real_pm2, listen_timeout=600_000, shutdown_with_message=True, kill_timeout=30_000)
    start = await real_pm2.run_beside("start", app)
    launching = await real_pm2.until(lambda seen: seen.status == "launching", "citizen")
    await until_heard(real_pm2.apps, "inherited 0")
    still = await real_pm2.until(lambda seen: True, "citizen")
    assert (still.status, still.pid) == ("launching", launching.pid)
    assert start.returncode is None

    (real_pm2.apps / "go").touch()
    online = await real_pm2.until(lambda seen: seen.status == "online", "citizen")
    assert (online.pid, online.restarts) == (launching.pid, 0)
    assert await asyncio.wait_for(start.wait(), DEADLINE) == 0

    real_pm2.run("stop", "citizen")
    assert heard(real_pm2.apps) == ["inherited 0", "shutdown"]


@pytest.mark.servers
async def test_an_app_learns_that_its_pm2_was_killed(real_pm2: RealPm2) -> None:
    (real_pm2.apps / "go").touch()
    real_pm2.run("start", citizen_app(real_pm2))
    await real_pm2.until(lambda seen: seen.status == "online", "citizen")
    real_pm2.kill_hard()
    await until_heard(real_pm2.apps, "orphaned")
