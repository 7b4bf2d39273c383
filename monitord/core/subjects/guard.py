"""What packages add, held apart: what breaks in it costs that part of it, says so, and nothing else.

A subject is wrapped once, as it is registered; those who walk the subjects need not know which are monitord's own.
What fails on the way to a judgement (`update`, a rule) is raised, and held by the fold as it is for every subject.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeVar, get_args

from monitord.core.blocks import Block, Cell, FactTable, Grid, Paragraph, Section
from monitord.core.codec import encode
from monitord.core.history.model import History
from monitord.core.model import Clear, Finding, Judgement, NotTaken, Severity, Unknown
from monitord.core.series import RollupFamily
from monitord.core.subjects import base
from monitord.core.subjects.servers import unmeasured

if TYPE_CHECKING:
    from monitord.core.orders import StandingOrders
    from monitord.core.report.criterion import (
        FoldedCycle,
        FoldedWindow,
        LevelFamily,
        PreparationItem,
        ReportPart,
        SuccessCriterion,
        Tracker,
    )
    from monitord.core.status import FleetStatus

T = TypeVar("T")
_METRIC: Final = re.compile(r"[a-z][a-z0-9_]*")


class BrokenError(Exception):
    """What a package has raised, where only its name may be told: its text may carry a secret."""


def why(error: BaseException) -> str:
    """Why something failed inside, as brackets after a sentence hold it."""
    return str(error) if isinstance(error, BrokenError) else type(error).__name__


@dataclass(frozen=True, slots=True)
class Held:
    """A function of a package: its answer, or that of `instead` where it raises, or answers what it may not."""

    function: Callable[..., Any]
    instead: Callable[[BaseException], object]
    read: Callable[[Any], Any]

    def __call__(self, *args: object) -> Any:
        try:
            return self.answer(*args)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - sys.exit() in a package ends no monitor
            return self.instead(error)

    def answer(self, *args: object) -> Any:
        """Its answer; raises what it raises, and TypeError for what no answer can be."""
        return self.read(self.function(*args))


def _raised(package: str, error: BaseException) -> NoReturn:
    raise BrokenError(f"{type(error).__name__}, in the package {package}") from error


def _gives(value: object) -> Callable[[BaseException], object]:
    return lambda _: value


def _of(*kinds: type, of: str = "") -> Callable[[Any], Any]:
    """What is of one of these kinds is read as it is."""

    def read(value: Any) -> Any:
        if not isinstance(value, kinds):
            raise TypeError(f"{of or kinds[0].__name__} expected")
        return value

    return read


def _all(*kinds: type, check: Callable[[Any], object] = lambda _: None) -> Callable[[Any], Any]:
    """A series of what is of these kinds, read to its end."""

    def read(values: Any) -> tuple[Any, ...]:
        found = tuple(values)
        for each in found:
            _of(*kinds)(each)
            check(each)
        return found

    return read


def _block(block: Block) -> None:
    """Whether what is mostly shown can be: words are words, and a row has a cell for each column."""
    match block:
        case Paragraph(text):
            _of(str)(text)
        case FactTable(pairs):
            for name, text in pairs:
                _of(str)(name), _of(str)(text)
        case Grid(caption, header, rows):
            _of(str)(caption)
            for _, row in rows:
                if len(row) != len(header):
                    raise TypeError("a row has a cell for each column")
                for cell in row:
                    _of(*get_args(Cell))(cell)


def _section(section: Section) -> None:
    for block in section.blocks:
        _of(*get_args(Block))(block)
        _block(block)


def _datum(datum: base.PerfDatum) -> None:
    _of(str)(datum.label)
    _number(datum.value)


def _number(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_of(str)(name): _of(int, float, type(None))(one) for name, one in value.items()}
    return _of(int, float, type(None))(value)


def _words(value: object) -> dict[str, str]:
    return {_of(str)(name): _of(str)(word) for name, word in _of(Mapping)(value).items()}


def _in_json(value: T) -> T:
    json.dumps(encode(value), allow_nan=False)
    return value


def _judged(rule: str, value: object) -> tuple[Judgement, ...]:
    """What a rule yields, where it is a judgement that can be kept and said."""
    found: tuple[Judgement, ...] = _all(Finding, Clear, Unknown, NotTaken)(value)
    for each in found:
        if each.rule != rule or not isinstance(each.subject, str):
            raise TypeError("a judgement is of its own rule, and of a subject")
        if isinstance(each, Finding):
            _in_json(each)
            if each.severity not in get_args(Severity):
                raise TypeError("a severity is warning or critical")
    return found


# What a rule says of its alerts besides, and what stands in its place: field -> (default, how its answer is read).
_OF_RULE: Final[Mapping[str, tuple[Any, Callable[[Any], Any]]]] = {
    "over": ("", _of(str)),
    "recovered": (None, _of(str, type(None))),
    "blocking": ((), _all(str)),
    "dead_services": ((), _all(str)),
    "workers": ((), _all(tuple)),
    "host_may_cause": (False, _of(bool)),
}


def _rule(rule: base.Rule, package: str, made: dict[int, base.Rule]) -> base.Rule:
    """A rule that is held; those that it replaces are the same ones that the subject has."""
    if (known := made.get(id(rule))) is not None:
        return known
    impact = rule.impact
    for name, default, read in (
        ("plainly", base.UNKNOWN, _of(str)),
        ("on_epochs", (base.NONE, base.NONE, base.NONE), _all(str)),
    ):
        if callable(function := getattr(impact, name)):
            impact = dataclasses.replace(impact, **{name: Held(function, _gives(default), read)})
    held: dict[str, Any] = {
        name: Held(function, _gives(default), read)
        for name, (default, read) in _OF_RULE.items()
        if (function := getattr(rule, name)) is not None
    }
    made[id(rule)] = found = dataclasses.replace(
        rule,
        evaluate=Held(rule.evaluate, partial(_raised, package), partial(_judged, rule.name)),
        recommend=Held(rule.recommend, _gives(None), _of(str, type(None))),
        impact=impact,
        replaces=tuple(
            dataclasses.replace(
                weaker, rule=_rule(weaker.rule, package, made), when=Held(weaker.when, _gives(value=False), _of(bool))
            )
            for weaker in rule.replaces
        ),
        succeeds=tuple(_rule(weaker, package, made) for weaker in rule.succeeds),
        **held,
    )
    return found


def guarded(subject: base.Subject, package: str) -> base.Subject:
    """A package's subject, every function held. TypeError, ValueError, KeyError: a part is not what it must be."""
    _check(subject)

    def failed(part: str) -> Callable[[BaseException], Paragraph]:
        return lambda error: Paragraph(f"Unknown: {_sentence(package, part, error)}.", "unknown")

    def shown(error: BaseException) -> tuple[Block, ...]:
        return (failed("its section")(error),)

    def report_part(error: BaseException) -> tuple[Section, ...]:
        return (Section(subject.name, subject.heading, (failed("its part of the report")(error),)),)

    made: dict[int, base.Rule] = {}
    return dataclasses.replace(
        subject,
        package=package,
        rules=tuple(_rule(rule, package, made) for rule in subject.rules),
        update=Held(subject.update, partial(_raised, package), _of(base.Updated)),
        update_for_rules=None
        if subject.update_for_rules is None
        else Held(subject.update_for_rules, partial(_raised, package), _of(base.Updated)),
        depends_on=Held(subject.depends_on, _gives(()), _all(str)),
        undetermined=Held(subject.undetermined, _gives(()), _all(str)),
        status=tuple(
            base.StatusSection(one.name, one.shape, Held(one.build, _gives(None), _in_json)) for one in subject.status
        ),
        metrics=tuple(_metrics(group) for group in subject.metrics),
        perfdata=Held(
            subject.perfdata, _gives((base.PerfDatum(subject.name, None),)), _all(base.PerfDatum, check=_datum)
        ),
        section=Held(subject.section, shown, _all(*get_args(Block), check=_block)),
        report=Held(subject.report, report_part, _all(Section, check=_section)),
        report_parts=tuple(_report_part(one) for one in subject.report_parts),
        standing=Held(subject.standing, _gives(None), _of(base.Standing, type(None))),
        settles=Held(subject.settles, _gives(None), _of(int, float, type(None))),
        carried=None if subject.carried is None else Held(subject.carried, _gives(value=False), bool),
        exact=None if subject.exact is None else Held(subject.exact, _gives(frozenset()), _of(frozenset)),
        lacking=Held(subject.lacking, _gives(frozenset()), _of(frozenset)),
        forget=Held(subject.forget, _gives(None), _of(History, type(None))),
        off_by_default=Held(subject.off_by_default, _gives(None), _of(tuple, type(None))),
        runbook_words=Held(subject.runbook_words, _gives({}), _words),
        criteria=tuple(_criterion(one, package) for one in subject.criteria),
        levels=tuple(_level(one, package) for one in subject.levels),
        rollups=tuple(_rollup(one) for one in subject.rollups),
        preparation=tuple(_preparation(one, package) for one in subject.preparation),
        learned=Held(subject.learned, _gives(()), _all(base.LearnedLimit)),
    )


