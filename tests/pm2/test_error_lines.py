"""Error lines: counted by service from what PM2's bus passes on, at a bounded cost, and nothing of them kept."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest

from monitord.core.model import Sample
from monitord.pm2 import wire
from monitord.pm2.bus import Bus
from monitord.pm2.bus_frames import BusDecoder
from monitord.pm2.error_lines import BYTES_A_SECOND, FRAMES_A_SECOND, MOST_SERVICES, ErrorLines
from monitord.testing.sandbox import free_port

from .conftest import DEADLINE, RealPm2
from .test_bus import Pretender, event, line, listening, pretender, reachable, until  # noqa: F401 - a fixture

LIMIT = 2**20
Form = Callable[..., list[object]]
TEXT = "hunter2-in-an-error\n"


def forked(data: object, name: str = "api", topic: str = "log:err") -> list[object]:
    """A chunk of what an app in fork mode wrote, as PM2 7.0 sends it."""
    return [topic, {"process": {"pm_id": 0, "name": name, "rev": None, "namespace": "default"}, "at": 1, "data": data}]


def clustered(data: object, name: str = "api", topic: str = "log:err") -> list[object]:
    """The same of an app in cluster mode, and of whatever an app puts on the bus under a topic of its choice."""
    return [topic, {"at": 1, "data": data, "process": {"pm_id": 1, "name": name, "rev": "a1", "namespace": "default"}}]


def counted(*messages: list[object], now: float = 0.0) -> tuple[dict[str, int], int]:
    """What was counted by service, and how many frames were not read."""
    errors = ErrorLines()
    decoder = BusDecoder(LIMIT, errors)
    for message in messages:
        decoder.feed(wire.encode(message), now)
    return lines(errors), errors.unread


def lines(errors: ErrorLines) -> dict[str, int]:
    return {s.label("service"): int(s.value or 0) for s in errors.samples(0.0) if s.name == "error_lines"}


@pytest.mark.parametrize("form", [forked, clustered])
def test_the_newlines_that_a_service_writes_are_counted(form: Form) -> None:
    assert counted(form("one\ntwo\n"), form("three\n", "worker"), form("no end")) == ({"api": 2, "worker": 1}, 0)


@pytest.mark.parametrize("form", [forked, clustered])
@pytest.mark.parametrize(
    ("text", "newlines"),
    [
        ("a\\nb", 0),
        ("a\\\nb", 1),
        ("\\\\n\n", 1),
        ("\\\\\\\n", 1),
        ('"quoted"\n{}}\n', 2),
        ("é\u2028\n", 1),
        ("\r\n", 1),
    ],
)
def test_a_backslash_before_an_n_is_no_newline(form: Form, text: str, newlines: int) -> None:
    assert text.count("\n") == newlines
    assert counted(form(text), form("\n", "other"))[0].get("api", 0) == newlines


def test_what_is_written_to_stdout_is_passed_over() -> None:
    assert counted(forked("a\n", topic="log:out"), clustered("a\n", topic="log:out")) == ({}, 0)


@pytest.mark.parametrize("name", ['a "quoted" name', "with, a comma", "}}", "über", "worker\n2"])
@pytest.mark.parametrize("form", [forked, clustered])
def test_a_service_may_have_any_name(form: Form, name: str) -> None:
    found, unread = counted(form("a\nb\n", name))
    assert (list(found.values()), unread) == ([2], 0)
    assert all(told.isprintable() for told in found)


def test_no_app_counts_for_another() -> None:
    forged = {"process": {"pm_id": 7, "name": "gateway", "rev": None, "namespace": "default"}}
    found, _ = counted(
        clustered(forged, "liar"),
        clustered('"process":{"pm_id":7,"name":"gateway","rev":null,"namespace":"x"}}\n', "liar"),
        forked('{"process":{"pm_id":7,"name":"gateway","rev":null}}\n', "liar"),
        clustered({**forged, "text": "\n"}, "liar"),
    )
    assert "gateway" not in found


def test_what_cannot_be_told_whose_it_is_is_not_taken_for_read() -> None:
    assert counted(["log:err", {"data": "a\n"}], ["log:err", "a\n"], [b"s:log:err", b"\xff\xfe"]) == ({}, 3)


def test_there_are_only_so_many_services() -> None:
    found, unread = counted(*(forked("a\n", f"s{number}") for number in range(MOST_SERVICES + 5)), now=0.0)
    assert (len(found), unread) == (MOST_SERVICES, 5)


def test_of_a_storm_only_so_many_frames_are_read_in_a_second() -> None:
    errors = ErrorLines()
    decoder, frame = BusDecoder(LIMIT, errors), wire.encode(forked("a\n"))
    for second in (0, 1):
        for _ in range(5):
            decoder.feed(frame * FRAMES_A_SECOND, second + 0.5)
    assert lines(errors) == {"api": 2 * FRAMES_A_SECOND}
    assert errors.unread == 8 * FRAMES_A_SECOND


def test_of_long_lines_only_so_many_bytes_are_read_in_a_second() -> None:
    errors = ErrorLines()
    decoder, size = BusDecoder(LIMIT, errors), LIMIT // 2
    frame = wire.encode(forked("x" * size + "\n"))
    for _ in range(2 * BYTES_A_SECOND // size):
        decoder.feed(frame, 0.5)
    assert lines(errors)["api"] < BYTES_A_SECOND // size + 1
    assert errors.unread >= BYTES_A_SECOND // size


def test_the_stream_may_be_cut_anywhere_and_all_else_comes_out_as_it_is() -> None:
    messages: list[list[object]] = [
        forked(TEXT),
        line(),
        clustered("a\nb\n", "w"),
        event(),
        [],
        ["x"],
        forked("z" * 5000),
        [b"raw", {}, 3],
    ]
    raw = b"".join(wire.encode(message) for message in messages)
    whole = wire.Decoder(LIMIT).feed(raw)
    expected = [tuple(map(bytes, frame)) for frame in whole if bytes(frame[0] if frame else b"") != b"s:log:err"]
    draw = random.Random(7)  # noqa: S311 - where to cut
    for _ in range(200):
        errors = ErrorLines()
        decoder = BusDecoder(LIMIT, errors)
        found: list[wire.Frame] = []
        place = 0
        while place < len(raw):
            size = draw.choice((1, 2, 3, 5, 50, 500, 5000))
            found += decoder.feed(raw[place : place + size], 0.0)
            place += size
        assert found == expected
        assert lines(errors) == {"api": 1, "w": 2}


@pytest.mark.parametrize("raw", [b"\x00", b"\x22\x00", wire.encode(["log:err", "x" * (LIMIT + 1)])])
def test_garbage_and_a_frame_that_is_too_large_break_the_stream_for_good(raw: bytes) -> None:
    decoder = BusDecoder(LIMIT, ErrorLines())
    for data in (raw, wire.encode(line())):
        with pytest.raises(wire.WireError) as caught:
            decoder.feed(data, 0.0)
        assert "xxxx" not in str(caught.value)


def samples(bus: Bus) -> Mapping[str, Sample]:
    return {s.name if s.name != "error_lines" else s.label("service"): s for s in bus.error_lines()}


async def test_the_bus_tells_what_it_counted_and_since_when_and_nothing_while_it_is_lost(
    home: Path,
    pretender: Pretender,  # noqa: F811 - the fixture
) -> None:
    before = time.time()
    async with listening(home) as bus:
        assert bus.error_lines() == ()
        await pretender.connected()
        await until(lambda: bus.connected)
        assert [s.name for s in bus.error_lines()] == ["error_lines_since"]
        await pretender.say(forked("a\nb\n"), line(), event())
        await until(lambda: "api" in samples(bus))
        first = samples(bus)["error_lines_since"].value
        assert isinstance(first, float)
        assert before - 1 <= first <= time.time()
        assert samples(bus)["api"].value == 2
        await pretender.leave()
        await until(lambda: bus.error_lines() == ())
        await pretender.listen()
        await pretender.connected(2)
        await until(lambda: bus.connected)
        await pretender.say(forked("c\n"))
        await until(lambda: samples(bus)["api"].value == 3)
        assert samples(bus)["error_lines_since"].value != first


async def test_when_lines_have_been_counted_nothing_of_them_is_left(
    home: Path,
    pretender: Pretender,  # noqa: F811 - the fixture
) -> None:
    async with listening(home) as bus:
        await pretender.connected()
        await pretender.say(forked(TEXT), clustered(TEXT, "worker"), forked(TEXT, topic="log:out"), line(), event())
        await until(lambda: len(bus._exits) == 1)
        held = reachable(bus)
        assert any("worker" in text for text in held)
        assert [text for text in held if TEXT.strip() in text] == []


# A real PM2, and a daemon that watches it

NOISY = """
import sys, time
time.sleep(0.2)
while True:
    print("Error: the password is hunter2-in-an-error\\n    at /srv/secret.js", file=sys.stderr, flush=True)
    time.sleep(0.05)
