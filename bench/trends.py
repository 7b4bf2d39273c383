"""How often trends are reported of what is healthy, how soon and how truly of what is not, over made-up profiles."""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import profiles
from bench.measure import table
from bench.profiles import HOUR, SEED, Profile
from monitord.core.anomalies import trends
from monitord.core.anomalies.forecasts import WARM_UP, disk_outlook, disk_terms, fast_disk_terms, memory_terms
from monitord.core.anomalies.trend_detection import Terms
from monitord.core.anomalies.trends import Outlook, TrendSeries
from monitord.core.orders import StandingOrders

COURSES_OF_A_KIND = 200
ORDERS = StandingOrders(service_memory=int(profiles.MEMORY_LIMIT))
MEMORY, DISK = memory_terms(ORDERS, "any"), disk_terms(ORDERS, "/")
FAST_DISK = fast_disk_terms(ORDERS, "/")

Make = Callable[[random.Random], Profile]
HEALTHY: tuple[tuple[Make, Terms], ...] = (
    (profiles.flat, MEMORY),
    (profiles.warm_up, MEMORY),
    (profiles.sawtooth, MEMORY),
    (profiles.step, MEMORY),
    (profiles.cache, MEMORY),
    (profiles.even_cache, MEMORY),
    (profiles.rhythm, MEMORY),
    (profiles.disk_flat, DISK),
    (profiles.disk_rhythm, DISK),
    (profiles.disk_step, DISK),
    (profiles.burst, DISK),
    (profiles.rotation, DISK),
)
GUILTY: tuple[tuple[Make, Terms], ...] = (
    (profiles.fast_leak, MEMORY),
    (profiles.slow_leak, MEMORY),
    (profiles.late_leak, MEMORY),
    (profiles.sawtooth_leak, MEMORY),
    (profiles.noisy_leak, MEMORY),
    (profiles.gappy_leak, MEMORY),
    (profiles.fast_filling, DISK),
    (profiles.filling, DISK),
    (profiles.bursty_filling, DISK),
    (profiles.stepwise_filling, DISK),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one profile: when its trend was first reported (hours; None: never), and what was forecast then.

    `again` is how many more times it was reported, having been taken back.
    """

    profile: Profile
    reported: float | None
    outlook: Outlook | None
    again: int

    @property
    def left(self) -> float:
        """Seconds from the first report to the limit, as they were."""
        assert self.reported is not None
        assert self.profile.reaches is not None
        return (self.profile.reaches - self.reported) * HOUR


def judged(make: Make, number: int, terms: Terms) -> Verdict:
    """One profile of a kind through the functions that the rules use, until another rule would fire for good."""
    profile = make(random.Random(f"{SEED}/{make.__name__}/{number}"))  # noqa: S311 - the same course each time
    readings = profile.readings(random.Random(f"{SEED}/{make.__name__}/{number}/noise"))  # noqa: S311 - so too its noise
    warm = WARM_UP * terms.span if terms is MEMORY else 0.0
    series: TrendSeries | None = None
    fast: TrendSeries | None = None
    first: tuple[float, Outlook] | None = None
    first_report, times = False, 0
    for at, value in readings:
        if at < warm:
            continue
        if profile.until is not None and (at > profile.until * HOUR or (terms is MEMORY and value > terms.limit)):
            break
        series = trends.begin(value, at, terms) if series is None else trends.update(series, value, at, terms)
        if terms is DISK and FAST_DISK is not None:
            fast = trends.update(fast, value, at, FAST_DISK) if fast else trends.begin(value, at, FAST_DISK)
            outlook = disk_outlook("/", series, fast, value, at, ORDERS)
        else:
            outlook = trends.outlook(series, at, terms)
        if outlook is not None and not first_report:
            times += 1
            first = first or (at / HOUR, outlook)
        first_report = outlook is not None
    reported, outlook = first if first is not None else (None, None)
    return Verdict(profile, reported, outlook, max(0, times - 1))


def tables(count: int = COURSES_OF_A_KIND) -> str:
    """Both tables over so many courses of each kind, and what it costs to keep and to judge them."""
    healthy = [(make, [judged(make, number, terms) for number in range(count)]) for make, terms in HEALTHY]
    guilty = [(make, [judged(make, number, terms) for number in range(count)]) for make, terms in GUILTY]
    quiet = table(
        f"Trends of what is healthy: {profiles.HOURS:.0f} h at {profiles.EVERY_SECONDS:.0f} s each, seed {SEED}",
        ["kind", "series", "false alarms"],
        [[_name(make), str(count), str(sum(v.reported is not None for v in verdicts))] for make, verdicts in healthy],
    )
    leaks = table(
        "Trends reported of what is not, before it reaches its limit (a disk: before it is 80% full)",
        [
            "kind",
            "series",
            "reported",
            "reported after",
            "left then",
            "error of that",
            "in its range",
            "reported again",
        ],
        [[_name(make), str(count), *_leaks_table(verdicts)] for make, verdicts in guilty],
    )
    updating, closing = _cost()
    cost = (
        f"Updating with a reading takes {updating * 1e6:.1f} us; when a bucket closes, {closing * 1e6:.0f} us. "
        "Reported after, left and error are medians;\nthe first counts from the start of the rise."
    )
    return f"{quiet}\n\n{leaks}\n\n{cost}"


def _leaks_table(verdicts: list[Verdict]) -> list[str]:
    reported = [v for v in verdicts if v.reported is not None]
    if not reported:
        return ["0", "-", "-", "-", "-", "-"]
    after = [v.reported - v.profile.starts for v in reported if v.reported is not None]
    errors = [abs(v.outlook.seconds - v.left) / v.left for v in reported if v.outlook is not None]
    inside = sum(
        v.outlook is not None
        and v.outlook.soonest <= v.left
        and (v.outlook.latest is None or v.left <= v.outlook.latest)
        for v in reported
    )
    return [
        str(len(reported)),
        f"{statistics.median(after):.1f} h",
        f"{statistics.median(v.left for v in reported) / HOUR:.1f} h",
        f"{statistics.median(errors):.0%}",
        f"{inside / len(reported):.0%}",
        f"{sum(v.again for v in reported)}",
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