def _criterion(criterion: SuccessCriterion, package: str) -> SuccessCriterion:
    """A criterion that is unknown where it breaks: the verdict is no GO."""
    from monitord.core.report.criterion import CriterionResult  # it imports what imports this

    def unknown(error: BaseException) -> CriterionResult:
        return CriterionResult(None, f"Unknown: {_sentence(package, 'its criterion', error)}.")

    judge, applies = criterion.judge, criterion.applies
    return dataclasses.replace(
        criterion,
        title=Held(criterion.title, _gives(criterion.name), _of(str)),
        judge=None if judge is None else Held(judge, unknown, _of(CriterionResult)),
        applies=None if applies is None else Held(applies, _gives(value=True), bool),
    )


class _HeldTracker:
    """A tracker of a package: its result is None once it has broken, and what shows it says so."""

    def __init__(self, part: ReportPart[Any], orders: StandingOrders, since: float, until: float) -> None:
        self._tracker: Tracker[Any] | None = Held(part.track, _gives(None), lambda made: made)(orders, since, until)

    def observe(self, cycle: FoldedCycle) -> None:
        if self._tracker is not None and Held(self._tracker.observe, lambda error: error, lambda _: None)(cycle):
            self._tracker = None

    def result(self, window: FoldedWindow) -> object:
        return None if self._tracker is None else Held(self._tracker.result, _gives(None), lambda made: made)(window)


