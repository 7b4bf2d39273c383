"""Each subject's section: how it stands, and that it is off, could not be measured, or not whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from monitord.core.blocks import Block, FactTable, Paragraph, Section
from monitord.core.history.model import History
from monitord.core.humanize import UNKNOWN, sentence
from monitord.core.model import Severity
from monitord.core.orders import StandingOrders
from monitord.core.status import FleetStatus, ProbeStatus, is_behind_server
from monitord.core.subjects import declared
from monitord.core.subjects.base import SectionContext, Subject
from monitord.core.subjects.registry import registered

Marks = Mapping[tuple[str, str], Severity]


@dataclass(frozen=True, slots=True)
class StatusView:
    """A status and what it was judged by: `now` in Unix seconds, `history` if known; `monitor`: its own work."""

    report: FleetStatus
    orders: StandingOrders
    now: float
    history: History | None = None
    monitor: tuple[tuple[str, str], ...] = ()


def subject_sections(view: StatusView) -> Iterator[Section]:
    """In the order of the registry, each of which there is something to say."""
    marks = confirmed(view.report)
    for subject in registered():
        if blocks := tuple(_blocks(subject, view, marks)):
            yield Section(subject.name, subject.heading, blocks)


def confirmed(report: FleetStatus) -> Marks:
    """The worst severity confirmed of each member, by probe and name: what another alert explains is no better."""
    marks: dict[tuple[str, str], Severity] = {}
    for alert in (*report.alerts.firing, *report.alerts.suppressed):
        rule = declared(alert.rule)
        place = (rule.probe, alert.subject)
        if rule.about_member and marks.get(place) != "critical":
            marks[place] = alert.severity
    return marks


def _blocks(subject: Subject, view: StatusView, marks: Marks) -> Iterator[Block]:
    report = view.report
    probe = report.probes.get(subject.name)
    if probe is not None and probe.status == "off":
        # What is off and needs no setting to be so is nowhere: nobody here has any.
        if subject.hint:
            yield Paragraph(subject.hint, "dim")
        return
    # An older monitord saved a status without its own work, and told of its probes all the same.
    is_known = subject.always or all(section.name in report.sections for section in subject.status)
    if not is_known or is_behind_server(subject, report):
        return
    if probe is not None and probe.status == "failed":
        why = f" ({probe.kind})" if probe.kind else ""
        yield Paragraph(sentence(f"Unknown{why}: {probe.error or 'it could not be measured'}"), "unknown")
        if subject.package and any(report.sections[section.name] is None for section in subject.status):
            return  # its status could not be made, or read
    context = SectionContext(
        report,
        view.orders,
        view.now,
        lambda name: marks.get((subject.name, name)),
        view.history,
        tuple(_probes(report)),
        view.monitor,
    )
    for block in subject.section(context):
        if probe is None or probe.status == "ok" or not (_is_blank(block) or _is_said(block, probe)):
            yield block
    for trouble in probe.unmeasured.values() if probe is not None else ():
        yield Paragraph(sentence(f"Unknown: {trouble.error}"), "unknown")


def _is_blank(block: Block) -> bool:
    """Whether it says only that nothing is known, which why it could not be measured says already."""
    return isinstance(block, FactTable) and all(text == UNKNOWN for _, text in block.pairs)


def _is_said(block: Block, probe: ProbeStatus) -> bool:
    text = block.text.removeprefix("Unknown: ").rstrip(".") if isinstance(block, Paragraph) else ""
    return bool(text) and text in (probe.error or "")


def _probes(report: FleetStatus) -> Iterator[tuple[str, ProbeStatus]]:
    for subject in registered():
        probe = report.probes.get(subject.name)
        if probe is None or is_behind_server(subject, report) or (probe.status == "off" and not subject.hint):
            continue
        yield subject.readings, probe
