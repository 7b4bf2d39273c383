"""The figures that the documents quote are those that were kept of a benchmark, with its date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.figures import markdown, newest

ROOT = Path(__file__).parents[1]
MEASURED = newest(ROOT / "docs" / "measured")
FIGURES = MEASURED["figures"]
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def ratio(figure: str, other: str) -> float:
    return float(FIGURES[figure]["value"] / FIGURES[figure]["beside"][other])


def test_the_readme_quotes_the_ratios_of_the_last_benchmark_that_was_kept_with_its_date() -> None:
    date = MEASURED["at"][:10]
    assert (ROOT / "docs" / "measured" / f"{date}.json").is_file()
    said = re.search(
        rf"On {date}, .*?1/(\d+) of the CPU of the script it replaces, ([\d.]+) of that of Prometheus.*?"
        r"and ([\d.]+) of Monit's, in ([\d.]+) of Prometheus' memory",
        README,
    )
    assert said is not None
    script, prometheus, monit, memory = map(float, said.groups())
    assert 1 / script == pytest.approx(ratio("cpu_hour", "script"), rel=0.05)
    assert prometheus == pytest.approx(ratio("cpu_hour", "prometheus"), abs=0.01)
    assert monit == pytest.approx(ratio("cpu_hour", "monit"), abs=0.01)
    assert memory == pytest.approx(ratio("memory", "prometheus"), abs=0.01)


def test_the_table_in_the_document_is_the_one_that_was_kept() -> None:
    assert markdown(MEASURED) in BENCHMARKS
