"""The two declarations: a rule, and a watched subject. Each is made once, in the file of its subject."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from monitord.core.blocks import Block, Section
from monitord.core.codec import decode
from monitord.core.copying import slot_by_slot
from monitord.core.history.model import History
from monitord.core.humanize import capital
from monitord.core.model import (
    Alert,
    Clear,
    Finding,
    Judgement,
    NotTaken,
    Observation,
    Reading,
    Sample,
    ServiceEvent,
    Severity,
    Unknown,
)
from monitord.core.orders import StandingOrders

if TYPE_CHECKING:
    from monitord.core.report.criterion import LevelFamily, PreparationItem, ReportPart, SuccessCriterion
    from monitord.core.report.model import Report
    from monitord.core.series import RollupFamily
    from monitord.core.status import FleetStatus, ProbeStatus

S = TypeVar("S")
T = TypeVar("T")
Evaluate = Callable[[Observation, History, StandingOrders], Iterable[Judgement]]
ActionKind = Literal["restart_service", "free_disk", "investigate"]
EpochImpact = tuple[str, str, str]

NONE: Final = "none known"
UNKNOWN: Final = "not known while it lasts"
# Why an alert is over whose gap nobody filled: its label can be read no longer (`Rule.over`).
LEFT_WINDOW: Final = "left_window"
MONITOR_RUNBOOK: Final = ("monitord logs --no-follow -n 50", "monitord status", "df -h")

# What an alert can explain, or be explained by.
Role = Literal[
    "service",  # about one service of the fleet
    "restart_loop",
    "errors",  # a service says more often that something failed
    "roster",  # what is expected of it is the limit
    "unreachable",  # a server cannot be measured, and nothing behind it
    "refusal",  # a server answers, and refuses the fleet's next write or connection
    "full_disk",
    "no_memory",
    "growth",
    "flow",  # what should come in does not
    "stall",  # no rows come into a table
    "lag",  # what is read is of an earlier time
    "sealing",  # what should be sealed is not, or not whole, or late
    "behind",  # groups are behind others
    "slow_seal",
    "backlog",  # jobs wait
    "unmeasured",
    "monitor",  # about monitord itself
]


@dataclass(frozen=True, slots=True)
class RecoveryContext:
    """What is known as of the cycle in which an alert ended; `now` in Unix seconds."""

    report: FleetStatus
    history: History
    orders: StandingOrders
    now: float


@dataclass(frozen=True, slots=True)
class Impact:
    """What an alert means for the fleet's work; `on_epochs`: a phrase each on collection, sealing and claims."""

    plainly: str | Callable[[Alert, StandingOrders], str] = UNKNOWN
    on_epochs: EpochImpact | Callable[[Alert, StandingOrders], EpochImpact] = (UNKNOWN, UNKNOWN, UNKNOWN)


NOT_KNOWN: Final = Impact()


def investigated(alert: Alert) -> ActionKind | None:
    return "investigate" if alert.severity == "critical" else None


def always(*_: object) -> bool:
    return True


def nothing(*_: object) -> tuple[()]:
    return ()


def none(*_: object) -> None:
    return None


class _NotJudged:
    """A rule's answer where there is nothing to judge."""


NOT_JUDGED: Final = _NotJudged()
# What a rule finds of one subject: something, nothing, or (in words) why that is not known.
Answer = Finding | NotTaken | _NotJudged | str | None


# The same of nearly every member in every cycle.
_clear = lru_cache(maxsize=4096)(Clear)


def of_each(members: Callable[[StandingOrders], Iterable[str]]) -> Callable[[Callable[..., Answer]], Evaluate]:
    """Make a rule, by its name, of what judges one of these members: judge(member, observation, history, orders)."""

    def rule(judge: Callable[..., Answer]) -> Evaluate:
        name = judge.__name__

        @wraps(judge)
        def evaluate(observation: Observation, history: History, orders: StandingOrders) -> list[Judgement]:
            found: list[Judgement] = []
            for member in members(orders):
                answer = judge(member, observation, history, orders)
                if answer is None:  # nearly always
                    found.append(_clear(name, member))
                else:
                    found += _judgement(name, member, answer)
            return found

        return evaluate

    return rule


