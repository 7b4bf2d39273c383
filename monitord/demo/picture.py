"""A scene as a picture of exactly the terminal's size: lines of rich text, each cut to its width."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from rich.console import Group
from rich.text import Text

from monitord.core import humanize
from monitord.core.subjects.check_rules import with_unit
from monitord.demo.scene import Fields, Scene, SceneEntry
from monitord.reporting.terminal import clean

STYLES = {
    "ok": "green",
    "warning": "yellow",
    "critical": "bold red",
    "unknown": "magenta",
    "dim": "dim",
    "bold": "cyan",
}
DOTS = {True: ("●", "green"), False: ("●", "bold red"), None: ("○", "magenta")}
# What a picture of this width shows, a wider one shows too.
NARROW = 80
BESIDE = "   "
# A name has so much room, where there is so much; more only where one needs it.
NAME = 26
LABEL = 13
FEWEST_STORY = 3
# (title, width, numbers stand to the right, the narrowest picture that has room for it)
COLUMNS = (
    ("STATE", 9, False, 0),
    ("EXPECTED", 9, False, 70),
    ("MEMORY", 8, True, 50),
    ("CPU", 6, True, 60),
    ("UPTIME", 10, True, 50),
    ("RESTARTS", 9, True, 60),
)


def picture(scene: Scene, width: int, height: int) -> Group:
    lines = [_head(scene, width), _cut(Text(clean(scene.stage), "bold"), width)]
    report = scene.report
    if report is not None:
        room = max(3, height - len(lines) - 2 - FEWEST_STORY)
        left = _beside(scene, report, width)
        lines += _wide(scene, report, width, left, room) if left else _narrow(scene, report, width, room)
    lines += _alerts(scene, width, most=max(1, min(4, height - len(lines) - 2 - FEWEST_STORY)))
    left = height - len(lines)
    if left >= 2:
        lines += [_title("What happened", width), *_story(scene.story, width, left - 1)]
    lines += [Text()] * (height - len(lines))
    return Group(*lines[:height])


def _narrow(scene: Scene, report: Fields, width: int, room: int) -> list[Text]:
    measures = [_title(_measured(scene), width), *_measures(scene, report, width)]
    services = _services(report, width, most=max(2, room - len(measures) - 2))
    return (services + measures)[:room]


def _beside(scene: Scene, report: Fields, width: int) -> int:
    """How wide the services stand beside the measures; 0 where one of both would lack what a narrow picture has."""
    longest = max((len(clean(name)) for name in report["services"]), default=0)
    left = max(2 + longest + 2 + sum(column[1] for column in COLUMNS), *(column[3] for column in COLUMNS))
    measures = max((len(line.plain.rstrip()) for line in _measures(scene, report, NARROW)), default=0)
    return left if left + len(BESIDE) + measures <= width else 0


def _wide(scene: Scene, report: Fields, width: int, left: int, room: int) -> list[Text]:
    right = width - left - len(BESIDE)
    left_lines = _services(report, left, most=max(2, room - 2))
    right_lines = [_title(_measured(scene), right), *_measures(scene, report, right)]
    both = zip_longest(left_lines, right_lines, fillvalue=Text())
    return [Text.assemble(_cut(service, left, pad=True), BESIDE, measure) for service, measure in both][:room]


def _head(scene: Scene, width: int) -> Text:
    style = STYLES.get(scene.status, "magenta")
    left = Text.assemble(("monitord demo ", "bold"), (f" {clean(scene.status).upper()} ", f"{style} reverse"))
    seal = f"next seal in {scene.next_seal}   " if scene.has_epochs else ""
    right = f"{seal}{datetime.fromtimestamp(scene.now, UTC):%H:%M:%S} UTC"
    left = _cut(left, max(0, width - len(right) - 1), pad=True)
    left.append(f" {right}", "dim")
    return _cut(left, width)


def _measured(scene: Scene) -> str:
    return "Growth, sealing, Redis, host" if scene.has_epochs else "Growth, Redis, host, checks"


def _title(title: str, width: int) -> Text:
    return Text.assemble((title, "bold cyan"), (" " + "─" * max(0, width - len(title) - 1), "dim"))


def _services(report: Fields, width: int, most: int) -> list[Text]:
    columns = [column for column in COLUMNS if width >= column[3]]
    longest = max((len(clean(name)) for name in report["services"]), default=0)
    name_width = max(8, min(max(NAME, longest + 2), width - 2 - sum(column[1] for column in columns) - 1))
    header = Text("  " + "SERVICE".ljust(name_width), "dim")
    for title, wide, right, _ in columns:
        header.append(title.rjust(wide) if right else title.ljust(wide))
    lines = [_cut(header, width)]
    services = list(report["services"].items())
    for name, service in services[:most]:
        dot, style = DOTS[service["ok"]]
        line = Text.assemble((dot, style), " ")
        line.append_text(_cut(_cut(Text(clean(name)), name_width - 1), name_width, pad=True))
        cells = _service_cells(service)
        for title, wide, right, _ in columns:
            line.append_text(_cell(cells[title], wide, right))
        lines.append(_cut(line, width))
    if len(services) > most:
        lines.append(_cut(Text(f"  and {len(services) - most} more", "dim"), width))
    if not services:
        lines.append(Text("  none", "dim"))
    return lines


def _service_cells(service: Fields) -> dict[str, Text]:
    state_style = {True: "", False: "bold red", None: "magenta"}[service["ok"]]
    restarts = service["restarts_recent"]
    resting = service["state"] not in ("online", None)  # what does not run uses nothing: that is not unknown
    nothing = Text("–", "dim") if resting else Text("?", "magenta")
    return {
        "STATE": Text(clean(service["state"] or "unknown"), state_style),
        "EXPECTED": Text(clean(service["expected"] or "–"), "dim"),
        "MEMORY": _said(humanize.size, service["memory_bytes"], nothing),
        "CPU": _said(lambda percent: f"{percent:.0f}%", service["cpu_percent"], nothing),
        "UPTIME": _said(lambda seconds: humanize.duration(round(seconds)), service["uptime_seconds"], nothing),
        "RESTARTS": Text("?", "magenta") if restarts is None else Text(str(restarts), "yellow" if restarts else ""),
    }


def _cell(text: Text, width: int, right: bool) -> Text:
    text = _cut(text, width - 1)
    space = " " * (width - text.cell_len)
    return Text.assemble(space, text) if right else Text.assemble(text, space)


def _measures(scene: Scene, report: Fields, width: int) -> list[Text]:
    rows: list[tuple[str, list[tuple[str, bool]]]] = []
    rows += [(name, _growth(table, scene.growth_window)) for name, table in report["growth"].items()]
    rows += [(group, _seals(seals)) for group, seals in report["epochs"].items()]
    rows.append(("Redis", _redis(report["redis"])))
    rows += [(name, _check(check)) for name, check in report["checks"].items()]
    host = report["host"]
    free = (f"memory {_or(humanize.size, host['memory_available_bytes'])} free", False)
    for path, disk in host["disks"].items():
        used = _or(lambda percent: f"{percent:.0f}%", disk["used_percent"])
        rows.append(
            ("Disk", [(f"{used} used, {_or(humanize.size, disk['free_bytes'])} free", True), free, (path, False)])
        )
    return [_measure(label, parts, width) for label, parts in rows]


def _growth(table: Fields, window: str) -> list[tuple[str, bool]]:
    return [
        (f"{_or(humanize.count, table['rows'])} rows", True),
        (f"{_or(humanize.count, table['rows_per_hour'])}/h", True),
        (f"{_or(humanize.count, table['window_rows'])} in {window}", True),
        (_or(humanize.size, table["total_bytes"]), False),
    ]


def _seals(seals: Fields) -> list[tuple[str, bool]]:
    latest, missed = seals["latest"], seals["missed"]
    return [
        ("?" if latest is None else str(latest), True),
        ("" if latest is None else f"({datetime.fromtimestamp(latest, UTC):%H:%M:%S})", False),
        (f"age {_or(lambda age: humanize.duration(round(age)), seals['seal_age_seconds'])}", True),
        (f"missed {'?' if missed is None else len(missed)}", True),
        (f"{_or(humanize.count, seals['channels_sealed'])} channels", True),
    ]


def _check(check: Fields | None) -> list[tuple[str, bool]]:
    if check is None:
        return [("?", True)]
    value = "" if check["value"] is None else with_unit(check["value"], check["unit"])
    return [(str(check["status"]), True), (check["error"] or value, False)]


def _redis(redis: Fields) -> list[tuple[str, bool]]:
    parts = [
        (f"{_or(humanize.count, redis['keys'])} keys", True),
        (f"{_or(lambda ms: f'{ms:.1f}', redis['latency_ms'])} ms", True),
        (_or(humanize.size, redis["memory_bytes"]), False),
    ]
    for name, queue in redis["queues"].items():
        parts.append((f"{name} {_or(humanize.count, queue['waiting'])} waiting", True))
        parts.append((f"{_or(humanize.count, queue['active'])} active", False))
    return parts


def _measure(label: str, parts: Sequence[tuple[str, bool]], width: int) -> Text:
    kept = [part for part in parts if part[0]]
    while len("   ".join(text for text, _ in kept)) > width - LABEL:
        spare = [part for part in kept if not part[1]]
        if not spare:
            break
        kept.remove(spare[-1])
    line = _cut(Text.assemble((clean(label), "bold")), LABEL - 1, pad=True)
    line.append(" ")
    for number, (text, _) in enumerate(kept):
        line.append(("   " if number else "") + clean(text), "magenta" if "?" in text else "")
    return _cut(line, width)


def _alerts(scene: Scene, width: int, most: int) -> list[Text]:
    firing = scene.report["alerts"]["firing"] if scene.report is not None else []
    shown = {(alert["rule"], alert["subject"]) for alert in firing}
    lines = [_alert(alert, str(alert["severity"]), STYLES.get(str(alert["severity"]), ""), width) for alert in firing]
    waiting = [alert for alert in scene.pending if (alert["rule"], alert["subject"]) not in shown]
    lines += [_alert(alert, "pending", "dim", width) for alert in waiting]
    if len(lines) > most:
        hidden = len(lines) - most + 1
        lines = [*lines[: most - 1], Text(f"and {hidden} more", "dim")]
    return [_title("Alerts", width), *(lines or [Text("none", "dim")])]


def _alert(alert: Fields, state: str, style: str, width: int) -> Text:
    line = Text.assemble((f"{clean(state):9}", style), (clean(f"{alert['rule']} "), "bold"))
    line.append(clean(str(alert["summary"])))
    return _cut(line, width)


def _story(story: Sequence[SceneEntry], width: int, most: int) -> list[Text]:
    lines = []
    for entry in story[-most:] if most else ():
        text = clean(str(entry))
        lines.append(_cut(Text.assemble((text[:9], "dim"), (text[9:], STYLES[entry.style])), width))
    return lines


def _said(say: Callable[[float], str], value: Any, otherwise: Text) -> Text:
    return otherwise.copy() if value is None else Text(say(value))


def _or(say: Callable[[float], str], value: Any) -> str:
    return "?" if value is None else say(value)


def _cut(text: Text, width: int, *, pad: bool = False) -> Text:
    """The text on one line of at most (or, padded, exactly) `width` cells."""
    text = text.copy()
    text.no_wrap, text.overflow = True, "ellipsis"
    text.truncate(max(0, width), overflow="ellipsis", pad=pad)
    return text
