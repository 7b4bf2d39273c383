"""The miniature fleet as PM2 and monitord are given it: the ecosystem to start, the settings to watch it with."""

import json
import sys
from pathlib import Path
from typing import Any

from monitord.demo.apps.service import NO_OWNER
from monitord.testing.processes import MARKER
from monitord.testing.sandbox import package_root

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
DATABASE = "fleet"
QUEUE = "tree-builder"
WATCHER = "watcher"
"""The role monitord reads Postgres with: it may see everything and change nothing."""


def ecosystem(directory: Path, dsn: str, redis_url: str, epoch_seconds: int, gateway_port: int) -> dict[str, Any]:
    """What `pm2 start` is given: every service with the interpreter of this process.

    Args:
        directory: The sandbox the services belong to.
        dsn: Their database.
        redis_url: Their Redis.
        epoch_seconds: The length of an epoch.
        gateway_port: Where gateway listens on 127.0.0.1.
    """
    environment = {
        MARKER: str(directory),
        "PYTHONPATH": str(package_root()),
        "FLEET_DIRECTORY": str(directory),
        "FLEET_DSN": dsn,
        "FLEET_REDIS_URL": redis_url,
        "FLEET_EPOCH_SECONDS": str(epoch_seconds),
        "FLEET_GATEWAY_PORT": str(gateway_port),
    }
    programs = Path(__file__).parent / "apps"
    apps = []
    for name, program in SERVICES.items():
        app: dict[str, Any] = {
            "name": name,
            "script": str(programs / f"{program}.py"),
            "interpreter": sys.executable,
            # Without -P the programs' own directory comes first on the import path and shadows what it names.
            "interpreter_args": "-P",
            "cwd": str(directory),
            "env": environment,
            "stop_exit_codes": [NO_OWNER],
        }
        if name == PERIODIC:
            app |= {"autorestart": False, "cron_restart": DISCOVERY_CRON}
        apps.append(app)
    return {"apps": apps}


def settings(
    state_dir: Path, pm2_home: Path, dsn: str, redis_url: str, epoch_seconds: int, disk: Path
) -> dict[str, str]:
    """The MONITORD_* settings that watch the fleet, every window scaled from an hour's epoch to this one's length.

    Args:
        state_dir: Where monitord keeps its snapshot and logs.
        pm2_home: The fleet's PM2_HOME.
        dsn: The fleet's database, for the watching role.
        redis_url: The fleet's Redis.
        epoch_seconds: The length of an epoch.
        disk: The path whose file system is judged.
    """
    length = epoch_seconds
    return {
        "MONITORD_STATE_DIR": str(state_dir),
        "MONITORD_CHECK_INTERVAL": "2s",
        "MONITORD_PROBE_TIMEOUT": "2s",
        "MONITORD_PM2__HOME": str(pm2_home),
        "MONITORD_POSTGRES__DSN": dsn,
        "MONITORD_REDIS__URL": redis_url,
        "MONITORD_REDIS__QUEUES": json.dumps([QUEUE]),
        "MONITORD_EPOCHS__LENGTH": f"{length}s",
        # Seals are there about two seconds after an epoch is over.
        "MONITORD_EPOCHS__GRACE": f"{max(4, length // 4)}s",
        "MONITORD_HOST__DISKS": json.dumps([str(disk)]),
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
    }
