"""Reading the log back: whole lines out of pieces, and files that grow, are cut, replaced, begun and deleted."""

from __future__ import annotations

import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from monitord.logging.reader import LONGEST_BYTES, Files, Line, Splitter, hourly_files


def name(hour: int) -> str:
    return f"monitord-2025-11-05T{hour:02}.jsonl"


def data(lines: object) -> list[bytes]:
    return [line.data for line in lines]  # type: ignore[attr-defined]


def of(directory: Path) -> Files:
    return Files(lambda: hourly_files(directory))


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_lines_are_the_same_in_whatever_pieces_they_come(whole: bytes, cuts: list[int]) -> None:
    splitter = Splitter()
    places = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    lines = [line for a, b in itertools.pairwise(places) for line in splitter.feed(whole[a:b])]
    expected = whole.split(b"\n")
    assert [*data(lines), *data(splitter.end())] == (expected if expected[-1] else expected[:-1])


def test_of_a_line_without_end_only_the_beginning_is_kept_and_what_is_missing_counted() -> None:
    splitter = Splitter()
    for _ in range(5):
        assert splitter.feed(b"x" * LONGEST_BYTES) == []
    assert splitter.feed(b"xx\nnext\n") == [Line(b"x" * LONGEST_BYTES, 4 * LONGEST_BYTES + 2), Line(b"next")]


def test_the_last_lines_are_taken_from_as_many_files_as_it_takes(tmp_path: Path) -> None:
    for hour in range(4):
        (tmp_path / name(hour)).write_bytes(b"".join(b"%d.%d\n" % (hour, n) for n in range(3)))
    files = of(tmp_path)
    assert files.last(4, lambda line: line.data if not line.data.endswith(b".1") else None) == [
        b"2.0", b"2.2", b"3.0", b"3.2",
    ]  # fmt: skip
    assert data(files.new()) == []


def test_a_file_that_is_passed_over_and_written_to_after_all_is_read_from_there(tmp_path: Path) -> None:
    (tmp_path / name(1)).write_bytes(b"old\n")
    (tmp_path / name(2)).write_bytes(b"a\nb\n")
    files = of(tmp_path)
    assert files.last(1, lambda line: line.data) == [b"b"]
    with (tmp_path / name(1)).open("ab") as late:  # the clock was set back
        late.write(b"late\n")
    assert data(files.new()) == [b"late"]


def test_lines_come_once_across_the_hour_and_the_end_of_the_retention(tmp_path: Path) -> None:
    files = of(tmp_path)
    assert data(files.new()) == []
    (tmp_path / name(1)).write_bytes(b"one\ntw")
    assert data(files.new()) == [b"one"]
    with (tmp_path / name(1)).open("ab") as more:
        more.write(b"o\n")
    (tmp_path / name(2)).write_bytes(b"three\n")
    assert data(files.new()) == [b"two", b"three"]
    (tmp_path / name(1)).unlink()
    assert data(files.new()) == []
    (tmp_path / name(2)).write_bytes(b"4\n")  # cut and begun anew
    assert data(files.new()) == [b"4"]
    (tmp_path / "new").write_bytes(b"five!\nsix\n")
    (tmp_path / "new").rename(tmp_path / name(2))
    assert data(files.new()) == [b"five!", b"six"]


def test_a_last_line_without_its_end_comes_when_there_is_no_more_to_wait_for(tmp_path: Path) -> None:
    (tmp_path / name(1)).write_bytes(b"one\ntw")
    files = of(tmp_path)
    assert data(files.new()) == [b"one"]
    assert data(files.end()) == [b"tw"]


def test_other_files_and_those_that_cannot_be_read_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"mine\n")
    (tmp_path / name(1)).mkdir()
    (tmp_path / name(2)).symlink_to(tmp_path / "nowhere")
    (tmp_path / name(3)).write_bytes(b"three\n")
    assert data(of(tmp_path).new()) == [b"three"]
    assert data(of(tmp_path / "nothing").new()) == []
