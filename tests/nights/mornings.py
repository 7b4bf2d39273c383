"""The morning after a night that was played: looked back on, and held against what its file says of it.

morning(night)                          # all of a simulated night, as of its end
morning(night, hours=12)                # its last hours
morning(night, since=then, until=now)   # as it would have been told in the midst of it
"""

from __future__ import annotations

from collections.abc import Iterator

from monitord.core.engine import State
from monitord.core.model import Transition
from monitord.core.report.builder import RecordedCycle, build_report
from monitord.core.report.model import Report as Report
from tests.core.nights import Night

from .files import Morning


def morning(
    night: Night, *, hours: float | None = None, since: float | None = None, until: float | None = None
) -> Report:
    """The report of a night from `since` to `until` (Unix seconds, by the fleet's clock), as it is recorded.

    Without `until`: as of now. Without `since`: of the last `hours`, or of all that was looked at.
    """
    until = night.clock.now if until is None else until
    looks = [look for look in night.looks if look.at <= until]
    if since is None:
        since = until - hours * 3600 if hours is not None else min((look.at for look in looks), default=until)
    # monitord's own clock may differ from the fleet's, and the record has its times.
    ahead = looks[-1].observation.now.timestamp() - looks[-1].at if looks else 0.0
    state = looks[-1].decision.state if looks else State()
    before = since - night.orders.late_after.total_seconds()  # as monitord.reporting.report_builder reads the record
    recorded = RecordedCycle(
        observations=[look.observation for look in looks if look.at >= before],
        transitions=_lived([t for look in looks for t in look.decision.transitions], state, since + ahead),
        state=state,
    )
    return build_report(recorded, night.orders, since + ahead, until + ahead)


def _lived(edges: list[Transition], state: State, since: float) -> list[Transition]:
    """The edges from `since` on, and all earlier ones of the alerts that lived then."""
    wanted = {alert.id for alert in state.alerts.values()}
    wanted |= {edge.alert.id for edge in edges if edge.at.timestamp() >= since}
    return [edge for edge in edges if edge.alert.id in wanted]


def differences(wanted: Morning, report: Report) -> Iterator[str]:
    """In what a report is not what it was to be, a line each."""
    if report.verdict != wanted.verdict:
        yield f"the verdict is {report.verdict}, not {wanted.verdict}: {report.sentence}"
    found = {criterion.name: criterion for criterion in report.criteria}
    for name, met in wanted.criteria.items():
        criterion = found.get(name)
        if criterion is None:
            yield f"{name} is not judged"
        elif criterion.met is not met:
            yield f"{name} is {_WORDS[criterion.met]}, not {_WORDS[met]}: {criterion.evidence}"
    yield from (f"{name} is judged: {found[name].evidence}" for name in wanted.without if name in found)
    said = " ".join([report.sentence, *(part for c in report.criteria for part in (c.title, c.evidence, *c.details))])
    yield from (f"does not say {part!r}: {said}" for part in wanted.text if part not in said)
    if wanted.blind is not None and not wanted.blind[0] <= report.blind_minutes <= wanted.blind[1]:
        yield f"was blind for {report.blind_minutes} minutes, not {wanted.blind[0]} to {wanted.blind[1]}"


_WORDS = {True: "met", False: "not met", None: "unknown"}
