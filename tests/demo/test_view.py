"""What the demonstration shows: the picture, the plain lines, the tally, and where they go."""

import io
import os
import pty
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from monitord.demo.child import FiredAlert
from monitord.demo.picture import picture
from monitord.demo.scenario import FAULTS
from monitord.demo.scene import Scene, SceneEntry, status_line
from monitord.demo.tally import FaultOutcome, TourTally, tally_lines
from monitord.demo.view import DemoView, LiveView, Outlet, view
from monitord.reporting.terminal import Terminal

NOW = 1_795_465_116.0
SIZES = [(80, 24), (140, 40), (120, 30), (60, 20), (40, 12), (20, 5), (250, 70)]
ALERT = {
    "alert_id": "a1",
    "rule": "service_down",
    "subject": "gateway",
    "severity": "critical",
    "summary": "gateway is stopped; it is expected to be online.",
}


def service(state: str, expected: str = "online", **more: Any) -> dict[str, Any]:
    measured: dict[str, Any] = {"memory_bytes": 37_175_296, "cpu_percent": 1.0, "uptime_seconds": 9.0}
    if state != "online":
        measured = dict.fromkeys(measured)
    return {"state": state, "expected": expected, **measured, "restarts_recent": 0, "ok": True, "instances": 1} | more


def recorded(**changes: Any) -> dict[str, Any]:
    """A `cycle_completed` as it was recorded from the demonstration's fleet."""
    names = ("cls-worker", "milo-aggregator", "milo-worker-v2", "stream-listener", "tree-builder")
    return {
        "event": "cycle_completed",
        "message": "All well: 7 of 7 services are as expected.",
        "status": "ok",
        "duration_ms": 39.03,
        "probes": {
            name: {"status": "ok", "duration_ms": 5.3} for name in ("pm2", "postgres", "epochs", "redis", "host")
        },
        "services": {
            "cls-discovery": service("stopped", "periodic"),
            "gateway": service("online", restarts_recent=3),
            **{name: service("online") for name in names},
        },
        "growth": {
            "user_signals": {
                "rows": 12339,
                "exact": False,
                "rows_per_hour": 87029.2,
                "window_rows": 148,
                "total_bytes": 2195456,
            }
        },
        "database": {"bytes": 14669503, "largest_tables": [], "connections": 7, "response_ms": 3.744},
        "checks": {},
        "epochs": {
            group: {
                "latest": 1795465100,
                "expected": 1795465100,
                "missed": [],
                "seal_age_seconds": 5.738,
                "channels_sealed": channels,
            }
            for group, channels in (("MILO", 9), ("CLS", 19))
        },
        "current_epoch": {"epoch": 1795465110, "next": 1795465120, "seconds_until_next": 4.262},
        "redis": {
            "keys": 118,
            "latency_ms": 0.51,
            "memory_bytes": 1546256,
            "evicted": 0,
            "queues": {"tree-builder": {"waiting": 21, "active": 1, "delayed": 0, "failed": 0}},
        },
        "host": {
            "disks": {"/srv": {"used_percent": 22.04, "free_bytes": 84938268672}},
            "memory_available_bytes": 24008925184,
            "swap_percent": 0.0,
            "load": [2.28, 2.02, 1.44],
        },
        "alerts": {"firing": [], "suppressed": []},
    } | changes


def blind(value: Any) -> Any:
    """The same, with nothing measured: every number, word and list of it is null."""
    if isinstance(value, dict):
        return {key: blind(item) for key, item in value.items()}
    return None


def unknown() -> dict[str, Any]:
    found: dict[str, Any] = blind(recorded())
    return found | {"status": "unknown", "alerts": {"firing": [], "suppressed": []}}


def drawn(scene: Scene, width: int = 80, height: int = 24) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(picture(scene, width, height), end="")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def scene(report: dict[str, Any] | None, **more: Any) -> Scene:
    return Scene(now=NOW, stage="watching", report=report, growth_window="12 s", **more)


STORY = [SceneEntry(datetime.fromtimestamp(NOW + number, UTC), "broke", f"broke {number}") for number in range(40)]


def test_eighty_columns_and_twenty_four_lines_show_everything_there_is() -> None:
    text = drawn(scene(recorded(), story=STORY))
    gateway = next(line for line in text.splitlines() if "gateway" in line)
    assert gateway.split() == ["●", "gateway", "online", "online", "37", "MB", "1%", "9", "s", "3"]
    assert "12,339 rows" in text
    assert "87,029/h" in text
    assert "148 in 12 s" in text
    for group, channels in (("MILO", 9), ("CLS", 19)):
        line = next(line for line in text.splitlines() if line.startswith(group))
        assert line[13:].split("   ") == ["1795465100", "(20:18:20)", "age 6 s", "missed 0", f"{channels} channels"]
    assert "118 keys   0.5 ms" in text
    assert "tree-builder 21 waiting" in text
    assert "22% used, 85 GB free" in text
    assert "next seal in 4 s" in text
    assert " OK " in text
    assert "broke 39" in text


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("report", [None, recorded(), unknown(), recorded(alerts={"firing": [ALERT] * 9})])
def test_a_picture_is_never_larger_than_the_terminal(report: dict[str, Any] | None, width: int, height: int) -> None:
    lines = drawn(scene(report, story=STORY, pending=[ALERT] * 9), width, height).split("\n")
    assert len([line for line in lines if line]) <= height
    assert len(lines) <= height + 1
    assert max(cell_len(line) for line in lines) <= width


