"""A report as a monitoring plugin says it, by the plugin guidelines; `U` is what was not measured."""

from collections.abc import Iterable, Iterator
from typing import Final

from monitord.core.orders import StandingOrders
from monitord.core.status import FleetStatus, verdict
from monitord.core.subjects.base import PerfDatum, Subject
from monitord.core.subjects.registry import registered
from monitord.reporting.terminal import clean, clip

# Nagios keeps 8 kB of what a plugin says: what is past that would be cut in the middle of a word.
_SUMMARY_CELLS: Final = 300
_BYTES: Final = 8000
_PERFDATA_BYTES: Final = 6000
_NOT_IN_TEXT: Final = str.maketrans({"|": "/"})
_NOT_IN_LABELS: Final = str.maketrans({"|": "_", "'": "_", "=": "_", '"': "_", ";": "_", "\\": "_"})


def nagios(report: FleetStatus, orders: StandingOrders, duration_ms: float) -> str:
    """Whoever prints it exits 0, 1, 2 or 3 for OK, WARNING, CRITICAL or UNKNOWN."""
    first = f"MONITORD {report.status.upper()} - {_plain(_summary(report))}"
    line = f"{first} | {' '.join(_fitting(_perfdata(report, orders, duration_ms), _PERFDATA_BYTES))}"
    alerts = (_plain(f"{it.severity.upper()} {it.rule} {it.subject}: {it.summary}") for it in report.alerts.firing)
    return "\n".join((line, *_fitting(alerts, _BYTES - len(line.encode())))) + "\n"


def _fitting(texts: Iterable[str], room: int) -> Iterator[str]:
    """Of a thousand services the first ones matter more than half a number."""
    for text in texts:
        room -= len(text.encode()) + 1
        if room < 0:
            return
        yield text


def _summary(report: FleetStatus) -> str:
    firing = report.alerts.firing
    return f"{firing[0].summary} (and {len(firing) - 1} more)" if len(firing) > 1 else verdict(report)


def _plain(text: str) -> str:
    """On one line, and without the bar that would end the text."""
    return clip(text.translate(_NOT_IN_TEXT), _SUMMARY_CELLS)


def _perfdata(report: FleetStatus, orders: StandingOrders, duration_ms: float) -> Iterator[str]:
    """What a graph is worth drawing of; subjects of which there may be a thousand members, since learned, come last."""
    yield _datum(PerfDatum("alerts_firing", len(report.alerts.firing), minimum="0"))
    yield _datum(PerfDatum("check_duration", duration_ms, "ms", minimum="0"))
    for subject in sorted(registered(), key=_place):
        probe = report.probes.get(subject.name)
        if probe is None or probe.status != "off":
            for datum in subject.perfdata(report, orders):
                yield _datum(datum)


def _place(subject: Subject) -> int:
    """The machine's own figures first, those that are learned last."""
    return 2 if subject.members and subject.member_sample is None else 1 if subject.server else 0


def _datum(datum: PerfDatum) -> str:
    """One `'label'=value[UOM];warn;crit;min;max`, without the semicolons that nothing follows."""
    subject, _, part = clean(datum.label).translate(_NOT_IN_LABELS).rpartition(" ")
    name = f"{clip(subject, 80)} {part}" if subject else part
    measured = "U" if datum.value is None else f"{_number(datum.value)}{datum.unit}"
    return f"'{name}'={measured};{datum.limits};{datum.minimum};{datum.maximum}".rstrip(";")


def _number(value: float) -> str:
    """Digits and a point only: an exponent is no number to a plugin's reader."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
