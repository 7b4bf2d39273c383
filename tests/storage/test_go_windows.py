"""Which window of an earlier report a later one is held against."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitord.storage.go_windows import GO_WINDOWS, last_go, remember_go

HOUR = 3600.0
NIGHT = 12 * HOUR


def test_the_newest_go_that_was_over_before_the_window_began_is_the_one(tmp_path: Path) -> None:
    for day in range(3):
        remember_go(tmp_path, day * 24 * HOUR, day * 24 * HOUR + NIGHT)
    assert last_go(tmp_path, 48 * HOUR, 48 * HOUR + NIGHT) == (24 * HOUR, 24 * HOUR + NIGHT)
    assert last_go(tmp_path, 72 * HOUR, 72 * HOUR + NIGHT) == (48 * HOUR, 48 * HOUR + NIGHT)
    assert last_go(tmp_path, 0.0, NIGHT) is None


def test_a_go_of_an_hour_says_nothing_of_a_night(tmp_path: Path) -> None:
    remember_go(tmp_path, 0.0, NIGHT)
    remember_go(tmp_path, 20 * HOUR, 21 * HOUR)
    assert last_go(tmp_path, 24 * HOUR, 24 * HOUR + NIGHT) == (0.0, NIGHT)
    assert last_go(tmp_path, 24 * HOUR, 26 * HOUR) == (20 * HOUR, 21 * HOUR)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for day in range(100):
        remember_go(tmp_path, day * 24 * HOUR, day * 24 * HOUR + NIGHT)
    assert last_go(tmp_path, 38 * 24 * HOUR, 39 * 24 * HOUR) is None
    assert last_go(tmp_path, 41 * 24 * HOUR, 42 * 24 * HOUR) == (40 * 24 * HOUR, 40 * 24 * HOUR + NIGHT)


@pytest.mark.parametrize("text", ["", "no JSON", "7", "[[1]]", '{"a": 1}', "[null]", '[["x", "y"]]'])
def test_a_file_that_cannot_be_read_holds_no_window_and_is_written_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / GO_WINDOWS).write_text(text)
    assert last_go(tmp_path, 24 * HOUR, 25 * HOUR) is None
    remember_go(tmp_path, 0.0, NIGHT)
    assert last_go(tmp_path, 24 * HOUR, 25 * HOUR) == (0.0, NIGHT)


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    remember_go(tmp_path / "absent", 0.0, NIGHT)
    assert not (tmp_path / "absent").exists()
    assert last_go(tmp_path / "absent", 24 * HOUR, 25 * HOUR) is None
