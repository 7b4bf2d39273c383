"""A command that looks once ends, though something it asked never answers."""

import asyncio
import signal
from pathlib import Path

import pytest

from monitord.cli.base import over_state
from tests.support import forked

from .program import PATIENCE, start

# What a name lookup is to asyncio: a call in a thread, of which nobody can say when it returns.
HANGS = """
import asyncio, signal, sys, threading, time
from monitord.cli import say
from monitord.cli.base import run_once

# Whoever starts the tests in the background has the interrupt ignored, and a child inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)

def ask():
    sys.stderr.write("asked\\n")
    sys.stderr.flush()
    if {interrupts}:
        loop = threading.main_thread().ident
        while sys._current_frames()[loop].f_code.co_name != "select":
            time.sleep(0.001)
        time.sleep(0.01)  # the loop sleeps, and nobody wakes it
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    threading.Event().wait()

async def work():
    try:
        async with asyncio.timeout({timeout}):
            await asyncio.to_thread(ask)
    except TimeoutError:
        say("no answer\\n")
        return 3

sys.exit(run_once(work()))
"""


def program(directory: Path, timeout: float, *, interrupts: bool = False) -> forked.Popen:
    return start("-c", HANGS.format(timeout=timeout, interrupts=interrupts), directory=directory)


def test_a_thread_that_never_returns_does_not_keep_the_process(tmp_path: Path) -> None:
    with program(tmp_path, 0.01) as process:
        out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (3, b"no answer\n")


def test_nor_does_it_when_ctrl_c_comes_first(tmp_path: Path) -> None:
    with program(tmp_path, 3600) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"asked\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_nor_when_ctrl_c_reaches_another_of_its_threads(tmp_path: Path) -> None:
    with program(tmp_path, 3600, interrupts=True) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (130, b"", b"asked\n")


def test_a_reader_that_is_gone_is_no_state_directory_that_cannot_be_read(tmp_path: Path) -> None:
    async def answers() -> int:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        asyncio.run(over_state("alerts", tmp_path, answers()))
