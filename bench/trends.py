"""How often trends are told of what is healthy, and how soon and how truly of what is not, over made-up courses."""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import courses
from bench.courses import HOUR, SEED, Course
from bench.measure import table
from monitord.core.anomalies import trends
from monitord.core.anomalies.forecasts import WARM_UP, disk_outlook, disk_terms, fast_disk_terms, memory_terms
from monitord.core.anomalies.trend_detection import Terms
from monitord.core.anomalies.trends import Outlook, TrendSeries
from monitord.core.orders import StandingOrders

COURSES_OF_A_KIND = 200
ORDERS = StandingOrders(service_memory=int(courses.MEMORY_LIMIT))
MEMORY, DISK = memory_terms(ORDERS, "any"), disk_terms(ORDERS, "/")
FAST_DISK = fast_disk_terms(ORDERS, "/")

Make = Callable[[random.Random], Course]
HEALTHY: tuple[tuple[Make, Terms], ...] = (
    (courses.flat, MEMORY),
    (courses.warm_up, MEMORY),
    (courses.sawtooth, MEMORY),
    (courses.step, MEMORY),
    (courses.cache, MEMORY),
    (courses.even_cache, MEMORY),
    (courses.rhythm, MEMORY),
    (courses.disk_flat, DISK),
    (courses.disk_rhythm, DISK),
    (courses.disk_step, DISK),
    (courses.burst, DISK),
    (courses.rotation, DISK),
)
GUILTY: tuple[tuple[Make, Terms], ...] = (
    (courses.fast_leak, MEMORY),
    (courses.slow_leak, MEMORY),
    (courses.late_leak, MEMORY),
    (courses.sawtooth_leak, MEMORY),
    (courses.noisy_leak, MEMORY),
    (courses.gappy_leak, MEMORY),
    (courses.fast_filling, DISK),
    (courses.filling, DISK),
    (courses.bursty_filling, DISK),
    (courses.stepwise_filling, DISK),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one course: when its trend was first told (hours; None: never), and what was foretold then.

    `again` is how many more times it was told, having been taken back.
    """

    course: Course
    told: float | None
    outlook: Outlook | None
    again: int

    @property
    def left(self) -> float:
        """Seconds from the first telling to the limit, as they were."""
        assert self.told is not None
        assert self.course.reaches is not None
        return (self.course.reaches - self.told) * HOUR


def judged(make: Make, number: int, terms: Terms) -> Verdict:
    """One course of a kind through the functions that the rules use, until another rule would speak for good."""
    course = make(random.Random(f"{SEED}/{make.__name__}/{number}"))  # noqa: S311 - the same course each time
    readings = course.readings(random.Random(f"{SEED}/{make.__name__}/{number}/noise"))  # noqa: S311 - so too its noise
    warm = WARM_UP * terms.span if terms is MEMORY else 0.0
    series: TrendSeries | None = None
    fast: TrendSeries | None = None
    first: tuple[float, Outlook] | None = None
    telling, times = False, 0
    for at, value in readings:
        if at < warm:
            continue
        if course.until is not None and (at > course.until * HOUR or (terms is MEMORY and value > terms.limit)):
            break
        series = trends.begin(value, at, terms) if series is None else trends.update(series, value, at, terms)
        if terms is DISK and FAST_DISK is not None:
            fast = trends.update(fast, value, at, FAST_DISK) if fast else trends.begin(value, at, FAST_DISK)
            outlook = disk_outlook("/", series, fast, value, at, ORDERS)
        else:
            outlook = trends.outlook(series, at, terms)
        if outlook is not None and not telling:
            times += 1
            first = first or (at / HOUR, outlook)
        telling = outlook is not None
    told, outlook = first if first is not None else (None, None)
    return Verdict(course, told, outlook, max(0, times - 1))


def tables(count: int = COURSES_OF_A_KIND) -> str:
    """Both tables over so many courses of each kind, and what it costs to keep and to judge them."""
    healthy = [(make, [judged(make, number, terms) for number in range(count)]) for make, terms in HEALTHY]
    guilty = [(make, [judged(make, number, terms) for number in range(count)]) for make, terms in GUILTY]
    quiet = table(
        f"Trends told of what is healthy: {courses.HOURS:.0f} h at {courses.EVERY_SECONDS:.0f} s each, seed {SEED}",
        ["kind", "series", "false alarms"],
        [[_name(make), str(count), str(sum(v.told is not None for v in verdicts))] for make, verdicts in healthy],
    )
    heard = table(
        "Trends told of what is not, before it reaches its limit (a disk: before it is 80% full)",
        ["kind", "series", "told", "told after", "left then", "error of that", "in its range", "told again"],
        [[_name(make), str(count), *_heard(verdicts)] for make, verdicts in guilty],
    )
    updating, closing = _cost()
    cost = (
        f"Updating with a reading takes {updating * 1e6:.1f} us; when a bucket closes, {closing * 1e6:.0f} us. "
        "Told after, left and error are medians;\nthe first counts from the start of the rise."
    )
    return f"{quiet}\n\n{heard}\n\n{cost}"


def _heard(verdicts: list[Verdict]) -> list[str]:
    told = [v for v in verdicts if v.told is not None]
    if not told:
        return ["0", "-", "-", "-", "-", "-"]
    after = [v.told - v.course.starts for v in told if v.told is not None]
    errors = [abs(v.outlook.seconds - v.left) / v.left for v in told if v.outlook is not None]
    inside = sum(
        v.outlook is not None
        and v.outlook.soonest <= v.left
        and (v.outlook.latest is None or v.left <= v.outlook.latest)
        for v in told
    )
    return [
        str(len(told)),
        f"{statistics.median(after):.1f} h",
        f"{statistics.median(v.left for v in told) / HOUR:.1f} h",
        f"{statistics.median(errors):.0%}",
        f"{inside / len(told):.0%}",
        f"{sum(v.again for v in told)}",
    ]


def _name(make: Make) -> str:
    return make.__name__.replace("_", " ")


def _cost() -> tuple[float, float]:
    """Seconds that a reading takes within a bucket, and that the one takes which closes it, for a healthy service."""
    chance = random.Random(SEED)  # noqa: S311 - the same each time
    readings = [(number * 30.0, 150e6 * chance.uniform(0.9, 1.1)) for number in range(24 * 120)]
    series = trends.begin(readings[0][1], 0.0, MEMORY)
    within: list[float] = []
    closing: list[float] = []
    for at, value in readings[1:]:
        began = time.perf_counter()
        following = trends.update(series, value, at, MEMORY)
        took = time.perf_counter() - began
        (within if following.troughs is series.troughs else closing).append(took)
        series = following
    return statistics.median(within), statistics.median(closing)
