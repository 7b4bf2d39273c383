"""The pipeline in miniature, as PM2 and monitord are given it, and what all fleets are given."""

import json
import sys
from pathlib import Path
from typing import Any

import asyncpg

from monitord.demo.apps.service import NO_OWNER
from monitord.demo.fleets import DemoFleet, Place
from monitord.demo.scenario import FAULTS, SETTINGS
from monitord.demo.seed import apply_schema, publish_window, seed_old_signals, seed_window
from monitord.testing.sandbox import MARKER, package_root
from monitord.testing.servers.solana import WALLET

SERVICES = {
    "stream-listener": "stream_listener",
    "milo-aggregator": "milo_aggregator",
    "milo-worker-v2": "milo_worker",
    "cls-worker": "cls_worker",
    "gateway": "gateway",
    "tree-builder": "tree_builder",
    "cls-discovery": "cls_discovery",
}
"""The services by their names in PM2, and the programs they are."""

PERIODIC = "cls-discovery"
DISCOVERY_CRON = "*/20 * * * * *"
QUEUE = "tree-builder"


def environment(place: Place) -> dict[str, str]:
    return {
        MARKER: str(place.directory),
        "PYTHONPATH": str(package_root()),
        "FLEET_DIRECTORY": str(place.directory),
        "FLEET_DSN": place.dsn,
        "FLEET_REDIS_URL": place.redis_url,
        "FLEET_EPOCH_SECONDS": str(place.epoch_seconds),
        "FLEET_PORT": str(place.port),
        "FLEET_PAGE_PORT": str(place.page_port),
        "FLEET_CHAIN_URL": place.chain_url,
    }


def python_app(name: str, program: Path, place: Place) -> dict[str, Any]:
    """An app as `pm2 start` is given it, with the interpreter of this process."""
    return {
        "name": name,
        "script": str(program),
        "interpreter": sys.executable,
        # Without -P the programs' own directory comes first on the import path and shadows what it names.
        "interpreter_args": "-P",
        "cwd": str(place.directory),
        "env": environment(place),
        "stop_exit_codes": [NO_OWNER],
    }


def ecosystem(place: Place) -> dict[str, object]:
    programs = Path(__file__).parent / "apps"
    apps = []
    for name, program in SERVICES.items():
        app = python_app(name, programs / f"{program}.py", place)
        if name == PERIODIC:
            app |= {"autorestart": False, "cron_restart": DISCOVERY_CRON}
        apps.append(app)
    return {"apps": apps}


def servers(place: Place) -> dict[str, str]:
    return {
        "MONITORD_STATE_DIR": str(place.directory / "monitord"),
        "MONITORD_CHECK_INTERVAL": "2s",
        "MONITORD_PROBE_TIMEOUT": "2s",
        "MONITORD_PM2__HOME": str(place.pm2_home),
        "MONITORD_POSTGRES__DSN": place.watcher_dsn,
        "MONITORD_REDIS__URL": place.redis_url,
        "MONITORD_HOST__DISKS": json.dumps([str(place.directory)]),
    }


def settings(place: Place) -> dict[str, str]:
    """What watches the fleet, every window scaled from an hour's epoch to this one's length."""
    length = place.epoch_seconds
    return servers(place) | {
        "MONITORD_REDIS__QUEUES": json.dumps([QUEUE]),
        "MONITORD_EPOCHS__LENGTH": f"{length}s",
        # Seals are there about two seconds after an epoch is over.
        "MONITORD_EPOCHS__GRACE": f"{max(4, length // 4)}s",
        "MONITORD_ORDERS__SERVICES": json.dumps(
            {name: "periodic" if name == PERIODIC else "online" for name in SERVICES}
        ),
        "MONITORD_ORDERS__CONFIRMATIONS": "2",
        "MONITORD_ORDERS__CONFIRM_EVERY": "1s",
        "MONITORD_ORDERS__RESTARTS_WARNING": "2",
        "MONITORD_ORDERS__RESTARTS_CRITICAL": "6",
        "MONITORD_ORDERS__RESTARTS_WINDOW": "20s",
        "MONITORD_ORDERS__GROWTH_LIMIT": "10000",
        "MONITORD_ORDERS__GROWTH_WINDOW": "20s",
        "MONITORD_ORDERS__FLOW_STALL": f"{max(8, length // 2)}s",
        "MONITORD_ORDERS__SEAL_WARNING": f"{2 * length}s",
        "MONITORD_ORDERS__SEAL_CRITICAL": f"{4 * length}s",
        "MONITORD_ORDERS__QUEUE_WAITING": "50",
        "MONITORD_CHAIN__RPC_URLS": json.dumps([place.chain_url] if place.chain_url else []),
        "MONITORD_CHAIN__EVERY": f"{max(3, length // 12)}s",
        "MONITORD_CHAIN__WALLETS": json.dumps({WALLET: 0.5}),
        "MONITORD_PIPELINE__PUBLISH_STALL": f"{3 * length}s",
    }


async def seed(connection: asyncpg.Connection, rows: int, epoch_seconds: int) -> None:
    await seed_old_signals(connection, rows, epoch_seconds)
    await seed_window(connection, epoch_seconds)


PIPELINE = DemoFleet(
    name="pipeline",
    title="a real Postgres, Valkey and PM2 with a fleet of seven services",
    database="fleet",
    ecosystem=ecosystem,
    settings=settings,
    tour=SETTINGS,
    faults=FAULTS,
    schema=apply_schema,
    seed=seed,
    published=publish_window,
)
