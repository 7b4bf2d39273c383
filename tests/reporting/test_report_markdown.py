"""The night's report as Markdown: the same facts, and nothing in a value that Markdown or GitHub makes something of."""

from __future__ import annotations

import re

import pytest

from monitord.reporting.markdown import escaped, report_markdown

from .sample_nights import NIGHTS, bad, good, hostile


def outside_of_fences(text: str) -> str:
    return re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)


def test_the_criteria_are_a_task_list_that_is_ticked_only_where_met() -> None:
    assert report_markdown(good()).count("- [x] **") == 5
    text = report_markdown(bad())
    assert "- [x]" not in text
    assert text.count("- [ ] **") == 5
    assert text.count("NOT MET") == 4


def test_incidents_are_headings_with_their_cause_and_what_they_explain() -> None:
    text = report_markdown(bad())
    assert "### 1\\. postgres\\_unreachable: postgres – ❌ critical" in text
    assert "- **Cause:** Postgres cannot be reached: connection refused." in text
    assert "It explains 3 alerts:" in text
    assert "```text\nSeverity: critical\n" in text


@pytest.mark.parametrize("name", NIGHTS)
def test_every_row_of_a_table_has_as_many_cells_as_its_header(name: str) -> None:
    width = 0
    for line in outside_of_fences(report_markdown(NIGHTS[name])).splitlines():
        bars = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        width = width or bars
        assert bars == (width if bars else 0)
        width = bars


def test_hostile_values_are_text() -> None:
    text = outside_of_fences(report_markdown(hostile())).replace("<!-- -->", "")
    assert not re.search(r"(?<!\\)<", text)
    assert not re.search(r"(?<!\\)`", text)
    assert not re.search(r"(?<!\\)\]\(", text)
    assert all(line.isprintable() for line in text.splitlines())


def test_hostile_values_mention_nobody_and_link_nowhere() -> None:
    text = outside_of_fences(report_markdown(hostile()))
    assert not re.search(r"@\w|#\d|://", text)


def test_a_text_to_hand_on_cannot_close_its_fence() -> None:
    text = report_markdown(hostile())
    start, end = (found.start() for found in re.finditer(r"^````(text)?$", text, re.MULTILINE))
    assert "\n```\n" in text[start:end]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a_b", r"a\_b"),
        ("- a", r"\- a"),
        ("1. a", r"1\. a"),
        ("# a", r"\# a"),
        ("a - b # c 1. d", "a - b # c 1. d"),
        ("two\nlines", "two lines"),
        ("a|b", r"a\|b"),
        ("back\\slash", r"back\\slash"),
        ("see www.example.org", "see www.<!-- -->example.org"),
    ],
)
def test_only_what_means_something_is_escaped(value: str, expected: str) -> None:
    assert escaped(value) == expected
