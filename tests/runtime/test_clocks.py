"""The clocks that a cycle is dated by."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitord import clocks
from monitord.core.copying import replace
from monitord.core.history.clocks import step_of
from monitord.core.history.model import NOTHING_KEPT, History
from monitord.core.model import Observation
from monitord.core.recording import Recorder, replay
from monitord.probes.base import Measured, Request
from monitord.runtime.cycle import CycleRequest, observe


def test_the_wall_clock_and_the_lived_seconds_are_read_at_one_moment() -> None:
    before = clocks.lived_seconds()
    now, seconds = clocks.both_clocks()
    assert now.utcoffset() == timedelta(0)
    assert seconds is not None
    assert before <= seconds <= clocks.lived_seconds()


def test_a_process_that_is_held_up_between_the_two_does_not_tell_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter(range(0, 100, 10))
    monkeypatch.setattr(clocks, "lived_seconds", lambda: float(next(readings)))
    assert clocks.both_clocks()[1] is None


@pytest.mark.skipif(not Path("/proc/sys/kernel/random/boot_id").exists(), reason="no boot id on this system")
def test_two_processes_of_one_boot_say_the_same_boot() -> None:
    assert Path("/proc/sys/kernel/random/boot_id").read_text().strip() == clocks.BOOT


@pytest.mark.parametrize(
    ("wall", "seconds", "boot", "step"),
    [
        (3630.0, 30.0, "a", 3600.0),
        (-3570.0, 30.0, "a", -3600.0),
        (180.0, 180.0, "a", 0.0),  # a suspended machine: time that was lived through
        (30.3, 30.0, "a", 0.0),
        (3630.0, None, "a", None),
        (3630.0, 30.0, "b", None),  # another boot counts anew
        (3630.0, -5.0, "a", None),
    ],
)
def test_a_step_is_what_the_wall_clock_moved_beyond_what_was_lived(
    wall: float, seconds: float | None, boot: str, step: float | None
) -> None:
    history = History(at=1e9, lived=500.0, boot="a")
    assert step_of(history, 1e9 + wall, None if seconds is None else 500.0 + seconds, boot) == step


def test_what_was_lived_through_comes_back_from_a_recording_and_an_old_one_tells_none() -> None:
    at = datetime(2025, 11, 5, tzinfo=UTC)
    told = [Observation(at, {}, lived=12.5, boot="a"), Observation(at, {})]
    recorder = Recorder()
    assert list(replay(recorder.frame(one, whole=True) for one in told)) == told


async def test_probes_are_told_by_how_much_the_databases_clock_is_ahead_also_right_after_a_step() -> None:
    asked: list[Request] = []

    class Seen:
        name = "epochs"

        async def measure(self, request: Request) -> Measured:
            asked.append(request)
            return Measured(())

        async def close(self) -> None:
            pass

    now, seconds = clocks.both_clocks()
    assert seconds is not None
    # As the last cycle had it, a moment ago: the wall clock was an hour behind what it is now.
    history = History(at=now.timestamp() - 3600, lived=seconds, boot=clocks.BOOT, ahead=90.0)
    observation = await observe([Seen()], CycleRequest(), 5.0, history=history)
    assert asked[0].database_ahead == pytest.approx(90.0 - 3600.0, abs=1.0)
    assert observation.lived is not None
    assert observation.boot == clocks.BOOT


async def test_a_probe_is_told_what_of_the_past_nobody_has_read() -> None:
    asked: list[Request] = []

    class Seen:
        name = "pipeline"

        async def measure(self, request: Request) -> Measured:
            asked.append(request)
            return Measured(())

        async def close(self) -> None:
            pass

    missed = replace(NOTHING_KEPT, missed={"MILO": (3600, 7200), "CLS": (7200,)})
    await observe([Seen()], CycleRequest(), 5.0, history=History(pipeline=missed))
    assert asked[0].lacking == {"3600", "7200"}
