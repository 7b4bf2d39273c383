"""The success criteria of the standing orders, each met, not met or not to be told, with its evidence.

Not met beats not to be told: a night with a missed epoch is a NO-GO however blind monitord was. What cannot be told is
never taken for met. How much blindness a criterion bears depends on what it rests on: seals and row counters are read
later and still true; memory and states are of the moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from monitord.core import humanize
from monitord.core.report.check_criteria import checks_met
from monitord.core.report.data_criteria import epochs_sealed, growth_steady
from monitord.core.report.facts import ReportFacts, named, told
from monitord.core.report.fleet_criteria import memory_stable, no_restarts, services_online
from monitord.core.report.model import Criterion, OpenWarning, Verdict
from monitord.core.report.server_criteria import host_healthy, servers_reachable, watched_servers
from monitord.core.subjects.registry import readings_of


def judged(facts: ReportFacts) -> tuple[Criterion, ...]:
    """Every criterion, in the order of the standing orders. A fleet without a database is not judged by one.

    Each probe's readings are judged by one that cannot be told while the probe is blind for long, and all of them by
    the last.
    """
    probes = facts.orders.probes
    return (
        services_online(facts),
        *((epochs_sealed(facts),) if "epochs" in probes else ()),
        *((growth_steady(facts),) if "postgres" in probes and facts.orders.tables else ()),
        memory_stable(facts),
        no_restarts(facts),
        *((servers_reachable(facts),) if watched_servers(facts.orders) else ()),
        *((host_healthy(facts),) if "host" in probes else ()),
        *((checks_met(facts),) if "checks" in probes else ()),
        nothing_critical(facts),
    )


def verdict(criteria: Iterable[Criterion]) -> Verdict:
    """NO-GO when one is not met; UNKNOWN when one cannot be told; GO when each is met."""
    met = [criterion.met for criterion in criteria]
    return "NO-GO" if False in met else "UNKNOWN" if None in met else "GO"


def sentence(word: Verdict, criteria: Sequence[Criterion], minutes: float, warnings: Sequence[OpenWarning]) -> str:
    """The verdict in a sentence. A GO names what it leaves open."""
    failed = [c.title for c in criteria if c.met is False]
    open_ = [c.title for c in criteria if c.met is None]
    blind = f" monitord was blind for {humanize.duration(minutes * 60)}." if minutes else ""
    if word == "NO-GO":
        rest = f"; {len(open_)} cannot be told" if open_ else ""
        return f"{len(failed)} of {len(criteria)} criteria not met{rest}: {_quoted(failed)}.{blind}"
    if word == "UNKNOWN":
        return f"{len(open_)} of {len(criteria)} criteria cannot be told: {_quoted(open_)}.{blind}"
    still = humanize.listed([f"{warning.rule} {warning.subject}" for warning in warnings])
    rest = f"; still open: {still}" if still else ""
    return f"Every one of the {len(criteria)} criteria is met{rest}.{blind}"


def _quoted(titles: Sequence[str]) -> str:
    return "; ".join(title[:1].lower() + title[1:] for title in titles)


def nothing_critical(facts: ReportFacts) -> Criterion:
    """No critical alert in the whole night, be it over: a server that was away for hours is not well for being back."""
    name, title = "nothing_critical", "No critical alert fired"
    if critical := facts.critical():
        details = tuple(told(part, facts, at_worst=True) for part in critical)
        return Criterion(name, title, False, details[0], details[1:])
    if why := _unwatched_end(facts):
        return Criterion(name, title, None, why)
    if unseen := [f"{readings_of(probe)}: {facts.too_blind(probe)}" for probe in facts.blind_probes()]:
        return Criterion(name, title, None, "For too long nobody could have seen one.", tuple(unseen))
    open_ = facts.open_warnings()
    over = [p for p in facts.parts() if p.stands_alone and p.ended_at is not None]
    details = tuple(told(part, facts) for part in open_)
    said = [f"{humanize.plural(len(over), 'warning')} came and went: {named(over)}"] if over else []
    said += [f"still open: {named(open_)}"] if open_ else []
    return Criterion(name, title, True, "; ".join(["No critical alert fired", *said]) + ".", details)


def _unwatched_end(facts: ReportFacts) -> str:
    blind = sorted({spell.probe for spell in facts.blind if spell.end >= facts.until})
    return f"At the end of the night these could not be seen: {humanize.listed(blind)}." if blind else ""
