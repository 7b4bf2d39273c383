"""The report's success criteria: what the subjects declare, what all servers must meet, and the last of all alerts."""

from collections.abc import Iterable, Iterator, Sequence

from monitord.core import humanize
from monitord.core.alerting.incidents import IncidentPart
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import SERVERS, CriterionResult, SuccessCriterion, all_well, described
from monitord.core.report.facts import ReportFacts
from monitord.core.report.model import Criterion, OpenWarning, Verdict
from monitord.core.subjects.base import Subject
from monitord.core.subjects.registry import readings_of, registered, subject_named, title_of


def criteria() -> tuple[SuccessCriterion, ...]:
    """Every criterion there is: as the standing orders list them, then by subject; the last is of all alerts."""
    return tuple(criterion for criterion, _ in _declared())


def judged(facts: ReportFacts) -> tuple[Criterion, ...]:
    """Every criterion that applies to this fleet: one without a database is not judged by one.

    Each probe's readings are judged by one that is unknown while the probe is blind for long, and all of them by
    the last.
    """
    return tuple(
        Criterion(criterion.name, criterion.title(facts), result.met, result.evidence, result.details)
        for criterion, subject in _declared()
        if _applies(criterion, subject, facts.orders)
        for result in (_result(criterion, subject, facts),)
    )


def _declared() -> Iterator[tuple[SuccessCriterion, Subject | None]]:
    declared = [(criterion, subject) for subject in registered() for criterion in subject.criteria]
    yield from sorted((each for each in declared if each[0].place is not None), key=lambda each: each[0].place or 0)
    yield SERVERS_REACHABLE, None
    yield from (each for each in declared if each[0].place is None)
    yield NOTHING_CRITICAL, None


def _applies(criterion: SuccessCriterion, subject: Subject | None, orders: StandingOrders) -> bool:
    if criterion.applies is not None:
        return bool(criterion.applies(orders))
    return subject is None or subject.name in orders.probes


def _result(criterion: SuccessCriterion, subject: Subject | None, facts: ReportFacts) -> CriterionResult:
    if criterion.judge is not None or subject is None:
        return (criterion.judge or _nothing_critical)(facts)
    unseen = facts.too_blind(subject.name)
    return all_well(facts, criterion.name, [unseen] if unseen else [])


def verdict(criteria: Iterable[Criterion]) -> Verdict:
    met = [criterion.met for criterion in criteria]
    return "NO-GO" if False in met else "UNKNOWN" if None in met else "GO"


def sentence(word: Verdict, criteria: Sequence[Criterion], minutes: float, warnings: Sequence[OpenWarning]) -> str:
    """The verdict in a sentence. A GO names what it leaves open."""
    failed = [c.title for c in criteria if c.met is False]
    open_ = [c.title for c in criteria if c.met is None]
    blind = f" monitord was blind for {humanize.duration(minutes * 60)}." if minutes else ""
    if word == "NO-GO":
        rest = f"; {len(open_)} unknown" if open_ else ""
        return f"{len(failed)} of {len(criteria)} criteria not met{rest}: {_quoted(failed)}.{blind}"
    if word == "UNKNOWN":
        return f"{len(open_)} of {len(criteria)} criteria are unknown: {_quoted(open_)}.{blind}"
    still = humanize.listed([f"{warning.rule} {warning.subject}" for warning in warnings])
    rest = f"; still open: {still}" if still else ""
    return f"Every one of the {len(criteria)} criteria is met{rest}.{blind}"


def _quoted(titles: Sequence[str]) -> str:
    return "; ".join(title[:1].lower() + title[1:] for title in titles)


def _servers(orders: StandingOrders) -> list[Subject]:
    return [subject for subject in registered() if subject.is_server and subject.name in orders.probes]


def _servers_reachable(facts: ReportFacts) -> CriterionResult:
    servers = _servers(facts.orders)
    measured = [subject for server in servers for subject in registered() if subject.server == server.name]
    probes = [subject.name for subject in measured if subject.name in facts.orders.probes]
    return all_well(
        facts,
        SERVERS_REACHABLE.name,
        [f"{_named(probe)}: {why}" for probe in probes if (why := facts.too_blind(probe))],
        blamed=lambda alert: title_of(alert.subject),
        well=f"{_titles(facts.orders)} answered throughout.",
        moments=tuple(_blips(probes, facts)),
    )


def _titles(orders: StandingOrders) -> str:
    return humanize.listed([server.title for server in _servers(orders)])


def _named(probe: str) -> str:
    subject = subject_named(probe)
    what = subject.noun if subject is not None else probe
    return humanize.capital(what)


def _blips(probes: Sequence[str], facts: ReportFacts) -> Iterator[str]:
    """What failed for so short a time that it was no outage."""
    for spell in facts.blind:
        if spell.probe in probes and spell.why == "failed":
            lasted, when = humanize.duration(spell.end - spell.start), humanize.moment(spell.start, facts.until)
            error = f": {spell.error.rstrip('.')}" if spell.error else ""
            yield f"{_named(spell.probe)} could not be measured for {lasted} at {when}{error}."


def _nothing_critical(facts: ReportFacts) -> CriterionResult:
    """No critical alert in the window, be it over: a server that was away for hours fails it, though it is back."""
    if critical := facts.critical():
        details = tuple(described(part, facts, at_worst=True) for part in critical)
        return CriterionResult(False, details[0], details[1:])
    if why := _unwatched_end(facts):
        return CriterionResult(None, why)
    if unseen := [f"{readings_of(probe)}: {facts.too_blind(probe)}" for probe in facts.blind_probes()]:
        return CriterionResult(None, "For too long nobody could have seen one.", tuple(unseen))
    open_ = facts.open_warnings()
    over = [p for p in facts.parts() if p.stands_alone and p.ended_at is not None]
    details = tuple(described(part, facts) for part in open_)
    sentences = [f"{humanize.plural(len(over), 'warning')} came and went: {_named_all(over)}"] if over else []
    sentences += [f"still open: {_named_all(open_)}"] if open_ else []
    return CriterionResult(True, "; ".join(["No critical alert fired", *sentences]) + ".", details)


def _unwatched_end(facts: ReportFacts) -> str:
    blind = sorted({spell.probe for spell in facts.blind if spell.end >= facts.until})
    return f"At the end of the window these could not be measured: {humanize.listed(blind)}." if blind else ""


def _named_all(parts: Iterable[IncidentPart]) -> str:
    return humanize.listed(list(dict.fromkeys(f"{part.alert.rule} {part.alert.subject}" for part in parts)))


SERVERS_REACHABLE = SuccessCriterion(
    SERVERS,
    lambda facts: f"Servers reachable ({_titles(facts.orders)})",
    "every server that is watched answered throughout, as the one it was, and took writes",
    judge=_servers_reachable,
    applies=_servers,
)
NOTHING_CRITICAL = SuccessCriterion(
    "nothing_critical",
    lambda _: "No critical alert fired",
    "no critical alert fired in the window, open or over, silenced or not",
    judge=_nothing_critical,
)
