"""Which labels are sealed: read whole now and then, and in between only where something shows to have been sealed.

What is sealed does not change, as a rule. Of each label that is due and absent it is counted in each reading how many
rows there are: where there are some, the label is read. Of one that is sealed and may yet grow (the newest that ought
to be on) it is counted where the server has counted changes to the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from monitord.core.history.epochs import Calendar
from monitord.postgres import queries
from monitord.postgres.participation import lower, upper
from monitord.postgres.session import changes

if TYPE_CHECKING:
    import asyncpg

    from monitord.postgres.session import Connection, Session

# All of the window is read again so many times an epoch.
AGAIN_PER_EPOCH: Final = 12
# Rows of a group and label that are counted; a label has 9 to 160. One with so many is read where it may have grown.
_MOST_ROWS: Final = 256
# Labels of a group that are counted so.
_MOST_LABELS: Final = 24

Place = tuple[str, int]


class SealedLabels:
    """The labels of some groups, as they were last read.

    `seals` are channels and the last time of sealing (Unix seconds) by group and label, `unaligned` how many seals of a
    group carry a label that is no start of an epoch and the newest of those; `others` are such seals of other groups.
    `read_at` is when all of the window was last read (Unix seconds).
    """

    def __init__(self, groups: Sequence[str], calendar: Calendar) -> None:
        self._groups = {upper(group): group for group in groups}
        self._spelled = {group: tuple(dict.fromkeys((group, upper(group), lower(group)))) for group in groups}
        self._calendar = calendar
        self._expected: int | None = None
        self._table: tuple[int, object] | None = None
        self._rows: dict[Place, int] = {}
        self._late: set[Place] = set()  # labels in which something was found since all of the window was read
        self._changes: object = None
        self.seals: dict[Place, tuple[int, float | None]] = {}
        self.unaligned: dict[str, tuple[int, int]] = {}
        self.others = 0
        self.read_at: float | None = None

    def forget(self) -> None:
        self.read_at = None

    def is_due(self, now: float) -> bool:
        """Whether all of the window is to be read: it was not, an epoch's twelfth has passed, or a label fell due."""
        again = self._calendar.length / AGAIN_PER_EPOCH
        is_fresh = self.read_at is not None and 0 <= now - self.read_at < again
        return not is_fresh or self._calendar.expected(now) != self._expected

    def absent(self, start: int, now: float) -> list[Place]:
        """The due labels that are not sealed, after the oldest seal of their group; all, of one without any."""
        length = self._calendar.length
        first = -(-start // length) * length
        last = self._calendar.current(now) - length
        found = []
        for group in self._spelled:
            oldest = min((label for name, label in self.seals if name == group), default=first)
            found += [(group, label) for label in range(oldest, last + 1, length) if (group, label) not in self.seals]
        return found

    async def read(self, session: Session, connection: Connection, start: int, now: float) -> None:
        """Bring all of it up to date, in a transaction of the session; `start` is the first second of the window."""
        is_whole = self.is_due(now)
        has_changed = await self._has_changed(session, connection)
        places = self._open(start, now, sealed=has_changed or is_whole)
        rows = await self._counted(connection, places)
        fewer = any(rows[place] < self._rows.get(place, 0) for place in places)
        if is_whole or fewer or self.read_at is None:  # it is another table where counting has found that out
            length = self._calendar.length
            found = await self._read(connection, range(start // length * length, int(now) + 1, length), start, now)
            self._off_the_grid(found)
            self._expected, self.read_at = self._calendar.expected(now), now
            self._late, self._rows = set(), {}
        elif changed := {
            place for place in places if rows[place] != self._rows.get(place, 0) or rows[place] >= _MOST_ROWS
        }:
            await self._read(connection, sorted({label for _, label in changed}), start, now)
            self._late |= changed
        self._rows |= rows
        for place in [place for place in self.seals if place[1] < start]:
            del self.seals[place]

    async def _has_changed(self, session: Session, connection: Connection) -> bool:
        """Whether the server has counted changes since the last reading; so, too, where it does not count."""
        if self._table is None:
            return True
        oid = self._table[0]
        found = changes((await session.counted(connection, [oid])).get(oid))
        last, self._changes = self._changes, found
        return found is None or found != last

    def _open(self, start: int, now: float, *, sealed: bool) -> list[Place]:
        """The labels that are due and not sealed, and those that are `sealed` and may grow: the newest of them."""
        length = self._calendar.length
        last = self._calendar.current(now) - length
        since = range(self._calendar.expected(now), last + 1, length)
        absent = self.absent(start, now)
        found: list[Place] = []
        for group in self._spelled:
            labels = {label for name, label in absent if name == group}
            if sealed:
                labels |= {*since, *(label for name, label in self._late if name == group and label >= start)}
            found += [(group, label) for label in sorted(labels)[-_MOST_LABELS:]]
        return found

    async def _counted(self, connection: Connection, places: Sequence[Place]) -> dict[Place, int]:
        rows = dict.fromkeys(places, 0)
        if not places:
            return rows
        asked = [(name, place) for place in places for name in self._spelled[place[0]]]
        found = await connection.fetch(
            queries.SEALED_ROWS, [name for name, _ in asked], [label for _, (_, label) in asked], _MOST_ROWS
        )
        for row in found:
            rows[asked[row["position"] - 1][1]] += row["rows"]
        table = (found[0]["relation"], found[0]["started"])
        if table != self._table:
            self._table, self._changes, self.read_at = table, None, None
        return rows

    async def _read(
        self, connection: Connection, labels: Iterable[int], start: int, now: float
    ) -> list[asyncpg.Record]:
        asked = list(labels)
        length, groups = self._calendar.length, list(self._groups)
        found = await connection.fetch(queries.EPOCHS, asked, length, start, int(now), groups)
        self.seals = {place: seal for place, seal in self.seals.items() if place[1] not in set(asked)}
        for row in found:
            if row["aligned"]:
                self.seals[self._groups[row["name"]], row["epoch"]] = row["channels"], row["sealed_at"]
        return found

    def _off_the_grid(self, rows: Iterable[asyncpg.Record]) -> None:
        off = [row for row in rows if not row["aligned"]]
        self.unaligned = {
            self._groups[row["name"]]: (row["labels"], row["newest"]) for row in off if row["name"] is not None
        }
        self.others = sum(row["labels"] for row in off if row["name"] is None)
