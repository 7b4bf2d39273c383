"""Numbers as people read them."""

import pytest

from monitord.core import humanize


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.0004, "0 ms"),
        (0.85, "850 ms"),
        (1, "1 s"),
        (2.5, "2.5 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (270, "4 min 30 s"),
        (3599.6, "1 h"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (7259, "2 h"),
        (86399.7, "1 d"),
        (86400, "1 d"),
        (3 * 86400 + 4 * 3600 + 59, "3 d 4 h"),
        (90 * 86400, "90 d"),
        (-90, "-1 min 30 s"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert humanize.duration(seconds) == said


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9960, "10 kB"),
        (158_000_000, "158 MB"),
        (999_600_000, "1.0 GB"),
        (2_200_000_000, "2.2 GB"),
        (146e9, "146 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_sizes(amount: float, said: str) -> None:
    assert humanize.size(amount) == said


def test_counts_have_their_thousands_apart() -> None:
    assert humanize.count(4_096_837) == "4,096,837"


def test_clock_times_show_seconds_only_where_they_say_something() -> None:
    assert humanize.clock(1762308000) == "02:00 UTC"
    assert humanize.clock(1762308010) == "02:00:10 UTC"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (list("abcde"), "a, b, c, d and e"),
        (list("abcdefgh"), "a, b, c, d, e and 3 more"),
    ],
)
def test_lists(names: list[str], said: str) -> None:
    assert humanize.listed(names) == said
