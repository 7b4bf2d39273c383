"""The fleets of the demonstration, by name: what each is made of, how it is watched, and what is broken in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncpg

    from monitord.demo.scenario import Fault

# The role monitord reads Postgres with: it may see everything and change nothing.
WATCHER = "watcher"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fleet lives: its sandbox and its servers. `dsn` is its services', `watcher_dsn` monitord's.

    `epoch_seconds` is also what takes an hour in a fleet without epochs. On 127.0.0.1, `port` is of the service that
    users face, `spare_port` for whoever else listens, `page_port` of monitord's page; `chain_url` may be "".
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
    """One fleet, as `--fleet` knows it. `title` is half a sentence; `faults` are in the order of the tour.

    `tour` are settings beyond those that watch it. `seed` writes as many old rows as are asked for, and epochs of so
    many seconds; `published` publishes that past to the chain at an address (None: it has no chain).
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
    """Only that one is imported."""
    if name == "shop":
        from monitord.demo.shop.fleet import SHOP

        return SHOP
    from monitord.demo.fleet import PIPELINE

    return PIPELINE
