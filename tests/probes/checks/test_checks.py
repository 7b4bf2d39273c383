"""The probe of all checks: each as often as it says, with a deadline of its own, at the cost of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitord.config.loader import load, standing_orders
from monitord.core.model import Reading, sample
from monitord.core.subjects.check_rules import KEPT, VALUE
from monitord.failures import FailureError
from monitord.probes import Probes, checks
from monitord.probes.base import Request, take
from monitord.probes.checks import AT_ONCE, PROCESSES_A_CORE, ChecksProbe, processes_at_once
from monitord.probes.checks.base import CheckResult, ScheduledCheck, result
from tests.notify.conftest import Receive

PATIENCE = 60.0
NOW = 1_762_315_020.0


class Counting:
    """A check that counts its runs, and does in each what it is told to."""

    def __init__(self, name: str, does: Callable[[], object] | BaseException | None = None) -> None:
        self.name = name
        self.runs = 0
        self.does = does

    async def run(self) -> CheckResult:
        self.runs += 1
        if isinstance(self.does, BaseException):
            raise self.does
        if callable(self.does):
            await self.does()  # type: ignore[misc]
        return result(self.name, float(self.runs), "1", sample("check_note", "x", "", check=self.name))


def scheduled(check: Counting, every: float | None = None, timeout: float = PATIENCE) -> ScheduledCheck:
    return ScheduledCheck(check, None if every is None else timedelta(seconds=every), timeout)


async def look(
    probe: ChecksProbe,
    at: float = NOW,
    *,
    awaited: frozenset[str] = frozenset(),
    whole: bool = True,
    within: float = PATIENCE,
) -> Reading:
    reading = await take(probe, Request(at, within, awaited=awaited, whole=whole))
    assert reading.failure is None, reading.failure
    return reading


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading waits for its checks a twentieth of its deadline: what is waited for in vain costs little time."""
    monkeypatch.setattr(checks, "_SHARE", 0.05)


async def test_a_check_is_taken_in_each_cycle_unless_it_says_how_often() -> None:
    each, hourly, short = Counting("each"), Counting("hourly"), Counting("short")
    probe = ChecksProbe([scheduled(each), scheduled(hourly, 3600), scheduled(short, 0.001)])
    for _ in range(3):
        await look(probe)
    assert (each.runs, hourly.runs) == (3, 1)
    await asyncio.sleep(0.002)
    await look(probe)
    assert short.runs >= 2


@pytest.mark.usefixtures("hasty")
async def test_where_no_other_reading_follows_a_check_has_the_time_that_it_says() -> None:
    async def never_answers() -> None:
        await asyncio.Event().wait()

    async def takes_long() -> None:
        await asyncio.sleep(0.1)  # past the deadline of the reading

    probe = ChecksProbe([scheduled(Counting("slow", never_answers), timeout=PATIENCE), scheduled(Counting("quick"))])
    assert [gap.error for gap in (await look(probe, within=1.0)).gaps] == ["slow has not answered yet"]
    await probe.close()
    probe = ChecksProbe([scheduled(Counting("slow", takes_long), timeout=PATIENCE), scheduled(Counting("quick"))])
    reading = await take(probe, Request(NOW, 0.05, once=True))
    assert (reading.failure, reading.gaps) == (None, ())
    await probe.close()


@pytest.mark.usefixtures("hasty")
async def test_one_that_took_longer_than_a_reading_holds_none_again_until_it_is_quick() -> None:
    gate = asyncio.Event()
    slow = Counting("slow", gate.wait)
    probe = ChecksProbe([scheduled(slow), scheduled(Counting("quick"))])
    reading = await look(probe, within=1.0)  # waited for, in vain
    assert [gap.error for gap in reading.gaps] == ["slow has not answered yet"]
    gate.set()
    await asyncio.wait(probe._running.values(), timeout=PATIENCE)
    reading = await look(probe, NOW + 30, within=0.4)
    assert (slow.runs, reading.number(VALUE, check="slow"), reading.gaps) == (1, 1.0, ())
    gate.clear()
    reading = await look(probe, NOW + 60, within=0.4)  # begun again, and not waited for
    assert (slow.runs, reading.number(VALUE, check="slow"), reading.number(KEPT, check="slow")) == (2, 1.0, NOW + 30)
    gate.set()
    await asyncio.wait(probe._running.values(), timeout=PATIENCE)
    assert (await look(probe, NOW + 90)).number(VALUE, check="slow") == 2.0
    assert (await look(probe, NOW + 120)).number(KEPT, check="slow") is None  # waited for again
    await probe.close()


