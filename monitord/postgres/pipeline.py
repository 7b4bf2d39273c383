"""Asks what has become of what was sealed: trees, roots, publishing; and of what comes before it: signals, who joined.

Each question is bounded by labels and by rows. What does not change is asked for once: whoever asks keeps the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitord.core.names import distinct
from monitord.postgres import queries
from monitord.postgres.participation import spellings, upper
from monitord.postgres.session import changes

if TYPE_CHECKING:
    from monitord.postgres.session import Connection, Session

SIGNALS: Final = "user_signals"
PARTICIPATION: Final = "channel_participation"
SEALS: Final = "sealed_epochs"
PARTICIPANTS: Final = "sealed_participants"
TREES: Final = "l2_tree_cache"
TABLES: Final = (SIGNALS, PARTICIPATION, SEALS, PARTICIPANTS, TREES)
# The parts of an epoch in which it is counted who joined.
PARTS: Final = 12
# What may be wrong with a label's seals and their trees, each counted by its column.
TROUBLES: Final = ("empty", "unlike", "miscounted", "oversized")
_MOST_SIGNALS = 300_000
_MOST_JOINED = 200_000
# Seals that are looked at at a time for what is not published.
BACKLOG_PAGE: Final = 2000
# A tree cache that no index begins with its labels is read whole, up to so many pages of 8 KiB.
_MOST_PAGES = 16_384
MOST_CHANNELS: Final = 100
MOST_LATEST: Final = 5


@dataclass(frozen=True, slots=True)
class Access:
    there: bool = False
    readable: bool = False
    pages: int = 0
    indexed: bool = False
    oid: int | None = None

    @property
    def usable(self) -> bool:
        return self.readable and (self.indexed or self.pages <= _MOST_PAGES)


@dataclass(frozen=True, slots=True)
class Signature:
    """What tells whether anything of a label has changed. `called` is how a group that is not watched is called."""

    rows: int
    published: int
    value: int
    called: str = ""

    @property
    def word(self) -> str:
        return f"{self.rows}:{self.value & (1 << 64) - 1:016x}"


@dataclass(frozen=True, slots=True)
class Stages:
    """What has become of the seals of one label and group; `found` are counts and the first channels by trouble."""

    seals: int
    treed: int
    eligible: int
    eligible_since: float | None
    sealed_at: float | None
    uncategorised: int
    categorised: int
    untreed: tuple[str, ...] = ()
    found: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What of a label waits to be published; `oldest` in Unix seconds. `is_part`: not all of its seals were seen."""

    unpublished: int
    eligible: int
    oldest: float | None
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class PublishedOf:
    """How many seals of a label were published lately, and when the last of all was (Unix seconds)."""

    lately: int
    last: float | None


@dataclass(frozen=True, slots=True)
class Twice:
    groups: tuple[str, ...]
    channels: tuple[str, ...]
    labels: tuple[int, ...]


async def access(connection: Connection) -> dict[str, Access]:
    rows = await connection.fetch(queries.ACCESS, list(TABLES))
    return {
        row["name"]: Access(row["there"], row["readable"], row["pages"], row["indexed"], row["oid"]) for row in rows
    }


async def signatures(
    connection: Connection, labels: Sequence[int], groups: Sequence[str], trees: Access
) -> tuple[dict[tuple[int, str], Signature], dict[int, Signature]]:
    """The signatures of these labels' seals, by label and group in upper case, and those of their trees."""
    statement = queries.signed(trees=trees.usable, indexed=trees.indexed)
    rows = await connection.fetch(statement, list(labels), list(groups))
    seals, built = {}, {}
    for row in rows:
        one = Signature(row["rows"], row["published"], row["signature"], row["called"] or "")
        if row["name"] is None:
            built[row["epoch"]] = one
        else:
            seals[row["epoch"], row["name"]] = one
    return seals, built


async def changed(
    session: Session, connection: Connection, tables: Mapping[str, Access]
) -> dict[str, tuple[object, ...] | None]:
    """What the server has counted of changes to each of these tables; None where it does not count them."""
    oids = {name: one.oid for name, one in tables.items() if one.oid is not None}
    rows = await session.counted(connection, list(oids.values()))
    return {name: changes(rows.get(oids[name])) if name in oids else None for name in tables}


async def marks(connection: Connection, labels: Sequence[int], trees: Access) -> dict[int, tuple[object, ...]]:
    """What each of these labels' seals and trees come to, to be compared with what they came to before."""
    found: dict[int, tuple[object, ...]] = dict.fromkeys(labels, ())
    for row in await connection.fetch(queries.marked(trees=trees.usable and trees.indexed), list(labels)):
        found[row["epoch"]] = (*found[row["epoch"]], (row["of"], row["rows"], row["published"], row["mark"]))
    return found


