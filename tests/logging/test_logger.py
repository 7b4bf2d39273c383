"""Log lines: their shape, what they never hold, where they go, and what cannot stop them."""

import asyncio
import enum
import errno
import gc
import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from monitord.logging.logger import JsonLog, Level
from monitord.logging.writers import BACKLOG_BYTES, HourlyFiles, LineWriter
from monitord.masking import mask

SECRET = "hunter2-and-more"
NIGHT = datetime(2025, 11, 5, 3, 57, tzinfo=UTC)


class Heard:
    """A stream that keeps what is said to it."""

    def __init__(self, level: Level = "info", directory: Path | None = None) -> None:
        self.stream = io.StringIO()
        self.log = JsonLog(self.stream, level, directory=directory)

    @property
    def lines(self) -> list[dict[str, Any]]:
        assert self.log.flush(10)
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def field(self, value: object) -> Any:
        self.log.emit("tried", "info", "A value.", value=value)
        return self.lines[-1]["value"]


@pytest.fixture
def heard() -> Heard:
    return Heard()


# Their shape


def test_a_line_begins_with_its_time_level_event_and_message(heard: Heard) -> None:
    before = datetime.now(UTC)
    heard.log.emit("alert_firing", "error", "The gateway is down.", rule="service_down", subject="gateway")
    (line,) = heard.lines
    assert list(line) == ["timestamp", "level", "event", "message", "rule", "subject"]
    assert (line["level"], line["event"], line["message"]) == ("error", "alert_firing", "The gateway is down.")
    assert line["timestamp"].endswith("Z")
    assert len(line["timestamp"]) == len("2025-11-05T03:57:00.000Z")
    said = datetime.fromisoformat(line["timestamp"])
    assert before - timedelta(milliseconds=1) <= said <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_below_the_level_is_not_said(level: Level, said: list[str]) -> None:
    heard = Heard(level)
    levels: tuple[Level, ...] = ("debug", "info", "warning", "error")
    for each in levels:
        heard.log.emit("tried", each, "Something.")
    assert [line["level"] for line in heard.lines] == said


def test_the_level_can_be_changed(heard: Heard) -> None:
    heard.log.emit("tried", "debug", "Not yet.")
    heard.log.reconfigure("debug", timedelta(hours=1))
    heard.log.emit("tried", "debug", "Now.")
    assert [line["message"] for line in heard.lines] == ["Now."]


def test_two_logs_know_nothing_of_each_other() -> None:
    one, other = Heard("debug"), Heard("error")
    one.log.emit("tried", "info", "One.")
    other.log.emit("tried", "error", "Other.")
    assert [line["message"] for line in one.lines] == ["One."]
    assert [line["message"] for line in other.lines] == ["Other."]


class Colour(enum.Enum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    when: datetime


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (2.5, 2.5),
        (float("nan"), None),
        (float("inf"), None),
        (Decimal("1.5"), 1.5),
        (Decimal("NaN"), None),
        (NIGHT, "2025-11-05T03:57:00.000Z"),
        (NIGHT.astimezone(timezone(timedelta(hours=2))), "2025-11-05T03:57:00.000Z"),
        (NIGHT.replace(tzinfo=None), "2025-11-05T03:57:00.000Z"),
        (date(2025, 11, 5), "2025-11-05"),
        (timedelta(minutes=1.5), 90.0),
        (Path("/srv/x"), "/srv/x"),
        (Colour.RED, "red"),
        (Point(1, NIGHT), {"x": 1, "when": "2025-11-05T03:57:00.000Z"}),
        ({"b": {1: float("nan")}}, {"b": {"1": None}}),
        ((1, [2, {3}]), [1, [2, [3]]]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (deque([1]), [1]),
        ({"a": 1}.values(), [1]),
        (b"\x00secret", "<7 bytes>"),
        (ValueError("first\nsecond"), "ValueError: first"),
        (SecretStr(SECRET), "**********"),
        ("ünïcödé ✓", "ünïcödé ✓"),
    ],
)
def test_values_of_every_kind_have_a_form_in_json(heard: Heard, value: object, said: object) -> None:
    assert heard.field(value) == said


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "\x00\x1b[31m\x7f\x85\x9b", "a\u2028b\u2029c", "\x1c\x1d\x1e\x0b\x0c"]
)
def test_no_character_can_break_a_line(heard: Heard, text: str) -> None:
    heard.log.emit("tried", "info", text, value=text, **{"na\nme": {text: 1}})
    (line,) = heard.lines
    assert (line["message"], line["value"]) == (text, text)
    raw = heard.stream.getvalue()
    assert raw.count("\n") == 1
    assert raw[:-1].isprintable()


