"""A group's epochs as a line of boxes: each label is told apart, and what is not known is not called missed."""

from __future__ import annotations

from datetime import UTC, datetime

from monitord.core.subjects.epochs_status import EpochLabel, labels, short
from tests.core.nights import LONG, Night


def shown(made: Night, group: str) -> list[EpochLabel]:
    decision = made.looks[-1].decision
    return labels(group, decision.state.history, decision.orders, decision.at.timestamp())


def test_a_strip_tells_each_label_apart() -> None:
    def begun(made: Night) -> None:
        current = int(made.now // 3600) * 3600
        made.groups["MILO"].skips = {current}
        made.groups["MILO"].delays = {current + 3600: 1574.0, current + 7200: 700.0}

    made = Night(LONG, every=300, start=datetime(2025, 11, 5, 1, 10, tzinfo=UTC))
    begun(made)
    made.passes(hours=4)
    milo, cls = shown(made, "MILO"), shown(made, "CLS")

    assert len(milo) == len(cls) == 24
    assert [one.label for one in milo] == [one.label for one in cls]
    assert [one.fate for one in milo[-6:]] == ["soon", "missed", "late", "slow", "soon", "running"]
    assert [one.fate for one in cls[-6:]] == ["soon", "soon", "soon", "soon", "soon", "running"]
    assert milo[-4].delay == 1574.0


def test_a_label_that_is_due_is_not_missed_yet_and_what_cannot_be_read_is_unknown() -> None:
    made = Night(start=datetime(2025, 11, 5, 1, 10, tzinfo=UTC))
    made.groups["MILO"].sealing = False
    made.until(2, 5)
    assert shown(made, "MILO")[-2].fate == "due"
    made.epochs.fails()
    made.passes(minutes=20)
    assert shown(made, "MILO")[-2].fate == "unknown"
    made.epochs.recovers()
    made.passes(minutes=1)
    assert shown(made, "MILO")[-2].fate == "missed"


def test_a_delay_fits_its_box() -> None:
    assert [short(seconds) for seconds in (0.4, 45, 182, 1574, 7300)] == ["0s", "45s", "3m", "26m", "2h"]
