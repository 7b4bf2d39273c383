"""The embedded stack: Postgres, Valkey and PM2 in a sandbox, and the miniature fleet running on them."""

import asyncio
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from monitord.demo.apps.faults import Faults
from monitord.demo.fleets import WATCHER, DemoFleet, Place, fleet_named
from monitord.testing.sandbox import Sandbox, StackError, free_port
from monitord.testing.servers.base import EmbeddedServer
from monitord.testing.servers.pm2 import Pm2Server
from monitord.testing.servers.pm2_install import Progress
from monitord.testing.servers.postgres import PostgresServer
from monitord.testing.servers.solana import SolanaServer
from monitord.testing.servers.valkey import ValkeyServer

# The deadline of the whole start; most of it is for installing PM2 the first time and for many seeded rows.
START_SECONDS = 420.0
FLEET_SECONDS = 30.0


class Stack:
    """The embedded servers and the fleet; an async context manager.

    `directory` is empty or absent, and removed at the end (default: a new temporary one). An epoch is at least 4 s;
    `seed_rows` are written into the fleet's main table. Ports of 0 are free ones.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        fleet: DemoFleet | None = None,
        page_port: int | None = None,
        epoch_seconds: int = 10,
        seed_rows: int = 0,
        progress: Progress = lambda _: None,
    ) -> None:
        self.sandbox = Sandbox(directory)
        self.postgres: PostgresServer = PostgresServer(self.sandbox)
        self.valkey: ValkeyServer = ValkeyServer(self.sandbox)
        self.chain = SolanaServer(self.sandbox)
        self.pm2 = Pm2Server(self.sandbox, progress=progress)
        self.epoch_seconds = epoch_seconds
        self.fleet = fleet or fleet_named("pipeline")
        self.port = self._spare_port = 0
        self.page_port = page_port or 0
        self._seed_rows = seed_rows
        self._progress = progress

    @property
    def faults(self) -> Faults:
        return Faults(self.sandbox.directory / "faults")

    @property
    def dsn(self) -> str:
        return self.postgres.dsn(self.fleet.database)

    async def start(self) -> None:
        """Servers side by side, then the fleet. StackError: what failed first; nothing stays behind."""
        self.sandbox.open()
        deadline = asyncio.timeout(START_SECONDS)
        try:
            async with deadline:
                await self._start()
        except BaseException as error:
            await self.stop()
            if deadline.expired():
                raise StackError("timeout", f"the stack did not start within {START_SECONDS:g} s") from error
            first: BaseException = error
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            raise first from None

    async def _start(self) -> None:
        self._progress(f"starting Postgres, Valkey and PM2 in {self.sandbox.directory}")
        async with asyncio.TaskGroup() as servers:
            servers.create_task(self._start_postgres())
            servers.create_task(self._start_server(self.valkey, lambda: f"Valkey answers on port {self.valkey.port}"))
            servers.create_task(self._start_server(self.pm2, lambda: f"PM2 answers, pid {self.pm2.pid}"))
            if self.fleet.published is not None:
                servers.create_task(self.chain.start())
        await self._publish_past()
        await self.start_fleet()

    async def _start_server(self, server: EmbeddedServer, says: Callable[[], str]) -> None:
        await server.start()
        self._progress(says())

    async def _start_postgres(self) -> None:
        await self._start_server(self.postgres, lambda: f"Postgres answers on port {self.postgres.port}")
        if self._seed_rows:
            self._progress(f"writing {self._seed_rows:,} old rows")
        try:
            await self.postgres.create_database(self.fleet.database)
            await self.schema()
            await self.seed()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StackError(
                "timeout" if isinstance(error, TimeoutError) else "internal",
                f"the fleet's tables could not be made: {str(error) or type(error).__name__}",
            ) from error

    async def _publish_past(self) -> None:
        if self.fleet.published is None:
            return
        self._progress(f"the local chain answers on port {self.chain.port}")
        async with self.postgres.connection(self.fleet.database) as connection:
            await self.fleet.published(connection, self.chain.url)

    async def schema(self) -> None:
        """With the role that may only read the tables."""
        async with self.postgres.connection(self.fleet.database) as connection:
            await self.fleet.schema(connection)
            await connection.execute(
                f"CREATE ROLE {WATCHER} LOGIN PASSWORD '{self.postgres.password}';"
                f"GRANT pg_monitor, pg_read_all_data TO {WATCHER}"
            )

    async def seed(self) -> None:
        async with self.postgres.connection(self.fleet.database) as connection:
            await self.fleet.seed(connection, self._seed_rows, self.epoch_seconds)

    async def start_fleet(self) -> None:
        """Until the service that users face answers. StackError: PM2 refused, or it took more than 30 s."""
        self.port = self.port or free_port()
        self._spare_port = self._spare_port or free_port()
        self.page_port = self.page_port or free_port()
        self._progress("starting the fleet under PM2")
        await self.pm2.start_apps(self.fleet.ecosystem(self._place()))
        try:
            async with asyncio.timeout(FLEET_SECONDS):
                while not await asyncio.to_thread(self._answers):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise StackError("timeout", f"the fleet did not answer within {FLEET_SECONDS:g} s") from None
        self._progress("the fleet runs")

    def _answers(self) -> bool:
        try:
            # Straight there: an HTTP proxy of the environment has no business on 127.0.0.1.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{self.port}/", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def environment(self) -> dict[str, str]:
        return self.fleet.settings(self._place())

    def _place(self) -> Place:
        return Place(
            directory=self.sandbox.directory,
            pm2_home=self.pm2.home,
            dsn=self.dsn,
            watcher_dsn=self.postgres.dsn(self.fleet.database, user=WATCHER),
            redis_url=self.valkey.url(),
            epoch_seconds=self.epoch_seconds,
            port=self.port,
            spare_port=self._spare_port,
            page_port=self.page_port,
            chain_url=self.chain.url if self.fleet.published is not None else "",
        )

    async def stop(self) -> None:
        """In whatever state everything is. Safe to call twice. StackError: something would not go away."""
        await self.sandbox.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
