"""The time by which anything is deleted: a wall clock that jumps ahead is not believed until an hour was lived with it.

What is deleted is gone. So age is counted by what was lived through (a clock that no step moves), starting from what is
recorded already, and a wall clock ahead of that has to stay there for an hour first. A machine that was off for three
days therefore deletes what is too old an hour after its start.
"""

from collections.abc import Iterable
from typing import Final

TRUSTED_AFTER_SECONDS: Final = 3600.0
# Less than this is a clock being set right or the time between two readings, and no retention is that exact.
TOLERANCE_SECONDS: Final = 60.0


def newest_lived(moments: Iterable[float], gap: float, enough: float) -> float | None:
    """The end of the newest stretch of recorded moments (Unix seconds) that spans at least `enough` seconds.

    Moments more than `gap` seconds apart are of two stretches. Where none is that long, the end of the oldest: what a
    jump ahead has left behind is newer. None where nothing is recorded.
    """
    first: float | None = None
    found: float | None = None
    begin = end = None
    for moment in sorted(moments):
        if begin is None or end is None or moment - end > gap:
            if first is None:
                first = end
            begin = moment
        end = moment
        if end - begin >= enough:
            found = end
    if found is not None:
        return found
    return end if first is None else first


class RetentionClock:
    """Turns a wall clock's time into one by which may be deleted. `trusted_after` is in seconds of life.

    `recorded` is the newest time that is known to have been lived through (Unix seconds), None where nothing is.
    """

    def __init__(self, recorded: float | None, trusted_after: float = TRUSTED_AFTER_SECONDS) -> None:
        self._at = recorded
        self._lived: float | None = None
        self._offset: float | None = None
        self._since = 0.0
        self._trusted_after = trusted_after
        self._tolerance = min(TOLERANCE_SECONDS, trusted_after / 4)

    def verified(self, wall: float, lived: float) -> float:
        """The time (Unix seconds) to delete by, given the wall clock's, and lived seconds. Never later than `wall`."""
        passed = 0.0 if self._lived is None else max(0.0, lived - self._lived)
        self._lived = lived
        at = wall if self._at is None else self._at + passed
        if wall <= at + self._tolerance:
            self._offset, at = None, wall
        elif self._offset is None or abs(wall - lived - self._offset) > self._tolerance:
            self._offset, self._since = wall - lived, lived
        elif lived - self._since >= self._trusted_after:
            self._offset, at = None, wall
        self._at = at
        return at
