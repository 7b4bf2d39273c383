"""Apprise, in a child that is gone when it has told."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from monitord.notify.channels import apprise
from monitord.notify.channels.apprise import Apprise, body, child_environment, installed, notify_type, title
from monitord.notify.channels.apprise_child import without
from monitord.notify.channels.base import SendError

from .conftest import Receive
from .receivers import AT, message, status

pytestmark = [
    pytest.mark.skipif(not installed(), reason="Apprise is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Apprise's own libraries have some
]
TOKEN = "planted-token-5f0c"
Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def failure(url: str) -> SendError:
    with pytest.raises(SendError) as caught:
        await Apprise(url, "json").send([message()], AT)
    assert TOKEN not in caught.value.error
    return caught.value


@pytest.mark.usefixtures("in_process")
async def test_nobody_listening_is_refused() -> None:
    error = await failure(f"json://me:{TOKEN}@127.0.0.1:1/{TOKEN}")
    assert error.kind == "refused"
    assert error.error.startswith("json did not accept it: A Connection error occurred")


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("line", "kind"), [("401 Unauthorized", "auth"), ("404 Not Found", "missing"), ("500 Error", "refused")]
)
async def test_a_status_is_told_with_its_number(receive: Receive, line: str, kind: str) -> None:
    receiver = await receive(status(line))
    error = await failure(f"json://127.0.0.1:{receiver.port}/{TOKEN}?-X-Key={TOKEN}")
    assert (error.kind, line[:3] in error.error) == (kind, True)


@pytest.mark.usefixtures("in_process")
async def test_an_address_that_apprise_does_not_know_is_said_to_be_wrong() -> None:
    error = await failure(f"nosuchservice://{TOKEN}/{TOKEN}")
    assert (error.kind, "does not understand this address" in error.error) == ("protocol", True)


def test_no_part_of_an_address_is_left_in_a_sentence() -> None:
    url = "mailto://me%40home:p%2Fw@mail.example.org:2525/a?to=x&smtp=relay.example.org"
    said = "Login as me@home with p/w at mail.example.org:2525 (relay.example.org) for x failed: error=535, 7 of 9."
    left = without(said, url)
    assert not [part for part in ("me@home", "p/w", "example", "2525", " x ") if part in left]
    assert "error=535, 7 of 9" in left


def test_a_reason_is_one_short_line() -> None:
    assert without("a\nb\x1b[2J" + "c" * 1000, "json://h").isprintable()
    assert len(without("a" * 1000, "json://h")) == 200


def test_a_child_gets_what_it_needs_and_nothing_of_the_daemons() -> None:
    environ = {
        "PATH": "/bin",
        "HOME": "/root",
        "LANG": "C",
        "HTTPS_PROXY": "http://p",
        "SSL_CERT_FILE": "/ca",
        "NODE_CHANNEL_FD": "3",
        "MONITORD_NOTIFY__URLS": TOKEN,
        "DATABASE_URL": TOKEN,
        "REDIS_URL": TOKEN,
        "AWS_SECRET_ACCESS_KEY": TOKEN,
    }
    given = child_environment(environ)
    assert set(given) == {"PATH", "HOME", "LANG", "HTTPS_PROXY", "SSL_CERT_FILE", "PYTHONPATH"}


def children() -> list[psutil.Process]:
    """The children that send, of those that this process has: the tests beside this one have servers of theirs."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "monitord.notify.channels.apprise_child" in " ".join(child.cmdline())
    ]


async def test_a_child_tells_each_message_whole_with_its_address_in_neither_arguments_nor_environment(
    receive: Receive,
) -> None:
    seen: list[str] = []

    async def look(writer: asyncio.StreamWriter) -> None:
        (child,) = children()
        seen.extend([*child.cmdline(), *child.environ().values(), str(os.getsid(child.pid) == child.pid)])
        busy = status("429 Too Many Requests", "Retry-After: 42")
        writer.write(busy if len(receiver.requests) > 1 else status("200 OK"))
        await writer.drain()

    receiver = await receive(look)
    way = Apprise(f"json://127.0.0.1:{receiver.port}/{TOKEN}", "json")
    with pytest.raises(SendError) as caught:
        await way.send([message(), message("resolved")], AT + timedelta(hours=2, minutes=5))
    await way.close()
    assert (caught.value.status, caught.value.retry_after) == (429, 42.0)
    assert "asks to wait 42 s" in caught.value.error
    first, second = [request.json() for request in receiver.requests]
    assert first["title"] == "CRITICAL: gateway is errored"
    assert first["message"].endswith("pm2 logs gateway.\n(sent 2 h 5 min late)")
    assert (first["type"], second["type"]) == ("failure", "success")
    assert seen[-1] == "True"
    assert not [text for text in seen if TOKEN in text]


def stub(directory: Path, program: str) -> str:
    """A program in place of Python."""
    python = directory / "python"
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    return str(python)


async def test_a_child_that_is_not_done_at_its_deadline_is_ended(
    receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    receiver = await receive(silent)
    monkeypatch.setattr(apprise, "_CHILD_SECONDS", 0.1)
    error = await failure(f"json://127.0.0.1:{receiver.port}/")
    assert error.kind == "timeout"
    assert children() == []


async def test_a_sending_that_nobody_waits_for_any_more_leaves_no_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    asked = tmp_path / "asked"
    # A shell that waits as a child does, under the name of one: what matters is that it runs.
    monkeypatch.setattr("sys.executable", stub(tmp_path, f"cat > {asked}.part; mv {asked}.part {asked}; sleep 600"))

    async def is_asked() -> bool:
        return asked.exists()

    task = asyncio.create_task(Apprise(f"json://{TOKEN}/", "json").send([message()], AT))
    await eventually(is_asked)
    assert children() != []
    assert TOKEN in asked.read_text()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []


@pytest.mark.parametrize("program", ["exit 1", "echo nonsense", "echo '[]'", "head -c 200000 /dev/zero"])
async def test_a_child_that_breaks_is_that_messages_failure(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", stub(tmp_path, program))
    assert (await failure(f"json://{TOKEN}/")).kind == "internal"


async def test_a_python_that_cannot_be_started_is_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert (await failure(f"json://{TOKEN}/")).kind == "internal"


def test_titles_are_one_line_and_kinds_are_apprises() -> None:
    assert title(message("test")) == "CRITICAL: gateway is errored"
    assert notify_type(message("firing", "warning")) == "warning"
    assert notify_type(message("reminder", "critical")) == "failure"
    assert body(message(), AT + timedelta(seconds=30)) == message().text


def test_a_hundred_thousand_characters_are_cut() -> None:
    long = message()
    object.__setattr__(long, "text", "x" * 100_000)
    object.__setattr__(long, "title", "y\n" * 100_000)
    assert len(body(long, AT)) == 10_000
    assert len(title(long)) == 200
    assert json.dumps(title(long)).isprintable()
