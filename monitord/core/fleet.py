"""What two readings of PM2 say together: who came, went, crashed or was restarted, and by whom.

PM2 restarts a crashed process within milliseconds, so its `status` tells nothing of crashes; its counters do.
`restarts` up with `created_at` unchanged is an automatic restart. A changed `created_at` is an operator's doing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from monitord.core.history import Batch, History, Life, Service
from monitord.core.model import Reading, ServiceEvent, Value
from monitord.core.orders import Expected, StandingOrders

# Fewer services than this restarting together is a coincidence, not a deployment.
FLEET_AT_LEAST = 3
TOGETHER = " together with the whole fleet: an operator, a deployment or a reboot"


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
    changes = (
        {} if first else {name: _changed(history.services[name].lives, seen.get(name, {})) for name in history.services}
    )
    together = not first and _together(changes, history, now, window)
    services: dict[str, Service] = {}
    events: list[ServiceEvent] = []
    for name in sorted(history.services.keys() | seen.keys()):
        old = history.services.get(name, Service())
        batches = tuple(b for b in old.batches if b.end > now - window)
        crashes = changes[name].crashes if name in changes else 0
        if crashes and before is not None and not together:
            batches = (*batches, Batch(before, now, crashes))
        lives = seen.get(name, {})
        if lives or batches or name in orders.services:
            services[name] = Service(lives, batches)
        if not first:
            events.extend(_events(name, old.lives, lives, changes.get(name), together=together))
    roster = dict(history.roster)
    if not orders.services:
        roster |= {name: _learned(lives) for name, lives in seen.items() if _any_online(lives)}
    return (
        replace(
            history,
            services=services,
            roster=roster,
            fleet_restarted_at=now if together else history.fleet_restarted_at,
        ),
        events,
    )


class _Change:
    """What became of one name's processes: automatic restarts, and whether an operator remade any of them."""

    __slots__ = ("crashes", "remade", "restarted")

    def __init__(self, crashes: int, remade: bool, restarted: bool) -> None:
        self.crashes = crashes
        self.remade = remade
        self.restarted = restarted


def _changed(old: Mapping[str, Life], new: Mapping[str, Life]) -> _Change:
    crashes, remade, restarted = 0, False, False
    for instance, life in new.items():
        was = old.get(instance)
        if was is None:
            # Another pm_id under a known name: deleted and started again, or PM2 itself came back with its list.
            remade = remade or (bool(old) and not old.keys() & new.keys())
            continue
        if _remade(was, life):
            remade = True
            restarted = restarted or life.state == "online"
        elif was.restarts is not None and life.restarts is not None and life.restarts > was.restarts:
            # An operator's restart shows as `stopping` first and in the counter only when the old process has ended.
            crashes += life.restarts - was.restarts - (1 if was.state == "stopping" else 0)
            restarted = True
    return _Change(crashes, remade, restarted or remade)


def _remade(was: Life, life: Life) -> bool:
    """Whether an operator's hand (or a schedule's) is on this process: it was created anew and has begun anew.

    PM2 forgets `created_at` when it gives up on a process, and sets it without a restart when counters are reset.
    """
    return life.created_at not in (None, was.created_at) and life.started_at != was.started_at


def _together(changes: Mapping[str, _Change], history: History, now: float, window: float) -> bool:
    """Whether the whole fleet restarted between two readings.

    An operator remaking every process is one. Every process dying once with nobody's hand in it is taken for one too,
    but not twice within the restarts window: by then it is crashing.
    """
    alive = [name for name in changes if _any_online(history.services[name].lives)]
    if len(alive) < FLEET_AT_LEAST or not all(changes[name].restarted for name in alive):
        return False
    if all(changes[name].remade for name in alive):
        return True
    recently = history.fleet_restarted_at is not None and now - history.fleet_restarted_at < window
    return not recently and all(changes[name].crashes <= len(history.services[name].lives) for name in alive)


def _events(
    name: str, old: Mapping[str, Life], new: Mapping[str, Life], change: _Change | None, *, together: bool
) -> list[ServiceEvent]:
    """The events of one name between two readings, most telling first, each said once."""
    if not old:
        return [ServiceEvent(name, "appeared", "operator", "new in PM2's list")] if new else []
    if not new:
        return [ServiceEvent(name, "deleted", "operator", "gone from PM2's list")]
    assert change is not None  # noqa: S101 - a name known before has been compared
    events = []
    code = next((life.exit_code for life in new.values() if life.exit_code is not None), None)
    ended = "" if code is None else f", last exit code {code}"
    if together:
        return [ServiceEvent(name, "restarted", "operator", "restarted" + TOGETHER)]
    if change.crashes:
        times = "once" if change.crashes == 1 else f"{change.crashes} times"
        events.append(ServiceEvent(name, "crashed", "pm2", f"ended by itself and was restarted by PM2 {times}{ended}"))
    was_up, is_up = _any_online(old), _any_online(new)
    if was_up and not is_up:
        state = next(iter(new.values())).state
        if state == "stopped" and code:
            events.append(ServiceEvent(name, "crashed", "pm2", f"ended by itself{ended}"))
        elif state == "errored":
            events.append(ServiceEvent(name, "crashed", "pm2", f"PM2 has given up restarting it{ended}"))
        elif any(life.schedule for life in new.values()):
            events.append(ServiceEvent(name, "stopped", "pm2", f"ended by itself until its next turn{ended}"))
        elif not any(life.autorestart for life in new.values()):
            events.append(ServiceEvent(name, "stopped", "pm2", f"ended, and PM2 is told not to restart it{ended}"))
        else:
            events.append(ServiceEvent(name, "stopped", "operator", f"PM2 now calls it {state}{ended}"))
    elif is_up and not was_up:
        if any(life.schedule for life in new.values()):
            events.append(ServiceEvent(name, "started", "pm2", "its turn has come"))
        else:
            events.append(ServiceEvent(name, "started", "operator", "online again"))
    elif (was := _online(old)) != (are := _online(new)) and not change.crashes:
        changed: Literal["started", "stopped"] = "started" if are > was else "stopped"
        events.append(ServiceEvent(name, changed, "operator", f"{are} of {len(new)} instances are online"))
    elif change.remade:
        events.append(
            ServiceEvent(name, "restarted", "operator", "restarted by an operator, a deployment or a schedule")
        )
    return events


def _online(lives: Mapping[str, Life]) -> int:
    return sum(1 for life in lives.values() if life.state == "online")


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