def of_one(subject: str, name: str = "") -> Callable[[Callable[..., Answer]], Evaluate]:
    """Make a rule, by this name or its own, of what judges the one subject there is: judge(observation, …)."""

    def rule(judge: Callable[..., Answer]) -> Evaluate:
        own = name or judge.__name__
        clear = (Clear(own, subject),)

        @wraps(judge)
        def evaluate(observation: Observation, history: History, orders: StandingOrders) -> tuple[Judgement, ...]:
            answer = judge(observation, history, orders)
            return clear if answer is None else _judgement(own, subject, answer)

        return evaluate

    return rule


def _judgement(rule: str, subject: str, answer: Finding | NotTaken | _NotJudged | str) -> tuple[Judgement, ...]:
    if isinstance(answer, str):
        return (Unknown(rule, subject, answer),)
    return () if isinstance(answer, _NotJudged) else (answer,)


@dataclass(frozen=True, slots=True)
class Replaces:
    """Another rule that has nothing left to report of a subject once this one fires for it.

    `when` says of two findings, the stronger rule's first, whether that is so. `continues`: the stronger alert is the
    weaker one that goes on; it keeps its id and its beginning, and nothing ends.
    """

    rule: Rule
    when: Callable[[Finding, Finding], bool] = always
    continues: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule, and all that is known of it.

    Its name is that of `evaluate` where none is given.

    Judging: `probe` is whose readings it judges, `evaluate` how. `judges_failure`: it also answers when the probe
    itself failed. `absent`: what it means that a subject with an alert is no longer judged: it is not watched any more,
    or what was wrong is gone. `members` are the subjects that it judges, where it says nothing of those that are as
    expected (None: it says so of each): of a thousand services nearly all are, in every cycle. `of_server`: it is about
    the server itself, and judged while what is measured through it waits for the server's return to be confirmed.
    `over`: why an alert that a reading ends is over, where that is not that all is well ("": it is). `adopt`: whoever
    acknowledges its alert says that what was found is right, and this is the history that holds it for right, by the
    alert's subject (None: nothing is said by it).

    Between alerts: `replaces` are rules of which it says all that they would say of the same subject. `succeeds` are
    rules of which an alert is not over where they find nothing more because this one finds something: it takes their
    place. `roles` are what it can explain or be explained by, `inhibits` the roles of what follows from it.
    `dead_services` are those that an alert says do no work, `workers` those whose work is not done, by a finding: for
    each thing that is missing the patterns declared of it. `host_may_cause`: a host without memory or disk may be
    behind it. `inhibits_firing`: what it explains is known to have begun after it, also where that fires already.
    `inhibits_missing`: what the server held is another thing or gone, and with it what is missing there.

    For people: `recommend` is what to do about an alert that fires, `lasting` that nothing is recommended until it has
    lasted; `target` names whom that is about. `runbook` are three things to check, as commands. `impact` is what it
    means for the fleet's work, `blocking` what it holds up. `recovered` says in a sentence what is true since it is
    over (None: that it is as expected). The `criterion` of the report of this name is judged by its alerts.
    """

    name: str = ""
    probe: str = ""
    severities: tuple[Severity, ...] = ("warning",)
    evaluate: Evaluate = nothing
    judges_failure: bool = False
    absent: Literal["not_watched", "clear"] = "not_watched"
    members: Callable[[History, StandingOrders], Container[str]] | None = None
    of_server: bool = False
    over: Callable[[Alert, History, StandingOrders], str] | None = None
    adopt: Callable[[History, str], History] | None = None
    replaces: tuple[Replaces, ...] = ()
    succeeds: tuple[Rule, ...] = ()
    roles: frozenset[Role] = frozenset()
    inhibits: frozenset[Role] = frozenset()
    dead_services: Callable[[Alert], tuple[str, ...]] = nothing
    workers: Callable[[Finding, StandingOrders], tuple[tuple[str, ...], ...]] = nothing
    host_may_cause: Callable[[Finding], bool] = lambda _: False
    inhibits_firing: bool = False
    inhibits_missing: bool = False
    recommend: Callable[[Alert], ActionKind | None] = investigated
    lasting: bool = False
    target: str = "{}"
    runbook: tuple[str, str, str] = MONITOR_RUNBOOK
    impact: Impact = NOT_KNOWN
    blocking: Callable[[Alert, StandingOrders], tuple[str, ...]] = nothing
    recovered: Callable[[Alert, RecoveryContext], str | None] = none
    criterion: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.evaluate.__name__)

    @property
    def about_member(self) -> bool:
        """Whether its alerts are about the things that are watched of its subject, and say how those are."""
        return not self.of_server and "unmeasured" not in self.roles

    def services(self, alert: Alert) -> tuple[str, ...]:
        """The services that an alert is about: those that it says do no work, or its subject."""
        return self.dead_services(alert) or (alert.subject,)


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Updated:
    """The history after a reading, what happened to services, and what there is to note."""

    history: History
    events: tuple[ServiceEvent, ...] = ()
    notes: tuple[str, ...] = ()


Update = Callable[[History, Reading, float | None, float, StandingOrders], Updated]


def unchanged(history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders) -> Updated:
    return Updated(history)


@dataclass(frozen=True, slots=True)
class StatusSection(Generic[T]):
    """A section of the status; `shape`: a dataclass, a mapping to one, or one or None. `build` gets Unix seconds."""

    name: str
    shape: object
    build: Callable[[History, StandingOrders, float], T]


@dataclass(frozen=True, slots=True)
class MetricLine:
    """A metric in `pm2 describe`: its title, before the thing's name; `per` of its own unit are one of `unit`."""

    title: str
    unit: str
    per: float = 1.0
    digits: int | None = None


