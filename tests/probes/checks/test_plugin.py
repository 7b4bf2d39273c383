"""A Nagios plugin is run within its bounds, whatever it does; what it prints is read as its guidelines have it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from monitord import programs
from monitord.failures import FailureError
from monitord.probes.checks.command import LONGEST_TEXT, MOST_DATA, Datum, parse, run_plugin
from monitord.programs import MOST_BYTES, environment

Eventually = Callable[[Callable[[], Awaitable[object]]], Awaitable[object]]
PLUGINS = Path("/usr/lib/nagios/plugins")


def script(directory: Path, text: str) -> list[str]:
    path = directory / "check_it"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return [str(path)]


async def failure(command: list[str], timeout: float = 5.0) -> FailureError:
    with pytest.raises(FailureError) as caught:
        await run_plugin("backup", command, timeout)
    return caught.value


@pytest.mark.parametrize(("code", "state"), [(0, "ok"), (1, "warning"), (2, "critical")])
async def test_the_exit_code_is_the_state_and_the_first_line_is_kept(tmp_path: Path, code: int, state: str) -> None:
    command = script(tmp_path, f"echo 'DISK $1 | /=5MB;8;9'; echo more; exit {code}")
    found, output = await run_plugin("disk", [*command, "of a path; exit 3"], 5.0)
    assert found == state
    assert output.text == "DISK $1"  # no shell has read the arguments, nor what was printed
    assert output.data == (Datum("/", 5.0, "MB"),)


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (3, "protocol", "backup answers UNKNOWN: no such host"),
        (4, "protocol", "backup exited with 4, which is no exit code of a plugin: no such host"),
        (127, "missing", "backup exited with 127, a program that it needs is missing: no such host"),
    ],
)
async def test_any_other_end_is_unknown_and_says_why(tmp_path: Path, code: int, kind: str, said: str) -> None:
    error = await failure(script(tmp_path, f"echo no such host; exit {code}"))
    assert (error.kind, error.error) == (kind, said)


async def test_one_that_dies_by_a_signal_is_unknown(tmp_path: Path) -> None:
    error = await failure(script(tmp_path, "kill -SEGV $$"))
    assert (error.kind, error.error) == ("internal", "backup was ended by SIGSEGV")


async def test_a_program_that_is_not_there_or_cannot_be_run_is_told_apart(tmp_path: Path) -> None:
    missing = await failure(["check_nothing_of_the_kind"])
    assert (missing.kind, "there is no such program" in missing.error) == ("missing", True)
    path = tmp_path / "check_it"
    path.write_text("#!/nowhere/python\n")
    path.chmod(0o755)
    without = await failure([str(path)])
    assert (without.kind, "its first line names is not there" in without.error) == ("missing", True)
    path.chmod(0o644)
    assert (await failure([str(path)])).kind == "permission"
    path.write_bytes(b"no program at all")
    path.chmod(0o755)
    assert (await failure([str(path)])).kind == "protocol"
    assert (await failure([str(path), "a\0b"])).kind == "protocol"


async def test_one_that_takes_too_long_is_ended_with_all_that_it_has_started(
    tmp_path: Path, eventually: Eventually
) -> None:
    pids = tmp_path / "pids"
    command = script(tmp_path, f"trap '' TERM; sleep 60 & echo $$ $! > {pids}; wait; wait")
    for seconds in (0.1, 2.0):  # where the machine is too busy for it to begin in the first
        async with asyncio.timeout(50):  # what it has started lasts longer
            error = await failure(command, seconds)
        if pids.exists() and (ended := [int(pid) for pid in pids.read_text().split()]):
            break
    assert (error.kind, error.error) == ("timeout", f"backup was not done within {seconds:g} s, and was ended")
    assert len(ended) == 2

    async def are_gone() -> bool:
        return not any(_is_alive(pid) for pid in ended)

    await eventually(are_gone)


async def test_one_that_heeds_the_warning_may_end_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "told"
    monkeypatch.setattr(programs, "_GRACE_SHARE", 1.0)
    command = script(tmp_path, f"trap 'echo warned > {told}; exit 0' TERM; sleep 60 & wait")
    for warned_after in (0.1, 2.0):  # where the machine is too busy for it to begin in the first
        monkeypatch.setattr(programs, "GRACE_SECONDS", 60.0 - warned_after)
        assert (await failure(command, 60.0)).kind == "timeout"
        if told.exists():
            break
    assert told.read_text() == "warned\n"


async def test_one_whose_turn_is_cancelled_does_not_live_on(tmp_path: Path, eventually: Eventually) -> None:
    pids = tmp_path / "pids"
    running = asyncio.create_task(run_plugin("backup", script(tmp_path, f"echo $$ > {pids}; sleep 60"), 30.0))

    async def has_begun() -> bool:
        return pids.exists() and bool(pids.read_text().strip())

    await eventually(has_begun)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    async def is_gone() -> bool:
        return not _is_alive(int(pids.read_text()))

    await eventually(is_gone)


async def test_what_is_printed_without_end_is_read_to_its_bound_and_waited_for(tmp_path: Path) -> None:
    command = script(tmp_path, f"head -c {10 * MOST_BYTES} /dev/zero | tr '\\0' x; echo; exit 1")
    state, output = await run_plugin("loud", command, 20.0)
    assert (state, len(output.text)) == ("warning", LONGEST_TEXT)


async def test_one_that_leaves_something_running_is_done_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_DRAIN_SECONDS", 0.05)
    # Where what it leaves were waited for, it would be past its own deadline.
    state, output = await run_plugin("forks", script(tmp_path, "echo fine; sleep 30 & exit 0"), 20.0)
    assert (state, output.text) == ("ok", "fine")


async def test_a_plugin_gets_nothing_of_monitords_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "MONITORD_HTTP__TOKEN",
        "DATABASE_URL",
        "REDIS_URL",
        "PGPASSWORD",
        "NODE_CHANNEL_FD",
        "AWS_SECRET_KEY",
    ):
        monkeypatch.setenv(name, "hunter2")
    left = tmp_path / "env"
    await run_plugin("env", script(tmp_path, f"env > {left}; ls -l /proc/self/fd | wc -l"), 5.0)
    assert "hunter2" not in left.read_text()
    assert {"PATH", "LC_ALL"} <= {line.partition("=")[0] for line in left.read_text().splitlines()}
    assert environment({"MONITORD_STATE_DIR": "/x", "HOME": "/home/pm2"}).keys() == {"PATH", "HOME", "LC_ALL", "LANG"}


def test_secrets_and_control_characters_are_taken_out_of_what_is_said() -> None:
    output = parse("login as postgres://app:hunter2@db failed\x1b[2J, token=abc | 'a\x07b'=1 token=abc=2")
    assert output.text == "login as postgres://app:***@db failed [2J, token=***"
    assert [datum.label for datum in output.data] == ["a b"]


@pytest.mark.parametrize(
    ("printed", "data"),
    [
        ("OK | time=0.123s;1;2;0;10", (Datum("time", 0.123, "s"),)),
        (
            "OK | 'a b'=5%;@10:20;~:50 'it''s'=-1.5e3",
            (Datum("a b", 5.0, "%"), Datum("it's", -1500.0)),
        ),
        ("OK | a=1c;;;; b=2;x;3", (Datum("a", 1.0, "c"), Datum("b", 2.0))),
        ("OK | a=U b=", ()),
        ("OK | a=1 a=2", (Datum("a", 1.0),)),
        ("OK\nlong text\nmore | a=1\nb=2KB", (Datum("a", 1.0), Datum("b", 2.0, "KB"))),
        ("OK | /=1MB\n/boot 5\n| /boot=2MB", (Datum("/", 1.0, "MB"), Datum("/boot", 2.0, "MB"))),
        ("OK | a=1,5s", (Datum("a", 1.5, "s"),)),
        ("OK | a=1.2.3 =5 b 'c'=2 'd=3", (Datum("c", 2.0), Datum("'d", 3.0))),
        ("OK | a=1e999 b=nan c=inf", ()),
        ("|a=1", (Datum("a", 1.0),)),
        ("", ()),
    ],
)
def test_performance_data_is_read_as_the_guidelines_have_it(printed: str, data: tuple[Datum, ...]) -> None:
    assert parse(printed).data == data


def test_the_numbers_are_bounded() -> None:
    output = parse("OK |" + " ".join(f"n{n}={n}" for n in range(MOST_DATA + 7)))
    assert [datum.label for datum in output.data] == [f"n{n}" for n in range(MOST_DATA)]


@pytest.mark.parametrize("flood", ["'", "a", "a=1;", " a", "'a'", "a=1;" + "1.:" * 9, "''=", "\x00", "|"])
def test_no_output_takes_long_to_read(flood: str) -> None:
    began = time.thread_time()
    parse(f"OK |{flood * (MOST_BYTES // len(flood))}")
    assert time.thread_time() - began < 1.0


@pytest.mark.skipif(not PLUGINS.is_dir(), reason="there are no monitoring plugins here")
async def test_real_plugins_say_what_they_find_and_their_numbers() -> None:
    state, load = await run_plugin(
        "load", [str(PLUGINS / "check_load"), "-w", "900,900,900", "-c", "999,999,999"], 10.0
    )
    assert state == "ok"
    assert [one.label for one in load.data] == [f"load{minutes}" for minutes in (1, 5, 15)]
    state, disk = await run_plugin("disk", [str(PLUGINS / "check_disk"), "-w", "100%", "-c", "0%", "-p", "/"], 10.0)
    assert state == "warning"
    assert (disk.data[0].label, disk.data[0].value > 0) == ("/", True)
    assert (await run_plugin("dummy", [str(PLUGINS / "check_dummy"), "2", "gone"], 10.0))[0] == "critical"
    unknown = await failure([str(PLUGINS / "check_load"), "--nonsense"])
    assert unknown.kind == "protocol"


def _is_alive(pid: int) -> bool:
    """Whether it runs; one that has ended and is not reaped yet does not."""
    try:
        os.kill(pid, 0)
        return (
            f"{pid} (" in (stat := Path(f"/proc/{pid}/stat").read_text()) and stat.rpartition(")")[2].split()[0] != "Z"
        )
    except (ProcessLookupError, FileNotFoundError):
        return False
