"""Evidence as people read it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from monitord.core.alerting.evidence import evidence_rows, sentence
from monitord.core.model import Finding

NOON = datetime(2025, 11, 5, 12, tzinfo=UTC).timestamp()


def finding(unit: str = "", summary: str = "Something is wrong.", **evidence: Any) -> Finding:
    return Finding("rule", "gateway", "warning", None, None, unit, summary, evidence)


@pytest.mark.parametrize(
    ("evidence", "unit", "said"),
    [
        ({"instances": {"3": 626_000_000}}, "bytes", "instance 3 (PM2 id): 626 MB"),
        (
            {"instances": {"3": "stopped", "7": "online"}},
            "",
            "instance 3 (PM2 id): stopped; instance 7 (PM2 id): online",
        ),
        ({"largest_services": {"gateway": 99e6}}, "bytes", "largest services: gateway 99 MB"),
        ({"undrained_seconds": 965.0, "free_bytes": 288e9}, "jobs", "undrained: 16 min 5 s; free: 288 GB"),
        ({"used_percent": 53.7, "percent_per_hour": 2.0}, "percent/h", "used: 53.7%; rises by: 2% an hour"),
        ({"seconds_to_limit": 16615, "bytes_per_hour": 30e6}, "", "to limit: 4 h 36 min; rises by: 30 MB an hour"),
        ({"lives_seconds": {"median": 3.182}}, "restarts", "lives: median 3.2 s"),
        ({"missed": [1762311600]}, "seconds", "missed: 1762311600 (03:00 UTC)"),
        ({"rows_per_hour": 2286155}, "rows", "rows per hour: 2,286,155"),
        ({"rows_per_hour": None, "rolled_back": False}, "rows", "rows per hour: unknown; rolled back: no"),
        ({"exit_codes": [], "signals": {}}, "", ""),
    ],
)
def test_numbers_have_their_units_and_instances_their_names(evidence: dict[str, Any], unit: str, said: str) -> None:
    assert sentence(finding(unit, **evidence), NOON) == said


def test_what_the_summary_says_is_not_said_again() -> None:
    one = finding(summary="Redis cannot be measured: connection refused.", kind="refused", error="connection refused")
    assert sentence(one, NOON) == ""
    assert evidence_rows(one, NOON) == []


def test_a_hundred_instances_are_a_line() -> None:
    many = finding("bytes", instances={str(number): number * 1e6 for number in range(100)})
    assert sentence(many, NOON).endswith("and: 92 more instances")


def test_what_the_summary_says_in_the_same_words_is_in_no_form_of_the_evidence() -> None:
    found = finding(summary="nosuch cannot be measured: there is no table nosuch in this database.", kind="missing",
                    error="there is no table nosuch in this database")  # fmt: skip
    assert evidence_rows(found, NOON) == [("kind", "missing")]
    assert sentence(found, NOON) == "kind: missing"
