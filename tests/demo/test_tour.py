"""`monitord demo` as a process: a real tour, and nothing left of it however it ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from monitord.testing.sandbox import processes_of

pytestmark = pytest.mark.servers

PATIENCE = 100.0
"""Seconds a tour may take before its test fails."""

HOSTILE = {
    "MONITORD_CHECK_INTERVAL": "never",
    "MONITORD_POSTGRES__DSN": "postgresql://operator:hunter2@db.example/production",
    "DATABASE_URL": "postgresql://operator:hunter2@db.example/production",
    "REDIS_URL": "redis://:hunter2@cache.example",
    "PM2_HOME": "/nowhere",
}
"""What an operator may have in the environment, and none of the demonstration's business."""


@contextmanager
def touring(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A tour in `directory`, where an operator's .env lies."""
    (directory / ".env").write_text("MONITORD_LOG_LEVEL=shout\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "monitord", "demo", *arguments],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory), "LANG": "C.UTF-8", "TERM": "xterm"} | HOSTILE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)


def read_until(process: subprocess.Popen[str], phrase: str) -> list[str]:
    """The lines up to the first with the phrase."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if phrase in line:
            return lines
    raise AssertionError(f"it ended without {phrase!r}: {''.join(lines)}")


def rest_of(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=PATIENCE)[0]


def sandbox_of(text: str) -> Path:
    found = re.search(r"starting Postgres, Valkey and PM2 in (\S+)", text)
    assert found is not None
    return Path(found[1])


def assert_nothing_is_left(text: str, directory: Path) -> None:
    sandbox = sandbox_of(text)
    assert not sandbox.exists()
    assert processes_of(sandbox) == []
    assert [path.name for path in directory.iterdir()] == [".env"]
    assert "no process and no file is left behind" in text
    assert "hunter2" not in text
    assert "Traceback" not in text


def test_a_fault_is_broken_detected_mended_and_cleared_in_plain_lines(tmp_path: Path) -> None:
    with touring(tmp_path, "--break", "service") as process:
        text = rest_of(process)
    assert process.returncode == 0, text
    assert "\x1b" not in text
    order = [
        "· the fleet runs",
        "✗ stopped gateway",
        "later: gateway is stopped; it is expected to be online.",
        "+ started gateway",
        "later: service_down of gateway is resolved",
    ]
    places = [text.index(phrase) for phrase in order]
    assert places == sorted(places)
    assert re.search(r"^✔ stopped gateway +service_down gateway +in [\d.]+ m?s +in [\d.]+ m?s$", text, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d   [A-Z]+, [67]/7 services, user_signals \+\d+ in 12 s, MILO", text, re.MULTILINE)
    assert "The verdict over all of it (monitord report): NO-GO: " in text
    assert "all services remain online" in " ".join(text.split())
    assert "The fault was detected and cleared" in text
    assert "With nothing broken" not in text
    assert "Besides" not in text
    assert_nothing_is_left(text, tmp_path)


def test_the_shop_is_watched_by_checks_of_its_own_without_a_word_of_the_other_fleet(tmp_path: Path) -> None:
    with touring(tmp_path, "--fleet", "shop", "--break", "api,checkin") as process:
        text = rest_of(process)
    assert process.returncode == 0, text
    assert re.search(r"^✔ let shop-api answer 500 +endpoint_down api +in ", text, re.MULTILINE)
    assert re.search(r"^✔ let price-sync report nothing +checkin_missed prices +in ", text, re.MULTILINE)
    assert "faults were detected and cleared" in text
    assert "Besides" not in text
    assert not re.search(r"epoch|seal|MILO|gateway|user_signals", text)
    assert_nothing_is_left(text, tmp_path)


def test_what_could_not_clear_in_time_is_left_out_by_name_and_is_no_failure(tmp_path: Path) -> None:
    with touring(tmp_path, "--duration", "2s") as process:
        text = rest_of(process)
    assert process.returncode == 0, text
    assert "Left out: service, crash, postgres, redis, sealing, flood, publishing and root." in text
    assert "✗" not in text
    assert "Nothing was broken" in text
    assert_nothing_is_left(text, tmp_path)


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "starting Postgres"),
        (signal.SIGTERM, "starting the fleet"),
        (signal.SIGHUP, "starting monitord"),
        (signal.SIGINT, "✗ froze Redis"),
        (signal.SIGINT, "+ let Redis go on"),
    ],
)
def test_whoever_interrupts_it_at_any_moment_finds_nothing_left(
    tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    with touring(tmp_path, "--break", "redis") as process:
        lines = read_until(process, moment)
        process.send_signal(number)
        process.send_signal(number)  # the impatient
        text = "".join(lines) + rest_of(process)
    assert process.returncode == 130, text
    assert "Interrupted; " in text
    assert_nothing_is_left(text, tmp_path)


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    with touring(tmp_path, "--break", "redis") as process:
        text = "".join(read_until(process, "Valkey answers"))
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(PATIENCE) == 130
    sandbox = sandbox_of(text)
    assert not sandbox.exists()
    assert processes_of(sandbox) == []


def test_a_monitord_that_dies_is_told_of_with_its_last_words(tmp_path: Path) -> None:
    with touring(tmp_path, "--break", "redis") as process:
        lines = read_until(process, "✗ froze Redis")
        for child in processes_of(sandbox_of("".join(lines))):
            with suppress(psutil.NoSuchProcess):
                if child.cmdline()[-3:] == ["-m", "monitord", "run"]:
                    os.kill(child.pid, signal.SIGKILL)
        text = "".join(lines) + rest_of(process)
    assert process.returncode == 1, text
    assert "monitord_started: monitord " in text.partition("Its last lines:")[2]
    assert "monitord ended unexpectedly, by signal 9" in text
    assert_nothing_is_left(text, tmp_path)
