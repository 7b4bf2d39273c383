"""Made-up profiles of memory and of disks, healthy and not: what the trends must ignore, and what they must report.

Drawn from a fixed seed, one generator for each course of each kind: the same number gives the same course each time.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SEED = 20251105
HOUR = 3600.0
MB = 1e6
MEMORY_LIMIT = 500 * MB
EVERY_SECONDS = 90.0
HOURS = 48.0

Level = Callable[[float], float]
"""A level at a time in hours, without its noise."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One course over 48 h: its level (bytes or percent) and its noise.

    `noise` is the standard deviation of each reading by itself, `drift` that of what remembers itself for `memory`
    hours. `reaches` is when it reaches its limit (hours; None: never), `until` when another rule will fire for good.
    `starts` is when the rise begins, `blind` are spells without readings (hours).
    """

    level: Level
    noise: float
    drift: float
    memory: float
    reaches: float | None = None
    until: float | None = None
    starts: float = 0.0
    blind: tuple[tuple[float, float], ...] = ()

    def readings(self, chance: random.Random) -> Iterator[tuple[float, float]]:
        """(Unix seconds, value), every EVERY_SECONDS."""
        kept = math.exp(-EVERY_SECONDS / HOUR / self.memory)
        fresh, drift = math.sqrt(1 - kept * kept), chance.gauss(0, self.drift)
        for number in range(int(HOURS * HOUR / EVERY_SECONDS)):
            hour = number * EVERY_SECONDS / HOUR
            drift = kept * drift + fresh * chance.gauss(0, self.drift)
            if not self.blind or not any(start <= hour < end for start, end in self.blind):
                yield number * EVERY_SECONDS, self.level(hour) + drift + chance.gauss(0, self.noise)


def _service(
    chance: random.Random,
    base: float,
    extra: Level,
    *,
    reaches: float | None = None,
    starts: float = 0.0,
    rough: float = 1.0,
    blind: tuple[tuple[float, float], ...] = (),
) -> Profile:
    """A service around its base, with the noise of one: up to 2% from reading to reading, up to 2% that wanders."""
    return Profile(
        lambda hour: base + extra(hour),
        noise=base * chance.uniform(0.002, 0.02) * rough,
        drift=base * chance.uniform(0.0, 0.02) * rough,
        memory=chance.uniform(0.1, 2.0),
        reaches=reaches,
        until=reaches,
        starts=starts,
        blind=blind,
    )


def _disk(
    chance: random.Random, base: float, extra: Level, *, reaches: float | None = None, until: float | None = None
) -> Profile:
    return Profile(
        lambda hour: base + extra(hour),
        noise=chance.uniform(0.0, 0.1),
        drift=chance.uniform(0.0, 0.4),
        memory=chance.uniform(0.1, 3.0),
        reaches=reaches,
        until=until,
    )


def _base(chance: random.Random, most: float = 250) -> float:
    return chance.uniform(60, most) * MB


def _tooth(chance: random.Random, height: float, period: float) -> Level:
    phase = chance.random()
    return lambda hour: height * ((hour / period + phase) % 1.0)


def _period(chance: random.Random, least: float, most: float) -> float:
    """Hours, as many short ones as long ones."""
    return math.exp(chance.uniform(math.log(least), math.log(most)))


# Healthy memory


def flat(chance: random.Random) -> Profile:
    """Noise about a level, up to 90% of the limit."""
    return _service(chance, _base(chance, 450), lambda _: 0.0)


def warm_up(chance: random.Random) -> Profile:
    """A new process that grows into its level, with a time constant of 5 to 90 minutes."""
    base, constant, share = _base(chance), chance.uniform(1 / 12, 1.5), chance.uniform(0.3, 0.7)
    return _service(chance, base, lambda hour: -base * share * math.exp(-hour / constant))


def sawtooth(chance: random.Random) -> Profile:
    """Teeth of 10 to 150 MB, between 2 minutes and 6 hours long."""
    tooth = _tooth(chance, chance.uniform(10, 150) * MB, _period(chance, 1 / 30, 6))
    return _service(chance, _base(chance), tooth)


def step(chance: random.Random) -> Profile:
    """Up to three steps of 10 to 100 MB, each at once or within a quarter of an hour."""
    return _service(chance, _base(chance), _steps(chance, 10 * MB, 100 * MB))


def _steps(chance: random.Random, least: float, most: float) -> Level:
    steps = [
        (chance.uniform(1, 40), chance.uniform(0.001, 0.25), chance.uniform(least, most))
        for _ in range(chance.randint(1, 3))
    ]
    return lambda hour: sum(by * min(1.0, max(0.0, (hour - at) / takes)) for at, takes, by in steps)


def cache(chance: random.Random) -> Profile:
    """A cache that fills, ever slower, and stays: 20 to 200 MB, with a time constant of half an hour to 6 hours."""
    at, size, constant = chance.uniform(0, 12), chance.uniform(20, 200) * MB, chance.uniform(0.5, 6)
    return _service(chance, _base(chance), lambda hour: size * -math.expm1(-max(0.0, hour - at) / constant))


def even_cache(chance: random.Random) -> Profile:
    """A cache that fills evenly up to its bound and stays: 20 to 120 MB in half an hour to 8 hours."""
    at, size, takes = chance.uniform(0, 12), chance.uniform(20, 120) * MB, chance.uniform(0.5, 8)
    return _service(chance, _base(chance), lambda hour: size * min(1.0, max(0.0, hour - at) / takes))


def rhythm(chance: random.Random) -> Profile:
    """A day's rhythm: up and down by 10 to 60% of the level."""
    base = _base(chance)
    return _service(chance, base, _day(chance, base * chance.uniform(0.1, 0.6)))


