"""The replayable form of history: observations as frames of what changed, and frames back into observations.

A whole frame stands by itself; the others say only what differs from the reading of the same probe before. Folding
the observations that come back gives the same judgement as folding those that went in.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from monitord.core.codec import decode, encode
from monitord.core.model import (
    Answered,
    Command,
    Failure,
    Observation,
    OperatorAction,
    ProcessExit,
    Reading,
    Sample,
    Unmeasured,
    Value,
)

Frame = dict[str, object]


@dataclass(slots=True)
class _Known:
    samples: dict[str, Value] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    as_read: tuple[Sample, ...] = ()  # the last samples as they were read; none where two have one key
    keys: tuple[str, ...] = ()  # of those, one by one

    def changes(self, samples: tuple[Sample, ...]) -> dict[str, Value] | None:
        """What has changed where the same samples come in the same order, as they nearly always do; None where not."""
        if len(samples) != len(self.as_read):
            return None
        changed: dict[str, Value] = {}
        for key, old, new in zip(self.keys, self.as_read, samples, strict=True):
            if old is new:  # as a probe gives what was told before
                continue
            if old.name != new.name or old.labels != new.labels or old.unit != new.unit:
                return None
            # `is` would miss equal numbers, and True == 1: compare value and type.
            if old.value != new.value or old.value.__class__ is not new.value.__class__:
                changed[key] = new.value
        self.samples |= changed
        self.as_read = samples
        return changed


@lru_cache(maxsize=16_384)
def _key(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    """A sample's name and labels as one text. Most come back in every reading; those of epochs pass."""
    return json.dumps([name, *(part for pair in labels for part in pair)], ensure_ascii=False)


class Recorder:
    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def frame(self, observation: Observation, *, whole: bool) -> Frame:
        """The next frame. A whole one does not rest on any before it."""
        if whole:
            self._known = {}
        readings = {name: self._reading(reading) for name, reading in observation.readings.items()}
        frame: Frame = {"at": observation.now.isoformat(), "readings": readings}
        if whole:
            frame["whole"] = True
        if observation.lived is not None:
            frame["lived"] = observation.lived
        if observation.boot:
            frame["boot"] = observation.boot
        for name in ("exits", "acts", "commands"):
            if heard := getattr(observation, name):
                frame[name] = encode(heard)
        return frame

    def _reading(self, reading: Reading) -> Frame:
        frame: Frame = {"ms": reading.duration_ms}
        if reading.failure is not None:
            return frame | {"failure": encode(reading.failure)}
        known = self._known.setdefault(reading.probe, _Known())
        gone: list[str] = []
        units: dict[str, str] = {}
        if (changed := known.changes(reading.samples)) is None:
            samples = {_key(s.name, s.labels): s.value for s in reading.samples}
            kept = [key for key in known.samples if key in samples]
            if list(samples) != kept + [key for key in samples if key not in known.samples]:
                # One came in between, or they changed places: written anew, since their order is part of the reading.
                frame["anew"] = True
                known.samples = {}
            before = known.samples
            changed = {
                key: value
                for key, value in samples.items()
                if key not in before or before[key] != value or before[key].__class__ is not value.__class__
            }
            gone = [key for key in before if key not in samples]
            units = {s.name: s.unit for s in reading.samples if known.units.get(s.name) != s.unit}
            known.samples = samples
            known.units |= units
            known.as_read = reading.samples if len(samples) == len(reading.samples) else ()
            known.keys = tuple(samples) if known.as_read else ()
        for name, part in (("set", changed), ("gone", gone), ("units", units), ("gaps", encode(reading.gaps))):
            if part:
                frame[name] = part
        if reading.by is not None:
            frame["by"] = encode(reading.by)
        return frame


@dataclass(slots=True)
class _Rebuilt:
    """One probe's samples by key as of the frames so far, and the result as long as nothing changes.

    `before` are those as of the frames before a whole one: a sample that is as it was stays the same object, by which
    whoever has judged it knows it again. `last` is the last reading of just these samples.
    """

    before: Mapping[str, Sample] = field(default_factory=dict)
    last: Reading | None = None
    samples: dict[str, Sample] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    as_read: tuple[Sample, ...] = ()
    gaps: tuple[Unmeasured, ...] = ()
    gaps_written: object = ()

    def update(self, frame: Mapping[str, Any]) -> None:
        """Follow one more frame. KeyError, TypeError or ValueError where it does not fit those before."""
        if (written := frame.get("gaps", ())) != self.gaps_written:
            self.gaps, self.gaps_written = tuple(decode(Unmeasured, gap) for gap in written), written
        if not frame.keys() & _CHANGES:
            return
        if frame.get("anew"):
            self.samples = {}
        for key in frame.get("gone", ()):
            del self.samples[key]
        if units := frame.get("units"):
            # The same number in another unit is another sample.
            renamed = {name for name, unit in units.items() if self.units.get(name, unit) != unit}
            self.units |= units
            for key, s in self.samples.items():
                if s.name in renamed:
                    self.samples[key] = Sample(s.name, s.labels, s.value, self.units[s.name])
        for key, value in frame.get("set", {}).items():
            name, labels = _parsed(key)
            found, known = Sample(name, labels, value, self.units[name]), self.before.get(key)
            if known is not None and known == found and known.value.__class__ is value.__class__:
                found = known
            self.samples[key] = found
        self.as_read = tuple(self.samples.values())
        self.before, self.last = {}, None


_CHANGES = frozenset({"anew", "gone", "units", "set"})


@lru_cache(maxsize=16_384)
def _parsed(key: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Name and labels of a key. Most keys come back in every frame; those of epochs pass."""
    name, *parts = json.loads(key)
    return name, _one(tuple(zip(parts[::2], parts[1::2], strict=True)))


@lru_cache(maxsize=16_384)
def _one(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The same object for equal labels: the samples of one process have one, as its probe gave them."""
    return labels


class Replayer:
    """Turns frames back into observations. It must be fed from a whole frame on, in order."""

    def __init__(self) -> None:
        self._known: dict[str, _Rebuilt] = {}

    def observation(self, frame: Mapping[str, Any]) -> Observation:
        """The observation a frame was made of. KeyError, TypeError or ValueError where it is not such a frame."""
        if frame.get("whole"):
            self._known = {name: _Rebuilt(before=known.samples) for name, known in self._known.items()}
        readings = {name: self._reading(name, part) for name, part in frame["readings"].items()}
        exits = tuple(decode(ProcessExit, part) for part in frame.get("exits", ()))
        commands = tuple(decode(Command, part) for part in frame.get("commands", ()))
        acts = tuple(decode(OperatorAction, part) for part in frame.get("acts", ()))
        lived, boot = frame.get("lived"), frame.get("boot", "")
        return Observation(datetime.fromisoformat(frame["at"]), readings, exits, commands, acts, lived, boot)

    def _reading(self, probe: str, frame: Mapping[str, Any]) -> Reading:
        if "failure" in frame:
            return Reading(probe, failure=decode(Failure, frame["failure"]), duration_ms=frame["ms"])
        known = self._known.setdefault(probe, _Rebuilt())
        known.update(frame)
        by = decode(Answered, frame["by"]) if "by" in frame else None
        reading = Reading(probe, samples=known.as_read, gaps=known.gaps, duration_ms=frame["ms"], by=by)
        if known.last is not None:
            reading.sort_as(known.last)
        known.last = reading
        return reading


def replay(frames: Iterable[Mapping[str, object]]) -> Iterator[Observation]:
    replayer = Replayer()
    for frame in frames:
        yield replayer.observation(frame)
