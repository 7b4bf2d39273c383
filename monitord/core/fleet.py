"""What two readings of PM2 say together: who is there, who came and went, and how often each died.

PM2 restarts a crashed process within milliseconds, so its `status` tells nothing of crashes; its counters do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from monitord.core import restarts
from monitord.core.fleet_events import events_of
from monitord.core.history import Batch, Death, History, Life, Service
from monitord.core.model import Reading, ServiceEvent, Value
from monitord.core.orders import Expected, StandingOrders


def processes(reading: Reading) -> dict[str, dict[str, Life]]:
    """Name -> pm_id -> Life, from one good reading of the pm2 probe."""
    rows: dict[tuple[str, str], dict[str, Value]] = {}
    for s in reading.samples:
        if s.name.startswith("service_"):
            key = (s.label("service"), s.label("instance"))
            rows.setdefault(key, {})[s.name.removeprefix("service_")] = s.value
    fleet: dict[str, dict[str, Life]] = {}
    for (name, instance), row in rows.items():
        fleet.setdefault(name, {})[instance] = Life(
            state=str(row.get("state") or "unknown"),
            restarts=_whole(row.get("restarts")),
            created_at=_number(row.get("created_at")),
            process=_word(row.get("process")),
            memory=_number(row.get("memory")),
            cpu=_number(row.get("cpu")),
            started_at=_number(row.get("started_at")),
            exit_code=_whole(row.get("exit_code")),
            schedule=_word(row.get("schedule")),
            cron=_word(row.get("cron")),
            autorestart=row.get("autorestart") != 0,
            module=bool(row.get("module")),
            own=bool(row.get("self")),
        )
    return fleet


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _whole(value: Value) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _word(value: Value) -> str | None:
    return value if isinstance(value, str) else None


def absorb_fleet(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> tuple[History, list[ServiceEvent]]:
    """The history after one good reading of PM2 (the last was taken at `before`), and what happened between."""
    seen = {
        name: lives
        for name, lives in processes(reading).items()
        # Neither monitord itself nor PM2's own modules are of the fleet, unless the orders name them.
        if name in orders.services or not all(life.own or life.module for life in lives.values())
    }
    window = orders.restarts_window.total_seconds()
    first = before is None or not history.services
    changes = {
        name: restarts.change(service.lives, seen.get(name, {}), _since(service, before))
        for name, service in history.services.items()
        if not first
    }
    together = None
    if before is not None and not first:
        together = restarts.fleet_restart(changes, history, seen, before, now, window)
    is_many = restarts.many(changes)
    services: dict[str, Service] = {}
    events: list[ServiceEvent] = []
    for name in sorted(history.services.keys() | seen.keys()):
        old = history.services.get(name, Service())
        batches = tuple(b for b in old.batches if b.end > now - window)
        crashes = changes[name].crashes if name in changes else 0
        if crashes and before is not None and together is None:
            batches = (*batches, Batch(before, now, crashes))
        lives = seen.get(name, {})
        if lives or batches or name in orders.services:
            services[name] = Service(lives, batches, tuple(d for d in old.deaths if d.at > now - window))
        if not first:
            deaths = _since(old, before)
            events.extend(events_of(name, old.lives, lives, changes.get(name), together, deaths, is_many=is_many))
    roster = dict(history.roster)
    if not orders.services:
        roster |= {name: _learned(lives) for name, lives in seen.items() if _any_online(lives)}
    last = together or history.fleet_restart
    if last is not None and last.left_behind:
        last = replace(last, left_behind=tuple(name for name in last.left_behind if name not in seen))
    return replace(history, services=services, roster=roster, fleet_restart=last), events


def _since(service: Service, before: float | None) -> tuple[Death, ...]:
    """What the bus has told of a service's deaths since the reading at `before`."""
    return tuple(death for death in service.deaths if before is not None and death.at > before)


def _any_online(lives: Mapping[str, Life]) -> bool:
    return any(life.state == "online" for life in lives.values())


def _learned(lives: Mapping[str, Life]) -> Expected:
    """What to expect of a service seen online: to stay so, unless PM2 itself is told to run it by the clock."""
    return "periodic" if any(life.schedule for life in lives.values()) else "online"


def expected(history: History, orders: StandingOrders) -> dict[str, Expected]:
    """The roster: as ordered, or as learned where nothing is ordered."""
    return dict(orders.services) if orders.services else dict(history.roster)


def recent_restarts(service: Service, now: float, window: float) -> int:
    """Automatic restarts within the last `window` seconds.

    A batch that spans more than the window (monitord was away) counts by its share: many restarts in a long absence
    are not many restarts in the last hour.
    """
    total = 0.0
    for batch in service.batches:
        if batch.end <= now - window:
            continue
        span = batch.end - batch.start
        total += batch.count if span <= window else batch.count * window / span
    return int(total)
