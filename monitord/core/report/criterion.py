"""What a subject declares of the report: parts, success criteria, the numbers they rest on, lines of the checklist.

A criterion is met, not met or (None) is not known. Not met beats unknown, and what is unknown is never
met. How much blindness one bears depends on what it rests on: seals and row counters are read later and still true;
memory and states are of the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from monitord.core import humanize
from monitord.core.alerting.incidents import Incident, IncidentPart
from monitord.core.copying import slot_by_slot
from monitord.core.history.model import History
from monitord.core.model import Alert, Observation, Reading, ServiceEvent
from monitord.core.orders import StandingOrders
from monitord.core.report.model import PreparationLine, PreparationState

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts
    from monitord.core.subjects.base import Subject

T_co = TypeVar("T_co", covariant=True)

# Of the report's window: more blindness than this and what is of the moment is not known any more.
BLIND_SHARE: Final = 0.05
# The criterion of all servers: each that is watched answered, and did its work.
SERVERS: Final = "servers_reachable"


@slot_by_slot
@dataclass(frozen=True, slots=True)
class FoldedCycle:
    """One observation of the window, and what it led to; the history is without what is updated for rules alone."""

    observation: Observation
    history: History
    events: Sequence[ServiceEvent]


@dataclass(frozen=True, slots=True)
class FoldedWindow:
    """What is known once all of the window is folded; `kept` is the history of the snapshot."""

    history: History
    kept: History
    incidents: tuple[Incident, ...]


class Tracker(Protocol[T_co]):
    """Follows one part of the report from cycle to cycle, in order."""

    def observe(self, cycle: FoldedCycle) -> None: ...

    def result(self, window: FoldedWindow) -> T_co: ...


def _itself(result: object) -> object:
    return result


@dataclass(frozen=True, slots=True, eq=False)
class ReportPart(Generic[T_co]):
    """A part of the report's JSON: `track` follows it over a window (Unix seconds), `shown` is what JSON has of it."""

    name: str
    track: Callable[[StandingOrders, float, float], Tracker[T_co]]
    shown: Callable[[T_co], object] = _itself


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """Whether a criterion is met, why in one sentence, and a sentence for each part."""

    met: bool | None
    evidence: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SuccessCriterion:
    """One success criterion of the report: its name, and the title that it has in a report.

    `means` says when it is met, as the reference has it. `judge` says whether it is (None: as `all_well` does, by the
    alerts of the rules that name it, the readings of its subject and the levels that are its evidence). It is judged
    where it `applies` (None: where its subject is watched). `place` is its number in the standing orders' own list;
    those without one follow, in the order of their subjects.
    """

    name: str
    title: Callable[[ReportFacts], str]
    means: str
    judge: Callable[[ReportFacts], CriterionResult] | None = None
    applies: Callable[[StandingOrders], object] | None = None
    place: int | None = None


@dataclass(slots=True)
class Level:
    """A number over the window, most and least with when (Unix seconds; None: never); `unmeasured`: seconds without."""

    name: str
    most: float | None = None
    most_at: float = 0.0
    least: float | None = None
    least_at: float = 0.0
    unmeasured: float = 0.0
    is_unmeasured: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LevelFamily:
    """A number of which the report follows the most and the least, for each thing that has one.

    `values` takes it of a good reading, by the name of the thing; None, or no such name: it was not measured. It is
    evidence for `criterion`, which is unknown where the number was unmeasured for long: `unmeasured` says that of
    the things named. `sentence` says what it came to ("": that is not worth a sentence). `names` are the things there
    should be (None: the subject's members by the orders, and where it learns its members, those that were seen).
    """

    criterion: str
    values: Callable[[Reading], Mapping[str, float | None]]
    sentence: Callable[[Level, ReportFacts], str] = lambda *_: ""
    unmeasured: str = "Not measured: {}."
    names: Callable[[StandingOrders], Iterable[str]] | None = None