def _day(chance: random.Random, height: float) -> Level:
    phase = chance.uniform(0, 24)
    return lambda hour: height / 2 * (1 - math.cos((hour + phase) * math.pi / 12))


# Healthy disks


def disk_flat(chance: random.Random) -> Profile:
    """A disk between 10% and 79%, that wanders by a fraction of a point."""
    return _disk(chance, chance.uniform(10, 79), lambda _: 0.0)


def disk_rhythm(chance: random.Random) -> Profile:
    """A day's rhythm of 1 to 8 points."""
    return _disk(chance, chance.uniform(10, 70), _day(chance, chance.uniform(1, 8)))


def disk_step(chance: random.Random) -> Profile:
    """Up to three steps of 1 to 6 points: an image pulled, a dump kept."""
    return _disk(chance, chance.uniform(10, 60), _steps(chance, 1, 6))


def burst(chance: random.Random) -> Profile:
    """A nightly backup of 3 to 18 points, written within 5 minutes to 3 hours, gone after up to 3 more."""
    return _disk(chance, chance.uniform(10, 60), _bursts(chance))


def _bursts(chance: random.Random) -> Level:
    at, height = chance.uniform(0, 24), chance.uniform(3, 18)
    takes, stays = chance.uniform(1 / 12, 3), chance.uniform(0.1, 3)

    def level(hour: float) -> float:
        since = (hour - at) % 24
        return height * min(1.0, since / takes) if since < takes + stays else 0.0

    return level


def rotation(chance: random.Random) -> Profile:
    """Logs of 1 to 12 points, rotated away every 4 to 24 hours."""
    tooth = _tooth(chance, chance.uniform(1, 12), chance.choice([4.0, 6.0, 12.0, 24.0]))
    return _disk(chance, chance.uniform(10, 65), tooth)


# Leaks


def fast_leak(chance: random.Random) -> Profile:
    """At its limit in 5 to 12 hours."""
    return _leak(chance, chance.uniform(5, 12))


def slow_leak(chance: random.Random) -> Profile:
    """At its limit in 12 to 44 hours."""
    return _leak(chance, chance.uniform(12, 44))


def _leak(
    chance: random.Random,
    takes: float,
    *,
    start: float = 0.0,
    height: float = 0.0,
    period: float = 1.0,
    rough: float = 1.0,
    blind: tuple[tuple[float, float], ...] = (),
) -> Profile:
    base = _base(chance)
    rate, tooth = (MEMORY_LIMIT - base - height) / takes, _tooth(chance, height, period)
    return _service(
        chance,
        base,
        lambda hour: rate * max(0.0, hour - start) + tooth(hour),
        reaches=start + takes,
        starts=start,
        rough=rough,
        blind=blind,
    )


def late_leak(chance: random.Random) -> Profile:
    """Well for 6 to 24 hours, then at its limit in 6 to 20."""
    return _leak(chance, chance.uniform(6, 20), start=chance.uniform(6, 24))


def sawtooth_leak(chance: random.Random) -> Profile:
    """Under teeth of 10 to 100 MB that are between 2 minutes and 2 hours long; at its limit in 8 to 40 hours."""
    height, period = chance.uniform(10, 100) * MB, _period(chance, 1 / 30, 2)
    return _leak(chance, chance.uniform(8, 40), height=height, period=period)


def noisy_leak(chance: random.Random) -> Profile:
    """Four times the noise; at its limit in 8 to 40 hours."""
    return _leak(chance, chance.uniform(8, 40), rough=4.0)


def gappy_leak(chance: random.Random) -> Profile:
    """There are no readings for two to five spells of half an hour to 4 hours; at its limit in 10 to 40 hours."""
    starts = [chance.uniform(0, 36) for _ in range(chance.randint(2, 5))]
    return _leak(
        chance, chance.uniform(10, 40), blind=tuple((start, start + chance.uniform(0.5, 4)) for start in starts)
    )


# Disks that fill


def filling(chance: random.Random) -> Profile:
    """From 20 to 50%, full in 16 to 44 hours."""
    return _filling(chance)


def fast_filling(chance: random.Random) -> Profile:
    """From 20 to 50%, full in 2 to 14 hours."""
    return _filling(chance, takes=chance.uniform(2, 14))


def _filling(
    chance: random.Random, extra: Level = lambda _: 0.0, portion: float = 0.0, takes: float | None = None
) -> Profile:
    base, takes = chance.uniform(20, 50), chance.uniform(16, 44) if takes is None else takes
    rate = (100 - base) / takes

    def level(hour: float) -> float:
        written = portion * math.floor(hour / portion) if portion else hour
        return rate * written + extra(hour)

    return _disk(chance, base, level, reaches=takes, until=(80 - base) / rate)


def bursty_filling(chance: random.Random) -> Profile:
    """The same, with a nightly burst on top of it (full is when it would be without)."""
    return _filling(chance, _bursts(chance))


def stepwise_filling(chance: random.Random) -> Profile:
    """The same, in portions: one every half hour to 2 hours."""
    return _filling(chance, portion=chance.uniform(0.5, 2))
