"""A report as headings, sentences and tables: the same facts in the same order in each of its forms."""

from monitord.core.alerting.escalation import annotations_of
from monitord.core.alerting.incidents import Incident, IncidentPart
from monitord.core.blocks import Block, Bullets, Checklist, FactTable, Item, Paragraph, Section, Style, Verbatim
from monitord.core.humanize import plural, sentence
from monitord.core.report.model import Report
from monitord.core.report.wording import PREPARED, at, ending, evidence, met, spell


def criteria(report: Report) -> Section:
    items = tuple(
        Item(*met(found), found.title, tuple(sentence(text) for text in (found.evidence, *found.details) if text))
        for found in report.criteria
    )
    return Section(
        "criteria", "Success criteria", (Checklist(items) if items else Paragraph("No criteria were judged."),)
    )


def preparation(report: Report) -> Section:
    items = tuple(
        Item(
            PREPARED[line.state], line.state.upper() if line.state == "not done" else line.state, line.title, sentences
        )
        for line in report.preparation
        for sentences in (tuple(sentence(one) for one in line.sentences),)
    )
    return Section("preparation", "Before the on-chain test", (Checklist(items),))


def still_open(report: Report) -> Section:
    """The warnings that fire as the window ends: a GO leaves them to whoever reads it."""
    items: list[tuple[Style | None, str]] = []
    for found in report.open_warnings:
        quiet = f", silenced by {found.silenced_by}" if found.silenced_by else ""
        when = f"{_name(found.rule, found.subject)}, since {at(found.since, report)}{quiet}"
        items.append(("warning", f"{when}. {sentence(found.summary)}"))
    return Section("open", f"Warnings still open ({len(items)})", (Bullets(tuple(items)),))


def incidents(report: Report) -> Section:
    if not report.incidents:
        return Section("incidents", "Incidents", (Paragraph("None."),))
    parts = tuple(_incident(number, found, report) for number, found in enumerate(report.incidents, 1))
    return Section("incidents", f"Incidents ({len(parts)})", parts=parts)


def _incident(number: int, found: Incident, report: Report) -> Section:
    alert = found.cause
    fired = "it never fired" if found.fired_at is None else f"fired at {at(found.fired_at, report)}"
    fired += f"; silenced by {found.silenced_by}" if found.silenced_by else ""
    others = [part for part in found.parts if part.alert.id != alert.id]
    pairs = [
        ("Cause", sentence(alert.finding.summary)),
        *([("Flapping", f"it came {alert.flaps} times")] if alert.flaps else []),
        ("First sign", f"{at(found.first_sign, report)}; {fired}"),
        ("Ended", ending(found, report)),
        *(
            ("Evidence", "; ".join(f"{name}: {value}" for name, value in known))
            for known in [evidence(found.cause.finding, report)]
            if known
        ),
        ("To do", sentence(alert.finding.recommendation) if alert.finding.recommendation else "nothing is recommended"),
        *annotations_of(alert.finding),
    ]
    blocks: list[Block] = [FactTable(tuple(pairs))]
    before = [part for part in others if part.reason.startswith("replaced_by")]
    explained = [part for part in others if part not in before]
    for heading, parts in (("Before that it was", before), ("It explains", explained)):
        if parts:
            blocks += [
                Paragraph(f"{heading} {plural(len(parts), 'alert')}:"),
                Bullets(tuple(_bullet(part, report) for part in parts)),
            ]
    if text := report.escalations.get(found.id):
        blocks.append(Verbatim("Escalation text", text, urgent=found.ended_at is None))
    title = f"{number}. {_name(alert.rule, alert.subject)}" + (" (still open)" if found.ended_at is None else "")
    return Section(f"incident-{number}", title, tuple(blocks), style=found.severity, is_over=found.ended_at is not None)


def _bullet(part: IncidentPart, report: Report) -> tuple[Style, str]:
    alert = part.alert
    text = f"{_name(alert.rule, alert.subject)}, {spell(part, report)}. {sentence(alert.finding.summary)}"
    return alert.severity, text


def _name(rule: str, subject: str) -> str:
    return f"{rule}: {subject}"
