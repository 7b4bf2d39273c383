"""What happened to one service between two readings of PM2, said once: the most telling first, and by whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from monitord.core.history import Death, FleetRestart, Life
from monitord.core.model import RestartKind, ServiceEvent
from monitord.core.restarts import Change, how

_TOGETHER: Final = {
    "deployment": "restarted together with the whole fleet: an operator or a deployment",
    "reboot": "started with the whole fleet, as the machine came up",
    "resurrected": "started with the whole fleet, as PM2 came back with its saved list",
}
WAITING: Final = "waiting restart"
"""PM2's word for a dead process that it restarts after a delay (restart_delay, exp_backoff_restart_delay)."""
_LEFT_BEHIND: Final = "not in PM2's list since PM2 came back: its saved list is incomplete (pm2 save)"
_ONE: Final[dict[RestartKind, tuple[Literal["pm2", "operator"], str]]] = {
    "operator": ("operator", "restarted by an operator"),
    "deployment": ("operator", "restarted with others: a deployment"),
    "schedule": ("pm2", "restarted by its schedule (cron_restart)"),
    "memory": ("pm2", "restarted by PM2, as it used more memory than its max_memory_restart"),
}


def events_of(
    name: str,
    old: Mapping[str, Life],
    new: Mapping[str, Life],
    change: Change | None,
    together: FleetRestart | None,
    deaths: Sequence[Death],
    *,
    is_many: bool,
) -> list[ServiceEvent]:
    """The events of one name between two readings.

    `is_many`: so many services were restarted by hand that it is a deployment.
    """
    if not old:
        return [ServiceEvent(name, "appeared", "operator", "new in PM2's list")] if new else []
    if not new:
        if together is not None and name in together.left_behind:
            return [ServiceEvent(name, "deleted", "pm2", _LEFT_BEHIND)]
        return [ServiceEvent(name, "deleted", "operator", "gone from PM2's list")]
    assert change is not None  # noqa: S101 - a name known before has been compared
    if together is not None and change.restarted:
        by: Literal["pm2", "operator"] = "operator" if together.kind == "deployment" else "pm2"
        restarts = max(1, change.crashes)
        return [ServiceEvent(name, "restarted", by, _TOGETHER[together.kind], restarts, together.kind)]
    events = []
    if change.crashes == 1 and not _up(old):  # its death was told when it was seen
        events.append(ServiceEvent(name, "restarted", "pm2", "restarted by PM2 after its death", 1, "automatic"))
    elif change.crashes:
        events.append(_crashed(name, new, change.crashes, deaths))
    if (turned := _up_or_down(name, old, new, change, deaths)) is not None:
        events.append(turned)
    elif change.remade:
        kind: RestartKind = "deployment" if is_many and change.kind == "operator" else change.kind or "operator"
        who, detail = _ONE[kind]
        events.append(ServiceEvent(name, "restarted", who, detail, 1, kind))
    return events


def _crashed(name: str, new: Mapping[str, Life], times: int, deaths: Sequence[Death]) -> ServiceEvent:
    often = "once" if times == 1 else f"{times} times"
    if deaths:
        last = "" if times == 1 else "the last time "
        detail = f"ended {last}{how(deaths[-1]) or 'by itself'} and was restarted by PM2 {often}"
    else:
        detail = f"ended by itself and was restarted by PM2 {often}{_last_code(new)}"
    return ServiceEvent(name, "crashed", "pm2", detail, times, "automatic")


def _up_or_down(
    name: str, old: Mapping[str, Life], new: Mapping[str, Life], change: Change, deaths: Sequence[Death]
) -> ServiceEvent | None:
    """The event of a service that came up or went down, or of which an instance did.

    What is launching is up already, and what is stopping is up still: most of what stops is being restarted.
    """
    was, are = _up(old), _up(new)
    scheduled = any(life.schedule for life in new.values())
    if was and not are:
        return _went_down(name, new, () if change.crashes else deaths, scheduled=scheduled)
    if are and not was and not change.crashes:
        if scheduled:
            return ServiceEvent(name, "started", "pm2", "its turn has come")
        return ServiceEvent(name, "started", "operator", "online again")
    if was != are and not change.crashes:
        changed: Literal["started", "stopped"] = "started" if are > was else "stopped"
        return ServiceEvent(name, changed, "operator", f"{are} of {len(new)} instances are online")
    return None


def _went_down(name: str, new: Mapping[str, Life], deaths: Sequence[Death], *, scheduled: bool) -> ServiceEvent:
    """The event of a service of which nothing is up. `deaths`: those that no count has told of yet."""
    state = next(iter(new.values())).state
    ended = _last_code(new)
    if state == "errored":
        detail = f"PM2 has given up restarting it{ended}"
        if deaths and (end := how(deaths[-1])):
            detail = f"PM2 has given up restarting it; it ended {end}"
        return ServiceEvent(name, "crashed", "pm2", detail)
    if state == WAITING:
        detail = f"ended {how(deaths[-1]) or 'by itself'}" if deaths else f"ended by itself{ended}"
        return ServiceEvent(name, "crashed", "pm2", f"{detail}; PM2 waits before it restarts it")
    is_kept = any(life.autorestart for life in new.values()) and not scheduled
    if state == "stopped" and deaths and is_kept:
        return ServiceEvent(name, "crashed", "pm2", f"ended {how(deaths[-1]) or 'by itself'}")
    # What PM2 keeps going stays stopped only where somebody stops it, whatever code it ends with.
    if state == "stopped" and any(life.exit_code for life in new.values()) and not is_kept:
        return ServiceEvent(name, "crashed", "pm2", f"ended by itself{ended}")
    if scheduled:
        return ServiceEvent(name, "stopped", "pm2", f"ended by itself until its next turn{ended}")
    if not any(life.autorestart for life in new.values()):
        return ServiceEvent(name, "stopped", "pm2", f"ended, and PM2 is told not to restart it{ended}")
    return ServiceEvent(name, "stopped", "operator", f"PM2 now calls it {state}{ended}")


def _last_code(lives: Mapping[str, Life]) -> str:
    code = next((life.exit_code for life in lives.values() if life.exit_code is not None), None)
    return "" if code is None else f", last exit code {code}"


def _up(lives: Mapping[str, Life]) -> int:
    return sum(1 for life in lives.values() if life.state in {"online", "launching", "stopping"})
