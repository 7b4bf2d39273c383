"""The shop as PM2 and monitord are given it."""

import json
from pathlib import Path
from typing import Final

import asyncpg

from monitord.demo import fleet
from monitord.demo.apps.service import NO_OWNER
from monitord.demo.fleets import DemoFleet, Place
from monitord.demo.shop.scenario import API, FAULTS, IMPORT, MAIL, PRICES, TOUR, TRACKER, WEB

PROGRAMS: Final = {
    API: "shop_api",
    TRACKER: "tracker",
    IMPORT: "order_import",
    MAIL: "mail_worker",
    PRICES: "price_sync",
}
"""The services that are Python programs; `web` is the one of Node."""

PRICES_CRON = "*/5 * * * * *"
SCHEMA_SECONDS = 60.0


def ecosystem(place: Place) -> dict[str, object]:
    here = Path(__file__).parent
    apps = [fleet.python_app(name, here / "apps" / f"{program}.py", place) for name, program in PROGRAMS.items()]
    for app in apps:
        app["env"] = app["env"] | {"SHOP_API_PORT": str(place.spare_port)}
        if app["name"] == PRICES:
            app |= {"autorestart": False, "cron_restart": PRICES_CRON}
    web = {"name": WEB, "script": str(here / "web.js"), "cwd": str(place.directory), "env": fleet.environment(place)}
    return {"apps": [web | {"stop_exit_codes": [NO_OWNER]}, *apps]}


def settings(place: Place) -> dict[str, str]:
    """An hour of its life takes an epoch's seconds here."""
    hour = place.epoch_seconds
    checks = {
        "api": {
            "type": "http",
            "url": f"http://127.0.0.1:{place.spare_port}/healthz",
            "json": {"status": "ok"},
            "timeout": "1s",
            "service": API,
            "user_facing": True,
        },
        "prices": {"type": "checkin", "period": "5s", "grace": "4s", "max_runtime": "4s"},
        "orders are fresh": {
            "type": "freshness",
            "table": "orders",
            "column": "placed_at",
            "warning": f"{2 * hour}s",
            "depends_on": ["orders"],
        },
        "unpaid orders": {
            "type": "sql",
            "query": "SELECT count(*) FROM orders WHERE NOT paid",
            "warning": "> 50",
            "unit": "orders",
        },
    }
    roster = dict.fromkeys((WEB, *PROGRAMS), "online") | {PRICES: "periodic:5s"}
    return fleet.servers(place) | {
        "MONITORD_POSTGRES__TABLES": json.dumps({"page_views": {}, "orders": {"flow_stall": f"{hour}s"}}),
        "MONITORD_REDIS__QUEUES": json.dumps({"emails": {"prefix": "myapp", "worker": MAIL, "failed": 5}}),
        "MONITORD_CHECKS": json.dumps(checks),
        "MONITORD_ORDERS__SERVICES": json.dumps(roster),
        "MONITORD_ORDERS__FED_BY": json.dumps({"page_views": [TRACKER], "orders": [IMPORT]}),
        "MONITORD_ORDERS__USER_FACING": json.dumps([WEB, API]),
        "MONITORD_ORDERS__CONFIRM_EVERY": "1s",
        "MONITORD_ORDERS__GROWTH_WINDOW": f"{2 * hour}s",
        "MONITORD_ORDERS__FLOW_STALL": "5s",
        "MONITORD_ORDERS__QUEUE_WINDOW": f"{2 * hour}s",
        "MONITORD_ORDERS__QUEUE_STALL": f"{2 * hour}s",
    }


async def schema(connection: asyncpg.Connection) -> None:
    await connection.execute((Path(__file__).parent / "schema.sql").read_text(), timeout=SCHEMA_SECONDS)


async def seed(connection: asyncpg.Connection, rows: int, epoch_seconds: int) -> None:
    """Give the shop a day of orders, one in an epoch, and as many old page views as are asked for."""
    await connection.execute(
        "INSERT INTO orders (total, placed_at) "
        "SELECT 20, now() - n * make_interval(secs => $1) FROM generate_series(0, 23) AS n",
        epoch_seconds,
        timeout=SCHEMA_SECONDS,
    )
    await connection.execute(
        "INSERT INTO page_views (path, seen_at) "
        "SELECT '/', now() - n * interval '1 second' FROM generate_series(1, $1::int8) AS n",
        rows,
        timeout=SCHEMA_SECONDS,
    )
    await connection.execute("ANALYZE", timeout=SCHEMA_SECONDS)


SHOP: Final = DemoFleet(
    name="shop",
    title="a real Postgres, Valkey and PM2 with a shop of six services, and checks of its own",
    database="shop",
    ecosystem=ecosystem,
    settings=settings,
    tour=TOUR,
    faults=FAULTS,
    schema=schema,
    seed=seed,
)
