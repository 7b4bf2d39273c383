"""The fleets of the demonstration, by name: what each is made of, how it is watched, and what is broken in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncpg

    from monitord.demo.scenario import Fault

WATCHER = "watcher"
"""The role monitord reads Postgres with: it may see everything and change nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fleet lives.

    Attributes:
        directory: The sandbox its services belong to.
        pm2_home: Its PM2_HOME.
        dsn: Its database, for its services.
        watcher_dsn: The same, for the watching role.
        redis_url: Its Redis.
        epoch_seconds: The length of an epoch, or of what takes an hour in such a fleet.
        port: Where the service that users face listens on 127.0.0.1.
        spare_port: A second one, for whoever else listens.
        page_port: Where monitord's page listens.
        chain_url: Where the chain is asked that it publishes to; "" where it has none.
    """

    directory: Path
    pm2_home: Path
    dsn: str
    watcher_dsn: str
    redis_url: str
    epoch_seconds: int
    port: int
    spare_port: int
    page_port: int
    chain_url: str = ""


@dataclass(frozen=True, slots=True)
class DemoFleet:
    """One fleet.

    Attributes:
        name: As `--fleet` knows it.
        title: What it is, in half a sentence.
        database: Its database's name.
        ecosystem: What `pm2 start` is given.
        settings: The MONITORD_* settings that watch it.
        tour: Settings of the tour beyond those.
        faults: What can be broken, in the order of the tour.
        schema: Makes its tables in an empty database.
        seed: Gives it a past: as many old rows as are asked for, and epochs of so many seconds.
        published: Publishes that past to the chain at an address (None: it publishes to none, and has no chain).
    """

    name: str
    title: str
    database: str
    ecosystem: Callable[[Place], dict[str, Any]]
    settings: Callable[[Place], dict[str, str]]
    tour: Mapping[str, str]
    faults: tuple[Fault, ...]
    schema: Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[None]]
    seed: Callable[[asyncpg.Connection[asyncpg.Record], int, int], Awaitable[None]]
    published: Callable[[asyncpg.Connection[asyncpg.Record], str], Awaitable[None]] | None = None


NAMES = ("pipeline", "shop")


def fleet_named(name: str) -> DemoFleet:
    """The fleet of this name, which is one of NAMES; only that one is imported."""
    if name == "shop":
        from monitord.demo.shop.fleet import SHOP

        return SHOP
    from monitord.demo.fleet import PIPELINE

    return PIPELINE