async def test_what_is_kept_says_since_when_and_what_is_fresh_does_not() -> None:
    probe = ChecksProbe([scheduled(Counting("each")), scheduled(Counting("hourly"), 3600)])
    first = await look(probe)
    second = await look(probe, NOW + 30)
    assert [first.number(KEPT, check=name) for name in ("each", "hourly")] == [None, None]
    assert [second.number(KEPT, check=name) for name in ("each", "hourly")] == [None, NOW]
    assert [second.number(VALUE, check=name) for name in ("each", "hourly")] == [2.0, 1.0]
    assert [s.name for s in first.samples] == [s.name for s in second.samples]  # so that a recording keeps the changes


async def test_whoever_waits_for_a_check_has_it_taken_and_no_other() -> None:
    each, hourly, other = Counting("each"), Counting("hourly"), Counting("other")
    probe = ChecksProbe([scheduled(each), scheduled(hourly, 3600), scheduled(other, 3600)])
    await look(probe)
    reading = await look(probe, NOW + 5, awaited=frozenset({"hourly"}), whole=False)
    assert (each.runs, hourly.runs, other.runs) == (1, 2, 1)
    assert [reading.number(KEPT, check=name) for name in ("each", "hourly", "other")] == [NOW, None, NOW]


async def test_in_a_whole_cycle_who_is_waited_for_is_taken_beside_what_is_due() -> None:
    each, hourly = Counting("each"), Counting("hourly")
    probe = ChecksProbe([scheduled(each), scheduled(hourly, 3600)])
    await look(probe)
    await look(probe, NOW + 30, awaited=frozenset({"hourly"}))
    assert (each.runs, hourly.runs) == (2, 2)


async def test_one_that_could_not_be_taken_is_a_gap_by_itself_with_its_reason() -> None:
    gone = Counting("gone", FailureError("permission", "monitord's user may not read orders"))
    also = Counting("also", FailureError("permission", "monitord's user may not read users"))
    probe = ChecksProbe([scheduled(gone, 3600), scheduled(also), scheduled(Counting("well"))])
    for at in (NOW, NOW + 30):
        reading = await look(probe, at)
        assert [(gap.subject, gap.kind, gap.alone) for gap in reading.gaps] == [
            ("gone", "permission", True),
            ("also", "permission", True),
        ]
    assert reading.number(KEPT, check="gone") == NOW
    assert reading.number(VALUE, check="well") == 2.0


async def test_what_fails_inside_costs_itself_and_says_nothing_of_its_secrets() -> None:
    broken = Counting("broken", ValueError("postgres://me:hunter2@db"))
    cancelled = Counting("cancelled", asyncio.CancelledError())
    reading = await look(ChecksProbe([scheduled(broken), scheduled(cancelled), scheduled(Counting("well"))]))
    assert [(gap.subject, gap.kind) for gap in reading.gaps] == [("broken", "internal"), ("cancelled", "internal")]
    assert "hunter2" not in repr(reading)
    assert reading.number(VALUE, check="well") == 1.0


@pytest.mark.usefixtures("hasty")
async def test_one_that_hangs_costs_itself_and_is_told_when_it_ends() -> None:
    release, entered = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        entered.set()
        await release.wait()

    slow, well = Counting("slow", hang), Counting("well")
    probe = ChecksProbe([scheduled(slow), scheduled(well)])
    reading = await look(probe, within=1.0)
    assert [gap.subject for gap in reading.gaps] == ["slow"]
    assert [s for s in reading.samples if s.label("check") == "slow"] == []  # nothing is known of it yet
    assert reading.number(VALUE, check="well") == 1.0
    again = await look(probe, NOW + 30)  # does not wait for it a second time, nor begin it again
    assert (slow.runs, again.number(VALUE, check="well")) == (1, 2.0)
    release.set()
    while asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=PATIENCE)
    told = await look(probe, NOW + 60)
    assert (told.number(VALUE, check="slow"), told.number(KEPT, check="slow")) == (1.0, None)
    assert told.gaps == ()
    await probe.close()


