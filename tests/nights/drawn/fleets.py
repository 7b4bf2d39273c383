"""The fleets that nights are drawn of: the one of the standing orders, and others with other names, tables and queues.

Nothing of one fleet is in another: names with spaces, several instances of one service, groups of other names or none,
tables with and without epochs, queues with prefixes and limits of their own, probes that are off.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from monitord.core.orders import CheckOrder, Expected, QueueOrders, StandingOrders
from monitord.core.thresholds import Threshold
from tests.core.nights import MEMORY, ORDERS

PROBES = ("pm2", "postgres", "epochs", "redis", "host")


@dataclass(frozen=True, slots=True)
class Fleet:
    """What there is to watch, before a night is drawn of it.

    `instances` are the services by how many there are of each, `periodic` those that come and go by how often
    (seconds). `listeners` are the services without which no row comes at all, `busy` the rows of an hour at most.
    """

    name: str
    instances: Mapping[str, int]
    orders: StandingOrders
    periodic: Mapping[str, float] = field(default_factory=dict)
    listeners: tuple[str, ...] = ()
    busy: int = 60_000

    @property
    def always(self) -> list[str]:
        """The services that are to be online all the time."""
        return [name for name in self.instances if name not in self.periodic]


def _own(chance: random.Random) -> Fleet:
    """The fleet of the standing orders."""
    return Fleet(
        "the standing orders' fleet",
        dict.fromkeys(MEMORY, 1),
        ORDERS,
        {"cls-discovery": chance.choice((1800.0, 3600.0, 7200.0))},
        ("stream-listener",),
        chance.choice((42_000, 85_000)),
    )


def _shop(chance: random.Random) -> Fleet:
    """A shop: two tables without epochs, two queues with prefixes and limits of their own."""
    orders = _foreign(
        user_facing=("shop-api",),
        tables=("orders", "payments"),
        queues=("emails", "thumbnails"),
        queue_by_name={
            "emails": QueueOrders(waiting=1000, prefix="shop", worker=("mail worker 2",)),
            "thumbnails": QueueOrders(waiting=20_000, prefix="img"),
        },
        checks={
            "site": CheckOrder("http", user_facing=True, warning=Threshold(">", 800.0)),
            "bank": CheckOrder("tcp", certificate_days=14),
            "unpaid": CheckOrder("sql", warning=Threshold(">", 500.0)),
            "stock": CheckOrder("freshness", warning=Threshold(">", 7200.0)),
            "raid": CheckOrder("command"),
        },
        probes=frozenset(PROBES) - {"epochs"} | {"checks"},
        fed_by={"orders": ("shop-api",)},
    )
    instances = {"shop-api": chance.choice((1, 2, 4)), "mail worker 2": 1, "thumbs": 2, "stock-sync": 1}
    return Fleet("a shop", instances, orders, {"stock-sync": 1800.0}, ("shop-api",), 20_000)


def _metrics(chance: random.Random) -> Fleet:
    """Metrics: many instances write, one group is sealed, there are no queues."""
    orders = _foreign(
        tables=("samples",),
        groups=("RAW",),
        cemented=("RAW",) if chance.random() < 0.5 else (),
        sealed_by={"RAW": ("rollup",)},
        fed_by={"samples": ("ingest",)},
        probes=frozenset({"pm2", "postgres", "epochs", "host"}),
        disks=("/", "/data"),
    )
    instances = {"ingest": chance.choice((2, 3, 8)), "rollup": 1, "dash board": 1}
    return Fleet("metrics", instances, orders, {}, ("ingest",), 90_000)


def _bots(chance: random.Random) -> Fleet:
    """Chat bots: two groups of their own, sealed by two services."""
    orders = _foreign(
        user_facing=("relay",),
        tables=("messages",),
        groups=("RED", "BLUE"),
        cemented=("RED",),
        sealed_by={"RED": ("seal-red",), "BLUE": ("seal-blue",)},
        fed_by={"messages": ("relay",)},
        queues=("outbox",),
        queue_prefix="bots",
        queue_waiting=2000,
    )
    names = ("relay", "bot 1", "bot 2", "seal-red", "seal-blue", "sweeper")
    return Fleet("chat bots", dict.fromkeys(names, 1), orders, {"sweeper": 3600.0}, ("relay",), 50_000)


def _mail(chance: random.Random) -> Fleet:
    """A mail farm: queues and processes, and no database."""
    orders = _foreign(
        queues=("inbound", "bounces"),
        queue_prefix=chance.choice(("bull", "mail_v2")),
        queue_by_name={"bounces": QueueOrders(waiting=300, oldest=timedelta(minutes=20))},
        probes=frozenset({"pm2", "redis", "host"}),
    )
    return Fleet("a mail farm", {"mx in": 2, "mx out": 2, "bounce-handler": 1}, orders)


def _plain(chance: random.Random) -> Fleet:
    """A few processes on a machine, and nothing else."""
    return Fleet(
        "plain processes",
        {"api": chance.choice((1, 3)), "web site": 1, "cron-jobs": 1},
        _foreign(
            user_facing=("web site",),
            probes=frozenset({"pm2", "host"}),
            disks=("/", "/data"),
            host_cpu=95.0,
            host_load=4.0,
            host_swap=80.0,
            service_cpu=90.0,
        ),
        {"cron-jobs": 3600.0},
    )


def _ledger(chance: random.Random) -> Fleet:
    """A ledger: one table with hourly bulk, groups that nobody cemented, no Redis."""
    orders = _foreign(
        tables=("entries", "audit_log"),
        groups=("EU", "US", "ASIA")[: chance.choice((2, 3))],
        cemented=(),
        sealed_by={"EU": ("closer",), "US": ("closer",), "ASIA": ("closer",)},
        probes=frozenset({"pm2", "postgres", "epochs", "host"}),
    )
    return Fleet("a ledger", {"writer": 2, "closer": 1, "export": 1}, orders, {"export": 7200.0}, ("writer",), 30_000)


FLEETS = (_own, _own, _own, _shop, _metrics, _bots, _mail, _plain, _ledger)


def _foreign(**orders: object) -> StandingOrders:
    """Orders of a fleet that shares nothing with the standing orders' own."""
    nothing = StandingOrders(tables=(), groups=(), cemented=(), user_facing=(), sealed_by={}, fed_by={}, queues=())
    given = {"probes": frozenset(PROBES) - {"epochs"} if not orders.get("groups") else frozenset(PROBES), **orders}
    return replace(nothing, **given)  # type: ignore[arg-type] # read by their own types


def drawn(chance: random.Random, every: float) -> Fleet:
    """A fleet, with its roster named or to be learned, and now and then a probe that is off."""
    fleet = chance.choice(FLEETS)(chance)
    roster: dict[str, Expected] = {name: "periodic" if name in fleet.periodic else "online" for name in fleet.instances}
    orders = replace(
        fleet.orders,
        services=roster if fleet.periodic or chance.random() < 0.6 else {},
        rhythms={n: timedelta(seconds=s) for n, s in fleet.periodic.items() if chance.random() < 0.5},
        late_after=max(timedelta(seconds=3 * every), timedelta(seconds=10)),
        learned_warnings=True,
    )
    off = chance.choice(("redis", "host", *[None] * 8))
    if off is not None and len(orders.probes - {off}) > 1:
        orders = replace(orders, probes=orders.probes - {off}, queues=() if off == "redis" else orders.queues)
    return replace(fleet, orders=orders)