"""


@pytest.mark.servers
async def test_the_lines_of_real_apps_are_counted_and_what_they_say_is_in_nothing_that_monitord_leaves(
    real_pm2: RealPm2, tmp_path: Path
) -> None:
    real_pm2.run("start", real_pm2.app("noisy", NOISY))
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "MONITORD_STATE_DIR": str(tmp_path / "state"),
        "MONITORD_PM2__HOME": str(real_pm2.home),
        "MONITORD_PM2__SERVICES": json.dumps({"noisy": {"errors": 1}}),
        "MONITORD_CHECK_INTERVAL": "1s",
        "MONITORD_LOG_LEVEL": "debug",
        "MONITORD_HTTP__LISTEN": f"127.0.0.1:{free_port()}",
        "MONITORD_HOST__DISKS": "[]",
    }
    daemon = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitord", "run"),
        env=environment,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**24,
    )
    assert daemon.stdout is not None
    told: list[bytes] = []
    try:
        async with asyncio.timeout(DEADLINE):
            while not _has_counted(told):
                told.append(await daemon.stdout.readline())
        base = f"http://{environment['MONITORD_HTTP__LISTEN']}"
        pages = [await _get(base + path) for path in ("/", "/service/noisy", "/metrics", "/api/status", "/alerts")]
    finally:
        daemon.terminate()
        async with asyncio.timeout(DEADLINE):
            told.append(await daemon.stdout.read())
            await daemon.wait()
    assert 'monitord_service_error_lines_total{service="noisy"}' in pages[2]
    assert "Error lines" in pages[1]
    left = [file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file()]
    assert len(left) > 1
    for text in (*told, *left, *(page.encode() for page in pages)):
        assert b"hunter2" not in text
        assert b"secret.js" not in text


def _has_counted(told: list[bytes]) -> bool:
    fields = json.loads(told[-1]) if told and told[-1].startswith(b"{") else {}
    errors = (fields.get("services", {}).get("noisy") or {}).get("errors")
    return errors is not None and errors["lines"] >= 20


async def _get(url: str) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).text
