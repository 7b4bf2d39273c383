"""`monitord logs` as people run it: from a pipe, from a file, from the daemon's own files as they grow."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitord.logging.writers import HourlyFiles
from tests.support import forked

from .program import PATIENCE, environment, monitord

NOW = datetime.now(UTC)


def line(message: str, level: str = "info", event: str = "service_event", ago: timedelta = timedelta(0)) -> bytes:
    when = (NOW - ago).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"timestamp": when, "level": level, "event": event, "message": message}).encode() + b"\n"


@contextmanager
def running(
    *arguments: str, directory: Path, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE
) -> Iterator[forked.Popen]:
    env = environment(directory, {"MONITORD_STATE_DIR": str(directory)})
    process = forked.Popen(["logs", *arguments], cwd=directory, env=env, stdin=stdin, stdout=stdout)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def piped(data: bytes, *arguments: str, directory: Path) -> subprocess.CompletedProcess[bytes]:
    process = forked.Popen(["logs", *arguments], cwd=directory, env=environment(directory), stdin=subprocess.PIPE)
    out, err = process.communicate(data, PATIENCE)
    return subprocess.CompletedProcess(["logs", *arguments], process.returncode or 0, out, err)


def files(directory: Path) -> HourlyFiles:
    return HourlyFiles(directory / "logs", timedelta(hours=48))


def told(output: bytes) -> list[str]:
    return [one.split("service_event", 1)[-1].strip() for one in output.decode().splitlines()]


def test_a_pipe_is_read_to_its_end_and_needs_no_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MONITORD_NONSENSE=1\n")
    done = piped(line("one") + b"PM2 | banner\n" + line("two"), directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert told(done.stdout) == ["one", "PM2 | banner", "two"]


def test_a_line_is_shown_as_soon_as_it_comes(tmp_path: Path) -> None:
    with running(directory=tmp_path, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for message in ("one", "two"):
            process.stdin.write(line(message))
            process.stdin.flush()
            assert told(process.stdout.readline()) == [message]


def test_only_what_is_asked_for_of_a_file(tmp_path: Path) -> None:
    written = tmp_path / "some.jsonl"
    written.write_bytes(
        line("long ago", "error", ago=timedelta(hours=3)) + line("bad", "error") + line("fine") + line("worse", "error")
    )
    done = monitord("logs", str(written), "--level", "warning", "--since", "2h", directory=tmp_path)
    assert told(done.stdout.encode()) == ["bad", "worse"]
    done = monitord("logs", str(written), "-n", "1", "--level", "error", directory=tmp_path)
    assert told(done.stdout.encode()) == ["worse"]
    done = monitord("logs", str(written), "--event", "alert_*", directory=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_json_passes_the_lines_on_as_they_are(tmp_path: Path) -> None:
    lines = line("bad", "error") + b"PM2 | banner\n" + line("fine")
    assert piped(lines, "--format", "json", directory=tmp_path).stdout == line("bad", "error") + line("fine")


def test_the_daemons_files_are_followed_across_the_hour(tmp_path: Path) -> None:
    written = files(tmp_path)
    for number in range(3):
        written.write(NOW - timedelta(hours=1), line(f"old {number}"))
    with running("-n", "2", directory=tmp_path) as process:
        assert process.stdout is not None
        assert [told(process.stdout.readline()) for _ in range(2)] == [["old 1"], ["old 2"]]
        written.write(NOW - timedelta(hours=1), line("the hour's last"))
        written.write(NOW, line("the next hour's first"))
        assert told(process.stdout.readline()) == ["the hour's last"]
        assert told(process.stdout.readline()) == ["the next hour's first"]


def test_it_waits_for_a_daemon_that_has_not_written_yet(tmp_path: Path) -> None:
    with running(directory=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"waiting for the first line" in process.stderr.readline()
        files(tmp_path).write(NOW, line("first"))
        assert told(process.stdout.readline()) == ["first"]


def test_without_following_it_prints_what_there_is_and_ends(tmp_path: Path) -> None:
    settings = {"MONITORD_STATE_DIR": str(tmp_path)}
    done = monitord("logs", "--no-follow", directory=tmp_path, settings=settings)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    for number in range(60):
        files(tmp_path).write(NOW, line(str(number)))
    done = monitord("logs", "--no-follow", directory=tmp_path, settings=settings)
    assert told(done.stdout.encode()) == [str(number) for number in range(10, 60)]


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    files(tmp_path).write(NOW, line("one"))
    with running(directory=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, error) == (130, b"", b"")


@pytest.mark.parametrize("source", ["files", "pipe"])
def test_whoever_stops_reading_ends_it_quietly_though_no_more_comes(tmp_path: Path, source: str) -> None:
    files(tmp_path).write(NOW, line("one"))
    with running(directory=tmp_path, stdin=subprocess.PIPE if source == "pipe" else subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdin is not None:
            process.stdin.write(line("one"))
            process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        if process.stdin is not None:
            process.stdin.write(line("two"))
            process.stdin.flush()
        assert process.wait(PATIENCE) == 141
        assert process.stderr.read() == b""


def test_ten_megabytes_without_an_end_and_bytes_that_are_no_text_are_a_line_each(tmp_path: Path) -> None:
    done = piped(b"x" * 10_000_000 + b"\n\xff\xfe\x1b]0;evil\x07\n" + line("after"), directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 3
    assert b"too long" in done.stdout.splitlines()[0]


def test_a_terminal_is_coloured_unless_it_asks_not_to_be(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        with running("-", directory=tmp_path, stdin=subprocess.PIPE, stdout=its) as process:
            assert process.stdin is not None
            process.stdin.write(line("bad", "error"))
            process.stdin.flush()
            assert b"\x1b[1;31merror" in screen.read(4096)
        os.close(its)


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        (["--since", "soon"], "--since: 'soon' is no duration"),
        (["-n", "-3"], "--lines: '-3' is no whole number"),
        (["-n", "many"], "--lines: 'many' is no whole number"),
        (["--level", "loud"], "--level"),
    ],
)
def test_a_mistake_in_the_command_line_is_one_line(tmp_path: Path, arguments: list[str], mistake: str) -> None:
    done = monitord("logs", *arguments, directory=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert mistake in done.stderr


def test_a_file_that_is_not_there_is_one_line_and_unknown(tmp_path: Path) -> None:
    done = monitord("logs", "nowhere.jsonl", directory=tmp_path)
    assert (done.returncode, done.stderr) == (3, "monitord logs: nowhere.jsonl: No such file or directory\n")
