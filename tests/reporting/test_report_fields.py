"""The night's report for programs: JSON-ready, times in UTC with milliseconds, unknown as null."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from monitord.jsonable import document
from monitord.reporting.charts.points import thinned
from monitord.reporting.report_json import report_fields

from .sample_nights import NIGHTS, bad, blind_night, good

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TIMES = {"since", "until", "start", "end", "due_at", "sealed_at", "baseline_at", "memory_peak_at", "at",
         "first_sign", "fired_at", "ended_at", "suppressed_at"}  # fmt: skip


def walked(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield key, part
            yield from walked(part)
    elif isinstance(value, list):
        for part in value:
            yield from walked(part)


@pytest.mark.parametrize("name", NIGHTS)
def test_the_report_is_one_json_document_with_the_contracts_names(name: str) -> None:
    fields = report_fields(NIGHTS[name])
    assert json.loads(document(fields)) == fields
    assert set(fields) >= {
        "verdict", "criteria", "incidents", "blind_minutes", "since", "until", "sentence", "services", "tables",
        "groups", "blind", "baseline", "recap", "notes", "escalations",
    }  # fmt: skip
    assert [set(found) for found in fields["criteria"]] == [{"name", "title", "met", "evidence", "details"}] * len(
        NIGHTS[name].criteria
    )


@pytest.mark.parametrize("name", ["good", "bad", "blind", "empty"])
def test_every_time_is_in_utc_with_milliseconds(name: str) -> None:
    found = [(key, value) for key, value in walked(report_fields(NIGHTS[name])) if key in TIMES and value is not None]
    assert found
    assert [pair for pair in found if not TIME.fullmatch(str(pair[1]))] == []


def test_an_incident_says_what_it_was_and_what_it_explains() -> None:
    first, _, last = report_fields(bad())["incidents"]
    assert first["incident_id"] == "postgres_unreachable-postgres-1"
    assert first["cause"] == "Postgres cannot be reached: connection refused."
    assert (first["first_sign"], first["ended_at"]) == ("2025-11-05T02:14:10.000Z", "2025-11-05T02:44:00.000Z")
    assert (first["open"], first["duration_seconds"]) == (False, 1790.0)
    assert first["evidence"] == {"kind": "refused", "error": "connection refused"}
    assert [part["fired_at"] for part in first["explains"]] == [None, None, "2025-11-05T02:36:00.000Z"]
    assert set(first["explains"][0]) >= {
        "alert_id", "rule", "subject", "severity", "since", "fired_at", "ended_at", "summary",
    }  # fmt: skip
    assert (last["open"], last["ended_at"], last["duration_seconds"]) == (True, None, 7050.0)


def test_what_is_unknown_is_null() -> None:
    fields = report_fields(blind_night())
    assert [criterion["met"] for criterion in fields["criteria"]] == [None] * 5
    assert fields["tables"][0]["hours"][0]["rows"] is None
    assert fields["tables"][0]["hours"][0]["per_hour"] is None
    assert fields["services"][1]["memory_peak"] is None
    assert (fields["recap"], fields["baseline"]) == (None, None)


def test_a_number_that_json_has_no_word_for_is_null() -> None:
    fields = report_fields(replace(good(), blind_minutes=0.0, baseline={"x": float("nan")}))
    assert fields["baseline"] == {"x": None}


def test_a_long_series_is_thinned_and_keeps_its_peak_its_trough_and_its_gaps() -> None:
    points: list[tuple[float, float | None]] = [(float(n), 50.0) for n in range(5000)]
    points[1234], points[2345], points[3456] = (1234.0, 99.0), (2345.0, 1.0), (3456.0, None)
    kept = thinned(points, 300)
    assert len(kept) <= 300
    assert {points[1234], points[2345], points[3456]} <= set(kept)
    assert kept == sorted(kept, key=lambda point: point[0])


def test_a_short_series_is_left_as_it_is() -> None:
    points: list[tuple[float, float | None]] = [(0.0, 1.0), (1.0, None)]
    assert thinned(points, 300) == points