def test_half_a_character_is_said_as_a_replacement(heard: Heard) -> None:
    assert heard.field("caf\udcc3") == "caf\ufffd"


def test_a_value_inside_itself_ends_somewhere(heard: Heard) -> None:
    knot: list[object] = []
    knot.append(knot)
    heard.log.emit("tried", "info", "A knot.", value=knot)
    assert len(heard.lines) == 1


def test_a_field_cannot_take_the_place_of_what_every_line_has(heard: Heard) -> None:
    heard.log.emit("tried", "info", "Mine.", event="theirs", message="theirs", level="theirs", timestamp="theirs")
    (line,) = heard.lines
    assert (line["event"], line["level"], line["message"]) == ("tried", "info", "Mine.")
    assert line["event_"] == "theirs"


def test_a_field_that_cannot_be_said_costs_its_event_and_no_more(heard: Heard) -> None:
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError("no")

    heard.log.emit("tried", "info", "Rude.", value=Rude())
    heard.log.emit("tried", "info", "After.")
    lost, after = heard.lines
    assert (lost["event"], lost["level"], lost["lost_event"]) == ("internal_error", "error", "tried")
    assert after["message"] == "After."


# Secrets


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("cannot reach postgres://u:p@ss/w0rd@h:5432/db today", "cannot reach postgres://u:***@h:5432/db today"),
        ("redis://:hunter2@h", "redis://:***@h"),
        ("postgres://u@h/db?password=a&sslmode=require", "postgres://u@h/db?password=***&sslmode=require"),
        ("PGPASSWORD=abc psql", "PGPASSWORD=*** psql"),
        ('{"access_token": "abc"}', '{"access_token": ***}'),
        ('{"token": "abc"}', '{"token": ***}'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("token_group=MILO", "token_group=MILO"),
        ("http://h:8080/path", "http://h:8080/path"),
        ("password: abc", "password: ***"),
        ("MONITORD_HTTP__TOKEN: it must be set", "MONITORD_HTTP__TOKEN: it must be set"),
        ("nothing here", "nothing here"),
        ("a://:b://u:p@h and c://u:q@h", "a://:***@h and c://u:***@h"),
        ("mail a@b, then postgres://u:p@h", "mail a@b, then postgres://u:***@h"),
        ("u:p@h is no address", "u:p@h is no address"),
        ("postgres://u:@h", "postgres://u:***@h"),
        ('it said token="abc', "it said token=***"),
        ("authorization:   Basic   eDp5", "authorization:   Basic   ***"),
    ],
)
def test_what_is_masked_in_a_text(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "unit",
    [
        *("a://:", "a://u:x ", "a://", "a://:@", "@", ":@ ", "a@b=c\t", "a" * 40 + "://", "://:"),
        *("password ", "token=", 'token="', "token='\"", "authorization:", "authorization: ", "authorization: bearer "),
        *("pwd: ", "secret\t=", "api_", "="),
    ],
)
def test_a_text_of_any_kind_is_masked_in_one_reading(unit: str) -> None:
    """200,000 characters: what reads the text once for each of its parts takes minutes."""
    mask(unit * (200_000 // len(unit)))
    mask("=authorization:" + unit + " " * 100_000)
    mask(unit + "\n" * 100_000 + "@")


def test_secrets_are_masked_in_every_part_of_a_line(heard: Heard) -> None:
    dsn = f"postgres://u:{SECRET}@h/db"
    heard.log.emit(
        "tried",
        "info",
        f"Cannot reach {dsn}.",
        error=ConnectionError(dsn),
        nested={"deep": [{"deeper": (dsn,)}], dsn: 1},
        password=SECRET,
        headers={"x-api-key": SECRET, "token": SECRET},
        target=Path(f"/x?token={SECRET}"),
    )
    assert len(heard.lines) == 1
    assert SECRET not in heard.stream.getvalue()


def test_known_secrets_are_masked_wherever_they_stand(heard: Heard) -> None:
    heard.log.hide({SECRET, "short"})
    heard.log.emit("tried", "info", f"the server said {SECRET}, in short", value={"a": f"x{SECRET}y"})
    assert heard.lines[0]["message"] == "the server said ***, in short"
    assert heard.lines[0]["value"] == {"a": "x***y"}


# Everything a process says


def test_warnings_and_the_libraries_own_logging_are_lines(heard: Heard) -> None:
    with heard.log.everything(), warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"old thing, token={SECRET}\nsecond line", DeprecationWarning, stacklevel=1)
        logging.getLogger("apscheduler.scheduler").warning("Run time of job %s was missed", "x")
        logging.getLogger("apscheduler.scheduler").info("not said at this level")
        logging.getLogger("broken").error("%d things", "no")
    warned, missed, broken = heard.lines
    assert (warned["event"], warned["level"]) == ("library_message", "warning")
    assert warned["message"] == "DeprecationWarning: old thing, token=***"
    assert (missed["logger"], missed["message"]) == ("apscheduler.scheduler", "Run time of job x was missed")
    assert broken["level"] == "error"


def test_an_error_is_one_sentence_and_its_traceback_is_for_debugging() -> None:
    for level, told in (("info", False), ("debug", True)):
        heard = Heard("debug" if level == "debug" else "info")
        try:
            raise ValueError(f"redis://:{SECRET}@h\nmore")
        except ValueError as error:
            heard.log.internal("a cycle failed inside", error)
        (line,) = heard.lines
        assert (line["event"], line["level"]) == ("internal_error", "error")
        assert line["message"] == "A cycle failed inside (ValueError: redis://:***@h)."
        assert ("traceback" in line) is told
        assert SECRET not in heard.stream.getvalue()


def test_an_error_a_library_logs_is_an_internal_error(heard: Heard) -> None:
    with heard.log.everything():
        try:
            raise KeyError("x")
        except KeyError:
            logging.getLogger("apscheduler").exception('Job "tidy" raised an exception')
    (line,) = heard.lines
    assert line["event"] == "internal_error"
    assert line["message"] == "Job \"tidy\" raised an exception (KeyError: 'x')."


def test_errors_nobody_caught_in_threads_tasks_and_finalizers_are_lines(heard: Heard) -> None:
    def fail() -> None:
        raise ValueError("in a thread")

    class Finalized:
        def __del__(self) -> None:
            raise ValueError("in a finalizer")

    async def forget() -> None:
        async def task() -> None:
            raise ValueError("in a task")

        forgotten = asyncio.create_task(task())
        await asyncio.wait({forgotten})

    with heard.log.everything():
        thread = threading.Thread(target=fail, name="worker")
        thread.start()
        thread.join()
        finalized = Finalized()
        del finalized
        asyncio.run(forget())
        gc.collect()
    assert {line["event"] for line in heard.lines} == {"internal_error"}
    errors = sorted(line["error"] for line in heard.lines)
    assert errors == [f"ValueError: in a {where}" for where in ("finalizer", "task", "thread")]
    assert any("the thread worker" in line["message"] for line in heard.lines)


def test_afterwards_the_process_has_its_own_voice_back(heard: Heard) -> None:
    def voices() -> tuple[object, ...]:
        root = logging.getLogger()
        hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
        return (*hooks, tuple(root.handlers), root.level)

    before = voices()
    with heard.log.everything():
        assert voices() != before
    assert voices() == before


SCRIPT = """
import sys, logging, warnings
from monitord.logging.logger import JsonLog
log = JsonLog(sys.stdout)
with log.everything():
    log.emit("tried", "info", "First.")
    warnings.warn("second")
    logging.getLogger("third").warning("third")
    {end}
"""


def run(end: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(end=end)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )


def test_a_process_that_ends_has_said_everything_on_stdout_and_nothing_on_stderr() -> None:
    done = run("sys.exit(3)")
    assert (done.returncode, done.stderr) == (3, b"")
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 3


def test_a_stdout_that_nobody_reads_any_more_stops_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(
            "log.flush(10); assert log.trouble[0].sink == 'stdout'; assert log.lost == 3; sys.exit(7)", stdout=writer
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (7, b"")


def test_a_process_without_stdout_still_runs() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" "$@" >&-', sys.executable, "-c", SCRIPT.format(end="sys.exit(7)")],
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (7, b"")


# Where they go


def test_a_pipe_that_is_full_holds_nobody_up_and_loses_the_oldest_lines_first() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb") as pipe:
        log = JsonLog(stream)
        count = 2 * BACKLOG_BYTES // 10_000
        for number in range(count):  # would never end if one of them waited
            log.emit("tried", "info", "Much.", number=number, filler="x" * 10_000)
        assert log.lost > 0
        assert log.trouble[0].sink == "stdout"
        lost = log.lost
        read = [json.loads(pipe.readline())["number"] for _ in range(count - lost)]
        assert read == sorted(read)
        assert read[-1] == count - 1
        assert log.flush(10)
        log.emit("tried", "info", "Well again.")
        assert json.loads(pipe.readline())["message"] == "Well again."
        assert log.flush(10)
        assert log.trouble == ()
        assert log.lost == lost


def test_a_stream_that_is_closed_is_counted_not_raised() -> None:
    heard = Heard()
    heard.stream.close()
    heard.log.emit("tried", "info", "Lost.")
    assert heard.log.flush(10)
    assert heard.log.lost == 1
    assert heard.log.trouble[0].lost == 1


def test_the_same_lines_go_to_a_file_of_the_hour(tmp_path: Path) -> None:
    heard = Heard(directory=tmp_path / "state" / "logs")
    heard.log.emit("tried", "info", "Once.")
    heard.log.emit("tried", "info", "Twice: ü.")
    assert len(heard.lines) == 2
    files = sorted((tmp_path / "state" / "logs").iterdir())
    assert "".join(file.read_text(encoding="utf-8") for file in files) == heard.stream.getvalue()
    assert all(file.name.startswith("monitord-") and file.suffix == ".jsonl" for file in files)


def test_each_hour_has_its_file_by_utc(tmp_path: Path) -> None:
    files = HourlyFiles(tmp_path, timedelta(hours=48))
    files.write(NIGHT, b"a\n")
    files.write(NIGHT.astimezone(timezone(timedelta(hours=5))), b"b\n")
    files.write(NIGHT + timedelta(minutes=3), b"c\n")
    found = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert found == {"monitord-2025-11-05T03.jsonl": b"a\nb\n", "monitord-2025-11-05T04.jsonl": b"c\n"}


def test_a_short_retention_has_short_files_and_is_kept_to(tmp_path: Path) -> None:
    files = HourlyFiles(tmp_path, timedelta(seconds=8))
    for second in range(30):
        files.write(NIGHT + timedelta(seconds=second), f"{second}\n".encode())
    for path in tmp_path.iterdir():  # as if each had been written when it says
        written = datetime.strptime(path.name, "monitord-%Y-%m-%dT%H%M%S.jsonl").replace(tzinfo=UTC).timestamp()
        os.utime(path, (written, written))
    files.tidy(NIGHT + timedelta(seconds=30))
    kept = sorted(int(line) for path in tmp_path.iterdir() for line in path.read_text().split())
    assert kept[0] in (21, 22, 23)
    assert kept[-1] == 29


class Hours:
    """Hourly files on a machine whose wall clock and lived time are handed in."""

    def __init__(self, directory: Path, now: datetime = NIGHT) -> None:
        self.directory, self.now, self.lived = directory, now, 0.0
        self.start()

    def start(self) -> None:
        self.files = HourlyFiles(self.directory, timedelta(hours=48), lived=lambda: self.lived)

    def live(self, seconds: float, ahead: timedelta = timedelta()) -> None:
        self.lived += seconds
        self.now += timedelta(seconds=seconds)
        self.files.write(self.now + ahead, b"a\n")
        self.files.tidy(self.now + ahead)

    @property
    def names(self) -> set[str]:
        return {path.name for path in self.directory.iterdir()}


def test_files_past_the_retention_go_by_their_hour_and_foreign_ones_stay(tmp_path: Path) -> None:
    kept = {
        "monitord-2025-11-03T03.jsonl",  # ended 47:57 before
        "monitord-2025-11-06T00.jsonl",  # of a clock that ran ahead
        "monitord-2025-11-01T00.jsonl.gz",
        "monitord-2025-99-01T00.jsonl",
        "other-2025-11-01T00.jsonl",
        "notes.txt",
    }
    lived = {f"monitord-2025-11-05T{hour:02}.jsonl" for hour in range(4)}
    for name in (*kept, *lived, "monitord-2025-11-03T02.jsonl", "monitord-2024-01-01T00.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "monitord-2025-11-01T00.jsonl").mkdir()
    HourlyFiles(tmp_path, timedelta(hours=48)).write(NIGHT, b"a\n")
    found = {file.name for file in tmp_path.iterdir()}
    assert found == kept | lived | {"monitord-2025-11-01T00.jsonl"}


def test_a_file_of_this_night_stays_though_its_time_of_change_is_set_back(tmp_path: Path) -> None:
    machine = Hours(tmp_path)
    machine.live(0)
    earlier = tmp_path / "monitord-2025-11-05T02.jsonl"
    earlier.touch()
    os.utime(earlier, (0, 0))
    machine.live(3600)
    assert earlier.exists()


def test_a_clock_three_days_ahead_for_35_seconds_deletes_no_file(tmp_path: Path) -> None:
    machine = Hours(tmp_path)
    for _ in range(6):
        machine.live(3600)
    night = machine.names
    for _ in range(7):
        machine.live(5, timedelta(days=3))
    machine.start()  # a restart while it is ahead
    for _ in range(7):
        machine.live(5, timedelta(days=3))
    assert machine.names > night
    machine.live(5)
    machine.live(3600)
    assert machine.names > night


def test_after_an_hour_at_the_new_time_the_old_files_go(tmp_path: Path) -> None:
    machine = Hours(tmp_path)
    for _ in range(6):
        machine.live(3600)
    night = machine.names
    machine.now += timedelta(days=3)  # it was off
    machine.start()
    for _ in range(5):
        machine.live(600)
    assert machine.names > night
    for _ in range(3):
        machine.live(600)
    assert not machine.names & night


def test_tidying_keeps_to_the_retention_as_it_is_now(tmp_path: Path) -> None:
    heard = Heard(directory=tmp_path)
    names = [f"monitord-{datetime.now(UTC) - timedelta(hours=back):%Y-%m-%dT%H}.jsonl" for back in range(11)]
    for name in names:
        (tmp_path / name).touch()
    heard.log.tidy()
    assert len(list(tmp_path.iterdir())) == 11
    heard.log.reconfigure("info", timedelta(hours=5))
    heard.log.tidy()
    assert names[10] not in {path.name for path in tmp_path.iterdir()}


def test_a_directory_that_is_deleted_is_made_again(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    heard = Heard(directory=directory)
    heard.log.emit("tried", "info", "Before.")
    assert len(heard.lines) == 1
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()
    heard.log.emit("tried", "info", "After.")
    assert len(heard.lines) == 2
    (file,) = directory.iterdir()
    assert json.loads(file.read_text())["message"] == "After."


def test_files_that_cannot_be_written_are_said_and_stdout_goes_on(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the directory should be")
    heard = Heard(directory=tmp_path / "logs")
    heard.log.emit("tried", "info", "Still.")
    assert [line["message"] for line in heard.lines] == ["Still."]
    (trouble,) = heard.log.trouble
    assert (trouble.sink, trouble.lost) == ("files", 1)
    assert trouble.error
    (tmp_path / "logs").unlink()
    heard.log.emit("tried", "info", "Again.")
    assert len(heard.lines) == 2
    assert heard.log.trouble == ()
    assert heard.log.lost == 1


def test_a_full_disk_costs_lines_and_is_named() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with full.open("w") as stream:
        log = JsonLog(stream)
        log.emit("tried", "info", "Lost.")
        assert log.flush(10)
        assert log.trouble[0].error == os.strerror(errno.ENOSPC)


def test_after_a_line_that_was_cut_short_the_next_begins_on_its_own() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb") as pipe:
        log = JsonLog(stream)
        log.emit("tried", "info", "Long.", filler="x" * 300_000)  # more than a pipe holds
        log.emit("tried", "info", "Next.")
        lines = [json.loads(pipe.readline()) for _ in range(2)]
    assert [line["message"] for line in lines] == ["Long.", "Next."]


def test_lines_of_many_threads_stay_whole(heard: Heard) -> None:
    def say(name: str) -> None:
        for number in range(50):
            heard.log.emit("tried", "info", "Something.", who=name, number=number)

    threads = [threading.Thread(target=say, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = heard.lines
    assert len(lines) == 400
    assert [line["number"] for line in lines if line["who"] == "3"] == list(range(50))


def test_a_writer_that_hangs_makes_flush_give_up() -> None:
    let_go = threading.Event()

    def hang(_: datetime, __: bytes) -> None:
        let_go.wait()

    writer = LineWriter("stdout", hang)
    writer.put(NIGHT, b"x\n")
    assert not writer.flush(0.01)
    let_go.set()
    assert writer.flush(10)