def _report_part(part: ReportPart[Any]) -> ReportPart[Any]:
    return dataclasses.replace(part, track=partial(_HeldTracker, part), shown=Held(part.shown, _gives(None), _in_json))


def _preparation(item: PreparationItem, package: str) -> PreparationItem:
    """A line of the checklist that is not known where it breaks."""
    from monitord.core.report.criterion import Prepared  # as above

    def unknown(error: BaseException) -> Prepared:
        return Prepared(None, (f"Unknown: {_sentence(package, 'its line of the checklist', error)}.",))

    judge, watched = item.judge, item.watched
    return dataclasses.replace(
        item,
        judge=None if judge is None else Held(judge, unknown, _of(Prepared)),
        watched=None if watched is None else Held(watched, _gives(value=True), bool),
    )


def _level(family: LevelFamily, package: str) -> LevelFamily:
    """A number that was not measured where it breaks, so that its criterion is not known."""
    return dataclasses.replace(
        family,
        values=Held(family.values, _gives({package: None}), _number),
        sentence=Held(family.sentence, _gives(""), _of(str)),
        names=None if family.names is None else Held(family.names, _gives(()), _all(str)),
    )


def _rollup(family: RollupFamily) -> RollupFamily:
    return dataclasses.replace(
        family, values=Held(family.values, _gives({}), _number), say=Held(family.say, _gives(base.UNKNOWN), _of(str))
    )