def test_with_room_for_it_the_services_stand_beside_the_measures() -> None:
    lines = drawn(scene(recorded()), 150, 40).splitlines()
    assert any("gateway" in line and "MILO" in line for line in lines)
    assert not any("gateway" in line and "MILO" in line for line in drawn(scene(recorded())).splitlines())


@pytest.mark.parametrize("height", [24, 40])
@pytest.mark.parametrize("width", [100, 120, 140, 160, 200, 250])
@pytest.mark.parametrize("name", ["all well", "unknown", "firing", "a long name"])
def test_a_wider_picture_shows_no_less_than_one_of_eighty_columns(name: str, width: int, height: int) -> None:
    longest = {"services": recorded()["services"] | {"a-service-with-a-longer-name": service("online")}}
    report = {
        "all well": recorded(),
        "unknown": unknown(),
        "firing": recorded(alerts={"firing": [ALERT]}),
        "a long name": recorded(**longest),
    }[name]
    shown = [
        {word for word in drawn(scene(report, story=STORY[:3]), wide, height).split() if "…" not in word}
        for wide in (80, width)
    ]
    assert {word for word in shown[0] - shown[1] if set(word) != {"─"}} == set()


def test_what_could_not_be_measured_is_a_question_mark_and_never_a_zero() -> None:
    text = drawn(scene(unknown()))
    assert "UNKNOWN" in text
    assert "? rows   ?/h   ? in 12 s" in text
    assert "missed ?" in text
    assert "? keys" in text
    assert "next seal in unknown" in text
    gateway = next(line for line in text.splitlines() if "gateway" in line)
    assert gateway.split() == ["○", "gateway", "unknown", "–", "?", "?", "?", "?"]


def test_names_cannot_command_the_terminal_or_the_markup() -> None:
    hostile = "[red]\x1b[31m\x1b]0;own\x07\n\u202eevil[/]"
    report = recorded()
    report["services"] = {hostile: service(hostile, hostile)}
    report["growth"] = {hostile: report["growth"]["user_signals"]}
    report["epochs"] = {hostile: report["epochs"]["MILO"]}
    report["redis"]["queues"] = {hostile: report["redis"]["queues"]["tree-builder"]}
    report["host"]["disks"] = {hostile: report["host"]["disks"]["/srv"]}
    alert = dict.fromkeys(ALERT, hostile)
    report["alerts"] = {"firing": [alert], "suppressed": []}
    story = [SceneEntry(datetime.fromtimestamp(NOW, UTC), "said", hostile)]
    for text in (drawn(scene(report, story=story, pending=[alert]), 250, 40), drawn(scene(report, story=story))):
        assert not set(text) & set("\x1b\x07\u202e")
        assert "[red]" in text


def test_alerts_that_fire_come_first_and_pending_ones_are_called_so() -> None:
    pending = ALERT | {"rule": "table_growth_high", "subject": "user_signals"}
    lines = drawn(scene(recorded(alerts={"firing": [ALERT]}), pending=[pending, ALERT])).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("Alerts"))
    assert lines[at + 1].startswith("critical service_down gateway is stopped")
    assert lines[at + 2].startswith("pending  table_growth_high")
    assert lines[at + 3].startswith("What happened")


def test_the_status_line_is_one_plain_line() -> None:
    line = status_line(scene(recorded(alerts={"firing": [ALERT]}, status="critical")))
    assert line.startswith("CRITICAL, 7/7 services, user_signals +148 in 12 s, MILO sealed 6 s ago")
    assert line.endswith("firing: service_down gateway")
    assert "unknown" in status_line(scene(unknown()))
    assert "has not reported" in status_line(scene(None))


# Where it goes


@pytest.fixture
def terminal_pair() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """The far end of a real terminal, and the near one as a stream."""
    far, near = pty.openpty()
    with os.fdopen(near, "w", encoding="utf-8") as stream:
        yield far, stream
    os.close(far)


def gone() -> None:
    raise AssertionError("nobody has gone")


def shown_on(far: int, shown: DemoView) -> str:
    """Everything a terminal was sent."""

    def read() -> str:
        sent = b""
        while b"THE END" not in sent:
            sent += os.read(far, 65536)
        return sent.decode()

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(read)
        shown.open()
        shown.tell(STORY[0])
        shown.frame(scene(recorded(), story=STORY[:1]))
        shown.close()
        shown.say("THE END")
        return sent.result(60)


