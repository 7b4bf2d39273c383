"""A report as text: what was measured, section by section, and the verdict. What is not known says so, and why.

The report comes as the fields of `check_completed`, so that a fresh check and one read from a snapshot look the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Protocol

from monitord.core import humanize
from monitord.core.blocks import Block, Style
from monitord.core.history import mounts
from monitord.core.model import Severity
from monitord.core.status import Fields, verdict
from monitord.core.subjects import declared
from monitord.core.subjects.base import SectionContext, Subject
from monitord.core.subjects.registry import hint_of, not_watched, registered, section_of
from monitord.reporting.terminal import MARKS, Terminal, block_lines, clean, table

UNKNOWN: Final = "unknown"

Marks = Mapping[tuple[str, str], Severity]
NOTHING: Final = "–"


def text(fields: Fields, heading: str, screen: Terminal, notes: tuple[str, ...] = ()) -> str:
    """The whole report for people.

    Args:
        fields: The fields of `check_completed`.
        heading: The first line: whose report this is, and of when.
        screen: Where it is to be read.
        notes: Sentences to say before the verdict.
    """
    marks = _marks(fields)
    sections = (
        ("Services", "pm2", _services),
        ("Database growth", "postgres", _growth),
        ("Epoch sealing", "epochs", _epochs),
        ("Redis", "redis", _redis),
        ("Current epoch", "epochs", _current_epoch),
        ("Host", "host", _host),
    )
    lines = screen.wrapped(heading, indent="")
    for title, probe, section in sections:
        state: Fields = fields["probes"][probe]
        # What is off and needs no setting to be so is in no table: nobody here has any.
        if probe == "epochs" and not fields["epochs"]:
            continue
        lines += ["", screen.paint(title, "bold")]
        if state["status"] == "off":
            lines += [screen.paint(line, "dim") for line in screen.wrapped(not_watched(probe))]
            continue
        if section is _current_epoch:
            lines += section(fields, marks, screen)
            continue
        lines += [*_failed(state, screen), *section(fields, marks, screen), *_unmeasured(state, screen)]
    for subject, blocks in added_sections(fields):
        state = fields["probes"][subject.name]
        lines += ["", screen.paint(clean(subject.heading), "bold")]
        if state["status"] == "off":
            lines += [screen.paint(line, "dim") for line in screen.wrapped(not_watched(subject.name))]
            continue
        told = [line for block in blocks for line in block_lines(block, screen, "  ")]
        lines += [*_failed(state, screen), *told, *_unmeasured(state, screen)]
    for note in notes:
        lines += ["", *screen.wrapped(note, indent="")]
    lines += ["", *verdict_lines(fields, screen)]
    return "\n".join(lines) + "\n"


def _failed(state: Fields, screen: Terminal) -> list[str]:
    """Why a probe could not measure, where it could not."""
    if state["status"] != "failed":
        return []
    why = f" ({state['kind']})" if state.get("kind") else ""
    sentence = _sentence(f"Unknown{why}: {state.get('error') or 'it could not be measured'}")
    return [screen.paint(line, "unknown") for line in screen.wrapped(sentence)]


def _unmeasured(state: Fields, screen: Terminal) -> Iterator[str]:
    """What a probe could not measure though its server answered."""
    for gap in (state.get("unmeasured") or {}).values():
        for line in screen.wrapped(_sentence(f"Unknown: {gap['error']}")):
            yield screen.paint(line, "unknown")


def added_sections(fields: Fields) -> Iterator[tuple[Subject, tuple[Block, ...]]]:
    """The subjects that say their section themselves, and what they say of the fields of a status document.

    What is off and needs no setting to be so is in none.
    """
    marks = _marks(fields)
    for subject in registered():
        state = fields["probes"].get(subject.name)
        if subject.section is None or state is None or (state["status"] == "off" and not hint_of(subject.name)):
            continue
        context = SectionContext(fields, partial(_severity, marks, subject.members_section))
        yield subject, subject.section(context)


def _severity(marks: Marks, section: str, name: str) -> Severity | None:
    return marks.get((section, name))


def _marks(fields: Fields) -> Marks:
    """(room, subject) -> the worst severity confirmed of it: what another alert explains is no better for it."""
    marks: dict[tuple[str, str], Severity] = {}
    for alert in (*fields["alerts"]["firing"], *fields["alerts"]["suppressed"]):
        rule = declared(alert["rule"])
        if not rule.about_member:
            continue
        place = (section_of(rule.probe), alert["subject"])
        severity: Severity = alert["severity"]
        if marks.get(place) != "critical":
            marks[place] = severity
    return marks


def _services(fields: Fields, marks: Marks, screen: Terminal) -> list[str]:
    if not fields["services"]:
        return ["  PM2 runs no services."] if fields["probes"]["pm2"]["status"] == "ok" else []
    rows: list[tuple[Style | None, list[str]]] = []
    for name, service in fields["services"].items():
        style = marks.get(("services", name)) or _told(service["ok"])
        instances = service.get("instances")
        rows.append(
            (
                style,
                [
                    MARKS[style],
                    f"{name} ({instances} instances)" if instances and instances > 1 else name,
                    service["state"] or UNKNOWN,
                    service["expected"] or NOTHING,
                    _said(humanize.size, service["memory_bytes"]),
                    _said(humanize.duration, service["uptime_seconds"]),
                    _said(humanize.count, service["restarts_recent"]),
                ],
            )
        )
    header = ("", "NAME", "STATE", "EXPECTED", "MEMORY", "UPTIME", "RESTARTS")
    return table(screen, header, rows, right=frozenset({4, 5, 6}), flexible=(1, 2))


def _told(ok: bool | None) -> Style:
    return "unknown" if ok is None else "ok" if ok else "warning"


def _growth(fields: Fields, marks: Marks, screen: Terminal) -> list[str]:
    measured = fields["probes"]["postgres"]["status"] == "ok"
    rows: list[tuple[Style | None, list[str]]] = []
    waiting = False
    for name, found in fields["growth"].items():
        known = measured and found["total_bytes"] is not None
        style: Style = marks.get(("growth", name)) or ("ok" if known else "unknown")
        rate, gained = found["rows_per_hour"], found["window_rows"]
        waiting |= known and rate is None
        estimate = "" if found["exact"] else "~"
        rows.append(
            (
                style,
                [
                    MARKS[style],
                    name,
                    UNKNOWN if found["rows"] is None else estimate + humanize.count(found["rows"]),
                    _said(humanize.count, rate, "not yet" if known else UNKNOWN),
                    _said(humanize.count, gained, "not yet" if known else UNKNOWN),
                    _said(humanize.size, found["total_bytes"], UNKNOWN),
                ],
            )
        )
    lines = table(screen, ("", "TABLE", "ROWS", "PER HOUR", "IN WINDOW", "SIZE"), rows, right=frozenset({2, 3, 4, 5}))
    if waiting:
        lines += screen.wrapped("A rate needs two readings; the daemon (monitord run) takes and keeps them.")
    database = fields["database"]
    if measured:
        lines += screen.wrapped(
            f"Database {_said(humanize.size, database['bytes'], 'of unknown size')}, "
            f"{_said(humanize.count, database['connections'], 'unknown')} connections, "
            f"answered in {_milliseconds(database['response_ms'])}."
        )
        if largest := database["largest_tables"]:
            sizes = ", ".join(f"{t['table']} {_said(humanize.size, t['bytes'], UNKNOWN)}" for t in largest)
            lines += screen.wrapped(f"Largest: {sizes}.", hanging="    ")
    return lines


def _epochs(fields: Fields, marks: Marks, screen: Terminal) -> list[str]:
    measured = fields["probes"]["epochs"]["status"] == "ok"
    together = marks.get(("epochs", "epochs"))
    rows: list[tuple[Style | None, list[str]]] = []
    missing: list[str] = []
    for group, found in fields["epochs"].items():
        style: Style = marks.get(("epochs", group)) or together or ("ok" if measured else "unknown")
        absent = "none" if measured else UNKNOWN
        missed = found["missed"]
        rows.append(
            (
                style,
                [
                    MARKS[style],
                    group,
                    absent if found["latest"] is None else _label(found["latest"]),
                    _said(humanize.duration, found["seal_age_seconds"], absent),
                    UNKNOWN if missed is None else "all" if found["latest"] is None else str(len(missed)),
                    _said(humanize.count, found["channels_sealed"], absent),
                ],
            )
        )
        if missed:
            missing += screen.wrapped(
                f"{group} has no seal of {humanize.listed([_label(label) for label in missed])}.", hanging="    "
            )
    header = ("", "GROUP", "NEWEST SEALED EPOCH", "SEAL AGE", "MISSED", "CHANNELS")
    return table(screen, header, rows, right=frozenset({3, 4, 5}), flexible=(1, 2)) + missing


def _redis(fields: Fields, marks: Marks, screen: Terminal) -> list[str]:
    redis = fields["redis"]
    lines: list[str] = []
    if fields["probes"]["redis"]["status"] == "ok":
        lines += screen.wrapped(
            f"Connected: {_said(humanize.count, redis['keys'], 'an unknown number of')} keys, "
            f"{_said(humanize.size, redis['memory_bytes'], 'an unknown amount of')} memory, "
            f"answered in {_milliseconds(redis['latency_ms'])}."
        )
    parts = ("waiting", "active", "delayed", "failed")
    rows: list[tuple[Style | None, list[str]]] = []
    for name, queue in redis["queues"].items():
        style: Style = marks.get(("redis", name)) or ("unknown" if queue["waiting"] is None else "ok")
        rows.append((style, [MARKS[style], name, *(_said(humanize.count, queue[part], UNKNOWN) for part in parts)]))
    if rows:
        lines += table(screen, ("", "QUEUE", *(p.upper() for p in parts)), rows, right=frozenset({2, 3, 4, 5}))
    return lines


def _current_epoch(fields: Fields, _: Marks, screen: Terminal) -> list[str]:
    epoch = fields["current_epoch"]
    return screen.wrapped(f"Now   {_label(epoch['epoch'])}") + screen.wrapped(
        f"Next  {_label(epoch['next'])}, in {humanize.duration(epoch['seconds_until_next'])}"
    )


def _host(fields: Fields, marks: Marks, screen: Terminal) -> list[str]:
    host = fields["host"]
    rows: list[tuple[Style | None, list[str]]] = []
    has_inodes = any(disk.get("inodes_used_percent") is not None for disk in host["disks"].values())
    for path, disk in host["disks"].items():
        style: Style = marks.get(("host", path)) or ("unknown" if disk["used_percent"] is None else "ok")
        used = UNKNOWN if disk["used_percent"] is None else f"{disk['used_percent']:.1f}%"
        free = _said(humanize.size, disk["free_bytes"], UNKNOWN)
        nodes = _said(lambda value: f"{value:.1f}%", disk.get("inodes_used_percent"))
        rows.append((style, [MARKS[style], path, used, free, *([nodes] if has_inodes else [])]))
    heads = ("", "DISK", "USED", "FREE", *(["INODES USED"] if has_inodes else []))
    lines = table(screen, heads, rows, right=frozenset({2, 3, 4})) if rows else []
    for sentence in mounts.said_of(host["disks"]):
        lines += screen.wrapped(f"{sentence}.")
    memory = _said(humanize.size, host["memory_available_bytes"], UNKNOWN)
    swap = UNKNOWN if host["swap_percent"] is None else f"{host['swap_percent']:.0f}%"
    load = UNKNOWN if host["load"] is None else " ".join(f"{value:.2f}" for value in host["load"])
    where = " in the container" if host.get("memory_available_of") == "cgroup" else ""
    return lines + screen.wrapped(f"Memory available{where} {memory}, swap used {swap}, load {load}.")


def _said(say: Callable[[float], str], value: float | None, otherwise: str = NOTHING) -> str:
    return otherwise if value is None else say(value)


def _sentence(text: str) -> str:
    return text.rstrip(".") + "."


def _milliseconds(value: float | None) -> str:
    return "an unknown time" if value is None else f"{value:.1f} ms"


def _label(epoch: int) -> str:
    """`1762308000 (Nov 5, 02:00 UTC)`."""
    moment = datetime.fromtimestamp(epoch, UTC)
    return f"{epoch} ({moment:%b} {moment.day}, {humanize.clock(epoch)})"


EXIT_CODES: Final[dict[str, int]] = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}


def verdict_lines(fields: Fields, screen: Terminal) -> Iterator[str]:
    """The status with every alert that fires and what to do about it."""
    status: Style = fields["status"]
    several = len(fields["alerts"]["firing"]) > 1
    for line in screen.wrapped(f"{status.upper()}: {verdict(fields)}", indent=""):
        yield screen.paint(line, status)
    for alert in fields["alerts"]["firing"]:
        severity: Style = alert["severity"]
        if several:
            mark = f"  {MARKS[severity]:4}  "
            first, *more = screen.wrapped(str(alert["summary"]), indent=mark, hanging=" " * len(mark)) or [mark]
            yield from ("", screen.paint(mark, severity) + first[len(mark) :], *more)
        indent = " " * 8 if several else "  "
        if alert["recommendation"]:
            yield from screen.wrapped(str(alert["recommendation"]), indent=indent)
        if (acked := alert.get("acked_at")) is not None:  # a report that an older monitord saved has none
            yield from screen.wrapped(f"Acknowledged at {humanize.clock(acked.timestamp())}.", indent=indent)
    for alert in fields["alerts"]["suppressed"]:
        by = alert.get("silenced_by")
        why = f"Silenced by {by}, and not told" if by else "Explained, and not told by itself"
        yield from screen.wrapped(f"{why}: {alert['summary']}")


class CheckRhythm(Protocol):
    """How often there is a cycle, and how long a probe may take: of the settings, or of a daemon's record of them."""

    @property
    def check_interval(self) -> timedelta:
        """One cycle in so long."""

    @property
    def probe_timeout(self) -> timedelta:
        """The deadline of each probe."""


def stale_after(rhythm: CheckRhythm) -> timedelta:
    """The age at which a report no longer tells of the present: a late cycle, and one interval more."""
    return max(3 * rhythm.check_interval, 2 * rhythm.probe_timeout) + rhythm.check_interval
