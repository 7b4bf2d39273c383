"""CONTRIBUTING's first recipe is followed, file by file, in a copy of the package: what it makes is everywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RECIPES = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
Edit = Callable[[str], str]

PROBE = '''
"""A tide gauge: a file with the height of the water in it."""

from __future__ import annotations

from pathlib import Path

from monitord.core.model import sample
from monitord.core.orders import StandingOrders
from monitord.core.subjects.tide import TideSettings
from monitord.failures import FailureError
from monitord.probes.base import Measured, Request


class TideProbe:
    """Reads the gauge."""

    name = "tide"

    def __init__(self, settings: TideSettings, orders: StandingOrders) -> None:
        self._gauge = settings.gauge or ""

    async def measure(self, request: Request) -> Measured:
        try:
            return Measured((sample("tide_height", float(Path(self._gauge).read_text(encoding="utf-8")), "metres"),))
        except OSError as error:
            raise FailureError("missing", f"there is no gauge: {error.strerror}") from None

    async def close(self) -> None:
        return
'''

SUBJECT = '''
"""Judgement of the tide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from monitord.core.blocks import Block, FactTable
from monitord.core.history.model import History
from monitord.core.model import Clear, Finding, Judgement, Observation, Reading, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import (
    Impact,
    MetricFamily,
    MetricGroup,
    Rule,
    SectionContext,
    StatusSection,
    Subject,
    asked,
    own_settings,
    setting,
)
from monitord.core.subjects.servers import unmeasured


@dataclass(frozen=True, slots=True)
class TideSettings:
    """The tide gauge, and how high the water may stand."""

    gauge: str | None = setting(None, "A file with the height of the water.", example="/run/gauge")
    highest: float = setting(4.0, "How high the water may stand, in metres.", judged=True)