def _metrics(group: base.MetricGroup[Any]) -> base.MetricGroup[Any]:
    families = tuple(dataclasses.replace(one, value=Held(one.value, _gives(None), _number)) for one in group.metrics)
    return dataclasses.replace(group, find=Held(group.find, _gives({}), _of(Mapping)), metrics=families)


def _sentence(package: str, part: str, error: BaseException) -> str:
    return f"the package {package}: {part} failed inside ({why(error)})"


def _check(subject: base.Subject) -> None:
    """Raise where a part that is no function is not what it must be."""
    _of(base.Subject)(subject)
    for field in dataclasses.fields(base.Subject):
        if field.type == "str" and not isinstance(getattr(subject, field.name), str):
            raise TypeError(f"its {field.name} is no text")
    (
        _of(Mapping)(subject.limits),
        _all(base.Rule)(subject.rules),
        _all(base.StatusSection)(subject.status),
        _all(base.MetricGroup)(subject.metrics),
    )
    if subject.defaults is not None:
        raise TypeError("a subject of a package watches nothing by default")
    for rule in subject.rules:
        _of(str)(rule.name), _all(str)(rule.runbook), rule.target.format("")
    for family in subject.levels:
        family.unmeasured.format("")
    _all(RollupFamily)(subject.rollups)
    for group in subject.metrics:
        for metric in _all(base.MetricFamily)(group.metrics):
            if not _METRIC.fullmatch(metric.name):
                raise ValueError(f"{metric.name!r} is no name of a metric")


def broken(name: str, package: str, error: BaseException, part: str = "") -> base.Subject:
    """What stands in the place of a subject that cannot be added: its probe fails, and says why."""
    reason = f": {error}" if isinstance(error, ImportError | ValueError | TypeError | KeyError) else f" ({why(error)})"
    sentence = f"the package {package} cannot be used{f', {part}' if part else ''}{reason}"
    title = f"what the package {package} adds"
    rule = unmeasured(name, title, "Is it installed whole?", judges_failure=True, internal=MEND)
    return base.Subject(name, title, rules=(rule,), package=package, broken=sentence)


MEND: Final = "Mend, update or remove the package; monitord's own subjects are measured as ever."


class _Tried(NamedTuple):
    part: str
    held: object
    args: tuple[object, ...]


def failing(
    subject: base.Subject, report: FleetStatus, history: History, orders: StandingOrders, now: float
) -> Iterator[str]:
    """Why parts of a package's subject cannot be shown, a sentence each: no status is OK of which one is missing."""
    context = base.SectionContext(report, orders, now, lambda _: None, history)
    parts = [_Tried("its status", one.build, (history, orders, now)) for one in subject.status]
    parts += [
        _Tried("its section", subject.section, (context,)),
        _Tried("its performance data", subject.perfdata, (report, orders)),
        _Tried("its summary", subject.standing, (report,)),
        _Tried("what it cannot tell yet", subject.undetermined, (history, orders, now)),
    ]
    for group in subject.metrics:
        parts.append(_Tried("its metrics", group.find, (report,)))
        parts += [
            _Tried("its metrics", metric.value, (thing,))
            for thing in group.find(report).values()
            for metric in group.metrics
        ]
    found: dict[str, str] = {}
    for part, held, args in parts:
        if part not in found and isinstance(held, Held):
            try:
                held.answer(*args)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - as in Held
                found[part] = _sentence(subject.package, part, error)
        if "its status" in found:  # what is made of it fails with it, and is no news
            break
    yield from found.values()