@dataclass(frozen=True, slots=True)
class MetricFamily(Generic[T]):
    """One metric without its prefix: its name, its help line, and its value in what its group finds.

    None: not measured, and no sample. Where `by` names a further label, the value is one by each value of that label.
    A counter only ever rises while the process lives. `line` is how PM2 shows it (None: it does not).
    """

    name: str
    help: str
    value: Callable[[T], float | Mapping[str, float | None] | None]
    by: str = ""
    kind: Literal["gauge", "counter"] = "gauge"
    line: MetricLine | None = None


# A metric of a status's field: its name, its help, the field, and what brings the value to its base unit.
MetricRow = tuple[str, str, str] | tuple[str, str, str, Callable[[float | None], float | None]]


def metrics_of(kind: type[T], *declared: MetricRow | MetricFamily[T]) -> tuple[MetricFamily[T], ...]:
    """Metrics of a status's fields, a row each, and families as they are. TypeError: there is no such field."""
    return tuple(one if isinstance(one, MetricFamily) else _of_field(kind, *one) for one in declared)


def _of_field(
    kind: type[T], name: str, about: str, field_name: str, to_base: Callable[[float | None], float | None] | None = None
) -> MetricFamily[T]:
    if field_name not in kind.__annotations__:
        raise TypeError(f"{kind.__name__} has no field {field_name}")
    value = attrgetter(field_name)
    return MetricFamily(name, about, value if to_base is None else lambda thing: to_base(value(thing)))


@dataclass(frozen=True)  # with slots it could not be made as MetricGroup[Kind](...)
class MetricGroup(Generic[T]):
    """Metrics of things that are alike, by their names, the values of `label` (without one: a single thing, "")."""

    find: Callable[[FleetStatus], Mapping[str, T]]
    metrics: tuple[MetricFamily[T], ...]
    label: str = ""


