"""What each probe costs this process to read once, 200 checks of one's own among them, and what rolling up costs."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bench.figures import Figure, of
from bench.nights import night
from monitord.config.loader import load, standing_orders
from monitord.core.engine import State, decide
from monitord.core.folding import context_of, is_whole
from monitord.core.rollups import RunningHour
from monitord.core.subjects.registry import title_of
from monitord.demo.stack import Stack
from monitord.probes import Probes
from monitord.probes.base import Request, take

CHECKS: Final = 200
EVERY_SECONDS: Final = 10.0
_FIRST: Final = 6  # read what is read once
_DEADLINE: Final = 60.0
# So many cycles of so many services are rolled up.
_ROLLED: Final = {7: 480, 1000: 48}


@dataclass(slots=True)
class Readings:
    """CPU seconds of each reading by probe, and a cycle of rolling up, by how many services there are."""

    probes: dict[str, list[float]] = field(default_factory=dict)
    rolled: dict[int, float] = field(default_factory=dict)


async def measure(readings: int, say: Callable[[str], None]) -> Readings:
    """So many readings of each probe of the demonstration's stack, one after the other, 10 s apart by their clock."""
    found = Readings()
    async with Stack(epoch_seconds=3600, progress=say) as stack:
        say(f"{readings} readings of each probe")
        checks = {
            f"check-{number}": {"type": "http", "url": f"http://127.0.0.1:{stack.port}/"}
            if number % 2
            else {"type": "tcp", "address": f"127.0.0.1:{stack.port}"}
            for number in range(CHECKS)
        }
        more = {"HOME": str(stack.sandbox.directory), "MONITORD_CHECKS": json.dumps(checks)}
        settings = load(stack.environment() | more, stack.sandbox.directory)
        probes = Probes(settings, standing_orders(settings), frozenset)
        try:
            for probe in probes.all:
                now = time.time()
                for number in range(_FIRST + readings):
                    began = time.process_time()
                    reading = await take(
                        probe, Request(now + number * EVERY_SECONDS, _DEADLINE, awaited=frozenset({probe.name}))
                    )
                    spent = time.process_time() - began
                    if reading.failure is not None:
                        raise RuntimeError(f"{probe.name} could not be read: {reading.failure.error}")
                    if number >= _FIRST:
                        found.probes.setdefault(probe.name, []).append(spent)
        finally:
            await probes.close()
    for services, cycles in _ROLLED.items():
        say(f"{cycles} cycles of {services:,} services rolled up")
        found.rolled[services] = _rolled(services, cycles)
    return found


def _rolled(services: int, cycles: int) -> float:
    observations, orders = night(services, cycles)
    state, hour, spent = State(), RunningHour(), 0.0
    for observation in observations:
        decision = decide(state, observation, orders)
        context = context_of(decision, state)
        began = time.process_time()
        hour.saw(context, observation.now.timestamp(), whole=is_whole(observation))
        spent += time.process_time() - began
        state = decision.state
    return spent / cycles


def figures(found: Readings) -> list[Figure]:
    """The rows of the table of the whole."""
    made = []
    for name, spent in found.probes.items():
        title = f"{CHECKS} checks of one's own" if name == "checks" else title_of(name)
        how = f"process CPU of {len(spent)} readings {EVERY_SECONDS:.0f} s apart by their clock, median; the mean is "
        how += f"{statistics.mean(spent) * 1000:.2f} ms"
        if name == "checks":
            how += "; half of them HTTP, half TCP, all due"
        made.append(of(f"reading_{name}", f"a reading: {title}", [one * 1000 for one in spent], "ms", how=how))
    made += [
        Figure(
            f"rolled_{services}",
            f"rolling up a cycle, {services:,} apps",
            seconds * 1000,
            "ms",
            how=f"{_ROLLED[services]} cycles of a healthy night, process CPU",
        )
        for services, seconds in found.rolled.items()
    ]
    return made
