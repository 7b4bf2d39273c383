"""A worker tells of a test what is shown of it, and nothing that goes wrong is left out."""

from __future__ import annotations

import pytest

from tests.support.reports import is_shown


@pytest.mark.parametrize("when", ["setup", "call", "teardown"])
@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_whatever_does_not_go_well_is_told(when: str, outcome: str) -> None:
    assert is_shown("testreport", {"when": when, "outcome": outcome})


def test_of_what_goes_well_it_is_told_once() -> None:
    told = [
        when for when in ("setup", "call", "teardown") if is_shown("testreport", {"when": when, "outcome": "passed"})
    ]
    assert told == ["call"]


def test_all_that_is_no_test_is_told() -> None:
    events = ("collectreport", "warning_recorded", "workerfinished", "runtest_protocol_complete")
    assert all(is_shown(event, {}) for event in events)