def metric_group(
    kind: type[T],
    find: Callable[[FleetStatus], Mapping[str, T]],
    *declared: MetricRow | MetricFamily[T],
    label: str = "",
) -> MetricGroup[T]:
    return MetricGroup(find, metrics_of(kind, *declared), label)


def where_watched(
    section: StatusSection[S | None], things: Callable[[S], Mapping[str, T]]
) -> Callable[[FleetStatus], Mapping[str, T]]:
    """What a metric is of each of: none where there is no such section, as its subject is not watched."""

    def find(report: FleetStatus) -> Mapping[str, T]:
        found = report.of(section)
        return {} if found is None else things(found)

    return find


@dataclass(frozen=True, slots=True)
class Standing:
    """How many of a subject's members are as expected, and the same in a phrase."""

    well: int
    of: int
    words: str


@dataclass(frozen=True, slots=True)
class PerfDatum:
    """One datum for whoever draws graphs of Nagios checks; the limits are ranges, warning and critical."""

    label: str
    value: float | None
    unit: str = ""
    limits: str = ";"
    minimum: str = ""
    maximum: str = ""


@dataclass(frozen=True, slots=True)
class LearnedLimit:
    """A limit that was learned from the past of one member, and holds where none is set."""

    member: str
    means: str
    value: str


def seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def ratio(percent: float | None) -> float | None:
    return None if percent is None else round(percent / 100, 6)


@dataclass(frozen=True, slots=True)
class RootOnChain:
    """Whether a chain holds a root (None: it is not known), and why not or why that is not known, in a few words."""

    held: bool | None
    why: str = ""


def whole(value: float | None) -> int | None:
    """A number as JSON has counts and sizes: without a fraction; None stays None."""
    return None if value is None else round(value)


def age(at: float | None, now: float) -> float | None:
    """How old something is that was read at a moment; None where it never was."""
    return None if at is None else round(max(0.0, now - at), 3)


def asked(probe: str, history: History, orders: StandingOrders) -> Reading | None:
    """The last good reading of a probe that is configured: what a snapshot holds of another one is not the present."""
    return history.reading(probe) if probe in orders.probes else None


@dataclass(frozen=True, slots=True)
class SettingText:
    """How one setting of a subject is described, beside its type and its default. `setting` makes it."""

    means: str
    example: str = ""
    secret: bool = False
    judged: bool = False
    check: Callable[[object], object] = always
    known: Callable[[object], object] | None = None


def setting(
    default: object,
    means: str,
    *,
    example: str = "",
    secret: bool = False,
    judged: bool = False,
    check: Callable[[Any], object] = always,
    known: Callable[[Any], object] | None = None,
) -> Any:
    """A field of a subject's settings, of a type that one can be.

    These are: a text, a number, a flag, a duration, one of some words, a tuple of names (of secret ones each is an
    address), a mapping of names to texts or numbers, and processes with limits of their own (a mapping of names to
    ServiceOrders).

    `means` is a sentence for whoever sets it, `example` how it may be written where that is not its default. `secret`:
    it is masked everywhere, and only the probe gets it. `judged`: it changes judgement alone, so that `backtest` may
    try another. `check` raises ValueError, with half a sentence, for what it is not. `known` is what judgement may know
    of a secret one (None: nothing), which may be JSON then.
    """
    metadata = {"setting": SettingText(means, example, secret, judged, check, known)}
    if isinstance(default, Mapping):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def own_settings(kind: type[T], subject: str, orders: StandingOrders) -> T:
    """The settings of a subject that declares its own, as judgement needs them; a secret is at its default."""
    return decode(kind, orders.by_subject.get(subject, {}))


