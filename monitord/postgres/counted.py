"""What the server counts of tables, by their oids: asked once for all who want to know in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from monitord.postgres import queries

if TYPE_CHECKING:
    import asyncpg

    from monitord.postgres.session import Connection

# Whose rows are followed by the server's counters: tables and materialized views, and no part of a whole.
_COUNTED: Final = ("r", "m")
# Transactions after which nobody asks for a table any more.
_FORGOTTEN_AFTER: Final = 100


class Counted:
    """The rows of queries.COUNTERS for all oids that are asked for, by transaction."""

    def __init__(self) -> None:
        self._wanted: dict[int, int] = {}
        self._sized: dict[int, int] = {}
        self._transaction = -1
        self._rows: dict[int, asyncpg.Record] = {}
        self._asked: frozenset[int] = frozenset()
        self._asked_sized: frozenset[int] = frozenset()

    async def of(
        self, connection: Connection, transaction: int, oids: Collection[int], *, sized: bool = False
    ) -> Mapping[int, asyncpg.Record]:
        """The rows by oid, as of this transaction (its number); of a relation that is gone there is none.

        `sized`: with the pages of each, for which a lock is taken.
        """
        for wanted in (self._wanted, self._sized) if sized else (self._wanted,):
            wanted.update(dict.fromkeys(oids, transaction))
        asked = self._asked_sized if sized else self._asked
        if transaction != self._transaction or not asked.issuperset(oids):
            for wanted in (self._wanted, self._sized):
                for oid in [oid for oid, last in wanted.items() if transaction - last > _FORGOTTEN_AFTER]:
                    del wanted[oid]
            rows = await connection.fetch(queries.COUNTERS, list(self._wanted), list(self._sized))
            self._rows = {row["oid"]: row for row in rows}
            self._asked, self._asked_sized = frozenset(self._wanted), frozenset(self._sized)
            self._transaction = transaction
        return {oid: self._rows[oid] for oid in oids if oid in self._rows}


def changes(row: asyncpg.Record | None) -> tuple[object, ...] | None:
    """What is another number once a table has changed; None where the server does not count that."""
    if row is None or row["kind"] not in _COUNTED or not row["told"]:
        return None
    return tuple(row[name] for name in ("oid", "inserted", "updated", "deleted"))
