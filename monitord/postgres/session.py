"""The one connection that all probes of Postgres share, and the read-only transactions on it.

Who waits for the session while another reads goes on in that one's transaction: a cycle of several probes is one.

The connection is opened when it is first needed and kept. It is suspect the moment anything goes wrong with it: then
it is cut, not closed in order, which would wait for a server that may be gone, and the next transaction makes a new
one.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from monitord.failures import FailureError
from monitord.postgres import queries
from monitord.postgres.dsn import Address, DsnHost, parse
from monitord.postgres.errors import PostgresError, explain

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

# Shares of what is left of a deadline, so that whoever knows more gives up first: the lock, the server, this process.
_LOCK_SHARE, _STATEMENT_SHARE = 0.2, 0.85
# A server that gives up needs time to say so: at least this much, but no more than half of what is left.
_ANSWER_SECONDS = 0.25
_LOCK_SECONDS = 1.0
# A kept connection may have been forgotten by a firewall, and then nobody ever answers on it: a new one gets the rest.
_KEPT_SHARE = 1 / 3
# Of what is left for a connection, so that whoever made it says what it waited for.
_CONNECT_SHARE = 0.95
_KNOCK_SHARE = 1 / 2  # of what is left of a reading, to see whether one more connection is accepted
_CLOSE_SECONDS = 1.0
_COMMAND_SECONDS = 60.0  # a backstop: the deadline of each transaction comes sooner
# A transaction is handed on while it is no older, and to those who have about as much time as it was opened for.
_SHARED_SECONDS = 1.0
_ALIKE = (0.5, 1.1)
# Errors after which another host of the DSN is worth trying; a wrong password is wrong everywhere.
_NEXT_HOST = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.TargetServerAttributeNotMatched,
)
_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, ValueError)
# Whose rows are followed by the server's counters: tables and materialized views, and no part of a whole.
_COUNTED: Final = ("r", "m")
# Transactions after which nobody asks for a table any more.
_FORGOTTEN_AFTER: Final = 100


class Session:
    """One connection to one database, for one transaction at a time; light enough for a pool that others live from.

    No prepared statements are kept, no session setting is made and no start-up parameter but application_name is
    sent, so that it works behind a PgBouncer in transaction mode.
    """

    def __init__(self, dsn: str, ca_file: Path | None = None) -> None:
        """Connects to nothing yet. `ca_file` wins over the DSN's sslrootcert. DsnError: it cannot be read."""
        self._address: Address = parse(dsn, ca_file, os.environ)
        self._connection: Connection | None = None
        self._where = ", ".join(str(host) for host in self._address.hosts)
        self._lock = asyncio.Lock()
        self._heard: Callable[[str], None] | None = None
        self._waiting = 0
        # The transaction that was left open for who waits: since when (the loop's time), and for how many seconds.
        self._handed_on: tuple[float, float] | None = None
        self._began: tuple[float, float] = (0.0, 0.0)
        self._transactions = 0
        self._counted = Counted()
        self.opened_in_ms = 0.0
        """How long the server, or the pool before it, took to open the transaction: one round trip, no connecting."""

    @property
    def unverified(self) -> bool:
        """Whether the DSN asks for TLS without anything to verify the server by, which is worth a warning."""
        tcp = any(not (host.name or "/").startswith("/") for host in self._address.hosts)
        return tcp and self._address.tls.unverified

    def listen(self, heard: Callable[[str], None]) -> None:
        """From now on call `heard` on the loop when the other side ends a kept connection, with a sentence."""
        self._heard = heard

    async def ping(self) -> None:
        """Whether anybody answers over the kept connection, else it is cut; nothing within a transaction."""
        connection = self._connection
        if connection is None or self._lock.locked():
            return
        async with self._lock:
            try:
                await connection.execute(queries.PING)
            except BaseException:
                self._cut()
                raise

    @asynccontextmanager
    async def read_only(self, timeout: float) -> AsyncIterator[Connection]:
        """A read-only transaction within `timeout` seconds, waiting for the session and connecting included.

        A kept connection that is dead is replaced before. Statements that fail in the server leave the connection
        whole; whatever else is raised in the transaction costs it. A setting that is made in it must be put back:
        others may go on in it. PostgresError: it could not be opened, a statement failed, or the time was up.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        try:
            async with asyncio.timeout_at(deadline), self._turn():
                connection = await self._begin(deadline)
                try:
                    yield connection
                except (asyncpg.PostgresError, FailureError):  # it was said between two statements, or by one
                    await self._end(connection)
                    raise
                except AttributeError as error:
                    # What asyncpg comes to when its connection is closed between two of a statement's steps.
                    if not connection.is_closed():
                        self._cut()
                        raise
                    raise PostgresError("protocol", f"the connection to {self._where} was closed meanwhile") from error
                except BaseException:
                    self._cut()
                    raise
                if self._waiting and loop.time() - self._began[0] < _SHARED_SECONDS and not connection.is_closed():
                    self._handed_on = self._began
                else:
                    await self._end(connection)
        except _ERRORS as error:
            raise self._explained(error) from error

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The session for oneself. What was handed on and is taken by nobody does not stay open."""
        self._waiting += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._waiting -= 1
            if self._handed_on and not self._waiting and not self._lock.locked():
                self._cut()
            raise
        self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()

    async def counted(
        self, connection: Connection, oids: Collection[int], *, sized: bool = False
    ) -> Mapping[int, asyncpg.Record]:
        """Rows of queries.COUNTERS by oid, within a transaction; asked once for all who share it (see Counted.of)."""
        return await self._counted.of(connection, self._transactions, oids, sized=sized)

    async def accepted(self, timeout: float) -> bool | None:
        """Whether one more connection is accepted now; it is closed at once. None where that is not known."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout * _KNOCK_SHARE
        try:
            async with asyncio.timeout_at(deadline):
                connection = await self._connect(deadline)
        except PostgresError as error:
            return False if error.full else None
        except _ERRORS:
            return None
        with suppress(*_ERRORS):
            await connection.close(timeout=_CLOSE_SECONDS)
        return True

    async def close(self) -> None:
        """Let go of the connection: in order when it is idle, by cutting it when it is in use. Never raises."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._lock.locked():
            connection.terminate()
            return
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=_CLOSE_SECONDS)

    async def _begin(self, deadline: float) -> Connection:
        """A connection inside a transaction. Kept or new, it is cut when this does not succeed."""
        loop = asyncio.get_running_loop()
        kept, handed_on = self._connection, self._handed_on
        self._handed_on = None
        if kept is not None and handed_on is not None and not kept.is_closed():
            if _ALIKE[0] <= handed_on[1] / max(0.01, deadline - loop.time()) <= _ALIKE[1]:
                return kept
            await self._end(kept)
            kept = self._connection
        if kept is not None and not kept.is_closed():
            try:
                async with asyncio.timeout((deadline - loop.time()) * _KEPT_SHARE):
                    await self._open(kept, deadline)
            except _ERRORS:
                self._cut()  # stale: whether the server is there a new connection must say
            except BaseException:
                self._cut()
                raise
            else:
                return kept
        self._connection = None
        fresh = self._connection = await self._connect(deadline)
        try:
            await self._open(fresh, deadline)
        except BaseException:
            self._cut()
            raise
        if self._heard is not None:
            fresh.add_termination_listener(self._ended)
        return fresh

    async def _open(self, connection: Connection, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        left = max(0.01, deadline - began)
        opening = queries.begin(
            statement_ms=max(1, int(_of_server(left) * 1000)),
            lock_ms=max(1, int(min(_LOCK_SECONDS, left * _LOCK_SHARE) * 1000)),
            idle_ms=max(1, int(left * 1000)),
            search_path=self._address.search_path,
        )
        await connection.execute(opening)
        self._began = began, left
        self._transactions += 1
        self.opened_in_ms = (loop.time() - began) * 1000

    async def _end(self, connection: Connection) -> None:
        """Roll back, which for a reader is as good as a commit; a connection that cannot is cut, the work stands."""
        try:
            await connection.execute("ROLLBACK")
        except _ERRORS:
            self._cut()
        except BaseException:
            self._cut()
            raise

    def _ended(self, connection: object) -> None:
        if self._heard is not None and connection is self._connection:  # what is let go of is kept no more
            self._connection = None
            self._heard(f"Postgres at {self._where} closed the kept connection")

    def _cut(self) -> None:
        connection, self._connection, self._handed_on = self._connection, None, None
        if connection is not None:
            connection.terminate()

    async def _connect(self, deadline: float) -> Connection:
        """A new connection to the first host that will have us, each with its share of the time that is left."""
        wanted = self._address.target_session_attrs
        passes = ("standby", "any") if wanted == "prefer-standby" else (wanted,)
        turns = [(host, attributes) for attributes in passes for host in self._address.hosts]
        loop = asyncio.get_running_loop()
        failures: list[PostgresError] = []
        for left, (host, attributes) in zip(range(len(turns), 0, -1), turns, strict=True):
            share = (deadline - loop.time()) / left * _CONNECT_SHARE
            try:
                return await self._connect_to(host, attributes, min(share, self._address.connect_timeout or share))
            except _ERRORS as error:
                failures.append(self._explained(error, host))
                if not isinstance(error, _NEXT_HOST):
                    break
        raise failures[-1]

    async def _connect_to(self, host: DsnHost, attributes: str, timeout: float) -> Connection:
        try:
            encryption = self._address.tls.argument()
        except (OSError, ValueError) as error:
            why = "" if isinstance(error, ssl.SSLError) or not isinstance(error, OSError) else f": {error.strerror}"
            raise PostgresError("tls", f"the CA, certificate or key file for Postgres cannot be read{why}") from error
        arguments: dict[str, Any] = {
            **self._address.arguments(host),
            "ssl": encryption,
            "direct_tls": self._address.tls.direct,
            "target_session_attrs": attributes,
            "timeout": timeout,
            "command_timeout": _COMMAND_SECONDS,
            "statement_cache_size": 0,
        }
        return await asyncpg.connect(**arguments)

    def _explained(self, error: BaseException, host: DsnHost | None = None) -> PostgresError:
        where = self._where if host is None else str(host)
        return explain(error, where, self._address.tls.mode, self._address.password, connecting=host is not None)


def _of_server(left: float) -> float:
    """How many of the seconds that are left the server has for a statement."""
    return min(left * _STATEMENT_SHARE, max(left - _ANSWER_SECONDS, left / 2))


class Counted:
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
        """The rows by oid as of this transaction (its number). `sized`: with pages, for which locks are taken."""
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
