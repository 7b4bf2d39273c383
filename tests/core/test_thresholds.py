"""What an operator writes of a number is judged as it reads, and what cannot be read is told with what was meant."""

from __future__ import annotations

import pytest

from monitord.core.thresholds import is_stricter, threshold


@pytest.mark.parametrize(
    ("written", "wrong", "right"),
    [
        ("> 50", [50.01, 1e9], [50, -3]),
        (">=50", [50, 51], [49.9]),
        ("< 1", [0, -1, 0.99], [1, 2]),
        ("<= -1.5", [-1.5, -2], [-1.4, 0]),
        ("== 0", [0, -0.0], [0.1, 1]),
        ("!= 3", [2, 4], [3, 3.0]),
        ("outside 10..20", [9.99, 20.01], [10, 15, 20]),
        ("Inside -1..+1", [-1, 0, 1], [-1.1, 1.1]),
        ("> 1_000_000", [1_000_001], [1_000_000]),
        ("> 1e3", [1001], [1000]),
        ("< .5", [0.4], [0.5]),
    ],
)
def test_a_condition_holds_as_it_reads(written: str, wrong: list[float], right: list[float]) -> None:
    found = threshold(written)
    assert [value for value in wrong if not found.is_past(value)] == []
    assert [value for value in right if found.is_past(value)] == []
    assert threshold(str(found)) == found


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("50", "does not say which side of it is wrong; write > 50 or < 50"),
        ("=> 50", "is no limit; write"),
        ("= 50", "is no limit; write"),
        ("above 50", "is no limit; write"),
        ("", "is no limit; write"),
        (">", "lacks a number"),
        ("> fifty", "compares with 'fifty', which is no number"),
        ("> nan", "compares with 'nan', which is no number"),
        ("> 5 s", "compares with '5 s', which is no number"),
        ("> ٥", "which is no number"),
        ("> 1e999", "compares with a number that is too large"),
        ("outside 10", "names no range; write outside 10..20"),
        ("outside 20..10", "begins above its end; write outside 10..20"),
        ("inside 1..two", "compares with 'two', which is no number"),
        ("outside 1..", "lacks a number"),
    ],
)
def test_what_is_no_condition_is_told_with_what_would_be_one(written: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        threshold(written)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("written", "as_nagios"),
    [
        ("> 50", "~:50"),
        (">= 50", "@50:"),
        ("< 1", "1:"),
        ("<= 1.5", "@~:1.5"),
        ("== 0", "@0:0"),
        ("!= 0", "0:0"),
        ("outside 10..20", "10:20"),
        ("inside 10..20", "@10:20"),
    ],
)
def test_whoever_draws_graphs_gets_the_same_as_a_range(written: str, as_nagios: str) -> None:
    assert threshold(written).range == as_nagios


@pytest.mark.parametrize(
    ("critical", "warning", "fits"),
    [
        ("> 100", "> 50", True),
        ("> 50", ">= 100", False),
        ("< 1", "< 5", True),
        ("< 5", "< 1", False),
        ("outside 0..30", "outside 10..20", True),
        ("outside 10..20", "outside 0..30", False),
        ("inside 14..16", "inside 10..20", True),
        ("inside 10..20", "inside 14..16", False),
        ("== 0", "< 5", True),
    ],
)
def test_what_is_critical_is_worth_a_warning_too(critical: str, warning: str, fits: bool) -> None:
    assert is_stricter(threshold(critical), threshold(warning)) is fits
