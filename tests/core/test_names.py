"""Two names are two subjects, however alike they begin."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitord.core.names import LONGEST, distinct
from monitord.pm2.process_list import ProcessLists
from monitord.reporting.metrics import label


def named(*names: str) -> list[str]:
    listed = [{"name": name, "pm_id": number, "pm2_env": {"status": "online"}} for number, name in enumerate(names)]
    return [process.name for process in ProcessLists().read(b"j:" + json.dumps({"args": [listed]}).encode())]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x" * 200 + "-orders", "x" * 200 + "-emails"),
        ("x" * 201, "x" * 202),
        ("x" * 200, "x" * 201),
        ("worker\x00", "worker\x01"),
        ("worker\ud800", "worker\ud801"),
    ],
)
def test_names_that_begin_alike_or_cannot_be_shown_stay_two(one: str, other: str) -> None:
    shown = named(one, other)
    assert len(set(shown)) == 2
    assert all(len(name) <= LONGEST and name.isprintable() for name in shown)
    assert named(one, other) == shown


def test_labels_of_metrics_that_begin_alike_are_two_series() -> None:
    assert label("queue:" + "x" * 300 + "a") != label("queue:" + "x" * 300 + "b")


def test_a_name_that_can_be_shown_is_itself() -> None:
    for name in ("gateway", "worker[1]", "müller", "x" * 200):
        assert named(name) == [name]


@settings(derandomize=True, deadline=None)
@given(st.lists(st.text(min_size=1), unique=True, max_size=20), st.integers(20, 60))
def test_what_differs_stays_different(names: list[str], longest: int) -> None:
    shown = [distinct(name, longest) for name in names]
    assert len(set(shown)) == len(names)
    assert all(len(name) <= max(longest, len(raw) + 9) for name, raw in zip(shown, names, strict=True))
