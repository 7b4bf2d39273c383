"""Reads the fleet: what PM2 has of each process, and what the kernel has of it, which PM2 does not read."""

import time
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from monitord.core.model import Answered, Sample, Value, sample
from monitord.files import read_small
from monitord.kernel import ProcessState, process_state
from monitord.pm2 import app_numbers, client, process_list

from .base import Measured, Request

_SHARE = 0.9  # of the reading's deadline, so that the sentence is PM2's and not the runner's

_MAX_PID_BYTES = 20
_MOST_NAMES = 10_000


class Pm2Probe:
    """Every process in PM2's list: state, memory, restarts; and whether it is alive or only listed."""

    name = "pm2"

    def __init__(
        self,
        home: Path,
        own_pids: Callable[[], frozenset[int]],
        error_lines: Callable[[], tuple[Sample, ...]] = tuple,
        limited: Callable[[str], Collection[str]] = lambda _: (),
    ) -> None:
        """Of the PM2 of `home`; `own_pids` are monitord's; numbers of a service that are `limited` are kept first."""
        self._home = home
        self._client = client.Pm2Client(home)
        self._own_pids = own_pids
        self._error_lines = error_lines
        self._wanted = lru_cache(maxsize=_MOST_NAMES)(lambda name: tuple(limited(name)))

    async def measure(self, request: Request) -> Measured:
        """PM2's list, over one connection that is kept between readings. Pm2Error: it could not be had."""
        began = time.perf_counter()
        processes = await self._client.processes(timeout=request.timeout * _SHARE)
        latency = (time.perf_counter() - began) * 1000.0
        own = self._own_pids()
        samples = [sample("pm2_latency", round(latency, 3), "ms")]
        forms, values = app_numbers.told(
            [(process.numbers_form, process.numbers) for process in processes],
            lambda place: self._wanted(processes[place].name),
        )
        for process, form in zip(processes, forms, strict=True):
            samples += _service(process, form, own)
        if values:
            samples.append(Sample("app_values", (), values, ""))
        samples += self._error_lines()
        return Measured(tuple(samples), by=_daemon(self._home))

    async def ping(self) -> None:
        await self._client.ping()

    async def close(self) -> None:
        self._client.close()


def _daemon(home: Path) -> Answered | None:
    """Which daemon answers, by its pid file and when that was written: a number alone may come again."""
    file = home / "pm2.pid"
    try:
        pid, written = read_small(file, _MAX_PID_BYTES).strip(), file.stat().st_mtime
    except OSError:
        return None
    return Answered(f"{pid.decode()} since {written:.3f}", round(written, 3)) if pid.isdigit() else None


class _Constant(NamedTuple):
    """A process's samples but for what it uses and reports, for one `alive` so, monitord's or not, in this form."""

    alive: ProcessState | None
    is_own: bool
    form: str
    labels: tuple[tuple[str, str], ...]
    first: tuple[Sample, ...]
    rest: tuple[Sample, ...]


_MADE: Final = "samples"


def _service(process: process_list.ListedProcess, form: str, own: frozenset[int]) -> tuple[Sample, ...]:
    alive = None if process.pid is None else process_state(process.pid)
    is_own = process.pid in own
    constant = process.made.get(_MADE)
    if (
        not isinstance(constant, _Constant)
        or constant.alive != alive
        or constant.is_own != is_own
        or constant.form != form
    ):
        constant = process.made[_MADE] = _constant(process, alive, form, is_own=is_own)
    labels = constant.labels
    used = (
        Sample("service_memory", labels, process.memory_bytes, "bytes"),
        Sample("service_cpu", labels, process.cpu_percent, "percent"),
    )
    return (*constant.first, *used, *constant.rest)


def _constant(process: process_list.ListedProcess, alive: ProcessState | None, form: str, *, is_own: bool) -> _Constant:
    labels = (("instance", str(process.pm_id)), ("service", process.name))  # in order, and once for all of them
    first = (Sample("service_state", labels, process.status, ""), Sample("service_process", labels, alive, ""))
    return _Constant(alive, is_own, form, labels, first, tuple(_told(process, labels, form, is_own=is_own)))


def _told(
    process: process_list.ListedProcess, labels: tuple[tuple[str, str], ...], form: str, *, is_own: bool
) -> Iterator[Sample]:
    by_the_clock = process.cron_restart if not process.autorestart else None
    # How long a state may last only where it says so: most of the time it says nothing.
    kill_timeout = process.kill_timeout if process.status == "stopping" else None
    listen_timeout = process.listen_timeout if process.status == "launching" else None
    always: tuple[tuple[str, Value, str], ...] = (
        ("started_at", process.started_at, "timestamp"),
        ("created_at", process.created_at, "timestamp"),
        ("restarts", process.restarts, "1"),
        ("exit_code", process.exit_code, "1"),
    )
    where_told: tuple[tuple[str, Value, str], ...] = (
        ("cron", process.cron_restart, ""),
        ("autorestart", None if process.autorestart else 0, "1"),
        ("schedule", by_the_clock, ""),
        ("memory_limit", process.memory_limit_bytes, "bytes"),
        ("watch", 1 if process.watch else None, "1"),
        ("last_started_at", process.last_started_at if process.started_at is None else None, "timestamp"),
        ("restart_delay", process.restart_delay, "seconds"),
        ("may_end", 1 if process.may_end else None, "1"),
        ("backoff", 1 if process.backoff else None, "1"),
        ("kill_timeout", kill_timeout, "seconds"),
        ("listen_timeout", listen_timeout, "seconds"),
        ("module", 1 if process.module else None, "1"),
        ("self", 1 if is_own else None, "1"),
        ("app_form", form or None, ""),
        ("heap_limit", process.heap_limit_bytes if form else None, "bytes"),
    )
    for name, value, unit in (*always, *(one for one in where_told if one[1] is not None)):
        yield Sample(f"service_{name}", labels, value, unit)