def all_well(
    facts: ReportFacts,
    criterion: str,
    unseen: Sequence[str],
    *,
    blamed: Callable[[Alert], str] = lambda alert: alert.subject,
    well: str = "",
    moments: tuple[str, ...] = (),
) -> CriterionResult:
    """Met where no alert against it was critical, its probes saw enough, and each of its levels was measured.

    `unseen` are sentences that its probes were too blind. `blamed` is what an alert says was not well. `well` says that
    all was, where its first level does not; `moments` are sentences about what was no more than a moment.
    """
    found = facts.against(criterion)
    critical = [part for part in found if facts.was_critical(part.alert)]
    warnings = tuple(described(part, facts) for part in found if part not in critical)
    levels = facts.levels.of(criterion)
    sentences = [family.sentence(level, facts) for family, level in levels if level.most is not None]
    measured = tuple(filter(None, sentences))
    if critical:
        who = humanize.listed(sorted({blamed(part.alert) for part in critical}))
        details = (*(described(part, facts, at_worst=True) for part in critical), *warnings, *measured)
        return CriterionResult(False, f"Not throughout: {who}.", details)
    limit = BLIND_SHARE * (facts.until - facts.since)
    lacking: dict[str, list[str]] = {}
    for family, level in levels:
        if level.most is None or level.unmeasured > limit:
            lacking.setdefault(family.unmeasured, []).append(level.name)
    if doubts := (*unseen, *(text.format(humanize.listed(names)) for text, names in lacking.items())):
        return CriterionResult(None, doubts[0], (*doubts[1:], *warnings, *measured))
    evidence, *rest = (well, *measured) if well or not measured else measured
    but = f", but for {humanize.plural(len(warnings), 'warning')}" if warnings else ""
    but = but or (", but for moments" if moments else "")
    text = f"{(evidence or 'As expected throughout.').rstrip('.')}{but}."
    return CriterionResult(True, text, (*warnings, *moments, *rest))


def described(part: IncidentPart, facts: ReportFacts, *, at_worst: bool = False) -> str:
    """One alert in a sentence, with from when to when it lasted and for how long. `at_worst`: as it was then."""
    alert = part.alert
    finding = alert.worst if at_worst and alert.worst is not None else alert.finding
    began, ended = alert.since.timestamp(), part.ended_at and part.ended_at.timestamp()
    lasted = humanize.duration(max(0.0, (ended or facts.until) - began))
    since = humanize.moment(began, facts.until)
    when = (
        f"from {since} to {humanize.moment(ended, facts.until)}, {lasted}" if ended else f"since {since}, for {lasted}"
    )
    when += f", silenced by {part.silenced_by}" if part.silenced_by else ""
    return f"{finding.summary.rstrip('.')} ({when})."


@dataclass(frozen=True, slots=True)
class Prepared:
    """Whether a line is done (None: it is not known), and a sentence for each part of it."""

    done: bool | None
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PreparationItem:
    """One line of the checklist before the on-chain test, which is no part of the verdict: its name and its title.

    `judge` says whether it is done as the history has it, by readings that succeeded; None: monitord cannot know it.
    `watched` says whether it is watched, `hint` which setting would have it so. `by_hand` is what of it is the
    operator's.
    """

    name: str
    title: str
    judge: Callable[[History, StandingOrders], Prepared] | None = None
    watched: Callable[[StandingOrders], object] | None = None
    hint: str = ""
    by_hand: str = ""


def prepared(history: History, orders: StandingOrders) -> tuple[PreparationLine, ...]:
    """Each line and how it stands; none where nothing of it is watched."""
    from monitord.core.subjects.registry import registered  # it imports what imports this

    items = [(item, subject) for subject in registered() for item in subject.preparation]
    if not any(item.judge is not None and _is_watched(item, subject, orders) for item, subject in items):
        return ()
    return tuple(
        PreparationLine(item.name, item.title, state, tuple(filter(None, (*sentences, item.by_hand))))
        for item, subject in items
        for state, sentences in (_state(item, subject, history, orders),)
    )


def _is_watched(item: PreparationItem, subject: Subject, orders: StandingOrders) -> bool:
    return subject.name in orders.probes and (item.watched is None or bool(item.watched(orders)))


def _state(
    item: PreparationItem, subject: Subject, history: History, orders: StandingOrders
) -> tuple[PreparationState, tuple[str, ...]]:
    if item.judge is None:
        return "by hand", ()
    if not _is_watched(item, subject, orders):
        return "not watched", (item.hint,)
    if history.reading(subject.name) is None:
        return "unknown", (f"{humanize.capital(subject.noun)} could not be measured as the window ended.",)
    found = item.judge(history, orders)
    states: dict[bool | None, PreparationState] = {True: "done", False: "not done", None: "unknown"}
    return states[found.done], found.sentences


def all_done(parts: Iterator[bool | None]) -> bool | None:
    """Whether each part is: one that is not makes all of it not done, one that is not known makes it unknown."""
    found = list(parts)
    return False if False in found else None if None in found else True
