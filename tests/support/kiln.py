"""A watched thing that is no part of monitord: a kiln with its ovens, as a package beside it would declare it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from monitord.core.blocks import Block, FactTable, Grid
from monitord.core.history.model import History
from monitord.core.humanize import worded
from monitord.core.model import Clear, Finding, Judgement, Observation, Reading, Unknown, sample
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import (
    FoldedCycle,
    FoldedWindow,
    Level,
    LevelFamily,
    ReportPart,
    SuccessCriterion,
)
from monitord.core.series import RollupContext, RollupFamily, Values
from monitord.core.subjects.base import (
    Impact,
    MetricFamily,
    MetricGroup,
    PerfDatum,
    Replaces,
    Rule,
    SectionContext,
    StatusSection,
    Subject,
    Updated,
    asked,
    own_settings,
    setting,
    whole,
)
from monitord.core.subjects.servers import unmeasured
from monitord.failures import FailureError
from monitord.probes.base import Measured, Request

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts
    from monitord.core.status import FleetStatus

WARM = 1150.0
SLOWEST = 5
# So many readings make a habit.
KEPT = 20


def _above_warm(degrees: float) -> None:
    if degrees <= WARM:
        raise ValueError(f"it must be above {WARM:g}, which is warm")


@dataclass(frozen=True, slots=True)
class KilnSettings:
    """The kiln, and how hot it may be."""

    socket: str | None = setting("/run/kiln", "Where the kiln is asked. Set to nothing: it is not watched.")
    hottest: float = setting(1200.0, "How hot an oven may be, in degrees.", judged=True, check=_above_warm)
    password: str | None = setting(None, "What the kiln asks for.", example="a-long-word", secret=True)
    patience: timedelta = setting(timedelta(seconds=2), "How long an oven may take to answer.")
    glazes: tuple[str, ...] = setting((), "The glazes that are fired.", example='["celadon"]')


def oven_hot(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """An oven is hotter than it may be."""
    hottest = own_settings(KilnSettings, "kiln", orders).hottest
    for oven, degrees in observation.readings["kiln"].values("oven_degrees", "oven").items():
        if not isinstance(degrees, int | float):
            yield Unknown("oven_hot", oven, "it cannot be measured")
        elif degrees <= hottest:
            yield Clear("oven_hot", oven)
        else:
            yield Finding(
                "oven_hot", oven, "critical", degrees, hottest, "degrees", f"The oven {oven} is at {degrees:g} °C.",
                recommendation="Open the damper.",
            )  # fmt: skip


def oven_warm(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    for oven, degrees in observation.readings["kiln"].values("oven_degrees", "oven").items():
        if isinstance(degrees, int | float) and degrees > WARM:
            yield Finding("oven_warm", oven, "warning", degrees, WARM, "degrees", f"The oven {oven} is warm.")
        else:
            yield Clear("oven_warm", oven)


def kiln_slow(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    fired = observation.readings["kiln"].number("kiln_fired")
    if fired is None:
        yield Unknown("kiln_slow", "kiln", "it cannot be measured")
    elif fired >= SLOWEST:
        yield Clear("kiln_slow", "kiln")
    else:
        yield Finding("kiln_slow", "kiln", "warning", fired, SLOWEST, "pots", f"The kiln fired {fired:g} pots.")


def _ovens_title(facts: ReportFacts) -> str:
    return f"Ovens up to {own_settings(KilnSettings, 'kiln', facts.orders).hottest:g} °C"


def _heated(level: Level, facts: ReportFacts) -> str:
    return f"The oven {level.name} was at {level.most:g} °C at most."


OVENS_COOL = SuccessCriterion("ovens_cool", _ovens_title, "no oven was hotter than it may be")
HEAT = LevelFamily(
    OVENS_COOL.name,
    lambda reading: reading.numbers("oven_degrees", "oven"),
    _heated,
    unmeasured="Not measured: the oven {}.",
)
OVEN_WARM = Rule(name="oven_warm", probe="kiln", evaluate=oven_warm)
OVEN_HOT = Rule(
    name="oven_hot",
    probe="kiln",
    severities=("critical",),
    evaluate=oven_hot,
    replaces=(Replaces(OVEN_WARM),),
    impact=Impact("the pots of this oven crack"),
    runbook=("kilnctl show {name}", "kilnctl log {name}", "kilnctl dampers"),
    blocking=lambda *_: ("the glazing",),
    criterion=OVENS_COOL.name,
)
KILN_SLOW = Rule(name="kiln_slow", probe="kiln", evaluate=kiln_slow)
UNMEASURED = unmeasured("kiln", "the kiln", "Is the kiln's socket there?", judges_failure=True)


@dataclass(frozen=True, slots=True)
class OvenStatus:
    degrees: float | None


@dataclass(frozen=True, slots=True)
class KilnStatus:
    fired: int | None
    hottest_lately: float | None
    ovens: Mapping[str, OvenStatus]


def _status(history: History, orders: StandingOrders, now: float) -> KilnStatus:
    reading = asked("kiln", history, orders) or Reading("kiln")
    ovens = {one.label("oven"): reading.number("oven_degrees", oven=one.label("oven")) for one in reading.samples[1:]}
    fired = reading.number("kiln_fired")
    lately = max(history.kept("kiln").get("hottest", ()), default=None)
    return KilnStatus(whole(fired), lately, {name: OvenStatus(at) for name, at in ovens.items()})


STATUS = StatusSection("kiln", KilnStatus, _status)


def _heat(context: RollupContext) -> Values:
    return {name: oven.degrees for name, oven in context.report.of(STATUS).ovens.items()}


OVEN_HEAT = RollupFamily("degrees", "degrees", "level", _heat, "{:g} °C".format)


def _perfdata(report: FleetStatus, orders: StandingOrders) -> Iterator[PerfDatum]:
    kiln = report.of(STATUS)
    yield PerfDatum("kiln_fired", kiln.fired, minimum="0")
    hottest = own_settings(KilnSettings, "kiln", orders).hottest
    for name, oven in kiln.ovens.items():
        yield PerfDatum(f"{name} degrees", oven.degrees, limits=f";{hottest:g}")


def _section(context: SectionContext) -> Iterator[Block]:
    kiln = context.report.of(STATUS)
    rows = tuple(
        (context.severity(name) or "ok", (name, worded("{:g} °C".format, oven.degrees)))
        for name, oven in kiln.ovens.items()
    )
    if rows:
        yield Grid("Ovens", ("Oven", "Heat"), rows, frozenset({1}))
    yield FactTable((("Fired", worded("{} pots".format, kiln.fired)),))


def _update(history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders) -> Updated:
    heats = [heat for heat in reading.values("oven_degrees", "oven").values() if isinstance(heat, int | float)]
    hottest = [*history.kept("kiln").get("hottest", ()), max(heats, default=0.0)][-KEPT:]
    return Updated(history.keeping("kiln", {"hottest": hottest}))


class FiringTracker:
    """How many pots the kiln fired, reading by reading."""

    def __init__(self, orders: StandingOrders, since: float, until: float) -> None:
        self._fired: list[float | None] = []

    def observe(self, cycle: FoldedCycle) -> None:
        self._fired.append(cycle.observation.readings["kiln"].number("kiln_fired"))

    def result(self, window: FoldedWindow) -> tuple[float | None, ...]:
        return tuple(self._fired)


FIRINGS = ReportPart("firings", FiringTracker)
KILN = Subject(
    "kiln",
    "the kiln",
    rules=(OVEN_HOT, OVEN_WARM, KILN_SLOW, UNMEASURED),
    member="oven",
    update=_update,
    settings=KilnSettings,
    needs="socket",
    status=(STATUS,),
    metrics=(
        MetricGroup[KilnStatus](
            lambda report: {"": report.of(STATUS)},
            (MetricFamily("kiln_fired", "Pots that were fired.", lambda kiln: kiln.fired),),
        ),
        MetricGroup[OvenStatus](
            lambda report: report.of(STATUS).ovens,
            (MetricFamily("oven_degrees", "How hot an oven is.", lambda oven: oven.degrees),),
            label="oven",
        ),
    ),
    perfdata=_perfdata,
    section=_section,
    report_parts=(FIRINGS,),
    criteria=(OVENS_COOL,),
    levels=(HEAT,),
    rollups=(OVEN_HEAT,),
)


class KilnProbe:
    """Reads the kiln."""

    name = "kiln"

    def __init__(self, settings: KilnSettings, orders: StandingOrders) -> None:
        self.settings = settings
        self.readings: Mapping[str, float] | None = {"east": 1100.0, "west": 1300.0}

    async def measure(self, request: Request) -> Measured:
        if self.readings is None:
            raise FailureError("refused", "nobody is at the kiln")
        return Measured(samples(12, self.readings))

    async def close(self) -> None:
        return


def samples(fired: int, ovens: Mapping[str, float]) -> tuple[Any, ...]:
    return (sample("kiln_fired", fired), *(sample("oven_degrees", at, "1", oven=name) for name, at in ovens.items()))
