"""For how long a probe saw nothing: of any time, however many spells there were before it."""

import pytest

from monitord.core.history.model import BlindSpan, History

ENDED = tuple(
    BlindSpan(at, at + 40.0, "failed" if at % 200 else "away", answered=at % 300 == 0) for at in range(0, 3000, 100)
)
OPEN = BlindSpan(3000.0, None, "failed")
HISTORY = History(taken_at={"postgres": 2950.0}, blind={"postgres": (*ENDED, OPEN)})


@pytest.mark.parametrize("start", [-50.0, 0.0, 20.0, 40.0, 1515.0, 1540.0, 2999.0, 3000.0, 3050.0])
def test_of_any_time_the_spells_within_it_count(start: float) -> None:
    end = 3100.0
    within = [max(0.0, min(end, span.end or end) - max(start, span.start)) for span in HISTORY.blind["postgres"]]
    absent = [
        seconds
        for span, seconds in zip(HISTORY.blind["postgres"], within, strict=True)
        if span.why == "failed" and not span.answered
    ]
    assert HISTORY.blind_seconds("postgres", start, end) == sum(within)
    assert HISTORY.absent_seconds("postgres", start, end) == sum(absent)
    assert HISTORY.watched_seconds("postgres", start, end) == end - start - sum(within)


def test_a_probe_has_failed_since_it_last_measured() -> None:
    assert HISTORY.failed_seconds("postgres", 3100.0) == 100
    assert HISTORY.failed_seconds("redis", 3100.0) == 0