def tide_high(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """The water stands higher than it may."""
    height = observation.readings["tide"].number("tide_height")
    highest = own_settings(TideSettings, "tide", orders).highest
    if height is None:
        yield Unknown("tide_high", "tide", "it cannot be measured")
    elif height <= highest:
        yield Clear("tide_high", "tide")
    else:
        yield Finding(
            "tide_high", "tide", "critical", height, highest, "metres", f"The water stands at {height:g} m.",
            recommendation="Close the gates.",
        )


TIDE_HIGH = Rule(
    name="tide_high",
    probe="tide",
    severities=("critical",),
    evaluate=tide_high,
    impact=Impact("the cellar is wet"),
    runbook=("tidectl show", "tidectl gates", "tidectl log"),
)


@dataclass(frozen=True, slots=True)
class TideStatus:
    height: float | None


def _status(history: History, orders: StandingOrders, now: float) -> TideStatus:
    reading = asked("tide", history, orders) or Reading("tide")
    return TideStatus(reading.number("tide_height"))


STATUS = StatusSection("tide", TideStatus, _status)


def _section(context: SectionContext) -> tuple[Block, ...]:
    height = context.report.of(STATUS).height
    return (FactTable((("Height", "unknown" if height is None else f"{height:g} m"),)),)


TIDE = Subject(
    "tide",
    "the tide",
    rules=(TIDE_HIGH, unmeasured("tide", "the tide", "Is the gauge there?", judges_failure=True)),
    settings=TideSettings,
    needs="gauge",
    hint="Not watched. MONITORD_TIDE__GAUGE would add it.",
    status=(STATUS,),
    metrics=(
        MetricGroup[TideStatus](
            lambda report: {"": report.of(STATUS)},
            (MetricFamily("tide_height_metres", "How high the water stands.", lambda tide: tide.height),),
        ),
    ),
    section=_section,
)
'''

TEST = """
from pathlib import Path

from monitord.core.orders import StandingOrders
from monitord.core.subjects.tide import TideSettings
from monitord.probes.base import Request, take
from monitord.probes.tide import TideProbe


async def test_it_reads_the_gauge_or_says_that_there_is_none(tmp_path: Path) -> None:
    gauge = tmp_path / "gauge"
    probe = TideProbe(TideSettings(str(gauge)), StandingOrders())
    found = await take(probe, Request(0.0, 1.0))
    assert found.failure is not None
    assert found.failure.kind == "missing"
    gauge.write_text("3.5")
    assert (await take(probe, Request(0.0, 1.0))).number("tide_height") == 3.5
"""

NIGHT = """
title = "The water rises"
story = "A spring tide: for ten minutes the water stands higher than it may."
end = "+30m"
status = "ok"
covers = ["tide_high:fires"]

[orders]
probes = ["tide"]

[[then]]
at = "+0s"
readings = { "tide:tide_height" = 3.9 }

[[then]]
at = "+10m"
status = "ok"
readings = { "tide:tide_height" = 4.2 }

[[said]]
firing = "tide_high/tide"
between = ["+10m", "+11m"]
value = 4.2
limit = 4.0
advised = "investigate"

[[then]]
at = "+15m"
status = "critical"
readings = { "tide:failure" = "refused" }

[[said]]
firing = "subject_unmeasured/tide"
between = ["+15m", "+16m"]

[[then]]
at = "+20m"
readings = { "tide:failure" = "absent", "tide:tide_height" = 3.8 }

[[said]]
resolved = "subject_unmeasured/tide"
between = ["+20m", "+21m"]

[[said]]
resolved = "tide_high/tide"
between = ["+20m", "+21m"]

[[fault]]
rule = "tide_high"
subject = "tide"
called = "the water stands at 4.2 m"
readings = { "tide:tide_height" = 4.2 }
orders = { probes = ["tide"] }
"""


def in_place_of(old: str, new: str) -> Edit:
    def edit(text: str) -> str:
        assert text.count(old) == 1, old
        return text.replace(old, new)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(text: str) -> str:
        for each in edits:
            text = each(text)
        return text

    return edit


# What is done with each file for a probe called tide.
EDITS: Mapping[str, str | Edit] = {
    "monitord/probes/tide.py": PROBE,
    "monitord/core/subjects/tide.py": SUBJECT,
    "monitord/core/subjects/registry.py": both(
        in_place_of("import REDIS\n", "import REDIS\nfrom monitord.core.subjects.tide import TIDE\n"),
        in_place_of("CHECKS, MONITORD)\n", "CHECKS, TIDE, MONITORD)\n"),
    ),
    "monitord/probes/__init__.py": in_place_of(
        '    "host": _host,\n', '    "host": _host,\n    "tide": declared("tide", "monitord.probes.tide:TideProbe"),\n'
    ),
    "tests/probes/test_tide.py": TEST,
    "tests/nights/999-tide.toml": NIGHT,
}

# What is found of it, and what `make reference` does, in one process.
FOLLOWED = """
import io, json, os, sys
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.detection import delay
from bench.faults import FAULTS
from monitord.__main__ import main
from monitord.config.loader import load, standing_orders
from monitord.core.engine import State, decide
from monitord.core.model import Observation, Reading, sample
from monitord.core.report.builder import RecordedCycle, build_report
from monitord.reporting.metric_families import Facts
from monitord.reporting.metrics import exposition
from monitord.reporting.report_json import report_fields
from monitord.reporting.sections import StatusView
from monitord.reporting.status import text
from monitord.reporting.terminal import Terminal
from monitord.reporting.report import report_text
from monitord.jsonable import document
from monitord.web import openapi
from tests.nights.files import load as night
from tests.nights.playing import complaints, play
from tests.support import reference


def said(*command):
    out = io.StringIO()
    out.isatty = lambda: False
    with redirect_stdout(out):
        code = main(list(command))
    return [code, out.getvalue()]


with redirect_stdout(io.StringIO()):
    reference.main(["--write"])
found = {"check": said("check"), "nagios": said("check", "--format", "nagios"), "config": said("config")}
at, state, edges = datetime(2026, 3, 1, 4, 0, tzinfo=UTC), State(), []
orders = standing_orders(load(os.environ, Path()))
readings = {"tide": Reading("tide", (sample("tide_height", 4.5, "metres"),))}
for number in range(3):
    decision = decide(state, Observation(at + timedelta(seconds=30 * number), readings), orders)
    state, edges = decision.state, [*edges, *decision.transitions]
fields = {"trigger": "cli", "at": at, "duration_ms": 3.0} | decision.report.as_fields()
found["status"] = text(StatusView(decision.report, orders, at.timestamp()), "monitord status", Terminal(100))
found["metrics"] = exposition(decision.report, Facts(version="1", instance="here"))[0].decode()
recorded = RecordedCycle([Observation(at, readings)] * 3, edges, state, fields, at.timestamp())
report = build_report(recorded, orders, at.timestamp(), decision.at.timestamp())
found["report"] = report_text(report, Terminal(100)) + document(report_fields(report))
found["api"] = json.dumps(openapi.document())
found["night"] = complaints(play(night(Path("tests/nights/999-tide.toml"))))
(fault,) = [fault for fault in FAULTS if fault.rule == "tide_high"]
found["how_soon"] = delay(fault, 1.0)
# What pytest would rewrite of its plugins is imported by then, and need not be. It tidies up after other runs, too.
OWN = ("-q", "-W", "ignore::pytest.PytestAssertRewriteWarning", "-p", "no:cacheprovider", "--noconftest")
OWN = (*OWN, "-p", "no:hypothesispytest", "--basetemp", "own")
with redirect_stdout(io.StringIO()) as told:
    failed = pytest.main([*OWN, "tests/probes/test_tide.py"])
found["own_test"] = [int(failed), told.getvalue()]
print(json.dumps(found))
"""


def steps() -> list[str]:
    """The files that the recipe has somebody make or change, those of a probe called tide."""
    recipe = RECIPES.split("## A probe\n", 1)[1].split("\n## ", 1)[0]
    first = re.findall(r"^\d\. `([^`]+)`", recipe, re.MULTILINE)
    return [path.replace("NN-NAME", "999-tide").replace("NAME", "tide") for path in first]


def python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    gauge = copy / "gauge"
    gauge.write_text("4.5")
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MONITORD_", "PYTEST_"))},
        "HOME": str(copy),
        "MONITORD_STATE_DIR": str(copy / "state"),
        "MONITORD_TIDE__GAUGE": str(gauge),
    }
    return subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environ, capture_output=True, text=True, timeout=110, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository in which the recipe has been followed."""
    copy = tmp_path_factory.mktemp("recipe")
    for path in ("monitord", "tests/core", "tests/support", "bench", "docs"):
        shutil.copytree(ROOT / path, copy / path)
    shutil.copytree(ROOT / "tests/nights", copy / "tests/nights", ignore=shutil.ignore_patterns("*.toml", "drawn"))
    (copy / "tests/probes").mkdir()
    for path in (".env.example", "README.md", "pyproject.toml"):
        shutil.copy2(ROOT / path, copy / path)
    for path in steps():
        edit = EDITS[path]
        text = dedent(edit).lstrip() if isinstance(edit, str) else edit((copy / path).read_text(encoding="utf-8"))
        (copy / path).write_text(text, encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def found(copy: Path) -> Mapping[str, Any]:
    done = python(copy, "-c", FOLLOWED)
    assert done.returncode == 0, done.stderr
    read: Mapping[str, Any] = json.loads(done.stdout)
    return read


def test_the_recipe_names_six_files_and_each_of_them_is_needed() -> None:
    assert steps() == list(EDITS)
    assert len(steps()) == 6


def test_the_probe_is_in_check_the_nagios_line_and_the_settings(found: Mapping[str, Any]) -> None:
    code, text = found["check"]
    assert code == 2
    assert "CRITICAL: The water stands at 4.5 m." in text
    assert "\nThe tide\n" in text
    assert found["nagios"][0] == 2
    assert re.search(r"MONITORD_TIDE__HIGHEST +default +4.0\n", found["config"][1])
    assert re.search(r"MONITORD_TIDE__GAUGE +environment +/\S+gauge\n", found["config"][1])


def test_it_is_in_the_status_the_metrics_the_report_and_the_document_of_the_api(found: Mapping[str, Any]) -> None:
    assert "Height  4.5 m" in found["status"]
    assert "monitord_tide_height_metres 4.5" in found["metrics"]
    for said in ("tide_high", "The tide", "the cellar is wet", '"tide_high"'):
        assert said in found["report"], said
    assert '"height"' in found["api"]


def test_its_night_is_judged_as_it_says_and_its_fault_is_found(found: Mapping[str, Any]) -> None:
    assert found["night"] == []
    assert 0 < found["how_soon"] < 60


def test_its_own_test_holds_in_the_copy(found: Mapping[str, Any]) -> None:
    failed, told = found["own_test"]
    assert failed == 0, told
    assert "1 passed" in told


def test_the_documents_have_it(copy: Path, found: Mapping[str, Any]) -> None:
    example, reference = (copy / path for path in (".env.example", "docs/reference.md"))
    assert example.read_text(encoding="utf-8").endswith(
        "\n# --- the tide ---\n\n"
        "# A file with the height of the water. Default: not set. An example:\n# MONITORD_TIDE__GAUGE=/run/gauge\n"
        "# How high the water may stand, in metres.\n# MONITORD_TIDE__HIGHEST=4.0\n"
    )
    rows = reference.read_text(encoding="utf-8").splitlines()
    assert "| `tide_high` | tide | the water stands higher than it may | critical |" in rows
    assert "| `monitord_tide_height_metres` | – | How high the water stands |" in rows
