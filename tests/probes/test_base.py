"""The runner keeps deadlines, names failures, and lets a bug cost the probe it is in and no other."""

import asyncio

import pytest

from monitord.core.model import Failure, Reading, Unmeasured, sample
from monitord.failures import FailureError
from monitord.probes.base import Measured, Probe, Request, take, take_all

SECRET = "postgres://gateway:hunter2@db/milo"


class Answers:
    """A probe that says what it was told to."""

    def __init__(self, name: str, answer: Measured | BaseException) -> None:
        self.name = name
        self.answer = answer
        self.requests: list[Request] = []

    async def measure(self, request: Request) -> Measured:
        self.requests.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        pass


class Hangs:
    """A probe that never answers, and says how it was left."""

    name = "hangs"

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = False

    async def measure(self, request: Request) -> Measured:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        raise AssertionError

    async def close(self) -> None:
        pass


def request(timeout: float = 10.0, exact: frozenset[str] = frozenset()) -> Request:
    return Request(now=1_762_308_000.0, timeout=timeout, exact=exact)


async def test_a_reading_carries_samples_gaps_and_how_long_it_took() -> None:
    measured = Measured((sample("redis_keys", 125),), (Unmeasured("q", "protocol", "wrong type"),))
    reading = await take(Answers("redis", measured), request())
    assert (reading.probe, reading.samples, reading.gaps, reading.failure) == (
        "redis",
        measured.samples,
        measured.gaps,
        None,
    )
    assert reading.duration_ms >= 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
async def test_what_is_no_number_is_refused_and_said_so(value: float) -> None:
    samples = (sample("lag", value, "seconds", queue="emails"), sample("keys", 125), sample("load", value))
    reading = await take(Answers("redis", Measured(samples)), request())
    assert [one.value for one in reading.samples] == [None, 125, None]
    assert reading.gaps == (
        Unmeasured("emails", "protocol", "lag is no number", alone=True),
        Unmeasured("redis", "protocol", "load is no number", alone=True),
    )


async def test_a_probe_is_handed_the_request_as_it_is() -> None:
    probe = Answers("postgres", Measured(()))
    asked = request(3.0, frozenset({"user_signals"}))
    await take(probe, asked)
    assert probe.requests == [asked]


@pytest.mark.parametrize(
    "kind", ["refused", "timeout", "auth", "tls", "dns", "protocol", "permission", "missing", "internal"]
)
async def test_a_failure_keeps_the_kind_and_the_sentence_the_probe_gave_it(kind: str) -> None:
    reading = await take(Answers("redis", FailureError(kind, "a sentence")), request())  # type: ignore[arg-type]
    assert reading.failure == Failure(kind, "a sentence")  # type: ignore[arg-type]
    assert reading.samples == ()


async def test_a_probe_past_its_deadline_is_cancelled_and_its_reading_says_timeout() -> None:
    probe = Hangs()
    reading = await take(probe, request(timeout=0.05))
    assert reading.failure == Failure("timeout", "no answer within 0.05 s")
    assert probe.cancelled


async def test_a_drivers_own_timeout_is_a_timeout() -> None:
    reading = await take(Answers("postgres", TimeoutError()), request())
    assert reading.failure is not None
    assert reading.failure.kind == "timeout"


async def test_a_bug_in_a_probe_is_internal_and_the_errors_text_is_kept_back() -> None:
    reading = await take(Answers("postgres", RuntimeError(f"cannot use {SECRET}")), request())
    assert reading.failure == Failure("internal", "the postgres probe failed inside: RuntimeError")
    assert "hunter2" not in repr(reading)


async def test_a_bug_costs_its_own_probe_only() -> None:
    probes: list[Probe] = [
        Answers("redis", ZeroDivisionError()),
        Answers("host", Measured((sample("load1", 0.5),))),
        Answers("pm2", FailureError("missing", "PM2 is not running")),
    ]
    readings = await take_all(probes, {name: request() for name in ("redis", "host", "pm2")})
    assert {name: reading.failure and reading.failure.kind for name, reading in readings.items()} == {
        "redis": "internal",
        "host": None,
        "pm2": "missing",
    }
    assert readings["host"].number("load1") == 0.5


async def test_probes_are_asked_at_once_and_none_waits_for_another() -> None:
    meeting = asyncio.Barrier(3)

    class Meets:
        def __init__(self, name: str) -> None:
            self.name = name

        async def measure(self, request: Request) -> Measured:
            await meeting.wait()  # passed only when all three are here
            return Measured(())

        async def close(self) -> None:
            pass

    names = ("a", "b", "c")
    readings = await take_all([Meets(name) for name in names], {name: request() for name in names})
    assert readings == {name: Reading(name, duration_ms=readings[name].duration_ms) for name in names}


async def test_each_probe_has_its_own_deadline() -> None:
    hangs = Hangs()
    slow = Answers("host", Measured((sample("load1", 1.0),)))
    readings = await take_all([hangs, slow], {"hangs": request(timeout=0.05), "host": request()})
    assert readings["hangs"].failure is not None
    assert readings["host"].failure is None


async def test_only_the_probes_that_were_asked_for_are_taken() -> None:
    asked, left_out = Answers("redis", Measured(())), Answers("host", Measured(()))
    readings = await take_all([asked, left_out], {"redis": request(), "unheard-of": request()})
    assert list(readings) == ["redis"]
    assert left_out.requests == []


async def test_cancelling_a_turn_cancels_the_probe_and_makes_no_reading() -> None:
    probe = Hangs()
    turn = asyncio.ensure_future(take(probe, request()))
    await probe.entered.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert probe.cancelled
