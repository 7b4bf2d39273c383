"""What one statement shows of a relation (queries.RELATIONS): as samples, and what it does not in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitord.core.model import Sample, sample

# A row of queries.RELATIONS; its counters may be newer.
Relation = dict[str, Any]

_LARGEST = 5
# What shows which inserts were committed: only where every insert is counted.
_OF_COMMITS = ("updated", "live", "changed", "vacuums", "analyses")

# pg_class.relkind
VIEW, SEQUENCE, FOREIGN, MATERIALIZED = "v", "S", "f", "m"
# What has no rows of its own that could be watched here, and why.
NO_TABLE = {
    VIEW: "is a view: it has no rows of its own; watch the tables that it reads",
    SEQUENCE: "is a sequence: it has no rows",
    FOREIGN: "is a foreign table: its rows are kept by another server, and no counter here sees them",
}


@dataclass(frozen=True, slots=True)
class TableReading:
    """What one statement found out about a relation. `pages` and `bytes` are None where they could not be measured.

    `rows_then` and `pages_then` are of the last VACUUM or ANALYZE (-1 rows: never), `surveyed` says that the
    statistics have seen one since they began, `live` and `dead` are their counts of row versions. `changed` counts what
    was committed since the last ANALYZE; `vacuums` and `analyses` count those.
    """

    kind: str
    stored: bool
    barred: bool
    bytes: int | None
    pages: int | None
    pages_then: int
    rows_then: float
    inserted: int
    deleted: int
    updated: int
    live: int
    dead: int
    changed: int
    vacuums: int
    analyses: int
    surveyed: bool
    indexed: bool

    @classmethod
    def of(cls, row: Relation) -> TableReading:
        return cls(**{name: row[name] for name in cls.__slots__})


def estimate_rows(table: TableReading) -> int | None:
    """How many rows a relation has, by its statistics; None when they have nothing to go by.

    The count of live rows is kept true by VACUUM and ANALYZE, but starts from nothing after a crash or a reset, and
    never starts on a replica. Until it has been surveyed again it is believed only while it can be right: a page holds
    at least one row version until it is vacuumed. Else the density of the last survey is applied to the pages of now,
    as the planner does.
    """
    if table.kind == FOREIGN:
        return None
    if not table.stored or table.pages == 0:
        return 0
    if table.surveyed:
        return table.live
    if table.rows_then > 0:
        scaled = table.rows_then
        if table.pages is not None and table.pages_then > 0:
            scaled *= table.pages / table.pages_then
        return table.live if table.live >= scaled / 2 else round(scaled)
    if table.pages is None:
        return table.live or None
    return table.live if table.live > 0 and table.live + table.dead >= table.pages / 2 else None


def _untold(*, replica: bool, counting: bool) -> str:
    if replica:
        return "a standby's counters say nothing of it"
    return "a part of it is a foreign table, whose rows no counter here sees" if counting else "track_counts is off"


def why_uncounted(label: str, *, replica: bool, counting: bool) -> str:
    why = _untold(replica=replica, counting=counting)
    return f"the growth of {label} cannot be measured: {why}, and its exact count did not finish in time"


def why_unseen(label: str, *, counting: bool) -> str:
    why = _untold(replica=False, counting=counting)
    which = "neither an index led by epoch nor a serial key to count new rows by"
    return f"the growth of {label} cannot be measured: {why}, and it has {which}"


def samples_of(
    label: str, members: Sequence[TableReading], *, replica: bool, seen: bool, countable: bool
) -> list[Sample]:
    rows = [estimate_rows(member) for member in members]
    sizes = [member.bytes for member in members if member.stored]
    pages = [member.pages for member in members if member.stored]
    written = sum(member.inserted + member.updated + member.deleted for member in members)
    samples = [
        sample("table_rows", None if None in rows else sum(filter(None, rows)), table=label),
        sample("table_size", None if None in sizes else sum(filter(None, sizes)), "bytes", table=label),
    ]
    if any(member.kind == MATERIALIZED for member in members):
        return samples

    def total(name: str) -> int | None:
        return None if replica else sum(getattr(member, name) for member in members)

    return [
        *samples,
        sample("table_inserted", total("inserted"), table=label),
        sample("table_deleted", total("deleted"), table=label),
        *(sample(f"table_{name}", total(name) if seen else None, table=label) for name in _OF_COMMITS),
        sample("table_written", None if replica else written, table=label),
        sample("table_heap", None if None in pages else sum(filter(None, pages)), "1", table=label),
        sample("table_counters", int(seen), table=label),
        sample("table_countable", int(countable), table=label),
    ]


def largest(relations: Sequence[Relation]) -> list[Sample]:
    sized = [(row["bytes"], row["label"]) for row in relations if row["stored"] and row["bytes"] is not None]
    sized.sort(key=lambda pair: (-pair[0], pair[1]))
    return [sample("largest_table", size, "bytes", table=label) for size, label in sized[:_LARGEST]]
