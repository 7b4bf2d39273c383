"""Receivers for the channels: one that does as it is told, and a real Alertmanager where one is installed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from monitord.notify.channels import apprise, apprise_child
from monitord.testing.sandbox import Sandbox, free_port
from tests.support.memory import tmp_path as tmp_path

from .receivers import Authority, Receiver, Reply

Receive = Callable[..., Awaitable[Receiver]]
PATIENCE = 60.0
BINARIES = ("prometheus-alertmanager", "alertmanager")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes through a proxy of whoever runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def receive() -> AsyncIterator[Receive]:
    """Starts a Receiver that gives these replies; `tls` is the server's side of it."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(*replies: Reply, tls: ssl.SSLContext | None = None) -> Receiver:
        receiver = Receiver(*replies)

        async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await receiver.serve(reader, writer)
            except (asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
                pass  # the test is over, or the guest has left or does not trust us
            finally:
                with suppress(OSError):
                    writer.close()
                tasks.discard(task)

        server = await asyncio.start_server(serve_one, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        receiver.port = server.sockets[0].getsockname()[1]
        return receiver

    yield start
    for server in servers:
        server.close()
    for task in tuple(tasks):
        task.cancel()
    if tasks:
        await asyncio.wait(tuple(tasks), timeout=PATIENCE)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child of Apprise's would answer, answered on a thread here: it is loaded once for all who ask."""
    if not apprise.installed():
        return
    import requests

    monkeypatch.setattr(requests.Session, "send", requests.Session.send)  # what a child sets of it is put back

    async def answer(question: bytes) -> dict[str, object]:
        return await asyncio.to_thread(apprise_child._answer, json.loads(question))

    monkeypatch.setattr(apprise, "_child", answer)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose backlog is full: the kernel drops every further attempt to connect, unanswered."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(8):
            guest = waiting.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(("127.0.0.1", port))
        yield port


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """The address of a real Alertmanager, alone, that notifies nobody; it may take a moment to answer."""
    binary = next(filter(None, map(shutil.which, BINARIES)), None)
    if binary is None:
        pytest.skip("Alertmanager is not installed")
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    port = free_port()
    with Sandbox() as sandbox:
        sandbox.spawn(
            [
                binary,
                f"--config.file={config}",
                f"--storage.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            log=tmp_path / "alertmanager.log",
        )
        yield f"http://127.0.0.1:{port}"
