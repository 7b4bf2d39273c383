"""Why processes begin anew: by themselves, by an operator's hand, by a clock, or all of them at once.

Only automatic restarts are crashes. They show in PM2's counter while `created_at` stays; a changed `created_at` is
somebody's doing, or a schedule's. A whole fleet that begins anew together is a deployment, PM2 coming back with its
saved list, or the machine coming up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from monitord.core import words
from monitord.core.history import Death, FleetRestart, History, Life
from monitord.core.model import Exit, RestartKind

# Fewer services than this restarting together is a coincidence, not a deployment.
FLEET_AT_LEAST = 3
# PM2 begins a cron_restart within milliseconds of its minute, and the new process stands when the old one has ended.
CRON_SLACK_SECONDS = 5.0
KEEP_DEATHS = 20


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one name's processes between two readings.

    `crashes` are automatic restarts; `remade` says that an operator's or a schedule's hand was on one of them, and
    `kind` whose; `restarted` that a process began anew for whatever reason.
    """

    crashes: int = 0
    remade: bool = False
    restarted: bool = False
    kind: RestartKind | None = None


def change(old: Mapping[str, Life], new: Mapping[str, Life], deaths: Iterable[Death]) -> Change:
    """What became of a name's processes. `deaths` are those the bus has told of since the reading before."""
    crashes, remade, restarted, told = 0, False, False, tuple(deaths)
    kind: RestartKind = "operator"
    for instance, life in new.items():
        was = old.get(instance)
        if was is None:
            # Another pm_id under a known name: deleted and started again, or PM2 itself came back with its list.
            remade = remade or (bool(old) and not old.keys() & new.keys())
            continue
        if _remade(was, life):
            remade = True
            restarted = restarted or life.state == "online"
            kind = "schedule" if _on_its_minute(life) else kind
            # It may have died before that hand came; the counter has both, and only the bus tells them apart.
            died = sum(1 for death in told if death.instance == instance and not death.memory)
            crashes += max(0, min(died, (life.restarts or 0) - (was.restarts or 0) - 1))
        elif is_restarted(was, life):
            assert was.restarts is not None  # noqa: S101 - it has risen
            assert life.restarts is not None  # noqa: S101 - it has risen
            # An operator's restart shows as `stopping` first and in the counter only when the old process has ended.
            crashes += life.restarts - was.restarts - (1 if was.state == "stopping" else 0)
            restarted = True
    if remade and any(death.memory for death in told):
        kind = "memory"
    return Change(crashes, remade, restarted or remade, kind if remade else "automatic" if crashes else None)


def _remade(was: Life, life: Life) -> bool:
    """Whether an operator's hand (or a schedule's) is on this process: it was created anew and has begun anew.

    PM2 forgets `created_at` when it gives up on a process, and sets it without a restart when counters are reset.
    """
    return life.created_at not in (None, was.created_at) and life.started_at != was.started_at


def is_restarted(was: Life, life: Life) -> bool:
    """Whether PM2 has restarted this process, and nobody else: its counter rose, and it was not created anew."""
    counted = was.restarts is not None and life.restarts is not None and life.restarts > was.restarts
    return counted and not _remade(was, life)


def is_taken_up(old: Mapping[str, Life], new: Mapping[str, Life], changed: Change) -> bool:
    """Whether somebody has begun anew what PM2 had given up on."""
    gave_up = any(life.state == "errored" for life in old.values())
    return gave_up and changed.remade and not any(life.state == "errored" for life in new.values())


def _on_its_minute(life: Life) -> bool:
    """Whether a process that PM2 is told to restart by the clock began when a minute did, as such a restart does."""
    return life.cron is not None and life.started_at is not None and life.started_at % 60 < CRON_SLACK_SECONDS


def many(changes: Mapping[str, Change]) -> bool:
    """Whether so many services were restarted by hand between two readings that it is a deployment."""
    return sum(1 for one in changes.values() if one.remade and one.kind == "operator") >= FLEET_AT_LEAST


def fleet_restart(
    changes: Mapping[str, Change], history: History, seen: Iterable[str], before: float, now: float, window: float
) -> FleetRestart | None:
    """The whole fleet beginning anew between the readings at `before` and `now`, or None.

    An operator remaking every process is one. Every process dying once with nobody's hand in it is taken for one too,
    but not where the bus has told of most of these deaths, for then it is known that nobody had them ended; nor twice
    within the restarts window: by then it is crashing. A service that did not come back with the others does not make
    it any less of one.
    """
    alive = [
        name
        for name in changes
        # What is stopping was alive: PM2 ends its fleet so before it goes itself.
        if any(life.state in {"online", "stopping"} for life in history.services[name].lives.values())
    ]
    back = [name for name in alive if name in seen]
    if len(back) < FLEET_AT_LEAST or not all(changes[name].restarted for name in back):
        return None
    if not all(changes[name].remade for name in back):
        last = history.fleet_restart
        recently = last is not None and now - last.at < window
        if recently or len(back) < len(alive) or _died(back, history, before):
            return None
        once = all(changes[name].crashes <= len(history.services[name].lives) for name in back)
        return FleetRestart(now, "deployment") if once else None
    left_behind = tuple(name for name in alive if name not in seen)
    host = history.reading("host")
    boot_at = host.number("boot_at") if host is not None else None
    if boot_at is not None and before < boot_at <= now:
        return FleetRestart(now, "reboot", left_behind)
    if _pm2_was_away(history, before, now):
        return FleetRestart(now, "resurrected", left_behind)
    return FleetRestart(now, "deployment")


def _died(names: Iterable[str], history: History, before: float) -> bool:
    """Whether the bus has told since the reading at `before` that most of these ended, and by nobody's hand."""
    deaths = [any(death.at > before and not death.memory for death in history.services[name].deaths) for name in names]
    return 2 * sum(deaths) > len(deaths)


def _pm2_was_away(history: History, before: float, now: float) -> bool:
    """Whether PM2 itself could not be asked between the readings at `before` and `now`."""
    return any(
        span.why == "failed" and span.end == now and span.start >= before for span in history.blind.get("pm2", ())
    )


def absorb_exits(history: History, exits: Iterable[Exit], now: float, window: float) -> History:
    """The history with what the bus told of deaths. Those by an operator's hand are no deaths."""
    services = dict(history.services)
    for told in exits:
        service = services.get(told.service)
        if service is None or (told.manually and not told.memory):
            continue
        life = service.lives.get(told.instance)
        began = [death.at for death in service.deaths if death.instance == told.instance and death.at <= told.at]
        if life is not None and life.started_at is not None and life.started_at <= told.at:
            began.append(life.started_at)
        lived = round(told.at - max(began), 3) if began else None
        death = Death(min(told.at, now), told.instance, told.code, told.signal, lived, told.memory)
        kept = tuple(d for d in (*service.deaths, death) if d.at > now - window)[-KEEP_DEATHS:]
        services[told.service] = replace(
            service,
            deaths=kept,
            said=service.said + told.said,
            said_at=max(service.said_at, told.at) if told.said else service.said_at,
        )
    return replace(history, services=services)


def how(death: Death) -> str:
    """How a process ended, to follow "ended": `by SIGKILL after 3.1 s`, `with exit code 1`."""
    by = f"by {death.signal}" if death.signal else f"with exit code {death.code}" if death.code is not None else ""
    if death.memory:
        by = "by PM2, past its max_memory_restart,"
    after = f"after {words.duration(death.lived)}" if death.lived is not None else ""
    return " ".join(part for part in (by, after) if part)