@dataclass(frozen=True, slots=True)
class SectionContext:
    """What a subject's section is made of: the status, and what it was judged by; `now` in Unix seconds.

    `severity` is the worst that is confirmed of a member, or of the subject itself, by its name (None: nothing is found
    of it). `history` is None where only the status is known. `probes` are those there are, by what they measure;
    `monitor` is what else is known of monitord's own work.
    """

    report: FleetStatus
    orders: StandingOrders
    now: float
    severity: Callable[[str], Severity | None]
    history: History | None = None
    probes: tuple[tuple[str, ProbeStatus], ...] = ()
    monitor: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Defaults:
    """Members that are watched where they are there, though nobody named them. Packages have none.

    `asked` are the tables that show whether they are. `shown` tells whether an observation shows one of these (None: it
    does not show), `known` whether a history does that is from before this was kept. `applied` are the orders as far as
    they apply, by what is known of each table.
    """

    asked: Callable[[StandingOrders], tuple[str, ...]]
    shown: Callable[[Observation, str], bool | None]
    known: Callable[[History, str], bool]
    applied: Callable[[StandingOrders, Callable[[str], bool | None]], StandingOrders]


@dataclass(frozen=True, slots=True)
class Subject:
    """One watched thing, by the name of the probe that measures it, and the rules that judge it.

    `update` moves the history on by one good reading, taken at `now` and the last one at `before` (Unix seconds, None:
    there was none). What a subject that is no part of monitord keeps is JSON of at most 64 KiB: `history.kept(NAME)`
    has it, `history.keeping(NAME, it)` is a history with it. Times in it are its own business: `history.moved` says by
    how many seconds those that monitord keeps have moved with the wall clock. `update_for_rules` goes on from there,
    with what nothing but rules and the present status ask for: the report of a window is folded without it.

    `server` is the subject that it is measured through: itself where it is a server, "" where there is none; `beside`
    is another without which it is not watched either. `title` is what it is called; `readings` what its probe tells of,
    and `noun` how a sentence about measuring it begins, where that is something else. `members` is the field of the
    orders that names what is watched of it, `member` what one of those is called, `component` the same for whoever does
    not know it; `member_sample` are a sample that stands for each of them and the label that it goes by (None: they are
    learned).

    `status` are its sections of the status document, of which the first is about its members. `metrics` and `perfdata`
    are for Prometheus and for Nagios. `hint` says which setting would have it watched ("": none is needed, or there is
    nothing to watch here). `section` is how it stands in blocks: the terminal, the page and the report show them under
    its `heading`. `report` are its sections of the report, `report_parts` what these show, as it is followed from cycle
    to cycle; `criteria` are those that it adds to the report's verdict, `levels` the numbers that the report follows
    for them, `rollups` those that are kept by the hour for 400 days. `standing` sums it up for the verdict.
    `preparation` are its lines of the checklist before the on-chain test. `holds_root` tells whether a chain holds this
    root of a channel and label (None: it is about no chain).
    `beneath_all`: every other subject lives on it. `undetermined` names the members that were measured, and of which
    it is not known yet whether they are as expected.

    `lacking` is what its probe is to read of the past since it was not read when it fell due (`Request.lacking`).
    `carried` tells which samples of a running daemon's last reading a single check takes over: what it cannot measure
    in its time, and what says itself when it was found (None: there are none).

    How it is measured: `always`: monitord reads it by itself in every whole cycle, and no probe is configured.
    `has_bus`: what happens to it is reported at once, and its probe taken soon after. `settles` says in how many
    seconds what is on its way must have arrived, and is to be read again (None: nothing is). `exact` are the members
    that the next reading should count exactly, though nothing is suspected (None: none ever is). `keeps_samples`: the
    history keeps its last samples, not only what `update` makes of them. `in_fleet`: each of its members has a tile in
    the page's fleet grid, made of the first table of its section whose first column is headed by what one is called.

    Where the settings name nothing: `learns`: its members are those that were seen. `forget` is the history without a
    member that was only learned (None: there is none to forget), `forgotten` what is true once it itself was.
    `defaults` are members that nobody named, and that are watched where they are there.
    `off_by_default` is what it does not watch as nobody named it and there is none, and the setting that would name it.

    `limits` are the fields of the orders that its rules judge by, and what each of them is; `learned` those limits that
    were learned, as the status has them.

    `runbook_words` are what its rules' runbooks have in braces; `sql` begins a command that asks the database.

    `settings` is a frozen dataclass whose fields are made by `setting`: MONITORD_NAME__FIELD each. Its probe is made of
    one, judgement asks `own_settings` for it. Without the setting called `needs` it is not watched ("": it always is).

    `package` is the one that adds it ("": it is monitord's own), `broken` why nothing of it can be used ("": it can).
    Both are set as it is registered.
    """

    name: str
    title: str
    server: str = ""
    rules: tuple[Rule, ...] = ()
    update: Update = unchanged
    update_for_rules: Update | None = None
    members: str = ""
    member: str = ""
    readings: str = ""
    noun: str = ""
    component: str = ""
    member_sample: tuple[str, str] | None = None
    depends_on: Callable[[str, StandingOrders], tuple[str, ...]] = nothing
    undetermined: Callable[[History, StandingOrders, float], tuple[str, ...]] = nothing
    status: tuple[StatusSection[Any], ...] = ()
    metrics: tuple[MetricGroup[Any], ...] = ()
    perfdata: Callable[[FleetStatus, StandingOrders], Iterable[PerfDatum]] = nothing
    hint: str = ""
    section: Callable[[SectionContext], Iterable[Block]] = nothing
    heading: str = ""
    report: Callable[[Report], Iterable[Section]] = nothing
    report_parts: tuple[ReportPart[object], ...] = ()
    standing: Callable[[FleetStatus], Standing | None] = none
    settings: type[object] | None = None
    needs: str = ""
    beside: str = ""
    holds_root: Callable[[History, StandingOrders, str, int, str], RootOnChain] | None = None
    beneath_all: bool = False
    always: bool = False
    has_bus: bool = False
    settles: Callable[[History, StandingOrders, float], float | None] = none
    exact: Callable[[History, StandingOrders, float], frozenset[str]] | None = None
    keeps_samples: bool = True
    carried: Callable[[Sample], bool] | None = None
    lacking: Callable[[History], frozenset[str]] = lambda _: frozenset()
    in_fleet: bool = True
    learns: bool = False
    forget: Callable[[str, History, StandingOrders], History | None] = none
    forgotten: str = ""
    defaults: Defaults | None = None
    off_by_default: Callable[[StandingOrders], tuple[str, str] | None] = none
    runbook_words: Callable[[Alert, StandingOrders], Mapping[str, str]] = lambda *_: {}
    criteria: tuple[SuccessCriterion, ...] = ()
    levels: tuple[LevelFamily, ...] = ()
    rollups: tuple[RollupFamily, ...] = ()
    preparation: tuple[PreparationItem, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)
    learned: Callable[[FleetStatus, StandingOrders], Iterable[LearnedLimit]] = nothing
    package: str = ""
    broken: str = ""

    def __post_init__(self) -> None:
        for name, default in (
            ("readings", self.title),
            ("noun", self.title),
            ("component", self.member),
            ("heading", capital(self.title)),
        ):
            if not getattr(self, name):
                object.__setattr__(self, name, default)

    @property
    def members_section(self) -> str:
        """The section of the status document that is about its members ("": it has none)."""
        return self.status[0].name if self.status else ""

    def named(self, orders: StandingOrders) -> Collection[str]:
        names: Collection[str] = getattr(orders, self.members) if self.members else ()
        return names

    def member_names(self, report: FleetStatus) -> tuple[str, ...]:
        """Its members, as far as they are known: the things that its first metrics by a label are of."""
        return tuple(next((group.find(report) for group in self.metrics if group.label), ()))

    @property
    def is_expected(self) -> bool:
        """Whether it is worth a word that it is not watched: a server that nobody has to ask for by a setting first."""
        return self.is_server and not self.needs

    @property
    def is_server(self) -> bool:
        """Whether other things are measured through it."""
        return self.server == self.name
