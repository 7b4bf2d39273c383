"""How things are measured: a program's time and CPU from start to end, a process's memory, and rows that line up."""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from monitord.testing.sandbox import Sandbox

PROGRAM_SECONDS = 120.0
IMPORTS_SECONDS = 30.0
# The standard library, and the packages of this environment.
_PYTHONS = (Path(os.__file__).resolve().parent, Path(psutil.__file__).resolve().parents[1])


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a program: wall and CPU seconds (its children's included), and its exit code."""

    wall: float
    cpu: float
    code: int


def run(sandbox: Sandbox, argv: Sequence[str | Path], log: Path, env: Mapping[str, str]) -> Run:
    """Run a program to its end in the sandbox, its output appended to `log`; it is killed after two minutes.

    Servers it talks to do their part in processes of their own, which is not counted.
    """
    began = time.perf_counter()
    child = sandbox.spawn(argv, log=log, env=env)
    deadline = threading.Timer(PROGRAM_SECONDS, child.kill)
    deadline.start()
    try:
        _, status, usage = os.wait4(child.pid, 0)
    finally:
        deadline.cancel()
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for: nobody else need
    return Run(wall, usage.ru_utime + usage.ru_stime, child.returncode)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a process: resident, and its proportional share of them (None where the system does not report it).

    `whole` is that share with the files of Python and of its packages counted whole: it does not depend on how many
    other Pythons this machine runs.
    """

    rss: int
    pss: int | None
    whole: int | None = None


def cpu_seconds(pid: int) -> float:
    """CPU of a process that lives, and of all its children and theirs, those that have ended included."""
    process = psutil.Process(pid)
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.Error, OSError):
            times = one.cpu_times()
            total += _clocked(one.pid, times.user + times.system) + times.children_user + times.children_system
    return total


def _clocked(pid: int, counted: float) -> float:
    """What the clock of another process says (Linux), which is finer than the 10 ms that are counted."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
    except OSError:
        return counted


def memory(pid: int) -> Memory:
    """The memory of a process now."""
    process = psutil.Process(pid)
    info = process.memory_full_info()
    if not hasattr(info, "pss"):
        return Memory(int(info.rss), None)
    whole = sum(one.rss if _is_pythons(Path(one.path)) else one.pss for one in process.memory_maps())
    return Memory(int(info.rss), int(info.pss), int(whole))


def _is_pythons(mapped: Path) -> bool:
    return mapped.name.startswith(("python", "libpython")) or any(mapped.is_relative_to(place) for place in _PYTHONS)


def bare_interpreter(sandbox: Sandbox) -> Memory:
    """The memory of a Python that has done nothing but import asyncio and sqlite3."""
    program = "import asyncio, sqlite3, sys; print('up', flush=True); sys.stdin.read(); import time; time.sleep(600)"
    log = sandbox.directory / "bare.log"
    child: subprocess.Popen[bytes] = sandbox.spawn([sys.executable, "-c", program], log=log)
    try:
        deadline = time.monotonic() + IMPORTS_SECONDS
        while b"up" not in log.read_bytes():
            if time.monotonic() > deadline or child.poll() is not None:
                raise RuntimeError("a bare interpreter does not start")
            time.sleep(0.02)
        return memory(child.pid)
    finally:
        child.kill()
        child.wait(10)


def spread(values: Sequence[float], show: str = "seconds") -> tuple[str, str]:
    """The median, and the least and the most, for people. `values` are seconds."""
    write = seconds if show == "seconds" else milliseconds
    return write(statistics.median(values)), f"{write(min(values))} .. {write(max(values))}"


def seconds(value: float) -> str:
    """Seconds with three places."""
    return f"{value:.3f} s"


def milliseconds(value: float) -> str:
    """Seconds as milliseconds with one place."""
    return f"{value * 1000:.1f} ms"


def size(value: float | None) -> str:
    """Bytes in the unit that suits them."""
    if value is None:
        return "-"
    for unit, limit in (("B", 1e4), ("kB", 1e6), ("MB", 1e9)):
        if value < limit:
            scale = {"B": 1.0, "kB": 1e3, "MB": 1e6}[unit]
            return f"{value / scale:.0f} B" if unit == "B" else f"{value / scale:.1f} {unit}"
    return f"{value / 1e9:.2f} GB"


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns line up: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        first, *others = row
        cells = [first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True))]
        return "  ".join(cells).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([title, "", line(heads), rule, *map(line, rows)])