async def test_one_that_does_not_keep_its_deadline_is_ended() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    reading = await look(ChecksProbe([scheduled(Counting("slow", hang), timeout=0.05), scheduled(Counting("well"))]))
    assert [(gap.subject, gap.kind, gap.error) for gap in reading.gaps] == [
        ("slow", "timeout", "slow took longer than 0.05 s")
    ]


@pytest.mark.usefixtures("hasty")
async def test_closing_ends_what_runs_and_lets_go_of_each() -> None:
    ended = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    slow, well = Counting("slow", hang), Counting("well")
    probe = ChecksProbe([scheduled(slow), scheduled(well)])
    await look(probe, within=1.0)
    await probe.close()
    assert ended.is_set()


async def test_what_checks_share_is_closed_with_them_once(tmp_path: Path) -> None:
    settings = load({"MONITORD_CHECKS": json.dumps({n: {"type": "checkin", "period": "1h"} for n in "ab"})}, tmp_path)
    probes = Probes(settings, standing_orders(settings), frozenset)
    closed: list[str] = []

    class Shared:
        def __init__(self, name: str) -> None:
            self.name = name

        async def close(self) -> None:
            closed.append(self.name)
            raise OSError("it is gone")

    vars(probes._context).update({name: Shared(name) for name in ("session", "shared", "reports")})
    await probes.close()
    assert sorted(closed) == ["reports", "session", "shared"]


async def test_not_more_than_so_many_run_at_once() -> None:
    running, most = 0, 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await look(ChecksProbe([scheduled(Counting(f"c{number}", work)) for number in range(3 * AT_ONCE)]))
    assert most == AT_ONCE


async def test_of_those_that_are_processes_only_a_few_a_core_run_at_once_and_keep_no_other_from_running() -> None:
    running, most, others = 0, 0, 0
    everyone = processes_at_once() + AT_ONCE

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    async def other() -> None:
        nonlocal others
        others += 1

    checks = [replace(scheduled(Counting(f"p{number}", work)), is_process=True) for number in range(everyone)]
    await look(ChecksProbe([*checks, scheduled(Counting("http", other))]))
    assert most == processes_at_once()
    assert others == 1
    assert processes_at_once() % PROCESSES_A_CORE == 0


@pytest.mark.parametrize("times", [1, 3])
async def test_two_hundred_checks_that_are_not_due_cost_no_task(times: int) -> None:
    checks = [Counting(f"c{number}") for number in range(200)]
    probe = ChecksProbe([scheduled(check, 3600) for check in checks])
    await look(probe)
    made: list[object] = []

    def counted(loop: asyncio.AbstractEventLoop, coroutine: Any, **rest: Any) -> asyncio.Task[Any]:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **rest)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(counted)
    for number in range(times):
        await look(probe, NOW + 30 * number)
    loop.set_task_factory(None)
    assert made == []
    assert sum(check.runs for check in checks) == 200


async def test_two_hundred_checks_cost_a_connection_each_and_a_bounded_reading(
    receive: Receive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await receive()
    shop = {"type": "http", "url": f"{receiver.url}/health"}
    settings = load({"MONITORD_CHECKS": json.dumps({f"c{n}": shop for n in range(200)})}, tmp_path)
    probes = Probes(settings, standing_orders(settings), frozenset)
    (probe,) = (one for one in probes.all if one.name == "checks")
    opened: list[object] = []
    connect = asyncio.open_connection

    async def counted(*args: Any, **kwargs: Any) -> Any:
        opened.append(args)
        return await connect(*args, **kwargs)

    monkeypatch.setattr(asyncio, "open_connection", counted)
    for cycle in (1, 2):
        reading = await take(probe, Request(NOW + 30 * cycle, PATIENCE))
        assert (reading.failure, reading.gaps) == (None, ())
        assert len(reading.values(VALUE, "check")) == 200
        assert len(opened) == len(receiver.requests) == 200 * cycle
    assert len(reading.samples) <= 200 * 7
    await probes.close()
