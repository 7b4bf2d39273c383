"""What a probe is, and the one guard that runs it: deadline, stopwatch and failure kinds are here and nowhere else."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol, runtime_checkable

from monitord.core.model import Answered, Failure, Reading, Sample, Unmeasured, sample
from monitord.failures import FailureError


@dataclass(frozen=True, slots=True)
class Measured:
    """What a probe returns: its samples, what it could not measure though its server answered, and who answered."""

    samples: tuple[Sample, ...]
    gaps: tuple[Unmeasured, ...] = ()
    by: Answered | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """How to take a reading.

    `now` is the cycle's one wall-clock time (Unix seconds), `timeout` the deadline in seconds that the runner enforces
    (hand it down to drivers and servers so that they give up first), `exact` the tables to count exactly.
    `database_ahead` is by how many seconds the database's clock was ahead of `now` when it was last asked.
    `awaited` are the members that are waited for; not `whole`: nothing but these, where a probe takes each by itself.
    `lacking` is what of the past was not read when it fell due and is still wanted, in the subject's own words.
    `once`: no other reading follows, so that what a probe else does in the background is worth its deadline.
    """

    now: float
    timeout: float
    exact: frozenset[str] = frozenset()
    database_ahead: float = 0.0
    awaited: frozenset[str] = frozenset()
    whole: bool = True
    once: bool = False
    lacking: frozenset[str] = frozenset()


class Probe(Protocol):
    """One thing to measure. It neither times nor catches: `take` does."""

    name: str

    async def measure(self, request: Request) -> Measured:
        """Measures once. Raises FailureError, or lets the driver's own error rise where it has none better."""
        ...

    async def close(self) -> None:
        """Let go of connections; may be called at any time, also after a failure."""
        ...


# How long the cheapest question may wait for its answer between readings.
PING_SECONDS: Final = 1.0


@runtime_checkable
class ListeningProbe(Protocol):
    """A probe that keeps a connection between readings, and so learns of its server's end before the next one."""

    name: str

    def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard` on the loop, with a sentence without its full stop, when the other side ends the connection."""
        ...


@runtime_checkable
class PingedProbe(Protocol):
    """A probe that can ask over the connection it keeps whether anybody is still there."""

    name: str

    async def ping(self) -> None:
        """Ask the cheapest question over the kept connection. Nothing where there is none, or a reading is under way.

        What is not answered, or is cancelled, costs the connection, so that the next reading makes a new one.
        """
        ...


@runtime_checkable
class PatientProbe(Protocol):
    """A probe whose parts may take longer than a reading, and are then in a later one."""

    name: str

    @property
    def patience(self) -> float:
        """The deadline (seconds) of a reading that no other follows: by then every part has come to its end."""
        ...


async def answers(probe: PingedProbe) -> bool:
    """Whether the server answers over the kept connection in time, as far as there is one. Raises nothing."""
    try:
        async with asyncio.timeout(PING_SECONDS):
            await probe.ping()
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        return False
    except Exception:  # noqa: BLE001 - what is wrong the reading finds out that follows
        return False
    return True


def server_clock(clock: float, began: float, asked: float, answered: float) -> Sample:
    """What a server's clock showed when a reading began, by what it answered (Unix seconds) in the middle of a query.

    The other times are the loop's. It is wrong by half of the way there and back at most.
    """
    return sample("server_clock", round(clock - ((asked + answered) / 2 - began), 3), "timestamp")


async def take(probe: Probe, request: Request) -> Reading:
    """One turn of one probe, as a Reading: never raises but for cancellation."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    if request.once and isinstance(probe, PatientProbe):
        request = replace(request, timeout=max(request.timeout, probe.patience))

    def reading(measured: Measured | None, failure: Failure | None) -> Reading:
        took = (loop.time() - began) * 1000.0
        if measured is None:
            return Reading(probe.name, failure=failure, duration_ms=round(took, 3))
        return Reading(probe.name, measured.samples, None, measured.gaps, round(took, 3), measured.by)

    try:
        async with asyncio.timeout(request.timeout):
            return reading(_finite(await probe.measure(request), probe.name), None)
    except FailureError as error:
        return reading(None, Failure(error.kind, error.error, error.full))
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        return reading(None, Failure("internal", f"the {probe.name} probe was cancelled by its own driver"))
    except TimeoutError:
        return reading(None, Failure("timeout", f"no answer within {request.timeout:g} s"))
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a bug in a probe, or its sys.exit(), must cost that probe, not monitord
        # The type only: the text of an unforeseen error may carry a DSN.
        return reading(None, Failure("internal", f"the {probe.name} probe failed inside: {type(error).__name__}"))


def _finite(measured: Measured, probe: str) -> Measured:
    """The same, without numbers that are none (NaN) or have no end: JSON has neither, and no limit judges them.

    Parsers refuse such a number of their own source; this is for what has no parser of monitord's.
    """
    odd = {one for one in measured.samples if type(one.value) is float and not math.isfinite(one.value)}
    if not odd:
        return measured
    gaps = (
        Unmeasured(next((value for _, value in one.labels), probe), "protocol", f"{one.name} is no number", alone=True)
        for one in sorted(odd, key=lambda one: (one.name, one.labels))
    )
    samples = tuple(replace(one, value=None) if one in odd else one for one in measured.samples)
    return replace(measured, samples=samples, gaps=(*measured.gaps, *gaps))


async def take_all(probes: Iterable[Probe], requests: Mapping[str, Request]) -> dict[str, Reading]:
    """Every probe named in `requests`, at once; each has its own deadline: together they take the longest of them."""
    chosen = [probe for probe in probes if probe.name in requests]
    readings = await asyncio.gather(*(take(probe, requests[probe.name]) for probe in chosen))
    return {reading.probe: reading for reading in readings}