async def stages(
    connection: Connection, labels: Sequence[int], groups: Sequence[str], tables: Mapping[str, Access]
) -> dict[tuple[int, str], Stages]:
    trees = tables[TREES]
    statement = queries.stages(trees=trees.usable, indexed=trees.indexed, participants=tables[PARTICIPANTS].usable)
    await connection.execute(queries.NO_NESTED_LOOPS)
    rows = await connection.fetch(statement, list(labels), list(groups))
    await connection.execute(queries.NESTED_LOOPS)
    return {
        (row["epoch"], row["name"]): Stages(
            seals=row["seals"],
            treed=row["treed"],
            eligible=row["eligible"],
            eligible_since=row["eligible_since"],
            sealed_at=row["sealed_at"],
            uncategorised=row["uncategorised"],
            categorised=row["categorised"],
            untreed=_names(row["untreed_channels"]),
            found={name: (row[name], _names(row[f"{name}_channels"])) for name in TROUBLES},
        )
        for row in rows
    }


async def duplicates(
    connection: Connection, labels: Sequence[int], groups: Sequence[str], asked: Sequence[int]
) -> list[Twice]:
    """The roots that several seals of these labels have, and one of the labels that are `asked` of them."""
    rows = await connection.fetch(queries.DUPLICATES, list(labels), list(groups), list(asked))
    return [Twice(tuple(row["names"]), _names(row["channels"]), tuple(row["labels"])) for row in rows]


async def latest(
    connection: Connection, batches: Iterable[Sequence[int]], groups: Sequence[str]
) -> dict[str, tuple[tuple[str, int], ...]]:
    """The channels that each group (in upper case) sealed last; of `batches`, newest first, what it takes."""
    found: dict[str, dict[str, int]] = {group: {} for group in groups}
    for labels in batches:
        for row in await connection.fetch(queries.LATEST, list(labels), list(groups), MOST_LATEST):
            its = found[row["name"]]
            if len(its) < MOST_LATEST:
                its.setdefault(distinct(row["channel"]), row["epoch"])
        if all(len(its) >= MOST_LATEST for its in found.values()):
            break
    return {group: tuple(its.items()) for group, its in found.items() if its}


async def backlog(connection: Connection, newest: int, trees: Access) -> tuple[dict[int, Waiting], int | None]:
    """What waits of a page of labels, from `newest` on backwards, and where the next page begins (None: nowhere)."""
    statement = queries.backlog(trees=trees.usable and trees.indexed)
    rows = await connection.fetch(statement, newest, BACKLOG_PAGE)
    then: int | None = None
    is_part = False
    if sum(row["rows"] for row in rows) >= BACKLOG_PAGE:  # the last of them may go on
        is_part = len(rows) == 1
        then = rows[-1]["epoch"] - is_part
        rows = rows if is_part else rows[:-1]
    found = {
        row["epoch"]: Waiting(row["unpublished"], row["eligible"], row["oldest"], is_part)
        for row in rows
        if row["unpublished"] or is_part
    }
    return found, then


async def published(connection: Connection, labels: Sequence[int], since: float) -> dict[int, PublishedOf]:
    rows = await connection.fetch(queries.PUBLISHED, list(labels), since)
    return dict.fromkeys(labels, PublishedOf(0, None)) | {
        row["epoch"]: PublishedOf(row["lately"], row["last"]) for row in rows
    }


async def newest_signal(connection: Connection, labels: Sequence[int], now: float) -> float | None:
    """When the newest signal was sent, in Unix seconds: of the first of these labels that has any."""
    for label in labels:
        found: float | None = await connection.fetchval(queries.NEWEST_SIGNAL, label, now, _MOST_SIGNALS)
        if found is not None:
            return found
    return None


async def joined(connection: Connection, label: int, groups: Sequence[str], length: int) -> dict[str, tuple[int, ...]]:
    """How many came to take part in each of the parts of a label's epoch, by group in upper case."""
    found = {group: [0] * PARTS for group in groups}
    for row in await connection.fetch(queries.JOINED, label, list(groups), length, PARTS, _MOST_JOINED):
        found[row["name"]][row["part"]] = row["joined"]
    return {group: tuple(parts) for group, parts in found.items()}


async def viewers(connection: Connection, label: int, groups: Sequence[str]) -> dict[str, int] | None:
    """How many different users took part in a label, by group in upper case; None where there are too many rows."""
    rows = await connection.fetch(queries.VIEWERS_OF_LABEL, label, list(groups), _MOST_JOINED)
    if sum(row["records"] for row in rows) >= _MOST_JOINED:
        return None
    return dict.fromkeys(groups, 0) | {row["name"]: row["viewers"] for row in rows}


async def roster(
    connection: Connection, groups: Sequence[str], every: Sequence[str]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """The channels that ever took part for each of these groups, and for which others of `every` group."""
    found: dict[str, dict[str, tuple[str, ...]]] = {group: {} for group in groups}
    most = (MOST_CHANNELS + 1) * len(groups)
    for row in await connection.fetch(queries.ROSTER, *spellings(groups), *spellings(every), most):
        group = groups[row["position"] - 1]
        others = (every[place - 1] for place in row["others"])
        found[group][distinct(row["channel"])] = tuple(one for one in others if upper(one) != upper(group))
    return {group: channels for group, channels in found.items() if len(channels) <= MOST_CHANNELS}


async def names_kept(connection: Connection, label: int) -> bool:
    return bool(await connection.fetchval(queries.NAMES_KEPT, label))


def _names(channels: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(distinct(name) for name in channels or ()))
