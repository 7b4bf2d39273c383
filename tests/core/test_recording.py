"""Observations as frames of what changed, and back."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from monitord.core.model import Failure, Observation, ProcessExit, Reading, Sample, Unmeasured, sample
from monitord.core.recording import Recorder, Replayer, replay

NOW = datetime(2025, 11, 5, 3, 57, 0, 250000, tzinfo=UTC)


def seen(*samples: Sample, probe: str = "redis", gaps: tuple[Unmeasured, ...] = ()) -> Observation:
    return Observation(NOW, {probe: Reading(probe, samples, gaps=gaps, duration_ms=1.25)})


KEYS, MEMORY, WAITING = (
    sample("redis_keys", 125),
    sample("redis_memory", 3e6, "bytes"),
    sample("queue_waiting", 3, queue="q"),
)


def frames(*observations: Observation) -> list[dict[str, Any]]:
    """As they come back from text, the first of them whole."""
    recorder = Recorder()
    made = [recorder.frame(observation, whole=number == 0) for number, observation in enumerate(observations)]
    back: list[dict[str, Any]] = json.loads(json.dumps(made))
    return back


@pytest.mark.parametrize(
    "observations",
    [
        (seen(),),
        (seen(KEYS, MEMORY), seen(KEYS, MEMORY)),
        (seen(KEYS, MEMORY), seen(KEYS)),
        (seen(KEYS), seen(KEYS, MEMORY)),
        (seen(KEYS), seen(MEMORY, KEYS)),
        (seen(KEYS, MEMORY, WAITING), seen(WAITING, KEYS, MEMORY), seen(KEYS, MEMORY)),
        (seen(KEYS, MEMORY), seen(KEYS, WAITING, MEMORY), seen(WAITING)),
        (
            seen(sample("x", 1)),
            seen(sample("x", 1.0)),
            seen(sample("x", "1")),
            seen(sample("x", None)),
            seen(sample("x", 0)),
        ),
        (seen(sample("x", 1, "1")), seen(sample("x", 1, "ms"))),
        (seen(WAITING, sample("queue_waiting", 4, queue='ü\n"q')),),
        (seen(KEYS, gaps=(Unmeasured("q", "protocol", "a string"),)), seen(KEYS)),
        (
            seen(KEYS),
            Observation(NOW, {"redis": Reading("redis", failure=Failure("refused", "nobody"), duration_ms=0.5)}),
            seen(KEYS, MEMORY),
        ),
        (seen(KEYS), seen(sample("load1", 0.5), probe="host"), seen(KEYS), Observation(NOW, {})),
    ],
)
def test_what_was_observed_comes_back_exactly(observations: tuple[Observation, ...]) -> None:
    back = list(replay(frames(*observations)))
    assert back == list(observations)
    for was, now in zip(observations, back, strict=True):
        for name, reading in was.readings.items():
            assert [type(s.value) for s in now.readings[name].samples] == [type(s.value) for s in reading.samples]


def test_a_frame_says_only_what_changed() -> None:
    _, second, third = frames(seen(KEYS, MEMORY), seen(KEYS, MEMORY), seen(sample("redis_keys", 126), MEMORY))
    assert second["readings"]["redis"] == {"ms": 1.25}
    assert third["readings"]["redis"]["set"] == {'["redis_keys"]': 126}


def test_a_whole_frame_stands_by_itself_even_when_it_holds_one_probe_only() -> None:
    recorder = Recorder()
    recorder.frame(seen(KEYS), whole=True)
    host = seen(sample("load1", 0.5), probe="host")
    begin = recorder.frame(host, whole=True)
    then = recorder.frame(seen(KEYS), whole=False)
    assert list(replay([begin, then])) == [host, seen(KEYS)]


KILLED = ProcessExit("worker", "3", 1762315020.5, code=0, signal="SIGKILL", restarts=567)
EATEN = ProcessExit("gateway", "0", 1762315021.0, code=0, memory=True, restarts=0)
SENT_HOME = ProcessExit("gateway", "0", 1762315022.0, manually=True)


def test_exits_come_back_exactly_and_with_the_observation_they_came_with() -> None:
    observations = [
        replace(seen(KEYS), exits=(KILLED, EATEN)),
        seen(KEYS),
        Observation(NOW, {}, (SENT_HOME, KILLED)),
    ]
    assert list(replay(frames(*observations))) == observations


def test_a_frame_without_exits_has_no_word_of_them() -> None:
    (frame,) = frames(seen(KEYS))
    assert "exits" not in frame


def test_a_frame_from_before_exits_were_recorded_has_none() -> None:
    frame = {"at": NOW.isoformat(), "readings": {"redis": {"ms": 1.25}}, "whole": True}
    assert Replayer().observation(frame) == seen()


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"at": NOW.isoformat(), "readings": {}, "exits": 1},
        {"at": NOW.isoformat(), "readings": {}, "exits": ["worker"]},
        {"at": NOW.isoformat(), "readings": {}, "exits": [{"service": "worker"}]},
        {"at": "then", "readings": {}},
        {"at": NOW.isoformat(), "readings": {"redis": {}}},
        {"at": NOW.isoformat(), "readings": {"redis": {"ms": 1, "gone": ["never there"]}}},
        {"at": NOW.isoformat(), "readings": {"redis": {"ms": 1, "set": {'["x"]': 1}}}},
    ],
)
def test_what_is_no_frame_or_rests_on_one_that_is_not_there_is_an_error(frame: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Replayer().observation(frame)


def test_what_a_whole_frame_repeats_is_the_same_sample_as_before_and_what_only_equals_it_is_not() -> None:
    observed = [seen(KEYS, sample("x", 1)), seen(KEYS, sample("x", 1.0))]
    recorder = Recorder()
    back = list(replay([json.loads(json.dumps(recorder.frame(one, whole=True))) for one in observed]))
    (first, counted), (again, measured) = (one.readings["redis"].samples for one in back)
    assert again is first
    assert (counted.value.__class__, measured.value.__class__) == (int, float)
    assert back == observed