@pytest.mark.parametrize("around", [{}, {"TERM": "dumb"}, {"NO_COLOR": "1"}, {"COLUMNS": "20", "LINES": "3"}])
def test_a_terminal_gets_a_live_picture_in_colour_and_the_story_when_it_is_over(
    terminal_pair: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch, around: dict[str, str]
) -> None:
    """By the environment it is given, whatever is around the tests."""
    for name in ("TERM", "NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in around.items():
        monkeypatch.setenv(name, value)
    far, stream = terminal_pair
    shown = view(stream, {"TERM": "xterm-256color"}, gone)
    assert isinstance(shown, LiveView)
    text = shown_on(far, shown)
    assert re.search(r"\x1b\[[0-9;]*3[1-6]m", text)
    before, _, after = text.rpartition("\x1b[?1049l")
    assert "cls-worker" in before
    assert "broke 0" in after


def test_no_color_is_honoured(terminal_pair: tuple[int, io.TextIOWrapper]) -> None:
    far, stream = terminal_pair
    text = shown_on(far, view(stream, {"TERM": "xterm-256color", "NO_COLOR": "1"}, gone))
    assert "cls-worker" in text
    assert not re.search(r"\x1b\[[0-9;]*[34][0-9][;m]", text)


def test_a_terminal_that_can_do_nothing_gets_plain_lines(terminal_pair: tuple[int, io.TextIOWrapper]) -> None:
    _, stream = terminal_pair
    assert not isinstance(view(stream, {"TERM": "dumb"}, gone), LiveView)


def test_what_is_no_terminal_gets_timestamped_lines_without_control_codes(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w", encoding="ascii") as stream:
        shown = view(stream, {"TERM": "xterm", "FORCE_COLOR": "1"}, gone)
        shown.progress("starting")
        shown.open()
        shown.tell(STORY[0])
        shown.frame(scene(recorded()))
        shown.close()
    lines = path.read_text(encoding="ascii").splitlines()
    assert len(lines) == 3
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    assert all(line.isprintable() for line in lines)


def test_that_nobody_reads_any_more_is_told_once_and_raises_nothing() -> None:
    said = []
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", encoding="utf-8")
    outlet = Outlet(stream, lambda: said.append("gone"))
    for _ in range(3):
        outlet.write("a line\n")
    assert said == ["gone"]
    stream.close()  # what was left in it has gone too


# The tally


def told(key: tuple[str, str], number: int = 1) -> FiredAlert:
    return FiredAlert(f"a{number}", *key, severity="critical", summary="It is so.", at=10.0, resolved_at=20.0)


def outcome(number: int, **changes: Any) -> FaultOutcome:
    fault = FAULTS[number]
    good: dict[str, Any] = {"alert": told(min(fault.expected)), "detected_after": 2.4, "cleared_after": 12.2}
    return FaultOutcome(fault=fault, **good | changes)


def test_the_tally_of_the_whole_tour_fits_eighty_columns_uncut() -> None:
    tally = TourTally(outcomes=[outcome(number) for number in range(len(FAULTS))])
    lines = tally_lines(tally, Terminal())
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.startswith("✔ stopped gateway"))
    assert re.split(r" {2,}", row) == ["✔ stopped gateway", "service_down gateway", "in 2.4 s", "in 12 s"]
    assert sum(line.startswith("✔") for line in lines) == len(FAULTS)
    assert tally.is_good
    assert tally.closing == f"All {len(FAULTS)} faults were detected and cleared"


@pytest.mark.parametrize(
    "missed", [{"alert": None, "detected_after": None, "cleared_after": None}, {"cleared_after": None}]
)
def test_a_fault_that_was_not_detected_or_did_not_clear_is_crossed(missed: dict[str, Any]) -> None:
    tally = TourTally(outcomes=[outcome(0), outcome(1, **missed)])
    lines = tally_lines(tally, Terminal())
    assert next(line for line in lines if "crashed" in line).startswith("✗")
    assert "never" in "".join(lines)
    assert not tally.is_good
    assert tally.closing == "Only 1 of 2 faults were detected and cleared"


def test_what_else_was_said_and_what_was_left_out_is_told() -> None:
    besides = told(("sealing_late", "CLS"), 2)
    quiet = told(("disk_high", "/"), 3)
    tally = TourTally(outcomes=[outcome(2, besides=(besides,))], left_out=list(FAULTS[4:]), alerts=[besides, quiet])
    text = "\n".join(tally_lines(tally, Terminal()))
    assert "froze Postgres: sealing_late" in text
    assert "With nothing broken: disk_high" in text
    assert "Left out: sealing, flood, publishing and root." in text


def test_nothing_broken_is_nothing_failed() -> None:
    assert TourTally().is_good
    assert tally_lines(TourTally(), Terminal()) == []
