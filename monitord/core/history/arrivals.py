"""How many rows a table's counters prove to have been committed between two readings, whatever labels they carry.

Postgres counts an insert, update or delete that is rolled back like one that is not (n_tup_ins, n_tup_upd, n_tup_del).
Two more counters are moved by commits alone: n_live_tup by committed inserts less committed deletes, and
n_mod_since_analyze by every committed insert, update and delete. Between them they leave no doubt of what came, unless
deletes or updates were rolled back beside inserts that were. VACUUM and ANALYZE estimate the live rows anew, ANALYZE
sets the changes to zero, and TRUNCATE takes the live rows away without a delete: of such a step less is certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from monitord.core.copying import slot_by_slot
from monitord.core.model import Reading

# By how much of the table's rows a new estimate of the live ones may be off. What was inserted in the same step can be
# read off the estimate only where it is more than that.
ESTIMATE_ERROR = 0.1
# Of one table, by the names of the samples (None: the server could not say).
Numbers = Mapping[str, float | None]
_COUNTERS: Final = tuple(
    f"table_{name}" for name in ("inserted", "updated", "deleted", "live", "changed", "vacuums", "analyses")
)
_OF_TABLE: Final = frozenset({*_COUNTERS, "table_heap", "table_written", "table_countable", "table_counters"})


def numbers_of(reading: Reading) -> Mapping[str, Numbers]:
    """What a reading says of each table, by the names of its samples: all of them at once, as each is asked for."""
    tables: dict[str, dict[str, float | None]] = {}
    for s in reading.samples:
        if s.name in _OF_TABLE and len(s.labels) == 1 and s.labels[0][0] == "table":  # else it is of no table
            value = s.value if isinstance(s.value, (int, float)) else None
            tables.setdefault(s.labels[0][1], {})[s.name] = value
    return tables


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Counters:
    """A table's counters at one reading, its partitions added up.

    `changed` are the rows committed since the last ANALYZE, `vacuums` and `analyses` how many there have been, and
    `started` is when the server that counts began (Unix seconds, None: not known).
    """

    inserted: float = 0.0
    updated: float = 0.0
    deleted: float = 0.0
    live: float = 0.0
    changed: float = 0.0
    vacuums: float = 0.0
    analyses: float = 0.0
    started: float | None = None

    @classmethod
    def of(cls, numbers: Numbers, started: float | None) -> Counters | None:
        """The counters among the numbers of one table; None where some are missing."""
        inserted, updated, deleted, live, changed, vacuums, analyses = map(numbers.get, _COUNTERS)
        if inserted is None or updated is None or deleted is None or live is None or changed is None:
            return None
        if vacuums is None or analyses is None:
            return None
        return cls(inserted, updated, deleted, live, changed, vacuums, analyses, started)


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Arrived:
    """`rows` were committed in a step, `doubt` of them perhaps rolled back; `tells_share`: no estimate is in it."""

    rows: float
    doubt: float = 0.0
    tells_share: bool = False


def arrived(before: Counters | None, after: Counters | None, inserted: float, share: float) -> Arrived:
    """What was committed of the `inserted` rows of a step; `share` of inserts were when that was last known.

    All of it is in doubt where the counters do not show it, or a server that was started anew counts: another, after a
    failover.
    """
    if before is None or after is None or before.started != after.started:
        return Arrived(inserted, inserted)
    updated, deleted = max(0.0, after.updated - before.updated), max(0.0, after.deleted - before.deleted)
    live, changed = after.live - before.live, after.changed - before.changed
    # Live rows are never counted below zero: at zero, deletes may have taken away what was not counted.
    is_truncated = live + deleted < 0 or (deleted > 0 and after.live <= 0)
    is_analyzed = after.analyses != before.analyses or changed < 0
    if not is_truncated and not is_analyzed and after.vacuums == before.vacuums:
        most = _within(min(live + deleted, (changed + live) / 2), 0.0, inserted)
        least = _within(max(live, (changed - updated + live) / 2), 0.0, most)
        return Arrived(most, most - least, tells_share=True)
    least, most = 0.0, inserted
    if not is_analyzed:
        least, most = _within(changed - updated - deleted, 0.0, inserted), _within(changed, 0.0, inserted)
    error = ESTIMATE_ERROR * max(before.live, after.live)
    if inserted > error and live + deleted > -error:
        rows = _within(live + deleted, least, most)
        return Arrived(rows, rows - max(least, min(rows, live + deleted - error)))
    rows = _within(inserted * share, least, most)
    return Arrived(rows, rows - least)


def _within(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)
